"""RePaint: inpainting by ancestral sampling, with the known pixels noised and put in."""

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
class RePaint(Sampler):
    """Ancestral sampling with the known part noised and put in, and resampling; noiseless
    measurements.

    For t to s over the grid, with m(t, s), std(t, s) of `Schedule.ancestral` and P = A^+ A, which
    for a mask keeps the known pixels:

        known   = sqrt(alpha_bar_s) A^+ y + sqrt(1 - alpha_bar_s) P z
        unknown = m(t, s)(x0_hat, x_t) + std(t, s) z'
        x_s     = known + (1 - P) unknown

    and up again, from s to t, where it resamples:

        x_t = sqrt(alpha_bar_t / alpha_bar_s) x_s + sqrt(1 - alpha_bar_t / alpha_bar_s) z

    The result satisfies A x = y. With P a low-pass filter and no resampling it is the step of ILVR
    (Choi et al., ICCV 2021).

    Yields:
        `Step` with x = x0_hat - A^+ (A x0_hat - y) and the root mean square residual of x0_hat.

    Returns:
        x of the last step, (b, c, h, w), unclamped where it is known.

    Draws:
        x_T; per move down z' and z, in this order, but not at s = -1; z per move up.

    Cost:
        one network call per move down, no derivative of the network. The paper's settings make
        2410 calls.

    Reference:
        Lugmayr, Danelljan, Romero, Yu, Timofte, Van Gool, RePaint: Inpainting using Denoising
        Diffusion Probabilistic Models, CVPR 2022, Algorithm 1.

    Differs from the official code:
        andreas128/RePaint, commit 0fea066: (1) the known pixels are put in after each step, as in
        the paper; there they are put in before each network call but the first, at its time, with
        new noise after a climb too, and not into the result; (2) the paper has masks, here A is any
        linear operator; (3) times are spread as in the other solvers here, there they include the
        top and are rounded; (4) its shorter jumps inside jumps and its noise that adds up over the
        steps, both off in its configurations, are left out. x0_hat is clamped to [-1, 1] and a
        variance that the network learned is used, as there. jychoi118/ilvr_adm, commit 9b84f26, for
        ILVR: its filter resizes down and up, which is no projection; it noises y to t where x_s has
        the noise of s, and leaves out the last step and those below range_t.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> mask = torch.ones(8, 8)
        >>> mask[2:5, 2:5] = 0
        >>> x = torch.ones(1, 1, 8, 8) / 2
        >>> problem = hrdis.measure(hrdis.operators.Inpainting(mask), x, seeds=[0])
        >>> hrdis.solve(RePaint(steps=20, length=5, repeat=2), prior, problem, seeds=[0]).nfe
        35
    """

    requires: ClassVar = LinearOperator
    noiseless: ClassVar = True
    noise: ClassVar[str] = "noiseless"
    summary: ClassVar[str] = "ancestral sampling, known pixels noised and put in; noiseless, linear"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "RePaint, CVPR 2022"

    length: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Resampling: how many grid points back (the paper's jump length j)."""
    repeat: Annotated[int, Field(ge=1, le=1_000)] = 10
    """Resampling: how often each stretch is walked (the paper's r); 1 means no resampling."""

    def times(self, schedule: Schedule) -> list[int]:
        return schedule.travel(schedule.uniform(self.steps, self.start), self.length, self.repeat)

    def draws(self, times: list[int]) -> int:
        return 2 * (len(times) - 1)

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, A, q = problem.y, problem.A, prior.schedule
        x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=y))
        for t, s in pairwise(times):
            if s > t:  # resample: noise the whole picture again
                x_t = mix(x_t, rng.randn_like(x_t), (1 - q[s] / q[t]).sqrt())
                continue
            found = prior(x_t, t)
            x0_hat = found.x0_hat.clamp(-1, 1)
            r = A(x0_hat) - y
            on_x0, on_xt, std = q.ancestral(t, s, found.v)
            unknown = on_x0 * x0_hat + on_xt * x_t
            offset = unknown
            if s >= 0:
                unknown = unknown + std * rng.randn_like(x_t)
                offset = unknown - q.noise(s) * rng.randn_like(x_t)
            # known + (1 - P) unknown, with one A and one A^+
            x_t = unknown - A.pinv(A(offset) - q.signal(s) * y)
            yield Step(t, x0_hat - A.pinv(r), {"residual": rms(r)})
        return x_t


PAPER: dict[str, Solver] = {
    # Sec. 5.1: T = 250, r = 10, jumps of j = 10
    "inpaint": RePaint(steps=250),
}

SOURCE = Paper(
    "lugmayr2022repaint",
    "RePaint: Inpainting using Denoising Diffusion Probabilistic Models",
    (
        "Lugmayr, Andreas",
        "Danelljan, Martin",
        "Romero, Andres",
        "Yu, Fisher",
        "Timofte, Radu",
        "Van Gool, Luc",
    ),
    "CVPR",
    2022,
    "https://arxiv.org/abs/2201.09865",
)
