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


# ---- what a picture may hold, and what is kept of it ----------------------------------------------


def with_notes(path: Path, **notes: object) -> Path:
    Image.new("RGB", (6, 4), (10, 20, 30)).save(path, **notes)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_resolution_and_camera_notes_are_kept(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = 3  # upside down
    first = with_notes(tmp_path / f"a{suffix}", dpi=(600, 300), exif=exif)
    images.write(tmp_path / f"b{suffix}", images.read(first))
    with Image.open(tmp_path / f"b{suffix}") as kept:
        assert tuple(round(float(v)) for v in kept.info["dpi"]) == (600, 300)
        notes = kept.getexif()
        assert notes[0x010F] == "a camera" and notes.get(0x0112, 1) == 1


def test_resolution_of_a_tiff_is_kept(tmp_path: Path) -> None:
    images.write(tmp_path / "b.tif", images.read(with_notes(tmp_path / "a.tif", dpi=(600, 300))))
    with Image.open(tmp_path / "b.tif") as kept:
        assert tuple(round(float(v)) for v in kept.info["dpi"]) == (600, 300)


def test_enlarged_picture_keeps_its_size_on_paper(tmp_path: Path) -> None:
    small = images.read(with_notes(tmp_path / "a.tif", dpi=(150, 150)))
    assert small.with_image(torch.zeros(1, 3, 16, 24)).dpi == pytest.approx((600, 600))


@pytest.mark.parametrize(
    "exif", [b"\x00\x08\x00\x02\x01\x12\x00\x03", b"Exif\x00\x00nothing", b"II*\x00\xff\xff\xff\xff"]
)
def test_malformed_camera_notes_are_no_damage(tmp_path: Path, exif: bytes) -> None:
    found = images.read(with_notes(tmp_path / "a.png", exif=exif))
    assert found.size == (4, 6)
    images.write(tmp_path / "b.png", found)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[0.0, np.nan]], r"holds 1 values that are no numbers \(NaN or infinite\)"),
        ([[0.0, np.inf]], r"holds 1 values that are no numbers"),
        ([[0.0, 255.0]], r"holds values from 0 to 255\. Floating-point pictures with values from 0 to 1 are expected"),
        ([[-0.5, 1.0]], r"holds values from -0\.5 to 1\."),
    ],
)
def test_numbers_that_are_no_picture_are_told(tmp_path: Path, values: list[list[float]], said: str) -> None:
    Image.fromarray(np.array(values, np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ValueError, match=rf"f\.tif {said}"):
        images.read(tmp_path / "f.tif")


def test_numbers_below_zero_are_told(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1000, 3000]], np.int32)).save(tmp_path / "ct.tif")  # Hounsfield units
    with pytest.raises(ValueError, match=r"holds values from -1000 to 3000\. Whole numbers from 0 to 65535"):
        images.read(tmp_path / "ct.tif")


@pytest.mark.parametrize(("most", "bits", "factor"), [(1023, 10, 64), (4095, 12, 16), (200, 8, 256)])
def test_few_bits_in_sixteen_are_warned_of(tmp_path: Path, most: int, bits: int, factor: int) -> None:
    Image.fromarray(np.array([[0, most]], np.uint16)).save(tmp_path / "d.png")
    with pytest.warns(
        UserWarning, match=rf"holds values up to {most} of 65535, as data of {bits} bits .* by {factor}\."
    ):
        assert float(images.read(tmp_path / "d.png").x.max()) == pytest.approx(2 * most / 65535 - 1)


def test_colours_under_full_transparency_do_not_leak(tmp_path: Path) -> None:
    """What hides there becomes like its visible neighbours; what is seen stays."""
    sprite = np.zeros((9, 13, 4), np.uint8)
    sprite[2:6, 3:8] = [250, 220, 60, 255]
    sprite[4, 3] = [200, 100, 50, 128]
    Image.fromarray(sprite).save(tmp_path / "s.png")
    found = images.read(tmp_path / "s.png")
    assert found.alpha is not None
    pixels = (images.to_unit(images.without_hidden(found.x, found.alpha)[0]) * 255).permute(1, 2, 0).numpy()
    hidden = sprite[..., 3] == 0
    assert np.abs(pixels[~hidden] - sprite[~hidden][:, :3]).max() < 0.01
    assert (np.abs(pixels[hidden] - [250, 220, 60]).max(axis=0) < [30, 80, 10]).all()


def test_picture_that_is_wholly_transparent_stays_as_it_is() -> None:
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images.without_hidden(x, torch.zeros(4, 4)), x)


def test_postscript_is_never_handed_to_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would run Ghostscript on it, whatever the file is named."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "x.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(ValueError, match=r"x\.png is no picture that can be read"):
        images.read(tmp_path / "x.png")
    assert not (tmp_path / "ran").exists()
