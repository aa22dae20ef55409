"""Workers of a Ray cluster: an actor and a prior each; who dies or hangs is replaced, and its unit
done again.
"""

import math
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..rows import Row
from .engine import Engine, Job, Opens, Worker
from .store import Store

if TYPE_CHECKING:
    import ray

#: Bytes of Ray's shared memory, its least: units and statuses are small, pictures go to the store.
OBJECT_STORE = 80_000_000


@dataclass
class _Hand:
    """An actor and what it is doing.

    Args:
        actor: its handle.
        job: None while it opens.
        deadline: when it is taken for hung, by this process's clock.
    """

    actor: Any
    job: Job | None = None
    deadline: float = math.inf


class Crew:
    """The workers of one run.

    Args:
        store: where rows and pictures go; its folder must be the same on all machines of the
            cluster.
        opens: what each worker opens.
        engine: how many, where, and how patient to be.
        report: told the statuses of rows as they are written.
        blank: the row of a cell whose workers were all lost, but for its status and error.
        retry_failed: a row that says "failed" does not count.
        gpu: let them share the GPUs.
    """

    def __init__(
        self,
        store: Store,
        opens: Opens,
        engine: Engine,
        report: Callable[[Iterable[str]], None],
        blank: Callable[[Any], Row],
        *,
        retry_failed: bool,
        gpu: bool,
    ):
        self._store, self._opens, self._engine, self._report, self._blank = (
            store,
            opens,
            engine,
            report,
            blank,
        )
        self._retry_failed, self._gpu = retry_failed, gpu
        self._queue: deque[Job] = deque()
        self._calls: dict[ray.ObjectRef[Any], _Hand] = {}
        self._replaced = self._unopened = 0

    def work(self, todo: Iterable[Job]) -> int:
        """Do all jobs; returns how many workers had to be replaced.

        Raises:
            RuntimeError: if workers keep dying before they have opened.
        """
        self._queue.extend(todo)
        with cluster(self._engine) as ray:
            self._actor = ray.remote(Worker).options(
                num_cpus=1, num_gpus=self._share(ray), max_concurrency=1
            )
            for _ in range(min(self._engine.workers, len(self._queue))):
                self._hire()
            while self._calls:
                now = time.monotonic()
                patience = min(hand.deadline for hand in self._calls.values()) - now
                wait = None if math.isinf(patience) else max(patience, 0)
                ready, _ = ray.wait(list(self._calls), num_returns=1, timeout=wait)
                for call in ready:
                    self._ended(ray, call, self._calls.pop(call))
                self._kill_the_late(ray)
        return self._replaced

    def _share(self, ray: Any) -> float:
        """Of a GPU, for each worker: as few as possible on one, so that all find a place."""
        gpus = int(ray.cluster_resources().get("GPU", 0)) if self._gpu else 0
        return 1 / math.ceil(self._engine.workers / gpus) if gpus else 0

    def _hire(self) -> None:
        actor = self._actor.remote()
        self._calls[actor.open.remote(self._store, self._opens, self._engine.threads)] = _Hand(
            actor
        )

    def _ended(self, ray: Any, call: Any, hand: _Hand) -> None:
        """Take what a call brought: an answer, an exception of the work, or news of a death."""
        try:
            answer = ray.get(call)
        except (
            ray.exceptions.RayTaskError
        ) as error:  # an exception of the work: the run ends with it
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except ray.exceptions.RayError as error:
            self._lost(
                hand, "failed", f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            )
            return
        if hand.job is None:
            self._unopened = 0
        else:
            self._report(answer)
        if self._queue:
            job = self._queue.popleft()
            deadline = time.monotonic() + (self._engine.timeout or math.inf)
            self._calls[hand.actor.work.remote(job.unit, job.missing)] = _Hand(
                hand.actor, job, deadline
            )

    def _kill_the_late(self, ray: Any) -> None:
        for call, hand in list(self._calls.items()):
            if hand.deadline <= time.monotonic():
                del self._calls[call]
                ray.kill(hand.actor)
                self._lost(hand, "timeout", f"no answer within {self._engine.timeout:g} s")

    def _lost(self, hand: _Hand, status: str, error: str) -> None:
        """Replace a worker; put its unit back, or write down that it cannot be done."""
        self._replaced += 1
        if hand.job is None:
            self._unopened += 1
            if self._unopened > self._engine.retries + self._engine.workers:
                raise RuntimeError(
                    f"{self._unopened} workers died while they loaded the prior, the last with "
                    f"{error}."
                )
        else:
            self._put_back(hand.job, status, error)
        if self._queue:
            self._hire()

    def _put_back(self, job: Job, status: str, error: str) -> None:
        finished = self._store.finished(self._retry_failed)  # it may have died after it wrote
        written = [
            row["status"] for row in self._store.rows() if row["key"] in job.missing & finished
        ]
        job.missing -= finished
        job.ends.append(error)
        self._report(written)
        if job.missing and len(job.ends) > self._engine.retries:
            times = f"{len(job.ends)} workers lost, the last: {error}"
            for cell in job.unit.cells:
                if cell.key in job.missing:
                    self._store.append(self._blank(cell) | {"status": status, "error": times})
            self._report([status] * len(job.missing))
        elif job.missing:
            self._queue.appendleft(job)


@contextmanager
def cluster(engine: Engine) -> Iterator[Any]:
    """Ray, connected: to the cluster this process is in, to the one named, or to one of its own for
    the time being.

    Raises:
        ValueError: if Ray is not installed, or no cluster answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if (
        engine.address is None
    ):  # read when Ray is imported; without it the address below is not heeded
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError:
        raise ValueError(
            "Ray is not installed, which --workers, --address and --timeout need. Install it: pip "
            "install 'hrdis[distributed]'. Or divide the work: --shard 0/2 and --shard 1/2."
        ) from None
    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if engine.address is None:
        _start(ray, num_cpus=engine.workers, **quiet)
    else:
        try:
            if engine.address != "auto":  # Ray itself would try for minutes
                host, _, port = engine.address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(address=engine.address, **quiet)
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"No Ray cluster answers at --address {engine.address} "
                f"({str(error).splitlines()[0]}). HOST:PORT or auto is expected; a cluster is "
                "started by: ray start --head. If it asks for a token: export RAY_AUTH_MODE=token"
            ) from None
    try:
        yield ray
    finally:
        with suppress(KeyboardInterrupt):  # a second Ctrl-C shall not leave processes behind
            ray.shutdown()


def _start(ray: Any, tries: int = 3, **options: Any) -> None:
    """Start a cluster on this machine; Ray gives it half a minute, which a busy machine may not
    keep to.
    """
    options |= {
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
        "object_store_memory": OBJECT_STORE,
    }
    for left in reversed(range(tries)):
        try:
            ray.init(address="local", **options)
            return
        except Exception as error:  # Ray raises no narrower one
            ray.shutdown()
            if not left:
                raise RuntimeError(
                    f"Ray did not start in {tries} tries ({str(error).splitlines()[0]}). Free the "
                    "machine, or divide the work without Ray: --shard 0/2 and --shard 1/2."
                ) from None
