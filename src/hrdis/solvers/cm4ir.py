"""CM4IR: restoration in a few calls, by back-projection and noise of turned sign."""

from itertools import pairwise
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field

from ..linalg import rms
from ..operators.base import ProximalOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule
from .base import Run, Sampler, Solver, Step, settings
from .papers import Paper


@final
@settings
class CM4IR(Sampler):
    """Denoise, project back onto the measurement, and diffuse with the estimated noise reversed.

    From the operator's smooth picture, diffused, for t to s over a few levels:

        x0_y = x0_hat - A^T (A A^T + h I)^-1 (A x0_hat - y),   h = zeta sigma_y^2
        x_s  = sqrt(alpha_bar_s) x0_y + sqrt(1 - alpha_bar_s) (eta z - sqrt(1 - eta^2) eps)

    with x0_hat clamped to [-1, 1] and eps = (x_t - sqrt(alpha_bar_t) x0_hat) / sqrt(1 -
    alpha_bar_t). Where A rounds or clips, x0_y is the closest image that is consistent with y. The
    last call returns x0_hat from noisy measurements, x0_y from others. With ``flip=False`` eps
    keeps its sign: DDNM's step.

    With the minus sign a level that is repeated keeps far less variance than the posterior has. The
    method seeks the posterior mean and returns no samples.

    Yields:
        `Step` with x = x0_y (x0_hat where that is returned) and the root mean square residual of
        x0_hat.

    Returns:
        x0_hat or x0_y of the last call, (b, c, h, w).

    Draws:
        z for x_T, then z per step where eta > 0, except to s = -1.

    Cost:
        one network call per step, no derivative of the network; a linear solve, in closed form
        where A has an SVD, else by conjugate gradient.

    Reference:
        Garber, Tirer, Zero-Shot Image Restoration Using Few-Step Guidance of Consistency Models
        (and Beyond), CVPR 2025, arXiv 2412.20596. A method beyond those that HRDIS compares.

    Differs from the official code:
        tirer-lab/CM4IR, commit e5fe0a0: (1) any prior may denoise, where the paper takes a
        consistency model, and A may round or clip; (2) starts from the operator's smooth picture,
        there from the back-projected y, or a median fill of holes; (3) the signal is scaled and
        sigma is noise over signal; there the signal is not scaled and sigma is sqrt(1 - alpha_bar),
        held between 0.002 and 80; (4) the denoiser always gets the level that the noise has (the
        paper's delta is 0); (5) its step length mu of the back-projection (1) is left out.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(CM4IR(steps=4), prior, problem, seeds=[0]).nfe
        4
    """

    requires: ClassVar = ProximalOperator
    noise: ClassVar[str] = "known"
    summary: ClassVar[str] = "few calls: back-projection, noise of turned sign"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "CM4IR, CVPR 2025"

    steps: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Network calls."""
    start: Annotated[int, Field(ge=0, le=100_000)] | None = 250
    """Largest time visited; below the top, the run starts from the operator's smooth picture,
    diffused.
    """
    gamma: Annotated[float, Field(gt=0)] | None = None
    """Growth of the signal's share alpha_bar per call; by default the levels are evenly spaced in
    ln sigma.
    """
    eta: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of fresh noise; 0 is deterministic."""
    zeta: Annotated[float, Field(ge=0)] = 0.0
    """Regularization h of the back-projection over the variance of the noise."""
    flip: bool = True
    """Reverse the sign of the estimated noise."""
    clamp: bool = True
    """Clamp x0_hat to [-1, 1]."""

    def times(self, schedule: Schedule) -> list[int]:
        times = schedule.logarithmic(self.steps, self.start)  # also refuses too many steps
        if self.gamma is None:
            return times
        for k in range(1, self.steps):
            share = min(0.9999, float(schedule[times[k - 1]]) * (1 + self.gamma))
            wanted = schedule.nearest(((1 - share) / share) ** 0.5)
            # distinct times, and room for those to come: the rule may run ahead of the table
            times[k] = max(min(wanted, times[k - 1] - 1), self.steps - 1 - k)
        return times

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, q = problem.y, prior.schedule
        A: ProximalOperator = problem.A  # type: ignore[assignment]
        x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=y))
        for t, s in pairwise(times):
            x0_hat = prior(x_t, t).x0_hat
            if self.clamp:
                x0_hat = x0_hat.clamp(-1, 1)
            eps = (x_t - q.signal(t) * x0_hat) / q.noise(t)
            r = A(x0_hat) - y
            if s < 0 and problem.sigma_y > 0:
                x_t = x0_hat  # y would bring its noise back
            else:
                x0_y = A.prox(x0_hat, y, self.zeta * problem.sigma_y**2)
                n = (-1 if self.flip else 1) * (1 - self.eta**2) ** 0.5 * eps
                if s >= 0 and self.eta > 0:
                    n = n + self.eta * rng.randn_like(x_t)
                x_t = q.diffuse(x0_y, s, n)
            yield Step(t, x0_y if s >= 0 else x_t.clone(), {"residual": rms(r)})
        return x_t


PAPER: dict[str, Solver] = {}

SOURCE = Paper(
    "garber2025cm4ir",
    "Zero-Shot Image Restoration Using Few-Step Guidance of Consistency Models (and Beyond)",
    ("Garber, Tomer", "Tirer, Tom"),
    "CVPR",
    2025,
    "https://arxiv.org/abs/2412.20596",
)
