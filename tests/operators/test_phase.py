"""Phase retrieval: the transform, its sizes, and what cannot be told apart."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hrdis.operators import PhaseRetrieval
from tests.common.toys import normal, rel


def magnitudes(x: np.ndarray, top: int, left: int) -> np.ndarray:
    """|F| by numpy, with both shifts."""
    padded = np.pad(x, [(0, 0), (0, 0), (top, top), (left, left)])
    axes = (-2, -1)
    return np.abs(
        np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(padded, axes=axes), norm="ortho"), axes=axes)
    )


@pytest.mark.parametrize(("h", "w"), [(16, 16), (15, 16), (17, 9)])
def test_phase_retrieval_measures_magnitudes(h, w):
    x = normal(2, 3, h, w)
    top, left = h // 4, w // 4  # int(2 / 8 * n)
    expected = torch.from_numpy(magnitudes(x.numpy(), top, left))
    torch.testing.assert_close(PhaseRetrieval()(x), expected, rtol=0, atol=1e-13)
    x01 = (x + 1) / 2
    expected = torch.from_numpy(magnitudes(x01.numpy(), top, left))
    torch.testing.assert_close(PhaseRetrieval(data_range="[0,1]")(x), expected, rtol=0, atol=1e-13)


def test_phase_retrieval_of_a_paper_image_has_the_paper_size():
    A = PhaseRetrieval(oversample=2.0)
    y = A(torch.ones(1, 3, 256, 256))
    assert tuple(y.shape) == (1, 3, 384, 384)
    assert divmod(int(y[0, 0].argmax()), 384) == (192, 192)  # zero frequency


def test_phase_retrieval_keeps_energy():
    x = normal(2, 3, 24, 17)
    assert float(PhaseRetrieval()(x).norm()) == pytest.approx(float(x.norm()), rel=1e-12)


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0.01, 9))
def test_phase_retrieval_knows_the_image_from_its_measurement(h, w, oversample):
    A = PhaseRetrieval(oversample)
    shape = (2, 3, *(n + 2 * int(oversample / 8 * n) for n in (h, w)))
    assert A.image_shape(shape) == (2, 3, h, w)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_phase_retrieval_knows_the_image_from_its_padding(h, w, top, left):
    assert PhaseRetrieval(padding=(top, left)).image_shape((1, 1, h + 2 * top, w + 2 * left)) == (
        1,
        1,
        h,
        w,
    )


@pytest.mark.parametrize("how", ["negative", "turned", "shifted", "per channel"])
def test_phase_retrieval_cannot_tell(how):
    x, A = normal(1, 3, 12, 15), PhaseRetrieval()
    x[..., [0, -1], :] = 0  # a margin, so that a shift stays in the picture
    other = {
        "negative": -x,
        "turned": x.flip(-1, -2),
        "shifted": x.roll(1, -2),
        "per channel": torch.cat([-x[:, :1], x[:, 1:2].flip(-1, -2), x[:, 2:]], 1),
    }[how]
    torch.testing.assert_close(A(other), A(x), rtol=0, atol=1e-12)


def test_phase_retrieval_tells_a_flip_of_one_axis():
    x, A = normal(1, 1, 12, 12), PhaseRetrieval()
    assert rel(A(x.flip(-1)), A(x)) > 0.1


def test_phase_retrieval_of_unit_range_tells_the_sign():
    x, A = 0.4 * normal(1, 1, 12, 12), PhaseRetrieval(data_range="[0,1]")
    assert rel(A(-x), A(x)) > 0.01
    torch.testing.assert_close(A(x.flip(-1, -2)), A(x), rtol=0, atol=1e-12)


def zero_phase(y, top, left, h, w):
    """The magnitude of the inverse transform of y, cropped, by numpy."""
    axes = (-2, -1)
    z = np.fft.ifft2(np.fft.ifftshift(y.numpy(), axes=axes), norm="ortho")
    u = np.abs(np.fft.fftshift(z, axes=axes))
    return torch.from_numpy(u[..., top : top + h, left : left + w])


@pytest.mark.parametrize(("h", "w"), [(16, 16), (13, 10)])
def test_phase_retrieval_starts_from_zero_phase(h, w):
    A = PhaseRetrieval()
    y = A(normal(1, 1, h, w))
    top, left = h // 4, w // 4
    expected = zero_phase(y, top, left, h, w)
    torch.testing.assert_close(A.pinv(y), expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        PhaseRetrieval(data_range="[0,1]").pinv(y), 2 * expected - 1, rtol=0, atol=1e-13
    )
    spike = (h + 2 * top) // 2 - top, (w + 2 * left) // 2 - left
    assert divmod(int(A.pinv(y).argmax()), w) == spike


def test_phase_retrieval_start_takes_noisy_magnitudes_as_they_are():
    """The official code transforms negative ones too; as zeros they give another image."""
    A, y = PhaseRetrieval(), normal(1, 1, 24, 24)
    torch.testing.assert_close(A.pinv(y), zero_phase(y, 4, 4, 16, 16), rtol=0, atol=1e-13)
    assert rel(A.pinv(y.clamp(min=0)), A.pinv(y)) > 0.1


def test_phase_retrieval_has_gradient_zero_where_nothing_is_measured():
    x = torch.zeros(1, 1, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(PhaseRetrieval()(x).sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))


@pytest.mark.parametrize("oversample", [0, -1.0, float("nan"), float("inf")])
def test_oversample_that_is_not_positive_is_refused(oversample):
    with pytest.raises(
        ValueError, match=rf"^oversample is {oversample}\. A number > 0 is expected"
    ):
        PhaseRetrieval(oversample=oversample)


@pytest.mark.parametrize("padding", [-1, (1, 2, 3), (1.0, 2), (4, -4)])
def test_padding_that_is_none_is_refused(padding):
    with pytest.raises(ValueError, match=r"^padding is .*\. An integer >= 0, or two, is expected"):
        PhaseRetrieval(padding=padding)


def test_unknown_data_range_is_refused():
    with pytest.raises(ValueError, match=r"^data_range is '255'\."):
        PhaseRetrieval(data_range="255")


def test_padding_of_zero_is_warned_of():
    with pytest.warns(UserWarning, match=r"^Nothing is oversampled: padding is 0\."):
        PhaseRetrieval(padding=0)


def test_oversampling_that_pads_nothing_is_warned_of():
    with pytest.warns(
        UserWarning, match=r"^Nothing is oversampled: oversample = 0\.5 of 8 x 8 pads nothing\."
    ):
        PhaseRetrieval(oversample=0.5)(torch.zeros(1, 1, 8, 8))


def test_complex_image_is_refused():
    with pytest.raises(
        TypeError, match=r"^The image is torch\.complex64\. Real values in \[-1, 1\] are expected\."
    ):
        PhaseRetrieval()(torch.zeros(1, 1, 8, 8) * 1j)


@pytest.mark.parametrize("A", [PhaseRetrieval(), PhaseRetrieval(padding=9)])
def test_measurement_that_no_image_has_is_refused(A):
    with pytest.raises(
        ValueError,
        match=r"^y has a side of 10, which no image padded by PhaseRetrieval\(.*\) has\.",
    ):
        A.image_shape((1, 1, 10, 10))


@pytest.mark.parametrize("A", [PhaseRetrieval(), PhaseRetrieval(padding=9)])
def test_side_that_a_refusal_names_is_taken(A):
    with pytest.raises(ValueError) as caught:
        A.image_shape((1, 1, 10, 10))
    side = int(re.search(r"is expected, e\.g\. (\d+)\.", str(caught.value))[1])
    assert A(torch.zeros(1, 1, *A.image_shape((1, 1, side, side))[2:])).shape[2:] == (side, side)
