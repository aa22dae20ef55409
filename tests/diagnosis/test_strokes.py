"""Strokes of one colour."""

import numpy as np
import pytest

from hrdis.diagnosis.strokes import strokes
from hrdis.rng import stream

INK = 230.0


def drawn(values: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Return a ground (128, 128) with a slightly bent line of the given values."""
    light = ground.copy()
    for k, column in enumerate(range(10, 118)):
        row = 40 + round(column / 4 + (column / 40) ** 2)
        light[row, column] = values[k]
    return light


def lively() -> np.ndarray:
    rows, columns = np.mgrid[:128, :128]
    ground: np.ndarray = 110 + 40 * np.sin(rows / 25) * np.cos(columns / 31)
    return ground


@pytest.mark.parametrize(
    ("spread", "ground", "sure"),
    [
        (0.0, lively(), [True]),  # a scratch
        (12.0, lively(), []),  # a twig: lighter and darker than its most common colour
        (0.0, np.full((128, 128), 110.0), [False]),  # a wire before the sky
    ],
)
def test_a_line_is_sure_if_it_has_one_colour_on_different_grounds(
    spread: float, ground: np.ndarray, sure: list[bool]
) -> None:
    light = drawn(INK + spread * stream(0, "test strokes").standard_normal(108), ground)
    distance = np.abs(light - INK)
    rows, columns = np.nonzero(distance <= 2)
    found = strokes(light, distance, rows, columns, INK, 2.0, 0.45, 128)
    assert [stroke.sure for stroke in found] == sure
    for stroke in found:
        there = np.zeros((128, 128), dtype=bool)
        there[stroke.rows, stroke.columns] = True
        assert there[distance <= 2].mean() > 0.95
