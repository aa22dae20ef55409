"""Solvers and priors of ours in the hands of deepinv: images there are u in [0, 1], here x = 2 u -
1.

The other direction, their operators in ours, is ``hrdis.Problem(y, physics)``.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from .driver import solve
from .priors.base import Prior, as_prior
from .priors.denoiser import levels_of, prior_as_denoiser
from .problem import Problem
from .solvers.base import Solver


def as_deepinv_reconstructor(solver: Solver, prior: Prior, seeds: int | Sequence[int] = 0) -> Any:
    """Wrap a solver as deepinv's ``Reconstructor``: ``reconstructor(y, physics)`` draws one
    restoration per image.

    Args:
        solver: e.g. ``hrdis.HRDIS(steps=100)``.
        prior: see `hrdis.load_prior`.
        seeds: of the images, one each, or the first of as many as there are; ``reconstructor(y,
            physics, seeds=...)`` takes others.

    Returns:
        a module (a subclass of ``deepinv.models.Reconstructor`` where that can be imported) with
        ``forward(y, physics, seeds=None)`` to (b, c, h, w), images in [0, 1]; as all of ours, not
        clamped.

    Raises:
        TypeError: if solver or prior is none; on use, what `hrdis.Problem` and `hrdis.solve` raise.
    """
    if not isinstance(solver, Solver):
        raise TypeError(
            f"solver is a {type(solver).__name__}. Settings of a solver are expected: "
            "as_deepinv_reconstructor(hrdis.HRDIS(steps=100), prior)."
        )
    prior = _prior(prior, "as_deepinv_reconstructor(solver, hrdis.load_prior('default'))")

    class HRDISReconstructor(_base("Reconstructor")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.solver, self.prior, self.seeds = solver, prior, seeds

        def forward(
            self, y: Tensor, physics: Any, seeds: int | Sequence[int] | None = None
        ) -> Tensor:
            seeds = self.seeds if seeds is None else seeds
            seeds = range(seeds, seeds + len(y)) if isinstance(seeds, int) else seeds
            return (solve(self.solver, self.prior, Problem(y, physics), seeds=seeds).x + 1) / 2

    return HRDISReconstructor()


def as_deepinv_denoiser(prior: Prior, interpolate: bool = False) -> Any:
    """Wrap a prior as deepinv's ``Denoiser``: ``denoiser(u, sigma)`` is the mean of the clean
    image given u.

    `hrdis.priors.prior_as_denoiser` in their range: noise of sigma in [0, 1] is noise of 2 sigma in
    [-1, 1].

    Args:
        prior: see `hrdis.load_prior`.
        interpolate: between the two times next to a level, at the cost of a second call; else the
            nearest answers.

    Returns:
        a module (a subclass of ``deepinv.models.Denoiser`` where that can be imported) with
        ``forward(u, sigma)``, sigma one number or one per image, >= 0 (0 returns u);
        differentiable, not clamped.

    Raises:
        TypeError: if the prior is none.
        ValueError: on use, for a sigma that is negative, not finite, or neither one number nor one
            per image.

    Cost:
        one call of the network per distinct level among the images, two where it interpolates.
    """
    prior = _prior(prior, "as_deepinv_denoiser(hrdis.load_prior('default'))")
    if prior.latent:
        raise TypeError(
            f"The prior {prior.name!r} works on latents, and does not denoise pictures. A prior of "
            "pictures is expected; solvers take both: as_deepinv_reconstructor(hrdis.HRDIS(), "
            "prior)."
        )

    class HRDISDenoiser(_base("Denoiser")):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.prior, self.denoise = prior, prior_as_denoiser(prior, interpolate)

        def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
            levels = levels_of(sigma, len(x), "for images in [0, 1]", "denoiser(x, 0.05)")
            return (self.denoise(2 * x - 1, 2 * torch.tensor(levels, dtype=torch.float64)) + 1) / 2

    return HRDISDenoiser()


def _prior(prior: object, example: str) -> Prior:
    prior = as_prior(prior)
    if not isinstance(prior, Prior):
        raise TypeError(f"prior is a {type(prior).__name__}. A hrdis Prior is expected: {example}.")
    return prior


def _base(name: str) -> type[nn.Module]:
    """deepinv's class of that name, or a plain module where deepinv cannot be imported."""
    try:
        return getattr(import_module("deepinv.models"), name)
    except (
        ImportError,
        RuntimeError,
        OSError,
    ):  # torchvision, which it imports, fails with more than ImportError
        return nn.Module
