"""Blind HRDIS: the operator's parameters are estimated along with the image."""

from itertools import pairwise
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import rms
from ..operators.base import BlindOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import mix
from .base import Run, Solver, Step, data_gradient, parameter_gradients, settings
from .hrdis import SOURCE as SOURCE
from .hrdis import Family


@final
@settings
class BlindHRDIS(Family):
    """HRDIS for y = A(x; theta): a gradient step on theta, then an HRDIS step on mu.

        theta = theta - Adam(n_theta grad_theta 1/2 ||y - A(mu; theta)||^2 / M),
                at the operator's own rates
        mu    = the step of HRDIS with A(.; theta)

    with n_theta entries in a parameter: a number for the image is moved by the mean residual, a map
    pixel by pixel, at any size. Adam's epsilon is 1e-5 of the residual, so that rounding moves
    nothing where mu starts as an exact solution. Nothing moves in the first iteration. The paper
    (C.7) gives no rates, start or domain, so they are the operator's.

    Yields:
        `Step` with x = mu, the residual, and theta.

    Returns:
        mu after its last update, (b, c, h, w), unclamped; theta is in ``Result.theta``.

    Draws:
        per step z_x if sigma_x0 > 0, then z if the step takes fresh noise (beta > 0, or the first
        step).

    Cost:
        one network call per step, no derivative of the network.

    Reference:
        HRDIS, ICLR 2025: section C.7; its low-light model is GDP's (CVPR 2023).

    Differs from the official code:
        no code was published for it.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> x = torch.ones(1, 1, 8, 8) / 2
        >>> problem = hrdis.measure(hrdis.operators.LowLight(f=0.5), x, seeds=[0])
        >>> sorted(hrdis.solve(BlindHRDIS(steps=20), prior, problem, seeds=[0]).theta)
        ['M', 'f']
    """

    requires: ClassVar = BlindOperator
    summary: ClassVar[str] = "HRDIS that also estimates the operator's parameters"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reconstruction: ClassVar[bool] = True
    reference: ClassVar[str] = "HRDIS, ICLR 2025 (section C.7, reconstructed)"

    steps: Annotated[int, Field(ge=1, le=10_000)] = 300
    """Network calls."""
    beta: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of fresh noise (variance)."""

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, q = problem.y, prior.schedule
        A: BlindOperator = problem.A  # type: ignore[assignment]
        mu, update = self.begin(problem)
        theta = {name: value.clone() for name, value in A.start(y).items()}
        groups = [{"params": [value], "lr": A.rates[name]} for name, value in theta.items()]
        adam = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-5)
        eps: Tensor | None = None
        for k, (t, _) in enumerate(pairwise(times)):
            x = mu + self.sigma_x0 * rng.randn_like(mu) if self.sigma_x0 > 0 else mu
            if eps is None:
                n = rng.randn_like(mu)
            else:
                n = mix(eps, rng.randn_like(mu), self.beta**0.5) if self.beta > 0 else eps
            _, eps = prior(q.diffuse(x, t, n), t)
            if k > 0:
                for name, gradient in parameter_gradients(A, x, y, theta).items():
                    theta[name].grad = gradient * gradient[0].numel()
                adam.step()
                for name, value in A.valid(theta).items():
                    theta[name].copy_(value)
            r, data = data_gradient(lambda v: A.at(v, theta), x, y)
            if k > 0:
                update(data, self.strength(q, t) * (eps - n))
            yield Step(
                t, mu.clone(), {"residual": rms(r)}, {name: v.clone() for name, v in theta.items()}
            )
        return mu


PAPER: dict[str, Solver] = {
    # section C.7 says about 300 calls; on the authors' grid they are 334
    "lowlight": BlindHRDIS(steps=300, grid="stride", lr=0.1, lambda_reg=0.25),
}
