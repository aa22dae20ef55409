"""`hrdis.operators.masks`: what is drawn, and that a mask is a function of its seed and number."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hrdis.operators import masks

BANDS = [(0.1, 0.2), (0.2, 0.3), (0.3, 0.4)]


def coverage(mask: torch.Tensor) -> float:
    return 1 - float(mask.mean())


# ---- free-form ----------------------------------------------------------------------------------


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("size", [(256, 256), (64, 96)])
def test_freeform_hides_a_share_within_its_band(band, size):
    for index in range(5):
        mask = masks.freeform(*size, band, index=index)
        assert tuple(mask.shape) == size
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert band[0] <= coverage(mask) < band[1]


def test_freeform_mask_does_not_depend_on_how_many_were_drawn_before():
    alone = masks.freeform(64, 64, index=7)
    assert torch.equal([masks.freeform(64, 64, index=k) for k in range(8)][7], alone)


def test_freeform_masks_of_other_seeds_and_numbers_differ():
    drawn = [masks.freeform(64, 64, seed=seed, index=index) for seed in (0, 1) for index in (0, 1)]
    assert len({mask.numpy().tobytes() for mask in drawn}) == 4


def test_freeform_masks_are_scaled_copies_across_sizes():
    """Strokes scale with the image: the same number of strokes hides about the same share at half
    the size.
    """
    large = [
        coverage(torch.from_numpy(1 - masks._strokes(256, 256, masks.stream(k, "test"), True)))
        for k in range(60)
    ]
    small = [
        coverage(torch.from_numpy(1 - masks._strokes(128, 128, masks.stream(k, "test"), True)))
        for k in range(60)
    ]
    assert np.mean(small) == pytest.approx(
        np.mean(large), abs=0.02
    )  # the standard error of one mean is 0.011


def test_freeform_coverage_has_the_reference_distribution():
    """4000 draws gave a mean of 0.151, 31 % below 0.1 and 41 % in [0.1, 0.2); 400 draws find that
    to 4 errors.
    """
    drawn = [
        float(masks._strokes(256, 256, masks.stream(k, "test"), True).mean()) for k in range(400)
    ]
    assert np.mean(drawn) == pytest.approx(0.151, abs=4 * 0.085 / 20)
    assert np.mean([c < 0.1 for c in drawn]) == pytest.approx(0.31, abs=4 * 0.023)
    assert np.mean([0.1 <= c < 0.2 for c in drawn]) == pytest.approx(0.41, abs=4 * 0.025)


def quarters(flip: bool) -> np.ndarray:
    drawn = np.mean(
        [masks._strokes(64, 64, masks.stream(k, "test"), flip) for k in range(300)], axis=0
    )
    return np.array([part.mean() for part in np.array_split(drawn, 4, axis=1)])


def test_freeform_is_balanced_where_it_is_flipped_and_lopsided_where_not():
    """Unflipped strokes run to the right: 6, 14, 18 and 21 % of the quarters from left to right are
    hidden.
    """
    flipped, plain = quarters(True), quarters(False)
    assert plain == pytest.approx([0.06, 0.14, 0.18, 0.21], abs=0.03)
    assert flipped[0] == pytest.approx(flipped[3], abs=0.03)


@pytest.mark.parametrize("band", [(0.2, 0.1), (0.1, 0.1), (-0.1, 0.2), (0.5, 1.1)])
def test_freeform_refuses_an_empty_band(band):
    with pytest.raises(
        ValueError, match=r"^band is .*\. Two hole fractions 0 <= low < high <= 1 are expected"
    ):
        masks.freeform(64, 64, band)


def test_freeform_refuses_a_band_out_of_reach():
    with pytest.raises(
        ValueError, match=r"^A hole fraction of 70% or more is out of reach of free-form strokes"
    ):
        masks.freeform(64, 64, (0.7, 0.8))


def test_freeform_gives_up_with_the_closest_it_saw():
    drawn = [
        float(masks._strokes(64, 64, masks.stream(0, "freeform", 0, k), True).mean())
        for k in range(3)
    ]
    closest = min(drawn, key=lambda c: max(0.4 - c, c - 0.401))
    message = (
        r"^No mask with a hole fraction in \[0.4, 0.401\) in 3 attempts at 64 x 64; the closest "
        rf"had {closest:.3f}\. A wider band is expected: band=\(0\.35, 0\.451\)\."
    )
    with pytest.raises(ValueError, match=message):
        masks.freeform(64, 64, (0.4, 0.401), attempts=3)


# ---- scratches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("hole", [0.05, 0.15, 0.4])
@pytest.mark.parametrize("size", [(64, 64), (48, 96)])
def test_scratches_hide_the_share_and_little_more(hole, size):
    for index in range(5):
        mask = masks.scratches(*size, hole, index=index)
        assert tuple(mask.shape) == size
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert (
            hole <= coverage(mask) < hole + 0.02
        )  # the largest stroke: a speck of 10 % of the side, squared, or a line


def test_scratches_are_a_function_of_their_seed_and_number():
    drawn = {(s, k): masks.scratches(32, 32, seed=s, index=k) for s in (0, 1) for k in (0, 1)}
    assert len({mask.numpy().tobytes() for mask in drawn.values()}) == 4
    assert torch.equal(drawn[1, 1], masks.scratches(32, 32, seed=1, index=1))


@pytest.mark.parametrize("hole", [0, 0.9, -0.1, 1.5])
def test_scratches_refuse_a_share_they_cannot_reach(hole):
    with pytest.raises(
        ValueError, match=rf"^hole is {hole}\. A hole fraction between 0 and 0.9 is expected"
    ):
        masks.scratches(32, 32, hole)


# ---- boxes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("h", "w"), [(8, 8), (16, 12)])
def test_box_is_the_centred_half_by_default(h, w):
    expected = torch.ones(h, w)
    expected[h // 4 : 3 * h // 4, w // 4 : 3 * w // 4] = 0
    assert torch.equal(masks.box(h, w), expected)


@given(st.integers(8, 40), st.integers(8, 40), st.data())
def test_box_is_one_rectangle_within_its_margin(h, w, data):
    margin = data.draw(st.integers(0, 3))
    size = data.draw(st.integers(1, h - 2 * margin)), data.draw(st.integers(1, w - 2 * margin))
    mask = masks.box(h, w, size, margin, seed=data.draw(st.integers(0, 99)))
    hidden = (mask == 0).nonzero()
    (top, left), (bottom, right) = hidden.min(0).values.tolist(), hidden.max(0).values.tolist()
    assert (bottom - top + 1, right - left + 1) == size
    assert len(hidden) == size[0] * size[1]
    assert top >= margin and left >= margin
    assert bottom < h - margin and right < w - margin


def test_box_reaches_both_ends_of_its_range():
    tops = {int((masks.box(8, 8, (4, 4), 1, index=k) == 0).nonzero()[0, 0]) for k in range(60)}
    assert tops == {1, 2, 3}


def test_box_is_a_function_of_its_seed_and_number():
    assert torch.equal(
        masks.box(32, 32, (8, 8), seed=1, index=5), masks.box(32, 32, (8, 8), seed=1, index=5)
    )
    assert len({masks.box(32, 32, (8, 8), index=k).numpy().tobytes() for k in range(5)}) > 1


@pytest.mark.parametrize(("size", "margin"), [((9, 4), 0), ((4, 7), 1), ((0, 4), 0)])
def test_box_that_does_not_fit_is_refused_with_the_largest(size, margin):
    most = rf"At most {8 - 2 * margin} x {8 - 2 * margin} is possible"
    with pytest.raises(
        ValueError,
        match=rf"^A hole of .* with a margin of {margin} does not fit into 8 x 8\. {most}",
    ):
        masks.box(8, 8, size, margin)


def test_box_draws_both_sides_from_a_range():
    drawn = [masks.box(32, 32, range(4, 8), index=k) == 0 for k in range(60)]
    heights, widths = ({int(hole.any(axis).sum()) for hole in drawn} for axis in (1, 0))
    assert heights == widths == {4, 5, 6, 7}
    assert {int(hole.sum()) for hole in drawn} > {4 * 5, 6 * 7}  # each on its own


@pytest.mark.parametrize("size", [range(30, 20), range(5, 5)])
def test_box_refuses_a_range_of_no_sides(size):
    with pytest.raises(
        ValueError,
        match=r"^size is range\(.*\), which is empty\. A side from low to high is expected",
    ):
        masks.box(64, 64, size)


@pytest.mark.parametrize("index", range(5))
def test_box_refuses_a_range_whose_largest_does_not_fit(index):
    with pytest.raises(
        ValueError, match=r"^A hole of 13 x 13 with a margin of 2 does not fit into 16 x 16\."
    ):
        masks.box(16, 16, range(1, 14), 2, index=index)


# ---- random pixels ------------------------------------------------------------------------------


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.01, 0.99), st.integers(0, 99))
def test_random_pixels_drops_exactly_the_share(h, w, hole, seed):
    mask = masks.random_pixels(h, w, hole, seed)
    assert int((mask == 0).sum()) == int(hole * h * w)
    assert int((mask == 1).sum()) == h * w - int(hole * h * w)


def test_random_pixels_is_a_function_of_its_seed_and_number():
    drawn = {(s, k): masks.random_pixels(16, 16, seed=s, index=k) for s in (0, 1) for k in (0, 1)}
    assert len({mask.numpy().tobytes() for mask in drawn.values()}) == 4
    assert torch.equal(drawn[1, 1], masks.random_pixels(16, 16, seed=1, index=1))


def test_random_pixels_drops_a_share_of_a_range():
    shares = [1 - float(masks.random_pixels(32, 32, (0.3, 0.7), index=k).mean()) for k in range(40)]
    assert 0.29 < min(shares) < 0.4 < 0.6 < max(shares) <= 0.7
    same = masks.random_pixels(32, 32, (0.4, 0.4), 3, 1)
    assert torch.equal(same, masks.random_pixels(32, 32, 0.4, 3, 1))


@pytest.mark.parametrize("hole", [0, 1, -0.5, 1.5, (0.7, 0.3), (0.5, 1)])
def test_random_pixels_refuses_a_share_outside_0_and_1(hole):
    with pytest.raises(
        ValueError, match=rf"^hole is {re.escape(str(hole))}\. A fraction of dropped pixels"
    ):
        masks.random_pixels(8, 8, hole)
