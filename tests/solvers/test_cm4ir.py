"""CM4IR: its step by hand, the authors' scheme on a consistency map, and the sign."""

from itertools import pairwise

import pytest
import torch

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import Inpainting, SuperResolution
from hrdis.problem import Problem
from tests.common.toys import Tape, drain, gaussian, normal, pixels

Q = hrdis.Schedule.linear()
SHAPE = (1, 4, 4)
OPERATORS = {
    "mask": Inpainting(pixels(4, 4)),
    "bicubic": SuperResolution(2, kernel="bicubic"),
}


class Consistency(hrdis.Prior):
    """The consistency map of independent pixels of variance v: f(x, sigma) = x sqrt((v + s0^2) /
    (v + sigma^2)), s0 = 0.002.
    """

    def __init__(self, v: float):
        super().__init__()
        self.schedule, self.v = Q, v

    def shrink(self, t: int) -> float:
        return ((self.v + 0.002**2) / (self.v + float(Q.sigma(t)) ** 2)) ** 0.5

    def forward(self, x_t, t):
        x0_hat = x_t / Q.signal(t) * self.shrink(t)
        return hrdis.priors.Prediction(x0_hat, (x_t - Q.signal(t) * x0_hat) / Q.noise(t))


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("zeta", [0.0, 2.0])
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("sigma_y", [0.0, 0.1])
def test_run_follows_the_authors_scheme_on_a_consistency_map(operator, sigma_y, zeta, flip):
    A, prior = OPERATORS[operator], Consistency(0.09)
    H = matrix(A, SHAPE)
    y = A(0.3 * normal(1, *SHAPE, seed=1))
    solver = hrdis.CM4IR(steps=4, zeta=zeta, flip=flip, gamma=0.2, eta=0.3)
    tape, times = Tape([0]), solver.times(Q)
    steps, _ = drain(hrdis.iterate(solver, prior, Problem(y, A, sigma_y), rng=tape))
    draws = [z[0].flatten() for z in tape.draws]
    target, h = y[0].flatten(), zeta * sigma_y**2
    back = torch.linalg.pinv(H, rtol=1e-9)
    if h > 0:
        back = H.T @ torch.linalg.inv(H @ H.T + h * torch.eye(len(H)).double())
    x = A.smooth(y)[0].flatten() + float(Q.sigma(times[0])) * draws.pop(0)
    for step, (t, s) in zip(steps, pairwise(times), strict=True):
        x0_hat = (x * prior.shrink(t)).clamp(-1, 1)
        eps = (x - x0_hat) / float(Q.sigma(t))
        x0_y = x0_hat - back @ (H @ x0_hat - target)
        shown = x0_hat if s < 0 and sigma_y > 0 else x0_y
        torch.testing.assert_close(step.x[0].flatten(), shown, rtol=0, atol=1e-9)
        if s >= 0:
            carried = (-1 if flip else 1) * (1 - 0.3**2) ** 0.5 * eps
            x = x0_y + float(Q.sigma(s)) * (0.3 * draws.pop(0) + carried)
    assert not draws


@pytest.mark.parametrize("eta", [0.0, 0.85])
@pytest.mark.parametrize("operator", OPERATORS)
def test_without_the_flip_it_is_ddnm(operator, eta):
    A, prior = OPERATORS[operator], gaussian()
    problem = Problem(A(prior.sample(2, seed=5)), A)
    times = [400, 200, 50, 0, -1]
    ours = hrdis.CM4IR(eta=eta, flip=False, clamp=False)
    a = hrdis.solve(ours, prior, problem, times=times, seeds=[0, 1]).x
    b = hrdis.solve(hrdis.DDNM(eta=eta, start=400), prior, problem, times=times, seeds=[0, 1]).x
    torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("t", [100, 250])
def test_level_repeated_has_the_variance_of_theory(t):
    """An unseen pixel of variance v: x has X = eta^2 sigma^2 / (1 - (g - q (1 - g))^2) with
    q = sqrt(1 - eta^2), and x0_y g^2 X, far below v: it seeks the mean.
    """
    v, eta, count = 0.09, 0.4, 80
    s2 = float(Q.sigma(t)) ** 2
    g, q = v / (v + s2), (1 - eta**2) ** 0.5
    prior = hrdis.priors.Gaussian(torch.zeros(1, 1, 2), v)
    y = torch.zeros(count, 1, 1, 2).double()
    units = torch.zeros(count, count, 1, 1, 2).double()
    units[range(count), range(count), ..., 1] = 1
    # long runs have many draws: the clamp must not touch unit impulses
    solver = hrdis.CM4IR(eta=eta, clamp=False)
    problem = Problem(y, Inpainting(torch.tensor([[1, 0]])))
    for step in solver.run(prior, problem, [t] * count + [-1], hrdis.rng.Replay(units)):
        x0_y = step.x
    found = float(x0_y[..., 1].square().sum())
    expected = g**2 * eta**2 * s2 / (1 - (g - q * (1 - g)) ** 2)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found < 0.5 * v


def test_growing_signal_sets_the_levels():
    """alpha_bar grows by 1 + gamma a call: 250 is followed by the times nearest to that."""
    times = hrdis.CM4IR(steps=4, start=250, gamma=0.2).times(Q)
    assert times[0] == 250 and times[-1] == -1
    for t, s in pairwise(times[:-1]):
        assert float(Q[s]) == pytest.approx(min(1.2 * float(Q[t]), 0.9999), rel=0.01)


def test_growing_signal_leaves_room_for_every_call():
    times = hrdis.CM4IR(steps=30, start=100, gamma=5.0).times(Q)
    assert times == [100, *range(28, -1, -1), -1]


def test_clamp_keeps_the_estimate_in_range():
    prior = hrdis.priors.Gaussian(3 * torch.ones(SHAPE), 0.01)
    A = Inpainting(pixels(4, 4))
    problem = Problem(A(torch.ones(1, *SHAPE).double()), A)
    kept = hrdis.solve(hrdis.CM4IR(steps=3), prior, problem, seeds=[0]).x
    free = hrdis.solve(hrdis.CM4IR(steps=3, clamp=False), prior, problem, seeds=[0]).x
    assert float(kept.max()) == pytest.approx(1) and float(free.max()) > 2


def test_few_calls_come_close_to_the_posterior_mean():
    """Eight calls without noise: nearer to the posterior mean than an exact sample is."""
    prior, A = gaussian(), OPERATORS["bicubic"]
    y = A(prior.sample(1, seed=5))
    (posterior,) = prior.posterior(Problem(y, A))
    many = Problem(y.repeat(200, 1, 1, 1), A)
    x = hrdis.solve(hrdis.CM4IR(steps=8, clamp=False), prior, many, seeds=range(200)).x
    distance = float((x - posterior.mean).square().flatten(1).sum(1).mean())
    assert distance < 0.3 * float(posterior.covariance.trace())
