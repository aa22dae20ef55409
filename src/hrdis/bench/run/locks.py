"""Locks of a run folder, which the kernel releases when their process ends, however it ends.

A lock is that of `hrdis.files.try_lock`. It needs no heartbeat and none is ever stale; Linux
extends it over NFS. Where a file system has no locks (some network file systems), nobody is
refused, and `at_work` says so. Every process writes files of its own, and the pictures are equal.
So the worst that two runs of one plan can do there is the same work twice.
"""

import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...files import try_lock
from .shards import Shard


def is_abandoned(path: Path) -> bool:
    """Return True if it is certain that no process of this machine holds the lock of the file; a
    file that does not exist is held by nobody.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:  # another user's file: nothing is certain
        return False
    try:
        return try_lock(descriptor) is True
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, refusal: str = "", *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock of a file; yields False where there are no locks.

    Args:
        path: made if it is not there; never removed, since another process may have just opened it.
        refusal: message if another process has it, ``{holder}`` standing for its name; waits for
            the lock if empty.
        shared: allow others that share.

    Raises:
        ValueError: the refusal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        got = try_lock(descriptor, shared=shared, wait=not refusal)
        # Seek and read, not pread and pwrite, which Windows does not have.
        if got is False:
            os.lseek(descriptor, 0, os.SEEK_SET)
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            raise ValueError(refusal.format(holder=holder or "another process"))
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield got is True
    finally:
        os.close(descriptor)


@contextmanager
def at_work(folder: Path, shard: Shard | None = None) -> Iterator[None]:
    """Be the only run in a folder, or the only one of this shard beside runs of other shards.

    Raises:
        ValueError: naming the process that is at work there.

    Warns:
        RuntimeWarning: where there are no locks.
    """
    refusal = (
        f"{folder} is being worked on by {{holder}}. One run at a time is expected. Wait for it, "
        "give another folder, or divide the work: --shard 0/2 here and --shard 1/2 there."
    )
    with locked(folder / "locks" / "run", refusal, shared=shard is not None) as has_locks:
        if not has_locks:
            warnings.warn(
                f"{folder} lies where files cannot be locked: a second run in it would not be "
                "refused. Start one at a time.",
                RuntimeWarning,
                stacklevel=4,
            )
        if shard is None:
            yield
            return
        i, n = shard
        same = (
            f"Shard {i}/{n} of {folder} is being worked on by {{holder}}. Wait for it, or start "
            "another shard."
        )
        # The folder's lock is shared by all shards; this one is not.
        with locked(folder / "locks" / f"shard-{i}-of-{n}", same):
            yield
