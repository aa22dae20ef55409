"""CR: HRDIS without fresh noise."""

from typing import ClassVar, final

from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from .base import Run, Solver, settings
from .hrdis import HRDIS, Family
from .hrdis import SOURCE as SOURCE


@final
@settings
class CR(Family):
    """Consistency regularization: HRDIS with the network's own noise only (beta = 0).

    Deterministic after the first draw. Sharper than RED-diff but oversaturated, as the paper shows.

    For t over the descending grid, in the symbols of `HRDIS`, with z for the first eps_prev:

        eps = eps_theta(a_t mu + b_t eps_prev, t)
        g   = -lambda_obs (N_x / M) J^T (y - A mu) + lambda_reg W(sigma_t) (eps - eps_prev)
        mu  = mu - Adam(g)                                     (no update in the first iteration)

    Yields:
        `Step` with x = mu after the update and the root mean square residual of y before it.

    Returns:
        mu after its last update, (b, c, h, w), unclamped.

    Draws:
        z in the first step; per step z_x before it if sigma_x0 > 0.

    Cost:
        one network call per step, no derivative of the network, memory of one call.

    Reference:
        HRDIS, ICLR 2025: Section 3, Eq. 11-12; run as Algorithm 1 with beta = 0.

    Differs from the official code:
        deng-ai-lab/HRDIS, commit 806aa58, with beta = 0: as `HRDIS` (1) to (6).

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(CR(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    summary: ClassVar[str] = "consistency regularization: reuses the predicted noise alone"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "HRDIS, ICLR 2025 (ablation)"

    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        return HRDIS(beta=0.0, **self.shared()).run(prior, problem, times, rng)


PAPER: dict[str, Solver] = {
    "inpaint":               CR(steps=150, grid="stride", lr=0.1, lambda_reg=0.25),
    "sr4":                   CR(steps=100, grid="stride", lr=0.5, lambda_reg=0.20),
}  # fmt: skip
