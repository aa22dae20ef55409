"""Pictures of any mode to tensors: one table of what is taken and how, for all who read
pictures.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .base import Picture, from_unit
from .deep import joined
from .notes import LOWER, notes_of, upright
from .opening import DEPTH, FILE, NOTES, WHITE_IS_ZERO, open_image

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Kind:
    """Reading rule for the pictures of one of Pillow's modes.

    Args:
        becomes: ``"L"`` grey, ``"RGB"`` colours, ``"LA"`` and ``"RGBA"`` with transparency, of 8
            bits; ``"I"`` whole numbers up to 65535, or ``"F"`` floating-point numbers from 0 to 1,
            both grey.
        profile: whether the colour profile stays true; false where the colours change their space.
    """

    becomes: str
    profile: bool = True


#: Every mode that is read. Whole numbers of 8, 10 or 12 bits in 16 are found out by the largest;
#: see `_deep`.
KINDS = {
    "1": Kind("L", False), "L": Kind("L"), "LA": Kind("LA"), "La": Kind("LA", False),
    "P": Kind("RGB"), "PA": Kind("RGBA", False), "RGB": Kind("RGB"), "RGBA": Kind("RGBA"),
    "RGBa": Kind("RGBA", False),
    "RGBX": Kind("RGB", False), "CMYK": Kind("RGB", False), "YCbCr": Kind("RGB", False),
    "LAB": Kind("RGB", False),
    "HSV": Kind("RGB", False),
    "I;16": Kind("I"), "I;16L": Kind("I"), "I;16B": Kind("I"), "I;16N": Kind("I"), "I": Kind("I"),
    "F": Kind("F"),
}  # fmt: skip


def read(path: str | Path) -> Picture:
    """Read a picture of any mode, turned as its EXIF says.

    Raises:
        ValueError: if the file is missing, empty, truncated, no picture, larger than
            ``MAX_PIXELS``, or holds numbers that are no picture.

    Warns:
        UserWarning: of several pictures in one file, and of data of 8, 10 or 12 bits in 16.
    """
    with open_image(path) as image:
        return from_pil(upright(image))


def load(path: str | Path) -> Tensor:
    """Read a picture as (1, 3, h, w) in [-1, 1]; grey is copied to three channels, transparency
    dropped.
    """
    return read(path).without_hidden().x.expand(-1, 3, -1, -1).clone()


def read_numbers(path: str | Path) -> np.ndarray:
    """Read the grey values of a picture as the file has them, in float64 (h, w), for what is not
    looked at but summed.

    Colours are averaged as `PIL.Image.convert` does; what is transparent is 0; whatever is white is
    largest.

    Raises:
        ValueError: as `images.open_image`.
    """
    from PIL import Image

    with open_image(path) as image:
        if image.mode in KINDS and KINDS[image.mode].becomes in "IF":
            values = np.asarray(image).astype(np.float64)
            most = 1 if image.mode == "F" else 2 ** int(image.info.get(DEPTH, 16)) - 1
            return most - values if image.info.get(WHITE_IS_ZERO) else values
        if image.has_transparency_data:
            image = Image.alpha_composite(
                Image.new("RGBA", image.size, "black"), image.convert("RGBA")
            )
        return np.asarray(image.convert("L")).astype(np.float64)


def from_pil(image: "Image.Image") -> Picture:
    """Convert one of Pillow's images, of any mode in ``KINDS``.

    Raises:
        ValueError: if it holds numbers that are no picture in [0, 1].

    Warns:
        UserWarning: of data of 8, 10 or 12 bits in 16.
    """
    name = image.info.get(FILE) or getattr(image, "filename", "") or "The picture"
    if image.mode not in KINDS:
        raise ValueError(
            f"{name} has the mode {image.mode}, which is not read. Grey or RGB is expected: "
            "image.convert('RGB')."
        )
    kind = KINDS[image.mode]
    icc = image.info.get("icc_profile") if kind.profile else None
    notes = image.info[NOTES] if NOTES in image.info else notes_of(image)
    if kind.becomes in "IF":
        values, white = _deep(np.asarray(image), str(name), image.mode == "F", image.info)
        grey = values / (white or 1)
        white_is_zero = bool(image.info.get(WHITE_IS_ZERO))
        x = _tensor((1 - grey if white_is_zero else grey)[..., None])
        alpha = None
        nothing = image.info.get("transparency")
        if isinstance(nothing, int):  # the number that stands for nothing
            alpha = torch.from_numpy((values != nothing).astype(np.float32))
        return Picture(x, alpha, 16, icc, white=white or 65535, **notes)
    if LOWER in image.info:
        numbers = joined(image, image.info[LOWER])
        return replace(of_numbers(numbers, str(name), image.info), icc=icc, **notes)
    becomes = kind.becomes
    if "transparency" in image.info and not becomes.endswith("A"):
        becomes += "A"
    pixels = np.asarray(image.convert(becomes))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    alpha = None
    if becomes.endswith("A"):
        alpha = torch.from_numpy(pixels[..., -1].astype(np.float32) / 255)
        pixels = pixels[..., :-1]
    # What is all but black means something else, unless it is a black shape on nothing.
    shape_on_nothing = alpha is not None and float(alpha.min()) < 1
    most = int(pixels.max(initial=0))
    if most == 1 and not shape_on_nothing:
        raise ValueError(
            f"{name} holds 0 and 1 of 255, which both look black. White is expected to be 255: "
            "write it with 255 * mask."
        )
    return Picture(_tensor(pixels, 255), alpha, 8, icc, **notes)


def of_numbers(
    numbers: np.ndarray, name: str, info: Mapping[str | tuple[int, int], Any]
) -> Picture:
    """Convert colours of 16 bits to a picture.

    Args:
        numbers: (h, w, 3) or, with transparency, (h, w, 4).
        name: of the picture, for messages.
        info: what the file says; under "transparency" the colour that stands for nothing.

    Warns:
        UserWarning: of data of 8, 10 or 12 bits in 16.
    """
    values, white = _deep(numbers, name, False, info)
    alpha, nothing = None, info.get("transparency")
    if values.shape[2] == 4:
        alpha = torch.from_numpy((values[..., 3] / white).astype(np.float32))
    elif isinstance(nothing, tuple):
        alpha = torch.from_numpy((values != nothing).any(-1).astype(np.float32))
    return Picture(_tensor(values[..., :3], white), alpha, 16, white=white)


def _deep(
    numbers: np.ndarray, name: str, floating: bool, info: Mapping[str | tuple[int, int], Any]
) -> tuple[np.ndarray, int]:
    """Return the numbers of a picture of more than 8 bits, and the one that is white; 0 for 1.0 in
    floats.

    Args:
        numbers: (h, w) or (h, w, c).
        name: of the picture, for messages.
        floating: whether they are floating-point numbers.
        info: what the file says.
    """
    values = numbers.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        raise ValueError(
            f"{name} holds {np.count_nonzero(~finite)} values that are no numbers (NaN or "
            "infinite). Numbers everywhere are expected: mark such places as holes in a mask and "
            "write a number there."
        )
    low, high = values.min(), values.max()
    if floating:
        if not (low >= 0 and high <= 1):
            most = next((most for most in (255, 1023, 4095, 65535) if high <= most), high)
            how = f"divide them by {most:g}" if low >= 0 else "shift and scale them"
            raise ValueError(
                f"{name} holds values from {low:g} to {high:g}. Floating-point pictures with "
                f"values from 0 to 1 are expected: {how}."
            )
        return values, 0
    if high > 65535 or low < 0:
        raise ValueError(
            f"{name} holds values from {low:g} to {high:g}. Whole numbers from 0 to 65535 are "
            "expected: shift or scale them."
        )
    depth, high = int(info.get(DEPTH, 16)), int(high)
    if depth < 16 and high < 2**depth:
        return values, 2**depth - 1
    if high == 1:
        raise ValueError(
            f"{name} holds 0 and 1 of 65535, which both look black. White is expected to be 65535: "
            "write it with 255 * mask, in 8 bits."
        )
    # Data of 8, 10 or 12 bits in 16, as microscopes and scanners write them, are told by their
    # largest number: as pictures of 16 bits they would be all but black.
    bits = next((b for b in (8, 10, 12) if high < 2**b), 16)
    if high == 0 or bits == 16:
        return values, 65535
    warnings.warn(
        f"{name} holds values up to {high} of 65535, as data of {bits} bits does. {2**bits - 1} "
        "is taken for white, in what is written too. If it is a dark picture of 16 bits, stretch "
        f"it: multiply by {2 ** (16 - bits)}.",
        stacklevel=4,
    )
    return values, 2**bits - 1


def _tensor(pixels: np.ndarray, most: float = 1) -> Tensor:
    """Convert (h, w, c) from 0 to ``most`` to (1, c, h, w) in [-1, 1], float32, in one copy."""
    x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))[None]
    return from_unit(x.div_(most) if most != 1 else x)
