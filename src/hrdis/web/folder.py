"""The private folder of a served page, which holds everything visitors send and get.

gradio keeps files in a folder of the system's temporary one that all pages of the machine share and
anybody may read, and leaves them there after a kill. This one is for its owner alone, is removed
when the page ends, and is removed by the next page if its own was killed.
"""

import atexit
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = "hrdis-page-"
DAY = 24 * 3600.0  # seconds that a visitor's file is kept
EVERY = 600.0  # seconds between two looks for older files
BLOCK = 64 * 1024  # bytes a file counts for at least, which bounds the number of files as well


class VisitorFolder:
    """A folder for the files of visitors: mode 0700, locked while a page is served.

    The pages of a process share one, because gradio finds its folder in the environment.
    """

    _open: "VisitorFolder | None" = None

    @classmethod
    def shared(cls) -> "VisitorFolder":
        """Return the folder of this process, which each page that asked for it has to close."""
        if cls._open is None:
            cls._open = cls()
        cls._open._pages += 1
        return cls._open

    def __init__(self) -> None:
        self._pages = 0
        _remove_abandoned()
        self.path, self._lock = _make_locked()
        #: gradio's own folder; files in it can be downloaded by whoever knows their names.
        self.uploads = self.path / "gradio"
        #: Files of the restorations that run or wait, which nobody can download.
        self.jobs = self.path / "jobs"
        self.examples = self.path / "examples"
        for folder in (self.uploads, self.jobs, self.examples):
            folder.mkdir()
        self._before = os.environ.get("GRADIO_TEMP_DIR")
        os.environ["GRADIO_TEMP_DIR"] = str(self.uploads)
        # A program that ends without closing its page leaves nothing either.
        atexit.register(self._remove)
        self._closed = threading.Event()

        def keep_clean() -> None:
            while not self._closed.wait(EVERY):
                self.sweep()

        threading.Thread(target=keep_clean, name="hrdis-clean", daemon=True).start()

    def close(self) -> None:
        """Remove the folder and all that is in it, if no other page of this process uses it."""
        self._pages -= 1
        if self._pages <= 0:
            self._remove()

    def _remove(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        atexit.unregister(self._remove)
        if self._before is None:
            os.environ.pop("GRADIO_TEMP_DIR", None)
        else:
            os.environ["GRADIO_TEMP_DIR"] = self._before
        _remove(self.path)
        if self._lock is not None:
            os.close(self._lock)
        VisitorFolder._open = None

    def size(self) -> int:
        """Return the bytes that visitors' files take, each counted as at least `BLOCK`."""
        total = 0
        for file in _files(self.path):
            total += max(BLOCK, _stat(file).st_size)
        return total

    def sweep(self, older_than: float = DAY) -> None:
        """Remove uploads and results older than so many seconds, and folders that became empty."""
        now = time.time()
        for file in list(_files(self.uploads)):
            # gradio writes an upload here and moves it to a folder of its own when it is whole: a
            # file that stays and does not grow was broken off.
            age = min(older_than, EVERY) if file.parent == self.uploads else older_than
            if now - _stat(file).st_mtime > age:
                file.unlink(missing_ok=True)
        for folder, _, _ in os.walk(self.uploads, topdown=False):
            # A young folder may be empty because gradio is about to write into it.
            if folder != str(self.uploads) and now - _stat(Path(folder)).st_mtime > EVERY:
                try:
                    os.rmdir(folder)
                except OSError:  # it holds younger files
                    continue


def _make_locked() -> tuple[Path, int | None]:
    """Return a new private folder and the descriptor that locks it, None where nothing can."""
    for _ in range(10):
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        descriptor = _lock(path)
        if descriptor is not None and path.is_dir():
            return path, descriptor
        if path.is_dir():  # no locks on this system: then nobody removes it for an abandoned one
            return path, None
    raise OSError(f"No folder can be made in {tempfile.gettempdir()} that stays there.")


def _lock(folder: Path) -> int | None:
    """Return a descriptor that locks a folder, None if it is locked already or cannot be."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_abandoned() -> None:
    """Remove the folders of killed pages, if they are this user's and locked by nobody."""
    if fcntl is None:  # nothing tells which folders are in use
        return
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if path.is_symlink() or not path.is_dir() or _stat(path).st_uid != os.getuid():
            continue
        descriptor = _lock(path)
        if descriptor is not None:
            _remove(path)
            os.close(descriptor)


def _remove(folder: Path) -> None:
    """Remove a folder; a file that gradio writes meanwhile is removed by another try."""
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _files(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield Path(where, name)


def _stat(path: Path) -> os.stat_result:
    """Return the status of a file; that of an empty one if it has just been removed."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return os.stat_result((0,) * 10)
