"""Masks and blur kernels in files: painted pictures, arrays, and Palette's packed masks.

A mask is (h, w) float, 1 = observed and 0 = hole.
"""

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .base import to_unit
from .opening import MAX_PIXELS
from .reading import read, read_numbers

GREY = 0.2  # a larger share of greys is no painted mask: soft edges of strokes stay below
FAINT = 0.25  # the grey of thin lines made smaller, which may be meant as holes
GROUND = 0.1  # the least share of black ground around strokes whose edges are wide
OFF_CENTRE = 1.0  # pixels by which a kernel may move the picture without a warning
SOFT = 0.05  # how white a pixel at the soft edge of a stroke must be to belong to the hole

#: Pixels and those above, below, left and right of them.
NEIGHBOURS: list[tuple[Any, Any]] = [
    (np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:]), (np.s_[:, 1:], np.s_[:, :-1]),
    (np.s_[:, :-1], np.s_[:, 1:]),
]  # fmt: skip


def read_mask(path: str | Path, hole: Literal["white", "black", "alpha"] = "white") -> Tensor:
    """Read a painted mask from a picture (any mode) or a ``.npy`` array of 0 and 1.

    Args:
        path: the file. What is transparent in a picture was not painted. A pixel next to a hole
            belongs to it if it is more than 5 % white. Soft edges of brushes, and of masks made
            smaller, mix the damage into the picture, and would stay as a halo. All others are split
            at mid-grey. An array must hold 0 and 1 only.
        hole: what marks the hole: ``"white"`` (1 in an array), ``"black"`` (0), or ``"alpha"``
            (transparent pixels).

    Raises:
        ValueError: if the file is no such mask, or marks nothing, or everything.

    Warns:
        UserWarning: of a picture that is grey in many places, as a photograph is, or has thin grey
            lines that touch no hole.
    """
    path = Path(path)
    if path.suffix != ".npy":
        light = _picture(path, hole)
    elif hole == "alpha":
        raise _no_transparency(path)
    else:
        expected = "A (h, w) array of 0 and 1 is expected"
        values = _load_array(path, expected)
        numbers = values.dtype.kind in "biuf"
        if values.ndim != 2 or not numbers or not np.isin(values, (0, 1)).all():
            span = ""
            if values.dtype.kind in "iuf" and values.size > 0:
                span = f" and values from {values.min():g} to {values.max():g}"
            raise ValueError(
                f"{path} holds an array of shape {values.shape}{span}. {expected}: write 1 where "
                "it is not 0."
            )
        light = values.astype(np.float32)
    white = light if hole == "white" else 1 - light
    marked = with_soft_edges(white)
    said = {"white": "white", "black": "black", "alpha": "transparent"}[hole]
    if marked.all() or not marked.any():
        others = " or ".join(
            f"hole={other!r}" for other in ("white", "black", "alpha") if other != hole
        )
        advice = f"if something else marks them: {others}."
        if hole != "alpha" and light.min() < light.max() <= 0.5:
            advice = "its brightest pixels are no white: multiply its values until they are 255."
        raise ValueError(
            f"{path} marks {'every pixel' if marked.any() else 'no pixel'} as a hole: from "
            f"{light.min():.0%} to {light.max():.0%} of white, split at 50%. Holes are expected to "
            f"be {said} and the rest not; {advice}"
        )
    faint = int(((white > FAINT) & ~marked).sum())
    if faint > 0.01 * marked.sum() and float((white <= SOFT).mean()) > 0.5:
        warnings.warn(
            f"{faint} pixels of {path} are between {FAINT:.0%} and 50% {said} and touch no hole: "
            "they are kept as they are. Paint them fully if they are damaged.",
            stacklevel=2,
        )
    return torch.from_numpy(1 - marked.astype(np.float32))


def with_soft_edges(white: np.ndarray) -> np.ndarray:
    """Return which pixels are holes.

    Those above mid-grey are, and around them all that are more than 5 % white.

    Where greys are many but there is a black ground, wide soft edges are followed only as long as
    they fade. Where there is none they are the ground or a photograph, and no soft edges. Then
    pixels are split at mid-grey alone.

    Args:
        white: (h, w) in [0, 1].
    """
    marked, soft = white > 0.5, white > SOFT
    many = float((soft & ~marked).mean()) > GREY
    if many and float((~soft).mean()) < GROUND:
        return marked
    while True:
        grown = marked.copy()
        for to, of in NEIGHBOURS:
            grown[to] |= marked[of] & (white[to] < white[of]) if many else marked[of]
        grown &= soft | marked
        if (grown == marked).all():
            return marked
        marked = grown


def _load_array(path: Path, expected: str) -> np.ndarray:
    """Read a .npy file without running code, and without memory for more than it holds.

    Args:
        path: the file.
        expected: the sentence, without its full stop, that names what should be there.

    Raises:
        ValueError: for a file that is missing, truncated, a ZIP of arrays, of Python objects, or
            larger than pictures may be.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist. {expected}.")
    try:
        # Mapped, not read: a header that promises more than the file holds is refused by its
        # length, and takes no memory. A ZIP of arrays opens too, but has no shape.
        values = np.load(path, allow_pickle=False, mmap_mode="r")
        shape, size = values.shape, values.size
    except Exception:
        raise ValueError(f"{path} cannot be read as an array. {expected}.") from None
    if size > MAX_PIXELS:
        raise ValueError(
            f"{path} holds an array of shape {shape}. At most {MAX_PIXELS // 1_000_000} million "
            f"numbers are read. {expected}."
        )
    return np.array(values)


def _picture(path: Path, hole: str) -> np.ndarray:
    """Return the brightness (or opacity) of each pixel, 0 to 1."""
    picture = read(path)
    if hole == "alpha":
        if picture.alpha is None:
            raise _no_transparency(path)
        return picture.alpha.numpy()
    x = to_unit(picture.x)[0]
    grey = x[0] if len(x) == 1 else x[0] * 0.299 + x[1] * 0.587 + x[2] * 0.114
    if picture.alpha is not None:
        ground = 0.0 if hole == "white" else 1.0
        grey = grey * picture.alpha + ground * (1 - picture.alpha)
    light = grey.numpy()
    if hole == "white" and 0 < light.max() < 1.5 / 255:
        raise ValueError(
            f"{path} holds 0 and 1 of 255, which both look black. Holes are expected to be white."
        )
    middle = float(((light > 0.25) & (light < 0.75)).mean())
    if middle > GREY:
        warnings.warn(
            f"{path} is grey in {middle:.0%} of its pixels, as a photograph is. A mask is "
            f"expected: {hole} where a hole is to be filled, "
            f"{'black' if hole == 'white' else 'white'} elsewhere.",
            stacklevel=3,
        )
    return light


def _no_transparency(path: Path) -> ValueError:
    return ValueError(
        f"{path} has no transparency. A picture with an alpha channel is expected with "
        "hole='alpha'; use hole='white' or hole='black' for a painted mask."
    )


def read_palette_mask(
    path: str | Path,
    band: tuple[float, float] = (0.1, 0.2),
    index: int = 0,
    offset: int = 0,
    size: int = 256,
) -> Tensor:
    """Read one of Palette's free-form masks from its packed file, ``imagenet_freeform_masks.npz``.

    The file has a row of bits per band, "10-20% freeform" and so on, 1 = hole, mask after mask.
    Image k takes mask (offset + k) modulo their number.

    Args:
        path: the ``.npz`` file, which is not part of this package.
        band: lowest and highest hole fraction.
        index: the image's position in its list.
        offset: 0, or 3 for the masks that the official HRDIS code takes.
        size: side of the masks in pixels.

    Raises:
        ValueError: if the file cannot be read or lacks the band, holds no whole mask, or the mask's
            hole fraction lies outside the band.

    Cost:
        the band is unpacked from disk at every call (82 MB in Palette's file).
    """
    path, key = Path(path), f"{100 * band[0]:.0f}-{100 * band[1]:.0f}% freeform"
    try:
        with np.load(path, allow_pickle=False) as file:
            keys = sorted(file.files)
            packed = file[key] if key in keys else None
    except Exception:
        # ZIP files fail in many ways: not a ZIP, a bad checksum, a header of terabytes.
        raise ValueError(
            f"{path} cannot be read. Palette's imagenet_freeform_masks.npz is expected."
        ) from None
    if packed is None:
        raise ValueError(
            f"{path} has no {key!r}. It holds {', '.join(map(repr, keys)) or 'nothing'}. Choose "
            "one: band=."
        )
    length = size * size // 8
    if packed.ndim != 1 or packed.dtype != np.uint8 or len(packed) < length or len(packed) % length:
        raise ValueError(
            f"{key!r} in {path} is {packed.dtype} of shape {packed.shape}. A row of bytes is "
            f"expected, {length} for each mask of {size} x {size} pixels. Copy the file again."
        )
    k = (offset + index) % (len(packed) // length)
    hole = np.unpackbits(packed[k * length : (k + 1) * length]).reshape(size, size)
    if not band[0] <= hole.mean() <= band[1]:
        raise ValueError(
            f"Mask {k} of {key!r} in {path} hides {hole.mean():.1%} of the picture, outside its "
            "band. Bits that are 1 in holes are expected."
        )
    return torch.from_numpy(1 - hole.astype(np.float32))


def read_kernel(path: str | Path) -> Tensor:
    """Read a kernel from a ``.npy`` array or a picture (bright = heavy), divided by its sum.

    A kernel is a point spread function: the picture of a point of light.

    Args:
        path: the file: an array of shape (kh, kw), or a picture of that size, whose colours are
            averaged, and which is black where it is transparent.

    Raises:
        ValueError: if there is no such file, it cannot be read, has even sides, or a sum that is 0
            or not finite.

    Warns:
        UserWarning: of a kernel whose centre of mass is not at its centre, as such a blur moves the
            picture.
    """
    path = Path(path)
    if path.suffix == ".npy":
        values = _load_array(path, "A kernel as .npy array or picture is expected")
        if values.dtype.kind not in "biuf":
            raise ValueError(f"{path} holds {values.dtype}. A kernel of real numbers is expected.")
        values = values.astype(np.float64)
    else:
        values = read_numbers(path)
    if values.ndim != 2 or any(n % 2 == 0 for n in values.shape):
        sides = " x ".join(map(str, values.shape))
        raise ValueError(
            f"{path} holds a kernel of {sides}. Two odd sides are expected, so that it has a "
            "centre: add a row or column of zeros."
        )
    total = float(values.sum())
    if not np.isfinite(values).all() or abs(total) < 1e-12:
        raise ValueError(
            f"{path} holds a kernel whose sum is {total:g}. A finite sum other than 0 is expected."
        )
    kernel = torch.from_numpy(values / total)
    # of the centre of mass, in pixels from the kernel's centre
    below, beside = (torch.arange(n, dtype=kernel.dtype) - n // 2 for n in kernel.shape)
    down, right = float(kernel.sum(1) @ below), float(kernel.sum(0) @ beside)
    if max(abs(down), abs(right)) > OFF_CENTRE:
        warnings.warn(
            f"The centre of mass of {path} lies {abs(down):.1f} pixels "
            f"{'below' if down > 0 else 'above'} and {abs(right):.1f} pixels "
            f"{'right' if right > 0 else 'left'} of its centre. The blur is taken to have moved "
            "the picture by that, and the restored one is moved back. If it has not, centre the "
            "kernel.",
            stacklevel=2,
        )
    return kernel
