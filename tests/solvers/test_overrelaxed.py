"""The over-relaxed sampler: its step by hand, its exact law, its limits, its chains."""

from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import Function, Inpainting, Matrix, SuperResolution
from hrdis.problem import Problem
from hrdis.rng import Replay
from tests.common.toys import Tape, drain, gaussian, mixture, normal, pixels, repeated

Q = hrdis.Schedule.linear()
OPERATORS = {
    "mask": Inpainting(pixels(4, 4)),
    "bicubic": SuperResolution(2, kernel="bicubic"),
    "matrix": Matrix(normal(6, 16, seed=8) / 3, (1, 4, 4)),
}
NOISES = (0.0, 0.05, 0.3)


class Gibbs:
    """The algorithm in matrices, for the Gaussian prior N(mean, C) of 16 pixels, in units of the
    image.
    """

    def __init__(self, prior: hrdis.priors.Gaussian, problem: Problem, solver: hrdis.OverRelaxed):
        self.C, self.mean, self.solver = prior.covariance, prior.mean.flatten(), solver
        self.eye = torch.eye(len(self.mean)).double()
        self.H = matrix(problem.A, tuple(prior.mean.shape))
        self.y, self.sigma_y = problem.y[0].flatten(), problem.sigma_y

    def maps(self, t: int) -> tuple[Tensor, Tensor, Tensor]:
        """M and k of m = M x + k, and the covariance E of mu given x and y."""
        s2, spread2 = float(Q.sigma(t)) ** 2, self.solver.spread**2
        c = s2 * spread2 / (s2 + spread2)
        P = self.C @ torch.linalg.inv(self.C + s2 * self.eye)
        p = self.mean - P @ self.mean
        if self.sigma_y == 0:
            back = torch.linalg.pinv(self.H, rtol=1e-9)
            R = self.eye - back @ self.H
            return R @ P, R @ p + back @ self.y, c * R
        E = torch.linalg.inv(self.H.T @ self.H / self.sigma_y**2 + self.eye / c)
        return E @ P / c, E @ (p / c + self.H.T @ self.y / self.sigma_y**2), E

    def follow(self, times: list[int], smooth: Tensor, draws: list[Tensor]) -> list[Tensor]:
        """Every mu of a run, (n,) each, from its draws."""
        alpha, draws, found = self.solver.alpha, [z[0].flatten() for z in draws], []
        x = smooth + float(Q.sigma(times[0])) * draws.pop(0)
        mu = None
        for t, after in pairwise(times):
            M, k, E = self.maps(t)
            m = M @ x + k
            if mu is None:
                mu = m
            else:
                mu = m + alpha * (mu - m)
                if alpha > -1:
                    L, V = torch.linalg.eigh(E)
                    root = V @ torch.diag(L.clamp(min=0).sqrt()) @ V.T
                    mu = mu + (1 - alpha**2) ** 0.5 * root @ draws.pop(0)
            found.append(mu)
            if after >= 0:
                x = mu + float(Q.sigma(after)) * draws.pop(0)
        assert not draws
        return found

    def law(self, times: list[int], smooth: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the last mu over all draws, for one measurement."""
        alpha = self.solver.alpha
        M, k, _ = self.maps(times[0])
        mean, cov = M @ smooth + k, float(Q.sigma(times[0])) ** 2 * M @ M.T
        for t in times[1:-1]:
            M, k, E = self.maps(t)
            kept = alpha * self.eye + (1 - alpha) * M
            mean = kept @ mean + (1 - alpha) * k
            fresh = (1 - alpha) ** 2 * float(Q.sigma(t)) ** 2 * M @ M.T
            cov = kept @ cov @ kept.T + fresh + (1 - alpha**2) * E
        return mean, cov


@cache
def case(operator: str, sigma_y: float, variance: float | None = None):
    """A prior (correlated unless it has a variance), one measurement, and its posterior."""
    prior = gaussian()
    if variance is not None:
        prior = hrdis.priors.Gaussian(prior.mean, variance)
    A = OPERATORS[operator]
    noise = sigma_y * normal(*A(prior.mean[None]).shape, seed=6)
    if isinstance(A, Inpainting):
        noise = A(noise)
    problem = Problem(A(prior.sample(1, seed=5)) + noise, A, sigma_y)
    return prior, problem, prior.posterior(problem)[0]


def smooth(problem: Problem) -> Tensor:
    return problem.A.smooth(problem.y)[0].flatten()


# ---- the step, and the law -----------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [-1.0, -0.6, 0.0])
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("sigma_y", NOISES)
def test_run_follows_the_formula_written_as_matrices(operator, sigma_y, alpha):
    prior, problem, _ = case(operator, sigma_y)
    solver = hrdis.OverRelaxed(steps=6, alpha=alpha, spread=0.7)
    tape = Tape([0])
    steps, _ = drain(hrdis.iterate(solver, prior, problem, rng=tape))
    expected = Gibbs(prior, problem, solver).follow(
        solver.times(Q), smooth(problem), list(tape.draws)
    )
    for step, mu in zip(steps, expected, strict=True):
        # the deepest level divides by 1e-4; eigenvalues that should be 0 have roots of 1e-8
        atol = 1e-9 if alpha == -1 else 1e-7
        torch.testing.assert_close(step.x[0].flatten(), mu, rtol=0, atol=atol)


@pytest.mark.parametrize("alpha", [-1.0, -0.5, 0.0])
@pytest.mark.parametrize(("operator", "sigma_y"), [("mask", 0.3), ("bicubic", 0.05), ("matrix", 0)])
def test_samples_have_the_mean_and_covariance_propagated_by_matrices(operator, sigma_y, alpha):
    """2000 samples of a run of eight calls, which is far from converged: the law itself is
    tested.
    """
    prior, problem, _ = case(operator, float(sigma_y))
    solver = hrdis.OverRelaxed(steps=8, alpha=alpha)
    x = hrdis.solve(solver, prior, repeated(problem, 2000), seeds=range(2000)).x.flatten(1)
    mean, cov = Gibbs(prior, problem, solver).law(solver.times(Q), smooth(problem))
    # standard errors: sd / sqrt(2000) of a mean, variance * sqrt(2 / 2000) of a variance; five of
    # them, as 16 entries are compared
    error = ((x.mean(0) - mean) / (cov.diagonal() / 2000 + 1e-20).sqrt()).abs()
    assert float(error.max()) < 5
    assert float((torch.cov(x.T) - cov).norm() / cov.norm()) < 0.12  # 16 entries a row, 3 % each


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("sigma_y", NOISES)
def test_law_tends_to_the_posterior(operator, sigma_y):
    """A correlated prior, whose conditional covariance is not c I: exact in the limit of low
    levels only.
    """
    prior, problem, posterior = case(operator, sigma_y)
    solver = hrdis.OverRelaxed(steps=100)
    mean, cov = Gibbs(prior, problem, solver).law(solver.times(Q), smooth(problem))
    exact = posterior.covariance
    assert float((cov - exact).norm() / exact.norm()) < 0.05
    distance = (mean - posterior.mean.flatten()).norm()
    assert float(distance / exact.diagonal().sum().sqrt()) < 0.05


@pytest.mark.parametrize("alpha", [-1.0, -0.5, 0.0])
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("sigma_y", NOISES)
@pytest.mark.parametrize("t", [10, 100, 300, 600])
def test_posterior_is_stationary_at_every_level_for_independent_pixels(operator, sigma_y, alpha, t):
    """With s the prior's standard deviation, c I is the covariance of mu given x; a step at any
    sigma then maps the posterior to itself.
    """
    prior, problem, posterior = case(operator, sigma_y, 0.09)
    chain = Gibbs(prior, problem, hrdis.OverRelaxed(alpha=alpha, spread=0.3))
    M, k, E = chain.maps(t)
    kept = alpha * chain.eye + (1 - alpha) * M
    mean, C = posterior.mean.flatten(), posterior.covariance
    fresh = (1 - alpha) ** 2 * float(Q.sigma(t)) ** 2 * M @ M.T
    torch.testing.assert_close(kept @ mean + (1 - alpha) * k, mean, rtol=0, atol=1e-9)
    moved = kept @ C @ kept.T + fresh + (1 - alpha**2) * E
    torch.testing.assert_close(moved, C, rtol=0, atol=1e-10)


@pytest.mark.parametrize("steps", [5, 10, 20])
def test_errors_shrink_by_the_product_that_theory_names(steps):
    """An unseen pixel of variance v: mean error and variance error are multiplied by r and r^2,
    r = product of (v - sigma^2) / (v + sigma^2) over all levels but the first.
    """
    v = 0.09
    prior = hrdis.priors.Gaussian(torch.zeros(1, 1, 2), v)
    problem = Problem(torch.zeros(1, 1, 1, 2).double(), Inpainting(torch.tensor([[1, 0]])))
    solver = hrdis.OverRelaxed(steps=steps)
    times = solver.times(Q)
    r = 1.0
    for t in times[1:-1]:
        r *= (v - float(Q.sigma(t)) ** 2) / (v + float(Q.sigma(t)) ** 2)
    first = float(Q.sigma(times[0])) ** 2
    start = v**2 * first / (v + first) ** 2  # the variance of the first m
    _, cov = Gibbs(prior, problem, solver).law(times, torch.zeros(2).double())
    assert float(cov[1, 1]) - v == pytest.approx(r**2 * (start - v), rel=1e-6)


@pytest.mark.slow
def test_mean_is_the_last_m_and_narrower_by_the_last_level():
    """Both results come of one chain: the mean's variance lacks v sigma^2 / (v + sigma^2)."""
    prior, problem, _ = case("mask", 0.0, 0.09)
    times = [300, 200, 100, 60, 30, -1]
    ends = {}
    for result in ("sample", "mean"):
        many = repeated(problem, 2000)
        solver = hrdis.OverRelaxed(result=result)
        ends[result] = hrdis.solve(solver, prior, many, seeds=range(2000), times=times).x
    unseen = problem.A.mask[0] == 0 if problem.A.mask.ndim == 3 else problem.A.mask == 0
    wide, narrow = (x[:, 0].flatten(1)[:, unseen.flatten()].var(0).mean() for x in ends.values())
    s2 = float(Q.sigma(30)) ** 2
    assert float(narrow / wide) == pytest.approx(0.09 / (0.09 + s2), rel=0.02)


# ---- the balance ---------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_balance_tells_too_wide_from_too_narrow(factor):
    """Pictures of ``factor`` times the prior's variance v: the mean balance is sigma^2 (factor - 1)
    v / (v + sigma^2)^2.
    """
    v, t = 0.09, 150
    prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), v)
    s2 = float(Q.sigma(t)) ** 2
    mu = (factor * v) ** 0.5 * normal(400, 1, 8, 8, seed=1)
    x = mu + s2**0.5 * normal(400, 1, 8, 8, seed=2)
    m = prior(Q.signal(t) * x, t).x0_hat
    balance = ((x - m) * (mu - m)).mean() / s2
    expected = s2 / (v + s2) ** 2 * (factor - 1) * v
    # 25 600 products of spread below 1: a standard error below 0.006
    assert float(balance) == pytest.approx(expected, abs=0.02)


def test_balance_is_zero_at_equilibrium_and_reported():
    prior, problem, _ = case("mask", 0.3, 0.09)
    many = repeated(problem, 1000)
    run = hrdis.iterate(hrdis.OverRelaxed(steps=50, spread=0.3), prior, many, seeds=range(1000))
    balances = torch.stack([step.info["balance"] for step in run])
    assert bool((balances[0] == 0).all())  # nothing was reflected yet
    # the second half: 16 pixels and 1000 chains, a standard error of 0.01 a step
    assert float(balances[25:].mean(1).abs().max()) < 0.05


# ---- chains --------------------------------------------------------------------------------------


def test_chain_goes_back_up_and_down_again():
    times = hrdis.OverRelaxed(steps=6, start=400, chain=3, back=50).times(Q)
    down = Q.logarithmic(6, 400)[:-1]
    again = [t for t in down if t <= 50]
    assert times == [*down, *again, *again, -1]
    assert 0 < len(again) < len(down)


def test_chain_goes_back_up_to_a_time_of_its_own_grid():
    down = Q.logarithmic(6, 400)[:-1]
    times = hrdis.OverRelaxed(steps=6, start=400, chain=2, back=down[2]).times(Q)
    assert times == [*down, *down[2:], -1]


def test_chain_that_ends_above_its_time_back_stays_at_its_end():
    solver = hrdis.OverRelaxed(steps=4, end=200, back=100, chain=3)
    down = hrdis.OverRelaxed(steps=4, end=200).times(Q)[:-1]
    assert down[-1] == 200
    assert solver.times(Q) == [*down, 200, 200, -1]


def test_every_sample_of_a_chain_has_the_posteriors_spread():
    prior, problem, posterior = case("bicubic", 0.05)
    solver = hrdis.OverRelaxed(steps=40, chain=4, back=250)
    many = repeated(problem, 500)
    run = hrdis.iterate(solver, prior, many, seeds=range(500))
    kept = [step.x.flatten(1) for step in run if step.t == 0]
    assert len(kept) == 4
    for x in kept:
        ratio = float(torch.cov(x.T).trace() / posterior.covariance.trace())
        assert ratio == pytest.approx(1, abs=0.06)  # a standard error of 2 %
    # going back to sigma = 0.9 renews the sample: neighbours hardly correlate
    a, b = (x - x.mean(0) for x in kept[-2:])
    assert abs(float((a * b).sum() / (a.norm() * b.norm()))) < 0.1


# ---- nonlinear, and modes ------------------------------------------------------------------------


def test_linear_function_without_adjoint_agrees_with_the_linear_solve():
    """Gauss-Newton is exact for a linear A: the same picture from the forward map alone."""
    prior, problem, _ = case("bicubic", 0.3)
    known = hrdis.solve(hrdis.OverRelaxed(steps=10, start=300), prior, problem, seeds=[0]).x
    blind = Problem(problem.y, Function(problem.A.forward, (1, 4, 4), start=problem.A.smooth), 0.3)
    found = hrdis.solve(hrdis.OverRelaxed(steps=10, start=300), prior, blind, seeds=[0]).x
    torch.testing.assert_close(found, known, rtol=0, atol=1e-6)


def test_nonlinear_measurement_is_explained_to_its_noise():
    prior, A, sigma_y = gaussian(1, 8, 8), Function(lambda x: x + x**3), 0.05
    x = prior.sample(4, seed=1)
    y = A(x) + sigma_y * normal(*x.shape, seed=2)
    found = hrdis.solve(hrdis.OverRelaxed(steps=30), prior, Problem(y, A, sigma_y), seeds=range(4))
    residual = float((A(found.x) - y).square().mean().sqrt())
    assert 0.5 * sigma_y < residual < 1.5 * sigma_y


def test_modes_the_measurement_tells_apart_are_found():
    """A mixture whose modes y decides: samples have the posterior's mean and spread."""
    prior = mixture(1, 4, 4, spread=1.0)
    A = Inpainting(pixels(4, 4))
    y = A(prior.means[1:2] + 0.3 * normal(1, 1, 4, 4, seed=3))
    (posterior,) = prior.posterior(Problem(y, A, 0.05))
    many = repeated(Problem(y, A, 0.05), 500)
    x = hrdis.solve(hrdis.OverRelaxed(steps=50), prior, many, seeds=range(500)).x.flatten(1)
    assert float(posterior.weights.max()) > 0.99
    ratio = float(torch.cov(x.T).trace() / posterior.covariance.trace())
    assert ratio == pytest.approx(1, abs=0.1)


def shares(x: Tensor, prior: hrdis.priors.GaussianMixture) -> Tensor:
    """How many of the samples lie nearest to each mode, as shares."""
    nearest = torch.cdist(x.flatten(1), prior.means.flatten(1)).argmin(1)
    return torch.bincount(nearest, minlength=len(prior.means)).double() / len(x)


def test_weights_of_modes_come_right_after_steps_of_mmps():
    """Three modes, of which y favours the first. A reflection at every level leaves them the
    weights of the prior (measured: 0.82 of the samples belong there, 0.82 and 0.53 are there).
    """
    A = Inpainting(hrdis.operators.masks.random_pixels(4, 4, 0.5))
    seen = torch.where(A.mask[0] > 0, 0.1, 1.0).double()
    means = 0.35 * seen * normal(3, 1, 4, 4, seed=5)
    prior = hrdis.priors.GaussianMixture(means, torch.tensor([0.5, 0.3, 0.2]), 0.12)
    problem = Problem(A(2 * means[:1]), A, 0.05)
    (posterior,) = prior.posterior(problem)
    off = {}
    for above in (50, None):
        solver = hrdis.OverRelaxed(steps=30, start=None, mmps_above=above)
        x = hrdis.solve(solver, prior, repeated(problem, 1000), seeds=range(1000)).x
        off[above] = float((shares(x, prior) - posterior.weights).abs().max())
    # the standard error of a share of 1000 samples is at most 0.016
    assert off[50] < 0.05
    assert off[None] > 0.2


def test_levels_above_are_those_of_mmps():
    _, problem, _ = case("mask", 0.3)
    times = [900, 500, 200, 100, -1]
    tape = Tape([0])
    known = hrdis.solve(hrdis.MMPS(eta=1.0), gaussian(), problem, times=times, rng=tape).x
    solver = hrdis.OverRelaxed(start=None, mmps_above=50)
    found = hrdis.solve(solver, gaussian(), problem, times=times, rng=Replay(tape.draws)).x
    assert torch.equal(found, known)


def test_chain_that_climbs_above_starts_its_reflections_anew():
    """At t = 999 x_t is noise but for 0.6 % of the last sample, which is all that is left of it."""
    _, problem, _ = case("mask", 0.3)
    once = [999, 300, 40, 10]
    solver = hrdis.OverRelaxed(start=None, mmps_above=50)
    tape = Tape([0])
    chain = hrdis.solve(solver, gaussian(), problem, times=[*once, *once, -1], rng=tape).x
    draws = tape.draws[len(once) :]
    fresh = hrdis.solve(solver, gaussian(), problem, times=[*once, -1], rng=Replay(draws)).x
    assert float((chain - fresh).abs().max()) < 0.02


def test_steps_of_mmps_need_a_linear_operator():
    problem = Problem(torch.zeros(1, 1, 4, 4).double(), Function(torch.tanh), 0.1)
    with pytest.raises(TypeError, match="OverRelaxed needs a LinearOperator"):
        hrdis.solve(hrdis.OverRelaxed(mmps_above=50), mixture(1, 4, 4), problem, seeds=[0])


def test_backward_passes_are_told_where_mmps_takes_part():
    assert hrdis.OverRelaxed().passes() == 0
    assert hrdis.OverRelaxed(mmps_above=50, cg_steps=4).passes() == 6


def test_half_relaxation_needs_an_svd():
    blur = hrdis.operators.Blur(torch.ones(3, 3) / 9)
    problem = hrdis.measure(blur, torch.zeros(1, 1, 8, 8).double(), seeds=[0])
    with pytest.raises(TypeError, match="OverRelaxed needs an SVDOperator"):
        hrdis.solve(hrdis.OverRelaxed(alpha=-0.5), mixture(), problem, seeds=[0])


def test_draws_are_those_of_the_recipe():
    _, problem, _ = case("mask", 0.3)
    for alpha, count in ((-1.0, 3), (-0.5, 3 + 2)):
        tape = Tape([0])
        solver = hrdis.OverRelaxed(alpha=alpha)
        hrdis.solve(solver, gaussian(), problem, times=[500, 100, 0, -1], rng=tape)
        assert len(tape.draws) == count
        replayed = Replay(tape.draws)
        hrdis.solve(solver, gaussian(), problem, times=[500, 100, 0, -1], rng=replayed)
