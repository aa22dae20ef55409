"""Colours of 16 bits, in and out."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from hrdis import images
from hrdis.rng import stream

H, W = 11, 14


def numbers(channels: int = 3, most: int = 65535) -> np.ndarray:
    """Numbers (h, w, c) with both bytes used, and white among them."""
    values = stream(0, "colours of 16 bits").integers(0, most + 1, (H, W, channels))
    values[0, 0] = most
    return values.astype(np.uint16)


def levels(picture: images.Picture) -> np.ndarray:
    """The numbers of a picture, (h, w, c), as a file of 16 bits has them."""
    x = images.to_unit(picture.x[0].double())
    if picture.alpha is not None:
        x = torch.cat([x, picture.alpha[None].double()])
    return (x * picture.white).round().permute(1, 2, 0).numpy().astype(np.uint16)


def png(path: Path, values: np.ndarray, transparent: bytes = b"", interlaced: int = 0) -> None:
    """Write a PNG without filters, apart from the code that is tested."""
    h, w, c = values.shape
    header = struct.pack(">IIBBBBB", w, h, 16, {2: 4, 3: 2, 4: 6}[c], 0, 0, interlaced)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    content = {b"IHDR": header, b"tRNS": transparent, b"IDAT": zlib.compress(rows), b"IEND": b""}
    made = b"\x89PNG\r\n\x1a\n"
    for kind, data in content.items():
        if data or kind == b"IEND":
            made += struct.pack(">I", len(data)) + kind + data
            made += struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(made)


#: Files that hold colours of 16 bits, and how another program writes them.
FILES: dict[str, Callable[[Path, np.ndarray], None]] = {
    "a.png": png,
    "small end.tif": lambda p, v: tifffile.imwrite(p, v, photometric="rgb", byteorder="<"),
    "big end.tif": lambda p, v: tifffile.imwrite(p, v, photometric="rgb", byteorder=">"),
    "packed.tif": lambda p, v: tifffile.imwrite(
        p, v, photometric="rgb", compression="zlib", predictor=True
    ),
    "packed, big end.tif": lambda p, v: tifffile.imwrite(
        p, v, photometric="rgb", compression="zlib", byteorder=">"
    ),
    "strips.tif": lambda p, v: tifffile.imwrite(p, v, photometric="rgb", rowsperstrip=3),
}


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("name", FILES)
def test_every_number_is_read_as_it_is(tmp_path: Path, name: str, channels: int) -> None:
    values = numbers(channels)
    FILES[name](tmp_path / name, values)
    found = images.read(tmp_path / name)
    assert (found.bits, found.white) == (16, 65535)
    assert np.array_equal(levels(found), values)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_every_number_is_written_as_it_is(tmp_path: Path, suffix: str, channels: int) -> None:
    values = numbers(channels)
    x = torch.from_numpy(values.astype(np.float64) / 65535).permute(2, 0, 1)
    colours = 3 if channels > 2 else 1
    alpha = x[-1].float() if channels in (2, 4) else None
    made = images.Picture(images.from_unit(x[:colours]).float()[None], alpha, 16)
    images.write(tmp_path / f"a{suffix}", made)
    reader = tifffile.imread if suffix == ".tif" else decoded
    assert np.array_equal(reader(tmp_path / f"a{suffix}"), values)


def decoded(path: Path) -> np.ndarray:
    """Undo a PNG's filters row by row, as its standard has it: none, or the row above."""
    content = path.read_bytes()
    at, packed, header = 8, b"", b""
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        (said,) = struct.unpack_from(">I", content, at + 8 + length)
        assert said == zlib.crc32(kind + data)
        header = data if kind == b"IHDR" else header
        packed += data if kind == b"IDAT" else b""
        at += length + 12
    w, h, depth, kind_of_colour = struct.unpack(">IIBB", header[:10])
    assert depth == 16
    channels = {4: 2, 2: 3, 6: 4}[kind_of_colour]
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(h, -1)
    above = np.zeros(rows.shape[1] - 1, np.uint8)
    found = []
    for row in rows:
        assert row[0] in (0, 2)
        above = row[1:] + above if row[0] == 2 else row[1:]
        found.append(np.ascontiguousarray(above).view(">u2").reshape(w, channels))
    return np.stack(found)


@pytest.mark.parametrize("channels", [3, 4])
def test_numbers_of_an_array_stay(channels: int) -> None:
    values = numbers(channels)
    found = images.from_python(values)
    assert found.bits == 16 and np.array_equal(levels(found), values)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_notes_go_with_the_numbers(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    profile = b"a profile" * 20
    x = images.from_unit(torch.rand(1, 3, H, W, generator=torch.Generator().manual_seed(0)))
    made = images.Picture(x, None, 16, profile, exif.tobytes(), (300.0, 200.0))
    images.write(tmp_path / f"a{suffix}", made)
    found = images.read(tmp_path / f"a{suffix}")
    assert found.icc == profile and found.dpi == pytest.approx((300, 200), rel=1e-4)
    assert found.exif is not None and b"A camera" in found.exif


@pytest.mark.parametrize("name", ["a.png", "small end.tif"])
def test_rotation_turns_both_bytes(tmp_path: Path, name: str) -> None:
    """A camera that was held upright notes it, and leaves the pixels as they are."""
    values = numbers()
    path = tmp_path / name
    if name == "a.png":
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (1, 1)).save(tmp_path / "small.png", exif=exif)
        png(path, values)
        note = (tmp_path / "small.png").read_bytes()
        start = note.index(b"eXIf") - 4
        (length,) = struct.unpack_from(">I", note, start)
        whole = path.read_bytes()
        at = whole.index(b"IDAT") - 4
        path.write_bytes(whole[:at] + note[start : start + length + 12] + whole[at:])
    else:
        tifffile.imwrite(path, values, photometric="rgb", extratags=[(0x0112, 3, 1, 6, True)])
    assert np.array_equal(levels(images.read(path)), np.rot90(values, -1))


def test_colour_that_stands_for_nothing_is_compared_in_both_bytes(tmp_path: Path) -> None:
    values = np.array([[[256, 512, 768], [257, 512, 768]]], np.uint16)
    png(tmp_path / "a.png", values, transparent=struct.pack(">HHH", 256, 512, 768))
    with pytest.warns(UserWarning, match="holds values up to 768"):
        alpha = images.read(tmp_path / "a.png").alpha
    assert alpha is not None and alpha.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_data_of_10_bits_keeps_its_numbers(tmp_path: Path, suffix: str) -> None:
    values = numbers(most=1023)
    FILES["a.png" if suffix == ".png" else "small end.tif"](tmp_path / f"a{suffix}", values)
    with pytest.warns(UserWarning, match=r"holds values up to 1023 .* as data of 10 bits does"):
        found = images.read(tmp_path / f"a{suffix}")
    assert float(found.x.max()) == 1
    images.write(tmp_path / f"b{suffix}", found)
    with pytest.warns(UserWarning, match="holds values up to 1023"):
        assert np.array_equal(levels(images.read(tmp_path / f"b{suffix}")), values)


def test_formats_of_8_bits_get_8_bits(tmp_path: Path) -> None:
    png(tmp_path / "a.png", numbers())
    images.write(tmp_path / "b.bmp", images.read(tmp_path / "a.png"))
    assert images.read(tmp_path / "b.bmp").bits == 8


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_restored_colours_have_16_bits_again(tmp_path: Path, suffix: str) -> None:
    """The pixels outside of a hole are those of the file, number for number."""
    smooth = np.linspace(0, 65535, H * W * 3).round().astype(np.uint16).reshape(H, W, 3)
    FILES["a.png" if suffix == ".png" else "small end.tif"](tmp_path / f"a{suffix}", smooth)
    hole = np.zeros((H, W), np.uint8)
    hole[4:7, 5:9] = 255
    Image.fromarray(hole).save(tmp_path / "hole.png")
    command = [sys.executable, "-m", "hrdis", "restore", f"a{suffix}", "--task", "inpaint"]
    command += ["--mask", "hole.png", "-o", f"b{suffix}", "--effort", "low"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = levels(images.read(tmp_path / f"b{suffix}"))
    assert np.array_equal(found[hole == 0], smooth[hole == 0])
