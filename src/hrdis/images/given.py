"""Pictures that are objects of Python: Pillow's images, arrays and tensors, one rule for all."""

import numpy as np
import torch
from torch import Tensor

from .arrays import check_pixels, plain_array
from .base import Picture, from_unit
from .notes import upright
from .reading import from_pil, of_numbers


def from_python(given: object) -> Picture:
    """Convert one of Pillow's images, an array or a tensor to a picture.

    Args:
        given: one of Pillow's images of any mode in ``KINDS``; what ``from_array`` or
            ``from_tensor`` takes; or a `Picture`, which is returned.

    Raises:
        ValueError, TypeError: if it is none that can be read.
    """
    from PIL import Image

    if isinstance(given, Picture):
        return given
    if isinstance(given, Image.Image):
        return from_pil(upright(given))
    if isinstance(given, np.ndarray):
        return from_array(given)
    if isinstance(given, Tensor):
        return from_tensor(given)
    way, opener = "", "PIL.Image.open"
    if isinstance(given, bytes):
        way = f" Of the content of a file: {opener}(io.BytesIO(content))."
    elif hasattr(given, "read"):
        way = f" Of an open file: {opener}(file)."
    raise TypeError(
        f"picture is a {type(given).__name__}. The name of a file, a PIL image, an array (h, w, 3) "
        f"or a tensor (c, h, w) in [-1, 1] is expected.{way}"
    )


def from_array(values: np.ndarray) -> Picture:
    """Convert an array (h, w), (h, w, 1), (h, w, 3) or, with transparency, (h, w, 4).

    Args:
        values: whole numbers of 8 or 16 bits, or floating-point numbers from 0 to 1. All but the
            first are written with 16 bits where the file can hold them.

    Raises:
        ValueError: for another shape or kind of numbers, no pixel, or values out of range.
    """
    from PIL import Image

    pixels = plain_array(values)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    kind, size = pixels.dtype.kind, pixels.dtype.itemsize
    whole = kind == "u" and size <= 2
    # Pillow knows grey with transparency, of 8 bits
    shapes = (1, 2, 3, 4) if whole and size == 1 else (1, 3, 4)
    if pixels.ndim not in (2, 3) or channels not in shapes or not (whole or kind == "f"):
        raise ValueError(
            f"picture is an array of shape {pixels.shape} and {pixels.dtype}. (h, w), (h, w, 3) or "
            "(h, w, 4) is expected: uint8, uint16, or floating-point from 0 to 1."
        )
    if pixels.size == 0:
        check_pixels(torch.zeros(pixels.shape))
    if channels == 1:
        pixels = pixels.reshape(pixels.shape[:2])
    if whole and (size == 1 or channels == 1):
        return from_pil(Image.fromarray(pixels))
    if whole:
        return of_numbers(pixels, "picture", {})
    unit = torch.from_numpy(np.atleast_3d(pixels).astype(np.float32))
    x = unit.permute(2, 0, 1)[None].contiguous()
    if not bool(torch.isfinite(x).all()) or float(x.min()) < 0 or float(x.max()) > 1:
        raise ValueError(
            f"picture holds values from {float(x.min()):g} to {float(x.max()):g}. "
            "Floating-point arrays from 0 to 1 are expected; a tensor (c, h, w) is taken as "
            "from -1 to 1."
        )
    alpha = x[0, 3] if channels == 4 else None
    return Picture(from_unit(x[:, :3]), alpha, bits=16)


def from_tensor(given: Tensor) -> Picture:
    """Convert a tensor (c, h, w) or (1, c, h, w) in [-1, 1], c 1 or 3, of any floating-point type.

    Raises:
        ValueError: for another shape or type, a tensor without values, or values out of range.
    """
    x = given[None] if given.ndim == 3 else given
    shape = x.ndim == 4 and len(x) == 1 and x.shape[1] in (1, 3)
    dense = given.layout == torch.strided and given.device.type != "meta"
    if not shape or not dense or not given.is_floating_point():
        layout = "" if dense else " without values" if given.is_meta else f" of {given.layout}"
        raise ValueError(
            f"picture is a tensor of shape {tuple(given.shape)} and {given.dtype}{layout}. One "
            "image (c, h, w) in [-1, 1], with c 1 or 3, is expected: x[0] of a batch, x / 127.5 - "
            "1 of grey levels."
        )
    x = x.detach().to("cpu", torch.float32)
    check_pixels(x)
    return Picture(x)
