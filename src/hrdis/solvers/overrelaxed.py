"""Over-relaxed Gibbs sampling: posterior samples from one network call per noise level."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import dot, gauss_newton, rms
from ..operators.base import LinearOperator, Operator, SVDOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule, mix
from .base import Run, Sampler, Solver, Step, settings
from .mmps import posterior_mean
from .papers import Paper

#: Noise assumed of a noiseless nonlinear measurement, whose equation is not solved exactly.
FLOOR = 0.01


@final
@settings
class OverRelaxed(Sampler):
    """Add noise to the picture, estimate its posterior mean, and reflect the picture about it.

    For levels sigma_t evenly spaced in ln sigma, with mu the picture and z fresh noise:

        x  = mu + sigma_t z
        m  = argmin_v ||A v - y||^2 / sigma_y^2 + ||v - x0_hat(x)||^2 / c
        mu = m + alpha (mu - m) + sqrt(1 - alpha^2) E^(1/2) xi        (alpha = -1: 2 m - mu)

    with c = sigma_t^2 s^2 / (sigma_t^2 + s^2) for the prior's spread s, and E = (A^T A / sigma_y^2
    + I / c)^-1. The first step takes m itself. Without noise, m is x0_hat projected onto A v = y.

    This alternates draws of x given mu with over-relaxed updates of mu given x and y. For a
    Gaussian prior of variance s^2 the posterior is stationary at every level; the reflection needs
    no covariance for that. A direction of posterior variance v forgets its past by the factor
    (v - sigma_t^2) / (v + sigma_t^2) per call, hence the grid.

    Reflection does not carry weight between separate modes. Where the prior has some, the levels
    above the time ``mmps_above`` take the steps of `MMPS` with eta = 1. They follow x_t given y,
    and decide the weights. Reflections at the levels below bring the spread of each mode.

    A chain goes on from a sample: back up to the level of time ``back``, and down again.

    Yields:
        `Step` with x = mu, the root mean square residual of x0_hat, and the balance
        <x - m, mu - m> / (N sigma_t^2) of the old mu, whose mean is 0 at equilibrium: positive
        where samples are too wide, negative where they are too narrow.

    Returns:
        the last mu, or the last m with ``result="mean"``, (b, c, h, w), unclamped. In a chain,
        every step at the lowest time shows a sample.

    Draws:
        z for x_T, then per step xi where alpha > -1 (not in the first reflection, nor above), and
        z except to s = -1.

    Cost:
        one network call per step, no derivative of the network; a linear solve, in closed form
        where A has an SVD, else by conjugate gradient. For a nonlinear A, ``newton_steps``
        linearisations of A with 20 products each. Above ``mmps_above``, cg_steps + 2 backward
        passes per call.

    Reference:
        the step is that of Adler, Over-relaxation method for the Monte Carlo evaluation of the
        partition function for multiquadratic actions, Physical Review D 23, 2901, 1981. With a
        mode in place of the mean it is the implicit midpoint Langevin step (Klatzer et al., arXiv
        2308.09460); written in x it is Leimkuhler and Matthews' scheme (arXiv 1203.5428) for the
        posterior smoothed by sigma_t. c is that of PiGDM (ICLR 2023). HRDIS and RED-diff with W =
        linear and a plain gradient step are damped forms of it (docs/measurements/overrelaxed.md).

    Differs from the official code:
        there is none.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(OverRelaxed(steps=20), prior, problem, seeds=[0]).nfe
        20
    """

    requires: ClassVar = Operator
    noise: ClassVar[str] = "known"
    summary: ClassVar[str] = "reflect the picture about its posterior mean: samples, not means"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "Adler, PRD 1981"

    steps: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Network calls down to the first sample."""
    start: Annotated[int, Field(ge=0, le=100_000)] | None = 500
    """Largest time visited, from the operator's smooth picture, diffused; None starts from noise at
    the top.
    """
    end: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Lowest time visited."""
    alpha: Annotated[float, Field(ge=-1, le=0)] = -1.0
    """Relaxation: -1 reflects, 0 draws mu given x and y afresh (split Gibbs)."""
    spread: Annotated[float, Field(gt=0)] = 1.0
    """Standard deviation s that the prior has where nothing was measured."""
    result: Literal["sample", "mean"] = "sample"
    """sample: the last mu; mean: the last m, with less variance and a smaller error."""
    chain: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Samples of one chain."""
    back: Annotated[int, Field(ge=0, le=100_000)] = 100
    """Time up to which a chain goes back after each sample but the last."""
    newton_steps: Annotated[int, Field(ge=1, le=100)] = 3
    """Gauss-Newton steps per network call, for a nonlinear A."""
    mmps_above: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Time above which the steps are those of MMPS, for separate modes (50, with ``start=None``);
    None reflects at every time.
    """
    cg_steps: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Conjugate-gradient steps per network call of MMPS, a backward pass each."""

    def needs(self) -> type[Operator]:
        if self.alpha > -1:
            return SVDOperator
        return self.requires if self.mmps_above is None else LinearOperator

    def passes(self) -> int:
        return 0 if self.mmps_above is None else self.cg_steps + 2  # none in the reflections

    def times(self, schedule: Schedule) -> list[int]:
        down = schedule.logarithmic(self.steps, self.start, self.end)[:-1]
        again = [t for t in down if t <= self.back]
        return [*down, *(self.chain - 1) * (again or down[-1:]), -1]

    def calls(self, times: list[int], schedule: Schedule) -> int:
        return len(times) - 1  # also after a move up

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        y, A, q, s = problem.y, problem.A, prior.schedule, self.spread
        x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=y))
        mu: Tensor | None = None
        shown = x_t
        for t, after in pairwise(times):
            if self.mmps_above is not None and t > self.mmps_above:
                shown, residual = posterior_mean(prior, problem, x_t, t, self.cg_steps)
                eps = (x_t - q.signal(t) * shown) / q.noise(t)
                if after >= 0:
                    eps = mix(eps, rng.randn_like(x_t), q.ddim_share(t, after, 1.0))
                x_t, mu = q.diffuse(shown, after, eps), None
                yield Step(t, shown, {"residual": residual})
                continue

            x0_hat = prior(x_t, t).x0_hat
            c = float(q.sigma(t) ** 2 * s**2 / (q.sigma(t) ** 2 + s**2))
            if isinstance(A, LinearOperator):
                m = A.prox(x0_hat, y, problem.sigma_y**2 / c)
            else:
                rho = max(problem.sigma_y, FLOOR) ** 2 / c
                m = gauss_newton(A, x0_hat, y, rho, self.newton_steps)

            if mu is None:  # nothing to reflect yet: far from m, it would only change sides
                mu = m
            off = dot(x_t / q.signal(t) - m, mu - m) / (m[0].numel() * q.sigma(t) ** 2)
            fresh = mu is not m and self.alpha > -1
            mu = m + self.alpha * (mu - m)
            if fresh:
                mu = mu + (1 - self.alpha**2) ** 0.5 * self.conditional(problem, c, rng, m)

            if after >= 0:
                x_t = q.diffuse(mu, after, rng.randn_like(mu))
            shown = mu if self.result == "sample" else m
            info = {"residual": rms(A(x0_hat) - y), "balance": off.to(m)}
            yield Step(t, shown.clone(), info)
        return shown

    def conditional(
        self, problem: Problem, c: float, rng: ImageRNG | Replay, like: Tensor
    ) -> Tensor:
        """Draw from N(0, E), the spread of mu given x and y."""
        A: SVDOperator = problem.A  # type: ignore[assignment]
        singulars = A.singulars(like)
        blind = singulars == 0
        seen = c * problem.sigma_y**2 / (problem.sigma_y**2 + c * singulars**2 + blind)
        return A.filter(torch.where(blind, c, seen).sqrt(), rng.randn_like(like))


PAPER: dict[str, Solver] = {}

SOURCE = Paper(
    "adler1981overrelaxation",
    "Over-relaxation method for the Monte Carlo evaluation of the partition function for "
    "multiquadratic actions",
    ("Adler, Stephen L.",),
    "PRD",
    1981,
    "https://doi.org/10.1103/PhysRevD.23.2901",
)
