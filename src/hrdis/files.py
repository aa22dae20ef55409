"""The one place that opens pictures and writes files safely.

Files are written whole or not at all, and reach the disk before they get their name. Pictures are opened by the
readers of picture formats alone: Pillow has others, one of which runs a program on what it is given.
"""

import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

#: What Pillow may take a file for, whatever its name. PostScript is not among them: Ghostscript would run it.
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")


def open_picture(path: str | Path | IO[bytes]) -> Any:
    """Open a picture with Pillow, by its content, as one of `PICTURE_FORMATS`; use it in a ``with`` statement.

    Raises:
        PIL.UnidentifiedImageError: if it is none of these.
        OSError: if it cannot be read.
    """
    from PIL import Image

    return Image.open(path, formats=PICTURE_FORMATS)


def upright(image: Any) -> Any:
    """Return a picture turned as its EXIF says; a malformed EXIF block says nothing."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, OSError, ValueError, TypeError, KeyError, struct.error):
        image.info.pop("exif", None)
        return image


def write_atomically(path: str | Path, write_to: Callable[[IO[bytes]], object], *, owner: str = "") -> None:
    """Call ``write_to(file)`` on a binary file beside ``path`` and rename it; leave nothing on failure.

    The bytes are on the disk before the rename, and the rename before this returns: after a power cut there is the old
    file or the new one.

    Args:
        path: the file to write; its folder is made if needed.
        write_to: writes to the open file it is given.
        owner: ends the name of the file beside it, by which whoever comes after a kill knows whose it was.

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
    """Make the names in a folder survive a power cut, where the system can (Windows cannot open folders)."""
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
