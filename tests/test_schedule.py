"""`hrdis.schedule`: the table, and which times are visited."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hrdis.schedule import Schedule, mix, weighted_sum
from tests.common.toys import normal

LINEAR = Schedule.linear()


# ---- the table ----------------------------------------------------------------------------------


# Reference values to the digits they are given with: omega = noise over signal of the DDPM
# schedule.
@pytest.mark.parametrize(
    ("t", "omega"),
    [(0, 0.0100), (10, 0.0469), (100, 0.342), (500, 3.44), (900, 60.8), (990, 143.8), (999, 157.4)],
)
def test_sigma_has_reference_value(t, omega):
    assert float(LINEAR.sigma(t)) == pytest.approx(omega, rel=2e-3)


@pytest.mark.parametrize(("level", "first"), [(1, 259), (2, 396)])
def test_sigma_first_reaches_level_at_reference_time(level, first):
    assert float(LINEAR.sigma(first)) >= level > float(LINEAR.sigma(first - 1))


def test_linear_table_is_the_product_of_one_minus_beta():
    product, expected = 1.0, []
    for i in range(1000):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * i / 999)
        expected.append(product)
    # 1e-12: a thousand products in float64
    torch.testing.assert_close(
        LINEAR.alpha_bar, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0
    )


def test_table_is_float64_whatever_it_is_made_from():
    assert Schedule(torch.tensor([0.9, 0.5])).alpha_bar.dtype == torch.float64


def test_minus_one_is_the_clean_image():
    assert float(LINEAR[-1]) == 1
    assert float(LINEAR.signal(-1)) == 1
    assert float(LINEAR.noise(-1)) == 0
    assert float(LINEAR.sigma(-1)) == 0


@pytest.mark.parametrize("t", [0, 10, 500, 999])
def test_signal_and_noise_preserve_variance(t):
    assert float(LINEAR.signal(t)) ** 2 + float(LINEAR.noise(t)) ** 2 == pytest.approx(1, abs=1e-15)
    assert float(LINEAR.sigma(t)) == pytest.approx(
        float(LINEAR.noise(t) / LINEAR.signal(t)), rel=1e-12
    )


@pytest.mark.parametrize("t", [-2, 1000, 5000])
def test_time_outside_the_schedule_is_refused(t):
    with pytest.raises(ValueError, match=rf"^Time {t} is outside the schedule\."):
        LINEAR[t]


@pytest.mark.parametrize(
    "table",
    [[0.9, 0.9], [0.5, 0.9], [1.0, 0.5], [0.5, 0.0], [0.5, -0.1], [0.9, math.nan], [math.nan]],
)
def test_table_that_does_not_fall_within_0_and_1_is_refused(table):
    with pytest.raises(
        ValueError, match=r"^alpha_bar is not a strictly falling table of numbers between 0 and 1\."
    ):
        Schedule(table)


@pytest.mark.parametrize("shape", [(0,), (2, 2), ()])
def test_table_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"^alpha_bar has shape"):
        Schedule(torch.full(shape, 0.5))


def test_schedules_are_equal_by_their_tables():
    assert Schedule.linear() == Schedule.linear()
    assert Schedule.linear() != Schedule.linear(last=0.03)
    assert Schedule.linear() != Schedule.linear(500)
    assert Schedule.linear() != "linear"


# A noise level of a [0, 1] image is doubled before it is looked up.
@pytest.mark.parametrize(("level", "t"), [(10 / 255, 20), (25 / 255, 56), (50 / 255, 114)])
def test_nearest_finds_the_time_of_a_noise_level(level, t):
    assert LINEAR.nearest(2 * level) == t


@given(st.integers(0, 999))
def test_nearest_inverts_sigma(t):
    assert LINEAR.nearest(float(LINEAR.sigma(t))) == t


@pytest.mark.parametrize("sigma", [0, -0.1, math.nan, math.inf])
def test_nearest_refuses_what_is_no_noise_level(sigma):
    with pytest.raises(ValueError, match=r"^sigma is .*\. A positive"):
        LINEAR.nearest(sigma)


@pytest.mark.parametrize(("v", "share"), [(-1.0, 0.0), (0.0, 0.5), (1.0, 1.0)])
def test_learned_variance_runs_from_the_small_one_to_beta_on_a_logarithmic_scale(v, share):
    small = LINEAR.ancestral(500, 400)[2]
    beta = 1 - LINEAR[500] / LINEAR[400]
    std = LINEAR.ancestral(500, 400, torch.tensor(v).double())[2]
    torch.testing.assert_close(
        std, (share * beta.log() / 2 + (1 - share) * small.log()).exp(), rtol=1e-12, atol=0
    )


def test_learned_variance_is_zero_towards_the_clean_image():
    assert float(LINEAR.ancestral(0, -1, torch.tensor(0.7).double())[2]) == 0


# ---- forward noise ------------------------------------------------------------------------------


def test_denoised_inverts_diffuse():
    x0, z = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    # 1e-12: divided by a signal of 0.0064 at the top, float64 keeps 13 digits
    torch.testing.assert_close(
        LINEAR.denoised(LINEAR.diffuse(x0, 999, z), 999, z), x0, rtol=0, atol=1e-12
    )


def test_diffuse_has_the_variances_of_the_formula():
    one, nothing = (
        torch.ones(1, 1, 2, 2, dtype=torch.float64),
        torch.zeros(1, 1, 2, 2, dtype=torch.float64),
    )
    assert float(LINEAR.diffuse(one, 500, nothing)[0, 0, 0, 0]) ** 2 == pytest.approx(
        float(LINEAR[500])
    )
    assert float(LINEAR.diffuse(nothing, 500, one)[0, 0, 0, 0]) ** 2 == pytest.approx(
        1 - float(LINEAR[500])
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_diffuse_keeps_the_dtype_of_the_image(dtype):
    x = torch.ones(1, 3, 2, 2, dtype=dtype)
    assert LINEAR.diffuse(x, 500, x).dtype == dtype


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, torch.tensor(0.3)])
def test_mix_keeps_unit_variance(share):
    old, new = (
        float(mix(torch.ones(1), torch.zeros(1), share)),
        float(mix(torch.zeros(1), torch.ones(1), share)),
    )
    assert old**2 + new**2 == pytest.approx(1, abs=1e-6)  # float32
    assert new == pytest.approx(float(share), abs=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("number", [float, lambda v: torch.tensor(v, dtype=torch.float64)])
def test_weighted_sum_is_the_sum_of_the_products(shape, dtype, number):
    """Of any two shapes and dtypes that can be added, and neither is written into."""
    x, y = normal(*shape, dtype=dtype), normal(2, 3, 4, seed=1, dtype=torch.float64)
    kept, expected = (x.clone(), y.clone()), 0.3 * x + 0.7 * y
    found = weighted_sum(number(0.3), x, number(0.7), y)
    torch.testing.assert_close(found, expected, rtol=1e-15, atol=1e-15)
    assert torch.equal(x, kept[0]) and torch.equal(y, kept[1])


# ---- grids --------------------------------------------------------------------------------------


def test_uniform_of_a_hundred_is_the_even_grid():
    assert LINEAR.uniform(100) == [*range(990, -1, -10), -1]


@pytest.mark.parametrize(
    ("steps", "start", "grid"), [(1, None, [999, -1]), (1, 300, [300, -1]), (3, 4, [4, 2, 0, -1])]
)
def test_uniform_of_few_steps(steps, start, grid):
    assert LINEAR.uniform(steps, start) == grid


@given(st.integers(1, 1200), st.integers(1, 1200), st.one_of(st.none(), st.integers(0, 1199)))
def test_uniform_has_exactly_the_steps_falls_and_ends_at_0(length, steps, start):
    schedule = Schedule.linear(length)
    if (start is not None and start >= length) or steps > (length if start is None else start + 1):
        with pytest.raises(ValueError, match=r"^(start is|\d+ steps do not fit between)"):
            schedule.uniform(steps, start)
        return
    *times, last = schedule.uniform(steps, start)
    assert len(times) == steps
    assert last == -1
    assert all(t > s for t, s in pairwise(times))
    assert times[0] < length
    assert steps == 1 or times[-1] == 0
    assert start is None or times[0] == start
    if steps > 1:
        gaps = [t - s for t, s in pairwise(times)]
        assert max(gaps) - min(gaps) <= 1, "as even as integers allow"


@pytest.mark.parametrize("start", [-1, 1000])
@pytest.mark.parametrize("grid", ["uniform", "quadratic", "logarithmic"])
def test_start_outside_the_schedule_is_refused(grid, start):
    with pytest.raises(ValueError, match=rf"^start is {start}\. A time from 0 to 999"):
        getattr(LINEAR, grid)(10, start)


@pytest.mark.parametrize(
    ("steps", "start", "most"), [(1001, None, 1000), (0, None, 1000), (12, 10, 11)]
)
def test_uniform_refuses_steps_that_do_not_fit(steps, start, most):
    with pytest.raises(
        ValueError,
        match=rf"^{steps} steps do not fit between time .*\. At most {most} are possible",
    ):
        LINEAR.uniform(steps, start)


@pytest.mark.parametrize(
    ("steps", "start", "end", "count", "top", "bottom"),
    [
        (100, None, 0, 100, 990, 0),
        (150, None, 0, 167, 996, 0),
        (300, None, 0, 334, 999, 0),
        (500, None, 0, 500, 998, 0),
        (1000, None, 0, 1000, 999, 0),
        (20, None, 0, 20, 950, 0),
        (100, None, 100, 100, 991, 100),
    ],
)
def test_stride_is_the_grid_of_the_authors(steps, start, end, count, top, bottom):
    *times, last = LINEAR.stride(steps, start, end)
    assert (len(times), times[0], times[-1], last) == (count, top, bottom, -1)
    assert len({t - s for t, s in pairwise(times)}) == 1


def test_stride_refuses_more_steps_than_times():
    with pytest.raises(ValueError, match=r"^1001 steps do not fit into \[0, 1000\)\."):
        LINEAR.stride(1001)


@pytest.mark.parametrize("steps", [0, -5])
def test_stride_refuses_no_steps(steps):
    with pytest.raises(ValueError, match=rf"^{steps} steps do not fit into \[0, 1000\)\."):
        LINEAR.stride(steps)


@pytest.mark.parametrize(("start", "end"), [(1001, 0), (500, 500), (500, -1)])
def test_stride_refuses_a_range_outside_the_schedule(start, end):
    with pytest.raises(ValueError, match=r"^The range \[.*\) does not lie in \[0, 1000\)\."):
        LINEAR.stride(10, start, end)


# ---- time travel --------------------------------------------------------------------------------

TEN = [*range(9, -1, -1), -1]


def test_travel_visits_the_reference_vector():
    # Length 3, repeat 2: climbs of three on first reaching 6, 3 and 0 (below 10 - 3, counted from
    # the clean end).
    assert LINEAR.travel(TEN, 3, 2) == [
        9, 8, 7, 6, 7, 8, 9, 8, 7, 6, 5, 4, 3, 4, 5, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, -1,
    ]  # fmt: skip


def test_travel_counts_moves_and_calls():
    moves = list(pairwise(LINEAR.travel(TEN, 3, 2)))
    assert len(moves) == 28
    assert sum(s < t for t, s in moves) == 19


@pytest.mark.parametrize(("length", "repeat"), [(1, 1), (3, 1), (10, 5), (50, 2)])
def test_travel_without_a_climb_leaves_the_grid(length, repeat):
    assert LINEAR.travel(TEN, length, repeat) == TEN


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 4))
def test_travel_visits_each_stretch_repeat_times(n, length, repeat):
    grid = LINEAR.uniform(n)
    visited = LINEAR.travel(grid, length, repeat)
    place = {t: i for i, t in enumerate(grid)}
    assert all(abs(place[t] - place[s]) == 1 for t, s in pairwise(visited)), (
        "one grid point at a time"
    )
    assert (visited[0], visited[-1]) == (grid[0], -1)
    climbs = len(range(0, n - length, length))  # stretches that end in a climb
    assert sum(s > t for t, s in pairwise(visited)) == climbs * length * (repeat - 1)


@pytest.mark.parametrize(("length", "repeat"), [(0, 1), (1, 0)])
def test_travel_refuses_lengths_and_repeats_below_one(length, repeat):
    with pytest.raises(ValueError, match=rf"^length is {length} and repeat is {repeat}\."):
        LINEAR.travel(TEN, length, repeat)


# ---- levels evenly spaced in ln sigma ------------------------------------------------------------


@given(steps=st.integers(1, 1000), start=st.integers(0, 999), end=st.integers(0, 999))
def test_logarithmic_grid_has_exactly_its_steps_and_both_ends(steps, start, end):
    if end > start or steps > start - end + 1:
        with pytest.raises(ValueError, match=r"cannot end at|do not fit between time"):
            LINEAR.logarithmic(steps, start, end)
        return
    times = LINEAR.logarithmic(steps, start, end)
    assert len(times) == steps + 1 and times[0] == start and times[-1] == -1
    assert all(s < t for t, s in pairwise(times))
    assert steps == 1 or times[-2] == end


@pytest.mark.parametrize("steps", [5, 10, 20, 40])
def test_logarithmic_grid_spaces_its_levels_evenly(steps):
    """From t = 50 up, neighbouring times differ by less than 4 %: half of that is the rounding."""
    times = LINEAR.logarithmic(steps, 999, 50)[:-1]
    ratios = [float(LINEAR.sigma(t) / LINEAR.sigma(s)) for t, s in pairwise(times)]
    expected = float(LINEAR.sigma(999) / LINEAR.sigma(50)) ** (1 / (steps - 1))
    assert ratios == pytest.approx([expected] * (steps - 1), rel=0.04)


def test_logarithmic_grid_of_all_times_is_the_table():
    assert LINEAR.logarithmic(1000) == [*reversed(range(1000)), -1]
