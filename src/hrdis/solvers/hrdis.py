"""HRDIS: hybrid regularization. Its limits RED-diff (beta = 1) and CR (beta = 0) are one file each
beside it.
"""

from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import rms
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule, mix, weighted_sum
from .base import Run, Solver, Step, data_gradient, settings
from .papers import Paper

Weight = Literal[
    "linear", "sqrt", "square", "log", "trunc_linear", "power2over3", "const", "clip_min"
]

WEIGHTS = {
    "linear": lambda sigma: sigma,
    "sqrt": lambda sigma: sigma**0.5,
    "square": lambda sigma: sigma**2,
    "log": lambda sigma: (1 + sigma).log(),
    "trunc_linear": lambda sigma: sigma.clamp(max=1),
    "power2over3": lambda sigma: sigma ** (2 / 3),
    "const": lambda sigma: sigma**0,
    "clip_min": lambda sigma: sigma.clamp(min=2),  # as "linear" with weight_min=2
}

#: Adam's epsilon of the authors' code, 1e-8, times the entries over which their loss is a mean.
ADAM_EPS = 1e-8 * 3 * 256**2


class Adam:
    """Adam of one tensor, bit for bit as torch's, whose first step imports a compiler for 3 s.

    Args:
        x: changed in place.
        lr: its rate.
        epsilon: added to the root of the second moment.
    """

    betas = (0.9, 0.99)

    def __init__(self, x: Tensor, lr: float, epsilon: float):
        self.x, self.lr, self.epsilon, self.steps = x, lr, epsilon, 0
        self.first, self.second = torch.zeros_like(x), torch.zeros_like(x)

    def step(self, gradient: Tensor) -> None:
        """Move against a gradient."""
        self.steps += 1
        beta1, beta2 = self.betas
        self.first.lerp_(gradient, 1 - beta1)
        self.second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        size = self.second.sqrt().div_((1 - beta2**self.steps) ** 0.5).add_(self.epsilon)
        self.x.addcdiv_(self.first, size, value=-self.lr / (1 - beta1**self.steps))


@settings
class Family(Solver):
    """Settings, grid and update of mu that HRDIS and its variants share."""

    steps: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Network calls."""
    start: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Largest time visited; by default the top of the schedule's grid."""
    grid: Literal["uniform", "stride"] = "uniform"
    """uniform: exactly ``steps`` times; stride: the authors' grid, where 150 become 167."""
    end: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Lowest time visited; the authors' script for nonlinear deblurring stops at 100."""
    lr: Annotated[float, Field(gt=0)] = 0.1
    """Adam's step length, in units of the image ([-1, 1])."""
    lambda_obs: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the data term (the paper's lambda_1)."""
    lambda_reg: Annotated[float, Field(ge=0)] = 0.25
    """Weight of the regularization (the paper's lambda_2)."""
    weight: Weight = "linear"
    """How the regularization weight W depends on the noise level sigma; linear is sigma itself."""
    weight_min: Annotated[float, Field(ge=0)] = 0.0
    """Smallest such weight; the paper takes 2 for noisy measurements."""
    sigma_x0: Annotated[float, Field(ge=0)] = 0.0
    """Noise added to mu before it is measured and diffused (rho in the authors' code)."""
    adam_eps: Annotated[float, Field(ge=0)] | None = None
    """Adam's epsilon (default 1.966e-3, 1e-8 with batch_mean); far above the gradient, steps are lr
    / adam_eps.
    """
    init: Literal["pinv", "smooth"] = "pinv"
    """Starting image: pinv computes it from the input (a blurred one as it is); smooth interpolates
    the input (bicubic, biharmonic).
    """
    loss_reduction: Literal["per_image", "batch_mean"] = "per_image"
    """per_image: no image depends on its neighbours; batch_mean: the authors' loss."""

    def shared(self) -> dict[str, Any]:
        """Return the settings of this class by name, to be handed on to HRDIS."""
        return {f.name: getattr(self, f.name) for f in fields(Family)}

    def begin(self, problem: Problem) -> tuple[Tensor, Callable[[Tensor, Tensor], None]]:
        """Return the initial mu, and a function that applies one Adam update to it.

        The function takes the gradients of the data term and of the regularization.
        """
        A, y = problem.A, problem.y
        mu = (A.init(y) if self.init == "pinv" else A.smooth(y)).clone()  # y is never written to
        scale = 1.0 if self.loss_reduction == "per_image" else 1 / mu.numel()
        adam = Adam(mu, self.lr, self.epsilon)

        def update(data: Tensor, regularization: Tensor) -> None:
            gradient = weighted_sum(self.lambda_obs, data, self.lambda_reg, regularization)
            adam.step(gradient if scale == 1 else scale * gradient)

        return mu, update

    @property
    def epsilon(self) -> float:
        """Adam's epsilon."""
        if self.adam_eps is not None:
            return self.adam_eps
        return ADAM_EPS if self.loss_reduction == "per_image" else 1e-8

    def strength(self, q: Schedule, t: int) -> Tensor:
        """Return W(sigma_t), at least `weight_min`."""
        return WEIGHTS[self.weight](q.sigma(t)).clamp(min=self.weight_min)

    def times(self, schedule: Schedule) -> list[int]:
        if self.grid == "stride":
            return schedule.stride(
                self.steps, None if self.start is None else self.start + 1, self.end
            )
        if self.end == 0:
            return schedule.uniform(self.steps, self.start)
        top = schedule.uniform(self.steps, self.start)[0]
        if top < self.end:
            raise ValueError(
                f"A run from time {top} cannot end at {self.end}. An end below its start is "
                "expected."
            )
        return [self.end + t for t in schedule.uniform(self.steps, top - self.end)[:-1]] + [-1]


@final
@settings
class HRDIS(Family):
    r"""Hybrid regularization: carry the network's noise along, refreshed by a share beta.

    For t over the descending grid, with a_t = sqrt(alpha_bar_t), b_t = sqrt(1 - alpha_bar_t),
    sigma_t = b_t / a_t:

        n   = sqrt(1 - beta) eps_prev + sqrt(beta) z   (z alone in the first fresh_steps iterations)
        eps = eps_theta(a_t mu + b_t n, t)
        g   = -lambda_obs (N_x / M) J^T (y - A mu) + lambda_reg W(sigma_t) (eps - n)
        mu  = mu - Adam(g)                             (no update in the first iteration)

    with N_x entries in an image, M in y. Since sigma_t (eps - n) = mu - x0_hat, W = linear weighs
    that residual by 1.

    Yields:
        `Step` with x = mu after the update and the root mean square residual of y before it.

    Returns:
        mu after its last update, (b, c, h, w), unclamped.

    Draws:
        per step z_x if sigma_x0 > 0, then z if the step takes fresh noise (beta > 0, or a fresh
        step).

    Cost:
        one network call per step, no derivative of the network, memory of one call.

    Reference:
        Hybrid Regularization Improves Diffusion-based Inverse Problem Solving, ICLR 2025: Algorithm
        1, Eq. 13-14.

    Differs from the official code:
        deng-ai-lab/HRDIS, commit 806aa58: (1) returns the updated mu, where the code saves mu
        before its last update; (2) the loss is taken per image with Adam's epsilon scaled by 3 *
        256^2, which equals the code at batch 1 and 256 x 256 and removes its dependence on batch
        and image size (``loss_reduction="batch_mean"`` restores it); (3) ``steps`` is the exact
        number of calls (the code's grid is `Schedule.stride`); (4) z_x, and z, are drawn where they
        count only, there in every step, so that the noise of one seed is another; (5) y is never
        written to, there it may share the memory of mu; (6) the options cond_awd and awd=False,
        which rescale or re-derive eps, are left out. `NonlinearBlur` tells how its start and its
        kernel differ. The settings of noisy tasks are the paper's, as the code has none; its script
        for holes adds noise and sigma_x0 = 1e-4, the paper neither.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> x = torch.ones(1, 1, 8, 8) / 2
        >>> problem = hrdis.measure(hrdis.operators.SuperResolution(2), x, seeds=[0])
        >>> hrdis.solve(HRDIS(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    summary: ClassVar[str] = (
        "hybrid regularization: reuses the predicted noise, refreshed by a share beta"
    )
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "HRDIS, ICLR 2025"

    beta: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of fresh noise (variance), 0 for CR, 1 for RED-diff; the paper takes 0.2 everywhere."""
    first_update: bool = False
    """Also update in the first iteration: Algorithm 1 as printed; the authors' code does not."""
    fresh_steps: Annotated[int, Field(ge=0, le=10_000)] = 0
    """First iterations that take fresh noise only (250 in phase retrieval); the very first always
    does.
    """

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, A, q = problem.y, problem.A, prior.schedule
        mu, update = self.begin(problem)
        eps: Tensor | None = None

        for k, (t, _) in enumerate(pairwise(times)):
            x = mu + self.sigma_x0 * rng.randn_like(mu) if self.sigma_x0 > 0 else mu
            if eps is None or k < self.fresh_steps:
                n = rng.randn_like(mu)
            else:
                n = mix(eps, rng.randn_like(mu), self.beta**0.5) if self.beta > 0 else eps  # Eq. 13
            _, eps = prior(q.diffuse(x, t, n), t)

            r, data = data_gradient(A, x, y)
            if k > 0 or self.first_update:
                update(data, self.strength(q, t) * (eps - n))  # Eq. 14
            yield Step(t, mu.clone(), {"residual": rms(r)})
        return mu


# On the authors' grid, where 150 become 167 calls and 300 become 334.
INPAINT: dict[str, Any] = {"steps": 150, "grid": "stride", "lr": 0.1, "lambda_reg": 0.25}
SHARP: dict[str, Any] = {"steps": 100, "grid": "stride", "lr": 0.5, "lambda_reg": 0.20}
SENSING: dict[str, Any] = {"steps": 300, "grid": "stride", "lr": 0.5, "lambda_reg": 0.20}
NONLINEAR: dict[str, Any] = {"steps": 100, "grid": "stride", "lr": 0.1, "lambda_reg": 0.25}
STRONG: dict[str, Any] = INPAINT | {"lambda_obs": 0.05, "weight_min": 2.0}

PAPER: dict[str, Solver] = {
    # Table 5
    "inpaint": HRDIS(**INPAINT),
    "sr4": HRDIS(**SHARP),
    "sr16": HRDIS(**SHARP),
    "cs25": HRDIS(**SENSING),
    "cs10": HRDIS(**SENSING),
    "cs": HRDIS(**SENSING),
    "hdr": HRDIS(**NONLINEAR),
    # Table 5 and section B.2: fresh noise for the first 250 steps, best of four seeds
    # (`hrdis.best_of`)
    "phase": HRDIS(
        steps=500, grid="stride", lr=0.7, lambda_reg=0.25, lambda_obs=0.5, fresh_steps=250
    ),
    # Table 5, with the authors' script for W and the end, which the paper's text does not have
    "deblur-nonlinear": HRDIS(**NONLINEAR, lambda_obs=0.02, end=100, weight="const"),
    # Section C.2: lambda_1 is 0.1 for Gaussian noise of 0.05, and 0.05 for Gaussian 0.1, Poisson of
    # rate 1 and speckle of 0.1; all else is inpainting's.
    "inpaint-noise05": HRDIS(**INPAINT, lambda_obs=0.1, weight_min=2.0),
    "inpaint-noise10": HRDIS(**STRONG),
    "inpaint-poisson": HRDIS(**STRONG),
    "inpaint-speckle": HRDIS(**STRONG),
}

SOURCE = Paper(
    "dou2025hrdis",
    "Hybrid Regularization Improves Diffusion-based Inverse Problem Solving",
    ("Dou, Hongkun", "Li, Zeyu", "Du, Jinyang", "Yang, Lijun", "Yao, Wen", "Deng, Yue"),
    "ICLR",
    2025,
    "https://openreview.net/forum?id=d7pr2doXn3",
)
