"""The level of white noise that is the most likely under the prior."""

import math

import numpy as np
import pytest
import torch

import hrdis
from hrdis.diagnosis import estimate_noise
from hrdis.fixing.diagnose import settled
from hrdis.fixing.likelihood import implied_at, in_levels, likely_level, quiet_parts, with_cut_off
from hrdis.fixing.network import taken
from hrdis.priors import Gaussian
from hrdis.rng import stream
from tests.common.photographs import noisy, photograph, stored


@pytest.fixture(scope="module")
def prior() -> hrdis.Prior:
    return hrdis.load_prior("default")


def gaussian(side: int, levels: float) -> Gaussian:
    """Return a prior of independent values with a standard deviation in grey levels."""
    return Gaussian(torch.zeros(3, side, side).double(), (levels / 127.5) ** 2)


def drawn(side: int, levels: float, noise: float) -> torch.Tensor:
    """Return a draw of `gaussian` with noise, in double precision."""
    z = stream(0, "test likelihood").standard_normal((1, 3, side, side))
    return torch.from_numpy(math.hypot(levels, noise) / 127.5 * z)


@pytest.mark.parametrize("level", [2.0, 7.0, 30.0])
def test_level_implied_under_a_gaussian_is_that_of_the_formula(level: float) -> None:
    """For N(0, v) it is sqrt(s^2 P / (v + s^2) - 1 / 12), with P the power of the picture.

    The prior is linear, so that the probe of the divergence is exact: what is left is rounding,
    magnified by the step of 0.1 s.
    """
    y = drawn(16, 20.0, 9.0)
    exact = gaussian(16, 20.0)
    s = taken(exact, y, level)
    power = float(y.square().mean()) * 127.5**2
    expected = math.sqrt(s**2 * power / (20.0**2 + s**2) - 1 / 12)
    assert implied_at(exact, in_levels(y), s)[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("noise", [3.0, 9.0, 25.0])
@pytest.mark.parametrize("start", [0.4, 1.0, 2.5])
def test_level_is_the_most_likely_one_under_a_gaussian(noise: float, start: float) -> None:
    """The zero is s^2 = P - v - 1 / 12. It stops within 3 %, and a line from there is 2 % off."""
    y = drawn(16, 4.0, noise)
    y = y * math.sqrt(4.0**2 + noise**2 + 1 / 12) / (127.5 * y.square().mean().sqrt())
    assert float(y.abs().max()) < 1  # nothing is cut off
    found = likely_level(gaussian(16, 4.0), y, start * noise)
    assert found == pytest.approx(noise, rel=0.02)


def test_noise_that_was_cut_off_is_counted() -> None:
    """A quarter is cut off; 12 288 values leave 1 %. Without draws it is 18 % low."""
    dark = Gaussian(torch.full((3, 64, 64), -0.7).double(), (10 / 127.5) ** 2)
    y = (drawn(64, 10.0, 60.0) - 0.7).clamp(-1, 1)
    assert likely_level(dark, y, 60.0) == pytest.approx(60, rel=0.05)


def test_only_what_was_cut_off_is_drawn() -> None:
    seen = in_levels(stored(noisy(np.full((3, 32, 32), 20.0), 30.0)))
    z = with_cut_off(seen, torch.full_like(seen.y, 20.0), 30.0)
    kept = ~seen.low & ~seen.high
    assert torch.equal(z[kept], seen.y[kept])
    assert float(z[seen.low].max()) <= 0.5


def test_draws_complete_the_distribution() -> None:
    """Given the truth, what is seen and what is drawn are N(20, 30^2); 98 304 values leave 1 %."""
    seen = in_levels(stored(noisy(np.full((3, 128, 256), 20.0), 30.0)))
    z = with_cut_off(seen, torch.full_like(seen.y, 20.0), 30.0)
    assert float(z.mean()) == pytest.approx(20, abs=0.4)
    assert float(z.std()) == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize("levels", [2.0, 5.0, 50.0])
@pytest.mark.parametrize("grey", [False, True])
def test_level_is_within_a_tenth(prior: hrdis.Prior, levels: float, grey: bool) -> None:
    clean = photograph("coffee.jpg", side=112)
    y = stored(noisy(clean.mean(0, keepdims=True) if grey else clean, levels))
    found = settled(prior, y, estimate_noise(y))
    assert found.value == pytest.approx(levels, rel=0.1)


def test_texture_that_all_colours_share_does_not_hide_their_noise(prior: hrdis.Prior) -> None:
    """The patches take the texture of a grey picture for noise that is the same in all colours."""
    grey = photograph("hubble.jpg", side=112).mean(0, keepdims=True)
    y = stored(noisy(np.repeat(grey, 3, 0), 3.0))
    found = estimate_noise(y)
    assert found.alike
    now = settled(prior, y, found)
    assert not now.alike
    assert now.value == pytest.approx(3, rel=0.1)


def test_small_picture_is_looked_at_whole() -> None:
    y = stored(photograph(side=112))
    assert torch.equal(quiet_parts(y), y)


def test_parts_of_a_large_picture_are_not_cut_off() -> None:
    y = torch.cat([-torch.ones(1, 3, 288, 288), stored(noisy(np.full((3, 288, 288), 99.0), 9))], 3)
    parts = quiet_parts(y)
    assert parts.shape == (4, 3, 96, 96)
    assert float(parts.min()) > -1


def test_parts_of_a_large_picture_have_the_least_texture() -> None:
    z = stream(0, "test parts").integers(60, 200, (3, 36, 72)).repeat(8, 1).repeat(8, 2)
    z[:, :, :288] = 128  # flat under the noise
    parts = quiet_parts(stored(noisy(z.astype(float), 9.0)))
    assert float(parts.std()) * 127.5 == pytest.approx(9, rel=0.05)
