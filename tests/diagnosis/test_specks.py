"""Dust and scratches."""

import numpy as np
import pytest

from hrdis.diagnosis import find_specks
from hrdis.rng import stream
from tests.common.photographs import photograph, stored


def marked(ink: float, *, specks: int, scratch: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a lively ground (3, 256, 256) with marks of one colour, and where they are."""
    rows, columns = np.mgrid[:256, :256]
    ground = 110 + 40 * np.sin(rows / 25) * np.cos(columns / 31)
    rng = stream(0, "test specks")
    picture = np.tile(ground, (3, 1, 1)) + rng.standard_normal((3, 256, 256))
    there = np.zeros((256, 256), dtype=bool)
    for row, column in rng.integers(10, 240, (specks, 2)):
        there[row : row + 3, column : column + 3] = True
    if scratch:
        for column in range(20, 230):
            there[100 + column // 9, column : column + 2] = True
    picture[:, there] = ink
    return picture, there


@pytest.mark.parametrize("ink", [20.0, 235.0])
@pytest.mark.parametrize(("specks", "scratch"), [(8, False), (0, True), (8, True)])
def test_marks_of_one_colour_are_masked(ink: float, specks: int, scratch: bool) -> None:
    picture, there = marked(ink, specks=specks, scratch=scratch)
    found = find_specks(stored(picture), 1.0)
    assert found.found == "yes"
    assert found.mask is not None
    mask = found.mask.numpy()
    assert mask[there].mean() > 0.95
    assert mask.sum() < 4 * there.sum()  # a rim of a pixel or two around each


@pytest.mark.parametrize(("specks", "scratch"), [(8, False), (0, True), (8, True)])
def test_numbers_are_those_of_json(specks: int, scratch: bool) -> None:
    """A record with a number of numpy could not be written, after all the work of a repair."""
    found = find_specks(stored(marked(20.0, specks=specks, scratch=scratch)[0]), 1.0)
    assert found.count > 0
    for name in ("value", "low", "high", "count"):
        assert type(getattr(found, name)) in (int, float), name


def test_a_line_before_the_sky_is_unsure() -> None:
    """A wire is as thin, as even and as long as a scratch; it lies on ground of one kind."""
    picture, _ = marked(20.0, specks=0, scratch=True)
    sky = picture.min(0) > 30
    picture[:, sky] = 190.0
    found = find_specks(stored(picture), 1.0)
    assert found.found == "unsure"
    assert found.mask is not None


def test_a_line_of_another_colour_is_no_scratch() -> None:
    picture, there = marked(20.0, specks=0, scratch=True)
    picture[0, there] = 200.0
    assert find_specks(stored(picture), 1.0).found == "no"


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "rocket.jpg", "chelsea.png"])
def test_photographs_without_specks_get_no_mask(name: str) -> None:
    assert find_specks(stored(photograph(name, shrink=1, side=224))).found != "yes"


def busy(spots: int) -> np.ndarray:
    """Return a ground (3, 256, 256) with light spots, each of a colour and size of its own."""
    picture, _ = marked(235.0, specks=0, scratch=False)
    rng = stream(0, "test busy")
    for row, column in rng.integers(4, 246, (spots, 2)):
        high, wide = rng.integers(2, 6, 2)
        ink = rng.uniform(200, 250) + rng.uniform(-5, 5, 3)
        picture[:, row : row + high, column : column + wide] = ink[:, None, None]
    return picture


@pytest.mark.parametrize("spots", [100, 400])
def test_spots_of_many_colours_are_not_found(spots: int) -> None:
    """Lamps, flowers and pebbles are as light and as small as dust."""
    assert find_specks(stored(busy(spots))).found != "yes"


def test_specks_of_one_colour_are_found_among_spots_of_many() -> None:
    picture = busy(100)
    _, there = marked(225.0, specks=60, scratch=False)
    picture[:, there] = 225.0
    found = find_specks(stored(picture))
    assert found.found == "yes"
    assert found.mask is not None
    mask = found.mask.numpy()
    assert mask[there].mean() > 0.6
    assert mask.sum() < 6 * there.sum()  # few of the others


def test_clipped_highlights_are_no_specks() -> None:
    picture, _ = marked(255.0, specks=12, scratch=False)
    assert find_specks(stored(picture)).found != "yes"


def test_specks_on_ground_of_one_kind_are_unsure() -> None:
    """The stars of a flag are as alike, and as white, as dust."""
    picture, there = marked(240.0, specks=12, scratch=False)
    picture[:, ~there] = 90.0
    assert find_specks(stored(picture)).found == "unsure"
