"""`hrdis.driver`: what `solve` and `iterate` do around a solver. Messages common to all:
test_solvers_common.py.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import hrdis
from hrdis.operators import Identity
from hrdis.problem import Problem
from hrdis.solvers.base import Solver, Step, settings
from tests.common.toys import (
    VARIANTS,
    Pixelwise,
    Recorded,
    drain,
    mixture,
    normal,
    problem_for,
    short,
)

SOLVER = hrdis.HRDIS(steps=5)
PROBLEM = problem_for(SOLVER)
SEEDS = [0, 1, 2]


def test_solve_is_iterate_drained():
    _, result = drain(hrdis.iterate(SOLVER, mixture(), PROBLEM, seeds=SEEDS))
    assert torch.equal(hrdis.solve(SOLVER, mixture(), PROBLEM, seeds=SEEDS).x, result.x)


def test_solve_shows_every_step_as_it_comes():
    prior, seen = Recorded(mixture()), []
    hrdis.solve(
        SOLVER,
        prior,
        PROBLEM,
        seeds=SEEDS,
        on_step=lambda step: seen.append((step.t, len(prior.times))),
    )
    assert seen == [(t, k + 1) for k, t in enumerate(prior.times)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, StopIteration, ValueError])
def test_what_on_step_raises_comes_out(error):
    def stop(step):
        raise error("enough")

    with pytest.raises(error, match="enough"):
        hrdis.solve(SOLVER, mixture(), PROBLEM, seeds=SEEDS, on_step=stop)


def test_result_says_what_was_done():
    result = hrdis.solve(SOLVER, mixture(), PROBLEM, seeds=SEEDS)
    assert result.times == (800, 600, 400, 200, 0, -1)
    assert result.nfe == 5
    assert 0 < result.seconds < 60
    assert result.finite.dtype == torch.bool


def test_time_of_the_consumer_is_counted_too():
    """`seconds` is wall time of the run as it was used."""
    result = hrdis.solve(
        SOLVER, mixture(), PROBLEM, seeds=SEEDS, on_step=lambda step: time.sleep(0.02)
    )
    assert result.seconds > 5 * 0.02


@pytest.mark.parametrize(
    "seeds", [np.arange(3), torch.arange(3), (0, 1, 2), range(3)], ids=lambda s: type(s).__name__
)
def test_seeds_may_come_in_any_sequence(seeds):
    found = hrdis.solve(SOLVER, mixture(), PROBLEM, seeds=seeds).x
    assert torch.equal(found, hrdis.solve(SOLVER, mixture(), PROBLEM, seeds=SEEDS).x)


@pytest.mark.parametrize(
    "seeds", [0, torch.tensor(0), np.array(0), {2, 0, 1}], ids=lambda s: type(s).__name__
)
def test_seeds_that_are_no_row_are_refused(seeds):
    """A set has no order, so that no image would have a seed of its own."""
    with pytest.raises(
        TypeError, match=r"^seeds is .*\. One seed per image is expected: seeds=range\(3\)\."
    ):
        hrdis.solve(SOLVER, mixture(), PROBLEM, seeds=seeds)


def test_recorded_noise_replaces_seeds():
    draws = [normal(3, 1, 8, 8, seed=k) for k in range(5)]
    a, b = (
        hrdis.solve(SOLVER, mixture(), PROBLEM, rng=hrdis.rng.Replay(draws)).x for _ in range(2)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, hrdis.solve(SOLVER, mixture(), PROBLEM, seeds=SEEDS).x)


def test_recorded_noise_left_over_is_refused():
    with pytest.raises(ValueError, match=r"^1 of 6 recorded draws were never used\."):
        hrdis.solve(SOLVER, mixture(), PROBLEM, rng=hrdis.rng.Replay([normal(3, 1, 8, 8)] * 6))


def test_recorded_noise_too_short_is_refused():
    with pytest.raises(
        ValueError, match=r"^The solver asked for draw 5, but only 4 were recorded\."
    ):
        hrdis.solve(SOLVER, mixture(), PROBLEM, rng=hrdis.rng.Replay([normal(3, 1, 8, 8)] * 4))


def test_noiseless_solver_refuses_noise():
    problem = Problem(torch.zeros(1, 1, 8, 8), Identity(), 0.1)
    with pytest.raises(
        ValueError,
        match=(
            r"^DDNM is for noiseless measurements, but sigma_y is 0.1\. Solvers that can use it: "
            r"HRDIS, "
        ),
    ):
        hrdis.iterate(hrdis.DDNM(steps=3), Pixelwise(), problem, seeds=[0])


def test_prior_that_takes_any_channels_is_not_asked():
    class Any(Pixelwise):
        channels = None

    problem = Problem(torch.zeros(1, 5, 4, 4), Identity())
    assert hrdis.solve(SOLVER, Any(), problem, seeds=[0]).x.shape == (1, 5, 4, 4)


def test_image_that_comes_back_from_infinity_stays_lost_and_is_named_once():
    """What was recovered from a state that overflowed is no result."""

    @settings
    class Stumbles(Solver):
        def times(self, schedule):
            return [2, 1, 0, -1]

        @torch.no_grad()
        def run(self, prior, problem, times, rng):
            for t in times[:-1]:
                x = problem.y.clone()
                x[1] += torch.inf if t == 1 else 0
                yield Step(t, x)
            return problem.y.clone()

    with pytest.warns(
        RuntimeWarning, match=r"^Images \[1\] of 3 became non-finite at t = 1 "
    ) as caught:
        result = hrdis.solve(Stumbles(), Pixelwise(), PROBLEM, seeds=SEEDS)
    assert len(caught) == 1
    assert result.finite.tolist() == [True, False, True]


@pytest.mark.parametrize("lost", [[0], [0, 1, 2]])
def test_run_ends_when_no_image_is_finite_any_more(lost):
    """A thousand further calls would give no picture; one image left goes on."""
    asked = []

    @settings
    class Breaks(Solver):
        def times(self, schedule):
            return [*range(9, -1, -1), -1]

        @torch.no_grad()
        def run(self, prior, problem, times, rng):
            x = problem.y.clone()
            for t in times[:-1]:
                asked.append(t)
                if t == 7:
                    x[lost] = torch.nan
                yield Step(t, x)
            return x

    with pytest.warns(RuntimeWarning, match="became non-finite at t = 7"):
        result = hrdis.solve(Breaks(), Pixelwise(), PROBLEM, seeds=SEEDS)
    assert asked == ([9, 8, 7] if len(lost) == 3 else [*range(9, -1, -1)])
    assert result.finite.tolist() == [k not in lost for k in range(3)]


def test_result_that_overflows_after_the_last_step_is_warned_of():
    @settings
    class Falls(Solver):
        def times(self, schedule):
            return [0, -1]

        @torch.no_grad()
        def run(self, prior, problem, times, rng):
            yield Step(0, problem.y)
            return problem.y / 0

    with pytest.warns(
        RuntimeWarning, match=r"^Images \[0, 1, 2\] of 3 became non-finite in the last step\."
    ):
        assert not hrdis.solve(Falls(), Pixelwise(), PROBLEM, seeds=SEEDS).finite.any()


def test_solver_from_anywhere_works():
    """A leaf of `Solver` defined outside the package: the copy of the noisiest clean estimate."""

    @settings
    class OneLook(Solver):
        t: int = 500

        def times(self, schedule):
            return [self.t, -1]

        @torch.no_grad()
        def run(self, prior, problem, times, rng):
            x_t = prior.schedule.diffuse(
                problem.A.pinv(problem.y), times[0], rng.randn_like(problem.y)
            )
            x0_hat, _ = prior(x_t, times[0])
            yield Step(times[0], x0_hat)
            return x0_hat

    result = hrdis.solve(
        OneLook(t=300), Pixelwise(), Problem(normal(2, 1, 4, 4), Identity()), seeds=[0, 1]
    )
    assert (result.nfe, result.times) == (1, (300, -1))


def test_prior_from_anywhere_works():
    """Thirty lines are enough: a `Prior` with a schedule and one method."""

    class White(hrdis.Prior):
        schedule = hrdis.Schedule.linear(50, 1e-3, 0.3)

        def forward(self, x_t, t):
            eps = self.schedule.noise(t) * x_t  # x0 ~ N(0, I)
            return hrdis.priors.Prediction(self.schedule.denoised(x_t, t, eps), eps)

    result = hrdis.solve(SOLVER, White(), PROBLEM, seeds=SEEDS)
    assert result.times == (40, 30, 20, 10, 0, -1)
    assert bool(result.finite.all())


class Answers(Pixelwise):
    """The same prior, whose answers take another form."""

    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, x_t, t):
        return self.form(super().forward(x_t, t))


@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_prior_may_answer_with_a_plain_pair(name):
    solver = short(hrdis.SOLVERS[name][0](), 3)
    problem = problem_for(solver)
    plain, named = (
        hrdis.solve(solver, prior, problem, seeds=SEEDS).x
        for prior in (Answers(lambda p: (p[0], p[1])), Pixelwise())
    )
    assert torch.equal(plain, named)


@pytest.mark.parametrize("name", VARIANTS)
def test_prior_may_write_into_what_it_gets(name):
    class Scribbles(Pixelwise):
        def forward(self, x_t, t):
            found = super().forward(x_t, t)
            x_t.zero_()
            return found

    solver = short(VARIANTS[name], 3)
    problem = problem_for(solver)
    found, expected = (
        hrdis.solve(solver, prior, problem, seeds=SEEDS).x for prior in (Scribbles(), Pixelwise())
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_state_keeps_its_precision_whatever_that_of_the_answer(name, dtype):
    solver, prior = (
        short(hrdis.SOLVERS[name][0](), 3),
        Recorded(Answers(lambda p: p.map(lambda part: part.to(dtype)))),
    )
    result = hrdis.solve(solver, prior, problem_for(solver), seeds=SEEDS)
    assert {x.dtype for x in (*prior.inputs, result.x)} == {torch.float64}


@pytest.mark.parametrize(
    "form", [lambda p: p.eps, lambda p: [p.x0_hat, p.eps], lambda p: (*p, p.eps)]
)
def test_prior_that_answers_with_no_pair_is_told_what_is_expected(form):
    with pytest.raises(
        TypeError,
        match=r"^The prior 'pixelwise' gives a \w+\. .* return hrdis\.priors\.Prediction\(",
    ):
        hrdis.solve(SOLVER, Answers(form), PROBLEM, seeds=SEEDS)


@pytest.mark.parametrize("name", ["hrdis", "ddrm", "ddnm", "dps", "fps"])
def test_autocast_of_the_caller_is_for_the_network_alone(name):
    """Block means are matrix products: in bfloat16 they made all of HRDIS's state so, and the
    result 0.04 off.
    """

    class Told(Pixelwise):
        cast = None

        def forward(self, x_t, t):
            self.cast = (x_t @ x_t).dtype
            return super().forward(x_t, t)

    solver, told = short(hrdis.SOLVERS[name][0](), 4), Told()
    A, x = hrdis.operators.SuperResolution(2), 0.3 * normal(2, 1, 8, 8, dtype=torch.float32)
    expected = hrdis.solve(solver, Pixelwise(), hrdis.measure(A, x), seeds=[0, 1]).x
    with torch.autocast("cpu", dtype=torch.bfloat16):
        run = hrdis.iterate(solver, told, hrdis.measure(A, x), seeds=[0, 1])
        steps, result = drain(run)
        assert torch.is_autocast_enabled("cpu")
    assert told.cast == torch.bfloat16
    assert {result.x.dtype, *(step.x.dtype for step in steps)} == {torch.float32}
    assert torch.equal(result.x, expected)


# ---- solvers by name ----------------------------------------------------------------------------


def named_problem(sigma_y=0.0):
    return hrdis.Problem(torch.zeros(1, 3, 4, 4), hrdis.operators.SuperResolution(scale=4), sigma_y)


def named_prior(presets):
    prior = hrdis.priors.Gaussian(torch.zeros(3, 16, 16), 0.1)
    prior.presets = hrdis.presets.embedded() if presets else None
    return prior


@pytest.mark.parametrize(("presets", "sigma_y"), [("", 0.0), ("default", 0.0), ("default", 0.1)])
def test_name_takes_the_settings_that_fit_and_the_result_says_which(presets, sigma_y):
    problem = named_problem(sigma_y)
    prior = named_prior(presets)
    expected = hrdis.presets.choose(hrdis.DDRM, ("sr4",), sigma_y / 2, tuned=prior.presets)
    result = hrdis.solve("ddrm", prior, problem, seeds=[0])
    assert result.choice == expected
    assert result.solver == expected.settings == hrdis.DDRM.preset(problem, prior)


def test_name_and_its_settings_give_the_same_pixels():
    problem, prior = named_problem(), named_prior("default")
    by_name = hrdis.solve("ddrm", prior, problem, seeds=[0])
    assert torch.equal(by_name.x, hrdis.solve(by_name.solver, prior, problem, seeds=[0]).x)


@pytest.mark.parametrize(
    ("name", "near"), [("hrdiss", "hrdis"), ("red-dif", "reddiff"), ("DDNM++", "ddnmplus")]
)
def test_unknown_name_is_told_with_the_likeliest(name, near):
    with pytest.raises(
        ValueError,
        match=rf"^unknown solver .* Did you mean '{near}'\? Or give settings of your own",
    ):
        hrdis.solve(name, named_prior(""), named_problem(), seeds=[0])


@pytest.mark.parametrize("wrong", ["prior", "problem"])
def test_name_with_a_wrong_prior_or_problem_is_told_as_before(wrong):
    given = {"prior": named_prior(""), "problem": named_problem()} | {wrong: 3}
    with pytest.raises(TypeError, match=f"^{wrong} is 3"):
        hrdis.solve("hrdis", given["prior"], given["problem"], seeds=[0])


@pytest.mark.parametrize("name", ["hrdis", "ddrm", "dps", "mmps"])
def test_threads_that_share_a_prior_and_an_operator_get_the_same_pixels(name):
    """One optimises, one needs no gradient, two differentiate through the network."""
    prior = hrdis.load_prior("default")
    A = hrdis.operators.SuperResolution(scale=4)
    x = torch.linspace(-1, 1, 3 * 32 * 32).sin().reshape(1, 3, 32, 32)

    def restored(seed: int) -> torch.Tensor:
        problem = hrdis.measure(A, x, hrdis.noise.Gaussian(0.05), seeds=[seed])
        solver = hrdis.SOLVERS[name][0](steps=4)
        return hrdis.solve(solver, prior, problem, seeds=[seed]).x

    alone = [restored(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(restored, range(4)))
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)
