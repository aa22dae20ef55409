"""CM-HRDIS: HRDIS on a consistency model."""

from typing import Annotated, ClassVar, final

from pydantic import Field

from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from .base import Run, Solver, settings
from .hrdis import HRDIS, Family
from .hrdis import SOURCE as SOURCE


@final
@settings
class CMHRDIS(Family):
    """HRDIS whose denoised image is the output of a consistency model (a reconstruction).

    With the hybrid noise n of `HRDIS` and x_t = a_t mu + b_t n, in its symbols:

        x0_hat = f(x_t, t)
        g      = -lambda_obs (N_x / M) J^T (y - A mu) + lambda_reg W(sigma_t) / sigma_t
                 (mu - x0_hat)
        mu     = mu - Adam(g)                                  (no update in the first iteration)

    Since sigma_t (eps - n) = mu - x0_hat for every prior, this *is* `HRDIS` on a prior that hands
    out f. What is left to say is where it may start. Consistency models are trained for noise up to
    80 times the signal, which is t = 929.

    Yields:
        `Step` with x = mu after the update and the root mean square residual of y before it.

    Returns:
        mu after its last update, (b, c, h, w), unclamped.

    Draws:
        per step z_x if sigma_x0 > 0, then z if the step takes fresh noise (beta > 0, or the first
        step).

    Cost:
        one network call per step, no derivative of the network, memory of one call.

    Reference:
        HRDIS, ICLR 2025: section C.5 (qualitative; no code).

    Differs from the official code:
        no code was published for it.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(CMHRDIS(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    summary: ClassVar[str] = "HRDIS on a consistency model"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reconstruction: ClassVar[bool] = True
    of_consistency: ClassVar[bool] = True
    reference: ClassVar[str] = "HRDIS, ICLR 2025 (section C.5, reconstructed)"

    start: Annotated[int, Field(ge=0, le=100_000)] | None = 929
    """Largest time visited; above 929 a consistency model was never trained."""
    beta: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of fresh noise (variance)."""
    first_update: bool = False
    """Also update in the first iteration: Algorithm 1 as printed."""

    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        hrdis = HRDIS(beta=self.beta, first_update=self.first_update, **self.shared())
        return hrdis.run(prior, problem, times, rng)


PAPER: dict[str, Solver] = {
    # HRDIS's of Table 5, from t = 929
    "inpaint": CMHRDIS(steps=150, grid="stride", lr=0.1, lambda_reg=0.25),
}
