"""The noise of a picture: its level, its correlation, its dependence on brightness."""

import numpy as np
import pytest
import torch

from hrdis.diagnosis import estimate_noise
from hrdis.rng import stream
from tests.common.photographs import noisy, photograph, stored

PICTURES = ("astronaut.jpg", "coffee.jpg", "rocket.jpg")


@pytest.mark.parametrize("levels", [5, 10, 25, 50])
@pytest.mark.parametrize("name", PICTURES)
def test_level_of_white_noise_is_right_within_a_tenth(name: str, levels: float) -> None:
    found = estimate_noise(stored(noisy(photograph(name), levels)))
    assert found.value == pytest.approx(levels, rel=0.1)
    assert found.low <= levels <= found.high * 1.02


@pytest.mark.parametrize("levels", [4, 20])
def test_level_of_grey_pictures_is_right_within_a_tenth(levels: float) -> None:
    grey = photograph().mean(0, keepdims=True)
    assert estimate_noise(stored(noisy(grey, levels))).value == pytest.approx(levels, rel=0.1)


def test_flat_picture_with_noise_is_measured_exactly() -> None:
    """No texture: what is left is the spread of an estimate from 10 000 pixels, 1 %."""
    flat = np.full((1, 128, 128), 120.0)
    assert estimate_noise(stored(noisy(flat, 7.0))).value == pytest.approx(7.0, rel=0.03)


def test_clipped_halves_do_not_lower_the_level() -> None:
    picture = photograph(side=192)
    picture[:, :, :70] = 0.0
    picture[:, :, -40:] = 255.0
    assert estimate_noise(stored(noisy(picture, 15.0))).value == pytest.approx(15.0, rel=0.1)


@pytest.mark.parametrize("name", PICTURES)
def test_photograph_without_noise_has_none(name: str) -> None:
    assert estimate_noise(stored(photograph(name))).found != "yes"


def test_white_noise_is_called_white() -> None:
    assert estimate_noise(stored(noisy(photograph(), 8.0))).white is True


@pytest.mark.parametrize(("own", "alike"), [(True, False), (False, True)])
@pytest.mark.parametrize("name", PICTURES)
def test_noise_of_all_colours_is_told_from_noise_of_each(name: str, own: bool, alike: bool) -> None:
    picture = photograph(name)
    noise = noisy(picture, 10.0) - picture
    given = picture + (noise if own else noise[:1])
    found = estimate_noise(stored(given))
    assert found.alike is alike
    assert found.value == pytest.approx(10.0, rel=0.1)


def test_noise_that_was_smoothed_is_called_coarse() -> None:
    z = noisy(np.zeros((3, 162, 162)), 24.0)
    smooth = (z[:, 1:-1, 1:-1] + z[:, :-2, 1:-1] + z[:, 2:, 1:-1] + z[:, 1:-1, :-2]) / 4
    smooth = (smooth + np.roll(smooth, 1, 2)) / 2
    found = estimate_noise(stored(photograph("rocket.jpg", shrink=1) + smooth))
    assert found.white is False
    assert found.value == pytest.approx(float(smooth.std()), rel=0.3)


def test_noise_that_grows_with_brightness_is_recognised() -> None:
    picture = np.tile(np.linspace(20, 230, 192), (3, 192, 1))
    z = stream(0, "test noise").standard_normal(picture.shape)
    curve = estimate_noise(stored(picture + z * (2 + picture / 25))).curve
    assert len(curve) == 3
    assert curve[0][1] < curve[-1][1] / 1.4


def test_white_noise_has_no_curve() -> None:
    picture = np.tile(np.linspace(20, 230, 192), (3, 192, 1))
    assert estimate_noise(stored(noisy(picture, 8.0))).curve == ()


def test_small_pictures_are_left_undecided() -> None:
    assert estimate_noise(torch.zeros(1, 3, 16, 16)).found == "unsure"


def test_black_pictures_are_left_undecided() -> None:
    assert estimate_noise(-torch.ones(1, 3, 64, 64)).found == "unsure"


def test_batches_are_refused() -> None:
    with pytest.raises(TypeError, match="One picture"):
        estimate_noise(torch.zeros(2, 3, 64, 64))


def test_even_slope_has_no_noise() -> None:
    """All patches are alike: the smallest eigenvalues are 0, give or take rounding."""
    slope = np.tile(np.linspace(70, 170, 96).round(), (1, 96, 1))
    found = estimate_noise(stored(slope))
    assert found.found == "no" and found.value < 1


def coarse(shared: bool) -> np.ndarray:
    """Structure of about 8 levels and two pixels on grey, the same in all colours or not."""
    rng = stream(0, "test coarse")
    z = rng.standard_normal((1 if shared else 3, 160, 160)).repeat(3 if shared else 1, 0)
    for axis in (1, 2):
        z = (np.roll(z, 1, axis) + 2 * z + np.roll(z, -1, axis)) / 4
        z = (np.roll(z, 1, axis) + 2 * z + np.roll(z, -1, axis)) / 4
    return 120 + 8 * z / z.std() + 0.3 * rng.standard_normal((3, 160, 160))


@pytest.mark.parametrize(("shared", "answer"), [(True, "unsure"), (False, "yes")])
def test_coarse_structure_is_noise_where_each_colour_has_its_own(shared: bool, answer: str) -> None:
    found = estimate_noise(stored(coarse(shared)))
    assert found.white is False
    assert found.found == answer
