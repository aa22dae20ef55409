"""DiffPIR: plug-and-play restoration with half-quadratic splitting."""

from itertools import pairwise
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field

from ..linalg import rms
from ..operators.base import ProximalOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule, mix
from .base import Run, Sampler, Solver, Step, settings
from .papers import Paper


@final
@settings
class DiffPIR(Sampler):
    """Denoise, move towards the measurement by a proximal step, and diffuse again.

        x0_y = argmin_x ||A x - y||^2 + rho_t ||x - x0_hat||^2,   rho_t = lam sigma_n^2 / sigma_t^2
        eps' = (x_t - sqrt(alpha_bar_t) x0_y) / sqrt(1 - alpha_bar_t)
        x_s  = sqrt(alpha_bar_s) x0_y + sqrt(1 - alpha_bar_s) (sqrt(1 - zeta) eps' + sqrt(zeta) z)

    with x0_hat clamped to [-1, 1] and sigma_n = max(0.001, sigma_y / 2), the noise of an image in
    [0, 1]. Where A rounds or clips, ||A x - y|| is the distance to the images consistent with y.

    Yields:
        `Step` with x = x0_y and the root mean square residual of x0_hat.

    Returns:
        x0_y of the last call, (b, c, h, w), unclamped.

    Draws:
        x_T, then z per step where zeta > 0, except to s = -1.

    Cost:
        one network call per step, no derivative of the network; a linear solve, in closed form
        where A has an SVD, else by conjugate gradient.

    Reference:
        Zhu et al., Denoising Diffusion Models for Plug-and-Play Image Restoration, CVPRW 2023,
        Algorithm 1.

    Differs from the official code:
        yuanzhi-zhu/DiffPIR, commit 111d26e: (1) starts from noise, or with ``start`` from the
        operator's smooth picture, diffused; there from y, diffused by what its own noise leaves, or
        from y enlarged; (2) the last call moves to y and its x0_y is returned; there it has no
        effect, and the result is the state of time 0, whose noise of 0.01 it keeps; (3) there y,
        noise included, replaces the known pixels of a mask's result; (4) the proximal step is A's
        own, exact or by conjugate gradient, there in closed form for masks and periodic blurs, or
        one back-projection for bicubic enlarging; (5) guidance_scale (1), eta (0) and repeated
        steps (none) are left out; (6) the preset for enlarging has the script's zeta of 0.1, its
        configuration has 0.25. The mixture of units in rho_t (noise of [0, 1], images in [-1, 1])
        is kept, because it is part of what lam means.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(DiffPIR(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    requires: ClassVar = ProximalOperator
    noise: ClassVar[str] = "known"
    summary: ClassVar[str] = "proximal step towards y after each call"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "DiffPIR, CVPRW 2023"

    lam: Annotated[float, Field(gt=0)] = 1.0
    """Weight of the prior (lambda)."""
    zeta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of fresh noise (variance)."""

    def times(self, schedule: Schedule) -> list[int]:
        return schedule.quadratic(self.steps, self.start)

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, q = problem.y, prior.schedule
        A: ProximalOperator = problem.A  # type: ignore[assignment]
        x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=y))
        for t, s in pairwise(times):
            x0_hat = prior(x_t, t).x0_hat.clamp(-1, 1)
            rho = self.lam * max(0.001, problem.sigma_y / 2) ** 2 / float(q.sigma(t)) ** 2
            x0_y = A.prox(x0_hat, y, rho)
            eps = (x_t - q.signal(t) * x0_y) / q.noise(t)
            if s >= 0 and self.zeta > 0:
                eps = mix(eps, rng.randn_like(x_t), self.zeta**0.5)
            x_t = q.diffuse(x0_y, s, eps)
            yield Step(t, x0_y, {"residual": rms(A(x0_hat) - y)})
        return x_t


PAPER: dict[str, Solver] = {
    "inpaint": DiffPIR(steps=20, lam=1.0, zeta=1.0),  # official configs
    "sr4": DiffPIR(steps=100, lam=1.0, zeta=0.1),
    "sr2": DiffPIR(steps=100, lam=1.0, zeta=0.1),
}

SOURCE = Paper(
    "zhu2023diffpir",
    "Denoising Diffusion Models for Plug-and-Play Image Restoration",
    (
        "Zhu, Yuanzhi",
        "Zhang, Kai",
        "Liang, Jingyun",
        "Cao, Jiezhang",
        "Wen, Bihan",
        "Timofte, Radu",
        "Van Gool, Luc",
    ),
    "CVPRW",
    2023,
    "https://arxiv.org/abs/2305.08995",
)
