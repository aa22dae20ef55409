"""Mosaic: one colour a pixel, by the letters of its pattern."""

import pytest
import torch

import hrdis
from hrdis.operators import Mosaic
from tests.common.toys import normal

COLOUR = {"R": 0, "G": 1, "B": 2}


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 1)])
@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_every_pixel_is_the_colour_of_its_letter(pattern, size):
    x = normal(2, 3, *size)
    y = Mosaic(pattern)(x)
    assert tuple(y.shape) == (2, 1, *size)
    for i in range(size[0]):
        for j in range(size[1]):
            colour = COLOUR[pattern[2 * (i % 2) + j % 2]]
            assert torch.equal(y[:, 0, i, j], x[:, colour, i, j])


def test_smooth_picture_keeps_what_was_seen_and_is_exact_for_a_plane():
    """Bilinear: away from the border a picture that rises evenly comes back."""
    rows, columns = torch.meshgrid(torch.arange(9), torch.arange(10), indexing="ij")
    rows, columns = rows.double(), columns.double()
    x = torch.stack([0.1 * rows, 0.05 * columns - 0.2, 0.3 - 0.02 * rows])[None]
    A = Mosaic("GRBG")
    found = A.smooth(A(x))
    torch.testing.assert_close(A(found), A(x), rtol=0, atol=0)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(found[inside], x[inside], rtol=0, atol=1e-14)


def test_smooth_picture_of_an_even_colour_is_even_up_to_the_border():
    x = torch.tensor([0.3, -0.2, 0.9]).double().reshape(1, 3, 1, 1).expand(1, 3, 5, 6)
    torch.testing.assert_close(Mosaic().smooth(Mosaic()(x)), x, rtol=0, atol=1e-15)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels_are_refused(channels):
    with pytest.raises(ValueError, match=rf"^Mosaic got images of {channels} channels\. 3 \(red"):
        Mosaic()(torch.zeros(1, channels, 4, 4))


def test_unknown_pattern_is_refused():
    with pytest.raises(ValueError, match=r"^pattern is 'RGB'\. One of RGGB, .* is expected"):
        Mosaic("RGB")


def test_grey_file_is_the_mosaic_and_a_file_of_colours_is_measured():
    """A program writes the mosaic as a grey picture, or as the colours that were seen."""
    x = (0.3 * normal(1, 3, 8, 8)).clamp(-1, 1).float()
    y, prior = Mosaic()(x), hrdis.priors.Gaussian(torch.zeros(3, 8, 8), 0.25)
    options = {"solver": hrdis.DDNM(steps=4), "prior": prior}
    grey = hrdis.restore(y[0], "demosaic", **options)
    colours = hrdis.restore(x[0], "demosaic", **options)
    torch.testing.assert_close(grey.samples, colours.samples, rtol=0, atol=1e-6)
    torch.testing.assert_close(Mosaic()(grey.samples), y, rtol=0, atol=1e-5)
