"""Blur, and what is merely smooth."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from hrdis.diagnosis import estimate_blur
from hrdis.operators import Blur, kernels
from hrdis.rng import stream
from tests.common.photographs import photograph, stored


def coded(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8).transpose(1, 2, 0)).save(
        buffer, "JPEG", quality=quality
    )
    return np.asarray(Image.open(buffer)).astype(np.float64).transpose(2, 0, 1)


def blurred(kernel: torch.Tensor, name: str = "astronaut.jpg") -> torch.Tensor:
    x = Blur(kernel)(torch.from_numpy(photograph(name, side=176, shrink=1))[None])
    return stored(x[0].numpy())


@pytest.mark.parametrize("std", [2.0, 3.0])
def test_width_of_a_gaussian_is_found(std: float) -> None:
    found = estimate_blur(blurred(kernels.gaussian(25, std)))
    assert (found.found, found.kind) == ("yes", "gaussian")
    assert found.value == pytest.approx(std, rel=0.25)


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "rocket.jpg", "chelsea.png"])
def test_sharp_photographs_are_not_blurred(name: str) -> None:
    assert estimate_blur(stored(photograph(name))).found != "yes"


def test_shallow_focus_is_not_a_blur() -> None:
    """Half of the picture is sharp, and so are its sharpest edges."""
    picture = blurred(kernels.gaussian(25, 3.0))
    sharp = stored(photograph("astronaut.jpg", side=176, shrink=1))
    picture[..., :88] = sharp[..., :88]
    assert estimate_blur(picture).found != "yes"


@pytest.mark.parametrize(("length", "angle"), [(7, 148.0), (11, 0.0), (15, 37.0)])
def test_length_and_angle_of_a_motion_are_found(length: int, angle: float) -> None:
    """Half a pixel of length and 2 degrees are the bank's own steps."""
    found = estimate_blur(blurred(kernels.line(length, angle)))
    assert (found.found, found.kind, found.source) == ("yes", "motion", "spectrum")
    assert found.length == pytest.approx(length, abs=1.5)
    assert abs((found.angle - angle + 90) % 180 - 90) <= 5


def texture(side: int = 128) -> torch.Tensor:
    """Return a random field without an edge, whose power falls with the square of frequency."""
    z = torch.from_numpy(stream(0, "texture").standard_normal((side, side)))
    f = torch.fft.fftfreq(side, dtype=torch.float64)
    radius = torch.hypot(f[:, None], f[None]).clamp(min=1 / side)
    field = torch.fft.ifft2(torch.fft.fft2(z) / radius).real
    return (128 + 40 * field / field.std()).expand(3, -1, -1)


def test_width_of_a_gaussian_is_found_without_an_edge() -> None:
    x = Blur(kernels.gaussian(25, 1.8))(texture()[None])[0]
    found = estimate_blur(stored(x.numpy()))
    assert (found.found, found.kind, found.source) == ("yes", "gaussian", "spectrum")
    assert found.value == pytest.approx(1.8, rel=0.15)


def test_texture_as_it_is_is_not_blurred() -> None:
    assert estimate_blur(stored(texture().numpy())).found != "yes"


@pytest.mark.parametrize("quality", [30, 75])
def test_blocks_of_a_jpeg_are_no_motion(quality: int) -> None:
    """Their spectrum has lines at multiples of an eighth, as a motion has zeros."""
    found = estimate_blur(stored(coded(photograph(side=176, shrink=1), quality)))
    assert (found.found, found.kind) != ("yes", "motion")


def test_sky_cannot_be_told() -> None:
    sky = np.tile(np.linspace(100, 180, 128), (3, 128, 1))
    assert estimate_blur(stored(sky)).found == "unsure"


def test_noise_hides_the_width() -> None:
    assert estimate_blur(stored(photograph()), sigma=8.0).found == "unsure"
