"""Pictures of every kind in and out, and what is refused."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hrdis import images


def picture(path: Path, mode: str, size: tuple[int, int] = (23, 17)) -> Path:
    """Write a picture of a Pillow mode whose values differ everywhere."""
    w, h = size
    ramp = np.linspace(0, 255, w * h).reshape(h, w)
    rgb = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], -1).astype(np.uint8)
    if mode == "I;16":
        image = Image.fromarray((ramp * 257).astype(np.uint16))
    elif mode == "RGBA":
        image = Image.fromarray(np.dstack([rgb, ramp.astype(np.uint8)]))
    elif mode == "LA":
        image = Image.fromarray(np.dstack([ramp, 255 - ramp]).astype(np.uint8), "LA")
    else:
        image = Image.fromarray(rgb).convert(mode)
    image.save(path)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "I;16"])
def test_round_trip_is_exact(tmp_path: Path, mode: str) -> None:
    first = picture(tmp_path / "a.png", mode)
    images.write(tmp_path / "b.png", images.read(first))
    a, b = Image.open(first), Image.open(tmp_path / "b.png")
    assert a.mode == b.mode
    assert np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1), ("1", 1), ("P", 3), ("CMYK", 3), ("I;16", 1)])
def test_every_mode_becomes_grey_or_colour(tmp_path: Path, mode: str, channels: int) -> None:
    path = picture(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), mode)
    x = images.read(path).x
    assert x.shape == (1, channels, 17, 23)
    assert float(x.min()) >= -1 and float(x.max()) <= 1 and float(x.max() - x.min()) > 0.4


def test_palette_transparency_becomes_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).convert("P")
    image.save(tmp_path / "a.png", transparency=0)
    alpha = images.read(tmp_path / "a.png").alpha
    assert alpha is not None and float(alpha[0, 0]) == 0 and float(alpha[7, 7]) == 1


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((10, 20, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert images.read(tmp_path / "a.jpg").size == (20, 10)


def test_colour_profile_is_kept(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", icc_profile=b"profile")
    images.write(tmp_path / "b.png", images.read(tmp_path / "a.png"))
    assert Image.open(tmp_path / "b.png").info["icc_profile"] == b"profile"


def test_sixteen_bits_are_not_rounded_to_eight(tmp_path: Path) -> None:
    Image.fromarray(np.array([[1000, 1001]], np.uint16)).save(tmp_path / "a.png")
    x = images.read(tmp_path / "a.png").x
    assert float(x[..., 1] - x[..., 0]) == pytest.approx(2 / 65535, rel=1e-3)  # float32 near -1 keeps 4 digits of it


def test_load_gives_three_channels(tmp_path: Path) -> None:
    assert images.load(picture(tmp_path / "a.png", "LA")).shape == (1, 3, 17, 23)


def test_save_clamps_and_rounds(tmp_path: Path) -> None:
    images.save(tmp_path / "a.png", torch.tensor([-3.0, 0.0, 3.0]).reshape(1, 1, 1, 3))
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 128, 255]]


def _bomb(path: Path, side: int) -> None:
    """A PNG whose header promises side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    )


def test_refuses_bad_files(tmp_path: Path) -> None:
    whole = picture(tmp_path / "whole.png", "RGB", (200, 200)).read_bytes()
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("these are words, not a picture")
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    _bomb(tmp_path / "bomb.png", 100_000)
    _bomb(tmp_path / "large.png", 9_000)
    messages = {
        "missing.png": "does not exist",
        ".": "is a folder",
        "empty.png": "is empty",
        "text.png": "is no picture",
        "cut.png": "truncated",
        "bomb.png": "megapixels",
        "large.png": "81 megapixels",
    }
    for name, message in messages.items():
        with pytest.raises(ValueError, match=message):
            images.read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.xyz", "suffix"), ("a", "suffix"), ("folder.png", "is a folder"), ("file.txt/a.png", "Nothing can be written")],
)
def test_refuses_bad_outputs(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(ValueError, match=message):
        images.check_output(tmp_path / name)


def test_refuses_jpeg_for_transparency(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot hold transparency"):
        images.check_output(tmp_path / "a.jpg", transparent=True)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")

    def broken(file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        images.write_atomically(tmp_path / "a.png", broken)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_write_to_a_full_disk_names_the_file(tmp_path: Path) -> None:
    def full(file: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*a\.png'$"):
        images.write_atomically(tmp_path / "a.png", full)


def test_lab_picture_is_opaque(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3), (200, 10, 30)).convert("LAB").save(tmp_path / "a.tif")
    picture = images.read(tmp_path / "a.tif")
    assert picture.alpha is None
    assert picture.x.shape == (1, 3, 3, 4)


@pytest.mark.parametrize(("name", "kind"), [("a.gif", "GIF"), ("a.webp", "WEBP"), ("a.tif", "TIFF")])
def test_first_of_several_pictures_is_taken_with_a_warning(tmp_path: Path, name: str, kind: str) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / name, format=kind, save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match="holds several pictures; the first is taken"):
        x = images.read(tmp_path / name).x
    assert x[0, 0].min() > 0.9
