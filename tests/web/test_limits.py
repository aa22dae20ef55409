"""What one restoration on the page may take of the machine."""

from types import SimpleNamespace

import pytest

import hrdis
from hrdis.web.limits import Limits


def job(side: int, solver: hrdis.Solver, samples: int = 1, windows: int = 1) -> SimpleNamespace:
    times = solver.times(hrdis.Schedule.linear())
    return SimpleNamespace(
        problem=SimpleNamespace(image_shape=(1, 3, side, side)),
        options=SimpleNamespace(samples=samples),
        solver=solver,
        times=times,
        calls=windows * solver.calls(times, hrdis.Schedule.linear()),
        pixels=windows * [side * side // windows**2],
    )


@pytest.mark.parametrize(
    ("side", "solver", "samples", "said"),
    [
        (8000, hrdis.HRDIS(steps=1000), 8, "times what this page may take"),
        (4000, hrdis.HRDIS(steps=1000), 8, "times what this page may take"),
        (2000, hrdis.FPS(particles=1000), 1, "takes too much memory for this page"),
        (4000, hrdis.DAPS(langevin_steps=10_000), 1, "times what this page may take"),
    ],
    ids=["pixels", "calls", "particles", "steps between calls"],
)
def test_restoration_that_takes_too_much_is_refused(side, solver, samples, said):
    with pytest.raises(ValueError, match=said):
        Limits().check(job(side, solver, samples))


def test_usual_restoration_is_not_refused():
    Limits().check(job(2000, hrdis.HRDIS(), 4))


def test_windows_around_holes_count_with_their_pixels():
    """Ten of them cost a tenth of the whole picture here, in ten times as many calls."""
    with pytest.raises(ValueError, match="times what this page may take"):
        Limits().check(job(4000, hrdis.HRDIS(steps=1000), 8))
    Limits().check(job(4000, hrdis.HRDIS(steps=1000), 8, windows=10))


def test_time_ends_a_restoration():
    Limits(seconds=60).check_time(59, 10)
    with pytest.raises(ValueError, match=r"ended after 60 seconds, .* gone on for 10 minutes"):
        Limits(seconds=60).check_time(61, 600)
