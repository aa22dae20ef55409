"""High dynamic range: a contrast that clips."""

import math

import pytest
import torch

from hrdis.operators import HDR
from tests.common.toys import normal


@pytest.mark.parametrize("scale", [1.5, 2, 4])
def test_hdr_stretches_and_clips(scale):
    x = normal(2, 3, 8, 8)
    assert torch.equal(HDR(scale)(x), (scale * x).clip(-1, 1))


def test_hdr_has_the_gradient_of_what_is_not_clipped():
    x = torch.tensor([-0.9, -0.51, -0.49, 0.0, 0.49, 0.51, 0.9], dtype=torch.float64).reshape(
        1, 1, 1, 7
    )
    x.requires_grad_()
    (gradient,) = torch.autograd.grad((HDR()(x) * 3).sum(), x)
    assert gradient.flatten().tolist() == [0, 0, 6, 6, 6, 0, 0]


def test_hdr_starts_from_a_picture_that_explains_y():
    A, x = HDR(), normal(2, 3, 8, 8)
    y = A(x)
    assert torch.equal(A.pinv(y), y / 2)
    assert torch.equal(A(A.pinv(y)), y)


@pytest.mark.parametrize("scale", [0, -2, math.nan, math.inf])
def test_scale_that_is_not_positive_is_refused(scale):
    with pytest.raises(
        ValueError, match=rf"^scale is {scale}\. A number > 0 is expected: HDR\(scale=2\)\."
    ):
        HDR(scale)


@pytest.mark.parametrize("scale", [1, 0.5])
def test_scale_that_clips_nothing_is_warned_of(scale):
    with pytest.warns(UserWarning, match=rf"^Nothing is clipped: scale is {scale}\."):
        HDR(scale)
