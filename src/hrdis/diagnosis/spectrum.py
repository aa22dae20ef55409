"""The spectrum of the noise and how its level depends on brightness, on the smoothest patches.

After Ponomarenko et al. (2007) and Colom and Buades (IPOL 2013): of all patches of a range of
brightness those with the least energy at low frequencies hold noise and little else.
"""

import math
from dataclasses import dataclass

import numpy as np

from .base import cosines

SIDE = 7  # of a patch, in pixels
SHARE, LEAST = 0.02, 150  # of the patches of a range that are taken, and at least so many
RANGES = 4  # of brightness
MOST = 60_000  # patches of a channel
#: Largest over smallest level across brightness, beyond which the noise depends on it.
DEPENDENT = 1.4
#: Sum of the two frequencies of every coefficient: low ones choose patches, the others measure.
ORDER = np.add.outer(np.arange(SIDE), np.arange(SIDE))


@dataclass(frozen=True)
class Spectrum:
    """The noise by frequency and brightness, in grey levels.

    Args:
        total: its standard deviation over all frequencies.
        ratio: its level at middle frequencies over that at high ones; 1 for white noise.
        unevenness: standard deviation over mean of the energy of single patches: 0.3 for white
            noise, 0.5 for a camera's, above for texture, which is not the same everywhere.
        shared: correlation of the channels at middle frequencies on the quietest patches: below 0.3
            for a camera's noise, above 0.5 for what a picture shows; None for grey pictures.
        curve: (brightness, level) pairs, where the level depends on brightness; else ().
    """

    total: float
    ratio: float
    unevenness: float
    shared: float | None
    curve: tuple[tuple[float, float], ...]


def noise_spectrum(tiles: list[np.ndarray]) -> Spectrum | None:
    """Return the spectrum of the noise in tiles (c, h, w) of grey levels, or None if unknown.

    Frequencies below the third are taken to be as noisy as the third, because the patches were
    chosen for being quiet there.
    """
    table = cosines(SIDE)
    powers, weights, curve, ratios, uneven = [], [], [], [], []
    for c in range(len(tiles[0])):
        rows = []
        for tile in tiles:
            view = np.lib.stride_tricks.sliding_window_view(tile[c], (SIDE, SIDE))
            rows.append(view.reshape(-1, SIDE, SIDE))
        step = sum(len(part) for part in rows) // MOST + 1
        patches = np.concatenate([part[::step] for part in rows])
        # what holds a black or white pixel may be clipped, and clipped noise is weaker
        patches = patches[(patches.min((1, 2)) > 0) & (patches.max((1, 2)) < 255)]
        if len(patches) < 4 * LEAST:
            continue
        squares = np.square(table @ patches @ table.T)
        low = (squares * ((ORDER > 0) & (ORDER < 3))).sum((1, 2))
        means = patches.mean((1, 2))
        edges = np.quantile(means, np.linspace(0, 1, RANGES + 1))
        for k in range(RANGES):
            there = np.flatnonzero((means >= edges[k]) & (means <= edges[k + 1]))
            count = max(LEAST, int(SHARE * len(there)))
            quiet = there[np.argsort(low[there])[:count]]
            power = squares[quiet].mean(0)
            powers.append(np.where(ORDER < 3, power[ORDER == 3].mean(), power))
            weights.append(len(there))
            high = max(float(power[ORDER >= 9].mean()), 1e-3)
            middle = float(power[(ORDER == 3) | (ORDER == 4)].mean())
            ratios.append(math.sqrt(middle / high))
            energies = (squares[quiet] * ((ORDER >= 3) & (ORDER < 7))).sum((1, 2))
            uneven.append(float(energies.std() / max(float(energies.mean()), 1e-9)))
            curve.append((float(means[quiet].mean()), float(power[ORDER >= 6].mean()) ** 0.5))
    if not powers:
        return None
    mean = np.average(powers, axis=0, weights=weights)
    return Spectrum(
        math.sqrt(float(mean.mean())),
        float(np.median(ratios)),
        float(np.median(uneven)),
        _shared(tiles),
        _dependence(curve),
    )


def _shared(tiles: list[np.ndarray]) -> float | None:
    """Return the mean correlation of neighbouring channels at middle frequencies.

    On the patches that are quietest in all channels together. Each photosite has noise of its own,
    while light and shade fall on all colours.
    """
    if len(tiles[0]) == 1:
        return None
    parts = []
    for tile in tiles:
        view = np.lib.stride_tricks.sliding_window_view(tile, (SIDE, SIDE), (1, 2))[:, ::2, ::2]
        parts.append(view.reshape(len(tile), -1, SIDE, SIDE))
    step = sum(part.shape[1] for part in parts) // MOST + 1
    patches = np.concatenate(parts, 1)[:, ::step]
    inside = (patches.min((0, 2, 3)) > 0) & (patches.max((0, 2, 3)) < 255)
    patches = patches[:, inside]
    if patches.shape[1] < LEAST:
        return None
    table = cosines(SIDE)
    coefficients = table @ patches @ table.T
    low = (np.square(coefficients) * ((ORDER > 0) & (ORDER < 3))).sum((0, 2, 3))
    count = max(LEAST, int(SHARE * len(low)))
    middle = coefficients[:, np.argsort(low)[:count]][:, :, (ORDER >= 3) & (ORDER <= 5)]
    rows = middle.reshape(len(middle), -1)
    if float(rows.std(1).min()) < 1e-9:  # a channel that is empty
        return None
    between = np.corrcoef(rows)
    return float(between[0, 1] + between[1, 2]) / 2


def _dependence(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the level in the dark, the middle and the light if it rises or falls throughout."""
    points = sorted(points)
    thirds = np.array_split(np.array(points), 3)
    curve = []
    for third in thirds:
        if len(third) == 0:
            return ()
        curve.append((float(third[:, 0].mean()), float(third[:, 1].mean())))
    dark, middle, light = (level for _, level in curve)
    monotone = dark <= middle <= light or dark >= middle >= light
    wide = curve[-1][0] - curve[0][0] > 30
    strong = max(dark, light) > DEPENDENT * max(min(dark, light), 0.5)
    return tuple(curve) if monotone and wide and strong else ()
