"""The prior as a denoiser: one network call at the level of the noise, and what it tells of it.

For y = x + N(0, s^2) the prior's estimate x0_hat of y at the time whose noise over signal is s is
the posterior mean D(y; s).
"""

import math

import torch
from torch import Tensor

from ..priors.base import Prior
from ..rng import stream

PROBE = 0.1  # length of the step that measures a divergence, in units of the noise


def estimate(prior: Prior, y: Tensor, levels: float) -> Tensor:
    """Return the posterior mean of a picture given y, of noise with ``levels`` grey levels.

    A grey picture is seen as a colour picture with noise of its own in each channel. What is added
    has no part in the mean of the channels, so that the mean is the grey picture with its noise.
    Given three equal channels, whose noise is equal too, the prior takes noise for texture, which
    costs 7 dB at 25 levels.

    Args:
        prior: of pictures; one that takes colours is shown a grey picture in colours.
        y: (1, c, h, w) in [-1, 1].
        levels: standard deviation of the noise in grey levels.

    Cost:
        one network call.
    """
    if not _shown_in_colours(prior, y):
        return _denoised(prior, y, levels)
    sigma = math.sqrt(3) * 2 * levels / 255
    z = torch.from_numpy(stream(0, "fix grey").standard_normal((1, 3, *y.shape[-2:]))).to(y)
    apart = z - z.mean(1, keepdim=True)
    return _denoised(prior, y + sigma * apart, math.sqrt(3) * levels).mean(1, keepdim=True)


def estimate_alike(prior: Prior, y: Tensor, levels: float) -> Tensor:
    """Return the picture without noise that is the same in all colours.

    x = y + D(mean of y; s) - mean of y, the same change in every channel. A prior that was trained
    with noise of its own in each channel takes such noise for texture.

    Args:
        prior: of pictures.
        y: (1, c, h, w) in [-1, 1].
        levels: standard deviation of the noise in the mean of the channels, in grey levels.

    Cost:
        one network call.
    """
    light = y.mean(1, keepdim=True)
    return y + estimate(prior, light, levels) - light


def estimate_colours(prior: Prior, y: Tensor, levels: float) -> Tensor:
    """Return the picture without noise of its colours, its mean over the channels as it was.

    As noise in the mean is part of the noise that the prior knows, it is added, and what the prior
    says of the mean is not taken.

    Args:
        prior: of colour pictures.
        y: (1, 3, h, w) in [-1, 1], whose mean of the channels has no noise.
        levels: standard deviation of the noise across the mean, in grey levels: of (R - G) / sqrt 2
            and (R + G - 2 B) / sqrt 6.

    Cost:
        one network call.
    """
    z = torch.from_numpy(stream(0, "fix colours").standard_normal((1, 1, *y.shape[-2:]))).to(y)
    shown = y + 2 * levels / 255 * z / math.sqrt(3)
    change = _denoised(prior, shown, levels) - shown
    return y + change - change.mean(1, keepdim=True)


def taken(prior: Prior, y: Tensor, levels: float) -> float:
    """Return the level of the time that `estimate` takes for a level, both in grey levels.

    The times of a prior are 1.3, 1.9, 2.4, 2.9 levels and so on, say.

    Args:
        prior, y, levels: as `estimate` takes them.
    """
    factor = math.sqrt(3) if _shown_in_colours(prior, y) else 1.0
    return float(prior.schedule.sigma(_time(prior, factor * levels))) * 127.5 / factor


def _shown_in_colours(prior: Prior, y: Tensor) -> bool:
    return y.shape[1] == 1 and prior.channels is not None and 3 in prior.channels


def _time(prior: Prior, levels: float) -> int:
    q = prior.schedule
    return q.nearest(max(2 * levels / 255, float(q.sigma(0))))


def _denoised(prior: Prior, y: Tensor, levels: float) -> Tensor:
    q = prior.schedule
    t = _time(prior, levels)
    with torch.no_grad():
        return prior(q.signal(t) * y, t).x0_hat


def implied_level(prior: Prior, y: Tensor, levels: float) -> float:
    """Return the noise level at which the prior's own estimate of y would be right.

    With r = y - D(y; s) and d the divergence of D per value it is sqrt(mean r^2 / (1 - d)). For
    noise of level s that is s, by Stein's formula. Where texture was taken for noise it is less.

    Cost:
        two network calls; one probe of the divergence (Ramani, Blu, Unser, IEEE TIP 2008).
    """
    x = estimate(prior, y, levels)
    return moments(prior, y, levels, x)[0]


def moments(prior: Prior, y: Tensor, levels: float, x: Tensor) -> tuple[float, float, float]:
    """Return the implied level, the mean square residual in levels^2, and the divergence."""
    h = PROBE * 2 * max(levels, 1.3) / 255
    signs = stream(0, "fix probe").standard_normal(tuple(y.shape)) > 0
    b = torch.from_numpy(2.0 * signs - 1).to(y)
    divergence = float((b * (estimate(prior, y + h * b, levels) - x)).mean()) / h
    square = float((y - x).square().mean()) * 127.5**2
    return math.sqrt(square / max(1 - divergence, 0.05)), square, divergence


def best_weight(levels: float, square: float, divergence: float) -> tuple[float, float]:
    """Return how much of y - D(y) to take, at most 1, and the gain in dB to expect of it.

    By Stein's formula the mean square error of x = y + w (D(y; s) - y) is

        s^2 - 2 w s^2 (1 - d) + w^2 mean r^2,  least at w = s^2 (1 - d) / mean r^2.

    Args:
        levels: s, in grey levels.
        square, divergence: mean r^2 and d, as `moments` returns them.
    """
    weight = min(1.0, levels**2 * (1 - divergence) / max(square, 1e-9))
    error = levels**2 - 2 * weight * levels**2 * (1 - divergence) + weight**2 * square
    return weight, 10 * math.log10(levels**2 / max(error, 1e-3))


def agreed_level(prior: Prior, y: Tensor, levels: float, rounds: int = 3) -> float:
    """Return the level at which the prior agrees with itself, starting from an estimate.

    Args:
        y: (1, c, h, w); only the middle 192 x 192 of its parts of median liveliness is looked at.

    Cost:
        2 ``rounds`` calls on a picture of 192 x 192.
    """
    part = middling(y)
    for _ in range(rounds):
        found = implied_level(prior, part, max(levels, 1.3))
        if abs(found / max(levels, 1e-6) - 1) < 0.02:
            return found
        levels = found
    return levels


def middling(y: Tensor, side: int = 192) -> Tensor:
    """Return the part of a picture, up to ``side`` a side, whose variance is the median."""
    h, w = y.shape[-2:]
    if h <= side and w <= side:
        return y
    parts = []
    for top in range(0, max(h - side, 0) + 1, side):
        for left in range(0, max(w - side, 0) + 1, side):
            parts.append(y[..., top : top + side, left : left + side])
    parts.sort(key=lambda part: float(part.var()))
    return parts[len(parts) // 2]
