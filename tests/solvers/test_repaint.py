"""RePaint: Algorithm 1 of the paper pixel by pixel, its resampling, and A x = y."""

from itertools import pairwise

import pytest
import torch

import hrdis
from hrdis.operators import Inpainting, SuperResolution
from hrdis.problem import Problem
from tests.common.toys import LINEAR, Recorded, Tape, gaussian, mixture, normal, pixels

Q = hrdis.Schedule.linear()
SOLVERS = [
    hrdis.RePaint(steps=5, repeat=1),
    hrdis.RePaint(steps=7, length=2, repeat=2),
    hrdis.RePaint(steps=7, length=3, repeat=3),
]


def pixel_by_pixel(prior, mask, y, times, draws):
    """Return the inputs of the network and the result, by the formulas of the paper.

    x_{t-1} = m x_known + (1 - m) x_unknown (Eq. 8), with the mean of the reverse step in the form
    of its line 7, by the predicted noise.
    """
    draws, shown = iter(draws), []
    x = next(draws)
    for t, s in pairwise(times):
        alpha = float(Q[max(t, s)]) / float(Q[min(t, s)])  # 1 - beta of the move
        if s > t:
            x = alpha**0.5 * x + (1 - alpha) ** 0.5 * next(draws)
            continue
        shown.append(x)
        _, eps = prior(x, t)
        unknown = (x - (1 - alpha) / (1 - float(Q[t])) ** 0.5 * eps) / alpha**0.5
        known = y
        if s >= 0:
            rest = 1 - float(Q[s])
            unknown = unknown + ((1 - alpha) * rest / (1 - float(Q[t]))) ** 0.5 * next(draws)
            known = float(Q[s]) ** 0.5 * y + rest**0.5 * next(draws)
        x = torch.where(mask.bool(), known, unknown)
    assert next(draws, None) is None
    return [*shown, x]


def small(c: int, h: int, w: int) -> hrdis.priors.Gaussian:
    """A prior whose denoised images stay within [-1, 1], where the clamp changes nothing."""
    wide = gaussian(c, h, w)
    return hrdis.priors.Gaussian(wide.mean / 10, wide.covariance / 100)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_run_is_the_algorithm_of_the_paper(solver):
    prior, mask, tape = Recorded(small(1, 4, 4)), pixels(4, 4), Tape([0, 1])
    y = mask * prior.prior.sample(2)
    result = hrdis.solve(solver, prior, Problem(y, Inpainting(mask)), rng=tape)
    found = [*prior.inputs, result.x]
    expected = pixel_by_pixel(prior.prior, mask, y, solver.times(Q), tape.draws)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        # 1e-9: at the top x0_hat is told from x_t through a signal of 0.006
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", LINEAR)
def test_result_explains_the_measurement(name):
    shape = LINEAR[name].fit(2, 1, 12, 12)
    A = LINEAR[name](*shape)
    y = A(0.5 * normal(*shape))
    solver = hrdis.RePaint(steps=6, length=2, repeat=2)
    x = hrdis.solve(solver, mixture(*shape[1:]), Problem(y, A), seeds=[0, 1]).x
    torch.testing.assert_close(A(x), y, rtol=0, atol=1e-12)


def test_every_step_shows_a_picture_that_explains_the_measurement():
    A, prior = SuperResolution(2), mixture()
    y = A(0.5 * normal(2, 1, 8, 8))
    for step in hrdis.iterate(SOLVERS[1], prior, Problem(y, A), seeds=[0, 1]):
        torch.testing.assert_close(A(step.x), y, rtol=0, atol=1e-12)


def test_settings_of_the_paper_climb_ten_points_nine_times():
    """250 times, and at 24 of them nine climbs of ten: 250 + 24 * 9 * 10 calls."""
    solver = hrdis.SOLVERS["repaint"][1]["inpaint"]
    times = solver.times(Q)
    assert solver.calls(times, Q) == 250 + 24 * 9 * 10
    assert sum(s > t for t, s in pairwise(times)) == 24 * 9 * 10


def test_estimates_are_clamped_and_a_learned_variance_is_used():
    """As in the official code: with v = 1 the variance is beta, the largest."""

    class Loud(hrdis.Prior):
        schedule, channels = Q, (1,)

        def forward(self, x_t, t):
            found = hrdis.priors.Prediction(0 * x_t + 3, 0 * x_t)
            return hrdis.priors.Prediction(*found, v=torch.ones_like(x_t))

    mask, tape, t, s = torch.tensor([[0.0, 1.0], [0.0, 0.0]]), Tape([0]), 500, 300
    prior = Recorded(Loud())
    problem = Problem(torch.zeros(1, 1, 2, 2).double(), Inpainting(mask))
    hrdis.solve(hrdis.RePaint(), prior, problem, rng=tape, times=[t, s, -1])
    beta = 1 - float(Q[t]) / float(Q[s])
    on_x0, on_xt, _ = Q.ancestral(t, s)
    expected = on_x0 + on_xt * tape.draws[0] + beta**0.5 * tape.draws[1]
    hole = mask == 0
    torch.testing.assert_close(prior.inputs[1][..., hole], expected[..., hole])


def test_measurement_with_noise_is_refused():
    problem = Problem(normal(1, 1, 4, 4), Inpainting(pixels(4, 4)), 0.1)
    with pytest.raises(ValueError, match="RePaint"):
        hrdis.solve(hrdis.RePaint(), mixture(1, 4, 4), problem, seeds=[0])
