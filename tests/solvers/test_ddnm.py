"""DDNM: the step against its formula written as matrices, time travel, and A x = y."""

from itertools import pairwise

import pytest
import torch

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import Identity, Inpainting, SuperResolution
from hrdis.problem import Problem
from hrdis.rng import Replay
from tests.common.toys import LINEAR, Tape, gaussian, mixture, normal, pixels

Q = hrdis.Schedule.linear()


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize(
    "solver",
    [hrdis.DDNM(steps=6), hrdis.DDNM(steps=6, length=2, repeat=2), hrdis.DDNM(steps=6, eta=0)],
    ids=str,
)
def test_result_explains_the_measurement(name, solver):
    shape = LINEAR[name].fit(2, 1, 12, 12)
    A = LINEAR[name](*shape)
    y = A(0.5 * normal(*shape))
    x = hrdis.solve(solver, mixture(*shape[1:]), Problem(y, A), seeds=[0, 1]).x
    torch.testing.assert_close(A(x), y, rtol=0, atol=1e-12)


def test_every_step_explains_the_measurement():
    A, prior = SuperResolution(2), mixture()
    y = A(0.5 * normal(2, 1, 8, 8))
    for step in hrdis.iterate(hrdis.DDNM(steps=6), prior, Problem(y, A), seeds=[0, 1]):
        torch.testing.assert_close(A(step.x), y, rtol=0, atol=1e-12)


def test_result_of_the_identity_is_the_measurement():
    y = normal(2, 1, 8, 8)
    x = hrdis.solve(hrdis.DDNM(steps=4), mixture(), Problem(y, Identity()), seeds=[0, 1]).x
    torch.testing.assert_close(x, y, rtol=0, atol=1e-13)


def by_matrices(prior, A, y, grid, draws, eta):
    """The algorithm on vectors: every map a matrix, the Gaussian's x0_hat from its definition, one
    move at a time.
    """
    n, draws = y[0].numel() if A is None else prior.mean.numel(), iter(draws)
    H = matrix(A, tuple(prior.mean.shape))
    pinv, C, m = torch.linalg.pinv(H), prior.covariance, prior.mean.flatten()
    v, target = next(draws).flatten(1), y.flatten(1)
    visited, x0 = [], m
    for t, s in pairwise(grid):
        a_t, a_s = float(Q[t]), float(Q[s])
        if s > t:
            v = a_s**0.5 * x0 + (1 - a_s) ** 0.5 * next(draws).flatten(1)
            continue
        S = a_t * C + (1 - a_t) * torch.eye(n).double()
        x0 = m + a_t**0.5 * (v - a_t**0.5 * m) @ torch.linalg.inv(S) @ C
        eps = (v - a_t**0.5 * x0) / (1 - a_t) ** 0.5
        projected = x0 - (x0 @ H.T - target) @ pinv.T
        visited.append((t, projected, ((x0 @ H.T - target) ** 2).mean(1).sqrt()))
        noise = eps
        if s >= 0 and eta > 0:
            noise = (1 - eta**2) ** 0.5 * eps + eta * next(draws).flatten(1)
        v = a_s**0.5 * projected + (1 - a_s) ** 0.5 * noise
    assert next(draws, None) is None
    return visited


@pytest.mark.parametrize(
    "solver",
    [
        hrdis.DDNM(steps=5),
        hrdis.DDNM(steps=5, eta=0),
        hrdis.DDNM(steps=5, eta=1),
        hrdis.DDNM(steps=7, length=2, repeat=2),
        hrdis.DDNM(steps=7, length=3, repeat=3, eta=0.5),
    ],
    ids=str,
)
@pytest.mark.parametrize("A", [SuperResolution(2), Inpainting(pixels(4, 4))], ids=["sr2", "mask"])
def test_run_follows_the_formula_written_as_matrices(solver, A):
    prior = gaussian(1, 4, 4)
    y, tape = A(prior.sample(2)), Tape([0, 1])
    steps = list(hrdis.iterate(solver, prior, Problem(y, A), rng=tape))
    expected = by_matrices(
        prior,
        A,
        y,
        Q.travel(Q.uniform(solver.steps), solver.length, solver.repeat),
        tape.draws,
        solver.eta,
    )
    assert [step.t for step in steps] == [t for t, _, _ in expected]
    for step, (_, x, residual) in zip(steps, expected, strict=True):
        # 1e-9: at the top, x0_hat is told from x_t through a signal of 0.006 and a matrix inverse
        torch.testing.assert_close(step.x.flatten(1), x, rtol=0, atol=1e-9)
        torch.testing.assert_close(step.info["residual"], residual, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("solver", "draws"),
    [
        (hrdis.DDNM(steps=6), 1 + 5),
        (hrdis.DDNM(steps=6, eta=0), 1),
        (
            hrdis.DDNM(steps=8, length=2, repeat=2),
            1 + 13 + 6,
        ),  # 14 calls, the last without noise; 6 moves up
        (hrdis.DDNM(steps=8, length=2, repeat=2, eta=0), 1 + 6),
    ],
    ids=str,
)
def test_draws_are_those_of_the_recipe(solver, draws):
    A, tape = SuperResolution(2), Tape([0])
    hrdis.solve(solver, mixture(), Problem(torch.zeros(1, 1, 4, 4).double(), A), rng=tape)
    assert len(tape.draws) == draws


def test_run_below_the_top_starts_from_the_smooth_picture_diffused():
    A, z = SuperResolution(2), normal(2, 1, 8, 8)
    y = A(0.5 * normal(2, 1, 8, 8, seed=1))

    class Seen(Exception):
        pass

    class Stop(hrdis.priors.GaussianMixture):
        def forward(self, x_t, t):
            torch.testing.assert_close(x_t, Q.diffuse(A.smooth(y), 400, z), rtol=0, atol=1e-14)
            raise Seen

    toy = mixture()
    with pytest.raises(Seen):
        hrdis.solve(
            hrdis.DDNM(steps=4, start=400),
            Stop(toy.means, toy.weights, toy.stds),
            Problem(y, A),
            rng=Replay([z]),
        )


def test_holes_take_no_part_in_the_residual():
    """What is written in the holes of y is never asked for."""
    mask = pixels(8, 8)
    A, y = Inpainting(mask), mask * normal(1, 1, 8, 8)
    a = hrdis.solve(hrdis.DDNM(steps=5), mixture(), Problem(y, A), seeds=[0]).x
    b = hrdis.solve(hrdis.DDNM(steps=5), mixture(), Problem(y + 5 * (1 - mask), A), seeds=[0]).x
    torch.testing.assert_close(a, b, rtol=0, atol=1e-13)
