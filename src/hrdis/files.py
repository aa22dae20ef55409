"""The one place that writes files safely: whole or not at all, and on the disk before they get
their name.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_atomically(
    path: str | Path, write_to: Callable[[IO[bytes]], object], *, owner: str = ""
) -> None:
    """Call ``write_to(file)`` on a binary file beside ``path`` and rename it; leave nothing on
    failure.

    The bytes are on the disk before the rename, and the rename before this returns: after a power
    cut there is the old file or the new one.

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
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=f".{owner}" if owner else ".tmp", dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            write_to(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:
            error.filename = error.filename or str(path)  # a full disk names no file
        raise


def write_text(path: str | Path, text: str) -> None:
    """Replace a text file in UTF-8, as `write_atomically` does."""
    write_atomically(path, lambda file: file.write(text.encode()))


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
    finally:
        os.close(descriptor)


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask
