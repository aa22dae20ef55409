"""DPS: diffusion posterior sampling."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import norm
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import mix
from .base import Run, Sampler, Solver, Step, settings, through_network
from .papers import Paper

#: Least brightness, of white, that a Poisson weight is taken of: a dark pixel counts photons, too.
DARKEST = 0.01


@final
@settings
class DPS(Sampler):
    """Ancestral sampling, guided by the gradient of the residual's norm through the network.

        x0_hat = clamp(x0_hat(x_t), -1, 1)
        x_s    = ancestral(x_t, x0_hat) - zeta grad_{x_t} ||y - A x0_hat||

    The ancestral step has the variance that the network learned, where it learned one (ADM), else
    the small one. The norm is over one image, and over all of y, so that what stands in the holes
    of a mask counts (`hrdis.measure` puts nothing there). The gradient flows through the clamp:
    saturated pixels give none. ``form="ddim"`` is RED-diff's version: DDIM steps without clamp,
    from x_T = sqrt(alpha_bar) A^+ y + sqrt(1 - alpha_bar) z. Its weight w is zeta / 2.

    Counted photons vary as much as they are many. For them ``likelihood="poisson"`` weighs the
    residual by the inverse variances, with u = (y + 1) / 2, at least 0.01:

        ||y - A x0_hat||_L,   L_jj = 1 / (2 u_j)

    At mid-grey that is the norm without weights, so that zeta keeps its meaning.

    Yields:
        `Step` with x = x0_hat before guidance (the answer in the last step) and the root mean
        square residual.

    Returns:
        x_t after the last step, (b, c, h, w), unclamped.

    Draws:
        x_T, then z per step except to s = -1 (with form="ddim": where eta > 0).

    Cost:
        one network call and one backward pass through it per step: memory of the activations. The
        norm grows with the image, so that zeta belongs to a size (256 x 256 in the papers' presets)
        unless ``reference_side`` names one.

    Reference:
        Chung, Kim, McCann, Klasky, Ye, Diffusion Posterior Sampling for General Noisy Inverse
        Problems, ICLR 2023, Algorithm 1, and Algorithm 2 with Eq. 19 for Poisson noise.

    Differs from the official code:
        DPS2022/diffusion-posterior-sampling, commit effbde7: (1) norms per image, there one over
        the batch; (2) no noise is drawn for a diffused y, which it leaves unused; (3) for Poisson
        noise it multiplies the norm without weights by the mean of 1 / abs(y), y in [-1, 1], which
        has no bound; here the weights are the paper's, of y in [0, 1], and bounded; (4) no noise is
        drawn for the last step, there it is drawn and left out; (5) a network that learned no
        variances gets the small ones; (6) with fewer steps than the schedule has, times are spread
        as in the other solvers here; there they include the top and are rounded. NVlabs/RED-diff,
        commit 66482f2 (form="ddim"): per image as there; it knows no Poisson noise, its grid is
        `Schedule.stride`, and its option original=False (guidance without the norm) is left out.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(DPS(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    descends: ClassVar = True
    summary: ClassVar[str] = "ancestral sampling with the residual's gradient through the network"
    cost: ClassVar[str] = "1 call and 1 backward pass per step"
    reference: ClassVar[str] = "DPS, ICLR 2023"

    steps: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Network calls."""
    zeta: Annotated[float, Field(ge=0)] = 0.3
    """Strength of the guidance, dimensionless."""
    form: Literal["ancestral", "ddim"] = "ancestral"
    """ancestral: the authors'; ddim: RED-diff's."""
    eta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of fresh noise of a DDIM step (form="ddim")."""
    likelihood: Literal["gaussian", "poisson"] = "gaussian"
    """What the noise of y is taken for; poisson weighs bright pixels less."""
    reference_side: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Guide as an image of this side would be guided, whatever its size, so that zeta does not
    depend on it.
    """

    def passes(self) -> int:
        return 1

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, A, q = problem.y, problem.A, prior.schedule
        z = rng.randn(problem.image_shape[1:], like=y)
        x_t = self.first(problem, q, times[0], z)
        if self.form == "ddim" and self.start is None:
            x_t = q.diffuse(A.pinv(y), times[0], z)
        clamped = self.form == "ancestral"
        side = (z[0].numel() / z.shape[1]) ** 0.5
        zeta = self.zeta * (side / self.reference_side if self.reference_side else 1.0)

        self.root_of_weights(problem)  # refuses what is no picture before the first call

        def residual(x0_hat: Tensor) -> Tensor:
            return y - A(x0_hat.clamp(-1, 1) if clamped else x0_hat)

        def distance(x0_hat: Tensor) -> Tensor:
            # Made anew each time, as a caller's inference mode does not reach here.
            root = self.root_of_weights(problem)
            return norm(root * residual(x0_hat))

        for t, s in pairwise(times):
            found, d, gradient = through_network(prior, x_t, t, distance)
            if self.likelihood == "poisson":
                d = norm(residual(found.x0_hat))
            x0_hat = found.x0_hat.clamp(-1, 1) if clamped else found.x0_hat
            if self.form == "ancestral":
                on_x0, on_xt, std = q.ancestral(t, s, found.v)
                x_s = on_x0 * x0_hat + on_xt * x_t
                if s >= 0:
                    x_s = x_s + std * rng.randn_like(x_t)
            else:
                share, noise = q.ddim_share(t, s, self.eta), found.eps
                if share > 0:
                    noise = mix(noise, rng.randn_like(x0_hat), share)
                x_s = q.diffuse(x0_hat, s, noise)
            x_t = x_s - zeta * gradient
            yield Step(t, x0_hat if s >= 0 else x_t.clone(), {"residual": d / y[0].numel() ** 0.5})
        return x_t

    def root_of_weights(self, problem: Problem) -> Tensor | float:
        """Return the root of the weights L of the residual, of y's shape; 1 for Gaussian noise.

        Raises:
            ValueError: for Poisson noise of what is no picture.
        """
        if self.likelihood == "gaussian":
            return 1.0
        if not problem.A.picture:
            raise ValueError(
                f"DPS takes Poisson noise for that of counted photons of a picture, but "
                f"{type(problem.A).__name__} measures none. likelihood='gaussian' is expected."
            )
        u = problem.y if problem.A.unit_range else (problem.y + 1) / 2
        return (2 * u.clamp(min=DARKEST)) ** -0.5


PAPER: dict[str, Solver] = {
    "inpaint": DPS(zeta=0.5),  # official configs: inpainting 0.5; x4, blur 0.3; 1000 steps
    "sr4": DPS(zeta=0.3),
    "sr2": DPS(zeta=0.3),
    "deblur": DPS(zeta=0.3),
    "phase": DPS(zeta=1.0),  # official config: 1.0
    "hdr": DPS(zeta=0.3),  # nobody says: our choice
    "cs": DPS(zeta=0.3),  # nobody says: our choice
}

SOURCE = Paper(
    "chung2023dps",
    "Diffusion Posterior Sampling for General Noisy Inverse Problems",
    (
        "Chung, Hyungjin",
        "Kim, Jeongsol",
        "McCann, Michael Thompson",
        "Klasky, Marc Louis",
        "Ye, Jong Chul",
    ),
    "ICLR",
    2023,
    "https://arxiv.org/abs/2209.14687",
)
