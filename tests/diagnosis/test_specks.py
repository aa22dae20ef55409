"""Dust and scratches."""

import numpy as np
import pytest

from hrdis.diagnosis import find_specks
from hrdis.rng import stream
from tests.common.photographs import photograph, stored


def test_specks_on_a_smooth_picture_are_masked() -> None:
    picture = np.tile(np.linspace(60, 140, 256), (3, 256, 1))
    rng = stream(0, "test specks")
    picture = picture + rng.standard_normal(picture.shape)
    marked = np.zeros((256, 256), dtype=bool)
    for row, column in rng.integers(10, 240, (8, 2)):
        marked[row : row + 3, column : column + 3] = True
    marked[100:103, 20:110] = True
    picture[:, marked] = 250.0
    found = find_specks(stored(picture), 1.0)
    assert found.found == "yes"
    assert found.mask is not None
    mask = found.mask.numpy()
    assert mask[marked].mean() > 0.95
    assert mask.sum() < 3.5 * marked.sum()  # a rim of two pixels around each


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "rocket.jpg", "chelsea.png"])
def test_photographs_without_specks_get_no_mask(name: str) -> None:
    assert find_specks(stored(photograph(name, shrink=1, side=224))).found != "yes"
