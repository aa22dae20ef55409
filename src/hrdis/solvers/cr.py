"""CR: HRDIS without fresh noise."""

from typing import ClassVar, final

from ..operators.problem import Problem
from ..priors.base import Prior
from ..rng import ImageRNG, Replay
from .base import Run, Solver, settings
from .hrdis import GENTLE, HRDIS, Family


@final
@settings
class CR(Family):
    """Consistency regularization: the same update with the network's own noise only (HRDIS with beta = 0).

    Deterministic after the first draw. Sharper than RED-diff but oversaturated, as the paper shows.

    Yields, Returns, Cost:
        as `HRDIS`.

    Reference:
        HRDIS, ICLR 2025: Section 3, Eq. 11-12; run as Algorithm 1 with beta = 0.
    """

    summary: ClassVar[str] = "consistency regularization: reuses the predicted noise alone"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "HRDIS, ICLR 2025 (ablation)"

    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        return HRDIS(beta=0.0, **self.shared()).run(prior, problem, times, rng)


PRESETS: dict[str, Solver] = {
    "inpaint":               CR(steps=150, grid="stride", lr=0.1, lambda_reg=0.25),
    "sr4":                   CR(steps=100, grid="stride", lr=0.5, lambda_reg=0.20),
    "inpaint@default":       CR(**GENTLE, lr=0.5),
    "sr4@default":           CR(**GENTLE, lr=0.5),
}  # fmt: skip
