"""FPS and FPS-SMC: filtering posterior sampling, with particles."""

from itertools import pairwise
from typing import Annotated, ClassVar, final

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
    lead away.

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

    Yields:
        `Step` with x = x0_hat of the first particle and its root mean square residual.

    Returns:
        the first particle after the last resampling.

    Draws:
        z for y_T, z per later y_s; then per particle z for x_T and z per step except to s = -1 (one
        particle: draws of
        image shape, M: (M, c, h, w) per image), and with M > 1 M uniform numbers per resampling.

    Cost:
        one network call on M times the batch per step, no derivative of the network; the path of y
        is kept.

    Reference:
        Dou, Song, Diffusion Posterior Sampling for Linear Inverse Problem Solving: A Filtering
        Perspective, ICLR 2024, Algorithms 1-2.

    Differs from the official code:
        ZehaoDou-official/FPS-SMC-2023, commit 008e7f7: (1) sigma_y is the problem's, there 0.05;
        (2) times are not one step off; (3) x_T has the factor 1 / v_T for every operator, and a
        draw per particle; (4) weights in closed form; (5) q_s is not padded.

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
    c: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of fresh noise (variance)."""
    particles: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Particles per image; 1 is FPS, more are FPS-SMC."""
    clamp: bool = True
    """Clamp the denoised image to [-1, 1], as the authors do."""

    @torch.no_grad()
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        q, M, c, shape = prior.schedule, self.particles, self.c, problem.image_shape
        A: SVDOperator = problem.A  # type: ignore[assignment]
        path = self._path(problem, q, times, rng)

        def draw() -> Tensor:  # (M, b, c, h, w)
            if M == 1:
                return rng.randn(shape[1:], like=problem.y)[None]
            return rng.randn((M, *shape[1:]), like=problem.y).transpose(0, 1)

        t, v = times[0], float(q[times[0]]) * problem.sigma_y**2
        around = (
            (0.0, 1.0)
            if self.start is None
            else (q.signal(t) * A.smooth(problem.y), float(1 - q[t]))
        )
        x_t = torch.stack(
            [
                _condition(A, torch.zeros_like(z) + around[0], z, path[0], around[1], v)
                for z in draw()
            ]
        )
        for (t, s), y_s in zip(pairwise(times), [*path[1:], None], strict=True):
            x0_hat, eps = (p.reshape(x_t.shape) for p in prior(x_t.flatten(0, 1), t))
            x0_hat = x0_hat.clamp(-1, 1) if self.clamp else x0_hat
            seen = x0_hat[0].clone()
            if y_s is None:
                x_t = x0_hat
            else:
                m = q.signal(s) * x0_hat + (1 - c) ** 0.5 * q.noise(s) * eps
                q_s, v_s = c * float(1 - q[s]), float(q[s]) * problem.sigma_y**2
                x_t = torch.stack(
                    [_condition(A, *mz, y_s, q_s, v_s) for mz in zip(m, draw(), strict=True)]
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
        y, A, c = problem.y, problem.A, self.c

        def noise() -> Tensor:
            return A(rng.randn(problem.image_shape[1:], like=y))

        path = [noise() if self.start is None else q.diffuse(y, times[0], noise())]
        for t, s in pairwise(times[:-1]):
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
