"""DAPS: decoupled annealing posterior sampling."""

from itertools import pairwise
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field

from ..linalg import rms
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule
from .base import Run, Solver, Step, misfit_gradient, settings
from .papers import Paper

SIGMA_MAX = 100.0  # the official configs' largest noise level, over signal


@final
@settings
class DAPS(Solver):
    """Denoise by an ODE, sample around it by Langevin steps that see y, and add less noise.

    For noise levels sigma_t over the grid, on x = x_t / sqrt(alpha_bar_t) (noise added, signal
    unscaled):

        x0_hat = x after ode_steps Euler steps of dx / dsigma = (x - x0_hat(x)) / sigma,
                 from sigma_t to sigma_0
        v      = v - l [grad ||A v - y||^2 / tau^2 + (v - x0_hat) / sigma_t^2] + sqrt(2 l) z,
                 from v = x0_hat
        x      = v + sigma_s z

    with l falling linearly over the levels, from ``lr`` to a hundredth of it.

    Yields:
        `Step` with x = v after the Langevin steps and its root mean square residual.

    Returns:
        v of the last level, (b, c, h, w), unclamped.

    Draws:
        x_T, then per level z for each Langevin step, and z for the next level except to s = -1.

    Cost:
        ``ode_steps`` network calls per level (fewer at the lowest), no derivative of the network;
        ``langevin_steps`` gradients of the operator per level.

    Reference:
        Zhang et al., Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing,
        CVPR 2025, Algorithm 1.

    Differs from the official code:
        zhangbingliang2019/DAPS, commit 098df6b: (1) noise levels are the nearest ones of the
        prior's own schedule, where the network was trained, and merged where they agree; there they
        are free, and the network is given times between its own; (2) ``steps`` levels reach from
        100 to sigma_min; there the last of steps + 1 such levels is left out, so that the lowest is
        0.106 and not 0.100; (3) the Langevin step of the last level is lr / 100, there lr / 50,
        because l falls over steps + 1 levels; (4) a run that diverges is named, there the whole
        batch becomes zeros; (5) its other samplers (Hamiltonian and Metropolis) and its other
        scores of the prior are left out. As there, the data term has no 1/2.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(DAPS(steps=4, langevin_steps=10), prior, problem, seeds=[0]).nfe
        20
    """

    noise: ClassVar[str] = "assumed"
    summary: ClassVar[str] = "ODE denoising, then Langevin steps with the measurement; any operator"
    cost: ClassVar[str] = "5 calls per level, no network gradient"
    reference: ClassVar[str] = "DAPS, CVPR 2025"

    steps: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Noise levels, before those that fall on the same time are merged."""
    start: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Largest time visited, by default the one of noise 100; below, the run starts from the smooth
    picture.
    """
    sigma_min: Annotated[float, Field(gt=0)] = 0.1
    """Lowest noise level."""
    ode_steps: Annotated[int, Field(ge=1, le=1_000)] = 5
    """Network calls per level."""
    langevin_steps: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Langevin steps per level."""
    lr: Annotated[float, Field(gt=0)] = 1e-4
    """Langevin step length at the first level; above tau^2 / ||A||^2 it diverges."""
    tau: Annotated[float, Field(gt=0)] = 0.01
    """Standard deviation that the data term assumes, in units of y."""

    def times(self, schedule: Schedule) -> list[int]:
        top = SIGMA_MAX if self.start is None else float(schedule.sigma(schedule.top(self.start)))
        return [*_levels(schedule, top, min(self.sigma_min, top), self.steps), -1]

    def calls(self, times: list[int], schedule: Schedule) -> int:
        return sum(len(self._ode_times(schedule, t)) - 1 for t in times[:-1])

    def draws(self, times: list[int]) -> int:
        return (len(times) - 1) * (self.langevin_steps + 1)  # each step, and the start of a level

    def _ode_times(self, q: Schedule, t: int) -> list[int]:
        below = _levels(q, float(q.sigma(t)), float(q.sigma(0)), self.ode_steps + 1)
        return below if len(below) > 1 else [t, -1]

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, A, q = problem.y, problem.A, prior.schedule
        x = q.sigma(times[0]) * rng.randn(problem.image_shape[1:], like=y)
        if self.start is not None:
            x = A.smooth(y) + x
        for k, (t, s) in enumerate(pairwise(times)):
            for tau_t, tau_s in pairwise(self._ode_times(q, t)):
                x0_hat, _ = prior(q.signal(tau_t) * x, tau_t)
                x = x + (q.sigma(tau_s) - q.sigma(tau_t)) / q.sigma(tau_t) * (x - x0_hat)
            x0_hat, v = x, x
            step = self.lr * (1 - 0.99 * k / max(len(times) - 2, 1))
            for _ in range(self.langevin_steps):
                _, misfit = misfit_gradient(A, v, y)
                pull = 2 * misfit / self.tau**2 + (v - x0_hat) / q.sigma(t) ** 2
                v = v - step * pull + (2 * step) ** 0.5 * rng.randn_like(v)
            yield Step(t, v.clone(), {"residual": rms(A(v) - y)})
            x = v + q.sigma(s) * rng.randn_like(v) if s >= 0 else v
        return x


def _levels(q: Schedule, first: float, last: float, count: int) -> list[int]:
    """Return the times nearest to EDM's noise levels (rho = 7), merged where they agree."""
    if count == 1:
        return [q.nearest(first)]
    high, low = first ** (1 / 7), last ** (1 / 7)
    return list(
        dict.fromkeys(q.nearest((high + i / (count - 1) * (low - high)) ** 7) for i in range(count))
    )


PAPER: dict[str, Solver] = {
    # official configs: lr 1e-4 for x4, blur and random masks, 2e-5 for HDR, 5e-5 for boxes and
    # phase
    "sr4": DAPS(),
    "sr2": DAPS(lr=5e-5),
    "inpaint": DAPS(lr=5e-5),
    "phase": DAPS(lr=5e-5),
    "hdr": DAPS(lr=2e-5),
}

SOURCE = Paper(
    "zhang2025daps",
    "Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing",
    (
        "Zhang, Bingliang",
        "Chu, Wenda",
        "Berner, Julius",
        "Meng, Chenlin",
        "Anandkumar, Anima",
        "Song, Yang",
    ),
    "CVPR",
    2025,
    "https://arxiv.org/abs/2407.01521",
)
