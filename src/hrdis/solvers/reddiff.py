"""RED-diff: HRDIS with fresh noise in every step."""

from typing import Annotated, ClassVar, final

from pydantic import Field

from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from .base import Run, Solver, settings
from .hrdis import HRDIS, Family
from .papers import Paper


@final
@settings
class REDDiff(Family):
    """RED-diff: the same update with fresh noise in every step, and a first update.

    It is HRDIS with beta = 1.

    For t over the descending grid, in the symbols of `HRDIS`:

        eps = eps_theta(a_t mu + b_t z, t)
        g   = -lambda_obs (N_x / M) J^T (y - A mu) + lambda_reg W(sigma_t) (eps - z)
        mu  = mu - Adam(g)

    Yields:
        `Step` with x = mu after the update and the root mean square residual of y before it.

    Returns:
        mu after its last update, (b, c, h, w), unclamped.

    Draws:
        per step z_x if sigma_x0 > 0, then z.

    Cost:
        one network call per step, no derivative of the network, memory of one call.

    Reference:
        Mardani, Song, Kautz, Vahdat, A Variational Perspective on Solving Inverse Problems with
        Diffusion Models, ICLR 2024.

    Differs from the official code:
        NVlabs/RED-diff, commit 66482f2: as `HRDIS` (1) to (6). The presets take lr and lambda from
        its script sample_test.sh, which makes 10 steps, and 1000 steps from sample_batch.sh, which
        has lambda 1 and lr 0.1. For holes sample_test.sh also has sigma_x0 = 1e-4, here 0. Its
        README has 100 steps, its configuration 50, with lr = 0.1 for inpainting. Several times a
        step ("parallel") are left out.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(REDDiff(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    summary: ClassVar[str] = "denoising regularization with fresh noise in every step"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "RED-diff, ICLR 2024"

    steps: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Network calls."""

    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        return HRDIS(beta=1.0, first_update=True, **self.shared()).run(prior, problem, times, rng)


# RED-diff as in its own repository: lr and lambda of its script sample_test.sh (10 steps), 1000
# steps as in sample_batch.sh (its README has 100, its configuration 50). The HRDIS authors' fork
# runs nonlinear deblurring otherwise: data weight 0.02, W = const, down to 100.
PAPER: dict[str, Solver] = {
    "inpaint":               REDDiff(steps=1000, lr=0.25, lambda_reg=0.25),
    "sr4":                   REDDiff(steps=1000, lr=0.1, lambda_reg=0.25),
    "hdr":                   REDDiff(steps=1000, lr=0.5, lambda_reg=0.25),
    "phase":                 REDDiff(steps=1000, lr=0.5, lambda_reg=0.25),
    "deblur-nonlinear":      REDDiff(steps=1000, lr=0.5, lambda_reg=0.25),
    "inpaint-noise10":       REDDiff(steps=1000, lr=0.25, lambda_reg=1.0),
}  # fmt: skip

SOURCE = Paper(
    "mardani2024reddiff",
    "A Variational Perspective on Solving Inverse Problems with Diffusion Models",
    ("Mardani, Morteza", "Song, Jiaming", "Kautz, Jan", "Vahdat, Arash"),
    "ICLR",
    2024,
    "https://arxiv.org/abs/2305.04391",
)
