"""Advice in error messages, and old names that warn with the new line."""

import numpy as np
import pytest
import torch

import hrdis
from hrdis.operators import MRI, CompressedSensing, SuperResolution
from hrdis.operators.hints import (
    complex_hint,
    complex_operator_hint,
    conversion_hint,
    crop_or_pad,
    measured_by,
    range_warning,
)
from tests.common.toys import sensitivities


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
    [(SuperResolution(4), 4), (CompressedSensing(0.5, block=8), 8)],
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
    ("value", "said"),
    [
        ("text", ""),
        (np.zeros((1, 4, 4), dtype=bool), "torch.from_numpy(x), the image axis first and in"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), "For grey levels of 8 bits: x / 127.5 - 1."),
        (torch.zeros(3, 4, 4), "One image gets its axis with x[None]."),
        (torch.zeros(4), "One image gets its axis with x[None]."),
        (torch.zeros(4, 4), ""),
    ],
    ids=["text", "array", "levels", "image", "row", "plane"],
)
def test_conversion_is_advised_where_it_is_known(value, said):
    hint = conversion_hint(value, "x")
    assert hint.startswith(said) if said else hint == ""


def test_complex_plane_becomes_an_image_of_a_batch_of_one():
    hint = conversion_hint(torch.zeros(8, 6) + 0j, "x")
    assert hint.endswith("torch.view_as_real(x[None]).movedim(-1, 1).")


@pytest.mark.parametrize("shape", [(2, 8, 8), (8, 8), (2, 1, 8, 8)], ids=str)
@pytest.mark.parametrize("coils", [None, sensitivities(3, 8, 8)], ids=["one coil", "three"])
def test_code_for_complex_measurements_makes_measurements(coils, shape):
    A = MRI(torch.ones(8), coils)
    if coils is not None:
        shape = (*shape[:-2][:1], 3, 8, 8)
    y = torch.zeros(shape) + 0j
    code = complex_hint(y, "y", measured_by(A))
    measured = eval(code, {"torch": torch, "y": y})  # code of the message
    assert A(torch.zeros(len(measured), 2, 8, 8)).shape == measured.shape


@pytest.mark.parametrize(
    ("shape", "said"), [((2, 3, 8, 6), "shape=(3, 8, 6))"), ((8, 6), "shape=(c, h, w))")]
)
def test_code_for_a_complex_operator_has_the_shape_of_its_images(shape, said):
    assert said in complex_operator_hint(shape)


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
