"""Every solver's steps against its formulas, written here with matrices and an SVD of their own, on
recorded noise.

The prior is a correlated Gaussian of 16 pixels, whose denoiser is a matrix: x0_hat = P x_t + p. The
steps of DDRM, DDNM, DDNM+, DDS and FPS are gains along the singular vectors of the measurement, so
that one table serves twice: to follow a run draw by draw, and to propagate the mean and the
covariance of everything it could have drawn.
"""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import (
    MRI,
    BlindOperator,
    Channelwise,
    CircularBlur,
    Composition,
    Function,
    Identity,
    Inpainting,
    LinearOperator,
    Matrix,
    SuperResolution,
)
from hrdis.problem import Problem
from hrdis.rng import Replay
from hrdis.solvers import fps
from hrdis.solvers.base import misfit_gradient
from tests.common.toys import MILD, Recorded, Tape, drain, gaussian, normal, pixels

SHAPE, N = (1, 4, 4), 16
PRIOR = gaussian(*SHAPE)
Q = PRIOR.schedule
C, MEAN, EYE = PRIOR.covariance, PRIOR.mean.flatten(), torch.eye(N).double()
TIMES = [900, 500, 120, -1]


def spread_out() -> Matrix:
    """Nine rows of rank 6, singular values from 3 to 0.05: every rule of every solver finds some of
    its own.
    """
    U, V = (torch.linalg.qr(normal(k, k, seed=40 + k)).Q for k in (9, N))
    s = torch.tensor([3, 1.5, 0.7, 0.3, 0.1, 0.05], dtype=torch.float64)
    return Matrix(U[:, :6] @ torch.diag(s) @ V[:, :6].T, SHAPE)


OPERATORS: dict[str, LinearOperator] = {
    "mask": Inpainting(pixels(4, 4)),
    "average": SuperResolution(2),
    "bicubic": SuperResolution(2, kernel="bicubic"),
    "matrix": spread_out(),
}
every_operator = pytest.mark.parametrize("operator", OPERATORS)


def a(t: int) -> float:
    return float(Q[t]) ** 0.5


def b(t: int) -> float:
    return (1 - float(Q[t])) ** 0.5


def denoiser(t: int) -> tuple[Tensor, Tensor]:
    """P and p of x0_hat = P x_t + p: the posterior mean of a Gaussian seen in noise."""
    P = a(t) * C @ torch.linalg.inv(a(t) ** 2 * C + b(t) ** 2 * EYE)
    return P, MEAN - a(t) * P @ MEAN


def denoise(v: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """x0_hat and eps of vectors (b, n)."""
    P, p = denoiser(t)
    x0_hat = v @ P.T + p
    return x0_hat, (v - a(t) * x0_hat) / b(t)


class Toy:
    """A measurement of two images as matrices: y = H x + sigma_y noise, H = U diag(s) V^T."""

    def __init__(self, A: LinearOperator, sigma_y: float = 0.0):
        self.A, self.sigma_y = A, sigma_y
        self.H = matrix(A, SHAPE)
        U, s, Vt = torch.linalg.svd(self.H, full_matrices=True)
        self.s = torch.cat([s, s.new_zeros(N)])[:N]
        self.s[self.s < 1e-9] = 0
        self.V, self.U = Vt.T, torch.zeros(len(self.H), N, dtype=torch.float64)
        rank = int((self.s > 0).sum())
        self.U[:, :rank] = U[:, :rank]
        seen = (self.H != 0).any(1)
        y = (
            PRIOR.sample(2, seed=5).flatten(1) @ self.H.T
            + sigma_y * normal(2, len(self.H), seed=6) * seen
        )
        self.y = y.reshape(A(PRIOR.sample(2)).shape)
        self.problem = Problem(self.y, A, sigma_y)

    @property
    def inverse(self) -> Tensor:
        """1 / s, 0 where s is."""
        return torch.where(self.s > 0, 1 / self.s.clamp(min=1e-12), 0 * self.s)

    @property
    def pinv(self) -> Tensor:
        return torch.linalg.pinv(self.H, rtol=1e-9)

    def along(self, gain: Tensor) -> Tensor:
        """V diag(gain) V^T."""
        return self.V @ torch.diag(gain) @ self.V.T


def follow(solver: hrdis.Solver, toy: Toy, times: list[int] = TIMES):
    """Run a solver and keep what went by: states x_t as vectors with the result last, draws, and
    steps.
    """
    prior, tape = Recorded(PRIOR), Tape([0, 1])
    steps, result = drain(hrdis.iterate(solver, prior, toy.problem, times=times, rng=tape))
    return [x.flatten(1) for x in prior.inputs] + [result.x.flatten(1)], tape.draws, steps


def same(found: list[Tensor], expected: list[Tensor], atol: float = 1e-8) -> None:
    """State by state."""
    assert len(found) == len(expected)
    for k, (x, v) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(x, v, rtol=0, atol=atol, msg=lambda m, k=k: f"state {k}: {m}")


# ---- the table of gains
# --------------------------------------------------------------------------- Each returns (f, e, g,
# h): in the columns of V, x_s = f x0_hat + e eps + g z + h U^T y, with zeros of s by name.

Gains = tuple[Tensor, Tensor, Tensor, Tensor]


def ddrm(toy: Toy, t: int, s: int, eta: float = 0.85, eta_b: float = 1.0) -> Gains:
    w, sv, inv = b(s) / a(s), toy.s, toy.inverse
    f, e, g, h = (torch.zeros(N).double() for _ in range(4))
    for i in range(N):
        if sv[i] == 0:
            f[i], e[i], g[i] = 1, (1 - eta**2) ** 0.5 * w, eta * w
        elif sv[i] * w > toy.sigma_y:
            f[i], h[i], g[i] = (
                1 - eta_b,
                eta_b * inv[i],
                (w**2 - (eta_b * toy.sigma_y * inv[i]) ** 2) ** 0.5,
            )
        elif toy.sigma_y > 0:
            k = (1 - eta**2) ** 0.5 * w / toy.sigma_y
            f[i], h[i], g[i] = 1 - k * sv[i], k, eta * w
        else:  # w = 0: the last step
            f[i] = 1
    return tuple(a(s) * v for v in (f, e, g, h))


def ddnm(toy: Toy, t: int, s: int, eta: float = 0.85, share: float = 1.0) -> Gains:
    left = (b(s) ** 2 - (a(s) * share * toy.sigma_y) ** 2) ** 0.5
    f, h = a(s) * (1 - share * (toy.s > 0).double()), a(s) * share * toy.inverse
    ones = torch.ones(N).double()
    return f, left * (1 - eta**2) ** 0.5 * ones, left * eta * ones, h


def simplified(toy: Toy, t: int, s: int, eta: float = 0.85) -> Gains:
    return ddnm(toy, t, s, eta, min(1.0, b(s) / (a(s) * toy.sigma_y)) if toy.sigma_y > 0 else 1.0)


def ddnmplus(toy: Toy, t: int, s: int, eta: float = 0.85) -> Gains:
    if toy.sigma_y == 0:
        return ddnm(toy, t, s, eta)
    sigma, lam, d1, d2 = b(s), *(torch.zeros(N).double() for _ in range(3))
    for i in range(N):
        if toy.s[i] == 0:
            lam[i], d1[i], d2[i] = 1, eta * sigma, (1 - eta**2) ** 0.5 * sigma
        elif sigma >= a(s) * toy.sigma_y / toy.s[i]:
            lam[i], d1[i] = 1, (sigma**2 - (a(s) * toy.sigma_y / toy.s[i]) ** 2) ** 0.5
        else:
            lam[i] = toy.s[i] * sigma * (1 - eta**2) ** 0.5 / (a(s) * toy.sigma_y)
            d1[i] = eta * sigma
    seen = (toy.s > 0).double()
    return a(s) * (1 - lam * seen), d2, d1, a(s) * lam * toy.inverse


def dds(toy: Toy, t: int, s: int, eta: float = 0.85, gamma: float = 1.0) -> Gains:
    """With conjugate gradient run to its end."""
    if toy.sigma_y == 0:
        return ddnm(toy, t, s, eta)
    damped = 1 / (1 + gamma * toy.s**2)
    e, g = (b(s) * k * torch.ones(N).double() for k in ((1 - eta**2) ** 0.5, eta))
    return a(s) * damped, e, g, a(s) * gamma * toy.s * damped


def gains_of_fps(toy: Toy, t: int, s: int, c: float = 0.95) -> Gains:
    """Here h belongs to U^T y_s."""
    q, v, sv = c * b(s) ** 2, a(s) ** 2 * toy.sigma_y**2, toy.s
    if s < 0:
        return torch.ones(N).double(), *(torch.zeros(N).double() for _ in range(3))
    if v == 0:
        blind = (sv == 0).double()
        return a(s) * blind, (1 - c) ** 0.5 * b(s) * blind, q**0.5 * blind, toy.inverse
    S = 1 / (1 + q / v * sv**2)
    return a(s) * S, (1 - c) ** 0.5 * b(s) * S, (q * S) ** 0.5, q / v * sv * S


def pigdm(toy: Toy, t: int, s: int, eta: float = 1.0, weight: float = 1.0) -> tuple[Tensor, ...]:
    """The matrices on x0_hat, eps and z, and what y adds, (b, n)."""
    P, _ = denoiser(t)
    K = toy.pinv
    if toy.sigma_y > 0:
        ratio = toy.sigma_y**2 / (1 - float(Q[t]))
        K = toy.H.T @ torch.linalg.inv(toy.H @ toy.H.T + ratio * torch.eye(len(toy.H)).double())
    pull = weight * a(s) * a(t) * P.T @ K
    c1 = eta * (b(s) / b(t)) * (1 - float(Q[t]) / float(Q[s])) ** 0.5
    c2 = (b(s) ** 2 - c1**2) ** 0.5
    return a(s) * EYE - pull @ toy.H, c2 * EYE, c1 * EYE, toy.y.flatten(1) @ pull.T


def matrices(
    gains: Callable[..., Gains], toy: Toy, t: int, s: int, **settings
) -> tuple[Tensor, ...]:
    f, e, g, h = gains(toy, t, s, **settings)
    return (
        toy.along(f),
        toy.along(e),
        toy.along(g),
        toy.y.flatten(1) @ toy.U @ torch.diag(h) @ toy.V.T,
    )


def step_matrices(rule, toy: Toy, t: int, s: int, **settings) -> tuple[Tensor, ...]:
    """x_s = F x0_hat + E eps + G z + c of any solver of the table."""
    return pigdm(toy, t, s, **settings) if rule is pigdm else matrices(rule, toy, t, s, **settings)


def start_of(rule, toy: Toy, t: int) -> tuple[Tensor, Tensor]:
    """x_T = G z + c."""
    if rule is pigdm:
        return b(t) * EYE, a(t) * toy.y.flatten(1) @ toy.pinv.T
    if rule is not ddrm:
        return EYE, torch.zeros(2, N).double()
    w, gain, known = b(t) / a(t), torch.ones(N).double(), torch.zeros(N).double()
    for i in range(N):
        if toy.s[i] * w > toy.sigma_y:
            gain[i] = (w**2 - (toy.sigma_y * toy.inverse[i]) ** 2) ** 0.5 / w
            known[i] = toy.inverse[i] / w
    return toy.along(gain), toy.y.flatten(1) @ toy.U @ torch.diag(known) @ toy.V.T


#: solver with settings -> its rule in the table, with the same settings
LINEAR_STEPS = {
    "ddrm": (hrdis.DDRM(), ddrm, {}),
    "ddrm, eta, eta_b": (hrdis.DDRM(eta=0.4, eta_b=0.6), ddrm, {"eta": 0.4, "eta_b": 0.6}),
    "ddrm, deterministic": (hrdis.DDRM(eta=0), ddrm, {"eta": 0.0}),
    "ddnm": (hrdis.DDNM(), ddnm, {}),
    "ddnmplus": (hrdis.DDNMPlus(), ddnmplus, {}),
    "ddnmplus, eta": (hrdis.DDNMPlus(eta=0.4), ddnmplus, {"eta": 0.4}),
    "ddnmplus, simplified": (hrdis.DDNMPlus(form="simplified"), simplified, {}),
    "ddnmplus, simplified, eta": (
        hrdis.DDNMPlus(form="simplified", eta=0.4),
        simplified,
        {"eta": 0.4},
    ),
    "dds": (hrdis.DDS(cg_steps=60), dds, {}),
    "dds, eta, gamma": (
        hrdis.DDS(cg_steps=60, eta=0.4, gamma=2.5),
        dds,
        {"eta": 0.4, "gamma": 2.5},
    ),
    "pigdm": (hrdis.PiGDM(hard_replace=False), pigdm, {}),
    "pigdm, eta, weight": (
        hrdis.PiGDM(hard_replace=False, eta=0.4, weight=0.3),
        pigdm,
        {"eta": 0.4, "weight": 0.3},
    ),
}
every_linear_step = pytest.mark.parametrize(
    ("name", "sigma_y"),
    [(n, sigma) for n in LINEAR_STEPS for sigma in (0.0, 0.1, 0.8) if sigma == 0 or n != "ddnm"],
)


def tolerance(name: str, operator: str) -> float:
    """Conjugate gradient stops at 1e-6 of its right-hand side, which A* A makes up to 3600 times
    larger where that is its condition. How much of that is met depends on the processor's rounding.
    """
    return (
        {"mask": 1e-8, "average": 1e-8, "bicubic": 1e-6, "matrix": 1e-3}[operator]
        if "dds" in name
        else 1e-8
    )


@every_linear_step
@every_operator
@pytest.mark.parametrize("times", [TIMES, [300, 40, 0, -1]], ids=str)
def test_states_follow_the_table(name, sigma_y, operator, times):
    solver, rule, settings = LINEAR_STEPS[name]
    toy = Toy(OPERATORS[operator], sigma_y)
    states, draws, _ = follow(solver, toy, times)
    draws = [z.flatten(1) for z in draws]
    G, c = start_of(rule, toy, times[0])
    x = draws.pop(0) @ G.T + c
    expected = [x]
    for t, s in pairwise(times):
        x0_hat, eps = denoise(x, t)
        F, E, G, c = step_matrices(rule, toy, t, s, **settings)
        x = x0_hat @ F.T + eps @ E.T + c
        if s >= 0:
            x = x + draws.pop(0) @ G.T
        expected.append(x)
    assert draws == []
    same(states, expected, tolerance(name, operator))


# ---- mean and covariance, over everything that could have been drawn
# ------------------------------


def affine(solver: hrdis.Solver, problem: Problem, times: list[int]) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the result for the first image, exactly: a run per unit draw, and one
    without noise.
    """
    first = Problem(problem.y[:1], problem.A, problem.sigma_y)
    tape = Tape([0])
    hrdis.solve(solver, PRIOR, first, times=times, rng=tape)
    k = len(tape.draws)
    units = torch.zeros(
        k, 1 + k * N, N
    ).double()  # image 0: no noise; image 1 + i n + j: entry j of draw i
    for i in range(k):
        units[i, 1 + i * N : 1 + (i + 1) * N] = EYE
    y = first.y.expand(1 + k * N, *first.y.shape[1:])
    many = Problem(y, problem.A, problem.sigma_y)
    x = hrdis.solve(
        solver, PRIOR, many, times=times, rng=Replay(units.reshape(k, -1, *SHAPE))
    ).x.flatten(1)
    effect = x[1:] - x[0]
    return x[0], effect.T @ effect


@every_linear_step
@pytest.mark.parametrize("operator", ["mask", "bicubic", "matrix"])
def test_mean_and_covariance_are_those_propagated_by_matrices(name, sigma_y, operator):
    solver, rule, settings = LINEAR_STEPS[name]
    toy, times = Toy(OPERATORS[operator], sigma_y), [950, 700, 420, 180, 30, -1]
    G, c = start_of(rule, toy, times[0])
    mean, cov = c[0], G @ G.T
    for t, s in pairwise(times):
        P, p = denoiser(t)
        F, E, G, c = step_matrices(rule, toy, t, s, **settings)
        M = F @ P + E @ (EYE - a(t) * P) / b(t)  # all of the step on x_t
        mean = M @ mean + (F - a(t) / b(t) * E) @ p + c[0]
        cov = M @ cov @ M.T + (G @ G.T if s >= 0 else 0)
    atol = tolerance(name, operator) * (10 if "dds" in name and operator != "mask" else 1)
    found_mean, found_cov = affine(solver, toy.problem, times)
    torch.testing.assert_close(found_mean, mean, rtol=0, atol=atol)
    torch.testing.assert_close(found_cov, cov, rtol=0, atol=atol)


@pytest.mark.parametrize("sigma_y", [0.0, 0.1, 0.8])
@every_operator
def test_fps_mean_and_covariance_are_those_propagated_by_matrices(sigma_y, operator):
    """The state is (x_t, y_t): the path of y is random too."""
    toy, c, times = Toy(OPERATORS[operator], sigma_y), 0.9, [950, 700, 420, 180, 30, -1]
    H, y, m = toy.H, toy.y.flatten(1)[0], len(toy.H)
    t, v = times[0], a(times[0]) ** 2 * toy.sigma_y**2
    blind = (toy.s == 0).double()
    shrink, pull = (1 / (1 + toy.s**2 / v), toy.s / v) if v > 0 else (blind, toy.inverse)
    K = toy.V @ torch.diag(shrink * pull if v > 0 else pull) @ toy.U.T
    mean = torch.zeros(N + m).double()
    cov = torch.cat([K @ H, H]) @ torch.cat([K @ H, H]).T
    cov[:N, :N] += toy.along(shrink)
    for t, s in pairwise(times):
        P, p = denoiser(t)
        if s < 0:
            mean, cov = P @ mean[:N] + p, P @ cov[:N, :N] @ P.T
            break
        f, e, g, h = gains_of_fps(toy, t, s, c)
        keep = (1 - c) ** 0.5 * b(s) / b(t)
        F, E, K = toy.along(f), toy.along(e), toy.V @ torch.diag(h) @ toy.U.T
        on_x = F @ P + E @ (EYE - a(t) * P) / b(t)
        step = torch.cat(
            [torch.cat([on_x, keep * K], 1), torch.cat([torch.zeros(m, N), keep * torch.eye(m)], 1)]
        )
        to_y = (a(s) - keep * a(t)) * y
        mean = step @ mean + torch.cat([(F - a(t) / b(t) * E) @ p + K @ to_y, to_y])
        fresh = c**0.5 * b(s) * torch.cat([K @ H, H])
        cov = step @ cov @ step.T + fresh @ fresh.T
        cov[:N, :N] += toy.along(g) @ toy.along(g).T
    found_mean, found_cov = affine(hrdis.FPS(c=c, clamp=False), toy.problem, times)
    torch.testing.assert_close(found_mean, mean, rtol=0, atol=1e-8)
    torch.testing.assert_close(found_cov, cov, rtol=0, atol=1e-8)


# ---- ties, and what observers see
# -------------------------------------------------------------------

EVEN = hrdis.Schedule([0.9, 0.5, 0.1])  # at t = 1 signal and noise are equal, to the bit
SIX = torch.tensor([0.3, -0.2, 0.1, 0.4, -0.5, 0.2]).double().reshape(1, 1, 2, 3)


def tied(solver: hrdis.Solver) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One step from t = 2 to 1 with noise of y exactly as large as the step's: x_s, x0_hat, z,
    y.
    """
    prior, tape = Recorded(hrdis.priors.Gaussian(0 * SIX[0], 0.25, EVEN)), Tape([0])
    hrdis.solve(solver, prior, Problem(SIX, Identity(), 1.0), times=[2, 1, -1], rng=tape)
    return prior.inputs[1], prior.prior(prior.inputs[0], 2).x0_hat, tape.draws[1], SIX


def test_ddrm_tie_takes_the_second_rule():
    x_s, x0_hat, z, y = tied(hrdis.DDRM(eta=0.6))
    torch.testing.assert_close(
        x_s, 0.5**0.5 * (x0_hat + 0.8 * (y - x0_hat) + 0.6 * z), rtol=0, atol=1e-14
    )


def test_ddnmplus_tie_takes_the_second_rule():
    x_s, _, _, y = tied(hrdis.DDNMPlus(eta=0.6))
    torch.testing.assert_close(x_s, 0.5**0.5 * y, rtol=0, atol=1e-14)


SHOWN = {  # what a step shows, as a matrix on x0_hat and one on y
    "ddrm": (hrdis.DDRM(), lambda toy: (EYE, 0 * toy.pinv)),
    "ddnm": (hrdis.DDNM(), lambda toy: (EYE - toy.pinv @ toy.H, toy.pinv)),
    "ddnmplus, simplified": (
        hrdis.DDNMPlus(form="simplified"),
        lambda toy: (EYE - toy.pinv @ toy.H, toy.pinv),
    ),
    "dds": (hrdis.DDS(cg_steps=60), lambda toy: (EYE - toy.pinv @ toy.H, toy.pinv)),
    "pigdm": (hrdis.PiGDM(hard_replace=False), lambda toy: (EYE, 0 * toy.pinv)),
    "fps": (hrdis.FPS(clamp=False), lambda toy: (EYE, 0 * toy.pinv)),
}


@pytest.mark.parametrize("name", SHOWN)
def test_steps_show_the_estimate_and_its_residual(name):
    solver, shown = SHOWN[name]
    toy = Toy(OPERATORS["bicubic"])
    states, _, steps = follow(solver, toy)
    F, G = shown(toy)
    for x, t, step in zip(states, TIMES[:-1], steps, strict=False):
        x0_hat, _ = denoise(x, t)
        r = x0_hat @ toy.H.T - toy.y.flatten(1)
        torch.testing.assert_close(
            step.info["residual"], r.square().mean(1).sqrt(), rtol=0, atol=1e-9
        )
        if step is not steps[-1]:
            torch.testing.assert_close(
                step.x.flatten(1), x0_hat @ F.T + toy.y.flatten(1) @ G.T, rtol=0, atol=1e-8
            )


# ---- DDS before it converges
# ----------------------------------------------------------------------


@pytest.mark.parametrize("sigma_y", [0.0, 0.2])
@pytest.mark.parametrize("cg_steps", [1, 2])
def test_dds_takes_textbook_steps_of_conjugate_gradient(sigma_y, cg_steps):
    toy, gamma = Toy(OPERATORS["matrix"], sigma_y), 2.5
    states, draws, _ = follow(hrdis.DDS(cg_steps=cg_steps, gamma=gamma), toy)
    H, y = toy.H, toy.y.flatten(1)
    x, expected = draws[0].flatten(1), [draws[0].flatten(1)]
    for (t, s), z in zip(pairwise(TIMES), [*draws[1:], None], strict=True):
        x0_hat, eps = denoise(x, t)
        M = EYE + gamma * H.T @ H if sigma_y > 0 else H.T @ H
        rhs = x0_hat + gamma * y @ H if sigma_y > 0 else y @ H
        closer = []
        for v, target in zip(x0_hat, rhs, strict=True):
            r = p = target - M @ v
            for _ in range(cg_steps):
                alpha = (r @ r) / (p @ M @ p)
                v, r_new = v + alpha * p, r - alpha * M @ p
                r, p = r_new, r_new + (r_new @ r_new) / (r @ r) * p
            closer.append(v)
        noise = 0 if z is None else 0.85 * z.flatten(1) + (1 - 0.85**2) ** 0.5 * eps
        x = a(s) * torch.stack(closer) + b(s) * noise
        expected.append(x)
    same(states, expected)


# ---- PiGDM on masks, DPS
# --------------------------------------------------------------------------


def test_pigdm_hard_replaces_observed_pixels_of_noiseless_masks():
    toy, eta = Toy(OPERATORS["mask"]), 0.4
    states, draws, steps = follow(hrdis.PiGDM(eta=eta), toy)
    m, y = toy.H.diag(), toy.y.flatten(1)
    x = a(900) * y + b(900) * draws.pop(0).flatten(1)
    expected = [x]
    for (t, s), step in zip(pairwise(TIMES), steps, strict=True):
        x0_hat, eps = denoise(x, t)
        g = (m * (y - m * x0_hat)) @ denoiser(t)[0]
        replaced = m * y + (1 - m) * x0_hat
        c1 = eta * (b(s) / b(t)) * (1 - float(Q[t]) / float(Q[s])) ** 0.5
        x = a(s) * replaced + (b(s) ** 2 - c1**2) ** 0.5 * eps + a(s) * a(t) * (1 - m) * g
        if s >= 0:
            x = x + c1 * draws.pop(0).flatten(1)
            torch.testing.assert_close(step.x.flatten(1), replaced, rtol=0, atol=1e-8)
        expected.append(x)
    same(states, expected)


def test_pigdm_does_not_replace_noisy_pixels():
    toy = Toy(OPERATORS["mask"], 0.1)
    hard, soft = (follow(hrdis.PiGDM(hard_replace=h), toy)[0][-1] for h in (True, False))
    assert torch.equal(hard, soft)


@pytest.mark.parametrize(
    "A",
    [
        MRI(pixels(4, 4)),
        MRI(pixels(4, 4), torch.ones(3, 4, 4, dtype=torch.complex128)),
        Channelwise(MRI(pixels(4, 4)), channels=2),
        Composition(CircularBlur(MILD), Inpainting(pixels(4, 4))),
        Composition(SuperResolution(2), Inpainting(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))),
    ],
    ids=["mri", "mri, coils", "mri of a picture", "blur, then a mask", "average, then a mask"],
)
def test_pigdm_replaces_pixels_only_where_y_is_the_picture_with_holes(A):
    """All have holes in y, but none of them in the picture: what is observed there are no
    pixels.
    """
    prior = gaussian(2, 4, 4)
    problem = hrdis.measure(A, 0.5 * prior.sample(2, seed=5))
    hard, soft = (
        hrdis.solve(hrdis.PiGDM(steps=5, hard_replace=h), prior, problem, seeds=[0, 1]).x
        for h in (True, False)
    )
    assert torch.equal(hard, soft)


def ancestral(t: int, s: int) -> tuple[float, float, float]:
    """On x0_hat, on x_t, and the standard deviation."""
    beta, rest = 1 - float(Q[t]) / float(Q[s]), 1 - float(Q[t])
    left = (1 - float(Q[s])) / rest
    return a(s) * beta / rest, (1 - beta) ** 0.5 * left, (beta * left) ** 0.5


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("sigma_y", [0.0, 0.3])
@every_operator
def test_mmps_steps_to_the_exact_mean_given_the_state_and_the_measurement(operator, sigma_y, eta):
    toy = Toy(OPERATORS[operator], sigma_y)
    # 200 steps of conjugate gradient converge: singular values of 3 to 0.05 are far apart
    states, draws, steps = follow(hrdis.MMPS(eta=eta, cg_steps=200), toy)
    draws, y, H = [z.flatten(1) for z in draws], toy.y.flatten(1), toy.H
    x = draws.pop(0)
    expected = [x]
    for (t, s), step in zip(pairwise(TIMES), steps, strict=True):
        x0_hat = denoise(x, t)[0]
        V = (
            b(t) ** 2 * C @ torch.linalg.inv(a(t) ** 2 * C + b(t) ** 2 * EYE)
        )  # Cov[x | x_t] of a Gaussian image
        gain = (
            V
            @ H.T
            @ torch.linalg.pinv(H @ V @ H.T + sigma_y**2 * torch.eye(len(H)).double(), rtol=1e-12)
        )
        x0_y = x0_hat + (y - x0_hat @ H.T) @ gain.T
        eps = (x - a(t) * x0_y) / b(t)
        share = (
            0.0 if s < 0 else eta * (b(s) / b(t)) * (1 - float(Q[t]) / float(Q[s])) ** 0.5 / b(s)
        )
        n = (1 - share**2) ** 0.5 * eps + share * draws.pop(0) if share > 0 else eps
        torch.testing.assert_close(step.x.flatten(1), x0_y, rtol=0, atol=1e-6)
        x = a(s) * x0_y + b(s) * n if s >= 0 else x0_y
        expected.append(x)
    same(states, expected, atol=1e-6)  # conjugate gradient stops at 1e-6 of y


class Rounded(hrdis.Prior):
    """A Gaussian whose Jacobian has the rounding of half precision: an error of x_t - b eps, which
    is divided by a small a.
    """

    def __init__(self, prior: hrdis.priors.Gaussian, dtype: torch.dtype):
        super().__init__()
        self.prior, self.schedule = prior, prior.schedule
        self.weight = torch.nn.Parameter(torch.ones(1, dtype=dtype), requires_grad=False)

    def forward(self, x_t: Tensor, t: int) -> hrdis.priors.Prediction:
        x0_hat, eps = self.prior(x_t, t)
        n = x_t[0].numel()
        error = 1e-3 / a(t) * normal(n, n, seed=100 + t) / n**0.5
        moved = (x_t - x_t.detach()).flatten(1) @ error  # 0, with the error as its derivative
        return hrdis.priors.Prediction(x0_hat + moved.reshape(x_t.shape), eps)


def test_mmps_in_half_precision_fills_each_of_eight_holes():
    """Without the end of CG at a direction that is hardly curved, two are filled with noise of
    standard deviation 1.06 and 1.08.
    """
    prior, mask = hrdis.priors.Gaussian(torch.zeros(1, 16, 16), 0.09), torch.ones(8, 1, 16, 16)
    for i in range(8):
        mask[i, :, i : i + 8, 8 - i : 16 - i] = 0
    x, A = prior.sample(8, seed=1), Inpainting(mask)
    problem, solver = Problem(A(x), A), hrdis.MMPS(steps=20)
    exact = hrdis.solve(solver, prior, problem, seeds=range(8)).x
    found = hrdis.solve(solver, Rounded(prior, torch.bfloat16), problem, seeds=range(8)).x
    # the error of 1e-3 acts at levels where x0_hat tells nothing yet
    torch.testing.assert_close(found, exact, rtol=0, atol=0.05)
    torch.testing.assert_close(A(found), problem.y, rtol=0, atol=1e-6)


class Learned(hrdis.Prior):
    """The prior, with a variance that differs from pixel to pixel."""

    v = torch.linspace(-1, 1, N).double().reshape(SHAPE)
    schedule = Q

    def forward(self, x_t, t):
        x0_hat, eps = PRIOR(x_t, t)
        return hrdis.priors.Prediction(x0_hat, eps, self.v.expand_as(x_t))


@pytest.mark.parametrize("solver", [hrdis.DPS(zeta=0.7), hrdis.GDP(kappa=0.05)], ids=["dps", "gdp"])
def test_learned_variance_scales_the_fresh_noise(solver):
    toy = Toy(OPERATORS["average"])
    x_T, z, rest = (normal(2, *SHAPE, seed=k) for k in range(3))
    first = []
    for prior in (Learned(), PRIOR):
        seen = Recorded(prior)
        hrdis.solve(solver, seen, toy.problem, times=TIMES, rng=Replay([x_T, z, rest]))
        first.append(seen.inputs[1].flatten(1))
    beta, (_, _, small) = 1 - float(Q[900]) / float(Q[500]), ancestral(900, 500)
    f = (Learned.v.flatten() + 1) / 2
    std = beta ** (f / 2) * small ** (1 - f)
    torch.testing.assert_close(first[0] - first[1], (std - small) * z.flatten(1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("form", ["ancestral", "ddim"])
@pytest.mark.parametrize("sigma_y", [0.0, 0.3])
@every_operator
def test_dps_follows_its_formula(form, operator, sigma_y):
    toy, zeta, eta = Toy(OPERATORS[operator], sigma_y), 0.7, 0.4
    states, draws, steps = follow(hrdis.DPS(zeta=zeta, eta=eta, form=form), toy)
    draws, y, H = [z.flatten(1) for z in draws], toy.y.flatten(1), toy.H
    x = draws.pop(0)
    if form == "ddim":
        x = a(900) * y @ toy.pinv.T + b(900) * x
    expected, saturated = [x], 0
    for (t, s), step in zip(pairwise(TIMES), steps, strict=True):
        raw, eps = denoise(x, t)
        x0_hat = raw.clamp(-1, 1) if form == "ancestral" else raw
        open_ = ((raw.abs() < 1) if form == "ancestral" else (raw == raw)).double()
        saturated += int((1 - open_).sum())
        r = x0_hat @ H.T - y
        gradient = ((r / r.norm(dim=1, keepdim=True)) @ H * open_) @ denoiser(t)[0]
        torch.testing.assert_close(
            step.info["residual"], r.square().mean(1).sqrt(), rtol=0, atol=1e-8
        )
        z = draws.pop(0) if s >= 0 else torch.zeros_like(x)
        if form == "ancestral":
            on_x0, on_xt, std = ancestral(t, s)
            x = on_x0 * x0_hat + on_xt * x + std * z - zeta * gradient
        else:
            c1 = eta * (b(s) / b(t)) * (1 - float(Q[t]) / float(Q[s])) ** 0.5
            x = a(s) * x0_hat + (b(s) ** 2 - c1**2) ** 0.5 * eps + c1 * z - zeta * gradient
        if s >= 0:
            torch.testing.assert_close(step.x.flatten(1), x0_hat, rtol=0, atol=1e-8)
        expected.append(x)
    same(states, expected)


def test_dps_gradient_stops_at_the_clamp():
    """The same formula where pixels saturate: a picture brighter than white."""
    toy = Toy(OPERATORS["average"])
    bright = hrdis.priors.Gaussian(PRIOR.mean + 0.9, C)
    z = normal(2, *SHAPE, seed=9)
    found = hrdis.solve(
        hrdis.DPS(zeta=0.7), bright, toy.problem, times=[300, -1], rng=Replay([z])
    ).x.flatten(1)
    P, _ = denoiser(300)
    raw = (z.flatten(1) - a(300) * (MEAN + 0.9)) @ P.T + MEAN + 0.9
    r = raw.clamp(-1, 1) @ toy.H.T - toy.y.flatten(1)
    assert 3 < int((raw.abs() >= 1).sum()) < 29
    gradient = ((r / r.norm(dim=1, keepdim=True)) @ toy.H * (raw.abs() < 1).double()) @ P
    torch.testing.assert_close(found, raw.clamp(-1, 1) - 0.7 * gradient, rtol=0, atol=1e-9)


# ---- GDP
# ------------------------------------------------------------------------------------------


def curved(x: Tensor) -> Tensor:
    """A nonlinear measurement of 5 numbers: squares of projections."""
    return (x.flatten(1) @ normal(5, N, seed=8).to(x).T / 4).square()


@pytest.mark.parametrize("guide", ["x0", "xt"])
@pytest.mark.parametrize("operator", [*OPERATORS, "curved"])
@pytest.mark.parametrize(
    "strength", [{"kappa": 0.05}, {"strength": 0.05 * 2 * N}], ids=["kappa", "strength"]
)
def test_gdp_follows_its_formula(guide, operator, strength):
    if operator == "curved":
        toy, W = Toy(OPERATORS["mask"]), normal(5, N, seed=8) / 4
        toy.y = curved(PRIOR.sample(2, seed=5))
        toy.problem = Problem(toy.y, Function(curved, shape=SHAPE))
    else:
        toy = Toy(OPERATORS[operator])
    states, draws, steps = follow(hrdis.GDP(guide=guide, **strength), toy)
    draws, y = [z.flatten(1) for z in draws], toy.y.flatten(1)
    x = draws.pop(0)
    expected = [x]
    for (t, s), step in zip(pairwise(TIMES), steps, strict=True):
        x0_hat = denoise(x, t)[0].clamp(-1, 1)
        held = x0_hat if guide == "x0" else x
        if operator == "curved":
            r = (held @ W.T) ** 2 - y
            g = N / 5 * (r * 2 * (held @ W.T)) @ W
        else:
            r = held @ toy.H.T - y
            g = r @ toy.pinv.T @ (toy.pinv @ toy.H)
        torch.testing.assert_close(
            step.info["residual"], r.square().mean(1).sqrt(), rtol=1e-9, atol=1e-9
        )
        on_x0, on_xt, std = ancestral(t, s)
        x = on_x0 * x0_hat + on_xt * x - 0.05 * g
        if s >= 0:
            x = x + std * draws.pop(0)
            torch.testing.assert_close(step.x.flatten(1), x0_hat, rtol=0, atol=1e-8)
        expected.append(x)
    same(states, expected)


def test_gdp_clamps_the_estimate_it_holds_against_the_measurement():
    toy = Toy(OPERATORS["average"])
    bright, z = hrdis.priors.Gaussian(PRIOR.mean + 0.9, C), normal(2, *SHAPE, seed=9)
    found = hrdis.solve(
        hrdis.GDP(kappa=0.5), bright, toy.problem, times=[300, -1], rng=Replay([z])
    ).x.flatten(1)
    raw = (z.flatten(1) - a(300) * (MEAN + 0.9)) @ denoiser(300)[0].T + MEAN + 0.9
    x0_hat = raw.clamp(-1, 1)
    assert int((raw.abs() > 1).sum()) > 3
    torch.testing.assert_close(
        found, x0_hat - 0.5 * (x0_hat @ toy.H.T - toy.y.flatten(1)) @ toy.pinv.T, rtol=0, atol=1e-9
    )


def test_gdp_default_is_the_authors_strength_of_4000_at_256():
    assert hrdis.GDP().kappa == pytest.approx(0.0102, abs=1e-4)


# ---- FPS
# ------------------------------------------------------------------------------------------


def path_of(toy: Toy, draws: list[Tensor], times: list[int], c: float) -> list[Tensor]:
    """y_t from the top, taking its draws off the list."""
    y = toy.y.flatten(1)
    path = [draws.pop(0).flatten(1) @ toy.H.T]
    for t, s in pairwise(times[:-1]):
        noise = draws.pop(0).flatten(1) @ toy.H.T
        path.append(
            a(s) * y + (1 - c) ** 0.5 * b(s) / b(t) * (path[-1] - a(t) * y) + c**0.5 * b(s) * noise
        )
    return path


def conditioned(toy: Toy, m: Tensor, z: Tensor, y_s: Tensor, q: float, v: float) -> Tensor:
    """S (m + q / v H^T y_s) + sqrt(q) S^(1/2) z for one vector; the limit without noise."""
    H = toy.H
    if v == 0:
        return (EYE - toy.pinv @ H) @ (m + q**0.5 * z) + toy.pinv @ y_s
    values, vectors = torch.linalg.eigh(EYE + q / v * H.T @ H)
    S, root = (vectors @ torch.diag(values**power) @ vectors.T for power in (-1, -0.5))
    return S @ (m + q / v * H.T @ y_s) + q**0.5 * root @ z


def fresh_share(t: int, s: int) -> float:
    """The share of noise, a variance, that DDIM with eta = 1 draws anew from t to s."""
    return (1 - a(t) ** 2 / a(s) ** 2) / b(t) ** 2


def log_density(x: Tensor, mean: Tensor, cov: Tensor) -> float:
    return float(torch.distributions.MultivariateNormal(mean, cov).log_prob(x))


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("sigma_y", [0.0, 0.1, 0.8])
@every_operator
@pytest.mark.parametrize("clamp", [True, False], ids=["clamp", "open"])
def test_fps_follows_its_formula(operator, sigma_y, particles, clamp):
    toy, c, M = Toy(OPERATORS[operator], sigma_y), 0.7, particles
    states, draws, steps = follow(hrdis.FPS(c=c, particles=M, clamp=clamp), toy)
    path = path_of(toy, draws, TIMES, c)

    def draw() -> Tensor:  # (b, M, n)
        return draws.pop(0).reshape(2, M, N)

    def each(rule) -> Tensor:  # over images and particles
        return torch.stack([torch.stack([rule(i, k) for k in range(M)]) for i in range(2)])

    z, v = draw(), a(TIMES[0]) ** 2 * toy.sigma_y**2
    x = each(lambda i, k: conditioned(toy, 0 * MEAN, z[i, k], path[0][i], 1.0, v))
    expected = [x]
    for j, (t, s) in enumerate(pairwise(TIMES)):
        x0_hat, eps = (u.reshape(2, M, N) for u in denoise(x.reshape(-1, N), t))
        x0_hat = x0_hat.clamp(-1, 1) if clamp else x0_hat
        torch.testing.assert_close(steps[j].x.flatten(1), x0_hat[:, 0], rtol=0, atol=1e-8)
        if s < 0:
            x = x0_hat
        else:
            m, z, y_s = a(s) * x0_hat + (1 - c) ** 0.5 * b(s) * eps, draw(), path[j + 1]
            q, v = c * b(s) ** 2, a(s) ** 2 * toy.sigma_y**2
            x = each(
                lambda i, k, m=m, z=z, y_s=y_s, q=q, v=v: conditioned(
                    toy, m[i, k], z[i, k], y_s[i], q, v
                )
            )
            if M > 1:
                u = draws.pop(0)
                cov = toy.U.T @ (v * torch.eye(len(toy.H)).double() + q * toy.H @ toy.H.T) @ toy.U
                seen = toy.s > 0
                for i in range(2):
                    shift = [((y_s[i] - toy.H @ m[i, k]) @ toy.U)[seen] for k in range(M)]
                    logs = [log_density(d, 0 * d, cov[seen][:, seen]) for d in shift]
                    weights = (torch.tensor(logs, dtype=torch.float64) - max(logs)).exp()
                    below = (weights / weights.sum()).cumsum(0)
                    x[i] = x[i][[int((below <= u[i, k]).sum()) for k in range(M)]]
        expected.append(x)
    assert draws == []
    arranged = [x.transpose(0, 1).reshape(-1, N) for x in expected[:-1]] + [expected[-1][:, 0]]
    same(states, arranged)


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("sigma_y", [0.0, 0.1, 0.8])
@every_operator
def test_fps_joint_follows_its_formula(operator, sigma_y, particles):
    """x and the noise n of y (y = H x + sigma_y R n, R = U V^T) move together, in image space."""
    toy, M, seen = Toy(OPERATORS[operator], sigma_y), particles, Toy(OPERATORS[operator]).s > 0
    R = toy.U[:, seen] @ toy.V[:, seen].T
    states, draws, steps = follow(hrdis.FPS(form="joint", particles=M, clamp=False), toy)

    def of_y() -> Tensor:  # H z + sigma_y n
        z = draws.pop(0).flatten(1) @ toy.H.T
        return z + sigma_y * draws.pop(0).flatten(1) if sigma_y > 0 else z

    def pair() -> tuple[Tensor, Tensor]:  # (b, M, n) of x, and of n
        z = draws.pop(0).reshape(2, M, N)
        return z, draws.pop(0).reshape(2, M, N) if sigma_y > 0 else 0 * z

    def explained(x: Tensor, n: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        gap = (y[:, None] - x @ toy.H.T - sigma_y * n @ R.T) @ toy.pinv.T  # along V: off / s
        off = gap @ toy.along(toy.s / (toy.s**2 + sigma_y**2 + ~seen)).T
        return x + off @ toy.along(toy.s).T, n + sigma_y * off

    y, path = toy.y.flatten(1), [of_y()]
    for t, s in pairwise(TIMES[:-1]):
        c = fresh_share(t, s)
        kept = (1 - c) ** 0.5 * b(s) / b(t) * (path[-1] - a(t) * y)
        path.append(a(s) * y + kept + c**0.5 * b(s) * of_y())
    x, n = explained(*pair(), path[0])
    expected = [x]
    for j, (t, s) in enumerate(pairwise(TIMES)):
        x0_hat, eps = (u.reshape(2, M, N) for u in denoise(x.reshape(-1, N), t))
        torch.testing.assert_close(steps[j].x.flatten(1), x0_hat[:, 0], rtol=0, atol=1e-8)
        if s < 0:
            x = x0_hat
        else:
            c = fresh_share(t, s)
            m = a(s) * x0_hat + (1 - c) ** 0.5 * b(s) * eps
            m_n = (a(s) * a(t) + (1 - c) ** 0.5 * b(s) * b(t)) * n
            z, own = pair()
            x, n = explained(m + c**0.5 * b(s) * z, m_n + c**0.5 * b(s) * own, path[j + 1])
            if M > 1:
                u, HH = draws.pop(0), toy.H @ toy.H.T + sigma_y**2 * R @ R.T
                cov = c * b(s) ** 2 * toy.U[:, seen].T @ HH @ toy.U[:, seen]
                for i in range(2):
                    gaps = path[j + 1][i] - m[i] @ toy.H.T - sigma_y * m_n[i] @ R.T
                    logs = [log_density(d, 0 * d, cov) for d in gaps @ toy.U[:, seen]]
                    weights = (torch.tensor(logs, dtype=torch.float64) - max(logs)).exp()
                    below = (weights / weights.sum()).cumsum(0)
                    chosen = [int((below <= u[i, k]).sum()) for k in range(M)]
                    x[i], n[i] = x[i][chosen], n[i][chosen]
        expected.append(x)
    assert draws == []
    arranged = [x.transpose(0, 1).reshape(-1, N) for x in expected[:-1]] + [expected[-1][:, 0]]
    same(states, arranged)


@every_operator
def test_fps_weights_are_those_computed_from_the_samples(operator):
    """p(x_s | x_t) p(y_s | x_s) / proposal(x_s), at whatever x_s was drawn, up to one constant."""
    toy, q, v, M = Toy(OPERATORS[operator], 0.1), 0.4, 0.02, 6
    m, y_s = normal(M, N, seed=50), normal(1, N, seed=51) @ toy.H.T
    ratio = EYE + q / v * toy.H.T @ toy.H
    S = torch.linalg.inv(ratio)
    x = fps._condition(
        toy.A,
        m.reshape(M, *SHAPE),
        normal(M, *SHAPE, seed=52),
        y_s.reshape(1, *toy.y.shape[1:]),
        q,
        v,
    )
    logs = []
    for k, x_k in enumerate(x.flatten(1)):
        noise = v * torch.eye(len(toy.H)).double()
        prior, likelihood = log_density(x_k, m[k], q * EYE), log_density(y_s[0], toy.H @ x_k, noise)
        logs.append(
            prior
            + likelihood
            - log_density(x_k, S @ (m[k] + q / v * toy.H.T @ y_s[0]), q * (S + S.T) / 2)
        )
    found = fps._log_weight(toy.A, m.reshape(M, *SHAPE), y_s.reshape(1, *toy.y.shape[1:]), q, v)
    torch.testing.assert_close(
        found - found[0], torch.tensor(logs, dtype=torch.float64) - logs[0], rtol=0, atol=1e-7
    )


def test_fps_resamples_by_the_inverse_distribution_function():
    x = torch.arange(8.0).reshape(4, 2, 1, 1, 1)  # particle k of image i: 2 k + i
    weights = torch.tensor([[0.0, 0.5, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]])
    u = torch.tensor([[0.0, 0.49, 0.5, 0.99], [0.0, 0.3, 0.6, 1.0]])
    chosen = fps._resample(x, weights, u)[..., 0, 0, 0].T
    assert chosen.tolist() == [
        [2, 2, 4, 6],
        [1, 1, 1, 7],
    ]  # a sum that rounds below u takes the last


def test_fps_low_start_comes_from_the_smooth_picture_given_the_diffused_measurement():
    toy, t = Toy(OPERATORS["bicubic"], 0.2), 400
    prior, tape = Recorded(PRIOR), Tape([0, 1])
    hrdis.solve(hrdis.FPS(start=t, steps=3), prior, toy.problem, times=[t, 100, -1], rng=tape)
    y, noise = toy.y.flatten(1), tape.draws[0].flatten(1)
    y_t = a(t) * y + b(t) * noise @ toy.H.T
    smooth, z = a(t) * toy.A.smooth(toy.y).flatten(1), tape.draws[2].flatten(1)
    v = a(t) ** 2 * 0.2**2
    expected = torch.stack(
        [conditioned(toy, smooth[i], z[i], y_t[i], b(t) ** 2, v) for i in range(2)]
    )
    torch.testing.assert_close(prior.inputs[0].flatten(1), expected, rtol=0, atol=1e-9)


# ---- DiffPIR
# --------------------------------------------------------------------------------------


@every_operator
@pytest.mark.parametrize("sigma_y", [0.0, 0.3])
@pytest.mark.parametrize("zeta", [0.0, 0.3, 1.0])
def test_diffpir_follows_its_formula(operator, sigma_y, zeta):
    toy, lam = Toy(OPERATORS[operator], sigma_y), 7.0
    states, draws, steps = follow(hrdis.DiffPIR(lam=lam, zeta=zeta), toy)
    draws, y, H = [z.flatten(1) for z in draws], toy.y.flatten(1), toy.H
    x = draws.pop(0)
    expected = [x]
    for (t, s), step in zip(pairwise(TIMES), steps, strict=True):
        x0_hat = denoise(x, t)[0].clamp(-1, 1)
        rho = lam * max(0.001, sigma_y / 2) ** 2 * a(t) ** 2 / b(t) ** 2
        x0_y = torch.linalg.solve(H.T @ H + rho * EYE, (y @ H + rho * x0_hat).T).T
        torch.testing.assert_close(
            step.x.flatten(1), x0_y, rtol=0, atol=1e-6
        )  # rho of 1e-10 beside s^2 of 9
        torch.testing.assert_close(
            step.info["residual"], (x0_hat @ H.T - y).square().mean(1).sqrt(), rtol=0, atol=1e-6
        )
        eps = (x - a(t) * x0_y) / b(t)
        noise = (1 - zeta) ** 0.5 * eps
        if s >= 0 and zeta > 0:
            noise = noise + zeta**0.5 * draws.pop(0)
        x = a(s) * x0_y + b(s) * noise
        expected.append(x)
    assert draws == []
    for found, v in zip(states, expected, strict=True):
        torch.testing.assert_close(found, v, rtol=0, atol=1e-6)


def test_diffpir_walks_the_square_roots_of_even_squares():
    """The authors' quad: T - 1 - floor(sqrt(T^2 i / (N - 1))), Q of 1000 times."""
    roots = [int((1000**2 * i / 4) ** 0.5) for i in range(5)]
    assert hrdis.DiffPIR(steps=5).times(Q) == [*(max(999 - root, 0) for root in roots), -1]


def test_diffpir_clamps_before_it_moves():
    toy = Toy(OPERATORS["average"], 0.3)
    bright, z = hrdis.priors.Gaussian(PRIOR.mean + 0.9, C), normal(2, *SHAPE, seed=9)
    found = hrdis.solve(
        hrdis.DiffPIR(), bright, toy.problem, times=[300, -1], rng=Replay([z])
    ).x.flatten(1)
    raw = (z.flatten(1) - a(300) * (MEAN + 0.9)) @ denoiser(300)[0].T + MEAN + 0.9
    rho, H = 0.15**2 * a(300) ** 2 / b(300) ** 2, toy.H
    expected = torch.linalg.solve(
        H.T @ H + rho * EYE, (toy.y.flatten(1) @ H + rho * raw.clamp(-1, 1)).T
    ).T
    assert int((raw.abs() > 1).sum()) > 3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


# ---- DAPS
# -----------------------------------------------------------------------------------------


def levels(first: float, last: float, count: int) -> list[int]:
    """EDM's levels, each at the time of the schedule that is nearest."""
    omega = torch.tensor([b(t) / a(t) for t in range(1000)])
    sigmas = [
        (first ** (1 / 7) + i / (count - 1) * (last ** (1 / 7) - first ** (1 / 7))) ** 7
        for i in range(count)
    ]
    times = [int((omega - sigma).abs().argmin()) for sigma in sigmas]
    return [t for k, t in enumerate(times) if t not in times[:k]]


def test_daps_walks_down_the_levels_of_edm():
    assert hrdis.DAPS(steps=20).times(Q) == [*levels(100.0, 0.1, 20), -1]
    assert hrdis.DAPS(steps=5, sigma_min=0.5).times(Q) == [*levels(100.0, 0.5, 5), -1]
    assert hrdis.DAPS(steps=5, start=300).times(Q) == [*levels(b(300) / a(300), 0.1, 5), -1]
    assert hrdis.DAPS(steps=1).times(Q) == [levels(100.0, 0.1, 2)[0], -1]


@pytest.mark.parametrize("operator", ["average", "matrix"])
def test_daps_follows_its_formula(operator):
    toy, times, lr, tau = Toy(OPERATORS[operator], 0.1), [700, 300, 0, -1], 2e-4, 0.1
    solver = hrdis.DAPS(ode_steps=3, langevin_steps=2, lr=lr, tau=tau)
    states, draws, steps = follow(solver, toy, times)
    draws, y, H = [z.flatten(1) for z in draws], toy.y.flatten(1), toy.H
    x, seen, tail = b(700) / a(700) * draws.pop(0), [], None
    for k, ((t, s), step) in enumerate(zip(pairwise(times), steps, strict=True)):
        ode = levels(b(t) / a(t), b(0) / a(0), 4) if t > 0 else [0, -1]
        for i, j in pairwise(ode):
            seen.append(a(i) * x)
            x0_hat, _ = denoise(a(i) * x, i)
            omega_i, omega_j = b(i) / a(i), b(j) / a(j)
            x = x + (omega_j - omega_i) * (x - x0_hat) / omega_i
        centre, v = x, x
        size = lr * (1 - 0.99 * k / 2)
        for _ in range(2):
            drift = 2 * (v @ H.T - y) @ H / tau**2 + (v - centre) / (b(t) / a(t)) ** 2
            v = v - size * drift + (2 * size) ** 0.5 * draws.pop(0)
        torch.testing.assert_close(step.x.flatten(1), v, rtol=0, atol=1e-8)
        residual = (v @ H.T - y).square().mean(1).sqrt()
        torch.testing.assert_close(step.info["residual"], residual, rtol=0, atol=1e-8)
        tail = v
        x = v + b(s) / a(s) * draws.pop(0) if s >= 0 else v
    assert draws == []
    same(states, [*seen, tail])


def test_daps_low_start_adds_noise_to_the_smooth_picture():
    toy = Toy(OPERATORS["bicubic"])
    prior, tape = Recorded(PRIOR), Tape([0, 1])
    solver = hrdis.DAPS(start=300, langevin_steps=1, lr=1e-6)
    hrdis.solve(solver, prior, toy.problem, times=[300, -1], rng=tape)
    expected = a(300) * (toy.A.smooth(toy.y) + b(300) / a(300) * tape.draws[0])
    torch.testing.assert_close(prior.inputs[0], expected, rtol=0, atol=1e-10)


def test_misfit_gradient_is_that_of_half_the_squares_through_any_operator():
    x, y = normal(2, *SHAPE, seed=60), normal(2, 5, seed=61)
    W = normal(5, N, seed=8) / 4
    r = (x.flatten(1) @ W.T) ** 2 - y
    expected = (r * 2 * (x.flatten(1) @ W.T)) @ W
    _, found = misfit_gradient(Function(curved, shape=SHAPE), x, y)
    torch.testing.assert_close(found.flatten(1), expected, rtol=0, atol=1e-10)


# ---- DR + DDIM, blind HRDIS
# -------------------------------------------------------------------------


class Adam:
    """Kingma and Ba's update with betas (0.9, 0.99)."""

    def __init__(self, lr: float, eps: float):
        self.lr, self.eps, self.k, self.m, self.v = lr, eps, 0, 0.0, 0.0

    def __call__(self, x: Tensor, g: Tensor) -> Tensor:
        self.k += 1
        self.m, self.v = 0.9 * self.m + 0.1 * g, 0.99 * self.v + 0.01 * g**2
        return x - self.lr * (self.m / (1 - 0.9**self.k)) / (
            (self.v / (1 - 0.99**self.k)) ** 0.5 + self.eps
        )


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("substeps", [1, 2, 3, 9])
@pytest.mark.parametrize("weight", ["linear", "const"])
def test_drddim_follows_its_formula(beta, substeps, weight):
    toy, soft = Toy(OPERATORS["matrix"], 0.1), 2.0
    solver = hrdis.DRDDIM(
        beta=beta,
        substeps=substeps,
        weight=weight,
        adam_eps=soft,
        lambda_obs=0.7,
        lambda_reg=0.4,
        sigma_x0=0.1,
    )
    times = [800, 500, 200, 20, -1]
    prior, tape = Recorded(PRIOR), Tape([0, 1])
    steps, result = drain(hrdis.iterate(solver, prior, toy.problem, times=times, rng=tape))
    draws, y, H = [z.flatten(1) for z in tape.draws], toy.y.flatten(1), toy.H
    mu, adam, called = y @ toy.pinv.T, Adam(0.1, soft), []
    for i, t in enumerate(times[:-1]):
        x = mu + 0.1 * draws.pop(0)
        v = a(t) * x + b(t) * draws.pop(0)
        x0_hat, eps = denoise(v, t)
        called.append(t)
        for tau in times[:-1][i + 1 : i + substeps]:
            n = (1 - beta) ** 0.5 * eps + (beta**0.5 * draws.pop(0) if beta > 0 else 0)
            x0_hat, eps = denoise(a(tau) * x0_hat + b(tau) * n, tau)
            called.append(tau)
        W = 1.0 if weight == "linear" else a(t) / b(t)
        r = x @ H.T - y
        mu = adam(mu, 0.7 * N / len(H) * r @ H + 0.4 * W * (x - x0_hat))
        torch.testing.assert_close(steps[i].x.flatten(1), mu, rtol=0, atol=1e-9)
        torch.testing.assert_close(
            steps[i].info["residual"], r.square().mean(1).sqrt(), rtol=0, atol=1e-9
        )
    assert draws == []
    assert prior.times == called
    torch.testing.assert_close(result.x.flatten(1), mu, rtol=0, atol=1e-9)


class Dim(BlindOperator):
    """y = g (x + 1) / 2 + m: a gain per image between 0.02 and 0.6, and a map."""

    def __init__(self) -> None:
        super().__init__()
        self.rates = {"g": 0.05, "m": 0.004}

    def forward(self, x: Tensor) -> Tensor:
        return self.at(x, self.start(x))

    def at(self, x: Tensor, theta: dict[str, Tensor]) -> Tensor:
        return theta["g"] * (x + 1) / 2 + theta["m"]

    def start(self, y: Tensor) -> dict[str, Tensor]:
        return {"g": y.new_full((len(y), 1, 1, 1), 0.5), "m": torch.zeros_like(y[:, :1])}

    def valid(self, theta: dict[str, Tensor]) -> dict[str, Tensor]:
        return theta | {"g": theta["g"].clamp(0.02, 0.6)}

    def pinv(self, y: Tensor) -> Tensor:
        return 2 * y / 0.5 - 1 - 0.3


@pytest.mark.parametrize("settings", [{}, {"sigma_x0": 0.1}, {"beta": 0.0}], ids=str)
def test_blindhrdis_follows_its_formula(settings):
    y = 0.3 * normal(2, *SHAPE, seed=70).abs() + 0.1 * torch.tensor([1.0, 6.0]).reshape(2, 1, 1, 1)
    soft, times, tape = 2.0, [800, 500, 200, 20, 5, 0, -1], Tape([0, 1])
    solver = hrdis.BlindHRDIS(adam_eps=soft, lambda_obs=0.7, lambda_reg=0.4, **settings)
    steps, result = drain(hrdis.iterate(solver, PRIOR, Problem(y, Dim()), times=times, rng=tape))
    draws, target = [z.flatten(1) for z in tape.draws], y.flatten(1)
    beta, rho = settings.get("beta", 0.2), settings.get("sigma_x0", 0.0)
    mu, g, m = (
        2 * target / 0.5 - 1 - 0.3,
        torch.full((2, 1), 0.5).double(),
        torch.zeros(2, N).double(),
    )
    of_mu, of_g, of_m, eps, clipped = (
        Adam(0.1, soft),
        Adam(0.05, 1e-5),
        Adam(0.004, 1e-5),
        None,
        False,
    )
    for k, t in enumerate(times[:-1]):
        x = mu + (rho * draws.pop(0) if rho > 0 else 0)
        z = draws.pop(0) if k == 0 or beta > 0 else 0
        n = z if k == 0 else (1 - beta) ** 0.5 * eps + beta**0.5 * z
        _, eps = denoise(a(t) * x + b(t) * n, t)
        if k > 0:
            r = g * (x + 1) / 2 + m - target
            g, m = of_g(g, (r * (x + 1) / 2).mean(1, keepdim=True)), of_m(m, r)
            clipped |= bool((g > 0.6).any())
            g = g.clamp(0.02, 0.6)
        r = g * (x + 1) / 2 + m - target
        if k > 0:
            mu = of_mu(mu, 0.7 * r * g / 2 + 0.4 * b(t) / a(t) * (eps - n))
        torch.testing.assert_close(steps[k].x.flatten(1), mu, rtol=0, atol=1e-8)
        torch.testing.assert_close(steps[k].theta["g"].flatten(1), g, rtol=0, atol=1e-8)
        torch.testing.assert_close(steps[k].theta["m"].flatten(1), m, rtol=0, atol=1e-8)
        torch.testing.assert_close(
            steps[k].info["residual"], r.square().mean(1).sqrt(), rtol=0, atol=1e-8
        )
    assert clipped and draws == []
    torch.testing.assert_close(result.x.flatten(1), mu, rtol=0, atol=1e-8)
    torch.testing.assert_close(result.theta["g"].flatten(1), g, rtol=0, atol=1e-8)


@pytest.mark.parametrize("guide", ["x0", "xt"])
def test_blind_gdp_follows_its_formula(guide):
    y = 0.3 * normal(2, *SHAPE, seed=71).abs() + 0.1 * torch.tensor([1.0, 6.0]).reshape(2, 1, 1, 1)
    times, tape, kappa, rate = [800, 500, 200, 20, -1], Tape([0, 1]), 0.05, 3.0
    solver = hrdis.GDP(guide=guide, kappa=kappa, blind=True, rate=rate)
    steps, result = drain(hrdis.iterate(solver, PRIOR, Problem(y, Dim()), times=times, rng=tape))
    draws, target = [z.flatten(1) for z in tape.draws], y.flatten(1)
    x, g, m = draws.pop(0), torch.full((2, 1), 0.5).double(), torch.zeros(2, N).double()
    for k, (t, s) in enumerate(pairwise(times)):
        x0_hat = denoise(x, t)[0].clamp(-1, 1)
        held = x0_hat if guide == "x0" else x
        r = g * (held + 1) / 2 + m - target
        on_x0, on_xt, std = ancestral(t, s)
        x = on_x0 * x0_hat + on_xt * x - kappa * r * g / 2 + (std * draws.pop(0) if s >= 0 else 0)
        # a quarter of the mean square: r is twice what it is in [0, 1]
        g = (g - rate * (r * (held + 1) / 2).mean(1, keepdim=True) / 2).clamp(0.02, 0.6)
        m = m - rate * r / N / 2
        torch.testing.assert_close(steps[k].theta["g"].flatten(1), g, rtol=0, atol=1e-8)
        torch.testing.assert_close(steps[k].theta["m"].flatten(1), m, rtol=0, atol=1e-8)
    assert draws == [] and float((g - 0.5).abs().min()) > 1e-4
    torch.testing.assert_close(result.x.flatten(1), x, rtol=0, atol=1e-8)


def test_blind_gdp_needs_parameters_to_estimate():
    with pytest.raises(TypeError, match=r"^GDP needs a BlindOperator, but A is an? Identity"):
        hrdis.solve(
            hrdis.GDP(steps=2, blind=True),
            PRIOR,
            Problem(normal(1, *SHAPE), Identity(), 0.1),
            seeds=[0],
        )
