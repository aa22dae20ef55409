"""DDNM+: the null-space model for noisy measurements."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import rms
from ..operators.base import LinearOperator, Operator, SVDOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule, mix
from .base import Run, Sampler, Solver, Step, settings
from .ddnm import SOURCE as SOURCE


@final
@settings
class DDNMPlus(Sampler):
    """DDNM for noisy measurements: as much of the residual as the step's noise can hide.

    That share is found for each component.

    With a = sqrt(alpha_bar_s), b = sqrt(1 - alpha_bar_s) and s_i the singular values, along the
    columns of V:

        s_i = 0               lambda = 1                                     d1 = eta b
                                                                             d2 = sqrt(1 - eta^2) b
        b >= a sigma_y / s_i  lambda = 1                                     d1 = left       d2 = 0
        b <  a sigma_y / s_i  lambda = s_i b sqrt(1 - eta^2) / (a sigma_y)   d1 = eta b      d2 = 0

        left = sqrt(b^2 - (a sigma_y / s_i)^2)

        x0_y = x0_hat - V lambda V* A^+ (A x0_hat - y)
        x_s  = a x0_y + V (d1 V* z + d2 V* eps)

    ``form="simplified"`` takes one lambda = min(1, b / (a sigma_y)) for all components, and needs
    A^+ only:

        x_s  = a (x0_hat - lambda A^+ (A x0_hat - y))
               + sqrt(b^2 - (a lambda sigma_y)^2) (sqrt(1 - eta^2) eps + eta z)

    Without noise both are DDNM.

    Yields:
        `Step` with x = x0_y and the root mean square residual of the network's own estimate.

    Returns:
        x0_y of the last call, (b, c, h, w), unclamped.

    Draws:
        x_T, then z per move (also per move up) while its factor is not zero: not at s = -1, and not
        with eta = 0 in the simplified form or without noise.

    Cost:
        one network call per move down, no derivative of the network.

    Reference:
        Wang, Yu, Zhang, Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model,
        ICLR 2023, Section 3.3 and Appendix I.

    Differs from the official code:
        wyhuai/DDNM, commit 00b58ea: (1) V (d2 eps) there lacks V*, which is right for masks only;
        (2) its simplified path takes alpha_bar for its square root and scales the noise once more;
        (3) any operator with an SVD is taken; there block sensing, bicubic enlarging and
        two-dimensional blurs have no noisy form; (4) at a tie b = a sigma_y / s_i no noise is
        drawn, there d1 and d2 keep eta b and sqrt(1 - eta^2) b; (5) `DDNM` (2) to (4) hold here
        too.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(DDNMPlus(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    requires: ClassVar = SVDOperator
    noise: ClassVar[str] = "known"
    summary: ClassVar[str] = "DDNM that knows the noise; linear"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "DDNM+, ICLR 2023"

    eta: Annotated[float, Field(ge=0, le=1)] = 0.85
    """Share of fresh noise where y says nothing; 0 is deterministic."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Time travel: how many grid points back."""
    repeat: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Time travel: how often each stretch is walked; 1 means no travel."""
    form: Literal["exact", "simplified"] = "exact"
    """exact: per singular value; simplified: one share for all, for operators without a known
    SVD.
    """

    def needs(self) -> type[Operator]:
        return self.requires if self.form == "exact" else LinearOperator

    def times(self, schedule: Schedule) -> list[int]:
        return schedule.travel(schedule.uniform(self.steps, self.start), self.length, self.repeat)

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, q = problem.y, prior.schedule
        A: LinearOperator = problem.A  # type: ignore[assignment]
        x0_hat = x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=y))
        move = self._exact if self.form == "exact" and problem.sigma_y > 0 else self._simplified
        for t, s in pairwise(times):
            if s > t:  # travel back
                x_t = q.diffuse(x0_hat, s, rng.randn_like(x_t))
                continue
            x0_hat, eps = prior(x_t, t)
            r = A(x0_hat) - y
            fresh = s >= 0 and (self.eta > 0 or move == self._exact)
            z = rng.randn_like(x_t) if fresh else torch.zeros_like(x_t)
            correction, noise = move(problem, A.pinv(r), eps, z, q, s)
            x0_y = x0_hat - correction
            x_t = q.signal(s) * x0_y + noise
            yield Step(t, x0_y, {"residual": rms(r)})
        return x_t

    def _exact(
        self, problem: Problem, back: Tensor, eps: Tensor, z: Tensor, q: Schedule, s: int
    ) -> tuple[Tensor, Tensor]:
        """lambda A^+ r, and the noise of x_s."""
        A: SVDOperator = problem.A  # type: ignore[assignment]
        sv, a, b = A.singulars(z), q.signal(s), q.noise(s)
        blind, hidden = sv == 0, sv * b >= a * problem.sigma_y
        ratio = (sv * b / (a * problem.sigma_y)).clamp(
            max=1
        )  # 1 where the step's noise hides that of y
        kept = torch.where(blind | hidden, torch.ones_like(sv), ratio * (1 - self.eta**2) ** 0.5)
        left = (
            (b**2 - (a * problem.sigma_y / sv.where(~blind, torch.ones_like(sv))) ** 2)
            .clamp(min=0)
            .sqrt()
        )
        d1 = torch.where(blind | ~hidden, (self.eta * b).to(sv), left)
        d2 = torch.where(blind, ((1 - self.eta**2) ** 0.5 * b).to(sv), torch.zeros_like(sv))
        return A.filter(kept, back), A.V(d1 * A.Vt(z) + d2 * A.Vt(eps))

    def _simplified(
        self, problem: Problem, back: Tensor, eps: Tensor, z: Tensor, q: Schedule, s: int
    ) -> tuple[Tensor, Tensor]:
        a, b, sigma_y = q.signal(s), q.noise(s), problem.sigma_y
        kept = min(1.0, float(b / (a * sigma_y))) if sigma_y > 0 else 1.0
        gamma = (b**2 - (a * kept * sigma_y) ** 2).clamp(min=0).sqrt()
        return kept * back, gamma * mix(eps, z, self.eta)


PAPER: dict[str, Solver] = {
    "sr2": DDNMPlus(),  # official: 100 steps, eta 0.85
    "sr4": DDNMPlus(),
    "inpaint": DDNMPlus(),
    "denoise": DDNMPlus(),
}
