"""What every solver must do, over ``hrdis.SOLVERS`` with all presets, and over the other paths
through them.
"""

import inspect
import math
import re
from dataclasses import FrozenInstanceError, fields, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

import hrdis
from hrdis.operators import Function, SuperResolution
from hrdis.problem import Problem
from hrdis.solvers.base import Sampler
from tests.common.toys import (
    EVERY,
    SOLVERS,
    Pixelwise,
    Recorded,
    Tape,
    drain,
    mixture,
    normal,
    pixels,
    problem_for,
    whole,
)

# a solver that runs as it should says nothing; noiseless denoising is the plainest problem there is
pytestmark = [
    pytest.mark.filterwarnings("error"),
    # Of what other tests left behind: it is collected at any time.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Identity without noise"),
]

#: Every solver and every form of one by default; with the settings of the papers where time allows.
every_solver = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if ":" in name else name for name in EVERY],
)
PRIOR = mixture()
SEEDS = [10, 11, 12]


def solve(
    name: str, problem: Problem | None = None, seeds=SEEDS, prior: hrdis.Prior = PRIOR, **options
) -> hrdis.Result:
    problem = problem or problem_for(EVERY[name])
    return hrdis.solve(EVERY[name], prior, problem, seeds=seeds, **options)


@cache
def plain(name: str) -> hrdis.Result:
    """The result that many tests compare another with."""
    return solve(name)


def descents(times) -> int:
    return sum(s < t for t, s in pairwise(times))


# ---- docstrings ---------------------------------------------------------------------------------

#: The sections of a solver's docstring, in this order, after the algorithm in formulas (indented
#: twice).
SECTIONS = [
    "Yields",
    "Returns",
    "Draws",
    "Cost",
    "Reference",
    "Differs from the official code",
    "Example",
]


@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_solver_docstring_follows_the_template(name):
    text = inspect.getdoc(hrdis.SOLVERS[name][0])
    found = re.findall(r"^([A-Z][\w ]+):$", text, re.MULTILINE)
    assert [section for section in found if section in SECTIONS] == SECTIONS
    head = text.split("\nYields:\n")[0]
    assert re.match(r"[A-Z].*\.$", " ".join(head.split("\n\n")[0].split()))
    assert re.search(r"^    .* = .*$", head, re.MULTILINE), "no formula"
    for section in SECTIONS:
        assert re.search(rf"^{section}:\n    \S", text, re.MULTILINE), f"{section} is empty"
    assert "    >>> " in text.split("\nExample:\n")[1]


# ---- results ------------------------------------------------------------------------------------


@every_solver
def test_result_is_finite_and_of_the_shape_of_the_images(name):
    problem = problem_for(EVERY[name])
    result = plain(name)
    assert tuple(result.x.shape) == problem.image_shape
    assert bool(torch.isfinite(result.x).all())
    assert result.finite.tolist() == [True] * 3


OPERATORS = {
    "sr2": SuperResolution(2),
    "sr4 bicubic": SuperResolution(4, kernel="bicubic"),
    "tanh": Function(torch.tanh),
}


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        (n, k)
        for n, solver in EVERY.items()
        for k, A in OPERATORS.items()
        if isinstance(A, solver.needs())
    ],
)
def test_result_is_finite_for_other_operators(name, operator):
    problem = hrdis.measure(OPERATORS[operator], 0.3 * normal(2, 3, 8, 16))
    result = solve(name, problem, seeds=[0, 1], prior=Pixelwise())
    assert tuple(result.x.shape) == (2, 3, 8, 16)
    assert bool(torch.isfinite(result.x).all())


@every_solver
def test_same_seed_gives_the_same_bits(name):
    assert torch.equal(solve(name).x, plain(name).x)


@every_solver
def test_another_seed_gives_another_result(name):
    a, b = plain(name), solve(name, seeds=[11, 11, 13])
    assert not torch.equal(a.x[0], b.x[0])
    assert torch.equal(a.x[1], b.x[1])
    assert not torch.equal(a.x[2], b.x[2])


@every_solver
def test_zero_is_a_seed(name):
    a, b, c = (solve(name, seeds=[s, s, s]).x for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@every_solver
def test_image_is_recovered_alike_in_any_batch(name):
    problem, together = problem_for(EVERY[name]), plain(name).x
    for i in range(3):
        alone = Problem(problem.y[i : i + 1], problem.A.for_image(i), problem.sigma_y)
        # 1e-10: sums over another batch may round otherwise, and eight steps of Adam amplify that
        # some hundredfold
        torch.testing.assert_close(
            solve(name, alone, seeds=SEEDS[i : i + 1]).x, together[i : i + 1], rtol=0, atol=1e-10
        )


@every_solver
def test_image_is_recovered_alike_in_any_order(name):
    problem, order = problem_for(EVERY[name]), [2, 0, 1]
    A = type(problem.A)(problem.A.mask[order])
    turned = solve(name, Problem(problem.y[order], A), seeds=[SEEDS[i] for i in order]).x
    torch.testing.assert_close(turned, plain(name).x[order], rtol=0, atol=1e-10)


@every_solver
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_state_keeps_the_dtype_of_the_measurement(name, dtype):
    prior = Recorded(PRIOR)
    result = solve(name, problem_for(EVERY[name], dtype=dtype), prior=prior)
    assert {result.x.dtype, *(x.dtype for x in prior.inputs)} == {dtype}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_half_precision_is_that_of_the_measurement_alone(name, dtype):
    """The state is float32: in bfloat16, HRDIS in 100 steps was 0.04 off."""
    half = problem_for(EVERY[name], dtype=dtype)
    assert half.y.dtype == dtype
    result = solve(name, half)
    assert torch.equal(result.x, solve(name, replace(half, y=half.y.float())).x)


@every_solver
def test_float32_run_follows_the_float64_run(name):
    """On the same noise; 1e-3 lets rounding grow a thousandfold, and no other error pass."""
    narrow = solve(name, problem_for(EVERY[name], dtype=torch.float32)).x
    wide = plain(name).x
    assert wide.dtype == torch.float64
    assert float((narrow - wide).abs().median()) < 1e-5
    assert float((narrow - wide).norm() / wide.norm()) < 1e-3


@every_solver
@pytest.mark.parametrize("masked", [True, False], ids=["mask", "identity, whose pinv is y itself"])
def test_measurement_is_not_touched(name, masked):
    problem = problem_for(EVERY[name]) if masked else whole(EVERY[name], normal(3, 1, 8, 8))
    y = problem.y.clone()
    solve(name, problem)
    assert torch.equal(problem.y, y)


@pytest.mark.parametrize(
    "name", [n for n in EVERY if not isinstance(EVERY[n], hrdis.DPS)]
)  # it takes the norm of y
def test_what_stands_in_holes_is_never_looked_at(name):
    """A measurement may carry anything where nothing was observed, noise for instance."""
    problem = problem_for(EVERY[name])
    scrawled = Problem(problem.y + 3 * (1 - problem.A.mask) * normal(3, 1, 8, 8, seed=6), problem.A)
    torch.testing.assert_close(solve(name, scrawled).x, plain(name).x, rtol=0, atol=1e-12)


@every_solver
def test_result_does_not_share_memory_with_the_measurement(name):
    problem = whole(EVERY[name], normal(3, 1, 8, 8))
    assert solve(name, problem).x.data_ptr() != problem.y.data_ptr()


#: The norm of a residual grows with the image, and more pixels tell particles apart better.
SIZE_MATTERS = [
    n for n, s in EVERY.items() if isinstance(s, hrdis.DPS) or getattr(s, "particles", 1) > 1
]


@pytest.mark.parametrize("name", [n for n in EVERY if n not in SIZE_MATTERS])
def test_result_does_not_depend_on_the_size_of_the_image(name):
    """Four copies of an image and its noise side by side give four copies of its result."""
    y, tape = 0.5 * normal(2, 1, 6, 6), Tape([0, 1])
    small = hrdis.solve(EVERY[name], Pixelwise(), whole(EVERY[name], y), rng=tape)
    draws = hrdis.rng.Replay([z.tile(1, 1, 2, 2) for z in tape.draws])
    large = hrdis.solve(EVERY[name], Pixelwise(), whole(EVERY[name], y.tile(1, 1, 2, 2)), rng=draws)
    torch.testing.assert_close(large.x, small.x.tile(1, 1, 2, 2), rtol=0, atol=1e-12)


#: Solvers that call the network once per step.
ONE_CALL = [n for n, s in EVERY.items() if not isinstance(s, hrdis.DRDDIM | hrdis.DAPS)]

# ---- calls and steps ----------------------------------------------------------------------------


@every_solver
def test_calls_are_counted_and_one_per_descent(name):
    prior = Recorded(PRIOR)
    result = solve(name, prior=prior)
    assert result.nfe == len(prior.times) == EVERY[name].calls(list(result.times), PRIOR.schedule)
    if name in ONE_CALL:
        assert prior.times == [t for t, s in pairwise(result.times) if s < t]


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, s in SOLVERS.items()
        if not (getattr(s, "grid", "") == "stride" and (s.start or s.end))
    ],
)
def test_steps_is_the_exact_number_of_steps(name):
    times = plain(name).times
    assert descents(times) == EVERY[name].steps == 8


@pytest.mark.parametrize("name", [n for n in SOLVERS if n in ONE_CALL])
def test_steps_is_the_exact_number_of_calls(name):
    result = plain(name)
    assert result.nfe == descents(result.times)


@every_solver
@pytest.mark.parametrize("start", [300, 999])
def test_run_starts_where_it_is_told(name, start):
    prior, solver = Recorded(PRIOR), replace(EVERY[name], start=start)
    hrdis.solve(solver, prior, problem_for(solver), seeds=SEEDS)
    end = getattr(solver, "end", 0)
    skip = (
        start + 1 - end
    ) // solver.steps  # the authors' grid counts up from its end and stops short of the start
    stride = end + (start - end) // skip * skip
    assert prior.times[0] == (stride if getattr(solver, "grid", "uniform") == "stride" else start)


@every_solver
def test_times_given_replace_the_solvers_own(name):
    prior = Recorded(PRIOR)
    result = solve(name, prior=prior, times=[900, 500, 100, -1])
    assert result.times == (900, 500, 100, -1)
    if name in ONE_CALL:
        assert prior.times == [900, 500, 100]


@every_solver
def test_calls_of_times_that_were_given_are_counted(name):
    """An even number of times, where those of the other tests are odd."""
    prior, times = Recorded(PRIOR), [900, 500, 100, -1]
    solve(name, prior=prior, times=times)
    assert len(prior.times) == EVERY[name].calls(times, PRIOR.schedule)


#: Its particles are drawn one after the other.
FIRST = [n for n, s in EVERY.items() if isinstance(s, Sampler) and not isinstance(s, hrdis.FPS)]


@pytest.mark.parametrize("name", [n for n in FIRST if ":" not in n])
def test_start_below_the_top_is_the_smooth_picture_diffused_to_it(name):
    prior, solver, tape = Recorded(PRIOR), replace(EVERY[name], start=300), Tape(SEEDS)
    problem = problem_for(solver)
    hrdis.solve(solver, prior, problem, rng=tape)
    smooth = problem.A.smooth(problem.y)
    assert torch.equal(prior.inputs[0], PRIOR.schedule.diffuse(smooth, 300, tape.draws[0]))


class Backward(torch.autograd.Function):
    """The identity, which counts how often a gradient passes it."""

    passes = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        Backward.passes += 1
        return gradient


class Differentiated(Recorded):
    def forward(self, x_t, t):
        return super().forward(Backward.apply(x_t), t)


@every_solver
def test_backward_passes_are_those_said(name):
    """Conjugate gradient may be done before its last step, and reflections have none."""
    prior, Backward.passes = Differentiated(PRIOR), 0
    solve(name, prior=prior)
    said = EVERY[name].passes()
    least = 1 if "converged" in name or "after mmps" in name else said
    assert max(least - 1, 0) * len(prior.times) <= Backward.passes <= said * len(prior.times)
    assert (Backward.passes > 0) == (said > 0)


@every_solver
def test_one_step_per_descent_at_the_time_of_its_call(name):
    prior = Recorded(PRIOR)
    steps, result = drain(hrdis.iterate(EVERY[name], prior, problem_for(EVERY[name]), seeds=SEEDS))
    assert [step.t for step in steps] == [t for t, s in pairwise(result.times) if s < t]
    assert {step.t for step in steps} <= set(prior.times)


@every_solver
def test_network_is_called_only_as_far_as_the_consumer_went(name):
    prior = Recorded(PRIOR)
    run = hrdis.iterate(EVERY[name], prior, problem_for(EVERY[name]), seeds=SEEDS)
    assert prior.times == []
    per_step = getattr(EVERY[name], "substeps", getattr(EVERY[name], "ode_steps", 1))
    for k in (1, 2, 3):
        next(run)
        assert len(prior.times) == k * per_step
    run.close()
    assert len(prior.times) == 3 * per_step


@every_solver
def test_last_step_shows_the_result(name):
    steps, result = drain(hrdis.iterate(EVERY[name], PRIOR, problem_for(EVERY[name]), seeds=SEEDS))
    torch.testing.assert_close(steps[-1].x, result.x, rtol=0, atol=1e-14)


@every_solver
def test_steps_are_not_changed_by_later_steps(name):
    run, kept, seen = (
        hrdis.iterate(EVERY[name], PRIOR, problem_for(EVERY[name]), seeds=SEEDS),
        [],
        [],
    )
    for step in run:
        kept.append((step.x.clone(), {k: v.clone() for k, v in step.info.items()}))
        seen.append(step)
    for step, (x, info) in zip(seen, kept, strict=True):
        assert torch.equal(step.x, x)
        assert all(torch.equal(step.info[k], v) for k, v in info.items())


@every_solver
def test_consumer_may_write_into_a_step(name):
    run = hrdis.iterate(EVERY[name], PRIOR, problem_for(EVERY[name]), seeds=SEEDS)
    result = None
    while result is None:
        try:
            next(run).x.zero_()
        except StopIteration as end:
            result = end.value
    assert torch.equal(result.x, plain(name).x)


@every_solver
def test_steps_carry_numbers_per_image(name):
    steps, _ = drain(hrdis.iterate(EVERY[name], PRIOR, problem_for(EVERY[name]), seeds=SEEDS))
    assert all(tuple(v.shape) == (3,) for step in steps for v in step.info.values())
    assert all("residual" in step.info for step in steps)


@every_solver
def test_residual_is_that_of_an_image(name):
    """Root mean square over the measurement, per image: the same for an image alone."""
    problem = problem_for(EVERY[name])
    steps, _ = drain(hrdis.iterate(EVERY[name], PRIOR, problem, seeds=SEEDS))
    alone, _ = drain(
        hrdis.iterate(
            EVERY[name], PRIOR, Problem(problem.y[1:2], problem.A.for_image(1)), seeds=SEEDS[1:2]
        )
    )
    for a, b in zip(steps, alone, strict=True):
        assert float(a.info["residual"][1]) == pytest.approx(
            float(b.info["residual"][0]), rel=1e-8, abs=1e-10
        )


# ---- gradients ----------------------------------------------------------------------------------


@every_solver
@pytest.mark.parametrize("enabled", [True, False])
def test_grad_mode_is_untouched_at_every_yield(name, enabled):
    with torch.set_grad_enabled(enabled):
        run = hrdis.iterate(EVERY[name], PRIOR, problem_for(EVERY[name]), seeds=SEEDS)
        for _ in run:
            assert torch.is_grad_enabled() == enabled
        assert torch.is_grad_enabled() == enabled


@every_solver
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_result_is_the_same_whatever_the_callers_grad_mode(name, mode):
    with mode():
        inside = solve(name).x
    assert torch.equal(inside, plain(name).x)


@every_solver
def test_nothing_that_comes_out_carries_a_graph(name):
    steps, result = drain(hrdis.iterate(EVERY[name], PRIOR, problem_for(EVERY[name]), seeds=SEEDS))
    assert not result.x.requires_grad
    assert not any(
        step.x.requires_grad or v.requires_grad for step in steps for v in step.info.values()
    )


# ---- settings -----------------------------------------------------------------------------------


@every_solver
def test_settings_compare_copy_and_hash(name):
    solver = EVERY[name]
    assert replace(solver) == solver
    assert hash(replace(solver)) == hash(solver)
    assert replace(solver, steps=solver.steps + 1) != solver


@every_solver
def test_settings_are_frozen(name):
    with pytest.raises(FrozenInstanceError):
        EVERY[name].steps = 3


@every_solver
def test_settings_print_as_the_call_that_makes_them(name):
    assert eval(repr(EVERY[name]), vars(hrdis.solvers)) == EVERY[name]


@every_solver
def test_unknown_setting_is_refused(name):
    cls = type(EVERY[name])
    with pytest.raises(
        ValueError,
        match=rf"^{cls.__name__} has no setting 'stepz'\. Valid names: .* Did you mean 'steps'\?",
    ):
        cls(stepz=3)


BAD = {
    "grid": ["diagonal"],
    "steps": [0, -1, 1.5, "many", None],
    "start": [-1, 1.5],
    "lr": [0, -0.1, math.nan],
    "own_noise": [-0.1, 1],
    "least_noise": [-0.1, 1],
    "lambda_obs": [-1],
    "lambda_reg": [-1],
    "weight": ["lin", None],
    "weight_min": [-1],
    "sigma_x0": [-1],
    "adam_eps": [-1],
    "init": ["noise"],
    "loss_reduction": ["sum"],
    "beta": [-0.1, 1.1, math.nan],
    "fresh_steps": [-1],
    "eta": [-0.1, 1.1],
    "length": [0],
    "repeat": [0],
    "end": [-1],
    "reference_side": [0],
    "eta_b": [-0.1, 1.1],
    "zeta": [-1],
    "form": ["diagonal"],
    "likelihood": ["uniform"],
    "strength": [-1],
    "kappa": [-1],
    "rate": [0, -1],
    "guide": ["y"],
    "c": [0, 1],
    "particles": [0],
    "lam": [0],
    "tau": [0],
    "sigma_min": [0],
    "langevin_steps": [0],
    "ode_steps": [0],
    "substeps": [0],
    "cg_steps": [0],
    "gamma": [0],
    "alpha": [-1.1, 0.1, math.nan],
    "spread": [0, -1],
    "result": ["median"],
    "chain": [0],
    "back": [-1],
    "newton_steps": [0],
    "mmps_above": [-1],
    "aim": ["both"],
    "error": ["guess"],
}


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [
        (cls, f.name, v)
        for cls, _ in hrdis.SOLVERS.values()
        for f in fields(cls)
        for v in BAD.get(f.name, [])
    ],
)
def test_setting_out_of_bounds_is_refused(cls, field, value):
    with pytest.raises(ValueError, match=rf"^{cls.__name__}: {field} is {value!r}, but "):
        cls(**{field: value})


@pytest.mark.parametrize("cls", [cls for cls, _ in hrdis.SOLVERS.values()])
def test_every_bounded_setting_is_tried_out_of_bounds(cls):
    assert {f.name for f in fields(cls) if f.type is not bool} <= set(BAD)


@pytest.mark.parametrize("cls", [cls for cls, _ in hrdis.SOLVERS.values()])
def test_no_setting_is_infinite(cls):
    """The record of such a run could not be written, as JSON has no infinity."""
    for field in fields(cls):
        for value in (math.inf, -math.inf, math.nan):
            with pytest.raises(ValueError, match=f"{field.name} is "):
                cls(**{field.name: value})


@pytest.mark.parametrize("cls", [cls for cls, _ in hrdis.SOLVERS.values()])
def test_no_whole_number_is_without_a_largest_value(cls):
    """A list of that length, or a step that lasts for ever, would be made of it."""
    for field in fields(cls):
        if "int" in str(field.type) and "float" not in str(field.type):
            with pytest.raises(ValueError, match=f"{field.name} is 1000000000"):
                cls(**{field.name: 10**9})


@pytest.mark.parametrize("cls", [cls for cls, _ in hrdis.SOLVERS.values()])
def test_every_solver_says_what_it_is(cls):
    assert cls.summary and cls.cost and cls.reference


@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_every_preset_belongs_to_its_solver_and_to_a_task(name):
    cls, presets = hrdis.SOLVERS[name]
    keys = {key for task in hrdis.TASKS.values() for key in task.presets}
    assert all(type(preset) is cls for preset in presets.values())
    assert {re.sub(r"(-noise\d\d|-poisson|-speckle)?(@\w+)?$", "", key) for key in presets} <= keys


@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_every_preset_fits_the_schedule_of_its_prior(name):
    for preset in hrdis.SOLVERS[name][1].values():
        assert preset.times(hrdis.Schedule.linear())[-1] == -1


# ---- what is refused before the first call ------------------------------------------------------


class Untouchable(Pixelwise):
    def forward(self, x_t, t):
        raise AssertionError("the network was called")


def refused(
    name: str, error: type[Exception], message: str, problem: Problem | None = None, **options
) -> None:
    with pytest.raises(error, match=message):
        hrdis.iterate(
            EVERY[name],
            Untouchable(),
            problem or problem_for(EVERY[name]),
            **({"seeds": SEEDS} | options),
        )


@pytest.mark.parametrize(
    "name", [n for n, s in EVERY.items() if s.needs() is not hrdis.operators.Operator]
)
def test_operator_that_lacks_what_the_solver_needs_is_refused(name):
    solver = type(EVERY[name]).__name__
    kind = EVERY[name].needs()
    message = (
        rf"^{solver} needs an? {kind.__name__}, but A is a Function, which lacks "
        rf"{kind.capability}\. "
    )
    message += "Solvers that can use it: HRDIS, REDDiff, CR, .*DPS"
    refused(name, TypeError, message, Problem(torch.zeros(3, 1, 8, 8), torch.square))


@pytest.mark.parametrize("name", ["hrdis", "drddim", "dps", "gdp", "daps"])
def test_operator_without_a_gradient_is_named(name):
    problem = Problem(torch.zeros(3, 1, 8, 8), lambda x: 2 * x.detach())
    with pytest.raises(
        TypeError, match=r"^A has no gradient: .* Torch operations throughout are expected"
    ):
        solve(name, problem)


@pytest.mark.parametrize("name", SOLVERS)
def test_images_of_other_channels_are_refused(name):
    message = r"^The images have 2 channels, but the prior 'pixelwise' takes 1 or 3\."
    refused(name, ValueError, message, whole(EVERY[name], torch.zeros(3, 2, 8, 8)))


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("seeds", [[1, 2], [1, 2, 3, 4], []])
def test_seeds_that_do_not_match_the_batch_are_refused(name, seeds):
    message = (
        rf"^seeds has {len(seeds)} entries for a batch of 3\. Give one seed per image: "
        r"seeds=range\(3\)\."
    )
    refused(name, ValueError, message, seeds=seeds)


@pytest.mark.parametrize(
    ("options", "given"),
    [({"seeds": None}, "none"), ({"seeds": SEEDS, "rng": hrdis.rng.ImageRNG(SEEDS, "x")}, "both")],
)
def test_one_source_of_noise_is_expected(options, given):
    refused(
        "hrdis",
        ValueError,
        rf"^Either seeds or rng is expected, and {given} was given\.",
        **options,
    )


@pytest.mark.parametrize(
    "times",
    [[], [-1], [900, 500, 0], [900, -1, 0, -1], [1000, 500, -1], [-2, -1], [500, 600, 0, -1]],
    ids=str,
)
def test_times_that_are_no_run_are_refused(times):
    refused(
        "hrdis",
        ValueError,
        r"^times is \[.*\]\. Network times from 0 to 999, .*ending in -1",
        times=times,
    )


@pytest.mark.parametrize(
    "times", [[900.5, -1], [float("nan"), -1], ["top", -1], torch.tensor([[900, -1]])], ids=str
)
def test_times_that_are_no_whole_numbers_are_refused(times):
    refused("hrdis", TypeError, r"^times is \[.*\.\.\. Whole numbers are expected", times=times)


@pytest.mark.parametrize(
    "times",
    [(900, 5, -1), torch.tensor([900, 5, -1]), np.array([900.0, 5.0, -1.0]), iter([900, 5, -1])],
    ids=["tuple", "tensor", "array", "iterator"],
)
def test_times_may_come_in_any_sequence(times):
    assert solve("hrdis", times=times).times == (900, 5, -1)


@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_times_that_go_up_again_are_run_or_refused(name):
    """The reverse process has no step up: its variances would be negative, and the result NaN."""
    times = [900, 500, 700, 0, -1]
    if EVERY[name].descends:
        refused(
            name,
            ValueError,
            r"^times goes up from 500 to 700, but \w+ only knows steps down\.",
            times=times,
        )
    else:
        assert bool(solve(name, times=times).finite.all())


@pytest.mark.parametrize(
    "name", [n for n, s in SOLVERS.items() if not isinstance(s, hrdis.DAPS)]
)  # it merges levels
def test_more_steps_than_times_are_refused(name):
    solver = replace(EVERY[name], steps=2000, start=None)
    with pytest.raises(
        ValueError, match=r"^2000 steps do not fit (between time 999 and 0|into \[\d+, 1000\))\."
    ):
        hrdis.iterate(solver, Untouchable(), problem_for(solver), seeds=SEEDS)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_start_above_the_schedule_is_refused(name):
    solver = replace(EVERY[name], start=1000)
    with pytest.raises(
        ValueError,
        match=(
            r"^(start is 1000\. A time from 0 to 999 is expected|The range \[\d+, 1001\) does not "
            r"lie in)"
        ),
    ):
        hrdis.iterate(solver, Untouchable(), problem_for(solver), seeds=SEEDS)


# ---- what goes wrong on the way -----------------------------------------------------------------


class Poisoned(Pixelwise):
    """From half of the run on, the estimate for one image of the batch is not a number."""

    def forward(self, x_t, t):
        x0_hat, eps = super().forward(x_t, t)
        if t < 400:
            x0_hat[1], eps[1] = math.nan, math.nan
        return hrdis.priors.Prediction(x0_hat, eps)


@every_solver
def test_image_that_is_lost_is_named_and_leaves_its_neighbours_alone(name):
    problem = problem_for(EVERY[name])
    with pytest.warns(
        RuntimeWarning,
        match=r"^Images \[1\] of 3 became non-finite at t = \d+ \(call \d+ of \d+\)\.",
    ) as caught:
        lost = solve(
            name, problem, prior=Poisoned(), times=[900, 750, 600, 450, 300, 200, 100, 0, -1]
        )
    assert len(caught) == 1
    assert lost.finite.tolist() == [True, False, True]
    sound = solve(
        name, problem, prior=Pixelwise(), times=[900, 750, 600, 450, 300, 200, 100, 0, -1]
    )
    assert torch.equal(lost.x[[0, 2]], sound.x[[0, 2]])


def test_step_far_too_large_is_warned_of():
    solver = hrdis.HRDIS(steps=8, lr=1e30)
    problem = problem_for(solver, dtype=torch.float32)
    with pytest.warns(
        RuntimeWarning, match=r"^Images \[0, 1, 2\] of 3 became non-finite .*lower its step size"
    ):
        assert hrdis.solve(solver, PRIOR, problem, seeds=SEEDS).finite.tolist() == [False] * 3


def test_call_of_a_run_that_travels_is_counted_among_its_calls():
    """Moves up are no calls: 8 points, climbs of 2 on reaching indices 4, 2 and 0, make 14 of
    them.
    """
    solver = hrdis.DDNM(steps=8, length=2, repeat=2)
    with pytest.warns(RuntimeWarning, match=r"\(call \d+ of 14\)"):
        hrdis.solve(solver, Poisoned(), problem_for(solver), seeds=SEEDS)


def test_mask_of_toys_hides_something():
    """The problems above are problems."""
    assert 0.2 < float(pixels(3, 1, 8, 8, seed=5).mean()) < 0.8
