"""MMPS: moment matching posterior sampling."""

from itertools import pairwise
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import cg, rms
from ..operators.base import LinearOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import mix
from .base import Run, Sampler, Solver, Step, in_half_precision, settings, transposed_jacobian
from .papers import Paper


@final
@settings
class MMPS(Sampler):
    """DDIM steps towards E[x | x_t, y], with a covariance from the network's Jacobian.

    Given x_t, the image is taken for Gaussian, with the denoiser's two moments (Tweedie's formulas;
    J is the Jacobian of x0_hat in x_t):

        V    = Cov[x | x_t] = (1 - alpha_bar_t) / sqrt(alpha_bar_t) J^T
        x0_y = x0_hat + V A* (A V A* + sigma_y^2 I)^-1 (y - A x0_hat)
            (conjugate gradient, cg_steps)
        x_s  = DDIM(x0_y, eps of x0_y)

    With enough CG steps x0_y is exact for a Gaussian image, and only the number of steps stands
    between the samples and the posterior.

    At high noise x0_hat is the small difference of two large terms. In half precision the rounding
    of J^T is then larger than J^T itself, and the curvature that CG divides by is near 0 by chance.
    So a network in half precision ends CG where the cosine of a direction and its image is below 4
    / sqrt(M), four times that of unrelated directions in the M dimensions of y.

    Yields:
        `Step` with x = x0_y and the root mean square residual of the network's own estimate.

    Returns:
        x0_y of the last call, (b, c, h, w), unclamped.

    Draws:
        x_T, then z per step where eta > 0, except to s = -1.

    Cost:
        one network call and cg_steps + 2 backward passes through it per step: memory of the
        activations.

    Reference:
        Rozet, Andry, Lanusse, Louppe, Learning Diffusion Priors from Observations by Expectation
        Maximization, NeurIPS 2024, arXiv 2405.13712, section 4 and algorithm 2. A method beyond
        those that HRDIS compares.

    Differs from the official code:
        probabilists/azula, commit bec12b8 (by the paper's first author): (1) conjugate gradient,
        cg_steps times; there GMRES, once by default; (2) A is linear, there it may be any function,
        by its Jacobian; (3) what stands in the holes of a mask is no measurement; (4) CG ends early
        in half precision, as told above; (5) the DDIM step is part of the solver, there any sampler
        takes the guided denoiser. On exact posteriors azula and deepinv 0.5.0 have the same bias,
        variance and distance to within 0.03, 0.02 and 0.1 (docs/measurements/peers.md).

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(MMPS(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    requires: ClassVar = LinearOperator
    descends: ClassVar = True
    noise: ClassVar[str] = "known"
    summary: ClassVar[str] = (
        "DDIM to the posterior mean, covariance from the network's Jacobian; linear"
    )
    cost: ClassVar[str] = "1 call and 5 backward passes per step"
    reference: ClassVar[str] = "MMPS, NeurIPS 2024"

    eta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of fresh noise of a DDIM step; 0 is deterministic."""
    cg_steps: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Conjugate-gradient steps per network call, a backward pass each."""

    def passes(self) -> int:
        return self.cg_steps + 2

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        q = prior.schedule
        x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=problem.y))
        for t, s in pairwise(times):
            x0_y, residual = posterior_mean(prior, problem, x_t, t, self.cg_steps)
            eps = (x_t - q.signal(t) * x0_y) / q.noise(t)
            share = q.ddim_share(t, s, self.eta)
            x_t = q.diffuse(x0_y, s, mix(eps, rng.randn_like(x_t), share) if share > 0 else eps)
            yield Step(t, x0_y, {"residual": residual})
        return x_t


def posterior_mean(
    prior: Prior, problem: Problem, x_t: Tensor, t: int, cg_steps: int
) -> tuple[Tensor, Tensor]:
    """Return x0_y = E[x | x_t, y] for the moments of `MMPS`, and the residual of x0_hat."""
    y, q = problem.y, prior.schedule
    A: LinearOperator = problem.A  # type: ignore[assignment]
    seen = 1 if A.observed is None else A.observed.to(y)  # what stands in holes is no measurement
    flat = 4 / y[0].numel() ** 0.5 if in_half_precision(prior) else 0.0
    (x0_hat, _), pull = transposed_jacobian(prior, x_t, t)
    scale = (1 - q[t]) / q.signal(t)

    def spread(u: Tensor) -> Tensor:
        return scale * pull(A.adjoint(u))  # V A* u

    r = (A(x0_hat) - y) * seen
    u = cg(
        lambda v: A(spread(v)) + problem.sigma_y**2 * v,
        -r,
        torch.zeros_like(r),
        cg_steps,
        flat=flat,
    )
    return x0_hat + spread(u), rms(r)


PAPER: dict[str, Solver] = {}

SOURCE = Paper(
    "rozet2024mmps",
    "Learning Diffusion Priors from Observations by Expectation Maximization",
    (
        "Rozet, Fran{\\c{c}}ois",
        "Andry, G{\\'e}r{\\^o}me",
        "Lanusse, Fran{\\c{c}}ois",
        "Louppe, Gilles",
    ),
    "NeurIPS",
    2024,
    "https://arxiv.org/abs/2405.13712",
)
