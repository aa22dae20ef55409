"""Advice in error messages, and old names that warn with the new line."""

import pytest
import torch

import hrdis
from hrdis.operators import JPEG, CompressedSensing, SuperResolution
from hrdis.operators.hints import crop_or_pad, range_warning


@pytest.mark.parametrize(
    ("h", "w", "multiple", "said"),
    [
        (70, 64, 32, "Crop it to 64 x 64 or pad it to 96 x 64."),
        (31, 33, 32, "Crop it to 32 x 32 or pad it to 32 x 64."),  # 31 cannot be cropped to 32
        (0, 5, 4, "Crop it to 4 x 4 or pad it to 4 x 8."),
    ],
)
def test_nearest_multiples_are_named(h, w, multiple, said):
    assert crop_or_pad(h, w, multiple) == said


@pytest.mark.parametrize(
    ("A", "multiple"),
    [(SuperResolution(4), 4), (JPEG(10), 16), (CompressedSensing(0.5, block=8), 8)],
)
def test_operators_that_need_multiples_advise_alike(A, multiple):
    with pytest.raises(ValueError) as caught:
        A(torch.zeros(1, 3, 17, 32))
    assert str(caught.value).endswith(crop_or_pad(17, 32, multiple))


@pytest.mark.parametrize(
    ("values", "said"),
    [((0, 1), "2 * x - 1"), ((0, 255), "x / 127.5 - 1"), ((-0.1, 1), ""), ((0.2, 0.7), "")],
)
def test_other_ranges_are_told(values, said):
    warning = range_warning(torch.tensor(values, dtype=torch.float64), "x")
    assert (said in warning) if said else warning == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Problem", hrdis.Problem),
        ("Slices", hrdis.operators.Channelwise),
        ("Chain", hrdis.operators.ComposedOperator),
        ("LinearChain", hrdis.operators.ComposedLinearOperator),
    ],
)
def test_old_name_of_an_operator_warns_with_the_new_one(old, new):
    with pytest.warns(DeprecationWarning, match=rf"Write hrdis\.(operators\.)?{new.__name__}\."):
        assert getattr(hrdis.operators, old) is new


def test_name_that_never_was_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Slicer'"):
        hrdis.operators.Slicer  # noqa: B018
