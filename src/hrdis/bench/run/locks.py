"""Who is at work in a run folder: locks that the kernel takes back when their process ends, however
it ends.

A lock is `flock` on a file. It needs no heartbeat and none is ever stale; Linux extends it over
NFS. Where a file system knows no locks, nobody is refused: processes write files of their own and
equal pictures, so that all that two runs of one plan can do to each other there is work twice.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Shard = tuple[int, int]


def acquire(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Lock an open file until it is closed; False if somebody else holds it, None where there are
    no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return None
    return True


def abandoned(path: Path) -> bool:
    """Whether it is certain that nobody holds the lock of a file; one that does not exist is held
    by nobody.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        return acquire(descriptor) is True
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, refusal: str = "", *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file.

    Args:
        path: made if it is not there; never removed, since another process may have just opened it.
        refusal: what to say if somebody else has it, ``{holder}`` standing for who; waits for it if
            empty.
        shared: allow others that share.

    Raises:
        ValueError: the refusal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if acquire(descriptor, shared=shared, wait=not refusal) is False:
            holder = (
                os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            )
            raise ValueError(refusal.format(holder=holder))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def at_work(folder: Path, shard: Shard | None = None) -> Iterator[None]:
    """Be the only run in a folder, or the only one of this shard beside runs of other shards.

    Raises:
        ValueError: naming the process that is at work there.
    """
    refusal = (
        f"{folder} is being worked on by {{holder}}. One run at a time is expected. Wait for it, "
        "give another folder, or divide the work: --shard 0/2 here and --shard 1/2 there."
    )
    with locked(folder / "locks" / "run", refusal, shared=shard is not None):
        if shard is None:
            yield
            return
        i, n = shard
        same = (
            f"Shard {i}/{n} of {folder} is being worked on by {{holder}}. Wait for it, or start "
            "another shard."
        )
        with locked(folder / "locks" / f"shard-{i}-of-{n}", same):
            yield
