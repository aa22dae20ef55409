"""RED-diff: HRDIS with fresh noise in every step."""

from typing import Annotated, ClassVar, final

from pydantic import Field

from ..operators.problem import Problem
from ..priors.base import Prior
from ..rng import ImageRNG, Replay
from .base import Run, Solver, settings
from .hrdis import GENTLE, HRDIS, NOISE05, NOISE10, Family


@final
@settings
class REDDiff(Family):
    """RED-diff: the same update with fresh noise in every step (HRDIS with beta = 1 and a first update).

    Yields, Returns, Cost:
        as `HRDIS`.

    Reference:
        Mardani, Song, Kautz, Vahdat, A Variational Perspective on Solving Inverse Problems with Diffusion Models,
        ICLR 2024.

    Differs from the official code:
        NVlabs/RED-diff, commit 66482f2: as `HRDIS` (1) to (3).
    """

    summary: ClassVar[str] = "denoising regularization with fresh noise in every step"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "RED-diff, ICLR 2024"

    steps: Annotated[int, Field(ge=1)] = 1000
    """Network calls."""

    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        return HRDIS(beta=1.0, first_update=True, **self.shared()).run(prior, problem, times, rng)


# RED-diff as in its own repository's README (HDR, phase retrieval and nonlinear deblurring: its scripts). The HRDIS
# authors' fork runs nonlinear deblurring otherwise: data weight 0.02, W = const, down to 100.
PRESETS: dict[str, Solver] = {
    "inpaint":               REDDiff(steps=1000, lr=0.25, lambda_reg=0.25),
    "sr4":                   REDDiff(steps=1000, lr=0.1, lambda_reg=0.25),
    "hdr":                   REDDiff(steps=1000, lr=0.5, lambda_reg=0.25),
    "phase":                 REDDiff(steps=1000, lr=0.5, lambda_reg=0.25),
    "deblur-nonlinear":      REDDiff(steps=1000, lr=0.5, lambda_reg=0.25),
    "inpaint-noise10":       REDDiff(steps=1000, lr=0.25, lambda_reg=1.0),
    "inpaint@default":       REDDiff(**GENTLE, lr=0.5),
    "sr4@default":           REDDiff(**GENTLE, lr=0.5),
    "sr2@default":           REDDiff(**GENTLE, lr=0.5),
    "denoise-noise05@default": REDDiff(**NOISE05),
    "denoise-noise10@default": REDDiff(**NOISE10),
}  # fmt: skip
