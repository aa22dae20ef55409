"""Former enlargement."""

import numpy as np
import pytest
from PIL import Image

from hrdis.diagnosis import estimate_resolution
from tests.common.photographs import noisy, photograph, stored

KERNELS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def enlarged(factor: float, kernel: str) -> np.ndarray:
    small = photograph(side=round(160 / factor))
    image = Image.fromarray(small.astype(np.uint8).transpose(1, 2, 0))
    size = round(image.width * factor), round(image.height * factor)
    return np.asarray(image.resize(size, KERNELS[kernel])).astype(np.float64).transpose(2, 0, 1)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("factor", [1.5, 2])
def test_factor_and_size_are_found(factor: float, kernel: str) -> None:
    picture = enlarged(factor, kernel)
    found = estimate_resolution(stored(picture))
    assert found.found == "yes"
    assert found.value == pytest.approx(factor, rel=0.03)
    assert found.native[0] == pytest.approx(picture.shape[1] / factor, rel=0.05)


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "rocket.jpg"])
def test_photographs_as_they_are_were_not_enlarged(name: str) -> None:
    assert estimate_resolution(stored(photograph(name))).found == "no"


def test_blurred_photographs_were_not_enlarged() -> None:
    picture = photograph(side=164)
    for axis in (1, 2):
        picture = (np.roll(picture, 1, axis) + 2 * picture + np.roll(picture, -1, axis)) / 4
    assert estimate_resolution(stored(picture[:, 2:-2, 2:-2])).found == "no"


def test_noise_after_an_enlargement_hides_it_without_a_false_answer() -> None:
    assert estimate_resolution(stored(noisy(enlarged(2, "bicubic"), 10.0))).found == "no"
