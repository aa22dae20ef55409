"""Files of a run that survive a kill and a power cut: written, flushed to the disk, and named
last.
"""

import os
import re
import socket
import uuid
from pathlib import Path
from typing import IO

from .locks import acquire


def durable(file: IO[bytes], content: bytes) -> None:
    """Write all of it, to the disk."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Results:
    """The results file of one process: locked while the process lives, appended to by nobody else,
    ever.
    """

    def __init__(self, folder: Path):
        self.pid = os.getpid()
        host = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname())
        self.name = f"{host}-{self.pid}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(folder / f"{self.name}.jsonl", flags, 0o666)
        acquire(self._descriptor)
        sync(folder)

    def append(self, line: bytes) -> None:
        """Write one line, or nothing of it."""
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
        if hasattr(self, "_descriptor") and self.pid == os.getpid():
            os.close(self._descriptor)
