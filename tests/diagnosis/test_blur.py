"""Blur, and what is merely smooth."""

import numpy as np
import pytest
import torch

from hrdis.diagnosis import estimate_blur
from hrdis.operators import Blur, kernels
from tests.common.photographs import photograph, stored


def blurred(kernel: torch.Tensor, name: str = "astronaut.jpg") -> torch.Tensor:
    x = Blur(kernel)(torch.from_numpy(photograph(name, side=176, shrink=1))[None])
    return stored(x[0].numpy())


@pytest.mark.parametrize("std", [2.0, 3.0])
def test_width_of_a_gaussian_is_found(std: float) -> None:
    found = estimate_blur(blurred(kernels.gaussian(25, std)))
    assert (found.found, found.kind) == ("yes", "gaussian")
    assert found.value == pytest.approx(std, rel=0.25)


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "rocket.jpg", "chelsea.png"])
def test_sharp_photographs_are_not_blurred(name: str) -> None:
    assert estimate_blur(stored(photograph(name))).found != "yes"


def test_shallow_focus_is_not_a_blur() -> None:
    """Half of the picture is sharp, and so are its sharpest edges."""
    picture = blurred(kernels.gaussian(25, 3.0))
    sharp = stored(photograph("astronaut.jpg", side=176, shrink=1))
    picture[..., :88] = sharp[..., :88]
    assert estimate_blur(picture).found != "yes"


def test_length_of_a_motion_is_found() -> None:
    kernel = torch.zeros(15, 15, dtype=torch.float64)
    kernel[7, 2:13] = 1 / 11
    found = estimate_blur(blurred(kernel))
    assert (found.found, found.kind) == ("yes", "motion")
    assert found.length == pytest.approx(11, abs=2)
    assert abs((found.angle + 90) % 180 - 90) <= 6


def test_sky_cannot_be_told() -> None:
    sky = np.tile(np.linspace(100, 180, 128), (3, 128, 1))
    assert estimate_blur(stored(sky)).found == "unsure"


def test_noise_hides_the_width() -> None:
    assert estimate_blur(stored(photograph()), sigma=8.0).found == "unsure"
