"""DDNM: denoising diffusion null-space model."""

from itertools import pairwise
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field

from ..linalg import rms
from ..operators.base import LinearOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule, mix
from .base import Run, Sampler, Solver, Step, settings
from .papers import Paper


@final
@settings
class DDNM(Sampler):
    """Null-space projection of the denoised image, with time travel; noiseless measurements.

    For t to s over the grid (up again where it travels):

        x0_y = x0_hat - A^+ (A x0_hat - y)
        x_s  = sqrt(alpha_bar_s) x0_y + sqrt(1 - alpha_bar_s) (sqrt(1 - eta^2) eps + eta z)

    The result satisfies A x = y.

    Yields:
        `Step` with x = x0_y and the root mean square residual of the network's own estimate.

    Returns:
        x0_y of the last call, (b, c, h, w), unclamped.

    Draws:
        x_T, then z per move (also per move up) while its factor is not zero: not at s = -1, not
        with eta = 0.

    Cost:
        one network call per move down, no derivative of the network.

    Reference:
        Wang, Yu, Zhang, Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model,
        ICLR 2023.

    Differs from the official code:
        wyhuai/DDNM, commit 00b58ea: (1) its "simplified" path scales the noise by sqrt(1 -
        alpha_bar_s^2) once more, which is not done here; (2) ``steps`` times are spread evenly over
        the schedule; there they are multiples of a whole number, which differs where steps does not
        divide the schedule; (3) a batch of any size, there of one picture in that path; (4)
        guidance by a classifier is left out. Climbing re-noises the last unprojected estimate, as
        the code does.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> x = torch.ones(1, 1, 8, 8) / 2
        >>> problem = hrdis.measure(hrdis.operators.SuperResolution(2), x, seeds=[0])
        >>> hrdis.solve(DDNM(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    requires: ClassVar = LinearOperator
    noiseless: ClassVar = True
    noise: ClassVar[str] = "noiseless"
    summary: ClassVar[str] = "null-space projection of the denoised image; noiseless, linear"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "DDNM, ICLR 2023"

    eta: Annotated[float, Field(ge=0, le=1)] = 0.85
    """Share of fresh noise; 0 is deterministic."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Time travel: how many grid points back."""
    repeat: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Time travel: how often each stretch is walked; 1 means no travel."""

    def times(self, schedule: Schedule) -> list[int]:
        return schedule.travel(schedule.uniform(self.steps, self.start), self.length, self.repeat)

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, A, q = problem.y, problem.A, prior.schedule
        x0_hat = x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=y))
        for t, s in pairwise(times):
            if s > t:  # travel back
                x_t = q.diffuse(x0_hat, s, rng.randn_like(x_t))
                continue
            x0_hat, eps = prior(x_t, t)
            r = A(x0_hat) - y
            x0_y = x0_hat - A.pinv(r)  # range from y, null space from x0_hat
            if s >= 0 and self.eta > 0:
                eps = mix(eps, rng.randn_like(x_t), self.eta)
            x_t = q.diffuse(x0_y, s, eps)
            yield Step(t, x0_y, {"residual": rms(r)})
        return x_t


PAPER: dict[str, Solver] = {
    # the paper's comparison: 100 steps (its timing, Table 3), eta 0.85 (official default)
    "sr2": DDNM(),
    "sr4": DDNM(),
    "inpaint": DDNM(),
}

SOURCE = Paper(
    "wang2023ddnm",
    "Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model",
    ("Wang, Yinhuai", "Yu, Jiwen", "Zhang, Jian"),
    "ICLR",
    2023,
    "https://arxiv.org/abs/2212.00490",
)
