"""The Ray engine: an actor and a prior per worker; a worker that dies or hangs is replaced, and its
unit done again.
"""

import math
import os
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .engine import EmptyRow, Engine, OpenWork, PendingUnit, Report
from .store import Store
from .worker import WorkerProcess

if TYPE_CHECKING:
    import ray

#: Bytes of Ray's shared memory, its least: units and statuses are small, pictures go to the store.
OBJECT_STORE = 80_000_000
#: Seconds that a worker may take to start and to load its prior, where units have a limit: a disk
#: that is not there any more would hold up the run for ever.
OPENING = 600.0


def work_off(
    pending: Iterable[PendingUnit],
    store: Store,
    open_work: OpenWork,
    engine: Engine,
    report: Report,
    empty_row: EmptyRow,
    *,
    retry_failed: bool,
    gpu: bool,
) -> int:
    """Work on all units by the workers of a Ray cluster; return the number of workers that were
    replaced. The arguments are those of `RayWorkers`.
    """
    workers = RayWorkers(
        store, open_work, engine, report, empty_row, retry_failed=retry_failed, gpu=gpu
    )
    return workers.work_off(pending)


@dataclass
class RayWorker:
    """An actor and the call it is busy with.

    Args:
        actor: its handle.
        pending: the unit it works on; None while it opens.
        patience: seconds until it counts as hung.
    """

    actor: Any
    pending: PendingUnit | None = None
    patience: float = math.inf

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.patience


class RayWorkers:
    """The workers of one run.

    Args:
        store: place of rows and pictures; its folder must be the same on all machines of the
            cluster.
        open_work: loads the prior, in each worker.
        engine: number and place of workers, time per unit, and retries.
        report: called with the statuses of rows as they are written.
        empty_row: makes the row of a run task whose workers were all lost, but for its status and
            error.
        retry_failed: a row that says "failed" does not count.
        gpu: let them share the GPUs.
    """

    def __init__(
        self,
        store: Store,
        open_work: OpenWork,
        engine: Engine,
        report: Report,
        empty_row: EmptyRow,
        *,
        retry_failed: bool,
        gpu: bool,
    ):
        self._store, self._open_work, self._engine = store, open_work, engine
        self._report, self._empty_row = report, empty_row
        self._retry_failed, self._gpu = retry_failed, gpu
        self._queue: deque[PendingUnit] = deque()
        self._calls: dict[ray.ObjectRef[Any], RayWorker] = {}
        self._replaced = self._unopened = 0

    def work_off(self, pending: Iterable[PendingUnit]) -> int:
        """Work on all units; return the number of workers that were replaced.

        Raises:
            RuntimeError: if workers keep dying before they have opened.
        """
        self._queue.extend(pending)
        with cluster(self._engine) as ray:
            gpus = gpu_share(ray, self._engine.workers) if self._gpu else 0
            self._actor = ray.remote(WorkerProcess).options(
                num_cpus=1, num_gpus=gpus, max_concurrency=1
            )
            for _ in range(min(self._engine.workers, len(self._queue))):
                self._start_worker()
            while self._calls:
                now = time.monotonic()
                patience = min(worker.deadline for worker in self._calls.values()) - now
                wait = None if math.isinf(patience) else max(patience, 0)
                ready, _ = ray.wait(list(self._calls), num_returns=1, timeout=wait)
                for call in ready:
                    self._take_answer(ray, call, self._calls.pop(call))
                for call, worker in list(self._calls.items()):
                    if worker.deadline <= time.monotonic():
                        del self._calls[call]
                        ray.kill(worker.actor)
                        late = f"no answer within {worker.patience:g} s"
                        self._replace(worker, "timeout", late)
        return self._replaced

    def _start_worker(self) -> None:
        actor = self._actor.remote()
        call = actor.open.remote(self._store, self._open_work, self._engine.threads)
        limit = self._engine.timeout
        self._calls[call] = RayWorker(actor, None, max(limit, OPENING) if limit else math.inf)

    def _take_answer(self, ray: Any, call: Any, worker: RayWorker) -> None:
        """Take the outcome of a call, then give the worker its next unit.

        The outcome is an answer, an exception of the work, or the news that the worker died.
        """
        try:
            answer = ray.get(call)
        except ray.exceptions.RayTaskError as error:
            # An exception of the work, not of Ray: the run ends with it, as in one process.
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except ray.exceptions.RayError as error:
            line = str(error).strip().splitlines()[0]
            self._replace(worker, "failed", f"{type(error).__name__}: {line}")
            return
        if worker.pending is None:
            self._unopened = 0
        else:
            self._report(answer)
        if self._queue:
            pending = self._queue.popleft()
            call = worker.actor.work.remote(pending.unit, pending.missing)
            self._calls[call] = RayWorker(worker.actor, pending, self._engine.timeout or math.inf)

    def _replace(self, worker: RayWorker, status: str, error: str) -> None:
        """Replace a lost worker; put its unit back, or write down that it cannot be done."""
        self._replaced += 1
        if worker.pending is None:
            self._unopened += 1
            # Else workers that cannot load their prior would be started for ever.
            if self._unopened > self._engine.retries + self._engine.workers:
                raise RuntimeError(
                    f"{self._unopened} workers died while they loaded the prior, the last with "
                    f"{error}."
                )
        else:
            self._put_back(worker.pending, status, error)
        if self._queue:
            self._start_worker()

    def _put_back(self, pending: PendingUnit, status: str, error: str) -> None:
        # The worker may have died after it wrote its rows.
        finished = self._store.finished(self._retry_failed)
        written = []
        for row in self._store.rows():
            if row["key"] in pending.missing & finished:
                written.append(row["status"])
        pending.missing -= finished
        pending.losses.append(error)
        self._report(written)
        if not pending.missing:
            return
        if len(pending.losses) <= self._engine.retries:
            self._queue.appendleft(pending)
            return
        text = f"{len(pending.losses)} workers lost, the last: {error}"
        for run_task in pending.unit.tasks:
            if run_task.key in pending.missing:
                self._store.append(self._empty_row(run_task) | {"status": status, "error": text})
        self._report([status] * len(pending.missing))


def gpu_share(ray: Any, workers: int) -> float:
    """Return the share of a GPU per worker.

    As few workers as possible share one GPU, but all of them find a place.
    """
    gpus = int(ray.cluster_resources().get("GPU", 0))
    return 1 / math.ceil(workers / gpus) if gpus else 0


@contextmanager
def cluster(engine: Engine) -> Iterator[Any]:
    """Yield Ray, connected to the cluster this process is in, to the one named, or to one of its
    own for the time being.

    Raises:
        ValueError: if Ray is not installed, or no cluster answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if engine.address is None:
        # Read when Ray is imported; without it the address below is not heeded.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        # A cluster runs code for whoever connects, and every user of the machine can. So it asks
        # for a token, which is in no file. Ray reads this when it is imported, too.
        if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
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
    """Start a cluster on this machine; Ray gives it half a minute, which a busy machine may
    overrun.
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
