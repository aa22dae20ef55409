"""The one place that reads and writes files safely.

It writes whole files that survive a power cut, takes locks and hashes, and finds the folder for
downloads.
"""

import errno
import json
import os
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest
from pathlib import Path
from typing import IO, Any

#: Largest JSON file that is read, in bytes; the index of a model in 200 shards has 300 kB.
MOST_JSON = 1 << 24
#: Longest name of a file on the usual file systems, in bytes.
LONGEST_NAME = 255


# ---- writing ------------------------------------------------------------------------------------


def write_atomically(
    path: str | Path, write_to: Callable[[IO[bytes]], object], *, owner: str = ""
) -> None:
    """Call ``write_to(file)`` on a binary file beside ``path`` and rename it; leave nothing on
    failure.

    The bytes are on the disk before the rename, and the rename before this returns. After a power
    cut there is either the old file or the new one.

    Args:
        path: the file to write; its folder is made if needed.
        write_to: writes to the open file it is given.
        owner: ends the name of the file beside it, by which whoever comes after a kill knows whose
            it was.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = f".{uuid.uuid4().hex[:8]}.{owner or 'tmp'}"
    temporary = path.with_name(f".{shortened(path.name, LONGEST_NAME - 1 - len(ending))}{ending}")
    try:
        # Not tempfile.mkstemp: it makes private files, and the umask that would open them up can be
        # read only by changing it for all threads.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            with suppress(OSError):  # a file that only its owner may read stays one
                os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
            write_to(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a full disk names no file
        raise


_BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends without it


def check_name(path: Path) -> None:
    """Raise if the name of a file that is to be written is longer than file systems take.

    Raises:
        ValueError: with its length in bytes.
    """
    length = len(os.fsencode(path.name))
    if length > LONGEST_NAME:
        raise ValueError(
            f"The name {path.name[:20]}...{path.suffix[-10:]} has {length} bytes. At most "
            f"{LONGEST_NAME} are expected: -o new.png"
        )


def shortened(name: str, most: int) -> str:
    """Return a name without its end, of at most so many bytes; characters stay whole."""
    return os.fsencode(name)[:most].decode(errors="ignore")


def write_text(path: str | Path, text: str) -> None:
    """Replace a text file in UTF-8, as `write_atomically` does.

    The bytes of a file's name that are no UTF-8, which Python keeps as lone surrogates, are written
    as ``\\udcff``.
    """
    content = text.encode(errors="backslashreplace")
    write_atomically(path, lambda file: file.write(content))


def write_json(path: str | Path, value: object) -> None:
    """Replace a JSON file, as `write_atomically` does."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def replace(temporary: Path, path: Path) -> None:
    """Rename a file that is complete, with its bytes on the disk first and its name after."""
    descriptor = os.open(temporary, os.O_RDWR)  # Windows flushes only what it may write
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can (Windows cannot open
    folders).
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems take folders for no files that could be written.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


# ---- locks --------------------------------------------------------------------------------------


def try_lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Lock an open file until it is closed or its process ends, however it ends.

    Args:
        descriptor: of a file opened for reading and writing.
        shared: let others share the lock (Windows has no such locks).
        wait: wait for the lock, for as long as it takes.

    Returns:
        True; False if somebody else holds the lock; None if the file system has no locks.
    """
    if sys.platform == "win32":
        return None if shared else _try_lock_windows(descriptor, wait)
    try:
        import fcntl
    except ImportError:  # a system without files to lock, such as a browser
        return None

    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _try_lock_windows(descriptor: int, wait: bool) -> bool | None:
    import msvcrt

    while True:
        # A byte far behind the end: Windows keeps others from reading what is locked.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EDEADLK):
                return None  # this file system has no locks
            if not wait:
                return False
            time.sleep(0.1)
        else:
            return True


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file, and wait for it first if another process holds it.

    Where the file system has no locks, nobody waits.

    Args:
        path: made if it is not there, with its folder; never removed, since another process may
            just have opened it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try_lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


# ---- hashes, folders, reading -------------------------------------------------------------------


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, hexadecimal; the file is read in pieces."""
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Return the folder of downloads and cards: ``$HRDIS_HOME``, else hrdis in the platform's cache
    folder. It need not exist.

    Raises:
        ValueError: if the system knows no home folder for this user.
    """
    try:
        if os.environ.get("HRDIS_HOME"):
            return Path(os.environ["HRDIS_HOME"]).expanduser()
        if os.environ.get("XDG_CACHE_HOME"):
            return Path(os.environ["XDG_CACHE_HOME"]).expanduser() / "hrdis"
        home = Path.home()
    except RuntimeError:  # a container may run under a user id that has no name and no home
        raise ValueError(
            "This user has no home folder. A folder for priors is expected: HRDIS_HOME=/some/folder"
        ) from None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "hrdis"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "hrdis"
    return home / ".cache" / "hrdis"


def read_json(path: Path, missing: str = "") -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        missing: what the message adds when the file does not exist.

    Raises:
        ValueError: if it is missing, larger than 16 MB, cannot be decoded, or holds something else;
            one line.
    """
    try:
        if path.stat().st_size > MOST_JSON:
            raise ValueError(f"it has {path.stat().st_size} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist. {missing}".rstrip()) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} cannot be read ({reason}). JSON is expected.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a {type(values).__name__}. A JSON object is expected.")
    return values
