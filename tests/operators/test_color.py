"""Colorization."""

import pytest
import torch

import hrdis
from hrdis.operators import Colorization, Inpainting
from tests.common.toys import normal, pixels, rel


@pytest.mark.parametrize(
    ("weights", "w"), [("mean", (0.3333, 0.3334, 0.3333)), ("bt601", (0.299, 0.587, 0.114))]
)
def test_colorization_is_the_weighted_sum_of_the_channels(weights, w):
    x = normal(2, 3, 5, 7)
    expected = w[0] * x[:, :1] + w[1] * x[:, 1:2] + w[2] * x[:, 2:]
    torch.testing.assert_close(Colorization(weights)(x), expected, rtol=0, atol=1e-14)


def test_colorization_by_bt601_agrees_with_pillow():
    Image = pytest.importorskip("PIL.Image")
    unit = (
        pixels(3, 16, 16, keep=0.5)
        * torch.from_numpy(hrdis.rng.stream(0, "unit").random((3, 16, 16))).float()
    )
    rgb = (unit * 255).round().byte()
    theirs = torch.tensor(
        list(Image.fromarray(rgb.permute(1, 2, 0).numpy()).convert("L").tobytes())
    ).reshape(16, 16)
    ours = Colorization("bt601")(rgb[None].double())[0, 0]
    assert (
        float((ours - theirs).abs().max()) <= 0.51
    )  # Pillow rounds to whole numbers, with weights of 16 bits


def test_colorization_starts_from_grey():
    y = normal(1, 1, 4, 4)
    torch.testing.assert_close(
        Colorization().pinv(y), y.expand(1, 3, 4, 4), rtol=4e-4, atol=0
    )  # weights of 4 digits


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_colorization_refuses_other_numbers_of_channels(channels):
    with pytest.raises(
        ValueError,
        match=rf"^Colorization got images of {channels} channels\. 3 \(red, green, blue\)",
    ):
        Colorization()(torch.zeros(1, channels, 4, 4))


def test_colorization_refuses_unknown_weights():
    with pytest.raises(ValueError, match=r"^weights is 'luma'\. 'mean' or 'bt601' is expected"):
        Colorization("luma")


def test_colorization_can_be_measured_with_noise():
    problem = hrdis.measure(
        Colorization(), 0.3 * normal(2, 3, 4, 4), hrdis.noise.Gaussian(0.05), seeds=[0, 1]
    )
    assert tuple(problem.y.shape) == (2, 1, 4, 4)
    assert problem.image_shape == (2, 3, 4, 4)


def test_a_grey_picture_with_holes_is_a_composition():
    A, x = hrdis.operators.Composition(Colorization(), Inpainting(pixels(6, 6))), normal(1, 3, 6, 6)
    assert rel(A(A.pinv(A(x))), A(x)) < 1e-12
