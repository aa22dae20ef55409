"""A solver of one's own, whole: its settings, its loop, and how far it lands from the exact
posterior mean.

DDIM, with a Landweber step on each denoised image: x0_y = x0_hat - gain A* (A x0_hat - y). It needs
the adjoint alone.

    python examples/own_solver.py
"""

from itertools import pairwise
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field

import hrdis
from hrdis.linalg import rms
from hrdis.rng import ImageRNG, Replay
from hrdis.schedule import mix
from hrdis.solvers.base import Run, Sampler, settings


@final
@settings
class Landweber(Sampler):
    """DDIM whose denoised images take a gradient step towards the measurement."""

    requires: ClassVar = hrdis.operators.LinearOperator
    noise: ClassVar[str] = "ignored"

    gain: Annotated[float, Field(gt=0)] = 1.0
    """Step length: below 2 / ||A||^2 the step brings A x closer to y; ||A|| is 1/2 for means of 2 x
    2 pixels.
    """
    eta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of DDIM's fresh noise; 0 is deterministic."""

    @torch.no_grad()
    def run(
        self, prior: hrdis.Prior, problem: hrdis.Problem, times: list[int], rng: ImageRNG | Replay
    ) -> Run:
        y, A, q = problem.y, problem.A, prior.schedule
        x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=y))
        for t, s in pairwise(times):
            x0_hat, eps = prior(x_t, t)
            r = A(x0_hat) - y
            x0_y = x0_hat - self.gain * A.adjoint(r)
            if s >= 0 and self.eta > 0:
                eps = mix(eps, rng.randn_like(x_t), q.ddim_share(t, s, self.eta))
            x_t = q.diffuse(x0_y, s, eps)
            yield hrdis.Step(t, x0_y, {"residual": rms(r)})
        return x_t


def main() -> None:
    # A prior whose posterior is known: smooth 8 x 8 pictures, neighbours alike.
    at = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0))
    covariance = 0.25 * torch.exp(-torch.cdist(at, at) / 3)
    prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), covariance)
    A = hrdis.operators.SuperResolution(2)
    problem = hrdis.measure(A, prior.sample(1).float(), hrdis.noise.Gaussian(0.02), seeds=[0])
    truth = prior.posterior(problem)[0].mean

    runs = 64
    many = hrdis.Problem(problem.y.expand(runs, -1, -1, -1).clone(), A, problem.sigma_y)
    for solver in (Landweber(gain=4.0), Landweber(gain=4.0, eta=0.0), hrdis.DDRM()):
        mean = hrdis.solve(solver, prior, many, seeds=range(runs)).x.double().mean(0)
        print(
            f"{solver}: {float((mean - truth).norm() / truth.norm()):.2f} of the posterior mean "
            "away from it"
        )

    try:  # what the class says it needs is checked before the first call of the prior
        hrdis.solve(
            Landweber(), prior, hrdis.Problem(torch.zeros(1, 1, 8, 8), torch.tanh), seeds=[0]
        )
    except TypeError as error:
        print(error)


if __name__ == "__main__":
    main()
