"""Former JPEG compression: its quality, its tables and where its blocks begin.

From the tables of the file where it is a JPEG; from the pixels where it was saved again as
something else. Blocks are found as by Nikoukhah et al. (ZERO, IPOL 2021): it is the offset at which
most blocks have most coefficients that are zero. The quality is the one whose steps divide the
coefficients at that offset (Fan and de Queiroz, IEEE TIP 2003).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ..operators.rounding import LUMINANCE
from .base import Answer, Finding, cosines, grey_levels, luma

ACT = 90  # quality from which on the damage is left alone
#: Standard deviation of what rounding the decoded picture to 8 bits adds to a coefficient, with
#: room for what rounding colours adds.
SPREAD = 0.5
FAR = 5.0  # most that one coefficient may count against a quality
QUIET = 0.15  # share of the blocks on which noise is looked for
#: Sums of the two frequencies, and how many coefficients of a block have to be other than zero: of
#: 24 training crops with noise of 10 and 20 levels under quality 80 and 60, 23 have more than 4
#: and 0.23; of 23 without noise, at qualities 30 and 60, none more than 2.3 and 0.06.
BANDS = ((5, 7), (8, 10))
ALIVE = (3.0, 0.15)
#: Variance over mean of the number of coefficients that the quiet blocks keep. Noise is alike in
#: all of them: below 1.35 on 41 of 43 training crops; texture without noise gives 1.57 to 2.
UNEVEN = 1.5
CENTRE = 1024  # pixels a side that are looked at
LEAST = 10  # quality; where a blur left hardly any coefficient, one below fits them all


@dataclass(frozen=True)
class Compression(Finding):
    """Former JPEG compression; value, low and high are qualities from 1 to 100.

    Args:
        offset: rows and columns above and left of the first whole block, 0 to 7.
        steps: the 64 quantisation steps of the brightness by rows; () if unknown.
        source: "file" or "pixels".
        damage: standard deviation of what was lost, in grey levels.
    """

    offset: tuple[int, int] = (0, 0)
    steps: tuple[int, ...] = field(default=(), repr=False)
    source: str = "pixels"
    damage: float = 0.0


def estimate_compression(x: Tensor, tables: Sequence[int] | None = None) -> Compression:
    """Return the JPEG quality a picture was saved with, from its file's table or from its pixels.

    Args:
        x: (1, c, h, w) in [-1, 1].
        tables: the 64 steps of the brightness by rows, if the file is a JPEG.

    Cost:
        64 cosine transforms of at most 1 megapixel: 1 to 2 s.
    """
    plane = luma(grey_levels(x))
    if tables is not None:
        quality, distance = quality_of(tables)
        about = "" if distance == 0 else "about "
        damage = _damage(plane, (0, 0), np.array(tables).reshape(8, 8))
        found: Answer = "yes" if quality < ACT and damage > 1 else "no"
        why = f"The file is a JPEG of quality {about}{quality}; about {damage:.1f} levels are lost."
        if found == "no":
            why = f"The file is a JPEG of quality {about}{quality}, which loses little."
        return Compression(
            found, quality, quality, quality, why, (0, 0), tuple(tables), "file", damage
        )
    if min(plane.shape) < 64:
        return Compression("unsure", 100, 1, 100, "The picture is too small to show JPEG's blocks.")
    plane = _middle(plane)
    offset, sure = _grid(plane)
    if offset is None or not sure:
        return Compression("no", 100, 95, 100, "No trace of JPEG's blocks.")
    quality, margin = _quality(plane, offset)
    steps = annex_k(quality)
    damage = _damage(plane, offset, steps)
    found = "yes" if quality < ACT and damage > 1 else "no"
    if (margin < 10 or quality < LEAST) and found == "yes":
        found = "unsure"
    crop = "" if offset == (0, 0) else f", cropped by {offset[0]} rows and {offset[1]} columns"
    why = f"Saved as a JPEG of quality about {quality} before{crop}."
    if found == "unsure":
        why = f"Blocks as of a JPEG{crop}, but no table fits the coefficients."
    return Compression(
        found, quality, max(1, quality - 3), min(100, quality + 3), why, offset,
        tuple(int(step) for step in steps.ravel()), "pixels", damage,
    )  # fmt: skip


def noise_under_jpeg(x: Tensor, found: Compression) -> float:
    """Return the level in grey levels of the noise a picture had before it was compressed.

    On the blocks that are quietest at low frequencies, noise of level s leaves some coefficients of
    step T other than zero. Their share is 2 (1 - F(T / 2s)), with F the normal distribution.
    Texture leaves less the higher the frequency; noise reaches the highest that are looked at.

    Args:
        x: (1, c, h, w) in [-1, 1].
        found: its compression.

    Returns:
        the level of each channel, white before compression; 0 where none shows.
    """
    levels = grey_levels(x)
    steps = np.array(found.steps, dtype=np.float64).reshape(8, 8)
    coefficients = blocks_of(_middle(luma(levels)), found.offset)
    mean = coefficients[:, 0, 0] / 8 + 128
    coefficients = coefficients[(mean > 16) & (mean < 239)]  # others may be clipped
    if len(coefficients) < 40:
        return 0.0
    order = np.add.outer(np.arange(8), np.arange(8))
    low = (np.square(coefficients) * ((order > 0) & (order < 3))).sum((1, 2))
    quiet = coefficients[np.argsort(low)[: max(24, int(QUIET * len(low)))]]
    alive = np.abs(quiet) > steps / 2
    kept = alive[:, (order >= BANDS[0][0]) & (order <= BANDS[0][1])].sum(1)
    if kept.var() > UNEVEN * kept.mean():
        return 0.0
    found_levels = []
    for (first, last), least in zip(BANDS, ALIVE, strict=True):
        band = (order >= first) & (order <= last)
        share = float(alive[:, band].sum()) / len(quiet)
        if share < least:
            return 0.0
        below, above = 0.3, 80.0
        for _ in range(30):
            middle = math.sqrt(below * above)
            expected = sum(math.erfc(step / (middle * math.sqrt(8))) for step in steps[band])
            below, above = (middle, above) if expected < share else (below, middle)
        found_levels.append(below)
    # three channels of independent noise have less of it in their weighted mean
    weight = 1.0 if len(levels) == 1 else 0.668
    return min(found_levels) / weight


def annex_k(quality: int) -> np.ndarray:
    """Return libjpeg's steps of the brightness for a quality from 1 to 100, (8, 8)."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table: np.ndarray = np.clip((np.array(LUMINANCE).reshape(8, 8) * scale + 50) // 100, 1, 255)
    return table


def quality_of(steps: Sequence[int]) -> tuple[int, float]:
    """Return the quality whose table is nearest, and the root mean square distance from it."""
    given = np.array(steps, dtype=np.float64).reshape(8, 8)
    best, least = 1, math.inf
    for quality in range(1, 101):
        distance = float(np.sqrt(np.mean((annex_k(quality) - given) ** 2)))
        if distance < least:
            best, least = quality, distance
    return best, least


def blocks_of(plane: np.ndarray, offset: tuple[int, int]) -> np.ndarray:
    """Return the coefficients (n, 8, 8) of the whole blocks of a plane in levels less 128."""
    rows, columns = ((n - o) // 8 * 8 for n, o in zip(plane.shape, offset, strict=True))
    inside = plane[offset[0] : offset[0] + rows, offset[1] : offset[1] + columns] - 128
    blocks = inside.reshape(rows // 8, 8, columns // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    table = cosines()
    coefficients: np.ndarray = table @ blocks @ table.T
    return coefficients


def _middle(plane: np.ndarray) -> np.ndarray:
    """Return the middle of a plane, its first row and column multiples of 8 of the picture's."""
    h, w = plane.shape
    top, left = (max(0, (n - CENTRE) // 16 * 8) for n in (h, w))
    return plane[top : top + CENTRE, left : left + CENTRE]


def _grid(plane: np.ndarray) -> tuple[tuple[int, int] | None, bool]:
    """Return the offset of the blocks and whether chance cannot explain it.

    Every square of 8 x 8 pixels votes for the offset at which it has most zeros, if that is one
    alone. By chance each of the 64 offsets gets the same share. The number of false alarms is the
    number of offsets times the binomial tail, here Hoeffding's bound of it.
    """
    h, w = ((n - 7) // 8 for n in plane.shape)
    zeros = np.zeros((64, h * w))
    for k in range(64):
        dy, dx = divmod(k, 8)
        part = blocks_of(plane[: dy + 8 * h, : dx + 8 * w], (dy, dx))
        count = (np.abs(part) < 0.5).sum((1, 2))
        # blocks that are the same along a line have zeros at every offset
        flat = (np.abs(part[:, 1:, :]).max((1, 2)) < 0.5) | (
            np.abs(part[:, :, 1:]).max((1, 2)) < 0.5
        )
        zeros[k] = np.where(flat, -1, count)
    most = zeros.max(0)
    single = ((zeros == most).sum(0) == 1) & (most > 0) & (zeros.min(0) >= 0)
    votes = np.bincount(zeros.argmax(0)[single], minlength=64)
    total, best = int(single.sum()), int(votes.argmax())
    if total < 12:
        return None, False
    share = votes[best] / total
    bound = 0.0
    if share > 1 / 64:
        bound = total * (share * math.log(64 * share))
        if share < 1:
            bound += total * (1 - share) * math.log((1 - share) / (63 / 64))
    return divmod(best, 8), bound > math.log(64) + 7


def _quality(plane: np.ndarray, offset: tuple[int, int]) -> tuple[int, float]:
    """Return the likeliest quality, and by how much it is likelier than no compression.

    A coefficient c is a multiple of its step T, give or take rounding. Up to a constant its log
    density is ln T - e^2 / (2 SPREAD^2), with e the distance from the nearest multiple. The term ln
    T tells the step from its divisors, which fit as well.
    """
    coefficients = blocks_of(plane, offset)
    large = np.abs(coefficients) >= 2
    large[:, 0, 0] = False
    k, i, j = np.nonzero(large)
    values = coefficients[k, i, j]
    if len(values) < 100:
        return 100, 0.0
    best, most = 100, -math.inf
    none = 0.0
    for quality in range(100, 4, -1):
        steps = annex_k(quality)[i, j].astype(np.float64)
        e = values - steps * np.round(values / steps)
        likelihood = float((np.log(steps) - np.minimum(e**2 / (2 * SPREAD**2), FAR)).sum())
        if quality == 100:
            none = likelihood
        if likelihood > most:
            best, most = quality, likelihood
    return best, most - none


def _damage(plane: np.ndarray, offset: tuple[int, int], steps: np.ndarray) -> float:
    """Return the standard deviation of the loss in grey levels.

    Coefficients of a frequency follow Laplace's law of width b; the share a of them beyond half a
    step T is exp(-T / 2b), from which b comes. Those lose T^2 / 12 each, those below their energy.
    Where hardly any survives, b is not known. There the loss falls with the share of survivors.
    """
    coefficients = blocks_of(plane, offset)
    alive = (np.abs(coefficients) > steps / 2).mean(0)
    share = np.clip(alive, 0.5 / len(coefficients), 0.98)
    half = steps / 2.0
    b = half / np.log(1 / share)
    below = (2 * b**2 - share * (half**2 + 2 * b * half + 2 * b**2)) / (1 - share)
    loss = share * steps**2 / 12.0 + (1 - share) * np.maximum(below, 0)
    loss = np.where(
        alive > 0.02, loss, np.minimum(steps**2 / 48.0, np.square(coefficients).mean(0) + 2)
    )
    return math.sqrt(float(np.minimum(loss, steps**2 / 12.0).mean()))
