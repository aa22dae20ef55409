"""CM-HRDIS: HRDIS on a consistency model."""

from typing import Annotated, ClassVar, final

from pydantic import Field

from ..operators.problem import Problem
from ..priors.base import Prior
from ..rng import ImageRNG, Replay
from .base import Run, Solver, settings
from .hrdis import HRDIS, Family


@final
@settings
class CMHRDIS(Family):
    """HRDIS whose denoised image is the output of a consistency model (a reconstruction).

    With x0_hat = f(x_t, t), eps = (x_t - sqrt(alpha_bar_t) x0_hat) / sqrt(1 - alpha_bar_t) and the hybrid noise n, the
    pull is lambda_reg (mu - x0_hat). Since sigma_t (eps - n) = mu - x0_hat for every prior, this *is* `HRDIS` on a
    prior that hands out f; what is left to say is where it may start: consistency models are trained for noise up to 80
    times the signal, which is t = 929.

    Yields, Returns, Draws, Cost:
        as `HRDIS`.

    Reference:
        HRDIS, ICLR 2025: section C.5 (qualitative; no code).
    """

    summary: ClassVar[str] = "HRDIS on a consistency model"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "HRDIS, ICLR 2025 (section C.5, reconstructed)"

    start: Annotated[int, Field(ge=0)] | None = 929
    """Largest time visited; above 929 a consistency model was never trained."""
    beta: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of fresh noise (variance)."""
    first_update: bool = False
    """Also update in the first iteration: Algorithm 1 as printed."""

    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        hrdis = HRDIS(beta=self.beta, first_update=self.first_update, **self.shared())
        return hrdis.run(prior, problem, times, rng)


PRESETS: dict[str, Solver] = {
    "inpaint": CMHRDIS(steps=150, grid="stride", lr=0.1, lambda_reg=0.25),  # HRDIS's of Table 5, from t = 929
}
