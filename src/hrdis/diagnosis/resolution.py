"""The true resolution of a picture that was enlarged before.

A picture enlarged with a kernel lies in the span of that kernel's shifts. The least-squares fit of
a smaller picture to it leaves only rounding. A fit with a grid a little coarser or finer leaves
several times as much. A blurred picture has no such grid.
"""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .base import Finding, grey_levels, luma

LEAST, MOST = 1.2, 4.2  # factors that are looked for
REACH = 112  # pixels along a side that are fitted
BORDER = 12  # pixels left out at the start, where kernels are cut
LINES = 48  # rows or columns that are fitted at once
#: Residual over the median of the neighbours', below which a grid is found. Enlarged training crops
#: give up to 0.46, those blurred by 1.8 and 2.5 pixels 0.54 and more.
DIP = 0.5


@dataclass(frozen=True)
class Resolution(Finding):
    """Former enlargement; value, low and high are its factor, 1 for none.

    Args:
        native: (height, width) before the enlargement.
        support: of the kernel in pixels before it: 1 bilinear, 2 bicubic, 3 Lanczos.
    """

    native: tuple[int, int] = (0, 0)
    support: int = 2


def estimate_resolution(x: Tensor) -> Resolution:
    """Return the factor by which a picture was enlarged, from 1.2 to 4, and its former size.

    Bilinear, bicubic (a = -1/2) and Lanczos kernels are recognised. Noise or strong JPEG
    compression after the enlargement hide it.

    Args:
        x: (1, c, h, w) in [-1, 1].

    Cost:
        some hundred least-squares fits of 112 x 90: under 2 s.
    """
    plane = luma(grey_levels(x))
    h, w = plane.shape
    if min(h, w) < REACH + BORDER:
        return Resolution(
            "unsure", 1, 1, 4, "The picture is too small to tell its history.", (h, w)
        )
    across, fit, support = _factor(plane)
    if across == 1 or fit >= DIP:
        return Resolution("no", 1, 1, 1, "No trace of an enlargement.", (h, w))
    down, other, _ = _factor(plane.T)
    if other >= DIP + 0.15 or abs(down / across - 1) > 0.06:
        why = f"Columns look enlarged {across:.2f} times, rows do not."
        return Resolution("unsure", across, 1, across, why, (h, w))
    native = round(h / down), round(w / across)
    why = f"Enlarged {across:.2f} times before; the true size is about {native[1]} x {native[0]}."
    return Resolution("yes", across, 0.98 * across, 1.02 * across, why, native, support)


def kernel_weights(distance: np.ndarray, support: int) -> np.ndarray:
    """Return a kernel's weights at distances in pixels of the smaller picture, without a sum of 1.

    Args:
        support: 1 for the bilinear kernel, 2 for the bicubic one (a = -1/2), 3 for Lanczos's.
    """
    distance = np.abs(distance)
    if support == 1:
        return np.maximum(1 - distance, 0)
    if support == 2:
        inner = (1.5 * distance - 2.5) * distance**2 + 1
        outer = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        return np.where(distance < 1, inner, np.where(distance < 2, outer, 0))
    lanczos = np.sinc(distance) * np.sinc(distance / 3)
    return np.where(distance < 3, lanczos, 0)


def _factor(plane: np.ndarray) -> tuple[float, float, int]:
    """Return the likeliest factor along rows, its residual over its neighbours', the support."""
    n = plane.shape[1]
    change = np.abs(np.diff(plane[:, BORDER : BORDER + REACH], n=2)).mean(1)
    order = np.argsort(change)[::-1]
    # the liveliest tenth may be text or noise: take lines from the lively half, evenly
    lines = np.sort(order[: max(LINES, len(order) // 2)])
    lines = lines[np.linspace(0, len(lines) - 1, min(LINES, len(lines))).astype(int)]
    values = plane[lines, BORDER : BORDER + REACH].T
    sizes = np.arange(math.ceil(n / MOST), math.floor(n / LEAST) + 1)
    if len(sizes) > 500:
        sizes = sizes[:: len(sizes) // 500 + 1]
    best, least, kernel = 1.0, 1.0, 2
    for support in (1, 2, 3):
        residuals = np.array([_residual(values, n / size, support) for size in sizes])
        logs = np.log(residuals + 0.02)
        for k in range(len(sizes)):
            near = np.abs(np.log(sizes / sizes[k]))
            around = (near > 0.012) & (near < 0.08)
            if around.sum() < 3:
                continue
            dip = math.exp(logs[k] - float(np.median(logs[around])))
            if dip < least:
                best, least, kernel = n / float(sizes[k]), dip, support
    return best, least, kernel


def _residual(values: np.ndarray, factor: float, support: int) -> float:
    """Return the root mean square of what a fit of a picture smaller by ``factor`` leaves.

    Args:
        values: (pixels, lines), from pixel BORDER on.
        support: 1 for the bilinear kernel, 2 for the bicubic one, 3 for Lanczos's.
    """
    centres = (np.arange(len(values)) + BORDER + 0.5) / factor - 0.5
    first, last = math.floor(centres[0]) - support, math.ceil(centres[-1]) + support
    weights = kernel_weights(centres[:, None] - np.arange(first, last + 1)[None], support)
    weights = weights[:, np.abs(weights).sum(0) > 1e-9]
    weights = weights / weights.sum(1, keepdims=True)
    basis, _ = np.linalg.qr(weights)
    left = values - basis @ (basis.T @ values)
    freedom = max(len(values) - weights.shape[1], 1)
    return math.sqrt(float(np.square(left).sum()) / (freedom * values.shape[1]))
