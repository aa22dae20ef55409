"""Pictures of every kind in and out, and what is refused."""

import io
import struct
import sys
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, features

from hrdis import images
from hrdis.bench.plan import read_sized
from hrdis.bench.report.gallery import Gallery
from hrdis.bench.run.merge import pixels_of
from hrdis.training import photographs
from hrdis.web.form import editor_image


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


@pytest.mark.parametrize(
    ("mode", "channels"), [("RGB", 3), ("L", 1), ("1", 1), ("P", 3), ("CMYK", 3), ("I;16", 1)]
)
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
    Image.fromarray(np.array([[40000, 40001]], np.uint16)).save(tmp_path / "a.png")
    x = images.read(tmp_path / "a.png").x
    assert float(x[..., 1] - x[..., 0]) == pytest.approx(
        2 / 65535, rel=1e-2
    )  # float32 keeps 3 digits of it


def test_load_gives_three_channels(tmp_path: Path) -> None:
    assert images.load(picture(tmp_path / "a.png", "LA")).shape == (1, 3, 17, 23)


def test_save_clamps_and_rounds(tmp_path: Path) -> None:
    images.save(tmp_path / "a.png", torch.tensor([-3.0, 0.0, 3.0]).reshape(1, 1, 1, 3))
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 128, 255]]


def _png(header: bytes, content: bytes, transparent: bytes = b"") -> bytes:
    """Return the bytes of a PNG; ``transparent`` is the colour that is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"tRNS", transparent) if transparent else b"")
        + chunk(b"IDAT", content)
        + chunk(b"IEND", b"")
    )


def _bomb(path: Path, side: int) -> None:
    """A PNG whose header promises side x side pixels."""
    path.write_bytes(_png(struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), zlib.compress(b"0")))


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
    [
        ("a.xyz", "suffix"),
        ("a", "suffix"),
        ("folder.png", "is a folder"),
        ("file.txt/a.png", "Nothing can be written"),
    ],
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


@pytest.mark.parametrize(
    ("name", "kind"), [("a.gif", "GIF"), ("a.webp", "WEBP"), ("a.tif", "TIFF")]
)
def test_first_of_several_pictures_is_taken_with_a_warning(
    tmp_path: Path, name: str, kind: str
) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / name, format=kind, save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match="holds several pictures; the first is taken"):
        x = images.read(tmp_path / name).x
    assert x[0, 0].min() > 0.9


# ---- what a picture may hold, and what is kept of it
# ----------------------------------------------


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
    "exif",
    [b"\x00\x08\x00\x02\x01\x12\x00\x03", b"Exif\x00\x00nothing", b"II*\x00\xff\xff\xff\xff"],
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
        (
            [[0.0, 255.0]],
            r"holds values from 0 to 255\. Floating-point pictures with values from 0 to 1 are "
            r"expected",
        ),
        ([[-0.5, 1.0]], r"holds values from -0\.5 to 1\."),
    ],
)
def test_numbers_that_are_no_picture_are_told(
    tmp_path: Path, values: list[list[float]], said: str
) -> None:
    Image.fromarray(np.array(values, np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ValueError, match=rf"f\.tif {said}"):
        images.read(tmp_path / "f.tif")


def test_numbers_below_zero_are_told(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1000, 3000]], np.int32)).save(
        tmp_path / "ct.tif"
    )  # Hounsfield units
    with pytest.raises(
        ValueError, match=r"holds values from -1000 to 3000\. Whole numbers from 0 to 65535"
    ):
        images.read(tmp_path / "ct.tif")


@pytest.mark.parametrize(
    ("most", "bits", "factor"), [(1023, 10, 64), (4095, 12, 16), (255, 8, 256), (600, 10, 64)]
)
def test_few_bits_in_sixteen_are_read_as_such_with_a_warning(
    tmp_path: Path, most: int, bits: int, factor: int
) -> None:
    """And written so: what came in goes out."""
    values = np.array([[0, 3, most]], np.uint16)
    Image.fromarray(values).save(tmp_path / "d.png")
    with pytest.warns(
        UserWarning,
        match=rf"d\.png holds values up to {most} of 65535, .* {bits} bits .* by {factor}\.",
    ):
        found = images.read(tmp_path / "d.png")
    assert float(found.x.max()) == pytest.approx(2 * most / (2**bits - 1) - 1)
    images.write(tmp_path / "e.png", found)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "e.png")), values)


RAMP = np.linspace(0, 1, 48).reshape(6, 8)


def tiff(path: Path, values: np.ndarray, tags: dict[int, int]) -> Path:
    """Write an uncompressed TIFF of one channel with tags that Pillow does not write."""
    content = values.tobytes()
    known = {
        256: values.shape[1],
        257: values.shape[0],
        258: 16,
        259: 1,
        262: 1,
        273: 8,
        277: 1,
        278: values.shape[0],
    }
    entries = sorted((known | {279: len(content)} | tags).items())
    blocks = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    end = struct.pack("<H", len(entries)) + blocks + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(content)) + content + end)
    return path


def deep(values: np.ndarray, most: int = 65535) -> np.ndarray:
    return (values * most).round().astype(np.uint16)


def bits_of_12(values: np.ndarray) -> np.ndarray:
    """Pack two numbers of 12 bits into three bytes."""
    pairs = deep(values, 4095).reshape(-1, 2).astype(np.uint32)
    joined = pairs[:, 0] << 12 | pairs[:, 1]
    return np.stack([joined >> 16, joined >> 8 & 255, joined & 255], -1).astype(np.uint8)


#: One ramp in every kind of file, and how to write it.
RAMPS = {
    "8 bits.png": lambda p: Image.fromarray((RAMP * 255).round().astype(np.uint8)).save(p),
    "colour.png": lambda p: Image.fromarray(
        np.stack([(RAMP * 255).round().astype(np.uint8)] * 3, -1)
    ).save(p),
    "16 bits.png": lambda p: Image.fromarray(deep(RAMP)).save(p),
    "16 bits.tif": lambda p: Image.fromarray(deep(RAMP)).save(p),
    "10 of 16 bits.png": lambda p: Image.fromarray(deep(RAMP, 1023)).save(p),
    "12 of 16 bits.tif": lambda p: Image.fromarray(deep(RAMP, 4095)).save(p),
    "32 bits.tif": lambda p: Image.fromarray(deep(RAMP).astype(np.int32)).save(p),
    "float.tif": lambda p: Image.fromarray(RAMP.astype(np.float32)).save(p),
    "white is zero.tif": lambda p: tiff(p, deep(1 - RAMP), {262: 0}),
    "float, white is zero.tif": lambda p: tiff(
        p, (1 - RAMP).astype("<f4"), {258: 32, 262: 0, 339: 3}
    ),
    "12 bits.tif": lambda p: tiff(
        p, bits_of_12(RAMP).reshape(6, 12), {256: 8, 257: 6, 258: 12, 278: 6}
    ),
    "1023.pgm": lambda p: p.write_bytes(
        b"P5 8 6 1023\n" + deep(RAMP, 1023).astype(">u2").tobytes()
    ),
    "10 bits, white is zero.tif": lambda p: tiff(p, deep(1 - RAMP, 1023), {262: 0}),
}


@pytest.mark.filterwarnings("ignore:.*holds values up to")
@pytest.mark.parametrize("name", RAMPS)
def test_every_kind_of_file_is_read_alike_by_all(tmp_path: Path, name: str) -> None:
    """To restore, to train, as data of a benchmark, as a mask and as a kernel."""
    RAMPS[name](tmp_path / name)
    expected = torch.from_numpy(RAMP).float()
    restored = images.to_unit(images.read(tmp_path / name).x)[0]
    trained = photographs.read_image(tmp_path / name).transpose(2, 0, 1) / 255
    tested = images.to_unit(read_sized(tmp_path / name, 0, 0))[0]
    for found in (restored, torch.from_numpy(trained), tested):
        torch.testing.assert_close(found.float(), expected.expand_as(found), rtol=0, atol=1 / 255)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.equal(images.read_mask(tmp_path / name), (expected <= 0.5).float())
    numbers = images.read_numbers(tmp_path / name)
    assert np.abs(numbers / numbers.max() - RAMP).max() < (
        0.5 / 255 if "10 bits, white" not in name else 1
    )


#: Files that hold what is no picture, by what is said of them.
NOT_PICTURES = {
    "nan.tif": (np.array([[0.5, np.nan]], np.float32), "holds 1 values that are no numbers"),
    "hounsfield.tif": (np.array([[-1000, 3000]], np.int32), "holds values from -1000 to 3000"),
    "0 to 255.tif": (np.array([[0, 255]], np.float32), "holds values from 0 to 255"),
    "0 and 1.png": (np.array([[0, 1]], np.uint8), "holds 0 and 1 of 255"),
    "0 and 1, colour.png": (np.ones((2, 2, 3), np.uint8), "holds 0 and 1 of 255"),
    "0 and 1, 16.png": (np.array([[0, 1]], np.uint16), "holds 0 and 1 of 65535"),
}


@pytest.mark.parametrize("name", NOT_PICTURES)
def test_numbers_that_are_no_picture_are_told_by_all(tmp_path: Path, name: str) -> None:
    values, said = NOT_PICTURES[name]
    Image.fromarray(values).save(tmp_path / name)
    for reader in (
        images.read,
        photographs.read_image,
        images.read_mask,
        lambda p: read_sized(p, 0, 0),
    ):
        with pytest.raises(ValueError, match=rf"{name} {said}"):
            reader(tmp_path / name)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (b"<svg xmlns=", "SVG"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"\x93NUMPY\1\0", "NumPy"),
        (b"II*\0\x08\0\0\0\0\0", "a TIFF of a kind that cannot be read"),
    ],
)
def test_pictures_of_other_formats_are_named(tmp_path: Path, start: bytes, said: str) -> None:
    (tmp_path / "x.png").write_bytes(start + bytes(200))
    with pytest.raises(ValueError, match=rf"x\.png is .*{said}.* save"):
        images.read(tmp_path / "x.png")


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without its AVIF plugin")
def test_avif_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (24, 16), (200, 100, 50)).save(tmp_path / "a.avif")
    x = images.read(tmp_path / "a.avif").x
    assert x.shape == (1, 3, 16, 24)
    assert images.to_unit(x).mean((0, 2, 3)).mul(255).round().tolist() == pytest.approx(
        [200, 100, 50], abs=3
    )


def test_raw_file_is_read_by_its_preview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rawpy itself is optional, and stands here for its two calls."""
    preview = io.BytesIO()
    Image.new("RGB", (24, 16)).save(preview, "JPEG")

    class Raw:
        def __enter__(self) -> "Raw":
            return self

        def __exit__(self, *_: object) -> None: ...

        def extract_thumb(self) -> SimpleNamespace:
            return SimpleNamespace(format="jpeg", data=preview.getvalue())

    rawpy = SimpleNamespace(imread=lambda path: Raw(), ThumbFormat=SimpleNamespace(JPEG="jpeg"))
    monkeypatch.setitem(sys.modules, "rawpy", rawpy)
    (tmp_path / "a.DNG").write_bytes(b"II*\0" + bytes(100))
    assert images.read(tmp_path / "a.DNG").size == (16, 24)


def test_raw_file_without_a_reader_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    (tmp_path / "a.dng").write_bytes(b"II*\0" + bytes(100))
    with pytest.raises(ValueError, match=r"raw file, whose preview needs rawpy: pip install"):
        images.read(tmp_path / "a.dng")


@pytest.mark.parametrize("source", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("target", [".png", ".jpg", ".webp", ".tif"])
def test_notes_go_from_every_format_to_every_other(
    tmp_path: Path, source: str, target: str
) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 6
    exif[0x8769] = {0x829A: 0.01}
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 300.0, 2
    profile = b"a profile " * 20
    first = with_notes(
        tmp_path / f"a{source}", dpi=(300, 300), exif=exif.tobytes(), icc_profile=profile
    )
    images.write(tmp_path / f"b{target}", images.read(first))
    with Image.open(tmp_path / f"b{target}") as kept:
        assert kept.size == (4, 6) and kept.info["icc_profile"] == profile
        notes = kept.getexif()
        assert notes[0x010F] == "a camera" and notes.get(0x0112, 1) == 1
        assert float(notes.get_ifd(0x8769)[0x829A]) == pytest.approx(0.01)
    assert images.read(tmp_path / f"b{target}").dpi == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize(
    "exif", [b"\x00\x08\x00\x02\x01\x12", b"Exif\x00\x00II*\x00\xff\xff\xff\x7f", b"Exif\0\0MM"]
)
def test_malformed_notes_are_no_damage_in_any_format(
    tmp_path: Path, suffix: str, exif: bytes
) -> None:
    first = with_notes(tmp_path / f"a{suffix}", exif=exif)
    for reader in (images.read, photographs.read_image, lambda p: read_sized(p, 0, 0)):
        reader(first)
    images.write(tmp_path / "b.jpg", images.read(first))


def test_notes_too_long_for_a_format_do_not_cost_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 100_000
    images.write(tmp_path / "b.jpg", images.read(with_notes(tmp_path / "a.png", exif=exif)))
    assert images.read(tmp_path / "b.jpg").size == (4, 6)


def test_grey_of_16_bits_keeps_its_transparent_number(tmp_path: Path) -> None:
    # Pillow 10.1 does not write it.
    header, row = struct.pack(">IIBBBBB", 2, 1, 16, 0, 0, 0, 0), struct.pack(">BHH", 0, 0, 40000)
    (tmp_path / "a.png").write_bytes(_png(header, zlib.compress(row), transparent=b"\0\0"))
    alpha = images.read(tmp_path / "a.png").alpha
    assert alpha is not None and alpha.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(("name", "size"), [("a.webp", (10, 16384)), ("a.jpg", (70000, 1))])
def test_sides_that_a_format_cannot_hold_are_refused_before_any_work(
    tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match=r"this format ends at \d+ a side\. Use a PNG: -o "):
        images.check_output(tmp_path / name, size=size)
    images.check_output(tmp_path / "a.png", size=size)


def sprite(path: Path) -> Path:
    """Write a yellow disk of soft rim on nothing, under which black hides."""
    y, x = np.mgrid[:32, :32] - 15.5
    alpha = np.clip(10 - np.hypot(y, x), 0, 1)
    colours = np.where(alpha[..., None] > 0, [250, 220, 60], 0)
    Image.fromarray(np.dstack([colours, alpha * 255]).round().astype(np.uint8)).save(path)
    return path


def test_what_hides_under_transparent_pixels_is_seen_by_no_reader(tmp_path: Path) -> None:
    path = sprite(tmp_path / "s.png")
    yellow = torch.tensor([250.0, 220.0, 60.0])[:, None, None]
    assert float((images.to_unit(images.load(path))[0] * 255 - yellow).abs().max()) < 0.01
    for seen in (
        photographs.read_image(path),
        (images.to_unit(read_sized(path, 0, 0))[0] * 255).permute(1, 2, 0),
    ):
        assert (
            float(torch.as_tensor(seen)[..., 0].min()) > 249
        )  # on white: nothing is darker than the sprite


def test_colours_under_full_transparency_do_not_leak(tmp_path: Path) -> None:
    """What hides there becomes like its visible neighbours; what is seen stays."""
    sprite = np.zeros((9, 13, 4), np.uint8)
    sprite[2:6, 3:8] = [250, 220, 60, 255]
    sprite[4, 3] = [200, 100, 50, 128]
    Image.fromarray(sprite).save(tmp_path / "s.png")
    found = images.read(tmp_path / "s.png")
    assert found.alpha is not None
    pixels = (
        (images.to_unit(images.without_hidden(found.x, found.alpha)[0]) * 255)
        .permute(1, 2, 0)
        .numpy()
    )
    hidden = sprite[..., 3] == 0
    assert np.abs(pixels[~hidden] - sprite[~hidden][:, :3]).max() < 0.01
    assert (np.abs(pixels[hidden] - [250, 220, 60]).max(axis=0) < [30, 80, 10]).all()


def test_picture_that_is_wholly_transparent_stays_as_it_is() -> None:
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images.without_hidden(x, torch.zeros(4, 4)), x)


def test_postscript_is_never_handed_to_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow would run Ghostscript on it, whatever the file is named."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "x.png").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    )
    readers = (
        images.read, photographs.read_image, images.read_mask, images.read_kernel,
        lambda p: read_sized(p, 0, 0),
        editor_image, lambda p: Gallery(None, None)._encode(p, ""), pixels_of,
        # type: ignore[arg-type]
    )  # fmt: skip
    for reader in readers:
        with pytest.raises(
            ValueError, match=r"x\.png is no picture that can be read: it is PostScript"
        ):
            reader(tmp_path / "x.png")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_that_are_no_colours_are_not_written(tmp_path: Path, value: float) -> None:
    """NaN became arbitrary colours without a word."""
    x = torch.zeros(3, 4, 4)
    x[1, 2, 3] = value
    for write in (images.save, lambda path, x: images.write(path, images.Picture(x[None]))):
        with pytest.raises(ValueError, match=r"1 of 48 values of the picture .* NaN or"):
            write(tmp_path / "a.png", x)
    assert not list(tmp_path.iterdir())
