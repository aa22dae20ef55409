"""The blur of a picture, if its sharpest edges distinguish it from what is merely smooth.

A blurred picture is blurred at its sharpest edges too; one with a shallow depth of field is not.
The width of an edge comes from blurring it once more (Zhuo and Sim, Pattern Recognition 2011). For
a step blurred by a Gaussian of s pixels, blurring by s0 more makes the gradient weaker by R =
sqrt(1 + s0^2 / s^2). Where there is texture, edges are few, and the power spectrum tells the blur.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from torch import Tensor

from .base import Finding, grey_levels, luma
from .blur_spectrum import SpectralFit, fit_spectrum

AGAIN = 1.0  # pixels by which edges are blurred once more
CONTRAST = 6.0  # grey levels a pixel that an edge rises at least
EDGES = 120  # pixels on edges, below which a picture is merely smooth
SHARPEST = 0.15  # quantile of the widths
#: Contrast, number and width of the edges that count where there are hardly any clear ones. Of 18
#: such training crops one is so soft as it is; blurred by 2.5 pixels all that have edges are.
FAINT, FAINT_EDGES, FAINT_ACT = 2.0, 60, 2.2
#: The quantile over the width of the blur: a Gaussian of 1.6, 2 and 3 pixels on training
#: photographs gives 1.25, 1.57 and 2.42.
BIAS = 0.79
ACT = 1.3  # pixels; the sharpest edges of photographs as they are have up to 1.04
EXPLAINED = 0.8  # share of the spectrum's squares that a Gaussian may leave and still tell a width
LONG = 1.7  # times as wide along as across the motion


@dataclass(frozen=True)
class Blurring(Finding):
    """The blur of a whole picture; value, low and high are the Gaussian's width in pixels.

    Args:
        kind: "gaussian", or "motion" for a straight one.
        length, angle: of a motion, in pixels and in degrees from the right, counter-clockwise.
        source: "edges" or "spectrum".
        width: of the Gaussian that fits the spectrum best, in pixels; 0 where none explains a fifth
            of it. Where edges are few, theirs is up to 1.6 times the true width, and this one is
            0.8 to 1.2 times.
        frequencies: by which the spectrum was fitted.
    """

    kind: Literal["gaussian", "motion"] = "gaussian"
    length: float = 0.0
    angle: float = 0.0
    source: Literal["edges", "spectrum"] = "edges"
    width: float = 0.0
    frequencies: int = 0


def estimate_blur(x: Tensor, sigma: float = 0.0) -> Blurring:
    """Return the width of a picture's blur, or the length and angle of a motion.

    The edges decide the width where the spectrum alone is no proof.

    Args:
        x: (1, c, h, w) in [-1, 1].
        sigma: standard deviation of its noise in grey levels.

    Cost:
        about 20 filters of the picture: half a second a megapixel; half a second for the spectrum.
    """
    plane = luma(grey_levels(x))
    fit = fit_spectrum(plane, sigma)
    found = spectrum_or_edges(plane, sigma, fit)
    width = fit.width if fit.gaussian < EXPLAINED else 0.0
    return replace(found, width=width, frequencies=fit.used)


def spectrum_or_edges(plane: np.ndarray, sigma: float, fit: SpectralFit) -> Blurring:
    """Return the blur by the spectrum where that is proof enough, else by the edges."""
    if fit.is_motion:
        value = fit.length / math.sqrt(12)  # standard deviation along the motion
        why = f"Blurred by a motion of about {fit.length:.0f} pixels at {fit.angle:.0f} degrees."
        return Blurring(
            "yes", value, 0.9 * value, 1.1 * value, why, "motion", fit.length, fit.angle,
            source="spectrum",
        )  # fmt: skip
    if fit.is_gaussian:
        why = f"Blurred by a Gaussian of about {fit.width:.1f} pixels."
        low, high = 0.85 * fit.width, 1.15 * fit.width
        return Blurring("yes", fit.width, low, high, why, source="spectrum")
    if sigma > 3:
        why = f"Noise of {sigma:.1f} levels hides the width of the edges."
        return Blurring("unsure", 0, 0, 4, why)
    widths, angles = _edges(plane, max(CONTRAST, 5 * sigma))
    if len(widths) < EDGES:
        faint, _ = _edges(plane, max(FAINT, 5 * sigma))
        if len(faint) >= FAINT_EDGES:
            value = float(np.quantile(faint, SHARPEST)) / BIAS
            if value > FAINT_ACT:
                why = f"Blurred by a Gaussian of about {value:.1f} pixels, by its faint edges."
                return Blurring("yes", value, 0.8 * value, 1.25 * value, why)
        why = "Too few clear edges to tell a blur from what is merely smooth."
        return Blurring("unsure", 0, 0, 4, why)
    value = float(np.quantile(widths, SHARPEST)) / BIAS
    by_direction = []
    for k in range(8):
        there = np.abs((angles - 22.5 * k + 90) % 180 - 90) < 18
        if there.sum() < EDGES / 4:
            continue
        by_direction.append((float(np.quantile(widths[there], SHARPEST)), 22.5 * k))
    if len(by_direction) >= 4:
        narrow, wide = min(by_direction), max(by_direction)
        apart = abs((wide[1] - narrow[1] + 90) % 180 - 90)
        sharp = narrow[0] < ACT * BIAS  # else it is blurred in every direction
        if wide[0] > LONG * narrow[0] and wide[0] > 1.15 and apart > 44 and sharp:
            why = f"Edges at {wide[1]:.0f} degrees are {wide[0]:.1f} pixels wide, others sharp, "
            why += "but the spectrum shows no motion."
            return Blurring("unsure", wide[0], 0, 2 * wide[0], why, "motion", 0.0, wide[1])
    low, high = 0.85 * value, 1.2 * value
    if value < 1.1:
        return Blurring("no", value, low, high, "The sharpest edges are sharp.")
    if value < ACT:
        why = f"Edges are {value:.1f} pixels wide at the sharpest: soft, maybe as it was taken."
        return Blurring("unsure", value, low, high, why)
    return Blurring("yes", value, low, high, f"Blurred by a Gaussian of about {value:.1f} pixels.")


def _edges(plane: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the widths of the edges in pixels, and the directions of their gradients in degrees.

    Only ridges of the gradient count, whose neighbours along the gradient are weaker.
    """
    if min(plane.shape) <= 2 * 8:  # no pixel has 8 others on every side
        return np.zeros(0), np.zeros(0)
    soft = _gaussian(plane, 0.7)  # against single pixels of noise
    gy, gx = np.gradient(soft)
    strength = np.hypot(gx, gy)
    more = np.hypot(*np.gradient(_gaussian(soft, AGAIN)))
    angle = np.degrees(np.arctan2(-gy, gx)) % 180
    inner = strength[8:-8, 8:-8]
    ridge = inner >= least
    for k, (dy, dx) in enumerate(((0, 1), (-1, 1), (-1, 0), (-1, -1))):
        sector = np.abs((angle[8:-8, 8:-8] - 45 * k + 90) % 180 - 90) <= 22.5
        h, w = strength.shape
        ahead = strength[8 + dy : h - 8 + dy, 8 + dx : w - 8 + dx]
        behind = strength[8 - dy : h - 8 - dy, 8 - dx : w - 8 - dx]
        ridge &= ~sector | ((inner > ahead) & (inner >= behind))
    ratio = inner[ridge] / np.maximum(more[8:-8, 8:-8][ridge], 1e-6)
    width = AGAIN / np.sqrt(np.maximum(ratio**2 - 1, 1e-2))
    width = np.sqrt(np.maximum(width**2 - 0.49, 0.01))  # less the 0.7 of our own
    return width, angle[8:-8, 8:-8][ridge]


def _gaussian(plane: np.ndarray, std: float) -> np.ndarray:
    """Return a plane blurred by a Gaussian, its edge pixels repeated."""
    reach = math.ceil(4 * std)
    t = np.arange(-reach, reach + 1)
    taps = np.exp(-(t**2) / (2 * std**2))
    taps /= taps.sum()
    padded = np.pad(plane, reach, mode="edge")
    rows = np.zeros((padded.shape[0], plane.shape[1]))
    for k in range(len(taps)):
        rows += taps[k] * padded[:, k : k + plane.shape[1]]
    both = np.zeros(plane.shape)
    for k in range(len(taps)):
        both += taps[k] * rows[k : k + plane.shape[0]]
    return both
