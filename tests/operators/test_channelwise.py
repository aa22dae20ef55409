"""Scanners on pictures, channel by channel; what every linear operator must do is in the common
table.
"""

import pytest
import torch

import hrdis
from hrdis.operators import CT, HDR, MRI, Channelwise, kspace
from tests.common.toys import normal, pixels


def test_every_channel_is_measured_on_its_own():
    x = normal(2, 3, 8, 8)
    y = Channelwise(CT(5, 8))(x)
    assert tuple(y.shape) == (2, 3, 1, 12, 5)
    for c in range(3):
        torch.testing.assert_close(y[:, c], CT(5, 8)(x[:, c : c + 1]), rtol=0, atol=1e-12)


def test_pictures_are_the_real_part_of_what_a_scanner_of_two_channels_sees():
    mask, x = pixels(8, 6), normal(2, 3, 8, 6)
    y = Channelwise(MRI(mask), channels=2)(x)
    for c in range(3):
        real = torch.cat([x[:, c : c + 1], torch.zeros(2, 1, 8, 6).double()], 1)
        torch.testing.assert_close(y[:, c], MRI(mask)(real), rtol=0, atol=1e-12)


def test_a_real_picture_is_found_from_half_of_its_spectrum():
    """A coefficient and its mirror image are conjugate: what one column says need not be measured
    twice.
    """
    columns = torch.zeros(9)
    columns[4:] = 1  # the middle, and one side
    A, x = Channelwise(MRI(columns), channels=2), normal(1, 1, 9, 9)
    torch.testing.assert_close(A.pinv(A(x)), x, rtol=0, atol=1e-10)
    torch.testing.assert_close(A.smooth(A(x)), x, rtol=0, atol=1e-10)


def test_no_noise_is_put_where_nothing_was_sampled():
    A = Channelwise(MRI(kspace.columns(32, acceleration=4)), channels=2)
    y = hrdis.measure(A, normal(2, 3, 16, 32) / 4, hrdis.noise.Gaussian(0.05), seeds=[0, 1]).y
    sampled = A.operator.mask.bool().expand(2, 3, 2, 16, 32)
    assert bool((y[~sampled] == 0).all())
    assert bool((y[sampled] != 0).all())


def test_scans_carry_no_noise_of_pictures():
    with pytest.raises(
        ValueError,
        match=r"^Channelwise measures no picture, but Poisson noise is defined for pictures",
    ):
        hrdis.measure(
            Channelwise(CT(5, 8)), torch.zeros(1, 3, 8, 8), hrdis.noise.Poisson(), seeds=[0]
        )


def test_operator_that_is_not_linear_is_refused():
    with pytest.raises(
        TypeError,
        match=r"^operator is a HDR\. A linear operator is expected: Channelwise\(CT\(60",
    ):
        Channelwise(HDR())


@pytest.mark.parametrize("channels", [0, 1.5, True])
def test_channels_that_are_none_are_refused(channels):
    with pytest.raises(
        ValueError, match=rf"^channels is {channels!r}\. 1 \(CT\) or 2 \(MRI\) is expected"
    ):
        Channelwise(CT(5, 8), channels)
