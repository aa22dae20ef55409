"""FPS and FPS-SMC: filtering posterior sampling, with particles."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from ..linalg import reciprocal, rms
from ..operators.base import SVDOperator
from ..priors.base import Prior
from ..problem import Problem
from ..rng import ImageRNG, Replay
from ..schedule import Schedule
from .base import Run, Sampler, Solver, Step, settings
from .papers import Paper


@final
@settings
class FPS(Sampler):
    """Filter x_t along a diffused measurement, with resampling if there are M > 1 particles.

    A particle is kept by how well it predicts the measurement.

    Without noise and with a small c (0.3), more particles come to the posterior
    (docs/measurements/posterior.md). With the published c the steps narrow what was not observed,
    and under noise every y_s counts as a measurement with noise of its own. There more particles
    lead away; ``form="joint"`` mends that.

    With q_s = c (1 - alpha_bar_s), v_s = alpha_bar_s sigma_y^2, and y_s the measurement diffused by
    noise A z:

        y_s  = sqrt(alpha_bar_s) y + sqrt(1 - c) (b_s / b_t) (y_t - sqrt(alpha_bar_t) y)
               + sqrt(c) b_s A z
        m    = sqrt(alpha_bar_s) x0_hat + sqrt(1 - c) b_s eps   (x0_hat clamped to [-1, 1])
        S    = (I + (q_s / v_s) A* A)^-1
        x_s  = S (m + (q_s / v_s) A* y_s) + sqrt(q_s) S^(1/2) z
        log w = -1/2 sum_i u_i^2 / (v_s + q_s s_i^2),   u = U* (y_s - A m)

    Particles are drawn anew with these weights after every step. Without noise the limit is taken:
    x_s = (I - A^+ A)(m + sqrt(q_s) z) + A^+ y_s.

    With ``form="joint"`` the noise e of y = A x + sigma_y e is a part of the state. Then (x, e) has
    a measurement without noise, (A, sigma_y I), and the limit of the same steps is taken. For it
    y_s is diffused by A z + sigma_y z'. Of e the denoised value is sqrt(alpha_bar_t) e_t, as it is
    standard normal. Here c is the share of an ancestral step, which vanishes as the calls grow. The
    levels are evenly spaced in ln sigma:

        c_s     = (1 - alpha_bar_t / alpha_bar_s) / (1 - alpha_bar_t)
        m_e     = sqrt(alpha_bar_s) sqrt(alpha_bar_t) e_t
                  + sqrt(1 - c_s) b_s sqrt(1 - alpha_bar_t) e_t
        r       = y_s - A (m + sqrt(q_s) z) - sigma_y (m_e + sqrt(q_s) z')
        x_s     = m + sqrt(q_s) z + A* (A A* + sigma_y^2 I)^-1 r
        e_s     = m_e + sqrt(q_s) z' + sigma_y (A A* + sigma_y^2 I)^-1 r
        log w   = -1/2 sum_i u_i^2 / (q_s (s_i^2 + sigma_y^2)),   u = U* (y_s - A m - sigma_y m_e)

    Many particles and calls come to the posterior then. One particle, without weights, is far
    from it.

    Yields:
        `Step` with x = x0_hat of the first particle and its root mean square residual.

    Returns:
        the first particle after the last resampling.

    Draws:
        z for y_T, z per later y_s; then per particle z for x_T and z per step except to s = -1 (one
        particle: draws of
        image shape, M: (M, c, h, w) per image), and with M > 1 M uniform numbers per resampling.
        With ``form="joint"`` and noise, z' after each z: of y's shape along its path, later of
        image shape, since it is drawn along the singular vectors.

    Cost:
        one network call on M times the batch per step, no derivative of the network; the path of y
        is kept.

    Reference:
        Dou, Song, Diffusion Posterior Sampling for Linear Inverse Problem Solving: A Filtering
        Perspective, ICLR 2024, Algorithms 1-2.

    Differs from the official code:
        ZehaoDou-official/FPS-SMC-2023, commit 008e7f7: (1) sigma_y is the problem's, there 0.05;
        (2) times are not one step off: there the first one makes no call, and a step to s takes y_t
        and its variance while the weights take v_s; (3) x_T has the factor 1 / v_T for every
        operator, and a draw per particle; there it lacks that factor, and in masks it is y_T
        itself; (4) weights in closed form, there from the samples; (5) q_s is not padded by 1e-6;
        (6) particles are drawn again from the image's own stream, there from Python's global one;
        (7) A measures and restores, there y of enlarging and of motion is made by another; (8) any
        size and batch, there one picture of 256 x 256; (9) with fewer steps than the schedule has,
        times are spread as in the other solvers here. The joint form has no official code.

    Example:
        >>> import torch, hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> A, noise = hrdis.operators.SuperResolution(2), hrdis.noise.Gaussian(0.05)
        >>> problem = hrdis.measure(A, torch.ones(1, 1, 8, 8) / 2, noise, seeds=[0])
        >>> hrdis.solve(FPS(steps=20, particles=4), prior, problem, seeds=[0]).nfe
        20
    """

    requires: ClassVar = SVDOperator
    noise: ClassVar[str] = "known"
    summary: ClassVar[str] = "particle filter along a diffused measurement; needs an SVD"
    cost: ClassVar[str] = "1 call on M particles per step, no network gradient"
    reference: ClassVar[str] = "FPS-SMC, ICLR 2024"

    steps: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Network calls."""
    form: Literal["published", "joint"] = "published"
    """published: the paper's; joint: the noise of y is sampled with the image."""
    c: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of fresh noise (variance), in the published form."""
    particles: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Particles per image; 1 is FPS, more are FPS-SMC."""
    clamp: bool = True
    """Clamp the denoised image to [-1, 1], as the authors do."""

    def times(self, schedule: Schedule) -> list[int]:
        if self.form == "joint":
            return schedule.logarithmic(self.steps, self.start)
        return super().times(schedule)

    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        move = self._joint if self.form == "joint" else self._published
        return move(prior, problem, times, rng)

    @torch.no_grad()
    def _joint(
        self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay
    ) -> Run:
        q, y, sigma_y, M = prior.schedule, problem.y, problem.sigma_y, self.particles
        A: SVDOperator = problem.A  # type: ignore[assignment]
        path = self._path(problem, q, times, rng)

        def noise() -> tuple[Tensor, Tensor]:  # of x, and of e along the singular vectors
            z = self._draw(problem, rng)
            own = self._draw(problem, rng) if sigma_y > 0 else torch.zeros_like(z)
            return z, torch.stack([A.Vt(particle) for particle in own])

        x_t, e_t = noise()
        variance = 1.0
        if self.start is not None:
            x_t = q.diffuse(A.smooth(y), times[0], x_t)
            variance = float(1 - q[times[0]])
        x_t, e_t = _explain(A, x_t, e_t, path[0], sigma_y, variance)
        for (t, s), y_s in zip(pairwise(times), [*path[1:], None], strict=True):
            x0_hat, eps = self._denoise(prior, x_t, t)
            seen = x0_hat[0].clone()
            if y_s is None:
                x_t = x0_hat
            else:
                c = self._share(q, t, s)
                kept, fresh = (1 - c) ** 0.5 * q.noise(s), float(c**0.5 * q.noise(s))
                m = q.signal(s) * x0_hat + kept * eps
                m_e = (q.signal(s) * q.signal(t) + kept * q.noise(t)) * e_t
                z, own = noise()
                x_t, e_t = _explain(A, m + fresh * z, m_e + fresh * own, y_s, sigma_y)
                if M > 1:
                    weights = _joint_weights(A, m, m_e, y_s, sigma_y, fresh)
                    u = rng.rand((M,), like=y).to(y)
                    x_t, e_t = _resample(x_t, weights, u), _resample(e_t, weights, u)
            yield Step(t, seen, {"residual": rms(A(seen) - y)})
        return x_t[0].clone()

    def _share(self, q: Schedule, t: int, s: int) -> float:
        """Return the share of noise that is drawn anew between two times, a variance."""
        return self.c if self.form == "published" else float(q.ddim_share(t, s, 1.0)) ** 2

    def _draw(self, problem: Problem, rng: ImageRNG | Replay) -> Tensor:
        """Draw white noise for every particle: (M, b, c, h, w)."""
        shape = problem.image_shape[1:]
        if self.particles == 1:
            return rng.randn(shape, like=problem.y)[None]
        return rng.randn((self.particles, *shape), like=problem.y).transpose(0, 1)

    def _denoise(self, prior: Prior, x_t: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """Return x0_hat, clamped if asked for, and the noise of every particle."""
        x0_hat, eps = (p.reshape(x_t.shape) for p in prior(x_t.flatten(0, 1), t))
        return x0_hat.clamp(-1, 1) if self.clamp else x0_hat, eps

    @torch.no_grad()
    def _published(
        self,
        prior: Prior,
        problem: Problem,
        times: list[int],
        rng: ImageRNG | Replay,
    ) -> Run:
        q, M, c = prior.schedule, self.particles, self.c
        A: SVDOperator = problem.A  # type: ignore[assignment]
        path = self._path(problem, q, times, rng)

        t, v = times[0], float(q[times[0]]) * problem.sigma_y**2
        around = (
            (0.0, 1.0)
            if self.start is None
            else (q.signal(t) * A.smooth(problem.y), float(1 - q[t]))
        )
        x_t = torch.stack(
            [
                _condition(A, torch.zeros_like(z) + around[0], z, path[0], around[1], v)
                for z in self._draw(problem, rng)
            ]
        )
        for (t, s), y_s in zip(pairwise(times), [*path[1:], None], strict=True):
            x0_hat, eps = self._denoise(prior, x_t, t)
            seen = x0_hat[0].clone()
            if y_s is None:
                x_t = x0_hat
            else:
                m = q.signal(s) * x0_hat + (1 - c) ** 0.5 * q.noise(s) * eps
                q_s, v_s = c * float(1 - q[s]), float(q[s]) * problem.sigma_y**2
                x_t = torch.stack(
                    [
                        _condition(A, *mz, y_s, q_s, v_s)
                        for mz in zip(m, self._draw(problem, rng), strict=True)
                    ]
                )
                if M > 1:
                    weights = torch.stack(
                        [_log_weight(A, m_k, y_s, q_s, v_s) for m_k in m], 1
                    ).softmax(1)
                    x_t = _resample(x_t, weights, rng.rand((M,), like=problem.y).to(problem.y))
            yield Step(t, seen, {"residual": rms(A(seen) - problem.y)})
        return x_t[0].clone()

    def _path(
        self, problem: Problem, q: Schedule, times: list[int], rng: ImageRNG | Replay
    ) -> list[Tensor]:
        """Diffuse the measurement to every time of the run, from the top."""
        y, A = problem.y, problem.A
        own = problem.sigma_y if self.form == "joint" else 0.0

        def noise() -> Tensor:
            z = A(rng.randn(problem.image_shape[1:], like=y))
            return z + own * rng.randn(y.shape[1:], like=y) if own > 0 else z

        path = [noise() if self.start is None else q.diffuse(y, times[0], noise())]
        for t, s in pairwise(times[:-1]):
            c = self._share(q, t, s)
            kept = (1 - c) ** 0.5 * q.noise(s) / q.noise(t) * (path[-1] - q.signal(t) * y)
            path.append(q.signal(s) * y + kept + c**0.5 * q.noise(s) * noise())
        return path


def _condition(A: SVDOperator, m: Tensor, z: Tensor, y: Tensor, q: float, v: float) -> Tensor:
    """Draw x ~ N(m, q I) given y = A x + N(0, v I), along the singular vectors.

    For v = 0 it is the limit: y holds exactly.
    """
    s = A.singulars(m)
    if v == 0:
        return A.V(torch.where(s > 0, A.Ut(y) * reciprocal(s), A.Vt(m + q**0.5 * z)))
    shrink = 1 / (1 + q / v * s**2)
    return A.V(shrink * (A.Vt(m) + q / v * s * A.Ut(y)) + (q * shrink).sqrt() * A.Vt(z))


def _explain(
    A: SVDOperator, x: Tensor, e: Tensor, y: Tensor, sigma_y: float, variance: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Move x and e, of every particle, so that A x + sigma_y e = y, weighed by their variances.

    That turns draws of x ~ N(m, variance q I) and e ~ N(m_e, q I) into draws given y, for any q.
    """
    s = A.singulars(x[0])
    along = torch.stack([A.Vt(particle) for particle in x])
    off = torch.where(s > 0, A.Ut(y) - s * along - sigma_y * e, 0 * along)
    off = off / (variance * s**2 + sigma_y**2 + (s == 0))
    moved = torch.stack([A.V(particle) for particle in along + variance * s * off])
    return moved, e + sigma_y * off if sigma_y > 0 else e


def _joint_weights(
    A: SVDOperator, m: Tensor, m_e: Tensor, y: Tensor, sigma_y: float, fresh: float
) -> Tensor:
    """Return the weights of particles (b, M): N(y | A m + sigma_y m_e, fresh^2 (A A* + sigma_y^2
    I)).
    """
    s = A.singulars(m[0])
    logs = []
    for m_k, e_k in zip(m, m_e, strict=True):
        u = torch.where(s > 0, A.Ut(y) - s * A.Vt(m_k) - sigma_y * e_k, 0 * s)
        variance = fresh**2 * (s**2 + sigma_y**2) + (s == 0)
        logs.append(-0.5 * (u.abs().square() / variance).flatten(1).sum(1))
    return torch.stack(logs, 1).softmax(1)


def _log_weight(A: SVDOperator, m: Tensor, y: Tensor, q: float, v: float) -> Tensor:
    """log N(y | A m, v I + q A A*) per image, up to a constant, (b,)."""
    s = A.singulars(m)
    u = (A.Ut(y) - s * A.Vt(m)).abs().square()
    return -0.5 * torch.where(
        s > 0, u / (v + q * s**2).where(s > 0, torch.ones_like(s)), 0 * u
    ).flatten(1).sum(1)


def _resample(x: Tensor, weights: Tensor, u: Tensor) -> Tensor:
    """Draw each image's particles anew, with replacement: x (M, b, ...), weights (b, M), uniform u
    (b, M).
    """
    # right: u = 0 must not choose a particle of weight 0; the clamp catches a sum that rounds below
    # u
    chosen = torch.searchsorted(weights.cumsum(1), u.contiguous(), right=True).clamp(
        max=weights.shape[1] - 1
    )
    return torch.stack(
        [x[chosen[:, k], torch.arange(x.shape[1], device=x.device)] for k in range(len(x))]
    )


PAPER: dict[str, Solver] = {
    "sr4": FPS(),  # HRDIS, Table 3: one particle, 1000 calls; c of the official code
    "sr2": FPS(),
    "inpaint": FPS(),
    "denoise": FPS(),
}

SOURCE = Paper(
    "dou2024fps",
    "Diffusion Posterior Sampling for Linear Inverse Problem Solving: A Filtering Perspective",
    ("Dou, Zehao", "Song, Yang"),
    "ICLR",
    2024,
    "https://openreview.net/forum?id=tplXNcHZs1",
)
