"""Masks from files: painted ones, and Palette's packed file; `masks` has them, too, and says what a mask is."""

import warnings
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..files import open_picture, upright

GREY = 0.2  # a larger share of greys is no painted mask: soft edges of strokes stay below
SOFT = 0.05  # how white a pixel at the soft edge of a stroke must be to belong to the hole


def from_file(path: str | Path, hole: Literal["white", "black", "alpha"] = "white") -> Tensor:
    """Read a painted mask from a picture (any mode) or a ``.npy`` array of 0 and 1.

    Args:
        path: the file. What is transparent in a picture was not painted. A pixel next to a hole belongs to it if it is
            more than 5 % white: soft edges of brushes, and of masks made smaller, mix the damage into the picture, and
            would stay as a halo. All others are split at mid-grey. An array must hold 0 and 1 only.
        hole: what marks the hole: ``"white"`` (1 in an array), ``"black"`` (0), or ``"alpha"`` (transparent pixels).

    Raises:
        ValueError: if the file is no such mask, or marks nothing, or everything.

    Warns:
        UserWarning: of a picture that is grey in many places, as a photograph is.
    """
    path = Path(path)
    light = _array(path, hole) if path.suffix == ".npy" else _picture(path, hole)
    white = light if hole == "white" else 1 - light
    marked = with_soft_edges(white)
    if path.suffix != ".npy" and 0 < light.max() * 255 < 1.5 and hole == "white":
        raise ValueError(
            f"{path} holds 0 and 1 of 255, which both look black. Holes are expected to be white: write it with "
            "255 * mask."
        )
    if marked.all() or not marked.any():
        said = {"white": "white", "black": "black", "alpha": "transparent"}[hole]
        others = " or ".join(f"hole={other!r}" for other in ("white", "black", "alpha") if other != hole)
        raise ValueError(
            f"{path} marks {'every pixel' if marked.any() else 'no pixel'} as a hole: from {light.min():.0%} to "
            f"{light.max():.0%} of white, split at 50%. Holes are expected to be {said} and the rest not; "
            f"if something else marks them: {others}."
        )
    return torch.from_numpy(1 - marked.astype(np.float32))


def with_soft_edges(white: np.ndarray) -> np.ndarray:
    """Return which pixels are holes: those above mid-grey, and around them all that are more than 5 % white.

    Where greys are many they are the ground or a photograph, no soft edges: then pixels are split at mid-grey alone.

    Args:
        white: (h, w) in [0, 1].
    """
    marked, soft = white > 0.5, white > SOFT
    if float((soft & ~marked).mean()) > GREY:
        return marked
    while True:  # a stroke's soft edge is a few pixels wide
        grown = marked.copy()
        grown[1:] |= marked[:-1]
        grown[:-1] |= marked[1:]
        grown[:, 1:] |= marked[:, :-1]
        grown[:, :-1] |= marked[:, 1:]
        grown &= soft
        if (grown == marked).all():
            return marked
        marked = grown


def _array(path: Path, hole: str) -> np.ndarray:
    if hole == "alpha":
        raise _opaque(path)
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError):
        raise ValueError(f"{path} cannot be read as an array. A (h, w) array of 0 and 1 is expected.") from None
    if values.ndim != 2 or not np.isin(values, (0, 1)).all():
        numbers = values.dtype.kind in "iuf" and values.size > 0
        span = f" and values from {values.min():g} to {values.max():g}" if numbers else ""
        raise ValueError(f"{path} holds an array of shape {values.shape}{span}. A (h, w) array of 0 and 1 is expected.")
    return values.astype(np.float32)


def _picture(path: Path, hole: str) -> np.ndarray:
    """How white its pixels are, 0 to 1; of transparency, how opaque."""
    from PIL import Image

    with open_picture(path) as file:
        image: Image.Image = upright(file)
        transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
        if hole == "alpha":
            if not transparent:
                raise _opaque(path)
            return np.asarray(image.convert("RGBA").getchannel("A")) / np.float32(255)
        if image.mode.startswith("I"):  # 16 bits, which convert("L") would clip
            return np.asarray(image) / np.float32(65535)
        if transparent:
            ground = Image.new("RGBA", image.size, "black" if hole == "white" else "white")
            image = Image.alpha_composite(ground, image.convert("RGBA"))
        light = np.asarray(image.convert("L")) / np.float32(255)
    grey = float(((light > 0.25) & (light < 0.75)).mean())
    if grey > GREY:
        warnings.warn(
            f"{path} is grey in {grey:.0%} of its pixels, as a photograph is. A mask is expected: "
            f"{hole} where a hole is to be filled, {'black' if hole == 'white' else 'white'} elsewhere.",
            stacklevel=3,
        )
    return light


def _opaque(path: Path) -> ValueError:
    return ValueError(
        f"{path} has no transparency. A picture with an alpha channel is expected with hole='alpha'; "
        "use hole='white' or hole='black' for a painted mask."
    )


def palette(
    path: str | Path, band: tuple[float, float] = (0.1, 0.2), index: int = 0, offset: int = 0, size: int = 256
) -> Tensor:
    """Read one of Palette's free-form masks from its packed file, ``imagenet_freeform_masks.npz``.

    The file has a row of bits per band, "10-20% freeform" and so on, 1 = hole, mask after mask. Image k takes mask
    (offset + k) modulo their number.

    Args:
        path: the ``.npz`` file, which is not part of this package.
        band: lowest and highest hole fraction.
        index: the image's position in its list.
        offset: 0, or 3 for the masks that the official HRDIS code takes.
        size: side of the masks in pixels.

    Raises:
        ValueError: if the file cannot be read or lacks the band, holds no whole mask, or the mask's hole fraction
            lies outside the band.

    Cost:
        the band is unpacked from disk at every call (82 MB in Palette's file).
    """
    path, key = Path(path), f"{100 * band[0]:.0f}-{100 * band[1]:.0f}% freeform"
    try:
        with np.load(path, allow_pickle=False) as file:
            keys = sorted(file.files)
            packed = file[key] if key in keys else None
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile):
        raise ValueError(f"{path} cannot be read. Palette's imagenet_freeform_masks.npz is expected.") from None
    if packed is None:
        raise ValueError(
            f"{path} has no {key!r}. It holds {', '.join(map(repr, keys)) or 'nothing'}. Choose one: band=."
        )
    length = size * size // 8
    if packed.ndim != 1 or packed.dtype != np.uint8 or len(packed) < length or len(packed) % length:
        raise ValueError(
            f"{key!r} in {path} is {packed.dtype} of shape {packed.shape}. A row of bytes is expected, {length} for "
            f"each mask of {size} x {size} pixels. Copy the file again."
        )
    k = (offset + index) % (len(packed) // length)
    hole = np.unpackbits(packed[k * length : (k + 1) * length]).reshape(size, size)
    if not band[0] <= hole.mean() <= band[1]:
        raise ValueError(
            f"Mask {k} of {key!r} in {path} hides {hole.mean():.1%} of the picture, outside its band. "
            "Bits that are 1 in holes are expected."
        )
    return torch.from_numpy(1 - hole.astype(np.float32))
