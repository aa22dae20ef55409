"""`hrdis.arguments`: what is refused before any work, and the message that says what to write instead."""

import re

import pytest
import torch
from toys import mixture, problem_for

import hrdis
from hrdis.operators import SuperResolution

SOLVER, PRIOR = hrdis.HRDIS(steps=3), mixture()
PROBLEM = problem_for(SOLVER)
X = torch.zeros(1, 1, 8, 8)

CALLS = {
    "HRDIS got 100 without a name. Settings are given by name: HRDIS(steps=100).": lambda: hrdis.HRDIS(100),
    "HRDIS: steps is 'x', but input should be a valid integer": lambda: hrdis.HRDIS(steps="x"),
    "HRDIS: steps is 0, but input should be greater than or equal to 1. The default is HRDIS(steps=100).": (
        lambda: hrdis.HRDIS(steps=0)
    ),
    "solver is the class HRDIS. A solver is expected: an object made from it, HRDIS().": (
        lambda: hrdis.solve(hrdis.HRDIS, PRIOR, PROBLEM, seeds=[0])
    ),
    "solver is 'red-diff'. A solver is expected: hrdis.REDDiff().": (
        lambda: hrdis.solve("red-diff", PRIOR, PROBLEM, seeds=[0])
    ),
    "prior is 'default'. A prior is expected: hrdis.load_prior('default').": (
        lambda: hrdis.solve(SOLVER, "default", PROBLEM, seeds=[0])
    ),
    "prior is a Identity. A prior is expected: hrdis.load_prior(": (
        lambda: hrdis.solve(SOLVER, torch.nn.Identity(), PROBLEM, seeds=[0])
    ),
    "prior is the class GaussianMixture. A prior is expected: an object made from it, GaussianMixture(...).": (
        lambda: hrdis.solve(SOLVER, hrdis.priors.GaussianMixture, PROBLEM, seeds=[0])
    ),
    "problem is a Tensor. A measurement with its operator is expected: hrdis.Problem(y, A)": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM.y, seeds=[0])
    ),
    "The problem was given in the place of the prior. hrdis.solve(solver, prior, problem, seeds=...) is expected": (
        lambda: hrdis.solve(SOLVER, PROBLEM, PRIOR, seeds=[0])
    ),
    "The prior was given in the place of the solver.": lambda: hrdis.solve(PRIOR, SOLVER, PROBLEM, seeds=[0]),
    "seeds is 0. One seed per image is expected: seeds=range(3).": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, seeds=0)
    ),
    "seeds is 'abc'. One seed per image is expected: seeds=range(3).": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, seeds="abc")
    ),
    "seeds is [0, 1, 0.5]. Whole numbers are expected, one per image: seeds=range(3).": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, seeds=[0, 1, 0.5])
    ),
    "rng is 3. A source of noise is expected: rng=hrdis.rng.Replay([...]).": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, rng=3)
    ),
    "times is 5. Network times in order are expected: times=[950, 900, ..., 0, -1].": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, seeds=[0, 1, 2], times=5)
    ),
    "The image was given in the place of A. hrdis.measure(A, x) is expected, in this order.": (
        lambda: hrdis.measure(X, SuperResolution(2))
    ),
    "A is the class SuperResolution. An operator or a callable x -> y is expected: hrdis.measure(SuperResolution(": (
        lambda: hrdis.measure(SuperResolution, X)
    ),
    "A is 'sr4'. An operator or a callable x -> y is expected: hrdis.measure(hrdis.operators.": (
        lambda: hrdis.measure("sr4", X)
    ),
    "noise is 0.1. A noise with its level is expected: noise=hrdis.noise.Gaussian(0.1).": (
        lambda: hrdis.measure(SuperResolution(2), X, 0.1, seeds=[0])
    ),
    "noise is the class Gaussian. A noise with its level is expected: noise=hrdis.noise.Gaussian(0.05).": (
        lambda: hrdis.measure(SuperResolution(2), X, hrdis.noise.Gaussian, seeds=[0])
    ),
}


@pytest.mark.parametrize("message", CALLS)
def test_slip_is_told_with_what_to_write_instead(message):
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)) as caught:
        CALLS[message]()
    assert str(caught.value).endswith((".", "]"))
    assert "\n" not in str(caught.value)
