"""FIRE: fast iterative renoising, the inner loop of DDfire."""

from dataclasses import replace
from itertools import pairwise
from math import exp, log
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import cg, largest_eigenvalue, per_image, rms, tolerance
from ..operators.base import LinearOperator, SVDOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule
from .base import Run, Sampler, Solver, Step, settings
from .papers import Paper

#: Levels of the tables below, sigma, evenly spaced in ln sigma.
LOWEST, HIGHEST = 0.01, 20.0

#: Root mean square error of x0_hat at those levels, by prior: studies/few_calls.py --table.
ERRORS: dict[str, tuple[float, ...]] = {
    "default": (
        0.007034, 0.00947, 0.0125, 0.01654, 0.02148, 0.02799, 0.03556, 0.04568, 0.05758, 0.07169,
        0.08886, 0.1095, 0.1336, 0.1599, 0.1864, 0.2154, 0.2514, 0.2928, 0.3405, 0.3982,
    ),
}  # fmt: skip

KAPPA = {"mean": -1, "plain": 0, "sample": 1}


@final
@settings
class FIRE(Sampler):
    """Denoise, move to the posterior mean, and add noise that makes the error white again.

    From the operator's smooth picture, diffused, for levels sigma evenly spaced in ln sigma; nu is
    the variance of the error of x0_hat at that level, known of the prior:

        x0_y = x0_hat + nu A^T (nu A A^T + sigma_y^2 I)^-1 (y - A x0_hat)
        E    = (A^T A / sigma_y^2 + I / nu)^-1                         (the covariance of its error)
        x    = x0_y + N(0, sigma_next^2 I + kappa E)

    With kappa = -1 (``aim="mean"``) x - truth is white of level sigma_next, what the network was
    trained for. Few calls lead close to the posterior mean. With kappa = 1 (``aim="sample"``) it is
    a Gibbs sampler of the posterior, as far as nu I is the covariance of the truth given x. With
    kappa = 0 it is DiffPIR with zeta = 1. Without an SVD, the noise for kappa = -1 is
    sqrt(sigma_next^2 - nu) z + c A^T z', which has this covariance where all singular values are
    equal or 0.

    For denoising, y - truth is itself white. With ``own_noise`` the run starts from y at the time
    of its noise, and one step returns E[truth | y], the network's x0_hat.

    Yields:
        `Step` with x = x0_y, the root mean square residual of x0_hat, and the share of directions
        that were ``clipped``: E above sigma_next^2, the levels fall too fast for kappa = -1.

    Returns:
        x0_y of the last call, (b, c, h, w), unclamped.

    Draws:
        z for x_T (not with ``own_noise``), then per step but the last: with an SVD or
        ``aim="plain"`` z; else z and z', of the measurement's shape, or for ``aim="sample"`` z,
        z'' and, with noise, z'.

    Cost:
        one network call per step, no derivative of the network; a linear solve, in closed form
        where A has an SVD, else by conjugate gradient.

    Reference:
        Bendel, Shastri, Ahmad, Schniter, Solving Inverse Problems using Diffusion with Iterative
        Colored Renoising, TMLR 2025, arXiv 2501.17468. A method beyond those that HRDIS compares.

    Differs from the official code:
        matt-bendel/DDfire, commit 61a5b4f: (1) one FIRE step per level; there several at the high
        levels, whose number a bisection finds for a total of calls, inside DDIM of 500 levels and
        eta 1.5 (0.5 below 100 calls), which is left out here; (2) nu comes from a table of the
        prior, or from its spread s, nu = sigma^2 s^2 / (sigma^2 + s^2); there from the residual of
        y, which sees no error where A is blind (its table, use_colored_noise and estimate_nu are
        options); (3) x0_hat, x0_y and the result are not clamped, there all to [-1, 1]; (4) starts
        from the operator's smooth picture at a low level, there from noise at the top; (5) the
        times are whole ones, there a formula gives the network times between them; (6) with an SVD
        the noise is coloured in each direction; there, as here without one, by A^T z' for the
        largest singular value, which is given and not computed; (7) x0_y is exact with an SVD,
        there by conjugate gradients, at most 50, and y counts as noisier than nu / 10^4; noiseless
        y there has 0.001; (8) ``aim`` and ``own_noise`` are ours.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(FIRE(steps=5, spread=0.5), prior, problem, seeds=[0]).nfe
        5
    """

    requires: ClassVar = LinearOperator
    noise: ClassVar[str] = "known"
    summary: ClassVar[str] = "few calls: posterior mean, noise coloured so that errors stay white"
    cost: ClassVar[str] = "1 call per step, no network gradient"
    reference: ClassVar[str] = "DDfire, TMLR 2025"

    steps: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Network calls."""
    start: Annotated[int, Field(ge=0, le=100_000)] | None = 400
    """Largest time visited, from the operator's smooth picture, diffused; None starts from noise at
    the top.
    """
    end: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Lowest time visited."""
    aim: Literal["mean", "plain", "sample"] = "mean"
    """What the noise is coloured for: kappa = -1, 0 or 1."""
    error: Literal["spread", "default"] = "spread"
    """Where nu comes from: the prior's spread, or the table measured for the embedded prior."""
    spread: Annotated[float, Field(gt=0)] = 1.0
    """Standard deviation s that the prior has where nothing was measured."""
    own_noise: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """For denoising: the noise of y, for pixel values from 0 to 1, from whose time the run starts
    with y itself, instead of from ``start``; 0 does not.
    """
    least_noise: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Noise of y that is assumed where less is said, for pixel values from 0 to 1. Undoing a blur
    multiplies the rounding of numbers that pass for exact.
    """

    def times(self, schedule: Schedule) -> list[int]:
        if self.own_noise:
            # twice: noise over signal is for images in [-1, 1]
            start = schedule.nearest(2 * self.own_noise)
            return schedule.logarithmic(self.steps, start, min(self.end, start))
        return schedule.logarithmic(self.steps, self.start, self.end)

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        least = 2 * self.least_noise  # sigma_y is for images in [-1, 1]
        if problem.sigma_y < least:
            problem = replace(problem, sigma_y=least)
        y, q = problem.y, prior.schedule
        A: LinearOperator = problem.A  # type: ignore[assignment]
        if self.own_noise:
            x_t = q.signal(times[0]) * A.smooth(y)
        else:
            x_t = self.first(problem, q, times[0], rng.randn(problem.image_shape[1:], like=y))
        top: Tensor | None = None
        for k, (t, s) in enumerate(pairwise(times)):
            x0_hat = prior(x_t, t).x0_hat
            nu = self.nu(float(q.sigma(t)))
            if self.own_noise and k == 0:
                x0_y = x0_hat  # all that y says is in x_t already: prox would count it twice
            else:
                x0_y = A.prox(x0_hat, y, problem.sigma_y**2 / nu)
            # the last x0_y is the answer: nothing is added to it
            clipped = torch.zeros(len(y), dtype=y.dtype, device=y.device)
            x_t = x0_y
            if s >= 0:
                sigma = float(q.sigma(s))
                if isinstance(A, SVDOperator) or self.aim == "plain":
                    noise, clipped = self.coloured(problem, nu, sigma, rng, x0_y)
                else:
                    if top is None and self.aim == "mean":  # the same in every step
                        top = largest_eigenvalue(A.normal, x0_y)
                    noise, clipped = self.by_products(problem, nu, sigma, rng, x0_y, top)
                x_t = q.signal(s) * (x0_y + noise)
            yield Step(t, x0_y.clone(), {"residual": rms(A(x0_hat) - y), "clipped": clipped})
        return x_t

    def nu(self, sigma: float) -> float:
        """Variance of the error of x0_hat at a level, never above that of the noise itself."""
        if self.error == "spread":
            return sigma**2 * self.spread**2 / (sigma**2 + self.spread**2)
        table = ERRORS[self.error]
        place = log(sigma / LOWEST) / log(HIGHEST / LOWEST) * (len(table) - 1)
        place = min(max(place, 0.0), len(table) - 1.0)
        # between two levels the logarithm of the error is taken as linear in that of the level
        k = min(int(place), len(table) - 2)
        error = exp(log(table[k]) * (k + 1 - place) + log(table[k + 1]) * (place - k))
        return min(error, sigma) ** 2

    def coloured(
        self, problem: Problem, nu: float, sigma: float, rng: ImageRNG | Replay, like: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Draw from N(0, sigma^2 I + kappa E) along singular vectors; also the share clipped."""
        z = rng.randn_like(like)
        if self.aim == "plain":
            return sigma * z, torch.zeros(len(z), dtype=z.dtype, device=z.device)
        A: SVDOperator = problem.A  # type: ignore[assignment]
        s = A.singulars(like)
        blind = s == 0
        E = torch.where(
            blind, nu, nu * problem.sigma_y**2 / (problem.sigma_y**2 + nu * s**2 + blind)
        )
        variance = sigma**2 + KAPPA[self.aim] * E
        # V V^T z is z: gains on the spectrum of white noise colour it
        spectrum = A.Vt(z)
        short = (variance < 0).expand(spectrum.shape).flatten(1)
        return A.V(variance.clamp(min=0).sqrt() * spectrum), short.to(z).mean(1)

    def by_products(
        self,
        problem: Problem,
        nu: float,
        sigma: float,
        rng: ImageRNG | Replay,
        like: Tensor,
        top: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw such noise with products of A and its adjoint alone; also the share clipped.

        ``top`` is the largest eigenvalue of A* A, if it is known.
        """
        A: LinearOperator = problem.A  # type: ignore[assignment]
        y, sigma_y = problem.y, problem.sigma_y
        z = rng.randn_like(like)
        if self.aim == "mean":
            seen = A.adjoint(rng.randn(y.shape[1:], like=y))
            if top is None:
                # A* z' starts the power iteration well: it has no share where A is blind
                top = largest_eigenvalue(A.normal, seen)
            E = nu * sigma_y**2 / (sigma_y**2 + nu * top)
            white = max(sigma**2 - nu, 0) ** 0.5
            short = torch.full_like(top, float(sigma**2 < nu))
            return white * z + per_image(((nu - E) / top).sqrt(), z) * seen, short

        # E^(1/2) is never needed: E (A* z' / sigma_y + z'' / sqrt(nu)) has the covariance E
        own = nu**0.5 * rng.randn_like(like)
        if sigma_y == 0:
            return sigma * z + own - A.pinv(A(own)), torch.zeros_like(z[:, 0, 0, 0])
        right = sigma_y * A.adjoint(rng.randn(y.shape[1:], like=y)) + sigma_y**2 / nu * own
        ratio = sigma_y**2 / nu
        drawn = cg(lambda v: A.normal(v) + ratio * v, right, right, 200, tolerance(z))
        return sigma * z + drawn, torch.zeros_like(z[:, 0, 0, 0])


PAPER: dict[str, Solver] = {}

SOURCE = Paper(
    "bendel2025ddfire",
    "Solving Inverse Problems using Diffusion with Iterative Colored Renoising",
    ("Bendel, Matthew C.", "Shastri, Saurav K.", "Ahmad, Rizwan", "Schniter, Philip"),
    "TMLR",
    2025,
    "https://arxiv.org/abs/2501.17468",
)
