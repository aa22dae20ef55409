"""Printed dates."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from hrdis.diagnosis import find_stamp
from hrdis.diagnosis.base import components
from hrdis.rng import stream
from tests.common.photographs import photograph, stored

ORANGE, RED, YELLOW = (255, 125, 35), (250, 65, 40), (255, 205, 60)
DATE = "'98 7 24"


def glyphs(text: str, height: int) -> np.ndarray:
    """Return a text in Pillow's font as shares of ink, its digits about so many pixels high."""
    face: Any = ImageFont.load_default(height / 0.7)
    left, top, right, bottom = (int(end) for end in face.getbbox(text))
    image = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=face)
    return np.asarray(image) / 255


def dated(
    pixels: np.ndarray, ink: tuple[int, int, int] = ORANGE, text: str = DATE,
    corner: str = "lower right", height: int = 12, share: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return a picture (3, h, w) with a date in a corner, and where its strokes are.

    Args:
        pixels: the picture, from 0 to 255.
        ink: colour of the strokes.
        text: the date.
        corner: where it is.
        height: of a digit in pixels.
        share: shares of ink, instead of the text.
    """
    drawn = glyphs(text, height) if share is None else share
    h, w = pixels.shape[1:]
    top = h - drawn.shape[0] - height if "lower" in corner else height
    left = w - drawn.shape[1] - height if "right" in corner else height
    whole = np.zeros((h, w))
    whole[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return pixels * (1 - whole) + np.array(ink)[:, None, None] * whole, whole > 0.5


def ground(h: int = 240, w: int = 320) -> np.ndarray:
    """Return a lively ground with a little grain, greyish."""
    rows, columns = np.mgrid[:h, :w]
    light = 100 + 40 * np.sin(rows / 25) * np.cos(columns / 31)
    noise = stream(0, "test stamp").standard_normal((3, h, w))
    return np.tile(light, (3, 1, 1)) + noise


@pytest.mark.parametrize("corner", ["lower right", "lower left", "upper right", "upper left"])
@pytest.mark.parametrize("ink", [ORANGE, RED, YELLOW])
def test_date_is_masked_in_any_corner_and_warm_colour(
    corner: str, ink: tuple[int, int, int]
) -> None:
    picture, there = dated(ground(), ink, corner=corner)
    found = find_stamp(stored(picture))
    assert (found.found, found.corner, found.digits) == ("yes", corner, 5)
    assert found.mask is not None
    mask = found.mask.numpy()
    assert mask[there].all()
    assert mask.sum() < 5 * there.sum()  # a rim of a pixel or two around strokes of two


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_mask_turns_with_the_picture(turns: int) -> None:
    """A camera on its side prints along the other side; a print may lie on its head."""
    picture, there = dated(ground())
    x = stored(np.rot90(picture, turns, (1, 2)).copy())
    found = find_stamp(x)
    assert found.found == "yes" and found.mask is not None
    assert found.mask.numpy()[np.rot90(there, turns)].all()
    rows, columns = np.nonzero(np.rot90(there, turns))
    down = "lower" if rows.mean() > x.shape[2] / 2 else "upper"
    across = "right" if columns.mean() > x.shape[3] / 2 else "left"
    assert found.corner == f"{down} {across}"


@pytest.mark.parametrize("size", [1, 3, 4])
def test_mask_of_a_large_picture_has_its_pixels(size: int) -> None:
    """Digits are looked for on a smaller picture, and a rest of its size is no block."""
    picture, there = dated(ground(240 * size + 1, 320 * size + 2), height=12 * size)
    found = find_stamp(stored(picture))
    assert found.mask is not None and found.mask.shape == there.shape
    assert found.mask.numpy()[there].mean() > 0.99
    assert float(found.mask.sum()) < 5 * there.sum()


@pytest.mark.parametrize("ring", [-60.0, 60.0])
def test_outline_and_glow_belong_to_the_mask(ring: float) -> None:
    """Else they are copied into what is filled."""
    _, there = dated(ground())
    wide = np.zeros_like(there)
    for down in range(-2, 3):
        for right in range(-2, 3):
            wide |= np.roll(there, (down, right), (0, 1))
    picture, _ = dated(ground() + ring * wide)
    found = find_stamp(stored(picture))
    assert found.mask is not None
    assert found.mask.numpy()[wide].mean() > 0.97


def test_other_signs_in_a_row_are_no_digits() -> None:
    """Crosses have the height, the colour, the stroke and the pitch of digits."""
    crosses = np.zeros((12, 90))
    for left in range(0, 90, 10):
        crosses[:, left + 3 : left + 5] = 1
        crosses[5:7, left : left + 8] = 1
    picture, _ = dated(ground(), share=crosses)
    assert find_stamp(stored(picture)).found == "no"


@pytest.mark.parametrize(
    ("ink", "text"), [((245, 245, 245), DATE), ((60, 120, 250), DATE), (ORANGE, "98 7")]
)
def test_other_colours_and_few_digits_are_no_date(ink: tuple[int, int, int], text: str) -> None:
    assert find_stamp(stored(dated(ground(), ink, text)[0])).found == "no"


def test_date_in_the_middle_is_the_subject() -> None:
    picture, _ = dated(ground())
    middle = np.roll(picture, (-90, -100), (1, 2))
    assert find_stamp(stored(middle)).found == "no"


def test_grey_picture_has_no_coloured_date() -> None:
    grey = dated(ground())[0].mean(0, keepdims=True)
    assert find_stamp(stored(grey)).found == "no"


def test_small_picture_is_unsure() -> None:
    found = find_stamp(stored(dated(ground(150, 200), height=9)[0]))
    assert found.found == "unsure" and found.mask is None


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "rocket.jpg", "flower.jpg"])
def test_photographs_have_no_date(name: str) -> None:
    assert find_stamp(stored(photograph(name, shrink=1, side=320))).found == "no"


def test_numbers_are_those_of_json() -> None:
    """A record with a number of numpy could not be written, after all the work of a repair."""
    found = find_stamp(stored(dated(ground())[0]))
    for name in ("value", "low", "high", "digits"):
        assert type(getattr(found, name)) in (int, float), name


def test_parts_are_those_of_a_flood() -> None:
    """Labels are compared with the least number that spreads to all eight neighbours."""
    rng = stream(0, "test parts")
    for share in (0.0, 0.3, 0.5, 0.7, 1.0):
        there = rng.random((19, 23)) < share
        labels, count = components(there)
        flood = torch.where(
            torch.from_numpy(there), torch.arange(there.size).reshape(there.shape) + 1.0, 0.0
        )
        for _ in range(there.size):
            spread = torch.nn.functional.max_pool2d(flood[None], 3, 1, 1)[0] * (flood > 0)
            if torch.equal(spread, flood):
                break
            flood = spread
        assert ((labels >= 0) == there).all()
        pairs = set(zip(labels[there].tolist(), flood.numpy()[there].tolist(), strict=True))
        assert len(pairs) == count == len({own for own, _ in pairs})
