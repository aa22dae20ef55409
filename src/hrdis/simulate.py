"""Simulate a measurement: `measure`."""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .arguments import check_measured
from .noise import Gaussian, Noise
from .operators.adopt import is_physics, noise_level
from .operators.base import Operator, other_range
from .operators.deepinv import Theirs, from_deepinv
from .operators.problem import Function, Problem
from .rng import Replay, noise_source


def measure(
    A: Operator | Callable[[Tensor], Tensor],
    x: Tensor,
    noise: Noise | None = None,
    *,
    seeds: Sequence[int] | None = None,
    rng: Replay | None = None,
) -> Problem:
    """Simulate y = A(x) + noise; no noise is put where nothing is observed.

    Args:
        A: an operator, any callable, or a deepinv ``Physics``, whose own noise level counts where
            ``noise`` is None.
        x: (b, c, h, w) in [-1, 1].
        noise: e.g. ``hrdis.noise.Gaussian(0.05)``; None is noiseless. Levels are for measurements
            of images in [-1, 1]: half of them on a linear ``Physics``, whose problem holds half of
            A.
        seeds: one per image; image i's noise depends on ``seeds[i]`` only. Needed where there is
            noise.
        rng: recorded draws instead of seeds.

    Returns:
        the `Problem` with y and sigma_y in units of y.

    Raises:
        TypeError, ValueError: if x cannot be measured by A, seeds do not match the batch, or the
            noise is defined for pictures and y is none.
    """
    check_measured(A, x, noise)
    operator = (
        A if isinstance(A, Operator) else Function(A, shape=tuple(getattr(x, "shape", ())[1:]))
    )
    operator.check(x)
    if is_physics(A):
        operator = from_deepinv(A, (x.shape[1], x.shape[2], x.shape[3]))
        if noise is None and (sigma := noise_level(A)) > 0:
            noise = Gaussian(sigma / _scale(operator), "[-1,1]")
    if getattr(noise, "pictures_only", False) and not operator.picture:
        raise ValueError(
            f"{type(operator).__name__} measures no picture, but {type(noise).__name__} noise is "
            "defined for pictures in [-1, 1]. Use Gaussian(sigma), or, for y >= 0, Poisson(rate, "
            "scale=...)."
        )
    if x.abs().max() > 1.5:
        warnings.warn(
            f"x reaches {float(x.abs().max()):.3g}; images are expected in [-1, 1]. For values in "
            "[0, 1] or 0..255 use 2 * x - 1 or x / 127.5 - 1.",
            stacklevel=2,
        )
    elif noise is not None and (
        doubt := other_range(x, "x")
    ):  # without noise `Problem` sees it in y
        warnings.warn(doubt, stacklevel=2)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        y = operator(x)
        if noise is None:
            return Problem(y.clone(), operator, 0.0)
        scale = _scale(operator)
        noisy = scale * noise.add(y / scale, noise_source(seeds, rng, len(x), "measure"))
        if operator.observed is not None:
            noisy = torch.where(operator.observed.to(y.device).bool(), noisy, y)
        return Problem(noisy, operator, scale * noise.sigma_y)


def _scale(A: Operator) -> float:
    """What A's measurements are multiplied with, beside those of an operator of ours: 1/2 on
    deepinv's linear ones.
    """
    return A.scale if isinstance(A, Theirs) else 1.0
