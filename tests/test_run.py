"""Runs: their steps, their result afterwards, and where a warning points."""

import pytest
import torch

import hrdis
from tests.common.toys import gaussian, normal


def run(seeds=(0,), **settings):
    problem = hrdis.measure(
        hrdis.operators.SuperResolution(2), normal(len(seeds), 1, 8, 8) / 4, seeds=seeds
    )
    solver = hrdis.HRDIS(steps=5, **settings)
    return hrdis.iterate(solver, gaussian(1, 8, 8), problem, seeds=seeds)


def test_result_is_there_after_the_last_step():
    steps = run()
    assert [step.t for step in steps] == list(steps.times[:-1])
    assert steps.result.nfe == steps.calls == 5


def test_result_before_the_end_is_refused():
    steps = run()
    next(steps)
    with pytest.raises(RuntimeError, match=r"not reached its end.*run\.finish"):
        steps.result  # noqa: B018


def test_finish_goes_on_where_the_caller_stopped():
    steps, seen = run(), []
    first = next(steps)
    result = steps.finish(seen.append)
    assert [first.t, *(step.t for step in seen)] == list(steps.times[:-1])
    assert torch.equal(result.x, run().finish().x)


def test_closed_run_has_no_more_steps_and_no_result():
    steps = run()
    next(steps)
    steps.close()
    assert list(steps) == []
    with pytest.raises(RuntimeError, match="not reached its end"):
        steps.result  # noqa: B018


def test_exhausted_run_keeps_its_result():
    steps = run()
    result = steps.finish()
    assert list(steps) == [] and steps.result is result


def test_loop_over_stop_iteration_still_gets_the_result():
    """As generators hand it over, for code written before `Run`."""
    steps = run()
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
    assert end.value.value is steps.result


@pytest.mark.parametrize("how", ["solve", "iterate", "finish"])
def test_warning_of_a_run_points_at_the_callers_line(how):
    A = hrdis.operators.SuperResolution(2)
    problem = hrdis.measure(A, normal(1, 1, 8, 8) / 4, seeds=[0])
    solver = hrdis.REDDiff(steps=5, lr=1e300)
    with pytest.warns(RuntimeWarning, match="became non-finite") as caught:
        if how == "solve":
            hrdis.solve(solver, gaussian(1, 8, 8), problem, seeds=[0])
        elif how == "iterate":
            for _ in hrdis.iterate(solver, gaussian(1, 8, 8), problem, seeds=[0]):
                pass
        else:
            hrdis.iterate(solver, gaussian(1, 8, 8), problem, seeds=[0]).finish()
    assert {warning.filename for warning in caught} == {__file__}
