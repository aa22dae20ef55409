"""DR + DDIM: RED-diff with a denoised image of several network calls."""

from itertools import pairwise
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field

from ..linalg import rms
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule, mix
from .base import Run, Solver, Step, data_gradient, settings
from .hrdis import SOURCE as SOURCE
from .hrdis import Family


@final
@settings
class DRDDIM(Family):
    """Denoising regularization towards a target of DDIM steps with hybrid noise (reconstructed).

    For t over the grid, from fresh noise each time, with the ``substeps`` grid points t = tau_0 >
    tau_1 > ...:

        x0_hat, eps from sqrt(alpha_bar_t) mu + sqrt(1 - alpha_bar_t) z at t
        x0_hat, eps from sqrt(alpha_bar) x0_hat + sqrt(1 - alpha_bar)
            (sqrt(1 - beta) eps + sqrt(beta) z) at tau_1, ...
        g = -lambda_obs (N_x / M) J^T (y - A mu) + lambda_reg W(sigma_t) / sigma_t (mu - x0_hat),
            one Adam step on mu

    The paper gives this ablation one sentence (C.3, Table 8). Counts and parameters are ours. One
    sub-step is RED-diff.

    Yields:
        `Step` with x = mu after the update and the root mean square residual of y before it.

    Returns:
        mu after its last update, (b, c, h, w), unclamped.

    Draws:
        per step z_x if sigma_x0 > 0, then z, then z per further sub-step if beta > 0.

    Cost:
        ``substeps`` network calls per step (fewer where the grid ends), no derivative of the
        network.

    Reference:
        HRDIS, ICLR 2025: section C.3.

    Differs from the official code:
        no code was published for it.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(DRDDIM(steps=20), prior, problem, seeds=[0]).nfe
        39
    """

    summary: ClassVar[str] = "RED-diff with a target of several DDIM calls"
    cost: ClassVar[str] = "2 calls per step, no network gradient"
    reconstruction: ClassVar[bool] = True
    reference: ClassVar[str] = "HRDIS, ICLR 2025 (section C.3, reconstructed)"

    beta: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of fresh noise (variance) in the sub-steps."""
    substeps: Annotated[int, Field(ge=1, le=1_000)] = 2
    """Network calls per step."""

    def calls(self, times: list[int], schedule: Schedule) -> int:
        return sum(min(self.substeps, len(times) - 1 - i) for i in range(len(times) - 1))

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, A, q = problem.y, problem.A, prior.schedule
        mu, update = self.begin(problem)
        for i, (t, _) in enumerate(pairwise(times)):
            x = mu + self.sigma_x0 * rng.randn_like(mu) if self.sigma_x0 > 0 else mu
            x0_hat, eps = prior(q.diffuse(x, t, rng.randn_like(mu)), t)
            for tau in times[i + 1 : i + self.substeps]:
                if tau >= 0:
                    n = mix(eps, rng.randn_like(mu), self.beta**0.5) if self.beta > 0 else eps
                    x0_hat, eps = prior(q.diffuse(x0_hat, tau, n), tau)
            r, data = data_gradient(A, x, y)
            update(data, self.strength(q, t) / q.sigma(t) * (x - x0_hat))
            yield Step(t, mu.clone(), {"residual": rms(r)})
        return mu


PAPER: dict[str, Solver] = {
    "inpaint": DRDDIM(steps=150, grid="stride", lr=0.1, lambda_reg=0.25),  # HRDIS's of Table 5
    "sr4": DRDDIM(steps=100, grid="stride", lr=0.5, lambda_reg=0.20),
}
