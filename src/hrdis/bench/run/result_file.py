"""Files of a run that survive a kill and a power cut, and the processes that write them."""

import os
import re
import socket
import uuid
from pathlib import Path

from ...files import sync_folder, try_lock, write_atomically
from .locks import is_abandoned


def write_picture_file(path: Path, content: bytes, owner: str) -> None:
    """Write a file whole or not at all, for good; an equal file is left as it is.

    Args:
        path: the file.
        content: its bytes.
        owner: name of the process, which ends the name of the temporary file; see
            `remove_abandoned_files`.
    """
    if _holds(path, content):
        return
    try:
        write_atomically(path, lambda file: file.write(content), owner=owner)
    except FileNotFoundError:
        # A server of NFS that repeats a rename which worked reports that the source is gone.
        if not _holds(path, content):
            raise


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def host_name() -> str:
    """Return the name of this machine in the form in which file names hold it."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname())


def remove_abandoned_files(folder: Path, results: Path) -> None:
    """Remove the temporary files that killed processes of this machine left in a folder.

    Files of other machines stay, because where locks are local to a machine, another machine's
    process seems dead while it works. So do all other hidden files (`.nfs0042`, `.DS_Store`), and
    what cannot be removed.

    Args:
        folder: searched with its subfolders.
        results: the folder of results files, whose locks tell who lives.
    """
    # `.NAME.png.RANDOM.OWNER`, the owner being `HOST-PROCESS-RANDOM` as `ResultFile` names it.
    ours = re.compile(rf"\..+\.({re.escape(host_name())}-\d+-[0-9a-f]{{8}})")
    for path in folder.rglob(".*"):
        match = ours.fullmatch(path.name)
        if match is None or not is_abandoned(results / f"{match[1]}.jsonl"):
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError:
            # Busy, a folder, or on a server that hiccups: a file too many harms nobody.
            continue


class ResultFile:
    """Results file of one process: locked while the process lives, never appended to by another.

    Args:
        name: `HOST-PROCESS-RANDOM`.
        pid: the process that made it.
    """

    def __init__(self, folder: Path):
        self.pid = os.getpid()
        self.name = f"{host_name()}-{self.pid}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        # Windows would write every line end as two bytes, if not told otherwise.
        flags |= getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(folder / f"{self.name}.jsonl", flags, 0o666)
        try_lock(self._descriptor)
        sync_folder(folder)

    def append(self, line: bytes) -> None:
        """Write one line to the disk, or nothing of it."""
        size = os.fstat(self._descriptor).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
        except BaseException:
            os.ftruncate(self._descriptor, size)
            raise

    def __del__(self) -> None:
        # A forked process shares the descriptor, but the lock is not its own to release.
        if hasattr(self, "_descriptor") and self.pid == os.getpid():
            os.close(self._descriptor)
