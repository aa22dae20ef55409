"""Solvers and priors of ours in the hands of deepinv: images there are u in [0, 1], here x = 2 u - 1.

The other direction, their operators in ours, is `hrdis.Problem(y, physics)`.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from .driver import solve
from .operators.problem import Problem
from .priors.base import Prior
from .solvers.base import Solver


def as_deepinv_reconstructor(solver: Solver, prior: Prior, seeds: int | Sequence[int] = 0) -> Any:
    """A solver as deepinv's ``Reconstructor``: ``reconstructor(y, physics)`` draws one restoration per image.

    Args:
        solver: e.g. ``hrdis.HRDIS(steps=100)``.
        prior: see `hrdis.load_prior`.
        seeds: of the images, one each, or the first of as many as there are; ``reconstructor(y, physics, seeds=...)``
            takes others.

    Returns:
        a module (a subclass of ``deepinv.models.Reconstructor`` where that can be imported) with
        ``forward(y, physics, seeds=None)`` to (b, c, h, w), images in [0, 1]; as all of ours, not clamped.

    Raises:
        TypeError: if solver or prior is none; on use, what `hrdis.Problem` and `hrdis.solve` raise.
    """
    if not isinstance(solver, Solver):
        raise TypeError(
            f"solver is a {type(solver).__name__}. Settings of a solver are expected: "
            "as_deepinv_reconstructor(hrdis.HRDIS(steps=100), prior)."
        )
    _check_prior(prior, "as_deepinv_reconstructor(solver, hrdis.load_prior('default'))")

    class HRDISReconstructor(_base("Reconstructor")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.solver, self.prior, self.seeds = solver, prior, seeds

        def forward(self, y: Tensor, physics: Any, seeds: int | Sequence[int] | None = None) -> Tensor:
            seeds = self.seeds if seeds is None else seeds
            seeds = range(seeds, seeds + len(y)) if isinstance(seeds, int) else seeds
            return (solve(self.solver, self.prior, Problem(y, physics), seeds=seeds).x + 1) / 2

    return HRDISReconstructor()


def as_deepinv_denoiser(prior: Prior) -> Any:
    """A prior as deepinv's ``Denoiser``: ``denoiser(u, sigma)`` is the mean of the clean image given u.

    Noise of sigma in [0, 1] is noise of 2 sigma in [-1, 1]; the network is asked at the time whose noise over signal
    comes nearest, x0_hat(sqrt(alpha_bar_t) (2 u - 1), t), and nothing is interpolated.

    Args:
        prior: see `hrdis.load_prior`.

    Returns:
        a module (a subclass of ``deepinv.models.Denoiser`` where that can be imported) with ``forward(u, sigma)``,
        sigma one number or one per image, >= 0 (0 returns u); differentiable, not clamped.

    Raises:
        TypeError: if the prior is none.
        ValueError: on use, for a sigma that is negative, not finite, or neither one number nor one per image.

    Cost:
        one call of the network per distinct time among the images.
    """
    _check_prior(prior, "as_deepinv_denoiser(hrdis.load_prior('default'))")
    if prior.latent:
        raise TypeError(
            f"The prior {prior.name!r} works on latents, and does not denoise pictures. A prior of pictures is "
            "expected; solvers take both: as_deepinv_reconstructor(hrdis.HRDIS(), prior)."
        )

    class HRDISDenoiser(_base("Denoiser")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.prior = prior

        def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
            levels = _levels(sigma, len(x))
            times = [self.prior.schedule.nearest(2 * s) if s > 0 else -1 for s in levels]
            out = x.clone()
            for t in sorted(set(times) - {-1}):
                here = torch.tensor([i for i, time in enumerate(times) if time == t], device=x.device)
                x0_hat, _ = self.prior(self.prior.schedule.signal(t) * (2 * x[here] - 1), t)
                out = out.index_copy(0, here, (x0_hat + 1) / 2)
            return out

    return HRDISDenoiser()


def _levels(sigma: float | Tensor, batch: int) -> list[float]:
    levels = torch.as_tensor(sigma, dtype=torch.float64).flatten().tolist()
    if len(levels) not in (1, batch):
        raise ValueError(
            f"sigma holds {len(levels)} levels for {batch} images. One number, or one per image, is expected: "
            "denoiser(x, 0.05)."
        )
    if not all(0 <= s < float("inf") for s in levels):
        raise ValueError(f"sigma is {levels}. Noise levels >= 0 for images in [0, 1] are expected: denoiser(x, 0.05).")
    return levels * batch if len(levels) == 1 else levels


def _check_prior(prior: object, example: str) -> None:
    if not isinstance(prior, Prior):
        raise TypeError(f"prior is a {type(prior).__name__}. A hrdis Prior is expected: {example}.")


def _base(name: str) -> type[nn.Module]:
    """deepinv's class of that name, or a plain module where deepinv cannot be imported."""
    try:
        return getattr(import_module("deepinv.models"), name)
    except (ImportError, RuntimeError, OSError):  # torchvision, which it imports, fails with more than ImportError
        return nn.Module
