"""Files that a repair leaves on disk: the picture, its record, and a mask or kernel beside it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import images
from ..files import read_json, sha256
from ..messages import shell_word
from .record import FixRecord

if TYPE_CHECKING:
    from .picture import Fixed


def record_of(path: Path) -> Path:
    """Return where the record of a fixed picture lies.

    The picture's suffix stays in the name, so that a.jpg and a.png can lie side by side.
    """
    return path.with_name(f"{path.name}.json")


def kernel_of(path: Path) -> Path:
    """Return where the kernel that was undone lies."""
    return path.with_name(f"{path.stem}.kernel.npy")


def check_files(path: Path, source: Path | None = None, *, overwrite: bool = False) -> None:
    """Raise if one of the files that a repair may write would replace a stranger's or the source.

    Args:
        path: the fixed picture.
        source: the file that is read.
        overwrite: let files be replaced that no record of this program beside them names.

    Raises:
        ValueError: as `hrdis.images.records.check`.
    """
    record = record_of(path)
    files = [path, images.records.mask_beside(path), kernel_of(path), record]
    images.records.check(files, [source], record=record, overwrite=overwrite)


def check_mask(path: Path, source: Path | None = None) -> None:
    """Raise if the mask of an earlier repair is not as it was written.

    Args:
        path: the fixed picture.
        source: the file that it was made from.

    Raises:
        ValueError: with the command that takes the mask.
    """
    record, mask = record_of(path), images.records.mask_beside(path)
    # A run that was killed wrote its mask, and not yet which.
    if not (mask.exists() and record.exists()) or images.records.unfinished(record):
        return
    if read_json(record).get("mask_sha256") != sha256(mask):
        raise ValueError(
            f"{mask} is not as it was written, and was perhaps edited by hand. To fill what it "
            f"shows: hrdis restore {shell_word(source or 'IMAGE')} --task inpaint-scratches --mask "
            f"{shell_word(mask)} -o OUT.png. To search again: another -o, or --overwrite."
        )


def write(
    fixed: "Fixed", path: Path, source: Path | None = None, *, overwrite: bool = False
) -> list[str]:
    """Write the files of a repair: see `Fixed.save`."""
    images.check_output(path, transparent=fixed.picture.alpha is not None)
    check_files(path, source, overwrite=overwrite)
    if not overwrite:
        check_mask(path, source)
    record, mask, kernel = record_of(path), images.records.mask_beside(path), kernel_of(path)
    writers: dict[Path, Callable[[Path], object]] = {path: partial(write_picture, fixed, source)}
    if fixed.mask is not None:
        drawn = images.Picture(images.from_unit(fixed.mask.float()[None, None]))
        writers[mask] = partial(images.write, picture=drawn)
    if fixed.kernel is not None:
        values = fixed.kernel.numpy()
        writers[kernel] = lambda place: images.write_atomically(
            place, lambda file: np.save(file, values)
        )
    names = [str(file) for file in writers]
    command = command_of(fixed, path)
    said: FixRecord = {**fixed.record, "command": command, "files": names}
    images.records.write_files(record, said, writers)
    said["mask_sha256"] = None if fixed.mask is None else sha256(mask)
    # the record last: where it is, all of the rest is, and a later run may go on behind it
    images.records.write(record, said)
    return [*names, str(record)]


def command_of(fixed: "Fixed", path: Path) -> str:
    """Return the command that does the same as a repair, with the kernel beside its result."""
    from .picture import KERNEL

    return fixed.command.replace(KERNEL, shell_word(kernel_of(path)))


def write_picture(fixed: "Fixed", source: Path | None, path: Path) -> None:
    """Write the picture; one that was not changed byte for byte, if the kind of file stays."""
    if fixed.changed or source is None or _kind(source) != _kind(path):
        images.write(path, fixed.picture)
        return
    content = source.read_bytes()
    images.write_atomically(path, lambda file: file.write(content))


def _kind(path: Path) -> str:
    """Return the kind of a file by its suffix."""
    suffix = path.suffix.lower()
    return {".jpeg": ".jpg", ".tiff": ".tif"}.get(suffix, suffix)
