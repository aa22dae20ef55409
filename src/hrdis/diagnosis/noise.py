"""The level of the noise in a picture, whether it is white, and whether it grows with brightness.

The level comes from the principal components of small patches. Noise has the same variance along
all of them; what a picture shows lies along few. Of the patches only those are taken whose
gradients noise alone explains (Liu, Tanaka, Okutomi, IEEE TIP 2013). Of their eigenvalues those are
taken from the first on whose mean is no larger than their median (Chen, Zhu, Heng, ICCV 2015).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from .base import Answer, Finding, grey_levels, tiles
from .spectrum import noise_spectrum

SIDE = 7  # of a patch, in pixels: 49 components, for which 20 000 patches are enough
LEAST = 600  # patches; fewer give eigenvalues that spread by more than 10 %
#: Two thresholds for the gradients, in standard deviations of noise: the lower one cuts into the
#: noise (2 % low on photographs), the higher one lets texture in (2 % high). Their geometric mean
#: is taken, and their difference is part of the uncertainty.
STRICT, LENIENT = 2.0, 4.75
#: Grey levels below which noise is left alone: the own grain of photographs, up to 1.7 levels, with
#: a level of film grain and what fine texture adds. The gain that Stein's formula predicts does not
#: tell them apart: it is 1 to 5 dB for grain, too. `python studies/fix.py --act` tries levels on
#: training photographs: 16 of 16 stay as they are at any from 1.75 on.
ACT = 3.0
ROUNDING = 1 / 12  # variance of rounding to whole grey levels
#: Level at middle frequencies over that at high ones, above which noise is coarser than a pixel:
#: texture without noise gives up to 5, so that it counts where the patches are alike, too; noise
#: that went through a demosaicing gives 5.6 to 12.
CORRELATED, SURELY_CORRELATED = 2.5, 5.5
#: Unevenness of the patches above which they hold texture: noise of 5 levels gives 0.3 to 0.7,
#: photographs without noise 0.55 to 1.2.
TEXTURE = 0.62
#: Correlation of the channels above which coarse structure belongs to the scene: on training crops
#: camera noise gives up to 0.29, photographs without noise and blurred ones 0.48 and more.
SHARED = 0.4
#: Level of half the difference of red and green over that of the mean of the channels, below which
#: noise is the same in all colours. Noise of their own gives 1.2. A JPEG that keeps the colours at
#: half the size gives at most 0.3 (training crops).
ALIKE = 0.6


@dataclass(frozen=True)
class NoiseLevel(Finding):
    """The noise of a picture; value, low and high are standard deviations in grey levels.

    Args:
        channels: the level of each channel.
        white: whether neighbouring pixels have independent noise; None where that is unknown.
        ratio: its level at middle frequencies over that at high ones, 1 for white noise.
        curve: (brightness, level) pairs in grey levels, where the level depends on brightness.
        before_jpeg: whether it is what the picture had before JPEG took part of it.
        alike: whether it is the same in all colours, as in a JPEG that keeps the colours at half
            the size. The level is that of the mean of the channels then.
    """

    channels: tuple[float, ...] = ()
    white: bool | None = None
    ratio: float = 1.0
    curve: tuple[tuple[float, float], ...] = ()
    before_jpeg: bool = False
    alike: bool = False


def estimate_noise(x: Tensor) -> NoiseLevel:
    """Return the level of the noise in a picture, in grey levels.

    The picture's own grain is part of it. Noise of 2.0 levels, added to a photograph with 0.9
    levels of its own, makes 2.2.

    Args:
        x: (1, c, h, w) in [-1, 1]; c is 1 or 3.

    Cost:
        eigenvalues of 49 x 49 matrices of at most 6 tiles of 256 x 256: under a second.

    Example:
        >>> import torch
        >>> from hrdis.rng import stream
        >>> z = torch.from_numpy(stream(0, "doc").standard_normal((1, 1, 96, 96)))
        >>> round(estimate_noise(2 * 10 / 255 * z).value)
        10
    """
    levels = grey_levels(x)
    if min(levels.shape[-2:]) < 32:
        return NoiseLevel(
            "unsure", 0.0, 0.0, math.inf, "The picture is too small to measure its noise."
        )
    chosen = tiles(levels)
    if len(levels) == 3 and _is_alike(chosen):
        light = replace(estimate_noise(x.mean(1, keepdim=True)), alike=True)
        if light.found == "yes" and light.white is False:
            return replace(light, found="unsure", why=_scene(light.value))
        if light.found == "yes":
            return replace(light, why=f"{light.why[:-1]}, the same in all colours.")
        return light
    channels, lows, highs = [], [], []
    for c in range(len(levels)):
        found = _level([tile[c] for tile in chosen])
        if found is None:
            return NoiseLevel(
                "unsure", 0.0, 0.0, math.inf,
                "Nearly all of the picture is black, white or flat; its noise cannot be measured.",
            )  # fmt: skip
        channels.append(found[0])
        lows.append(found[1])
        highs.append(found[2])
    value = _rms(channels)
    # On photographs 90 % of the estimates lie within 8 % of the truth above 4 levels; the own grain
    # of a photograph and fine texture add about 0.25 levels below (studies/fix.py).
    low = max(0.0, min(_rms(lows), 0.93 * value) - 0.25)
    high = max(_rms(highs), 1.07 * value) + 0.1
    spectrum = noise_spectrum(chosen)
    white = None
    textured = False
    if spectrum is not None and spectrum.total > 1:
        textured = spectrum.unevenness > TEXTURE
        coarse = spectrum.ratio > (SURELY_CORRELATED if textured else CORRELATED)
        white = not coarse
        textured = textured and not coarse
    scene = False
    if spectrum is not None and white is False:
        # What is the same in all colours is no noise of a sensor: a motion looks like coarse noise.
        scene = spectrum.shared is not None and spectrum.shared > SHARED
        value, low, high = spectrum.total, 0.75 * spectrum.total, 1.3 * spectrum.total
    ratio = 1.0 if spectrum is None else spectrum.ratio
    curve = () if spectrum is None or value < ACT else spectrum.curve
    answer = _answer(value, low, high, white, curve, textured, scene)
    return NoiseLevel(*answer, tuple(channels), white, ratio, curve)


def _is_alike(chosen: list[np.ndarray]) -> bool:
    """Return whether the noise of tiles (3, h, w) is the same in all colours.

    Patches in which red or green reach black or white do not count, as what was cut there is
    missing from the difference.
    """
    differences = []
    for red, green, _ in chosen:
        cut = (np.minimum(red, green) < 2) | (np.maximum(red, green) > 253)
        differences.append(np.where(cut, np.nan, (red - green) / 2 + 127.5))
    own, mean = _level(differences), _level([tile.mean(0) for tile in chosen])
    return own is not None and mean is not None and own[0] < ALIKE * mean[0]


def _scene(value: float) -> str:
    return (
        f"Structure of {value:.1f} grey levels, coarser than a pixel and the same in all colours: "
        "coarse noise, a blur or the subject."
    )


def _answer(
    value: float, low: float, high: float, white: bool | None,
    curve: tuple[tuple[float, float], ...], textured: bool, scene: bool,
) -> tuple[Answer, float, float, float, str]:  # fmt: skip
    found: Answer = "yes" if low >= ACT else "no"
    if low < ACT < value:
        found = "unsure"
    why = f"Noise of {value:.1f} grey levels ({low:.1f} to {high:.1f})"
    if found == "no":
        why = f"Noise of about {value:.1f} grey levels, no more than a photograph's own grain"
    if found == "yes" and textured and value < 12:
        found = "unsure"
        why += ", or fine texture: the smoothest parts are not alike"
    if found == "yes" and scene:
        return "unsure", value, low, high, _scene(value)
    if found == "yes" and white is False:
        why += ", coarser than a pixel"
    if found == "yes" and curve:
        why += f", {curve[0][1]:.1f} in the dark and {curve[-1][1]:.1f} in the light"
    return found, value, low, high, f"{why}."


def _rms(values: list[float]) -> float:
    return math.sqrt(sum(v * v for v in values) / len(values))


def _level(planes: list[np.ndarray]) -> tuple[float, float, float] | None:
    """Return the noise of one channel: the best value, the lower and the higher; None if unknown.

    Args:
        planes: tiles (h, w) of the channel in grey levels.
    """
    step = 1 if sum(plane.size for plane in planes) < 100_000 else 2
    parts = []
    for plane in planes:
        view = np.lib.stride_tricks.sliding_window_view(plane, (SIDE, SIDE))[::step, ::step]
        parts.append(view.reshape(-1, SIDE * SIDE))
    patches = np.concatenate(parts)
    means = patches.mean(1)
    spread = patches.max(1) - patches.min(1)
    # Flat ones are saturated, painted or JPEG's, and hold no noise; NaN is left out, too.
    usable = spread > 0
    patches, means = patches[usable], means[usable]
    if len(patches) < LEAST:
        return None
    square = patches.reshape(-1, SIDE, SIDE)
    across = (square[:, :, 2:] - square[:, :, :-2]) / 2
    down = (square[:, 2:] - square[:, :-2]) / 2
    gradients = np.square(across).sum((1, 2)) + np.square(down).sum((1, 2))
    found = []
    for threshold in (STRICT, LENIENT):
        variance = _iterated(patches, means, gradients, threshold)
        if variance is None:
            return None
        found.append(math.sqrt(max(variance - ROUNDING, 0.0)))
    strict, lenient = found
    return math.sqrt(strict * lenient), min(found), max(found)


def _iterated(
    patches: np.ndarray, means: np.ndarray, gradients: np.ndarray, threshold: float
) -> float | None:
    """Return the variance on patches whose gradients it explains, found by iterating."""
    limit = _gradient_limit(threshold)
    inside = (means > 8) & (means < 247)
    if inside.sum() < LEAST:
        return None
    variance = _chen(patches[inside])
    for _ in range(6):
        # Noise that leaves the range is cut, which makes it weaker: go by the mean of a patch,
        # which noise hardly moves, not by its extremes, which would choose patches of little noise.
        margin = min(2.5 * math.sqrt(variance), 100.0)
        inside = (means > max(margin, 2)) & (means < 255 - max(margin, 2))
        chosen = inside & (gradients < limit * variance)
        if chosen.sum() < LEAST:
            break
        before = variance
        variance = _chen(patches[chosen]) / _kept(means[chosen], math.sqrt(variance))
        if abs(variance / before - 1) < 1e-3:
            break
    return variance


def _gradient_limit(z: float) -> float:
    """Return the sum of squared gradients that unit white noise exceeds z standard deviations up.

    The sum is nearly a Gamma variable of shape rank(B) / 2 and scale 2 trace(B) / rank(B), with B
    the matrix of the sum. Its quantile is Wilson and Hilferty's.
    """
    unit = np.eye(SIDE * SIDE).reshape(-1, SIDE, SIDE)
    across = ((unit[:, :, 2:] - unit[:, :, :-2]) / 2).reshape(SIDE * SIDE, -1)
    down = ((unit[:, 2:] - unit[:, :-2]) / 2).reshape(SIDE * SIDE, -1)
    B = across @ across.T + down @ down.T
    rank = int(np.linalg.matrix_rank(B))
    shape, scale = rank / 2, 2 * float(np.trace(B)) / rank
    return scale * shape * (1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3


def _chen(patches: np.ndarray) -> float:
    """Return the mean of the smaller eigenvalues of the patches' covariance: the noise's variance.

    The largest ones are left out until the mean of the others is no larger than their median.
    """
    if len(patches) > 20_000:
        patches = patches[:: len(patches) // 20_000 + 1]
    centred = patches - patches.mean(0)
    values = np.linalg.eigvalsh(centred.T @ centred / (len(centred) - 1))[::-1]
    for i in range(len(values)):
        rest = values[i:]
        if rest.mean() <= np.median(rest):
            return max(float(rest.mean()), 1e-6)  # of patches that are all alike, rounding's
    return max(float(values[-1]), 1e-6)


def _kept(means: np.ndarray, sigma: float) -> float:
    """Return the share of the variance that clipping to 0 .. 255 leaves, averaged over patches.

    For max(0, N(mu, sigma^2)) and t = mu / sigma it is (t^2 + 1) F + t f - (t F + f)^2. F and f are
    the normal distribution and its density (Foi, 2009).
    """
    share = np.ones_like(means)
    for distance in (means, 255 - means):
        t = distance / sigma
        f = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
        # the distribution by its logistic form, right to 2e-4
        F = 1 / (1 + np.exp(-(1.5976 * t + 0.07056 * t**3)))
        share *= (t**2 + 1) * F + t * f - (t * F + f) ** 2
    return float(share.mean())
