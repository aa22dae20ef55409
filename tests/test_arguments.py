"""`hrdis.arguments`: what is refused before any work, and the message that says what to write
instead.
"""

import re
from dataclasses import fields
from inspect import signature

import pytest
import torch

import hrdis
from hrdis.messages import unknown
from hrdis.operators import SuperResolution
from tests.common.toys import mixture, problem_for

SOLVER, PRIOR = hrdis.HRDIS(steps=3), mixture()
PROBLEM = problem_for(SOLVER)
X = torch.zeros(1, 1, 8, 8)

CALLS = {
    "HRDIS got 100 without a name. Settings are given by name: HRDIS(steps=100).": lambda: (
        hrdis.HRDIS(100)
    ),
    "HRDIS: steps is 'x', but input should be a valid integer": lambda: hrdis.HRDIS(steps="x"),
    "HRDIS: steps is 0, but input should be greater than or equal to 1. The default is "
    "HRDIS(steps=100).": (lambda: hrdis.HRDIS(steps=0)),
    "solver is the class HRDIS. A solver is expected: an object made from it, HRDIS().": (
        lambda: hrdis.solve(hrdis.HRDIS, PRIOR, PROBLEM, seeds=[0])
    ),
    "prior is 'default'. A prior is expected: hrdis.load_prior('default').": (
        lambda: hrdis.solve(SOLVER, "default", PROBLEM, seeds=[0])
    ),
    "prior is a Identity. A prior is expected: hrdis.load_prior(": (
        lambda: hrdis.solve(SOLVER, torch.nn.Identity(), PROBLEM, seeds=[0])
    ),
    "prior is the class GaussianMixture. A prior is expected: an object made from it, "
    "GaussianMixture(...).": (
        lambda: hrdis.solve(SOLVER, hrdis.priors.GaussianMixture, PROBLEM, seeds=[0])
    ),
    "problem is a Tensor. A measurement with its operator is expected: hrdis.Problem(y, A)": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM.y, seeds=[0])
    ),
    "The problem was given in the place of the prior. hrdis.solve(solver, prior, problem, "
    "seeds=...) is expected": (lambda: hrdis.solve(SOLVER, PROBLEM, PRIOR, seeds=[0])),
    "The prior was given in the place of the solver.": lambda: hrdis.solve(
        PRIOR, SOLVER, PROBLEM, seeds=[0]
    ),
    "seeds is 0. One seed per image is expected: seeds=range(3).": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, seeds=0)
    ),
    "seeds is 'abc'. One seed per image is expected: seeds=range(3).": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, seeds="abc")
    ),
    "seeds is [0, 1, 0.5]. Whole numbers are expected, one per image: seeds=range(3).": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, seeds=[0, 1, 0.5])
    ),
    "rng is of type int. A source of noise is expected: rng=hrdis.rng.Replay([...]).": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, rng=3)
    ),
    "times is 5. Network times in order are expected: times=[950, 900, ..., 0, -1].": (
        lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, seeds=[0, 1, 2], times=5)
    ),
    "The image was given in the place of A. hrdis.measure(A, x) is expected, in this order.": (
        lambda: hrdis.measure(X, SuperResolution(2))
    ),
    "A is the class SuperResolution. An operator or a callable x -> y is expected: "
    "hrdis.measure(SuperResolution(": (lambda: hrdis.measure(SuperResolution, X)),
    "A is 'sr4'. An operator or a callable x -> y is expected: hrdis.measure(hrdis.operators.": (
        lambda: hrdis.measure("sr4", X)
    ),
    "noise is 0.1. A noise with its level is expected: noise=hrdis.noise.Gaussian(0.1).": (
        lambda: hrdis.measure(SuperResolution(2), X, 0.1, seeds=[0])
    ),
    "noise is the class Gaussian. A noise with its level is expected: "
    "noise=hrdis.noise.Gaussian(0.05).": (
        lambda: hrdis.measure(SuperResolution(2), X, hrdis.noise.Gaussian, seeds=[0])
    ),
    "y is ndarray. A floating tensor whose first axis is the image is expected. "
    "torch.from_numpy(y), the image axis": (lambda: hrdis.Problem(X.numpy(), SuperResolution(2))),
    "y is torch.uint8 of shape (1, 1, 8, 8). A floating tensor whose first axis is the image is "
    "expected. For grey": (lambda: hrdis.Problem(X.byte(), SuperResolution(2))),
    "y is list. A floating tensor whose first axis is the image is expected. torch.stack(y)": (
        lambda: hrdis.Problem([X, X], SuperResolution(2))
    ),
    "y is SuperResolution. A floating tensor whose first axis is the image is expected. It looks "
    "as if the arguments": (lambda: hrdis.Problem(SuperResolution(2), X)),
    "SuperResolution got torch.float32 of shape (1, 8, 8). A floating tensor of shape (b, c, h, w) "
    "in [-1, 1] is "
    "expected. One image gets its axis with x[None].": lambda: hrdis.measure(
        SuperResolution(2), X[0]
    ),
    "SuperResolution got shape (1, 8, 8, 3), with the channels last. (b, c, h, w) is expected: "
    "x.permute(": (
        lambda: hrdis.measure(SuperResolution(2), X.reshape(1, 8, 8, 1).expand(1, 8, 8, 3))
    ),
    "The mask is given as ndarray. A tensor of shape (h, w) or (b, 1, h, w) is expected: "
    "torch.from_numpy(mask)": (lambda: hrdis.operators.Inpainting(X[0, 0].numpy())),
    "x is a ndarray of shape (1, 1, 8, 8). One image (c, h, w) is expected": lambda: (
        hrdis.images.save("x.png", X.numpy())
    ),
    "x is a Tensor of shape (8, 8). One image (c, h, w) is expected": lambda: hrdis.images.save(
        "x.png", X[0, 0]
    ),
    "x is a Tensor of shape (2, 1, 8, 8). One image (c, h, w) is expected": (
        lambda: hrdis.images.save("x.png", X.expand(2, 1, 8, 8))
    ),
    "means is a str that torch cannot read. A tensor is expected.": lambda: (
        hrdis.priors.GaussianMixture("x", [1], 1)
    ),
}
RAMP = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)
SLIPS = {
    "x reaches from 0 to 1 and never below; pictures are expected in [-1, 1]. For values in [0, "
    "1]: 2 * x - 1.": (
        lambda: hrdis.measure(SuperResolution(2), RAMP, hrdis.noise.Gaussian(0.1), seeds=[0])
    ),
    "y reaches from 0 to 1 and never below; pictures are expected in [-1, 1]. For values in [0, "
    "1]: 2 * y - 1.": (lambda: hrdis.Problem(RAMP, SuperResolution(2))),
    "y reaches from 0 to 1 and never below; pictures are expected in [-1, 1]. For values in [0, "
    "1]: 2 * y - 1": (
        lambda: hrdis.Problem(
            RAMP, hrdis.operators.Inpainting(torch.ones(8, 8).index_fill(0, torch.tensor(4), 0))
        )
    ),
    "y holds whole numbers up to 63; pictures are expected in [-1, 1]: y / 127.5 - 1.": (
        lambda: hrdis.Problem((63 * RAMP).round(), SuperResolution(2))
    ),
    "sigma is 25, more than the range of a picture in [0, 1]. For 25 grey levels of 255: "
    "Gaussian(25 / 255).": (lambda: hrdis.noise.Gaussian(25)),
}


class Told(hrdis.Solver):
    """A solver whose ``run`` is the function it is given."""

    def __init__(self, run):
        self.does = run

    def times(self, schedule):
        return [1, 0, -1]

    def run(self, prior, problem, times, rng):
        return self.does(prior, problem)


def yields(*what, end=None):
    def run(prior, problem):
        yield from what
        return end

    return run


class Half(hrdis.Prior):
    """A prior that gives one tensor where a pair is expected; without a schedule if told so."""

    def __init__(self, schedule=True):
        super().__init__()
        if schedule:
            self.schedule = hrdis.Schedule.linear()

    def forward(self, x_t, t):
        return x_t


RUN = (
    "A generator is expected that says `yield hrdis.Step(t, x)` in every iteration and `return x` "
    "at its end."
)
#: What goes wrong in the first lines of a solver, a prior or an operator of one's own.
FIRST_LINES = {
    f"Told.run returned a Tensor. {RUN}": lambda: hrdis.solve(
        Told(lambda *_: X), PRIOR, PROBLEM, seeds=[0, 1, 2]
    ),
    f"Told.run yielded a Tensor. {RUN}": lambda: hrdis.solve(
        Told(yields(X)), PRIOR, PROBLEM, seeds=[0, 1, 2]
    ),
    f"Told.run ended with a NoneType. {RUN}": (
        lambda: hrdis.solve(Told(yields(hrdis.Step(0, X))), PRIOR, PROBLEM, seeds=[0, 1, 2])
    ),
    "The prior 'custom' gives a Tensor. The clean image and the noise are expected": (
        lambda: hrdis.solve(SOLVER, Half(), PROBLEM, seeds=[0, 1, 2])
    ),
    "The prior a Half has no schedule. Its noise levels are expected: self.schedule = "
    "hrdis.Schedule.linear()": (
        lambda: hrdis.solve(SOLVER, Half(schedule=False), PROBLEM, seeds=[0, 1, 2])
    ),
    "A(x) is a NoneType. A tensor is expected": lambda: hrdis.Problem(X, lambda x: None),
    "The images have shape (1, 4, 4), but GaussianPrior was made for (1, 8, 8). Both must agree.": (
        lambda: hrdis.priors.Gaussian(X[0], 1.0)(X[..., :4, :4], 0)
    ),
}
QUIET = {
    "a picture of the right range": lambda: hrdis.Problem(2 * RAMP - 1, SuperResolution(2)),
    "holes in a bright one": lambda: hrdis.Problem(
        RAMP.round(), hrdis.operators.Inpainting(RAMP[0, 0].round())
    ),
    "a bright one": lambda: hrdis.Problem(0.5 + RAMP / 2, SuperResolution(2)),
    "counts that are no picture": lambda: hrdis.Problem((63 * RAMP).round(), lambda x: x),
    "a level in units of another measurement": lambda: hrdis.noise.Gaussian(25, "[-1,1]"),
}
SHOWN = {
    "Schedule(1000 times, sigma 0.01 to 157)": lambda: hrdis.Schedule.linear(),
    "Problem(y=(3, 1, ": lambda: PROBLEM,
    "GaussianMixture('custom', Schedule(": lambda: PRIOR,
    "GaussianPrior('custom', Schedule(1000 times, sigma 0.01 to 157), mean=(2, 2), variances)": (
        lambda: hrdis.priors.Gaussian([[0.0, 0], [0, 0]], 1.0)
    ),
    "Result(x=(3, 1, ": lambda: hrdis.solve(SOLVER, PRIOR, PROBLEM, seeds=[0, 1, 2]),
    "Step(t=": lambda: next(hrdis.iterate(SOLVER, PRIOR, PROBLEM, seeds=[0, 1, 2])),
    "Best(x=(3, 1, ": lambda: hrdis.best_of(2, SOLVER, PRIOR, PROBLEM, seeds=[0, 1, 2]),
    "UNetPrior('default', Schedule(1000 times, sigma 0.01 to 157), 1.98 M parameters, float32 on "
    "cpu)": (lambda: hrdis.load_prior("default")),
}


@pytest.mark.parametrize("message", CALLS)
def test_slip_is_told_with_what_to_write_instead(message):
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)) as caught:
        CALLS[message]()
    assert str(caught.value).endswith((".", "]"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("message", FIRST_LINES)
def test_first_lines_of_ones_own_are_told_what_is_missing(message):
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
        FIRST_LINES[message]()


def test_pair_from_a_prior_of_ones_own_serves_every_solver():
    class Pair(Half):
        def forward(self, x_t, t):
            return x_t, torch.zeros_like(x_t)

    assert hrdis.solve(hrdis.GDP(steps=2), Pair(), PROBLEM, seeds=[0, 1, 2]).nfe == 2


@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_help_of_a_solver_explains_every_setting_in_plain_types(name):
    cls = hrdis.SOLVERS[name][0]
    _, _, told = cls.__doc__.partition("\n    Settings:\n")
    assert [line.split(":")[0].strip() for line in told.strip().splitlines()] == [
        f.name for f in fields(cls)
    ]
    assert all(len(line.partition(": ")[2]) > 5 for line in told.strip().splitlines())
    assert "FieldInfo" not in str(signature(cls))
    assert list(signature(cls).parameters) == [f.name for f in fields(cls)]


@pytest.mark.parametrize("message", SLIPS)
def test_slip_that_may_be_meant_is_warned_of(message):
    with pytest.warns(UserWarning, match="^" + re.escape(message)) as caught:
        SLIPS[message]()
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize("case", QUIET)
def test_what_may_well_be_meant_is_not_warned_of(case, recwarn):
    QUIET[case]()
    assert not recwarn.list


@pytest.mark.parametrize("start", SHOWN)
def test_repr_is_one_short_line_that_says_what_it_is(start):
    shown = repr(SHOWN[start]())
    assert shown.startswith(start)
    assert "\n" not in shown
    assert len(shown) < 300


@pytest.mark.parametrize(
    ("name", "near"), [("HRDIS", "hrdis"), ("DDNM+", "ddnmplus"), ("DiffPIR", "diffpir")]
)
def test_name_of_a_class_finds_its_row(name, near):
    assert unknown("solver", name, hrdis.SOLVERS).endswith(f"Did you mean {near!r}?")
