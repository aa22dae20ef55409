"""Pictures to files: as they came, whole or not at all."""

import os
import tempfile
from dataclasses import replace
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..files import check_name, write_atomically
from .base import Picture, to_numbers, to_pil
from .deep import write_deep
from .notes import MALFORMED, with_resolution

if TYPE_CHECKING:
    from PIL import Image

#: What pictures are written as, by the ends of their names.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
#: The longest side a format can hold, in pixels.
LONGEST = {".webp": 16383, ".jpg": 65500, ".jpeg": 65500}
DEEP = (".png", ".tif", ".tiff")  # hold 16 bits
NOTED = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")  # hold what the camera noted


def check_output(
    path: str | Path, *, transparent: bool = False, size: tuple[int, int] = (0, 0)
) -> Path:
    """Raise unless a picture can be written there.

    That takes a known suffix, and a folder that exists or can be made.

    Args:
        path: the file to write.
        transparent: whether the picture has transparency.
        size: (height, width) of the picture, where it is known, because formats have a longest
            side.

    Raises:
        ValueError: naming what is in the way; nothing is left behind.
    """
    path = Path(path)
    check_name(path)
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder. The name of a picture file is expected: -o "
            f"{path / 'restored.png'}"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{path} has the suffix {path.suffix!r}. One of {', '.join(SUFFIXES)} is expected: -o "
            "restored.png"
        )
    if transparent and path.suffix.lower() in (".jpg", ".jpeg", ".bmp"):
        raise ValueError(
            f"{path} cannot hold transparency, which the picture has. Use a PNG: -o "
            f"{path.with_suffix('.png')}"
        )
    longest = LONGEST.get(path.suffix.lower(), max(size))
    if max(size) > longest:
        raise ValueError(
            f"{path} would be {size[1]} x {size[0]} pixels, but this format ends at {longest} a "
            f"side. Use a PNG: -o {path.with_suffix('.png')}"
        )
    check_folder(path.parent)
    return path


def check_folder(folder: str | Path) -> Path:
    """Raise unless files can be made in the folder, or the folder itself in what exists of its
    path. A link that leads nowhere is no place for a folder.
    """
    folder = Path(folder)
    # lexists, too, says "no" to a name that is too long
    existing = next(
        place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place)
    )
    try:
        if existing.is_symlink() and not existing.exists():
            raise NotADirectoryError(f"{existing} is a link that leads nowhere")
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is a file")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ValueError(
            f"Nothing can be written to {folder} ({error.strerror or error}). A folder you may "
            "write to is expected."
        ) from None
    return folder


def write(path: str | Path, picture: Picture) -> None:
    """Write a picture; the file appears whole or not at all. JPEG, WebP and BMP hold 8 bits,
    whatever was read.

    Raises:
        ValueError: for NaN or infinite values, which would become arbitrary colours.
    """
    require_finite(picture.x, str(path))
    suffix = Path(path).suffix.lower()
    image = to_pil(picture if suffix in DEEP else replace(picture, bits=8))
    options: dict[str, Any] = {"icc_profile": picture.icc} if picture.icc else {}
    if picture.dpi and suffix != ".webp":
        options["dpi"] = picture.dpi
    if suffix in (".jpg", ".jpeg"):
        options |= {"quality": 95, "subsampling": 0}
    name = {".jpg": "jpeg", ".tif": "tiff"}.get(suffix, suffix[1:])
    exif = None
    if suffix in NOTED and (
        picture.exif or suffix == ".webp"
    ):  # WebP has no other place for the resolution
        exif = with_resolution(picture.exif, picture.dpi)
    if exif is not None:
        try:
            image.resize((1, 1)).save(BytesIO(), format=name, exif=exif)
            options["exif"] = exif
        except (
            *MALFORMED,
            RuntimeError,
        ):  # notes that this format cannot hold are no reason to lose the picture
            pass
    grey = picture.x.shape[1] == 1 and picture.alpha is None
    if suffix in DEEP and picture.bits == 16 and not grey:  # none of Pillow's modes holds it
        numbers = to_numbers(picture)
        write_atomically(path, lambda file: write_deep(file, numbers, name, options))
    else:
        write_atomically(path, lambda file: image.save(file, format=name, **options))


def require_finite(x: Tensor, name: str) -> None:
    """Raise unless all values of a picture are finite.

    Raises:
        ValueError: with the number of those that are not.
    """
    if isfinite(x.sum().item()):  # then all are, and nothing of the picture's size is made
        return
    wrong = x.numel() - int(x.isfinite().sum())
    if wrong:
        raise ValueError(
            f"{wrong} of {x.numel()} values of the picture for {name} are NaN or infinite. Finite "
            "values are expected, mostly in [-1, 1]."
        )


def save(path: str | Path, x: Tensor) -> None:
    """Write one image (c, h, w) or (1, c, h, w) in [-1, 1] with 8 bits, clamped; c is 1 or 3, the
    name a picture's.

    Raises:
        TypeError, ValueError: for another shape, a name that is no picture's, NaN or infinity.
    """
    shape = tuple(getattr(x, "shape", ()))
    if (
        not isinstance(x, Tensor)
        or x.ndim < 3
        or shape[:-3] not in ((), (1,))
        or shape[-3] not in (1, 3)
    ):
        raise TypeError(
            f"x is a {type(x).__name__} of shape {shape}. One image (c, h, w) is expected: "
            "save(path, x[0])."
        )
    check_output(path)
    write(path, Picture(x.detach().reshape(1, *x.shape[-3:])))


def write_pil(path: str | Path, image: "Image.Image") -> None:
    """Write one of Pillow's images as a PNG, whole or not at all."""
    write_atomically(path, lambda file: image.save(file, format="PNG"))
