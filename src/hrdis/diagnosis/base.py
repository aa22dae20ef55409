"""Parts that the estimators share: their answers, grey levels, tiles and patches."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.base import to_unit

#: Whether there is a fault. A restoration acts on "yes" alone.
Answer = Literal["yes", "no", "unsure"]


@dataclass(frozen=True)
class Finding:
    """The answer of one estimator.

    Args:
        found: whether the picture has this fault.
        value: how much of it, in the unit that the estimator names.
        low, high: an interval for the value, about 90 % wide on photographs.
        why: one sentence with the numbers behind the answer.
    """

    found: Answer
    value: float
    low: float
    high: float
    why: str


def grey_levels(x: Tensor) -> np.ndarray:
    """Return a picture (1, c, h, w) in [-1, 1] as float64 (c, h, w) from 0 to 255.

    Raises:
        TypeError: if x is not one picture of 1 or 3 channels.
    """
    if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[0] != 1 or x.shape[1] not in (1, 3):
        shape = tuple(getattr(x, "shape", ()))
        raise TypeError(
            f"x is a {type(x).__name__} of shape {shape}. One picture (1, c, h, w) with 1 or 3 "
            "channels in [-1, 1] is expected: hrdis.images.read(path).x"
        )
    levels: np.ndarray = to_unit(x[0].detach().to("cpu", torch.float64)).numpy() * 255
    return levels


def luma(levels: np.ndarray) -> np.ndarray:
    """Return the brightness (h, w) of (c, h, w) as JPEG weighs the colours (ITU-R BT.601)."""
    if len(levels) == 1:
        return levels[0]
    grey: np.ndarray = np.tensordot([0.299, 0.587, 0.114], levels, 1)
    return grey


def halved(levels: np.ndarray) -> np.ndarray:
    """Return means over 2 x 2 pixels of (..., h, w), an odd last row or column left out."""
    h, w = levels.shape[-2] // 2 * 2, levels.shape[-1] // 2 * 2
    even = levels[..., :h, :w]
    mean: np.ndarray = (
        even[..., ::2, ::2] + even[..., 1::2, ::2] + even[..., ::2, 1::2] + even[..., 1::2, 1::2]
    ) / 4
    return mean


def tiles(levels: np.ndarray, side: int = 256, most: int = 6) -> list[np.ndarray]:
    """Return at most ``most`` tiles of (..., h, w), the whole picture where that is no larger.

    Tiles of a fixed grid are taken so that their variances lie evenly between the least and the
    largest. So a picture of 12 megapixels costs what one of 1 megapixel does, and neither flat nor
    textured parts are missed.
    """
    h, w = levels.shape[-2:]
    if h * w <= most * side * side:
        return [levels]
    grid = []
    for top in range(0, h - side + 1, side):
        for left in range(0, w - side + 1, side):
            grid.append(levels[..., top : top + side, left : left + side])
    if not grid:  # a strip, narrower than a tile
        return [levels[..., :side, : most * side], levels[..., : most * side, :side]][w < side :][
            :1
        ]
    grid.sort(key=lambda tile: float(tile.var()))
    chosen = sorted({round(k * (len(grid) - 1) / (most - 1)) for k in range(most)})
    return [grid[k] for k in chosen]


def cosines(n: int = 8) -> np.ndarray:
    """Return the orthonormal cosine transform of n numbers, (n, n), frequencies down the rows."""
    k, i = np.arange(n)[:, None], np.arange(n)[None]
    table: np.ndarray = np.sqrt(2 / n) * np.cos(np.pi * (2 * i + 1) * k / (2 * n))
    table[0] /= np.sqrt(2)
    return table


def widened(there: np.ndarray, window: int) -> np.ndarray:
    """Return the pixels in whose window, of odd side, there is one."""
    ones = torch.from_numpy(there)[None, None].float()
    wide: np.ndarray = (F.max_pool2d(ones, window, 1, window // 2)[0, 0] > 0).numpy()
    return wide


def components(there: np.ndarray) -> tuple[np.ndarray, int]:
    """Return labels (h, w) of 8-connected parts, -1 outside them, and how many parts there are.

    By runs along rows that touch runs of the row before. All runs are at once given the least
    number among those that they touch, until none changes.
    """
    labels = np.full(there.shape, -1, dtype=np.int64)
    wide = there.shape[1] + 1  # a column more, so that no run goes on in the next row
    flat = np.zeros((there.shape[0], wide), dtype=np.int8)
    flat[:, :-1] = there
    edges = np.flatnonzero(np.diff(flat.ravel(), prepend=np.int8(0)))
    starts, ends = edges[::2], edges[1::2]
    # the runs of the row before that a run touches, corner to corner, too
    first = np.searchsorted(ends, starts - wide, "left")
    counts = np.searchsorted(starts, ends - wide, "right") - first
    lower = np.repeat(np.arange(len(starts)), counts)
    upper = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(len(lower))
    root = np.arange(len(starts))
    while not np.array_equal(root[lower], root[upper]):
        least = np.minimum(root[lower], root[upper])
        for run in (lower, upper):
            np.minimum.at(root, root[run], least)
        while not np.array_equal(root, root[root]):
            root = root[root]
    _, numbers = np.unique(root, return_inverse=True)
    labels[there] = np.repeat(numbers, ends - starts)
    return labels, int(numbers.max(initial=-1)) + 1
