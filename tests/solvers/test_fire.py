"""FIRE: its step by hand, errors that stay white, its fixed points, and the paths without an
SVD.
"""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import Blur, Identity, Inpainting, LinearFunction, SuperResolution
from hrdis.problem import Problem
from hrdis.solvers import fire
from tests.common.toys import MILD, Tape, drain, gaussian, normal, pixels

Q = hrdis.Schedule.linear()
SHAPE, N = (1, 4, 4), 16
EYE = torch.eye(N).double()
OPERATORS = {
    "mask": Inpainting(pixels(4, 4)),
    "average": SuperResolution(2),
    "bicubic": SuperResolution(2, kernel="bicubic"),
}
KAPPA = {"mean": -1, "plain": 0, "sample": 1}


def root(E: Tensor) -> Tensor:
    """The symmetric square root of a covariance, negative eigenvalues taken for 0."""
    L, V = torch.linalg.eigh(E)
    return V @ torch.diag(L.clamp(min=0).sqrt()) @ V.T


def gains(H: Tensor, nu: float, sigma_y: float) -> tuple[Tensor, Tensor]:
    """K and E of x0_y = x0_hat + K (y - H x0_hat): the posterior for the prior N(x0_hat, nu I)."""
    if sigma_y == 0:
        K = torch.linalg.pinv(H, rtol=1e-9)
        return K, nu * (EYE - K @ H)
    S = nu * H @ H.T + sigma_y**2 * torch.eye(len(H)).double()
    K = nu * H.T @ torch.linalg.inv(S)
    return K, nu * (EYE - K @ H)


def test_own_noise_gives_the_posterior_mean_in_one_call_and_draws_nothing():
    prior, t = gaussian(), 100
    sigma = float(Q.sigma(t))
    y = prior.sample(1, seed=5) + sigma * normal(1, *SHAPE).double()
    solver = hrdis.FIRE(steps=1, own_noise=sigma / 2)  # of pixel values from 0 to 1
    assert solver.times(Q) == [t, -1]
    tape = Tape([0])
    steps, _ = drain(hrdis.iterate(solver, prior, Problem(y, Identity(), sigma), rng=tape))
    gain = prior.covariance @ torch.linalg.inv(prior.covariance + sigma**2 * EYE)
    mean = prior.mean.flatten() + gain @ (y - prior.mean).flatten()
    # 1e-9: the rounding of a matrix inverse in float64
    torch.testing.assert_close(steps[-1].x[0].flatten(), mean, rtol=0, atol=1e-9)
    assert not tape.draws


def test_own_noise_counts_y_once_and_only_in_the_first_of_several_calls():
    """The first step shows the network's estimate, the second what y says of the next one."""
    prior, sigma = gaussian(), float(Q.sigma(100))
    y = prior.sample(1, seed=5) + sigma * normal(1, *SHAPE).double()
    solver = hrdis.FIRE(steps=2, own_noise=sigma / 2, aim="plain", spread=0.5)
    first, second = solver.times(Q)[:2]
    tape = Tape([0])
    steps, _ = drain(hrdis.iterate(solver, prior, Problem(y, Identity(), sigma), rng=tape))
    start = float(Q.signal(first)) * y
    torch.testing.assert_close(steps[0].x, prior(start, first).x0_hat, rtol=0, atol=1e-9)
    x = steps[0].x + float(Q.sigma(second)) * tape.draws[0]
    x0_hat = prior(float(Q.signal(second)) * x, second).x0_hat
    nu = float(Q.sigma(second)) ** 2 * 0.25 / (float(Q.sigma(second)) ** 2 + 0.25)
    expected = x0_hat + nu / (nu + sigma**2) * (y - x0_hat)
    torch.testing.assert_close(steps[1].x, expected, rtol=0, atol=1e-9)


def test_own_noise_of_several_calls_ends_at_the_low_end():
    solver = hrdis.FIRE(steps=3, own_noise=0.1, end=2)
    assert solver.times(Q)[0] == Q.nearest(0.2) and solver.times(Q)[-2:] == [2, -1]


def test_least_noise_stands_for_less_and_never_for_more():
    prior, A = gaussian(), OPERATORS["average"]
    y = A(prior.sample(1, seed=5))
    plain, least = hrdis.FIRE(steps=3), hrdis.FIRE(steps=3, least_noise=0.05)
    for given, assumed in ((0.0, 0.1), (0.02, 0.1), (0.3, 0.3)):  # twice 0.05, in [-1, 1]
        found = hrdis.solve(least, prior, Problem(y, A, given), seeds=[0]).x
        expected = hrdis.solve(plain, prior, Problem(y, A, assumed), seeds=[0]).x
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("aim", KAPPA)
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("sigma_y", [0.0, 0.05, 0.3])
def test_run_follows_the_formula_written_as_matrices(operator, sigma_y, aim):
    prior, A = gaussian(), OPERATORS[operator]
    H = matrix(A, SHAPE)
    y = A(prior.sample(1, seed=5))
    solver = hrdis.FIRE(steps=5, aim=aim, spread=0.5)
    tape, times = Tape([0]), solver.times(Q)
    steps, _ = drain(hrdis.iterate(solver, prior, Problem(y, A, sigma_y), rng=tape))
    draws = [z[0].flatten() for z in tape.draws]
    x = A.smooth(y)[0].flatten() + float(Q.sigma(times[0])) * draws.pop(0)
    for step, (t, s) in zip(steps, pairwise(times), strict=True):
        s2 = float(Q.sigma(t)) ** 2
        denoiser = prior.covariance @ torch.linalg.inv(prior.covariance + s2 * EYE)
        x0_hat = prior.mean.flatten() + denoiser @ (x - prior.mean.flatten())
        K, E = gains(H, s2 * 0.25 / (s2 + 0.25), sigma_y)
        x0_y = x0_hat + K @ (y[0].flatten() - H @ x0_hat)
        torch.testing.assert_close(step.x[0].flatten(), x0_y, rtol=0, atol=1e-9)
        if s >= 0:
            variance = float(Q.sigma(s)) ** 2 * EYE + KAPPA[aim] * E
            clipped = float((torch.linalg.eigvalsh(variance) < -1e-12).double().mean())
            assert float(step.info["clipped"]) == pytest.approx(clipped, abs=1e-12)
            x = x0_y + root(variance) @ draws.pop(0)
    assert not draws


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("sigma_y", [0.0, 0.05, 0.3])
def test_error_is_white_again_after_a_step(operator, sigma_y):
    """Independent pixels, x = truth + white noise: then x0_y is the posterior mean of the truth
    given x and y, and the next x - truth is white of the next level, seen or not.
    """
    v, s2, next2 = 0.09, 0.1, 0.07
    H = matrix(OPERATORS[operator], SHAPE)
    nu = v * s2 / (v + s2)
    K, E = gains(H, nu, sigma_y)
    # the error of x0_hat = shrink x is (shrink - 1) truth + shrink noise
    shrink = v / (v + s2)
    error = ((1 - shrink) ** 2 * v + shrink**2 * s2) * EYE
    after = (EYE - K @ H) @ error @ (EYE - K @ H).T + sigma_y**2 * K @ K.T
    torch.testing.assert_close(after, E, rtol=0, atol=1e-12)
    # and so is what the solver adds: from its own draws
    problem = Problem(torch.zeros_like(OPERATORS[operator](torch.zeros(1, *SHAPE).double())),
                      OPERATORS[operator], sigma_y)  # fmt: skip
    like = torch.zeros(N, *SHAPE).double()
    units = hrdis.rng.Replay([EYE.reshape(N, *SHAPE)])
    noise, _ = hrdis.FIRE().coloured(problem, nu, next2**0.5, units, like)
    L = noise.flatten(1)
    torch.testing.assert_close(L.T @ L + after, next2 * EYE, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("aim", "variance"),
    [
        ("mean", lambda v, s2: v**2 * s2 / ((v + s2) * (2 * v + s2))),
        ("plain", lambda v, s2: v**2 / (2 * v + s2)),
        ("sample", lambda v, s2: v - v * s2 / (v + s2)),  # and nu = the rest with its noise: v
    ],
)
@pytest.mark.parametrize("t", [100, 200, 400])
def test_level_repeated_has_the_variance_of_theory(aim, variance, t):
    """An unseen pixel of variance v, one level 60 times over: what the noise settles at."""
    v = 0.09
    s2 = float(Q.sigma(t)) ** 2
    prior = hrdis.priors.Gaussian(torch.zeros(1, 1, 2), v)
    problem = Problem(torch.zeros(1, 1, 1, 2).double(), Inpainting(torch.tensor([[1, 0]])))
    solver, times = hrdis.FIRE(aim=aim, spread=v**0.5), [t] * 60 + [-1]
    units = torch.zeros(60, 60, 1, 1, 2).double()
    units[range(60), range(60), ..., 1] = 1
    many = Problem(problem.y.repeat(60, 1, 1, 1), problem.A)
    x0_y = None
    for step in solver.run(prior, many, times, hrdis.rng.Replay(units)):
        x0_y = step.x
    found = float(x0_y[..., 1].square().sum())
    g = v / (v + s2)
    # the start is forgotten by the factor g per call
    assert found == pytest.approx(variance(v, s2), rel=1e-6 + 20 * g**60)


def test_samples_have_the_posteriors_spread():
    """kappa = 1 is a Gibbs sampler; independent pixels, for which nu I is the true covariance."""
    prior, A = hrdis.priors.Gaussian(0.3 * normal(*SHAPE, seed=1), 0.09), OPERATORS["average"]
    y = A(prior.sample(1, seed=5))
    (posterior,) = prior.posterior(Problem(y, A, 0.1))
    solver = hrdis.FIRE(steps=60, aim="sample", spread=0.3)
    many = Problem(y.repeat(1000, 1, 1, 1), A, 0.1)
    x = hrdis.solve(solver, prior, many, seeds=range(1000)).x.flatten(1)
    ratio = float(torch.cov(x.T).trace() / posterior.covariance.trace())
    assert ratio == pytest.approx(1, abs=0.1)
    distance = (x.mean(0) - posterior.mean.flatten()).norm()
    assert float(distance) < 0.1 * float(posterior.covariance.trace().sqrt())


def test_mean_is_closer_to_the_posterior_mean_than_a_sample_is():
    prior, A = gaussian(), OPERATORS["bicubic"]
    y = A(prior.sample(1, seed=5))
    (posterior,) = prior.posterior(Problem(y, A, 0.1))
    many = Problem(y.repeat(300, 1, 1, 1), A, 0.1)
    sizes = {}
    for aim in KAPPA:
        x = hrdis.solve(hrdis.FIRE(steps=10, aim=aim), prior, many, seeds=range(300)).x
        sizes[aim] = float((x - posterior.mean).square().mean())
    assert sizes["mean"] < 0.7 * sizes["plain"] < 0.7 * sizes["sample"]


def test_plain_noise_without_noise_of_measurement_is_ddnm_of_eta_one():
    A, prior = OPERATORS["bicubic"], gaussian()
    problem = Problem(A(prior.sample(2, seed=5)), A)
    times = [400, 200, 50, 0, -1]
    a = hrdis.solve(hrdis.FIRE(aim="plain"), prior, problem, times=times, seeds=[0, 1]).x
    b = hrdis.solve(hrdis.DDNM(eta=1.0, start=400), prior, problem, times=times, seeds=[0, 1]).x
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_denoising_weighs_both_estimates_by_their_variances():
    prior = hrdis.priors.Gaussian(torch.zeros(1, 4, 4), 0.25)
    y, sigma_y = normal(1, 1, 4, 4), 0.3
    tape = Tape([0])
    problem = Problem(y, Identity(), sigma_y)
    found = hrdis.solve(hrdis.FIRE(spread=0.5), prior, problem, times=[200, -1], rng=tape).x
    s2 = float(Q.sigma(200)) ** 2
    nu = 0.25 * s2 / (0.25 + s2)
    x0_hat = nu / s2 * (y + s2**0.5 * tape.draws[0])
    wiener = (x0_hat / nu + y / sigma_y**2) / (1 / nu + 1 / sigma_y**2)
    torch.testing.assert_close(found, wiener, rtol=0, atol=1e-12)


# ---- without an SVD ------------------------------------------------------------------------------


def covariance_of_noise(A, aim: str, nu: float, sigma: float, sigma_y: float) -> Tensor:
    """The covariance of what a step adds, from unit draws: exact."""
    y_shape = A(torch.zeros(1, *SHAPE).double()).shape
    m = y_shape[1:].numel()
    count = {"mean": N + m, "sample": 2 * N + m if sigma_y > 0 else 2 * N}[aim]
    order = [N, m] if aim == "mean" else [N, N] + ([m] if sigma_y > 0 else [])
    draws, at = [], 0
    for size in order:
        part = torch.zeros(count, size).double()
        part[at : at + size] = torch.eye(size).double()
        draws.append(part.reshape(count, *(SHAPE if (size == N and len(draws) != 1) or
            (size == N and aim == "sample") else y_shape[1:])))  # fmt: skip
        at += size
    problem = Problem(torch.zeros(count, *y_shape[1:]).double(), A, sigma_y)
    like = torch.zeros(count, *SHAPE).double()
    noise, _ = hrdis.FIRE(aim=aim).by_products(problem, nu, sigma, hrdis.rng.Replay(draws), like)
    return noise.flatten(1).T @ noise.flatten(1)


@pytest.mark.parametrize("operator", ["bicubic", "mask"])
@pytest.mark.parametrize("sigma_y", [0.0, 0.2])
def test_noise_of_samples_by_products_has_the_covariance_of_the_formula(operator, sigma_y):
    A = OPERATORS[operator]
    plain = LinearFunction(A.forward, SHAPE)
    _, E = gains(matrix(A, SHAPE), 0.05, sigma_y)
    found = covariance_of_noise(plain, "sample", 0.05, 0.4, sigma_y)
    torch.testing.assert_close(found, 0.16 * EYE + E, rtol=0, atol=1e-8)


def test_noise_of_means_by_products_is_exact_where_singular_values_are_equal():
    """Block means; each unit draw has a power iteration of its own, which must have converged.

    The error is nearly all of the noise, so that the coloured part is not lost in the tolerance.
    """
    A, nu, sigma_y = OPERATORS["average"], 0.15, 0.1
    H = matrix(A, SHAPE)
    _, E = gains(H, nu, sigma_y)
    plain = LinearFunction(A.forward, SHAPE)
    y = torch.zeros(4000, 1, 2, 2).double()
    like = torch.zeros(4000, *SHAPE).double()
    rng = hrdis.rng.ImageRNG(range(4000), "colour")
    noise, short = hrdis.FIRE().by_products(Problem(y, plain, sigma_y), nu, 0.4, rng, like)
    assert float(short.max()) == 0
    expected = 0.16 * EYE - E
    # 4000 samples: an entry's standard error is at most variance * sqrt(2 / 4000) = 2 %
    found = torch.cov(noise.flatten(1).T)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1 * float(expected.max()))


@pytest.mark.parametrize("aim", KAPPA)
@pytest.mark.parametrize("sigma_y", [0.0, 0.1])
def test_blur_without_an_svd_is_restored(aim, sigma_y):
    prior, A = gaussian(1, 8, 8), Blur(MILD)
    x = prior.sample(2, seed=1)
    problem = Problem(A(x), A, sigma_y)
    found = hrdis.solve(hrdis.FIRE(aim=aim, spread=0.5), prior, problem, seeds=[0, 1]).x
    assert float((found - x).norm() / x.norm()) < 0.35


# ---- the table -----------------------------------------------------------------------------------


def test_error_table_is_read_between_its_levels_and_never_exceeds_the_noise():
    solver, table = hrdis.FIRE(error="default"), fire.ERRORS["default"]
    step = (fire.HIGHEST / fire.LOWEST) ** (1 / (len(table) - 1))
    for k in (3, 10, 18):
        level = fire.LOWEST * step**k
        assert solver.nu(level) == pytest.approx(min(table[k], level) ** 2, rel=1e-9)
        between = solver.nu(level * step**0.5)
        assert between == pytest.approx(table[k] * table[k + 1], rel=1e-9)
    assert solver.nu(0.001) == pytest.approx(1e-6, rel=1e-9)
    assert solver.nu(1000.0) == pytest.approx(table[-1] ** 2, rel=1e-9)


def test_error_table_rises_with_the_level():
    assert all(a < b for a, b in pairwise(fire.ERRORS["default"]))
