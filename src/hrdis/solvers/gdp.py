"""GDP: generative diffusion prior."""

from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field

from ..linalg import rms
from ..operators.base import BlindOperator, LinearOperator, Operator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from .base import Run, Sampler, Solver, Step, data_gradient, parameter_gradients, settings
from .papers import Paper


@final
@settings
class GDP(Sampler):
    """Ancestral sampling, pulled towards the measurement without a derivative of the network.

    The ancestral step has the variance that the network learned, where it learned one (ADM), else
    the small one. With q = x0_hat (clamped to [-1, 1]) or q = x_t:

        x_s = ancestral(x_t, x0_hat) - kappa (A^+ A)^T A^+ (A q - y)      (A linear)
        x_s = ancestral(x_t, x0_hat) - kappa (N_x / M) J^T (A(q) - y)     (otherwise)

    with N_x entries in an image and M in y. ``blind=True`` estimates the parameters theta of a
    `BlindOperator` too. It takes plain gradient steps at the same q, from the operator's own start:

        theta = theta - rate grad_theta mean (y - A(q; theta))^2 / 4
            (images in [0, 1]: the authors' loss)

    The authors' strength s, for images in [0, 1] and a mean over the image, is kappa = s / (2 N_x).
    So 4000 at 3 x 256 x 256 is 0.0102.

    Yields:
        `Step` with x = x0_hat (the answer in the last step) and the root mean square residual of q.

    Returns:
        x_t after the last step, (b, c, h, w), unclamped.

    Draws:
        x_T, then z per step except to s = -1.

    Cost:
        one network call per step, no derivative of the network.

    Reference:
        Fei et al., Generative Diffusion Prior for Unified Image Restoration and Enhancement, CVPR
        2023.

    Differs from the official code:
        Fayeben/GenerativeDiffusionPrior, commit b34494c: (1) its "xt" script for inpainting is the
        x0 one; (2) an optimizer that gets no gradient is left out; (3) its blind low-light script
        draws f from N(0, 1) / 100 and M from U(0, 1) / 10^4 and guides every patch of 256 x 256
        pixels twice a step: here theta starts where the operator says, and one pass covers the
        image; (4) its scripts "v1", which shift eps instead of the mean, are left out; (5) an A
        without A^+ is guided by the gradient of the residual; (6) blurs and grey pictures are
        compared there with y itself, so that A* takes the place of A^+, which here divides by small
        singular values; (7) its HDR script restores from three exposures, each with f and M of its
        own, and lends the preset for `HDR` its strength alone; (8) with fewer steps than the
        schedule has, times are spread as in the other solvers here. As there, and unlike the paper,
        the guidance is not multiplied by the step's variance.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(GDP(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    descends: ClassVar = True
    noise: ClassVar[str] = "ignored"
    summary: ClassVar[str] = (
        "ancestral sampling with the residual's gradient at the estimate; no network gradient"
    )
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "GDP, CVPR 2023"

    steps: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Network calls."""
    strength: Annotated[float, Field(ge=0)] | None = None
    """The authors' strength s; it depends on the size of the image. Instead of kappa."""
    kappa: Annotated[float, Field(ge=0)] = 4000 / (2 * 3 * 256**2)
    """Strength per pixel, s / (2 N_x), which does not."""
    guide: Literal["x0", "xt"] = "x0"
    """The image that is compared with the measurement: the denoised one, or the noisy one."""
    blind: bool = False
    """Also estimate the operator's parameters, as for low light."""
    rate: Annotated[float, Field(gt=0)] = 1.0
    """Step length of the parameters (blind=True); 1 in the authors' script."""

    def needs(self) -> type[Operator]:
        return BlindOperator if self.blind else self.requires

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, A, q = problem.y, problem.A, prior.schedule
        x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=y))
        kappa = self.kappa if self.strength is None else self.strength / (2 * x_t[0].numel())
        theta = A.start(y) if self.blind and isinstance(A, BlindOperator) else {}
        for t, s in pairwise(times):
            found = prior(x_t, t)
            x0_hat = found.x0_hat.clamp(-1, 1)
            held = x0_hat if self.guide == "x0" else x_t
            if theta and isinstance(A, BlindOperator):
                r, g = data_gradient(partial(A.at, theta=theta), held, y)
                # Gradients of half the mean square; the authors' loss is a quarter of it.
                gradients = parameter_gradients(A, held, y, theta)
                moved = {}
                for name, value in theta.items():
                    moved[name] = value - self.rate * gradients[name] / 2
                theta = A.valid(moved)
            elif isinstance(A, LinearOperator):
                r = A(held) - y
                g = A.pinv(r)  # A^+ A is a projection: (A^+ A)^T A^+ r = A^+ r
            else:
                r, g = data_gradient(A, held, y)
            on_x0, on_xt, std = q.ancestral(t, s, found.v)
            x_t = on_x0 * x0_hat + on_xt * x_t - kappa * g
            if s >= 0:
                x_t = x_t + std * rng.randn_like(x_t)
            yield Step(t, x0_hat if s >= 0 else x_t.clone(), {"residual": rms(r)}, theta)
        return x_t


def _official(scale: float, guide: Literal["x0", "xt"] = "x0") -> GDP:
    return GDP(kappa=scale / (2 * 3 * 256**2), guide=guide)


PAPER: dict[str, Solver] = {
    "sr4": _official(2000),  # the official scripts' strengths at 256 x 256
    "sr2": _official(2000),
    "inpaint": _official(4000),
    "deblur": _official(6000),
    "colorize": _official(6000),
    "hdr": _official(80000),
    "lowlight": GDP(kappa=80000 / (2 * 3 * 256**2), blind=True),  # its script for low light
    "cs": _official(4000),  # nobody says: our choice
}

SOURCE = Paper(
    "fei2023gdp",
    "Generative Diffusion Prior for Unified Image Restoration and Enhancement",
    (
        "Fei, Ben",
        "Lyu, Zhaoyang",
        "Pan, Liang",
        "Zhang, Junzhe",
        "Yang, Weidong",
        "Luo, Tianyue",
        "Zhang, Bo",
        "Dai, Bo",
    ),
    "CVPR",
    2023,
    "https://arxiv.org/abs/2304.01247",
)
