"""Former JPEG compression, from tables and from pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from hrdis.diagnosis import estimate_compression, noise_under_jpeg
from hrdis.diagnosis.jpeg import annex_k, quality_of
from tests.common.photographs import noisy, photograph, stored


def coded(pixels: np.ndarray, quality: int) -> tuple[np.ndarray, list[int]]:
    """Return a picture out of a JPEG, and the file's table of the brightness."""
    buffer = io.BytesIO()
    Image.fromarray(np.round(pixels).astype(np.uint8).transpose(1, 2, 0)).save(
        buffer, "JPEG", quality=quality
    )
    image = Image.open(buffer)
    return np.asarray(image).astype(np.float64).transpose(2, 0, 1), image.quantization[0]


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 100])
def test_tables_are_those_of_pillow(quality: int) -> None:
    _, table = coded(np.zeros((3, 16, 16)), quality)
    assert annex_k(quality).ravel().tolist() == list(table)
    assert quality_of(table) == (quality, 0)


@pytest.mark.parametrize("quality", [20, 40, 60, 80])
@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg"])
def test_quality_is_found_from_pixels(name: str, quality: int) -> None:
    found = estimate_compression(stored(coded(photograph(name), quality)[0]))
    assert (found.found, found.source, found.offset) == ("yes", "pixels", (0, 0))
    assert abs(found.value - quality) <= 2


@pytest.mark.parametrize("offset", [(0, 1), (3, 5), (7, 7)])
def test_offset_of_cropped_pictures_is_found(offset: tuple[int, int]) -> None:
    pixels = coded(photograph(), 60)[0][:, offset[0] :, offset[1] :]
    found = estimate_compression(stored(pixels))
    assert found.offset == (-offset[0] % 8, -offset[1] % 8)
    assert abs(found.value - 60) <= 2


def test_quality_is_read_from_the_file() -> None:
    pixels, table = coded(photograph(), 50)
    found = estimate_compression(stored(pixels), table)
    assert (found.value, found.source, found.found) == (50, "file", "yes")


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "rocket.jpg", "chelsea.png"])
def test_photographs_that_were_no_jpeg_show_no_blocks(name: str) -> None:
    assert estimate_compression(stored(photograph(name, side=112))).found == "no"


def test_good_quality_is_left_alone() -> None:
    assert estimate_compression(stored(coded(photograph(), 95)[0])).found == "no"


@pytest.mark.parametrize("quality", [30, 70])
def test_damage_is_about_what_was_lost(quality: int) -> None:
    """Within a factor of 1.6: chroma, which is lost too, is not looked at."""
    before = photograph()
    after = coded(before, quality)[0]
    found = estimate_compression(stored(after))
    lost = float(np.tensordot([0.299, 0.587, 0.114], after - before, 1).std())
    assert lost / 1.6 < found.damage < 1.6 * lost


@pytest.mark.parametrize(("level", "quality"), [(10.0, 80), (20.0, 60)])
def test_noise_is_found_under_jpeg(level: float, quality: int) -> None:
    """Within 30 %: what is left of it are counts on some 40 blocks."""
    y = stored(coded(noisy(photograph(), level).clip(0, 255), quality)[0])
    assert noise_under_jpeg(y, estimate_compression(y)) == pytest.approx(level, rel=0.3)


@pytest.mark.parametrize("quality", [30, 60, 75])
@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "rocket.jpg"])
def test_jpeg_alone_holds_no_noise(name: str, quality: int) -> None:
    y = stored(coded(photograph(name), quality)[0])
    assert noise_under_jpeg(y, estimate_compression(y)) == 0
