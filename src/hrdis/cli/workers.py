"""Work on many pictures: one after the other here, in processes of this machine, or on a Ray
cluster.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import tyro
from pydantic import Field

from hrdis.images import Errand
from hrdis.solvers.base import settings

from .memory import keep_freed_memory
from .parsing import fail
from .progress import console, pictures, say

#: The end of a picture whose process died twice, the second time with no other at work.
LOST = "the process that worked on it died. Its memory may not have been enough: --workers 1"


@settings
class Workers:
    """The processes that work on the pictures of a folder."""

    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pictures of a folder that are worked on at once, each by a process with its own model.
    Another number may change the last bits of a picture.
    """
    engine: Literal["auto", "local", "ray"] = "auto"
    """local: processes of this machine; ray: those of a Ray cluster, which see the same folders;
    auto: ray if --address asks for it.
    """
    address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT|auto")] = None
    """A running Ray cluster; without it, --engine ray starts one on this machine."""

    def on_cluster(self) -> bool:
        """Return True if a Ray cluster is meant.

        Raises:
            ValueError: for an address that the engine does not take.
        """
        if self.engine == "local" and self.address is not None:
            raise ValueError(
                "--engine local works on this machine and takes no --address. Leave one of them "
                "out."
            )
        return self.engine == "ray" or self.address is not None


#: Why the options change nothing about one picture.
UNUSED = {
    name: "one picture is worked on in this process. It is for a folder, or several pictures."
    for name in ("workers", "engine", "address")
}


@dataclass(frozen=True)
class Ended:
    """The end of a picture, done, there (from before) or failed, and the line that says so."""

    state: Literal["done", "there", "failed"]
    line: str


#: Works on the picture of a number, and returns what became of it. It pickles, and two that are
#: equal do the same, so that a worker keeps the model of the first.
Work = Callable[[int], Ended]


def work_off(command: str, work: Work, todo: Sequence[Errand], where: Workers) -> int:
    """Work on all pictures, and say one thing of each; return how many failed.

    The results have the dates of the pictures they were made from.

    Args:
        command: its name, for the lines of what failed.
        work: does it.
        todo: the pictures, which it knows by their numbers.
        where: it is done.
    """
    states, count = [], len(todo)
    if where.on_cluster():
        ends = _on_cluster(work, count, where)
    elif min(where.workers, count) > 1:
        ends = _in_processes(work, count, where.workers)
    else:
        ends = ((k, work(k)) for k in range(count))
    with pictures(count) as one_more:
        for k, ended in ends:
            states.append(ended.state)
            place = f"[{len(states)}/{count}] "
            if ended.state == "failed":
                fail(command, place + ended.line, 1)
            else:
                todo[k].keep_date()
                say(place + ended.line)
            one_more()
    failed, there = states.count("failed"), states.count("there")
    say(f"{states.count('done')} done, {there} finished before, {failed} failed.")
    return failed


@cache
def _kept(work: Work) -> Work:
    """Return the first of equal ones, which has loaded the model."""
    return work


def _do(work: Work, k: int, folder: str) -> Ended:
    os.chdir(folder)  # names of files count from there
    console.quiet = True  # the bars and lines are those of the process that hands out the work
    return _kept(work)(k)


def _windowed(
    submit: Callable[[int], "Future[Ended]"], numbers: Sequence[int], workers: int
) -> Iterator[tuple[int, "Future[Ended]"]]:
    """Keep as many pictures at work as there are workers; yield each as it ends."""
    left, at_work = deque(numbers), dict[Future[Ended], int]()
    while left or at_work:
        while left and len(at_work) < workers:
            k = left.popleft()
            at_work[submit(k)] = k
        for ended in wait(at_work, return_when=FIRST_COMPLETED).done:
            yield at_work.pop(ended), ended


# ---- processes of this machine -------------------------------------------------------------------


def _in_processes(work: Work, count: int, workers: int) -> Iterator[tuple[int, Ended]]:
    """Yield the ends as they come. When a process dies, what was at work is done again, alone."""
    left, suspects = list(range(count)), []
    while left:
        now, left = left, []
        with _processes(workers) as pool:
            for k, future in _windowed(_submitted(pool, work), now, workers):
                if future.cancelled():
                    left.append(k)
                elif isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(k)
                else:
                    yield k, future.result()
    for k in suspects:
        with _processes(1) as pool:
            try:
                yield k, pool.submit(_do, work, k, os.getcwd()).result()
            except BrokenProcessPool:
                yield k, Ended("failed", LOST)


def _submitted(pool: ProcessPoolExecutor, work: Work) -> Callable[[int], "Future[Ended]"]:
    """Return what hands out a number; where no process is left to take it, it is cancelled."""

    def submit(k: int) -> "Future[Ended]":
        try:
            return pool.submit(_do, work, k, os.getcwd())
        except BrokenProcessPool:
            none: Future[Ended] = Future()
            none.cancel()
            none.set_running_or_notify_cancel()
            return none

    return submit


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes, which end with this one, whatever ends it."""
    import torch

    threads = max(1, torch.get_num_threads() // workers)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (threads,))
    try:
        yield pool
    except BaseException:  # a signal, too: nobody waits for what they do
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(threads: int) -> None:
    """Give a worker process its share of the processor, and see that it ends."""
    import torch

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)  # through what is being written, which removes its files

    keep_freed_memory()
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the first process, which ends all
    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the process that hands out the work; a kill gives it no time to tell."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# ---- a cluster -----------------------------------------------------------------------------------


def _on_cluster(work: Work, count: int, where: Workers) -> Iterator[tuple[int, Ended]]:
    """Yield the ends as they come. Ray does a picture again whose worker died, twice."""
    from hrdis.bench.run import Engine, cluster, gpu_share

    with cluster(Engine(engine="ray", workers=where.workers, address=where.address)) as ray:
        gpus: Any = gpu_share(ray, where.workers)
        do = ray.remote(_do).options(num_cpus=1, num_gpus=gpus, max_retries=2)
        here = os.getcwd()

        def submit(k: int) -> "Future[Ended]":
            future: Future[Ended] = do.remote(work, k, here).future()
            return future

        for k, future in _windowed(submit, range(count), where.workers):
            error = future.exception()
            if isinstance(error, ray.exceptions.RayError):
                yield k, Ended("failed", LOST)
            else:
                yield k, future.result()
