"""azula's denoisers as priors; they are recognised by their methods, without importing azula."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..schedule import Schedule
from .base import ADAPTERS
from .denoiser import DenoiserPrior
from .networks import check_call, uncopied, unwrapped


def is_azula(value: object) -> bool:
    """Return True for an azula denoiser, wrapped or not: a module with ``schedule(t)``."""
    return isinstance(value, nn.Module) and callable(getattr(unwrapped(value), "schedule", None))


def from_azula(
    denoiser: Any,
    schedule: Schedule | None = None,
    *,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    channels: tuple[int, ...] | None = None,
    name: str = "azula",
) -> DenoiserPrior:
    """Convert an azula denoiser to a prior.

    azula has x_t = alpha_t x0 + sigma_t n with t in [0, 1]. D(x, s) is ``denoiser(alpha_t x,
    t).mean`` at the t with sigma_t / alpha_t = s, found by bisection; the ratio grows with t in
    every schedule of azula. Images are in [-1, 1] in both libraries.

    Args:
        denoiser: called with x_t (b, c, h, w) and t (); ``denoiser.schedule(t)`` gives (alpha_t,
            sigma_t).
        schedule: schedule of the prior's times; linear by default.
        sigma_min, sigma_max: range of levels it was trained on; by default all of its schedule.
        channels: image channels it accepts; None for any.
        name: name for records and messages.

    Raises:
        TypeError: if it is not such a denoiser.
        ValueError: if the noise does not grow with t.

    Cost:
        one call of the network; the bisection asks the schedule 60 times per level, once.
    """
    denoiser = uncopied(denoiser)
    if not is_azula(denoiser) or isinstance(denoiser, type):
        raise TypeError(
            f"denoiser is a {type(denoiser).__name__}. An azula denoiser, with a schedule that is "
            "called with a time, is expected: from_azula(azula.denoise.KarrasDenoiser(backbone, "
            "schedule))."
        )
    backbone = getattr(denoiser, "backbone", None)
    if isinstance(backbone, nn.Module):
        check_call(
            backbone, 2, "picture and time", f"The backbone {type(unwrapped(backbone)).__name__}"
        )
    low, high = _level(denoiser, 0.0), _level(denoiser, 1.0)
    if not low < high:
        raise ValueError(
            f"The noise over signal of the denoiser's schedule is {low:g} at t = 0 and {high:g} at "
            "t = 1. One that grows with t is expected."
        )
    if sigma_min is not None:
        low = max(sigma_min, low)
    if sigma_max is not None:
        high = min(sigma_max, high)
    return DenoiserPrior(
        AzulaDenoiser(denoiser),
        schedule,
        sigma_min=low,
        sigma_max=high,
        channels=channels,
        name=name,
    )


class AzulaDenoiser(nn.Module):
    """Denoiser D(x, sigma) of an azula denoiser, with one level for all images."""

    def __init__(self, denoiser: nn.Module):
        super().__init__()
        self.denoiser = denoiser
        self.times: dict[float, float] = {}  # by level: a run asks for the same few

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        level = float(sigma[0])
        if level not in self.times:
            low, high = 0.0, 1.0
            for _ in range(60):  # bisection to about the last bit
                middle = (low + high) / 2
                if _level(self.denoiser, middle) < level:
                    low = middle
                else:
                    high = middle
            self.times[level] = (low + high) / 2
        t = torch.tensor(self.times[level], dtype=x.dtype, device=x.device)
        alpha, _ = self.denoiser.schedule(t)  # type: ignore[operator]
        mean: Tensor = self.denoiser(alpha * x, t).mean
        return mean.to(x.dtype)


def _level(denoiser: Any, t: float) -> float:
    """Return sigma_t / alpha_t in float64; infinity where there is no signal."""
    alpha, sigma = map(float, denoiser.schedule(torch.tensor(t, dtype=torch.float64)))
    return sigma / alpha if alpha > 0 else math.inf


ADAPTERS.append((is_azula, lambda denoiser: from_azula(unwrapped(denoiser))))
