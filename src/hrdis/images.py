"""Pictures on disk and tensors: the only place, with metrics and screens, where [0, 1] and 0..255 exist.

Files of any mode become (1, c, h, w) in [-1, 1] and go back as they came: grey stays grey, transparency, 16 bits per
grey pixel, colour profile, resolution and EXIF are kept, EXIF rotation is applied. Files are written whole or not at
all.
"""

import struct
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from .files import open_picture, upright
from .files import write_atomically as write_atomically

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

#: Larger pictures are refused before they are decoded (a small file can unpack to gigabytes).
MAX_PIXELS = 64_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Picture:
    """A picture as a tensor, with what a file needs beside its colours.

    Args:
        x: (1, c, h, w) in [-1, 1]; c is 1 for grey and 3 for colour.
        alpha: (h, w) in [0, 1], or None for an opaque picture.
        bits: 8, or 16 for a grey picture of 16 bits.
        icc: the colour profile, copied to what is written.
        exif: what the camera noted, less its rotation, likewise.
        dpi: the resolution in dots per inch, likewise, where the size stays.
    """

    x: Tensor
    alpha: Tensor | None = None
    bits: int = 8
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.x.shape[-2], self.x.shape[-1]

    def with_image(self, x: Tensor) -> "Picture":
        """The same file with other colours; transparency follows to another size."""
        alpha = self.alpha
        if alpha is not None and alpha.shape != x.shape[-2:]:
            alpha = torch.nn.functional.interpolate(
                alpha[None, None], size=x.shape[-2:], mode="bicubic", align_corners=False
            )[0, 0].clamp(0, 1)
        dpi = self.dpi
        if dpi is not None:  # a picture of twice the pixels is printed at the same size
            dpi = dpi[0] * x.shape[-1] / self.size[1], dpi[1] * x.shape[-2] / self.size[0]
        return replace(self, x=x, alpha=alpha, dpi=dpi)


def read(path: str | Path) -> Picture:
    """Read a picture of any mode.

    Raises:
        ValueError: if the file is missing, empty, truncated, no picture, or larger than ``MAX_PIXELS``.
    """
    return decode(path, lambda image: from_pil(upright(image)))


def decode(path: str | Path, convert: Callable[["Image.Image"], T]) -> T:
    """Open a picture with Pillow and return what ``convert`` makes of it; errors as those of `read`."""
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"{path} {what}. A picture file (PNG, JPEG, WebP, TIFF, BMP) is expected.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes). A picture file is expected: copy or download it again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_picture(path) as image:
                pixels = image.width * image.height
                if pixels > MAX_PIXELS:
                    raise ValueError(
                        f"{path} is {image.width} x {image.height}, {pixels / 1e6:.0f} megapixels. At most "
                        f"{MAX_PIXELS // 1_000_000} megapixels are expected. Scale or crop it first."
                    )
                image.load()
                if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # a phone's, the second is no picture
                    warnings.warn(f"{path} holds several pictures; the first is taken.", stacklevel=3)
                return convert(image)
    except UnidentifiedImageError:
        formats = "PNG, JPEG, WebP, TIFF or BMP is expected, whatever the file is named"
        raise ValueError(f"{path} is no picture that can be read. {formats}.") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{path} unpacks to over {MAX_PIXELS / 1e6:.0f} megapixels. Scale or crop it first.") from None
    except Unusable as error:
        raise ValueError(f"{path} {error}") from None
    except (OSError, SyntaxError, EOFError, MemoryError, NotImplementedError) as error:
        raise ValueError(f"{path} cannot be decoded ({error}). It is truncated or damaged: copy it again.") from None


class Unusable(Exception):
    """A picture that is whole, but holds what no picture in [0, 1] can be made of."""


def _notes(image: "Image.Image") -> dict[str, Any]:
    """Return the EXIF of a picture without its rotation, and its resolution, where they can be read."""
    notes: dict[str, Any] = {}
    try:
        exif = image.getexif()
        exif.pop(0x0112, None)  # the rotation, which has been applied
        if len(exif) and image.format != "TIFF":  # there it holds where the pixels lie in the file
            notes["exif"] = exif.tobytes()
    except (SyntaxError, OSError, ValueError, TypeError, KeyError, struct.error):
        pass
    dpi = image.info.get("dpi")
    try:
        across, down = (float(value) for value in dpi) if dpi else (0.0, 0.0)
        if 1 < across < 1e5 and 1 < down < 1e5:
            notes["dpi"] = (across, down)
    except (TypeError, ValueError, ZeroDivisionError):
        pass
    return notes


def without_hidden(x: Tensor, alpha: Tensor) -> Tensor:
    """Give pixels that are wholly transparent the colours of the visible ones around them.

    What hides there is arbitrary, mostly black, and would leak into a rim that is enlarged or sharpened. Each takes the
    mean of the visible pixels of the smallest block of 2, 4, 8, ... that has any.

    Args:
        x: (1, c, h, w).
        alpha: (h, w) in [0, 1].
    """
    h, w = alpha.shape
    missing = (alpha == 0)[None, None]
    if not missing.any() or missing.all():
        return x
    colours, weights, filled = x * alpha, alpha[None, None], x.clone()
    scale = 1
    while missing.any():
        scale *= 2
        colours, weights = (
            torch.nn.functional.avg_pool2d(v, 2, ceil_mode=True, count_include_pad=False) for v in (colours, weights)
        )
        mean = (colours / weights.clamp(min=1e-12)).repeat_interleave(scale, -2).repeat_interleave(scale, -1)
        known = (weights > 0).repeat_interleave(scale, -2).repeat_interleave(scale, -1)[..., :h, :w]
        take = missing & known
        filled = torch.where(take, mean[..., :h, :w], filled)
        missing = missing & ~known
    return filled


def from_pil(image: "Image.Image") -> Picture:
    """One of Pillow's images, of any mode."""
    notes = _notes(image)
    kept = image.mode in ("RGB", "RGBA", "P", "L", "LA", "I;16")  # elsewhere the colours change their space
    icc = image.info.get("icc_profile") if kept else None
    if image.mode[0] in "IF":
        return Picture(_tensor(_deep_grey(image)), bits=16, icc=icc, **notes)
    transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info  # not "LAB"
    grey = image.mode in ("1", "L", "LA", "La")
    pixels = np.asarray(image.convert(("L" if grey else "RGB") + ("A" if transparent else "")))
    pixels = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32) / 255
    alpha = torch.from_numpy(pixels[..., -1].copy()) if transparent else None
    x = _tensor(pixels[..., :-1] if transparent else pixels)
    return Picture(x, alpha, 8, icc, **notes)


def _deep_grey(image: "Image.Image") -> np.ndarray:
    """Grey values of a 16-bit picture in [0, 1]."""
    values = np.asarray(image).astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        raise Unusable(
            f"holds {np.count_nonzero(~finite)} values that are no numbers (NaN or infinite). Numbers everywhere are "
            "expected: mark such places as holes in a mask and write a number there."
        )
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (low >= 0 and high <= 1):
            raise Unusable(
                f"holds values from {low:g} to {high:g}. Floating-point pictures with values from 0 to 1 are "
                "expected: scale them."
            )
        return values[..., None]
    if high > 65535 or low < 0:
        raise Unusable(
            f"holds values from {low:g} to {high:g}. Whole numbers from 0 to 65535 are expected: shift or scale them."
        )
    bits = int(high).bit_length()
    if 0 < bits <= 12:
        warnings.warn(
            f"{getattr(image, 'filename', '') or 'The picture'} holds values up to {high:g} of 65535, as data of "
            f"{max(bits, 8)} bits does. It is read as it is, very dark; to use its range, stretch it: multiply by "
            f"{65536 // 2 ** max(bits, 8)}.",
            stacklevel=6,
        )
    return values[..., None] / 65535


def _tensor(pixels: np.ndarray) -> Tensor:
    return from_unit(torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32).transpose(2, 0, 1).copy())[None])


def load(path: str | Path) -> Tensor:
    """Read a picture as (1, 3, h, w) in [-1, 1]; grey is copied to three channels, transparency dropped."""
    return read(path).x.expand(-1, 3, -1, -1).clone()


def to_unit(x: Tensor) -> Tensor:
    """[-1, 1] to [0, 1], clamped."""
    return ((x + 1) / 2).clamp(0, 1)


def from_unit(x: Tensor) -> Tensor:
    """[0, 1] to [-1, 1]."""
    return 2 * x - 1


def check_output(path: str | Path, *, transparent: bool = False) -> Path:
    """Raise unless a picture can be written there: a known suffix, a folder that exists or can be made.

    Raises:
        ValueError: naming what is in the way; nothing is left behind.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{path} has the suffix {path.suffix!r}. One of {', '.join(SUFFIXES)} is expected: -o restored.png"
        )
    if transparent and path.suffix.lower() in (".jpg", ".jpeg", ".bmp"):
        raise ValueError(
            f"{path} cannot hold transparency, which the picture has. Use a PNG: -o {path.with_suffix('.png')}"
        )
    if path.is_dir():
        raise ValueError(f"{path} is a folder. The name of a picture file is expected: -o {path / 'restored.png'}")
    check_folder(path.parent)
    return path


def check_folder(folder: str | Path) -> Path:
    """Raise unless files can be made in the folder, or the folder itself in what exists of its path."""
    folder = Path(folder)
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is a file")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ValueError(
            f"Nothing can be written to {folder} ({error.strerror or error}). A folder you may write to is expected."
        ) from None
    return folder


def write(path: str | Path, picture: Picture) -> None:
    """Write a picture; the file appears whole or not at all. JPEG, WebP and BMP hold 8 bits, whatever was read."""
    suffix = Path(path).suffix.lower()
    image = to_pil(picture if suffix in (".png", ".tif", ".tiff") else replace(picture, bits=8))
    options: dict[str, Any] = {"icc_profile": picture.icc} if picture.icc else {}
    if picture.exif and suffix in (".png", ".jpg", ".jpeg", ".webp"):
        options["exif"] = picture.exif
    if picture.dpi and suffix != ".webp":
        options["dpi"] = picture.dpi
    if suffix in (".jpg", ".jpeg"):
        options |= {"quality": 95, "subsampling": 0}
    name = {".jpg": "jpeg", ".tif": "tiff"}.get(suffix, suffix[1:])
    write_atomically(path, lambda file: image.save(file, format=name, **options))


def save(path: str | Path, x: Tensor) -> None:
    """Write one image (c, h, w) or (1, c, h, w) in [-1, 1] with 8 bits, clamped; c is 1 or 3, the name a picture's."""
    shape = tuple(getattr(x, "shape", ()))
    if not isinstance(x, Tensor) or x.ndim < 3 or shape[:-3] not in ((), (1,)) or shape[-3] not in (1, 3):
        raise TypeError(
            f"x is a {type(x).__name__} of shape {shape}. One image (c, h, w) is expected: save(path, x[0])."
        )
    check_output(path)
    write(path, Picture(x.detach().reshape(1, *x.shape[-3:])))


def to_pil(picture: Picture) -> "Image.Image":
    """The picture as Pillow's, clamped and rounded to its bits."""
    from PIL import Image

    x = to_unit(picture.x[0].detach().float().cpu())
    if picture.bits == 16 and len(x) == 1 and picture.alpha is None:  # `write` has seen to it that the file can
        return Image.fromarray((x[0].double() * 65535).round().numpy().astype(np.uint16))
    if picture.alpha is not None:
        x = torch.cat([x, picture.alpha[None]])
    pixels = (x * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def write_pil(path: str | Path, image: "Image.Image") -> None:
    """Write one of Pillow's images as a PNG, whole or not at all."""
    write_atomically(path, lambda file: image.save(file, format="PNG"))
