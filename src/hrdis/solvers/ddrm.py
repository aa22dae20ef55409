"""DDRM: denoising diffusion restoration, in the singular vectors of the operator."""

from itertools import pairwise
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import reciprocal, rms
from ..operators.base import SVDOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from .base import Run, Sampler, Solver, Step, settings
from .papers import Paper


@final
@settings
class DDRM(Sampler):
    """Spectral sampling: what the measurement knows better than the step's noise is taken from it.

    In the variance-exploding scale, w = sqrt(1 - alpha_bar_s) / sqrt(alpha_bar_s), with y' = U* y,
    x' = V* x0_hat and e' = V* eps, along the columns of V:

        s_i = 0             X = x' + sqrt(1 - eta^2) w e' + eta w z
        s_i w <= sigma_y    X = x' + sqrt(1 - eta^2) w (y' - s_i x') / sigma_y + eta w z
        s_i w >  sigma_y    X = (1 - eta_b) x' + eta_b y' / s_i
                                + sqrt(w^2 - (eta_b sigma_y / s_i)^2) z

        x_s = sqrt(alpha_bar_s) V X

    starting from N(y' / s_i, w^2 - (sigma_y / s_i)^2) where s_i w > sigma_y, and from noise
    elsewhere.

    Yields:
        `Step` with x = x0_hat and its root mean square residual.

    Returns:
        x0_hat of the last call; it agrees with y only as well as the network's own estimate does.

    Draws:
        z for x_T, then z per step except to s = -1; each in the space of images, and taken to the
        spectrum by V*.

    Cost:
        one network call per step, no derivative of the network, two applications of V and V*.

    Reference:
        Kawar, Elad, Ermon, Song, Denoising Diffusion Restoration Models, NeurIPS 2022, Eq. 7-8.

    Differs from the official code:
        bahjat-kawar/ddrm, commit 32b6b3c: (1) s_i = 0 is tested first; there, zeros kept inside S
        (masks, thresholded blurs) take the second rule under noise, and missing pixels copy the
        measurement's noise; (2) a tie s_i w = sigma_y takes the second rule, there the first; (3)
        one draw per step instead of three, and of an image, which V* takes to the spectrum; (4)
        where s_i = 0 nothing is divided by it, there U* y / s is infinite before it is left out;
        (5) ``steps`` is the exact number of calls, there the grid is `Schedule.stride`, which
        differs where steps does not divide the schedule; (6) guidance by a classifier is left out.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(DDRM(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    requires: ClassVar = SVDOperator
    noise: ClassVar[str] = "known"
    summary: ClassVar[str] = (
        "sampling in the singular vectors of A, which knows the noise; needs an SVD"
    )
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "DDRM, NeurIPS 2022"

    eta: Annotated[float, Field(ge=0, le=1)] = 0.85
    """Share of fresh noise where the measurement says little; 0 is deterministic."""
    eta_b: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the measurement where it says much."""

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, q, sigma_y = problem.y, prior.schedule, problem.sigma_y
        A: SVDOperator = problem.A  # type: ignore[assignment]
        z = rng.randn(problem.image_shape[1:], like=y)
        s_i = A.singulars(z)
        y_s, back = A.Ut(y), reciprocal(s_i)

        def spread(w: Tensor, share: float) -> Tensor:
            return (w**2 - (share * sigma_y * back) ** 2).clamp(min=0).sqrt()

        w = q.sigma(times[0])
        known = s_i * w > sigma_y
        if self.start is None:
            X = torch.where(known, y_s * back + spread(w, 1.0) * A.Vt(z), w * A.Vt(z))
            x_t = A.V(X) / w
        else:
            x_t = self.first(problem, q, times[0], z)
        for t, s in pairwise(times):
            x0_hat, eps = prior(x_t, t)
            w = q.sigma(s)
            x_s, e_s = A.Vt(x0_hat), A.Vt(eps)
            z_s = A.Vt(rng.randn_like(x_t)) if s >= 0 else torch.zeros_like(x_s)
            r = y_s - s_i * x_s
            along = torch.where(s_i > 0, r / sigma_y if sigma_y > 0 else torch.zeros_like(r), e_s)
            below = (
                x_s + (1 - self.eta**2) ** 0.5 * w * along + self.eta * w * z_s
            )  # Eq. 8, first and second row
            above = (
                (1 - self.eta_b) * x_s + self.eta_b * y_s * back + spread(w, self.eta_b) * z_s
            )  # third row
            x_t = q.signal(s) * A.V(torch.where(s_i * w > sigma_y, above, below))
            yield Step(t, x0_hat, {"residual": rms(problem.A(x0_hat) - y)})
        return x_t


PAPER: dict[str, Solver] = {
    "sr2": DDRM(),  # HRDIS, Table 3: 100 calls; eta and eta_b of the official code
    "sr4": DDRM(),
    "inpaint": DDRM(),
    "denoise": DDRM(),
}

SOURCE = Paper(
    "kawar2022ddrm",
    "Denoising Diffusion Restoration Models",
    ("Kawar, Bahjat", "Elad, Michael", "Ermon, Stefano", "Song, Jiaming"),
    "NeurIPS",
    2022,
    "https://arxiv.org/abs/2201.11793",
)
