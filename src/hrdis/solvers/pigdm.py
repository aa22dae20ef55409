"""PiGDM: pseudo-inverse guidance."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import dot, rms
from ..operators.base import LinearOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import mix
from .base import Run, Sampler, Solver, Step, settings, through_network
from .papers import Paper


@final
@settings
class PiGDM(Sampler):
    """DDIM steps, guided by the pseudo-inverse of the residual through the network's Jacobian.

        v   = A^+ (y - A x0_hat)                                          (sigma_y = 0)
        v   = A* (A A* + sigma_y^2 / r_t^2 I)^-1 (y - A x0_hat)
            (sigma_y > 0, with r_t^2 = 1 - alpha_bar_t)
        g   = grad_{x_t} <v, x0_hat>                                      (v held still)
        x_s = DDIM(x0_hat, eps) + weight sqrt(alpha_bar_s alpha_bar_t) g

    ``form="score"`` takes g for what it stands for, r_t^2 times the gradient of log p(y | x_t), and
    conditions the estimate. Then x0_hat += weight g / sqrt(alpha_bar_t), eps follows, and x_s =
    DDIM(x0_hat, eps). With many steps it is exact for a standard normal image, and it does not pull
    harder the more steps there are.

    On noiseless masks ``hard_replace`` puts the observed pixels into x0_hat, as the public code
    does: the result then satisfies A x = y.

    Yields:
        `Step` with x = x0_hat (the answer in the last step) and the root mean square residual of
        the network's own.

    Returns:
        the last DDIM step's x0_hat, guided, (b, c, h, w), unclamped.

    Draws:
        z for x_T = sqrt(alpha_bar) A^+ y + sqrt(1 - alpha_bar) z, then z per step where eta > 0,
        except to s = -1.

    Cost:
        one network call and one backward pass through it per step: memory of the activations. With
            noise, a linear
        solve per step: closed form where A has an SVD, else conjugate gradient.

    Reference:
        Song, Vahdat, Mardani, Kautz, Pseudoinverse-Guided Diffusion Models for Inverse Problems,
        ICLR 2023, Algorithm 1.

    Differs from the official code:
        NVlabs/RED-diff, commit 66482f2 (the paper's own is not public): (1) it reads sigma_y and
        ignores it, here the paper's noisy form is taken; (2) its replacement of observed pixels by
        y is done without noise only; (3) for HDR it adds 1500 times the standard deviation of
        x0_hat to what is maximised, here nothing; (4) its options awd (on here) and mcg (off) are
        left out; (5) ``steps`` is the exact number of calls, there the grid is `Schedule.stride`;
        (6) weight is 1 as there, while the copy in deng-ai-lab/HRDIS, commit 806aa58, has 0.01.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(PiGDM(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    requires: ClassVar = LinearOperator
    descends: ClassVar = True
    noise: ClassVar[str] = "known"
    summary: ClassVar[str] = "DDIM guided by the pseudo-inverse through the network; linear"
    cost: ClassVar[str] = "1 call and 1 backward pass per step"
    reference: ClassVar[str] = "PiGDM, ICLR 2023"

    eta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of fresh noise of a DDIM step; 0 is deterministic."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Strength of the guidance, 1 in the paper."""
    form: Literal["paper", "score"] = "paper"
    """paper: the guidance as printed, added to every step; score: as a gradient of log p(y |
    x_t).
    """
    hard_replace: bool = True
    """On noiseless masks, put the observed pixels into x0_hat and guide the others only."""

    def passes(self) -> int:
        return 1

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, q = problem.y, prior.schedule
        A: LinearOperator = problem.A  # type: ignore[assignment]
        hard = self.hard_replace and A.holes and problem.sigma_y == 0
        mask = A.observed.to(y) if hard and A.observed is not None else None
        start = A.pinv(y) if self.start is None else A.smooth(y)
        x_t = q.diffuse(start, times[0], rng.randn(problem.image_shape[1:], like=y))
        for t, s in pairwise(times):
            rho = problem.sigma_y**2 / float(1 - q[t])

            def pull(x0_hat: Tensor, rho: float = rho) -> Tensor:
                x = x0_hat.detach()
                return dot(A.prox(x, y, rho) - x, x0_hat)

            (x0_hat, eps), _, g = through_network(prior, x_t, t, pull)
            r = A(x0_hat) - y
            if mask is not None:
                x0_hat, g = mask * y + (1 - mask) * x0_hat, (1 - mask) * g
            elif self.form == "score":
                x0_hat = x0_hat + self.weight / q.signal(t) * g
                eps = (x_t - q.signal(t) * x0_hat) / q.noise(t)
                g = torch.zeros_like(g)
            share = q.ddim_share(t, s, self.eta)
            n = mix(eps, rng.randn_like(x_t), share) if share > 0 else eps
            x_t = q.diffuse(x0_hat, s, n) + self.weight * q.signal(s) * q.signal(t) * g
            yield Step(t, x0_hat if s >= 0 else x_t.clone(), {"residual": rms(r)})
        return x_t


PAPER: dict[str, Solver] = {
    "sr2": PiGDM(),  # HRDIS, Table 3: 100 calls, eta 1
    "sr4": PiGDM(),
    "inpaint": PiGDM(),
    "denoise": PiGDM(),
}

SOURCE = Paper(
    "song2023pigdm",
    "Pseudoinverse-Guided Diffusion Models for Inverse Problems",
    ("Song, Jiaming", "Vahdat, Arash", "Mardani, Morteza", "Kautz, Jan"),
    "ICLR",
    2023,
    "https://openreview.net/forum?id=9_gsMA8MRKQ",
)
