"""Colours of 16 bits: Pillow keeps their upper bytes when it reads them, and writes 8 bits.

To read, a file is decoded twice. For one number in two bytes Pillow has decoders for either order
of the bytes, and takes the upper one. With the wrong order it takes the lower one.

To write, Pillow makes a file with all that stands beside the pixels, and the pixels are put in.
"""

import struct
import sys
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

#: Pillow's decoders by the order of the bytes: largest first, smallest first, or the machine's.
LARGEST_FIRST, SMALLEST_FIRST, NATIVE = ";16B", ";16L", ";16N"
#: Decoders of colours that come in each order.
COLOURS = ("RGB", "RGBA", "RGBX")
#: Pillow's mode by the number of channels, and the colour type of a PNG.
MODES, COLOUR_TYPES = {2: "LA", 3: "RGB", 4: "RGBA"}, {2: 4, 3: 2, 4: 6}
PNG_MARK = b"\x89PNG\r\n\x1a\n"
UP = 2  # the filter of a PNG that takes the row above off each row
IMAGE_WIDTH, BITS_PER_SAMPLE = 256, 258  # tags of a TIFF
SHORT = 3  # the type of a TIFF's numbers of 16 bits


def decoder_of(image: "Image.Image") -> str:
    """Return the name of the decoder that is about to unpack a picture; "" for one in memory."""
    tile = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else ""
    name = arguments[0] if isinstance(arguments, tuple | list) and arguments else arguments
    return name if isinstance(name, str) else ""


def has_two_bytes(image: "Image.Image") -> bool:
    """Return True for colours of 16 bits, opened and not yet decoded."""
    colours, _, order = decoder_of(image).partition(";")
    return colours in COLOURS and f";{order}" in (LARGEST_FIRST, SMALLEST_FIRST, NATIVE)


def decode_lower_bytes(image: Any) -> None:
    """Decode a picture that `has_two_bytes` to the lower bytes of its numbers."""
    colours, _, order = decoder_of(image).partition(";")
    largest_first = f";{order}" == LARGEST_FIRST
    if f";{order}" == NATIVE:
        largest_first = sys.byteorder == "big"
    wrong = colours + (SMALLEST_FIRST if largest_first else LARGEST_FIRST)
    tiles = []
    for tile in image.tile:
        codec, extents, offset, arguments = tile
        arguments = wrong if isinstance(arguments, str) else (wrong, *arguments[1:])
        named = getattr(tile, "_make", tuple)  # a named tuple since Pillow 11
        tiles.append(named((codec, extents, offset, arguments)))
    image.tile = tiles
    image.load()


def joined(upper: "Image.Image", lower: "Image.Image") -> np.ndarray:
    """Return colours of 16 bits, (h, w, c) of uint16, from their upper and lower bytes."""
    return np.asarray(upper).astype(np.uint16) << 8 | np.asarray(lower)


def write_deep(file: IO[bytes], numbers: np.ndarray, form: str, notes: dict[str, Any]) -> None:
    """Write numbers of 16 bits as a PNG or an uncompressed TIFF.

    Args:
        file: takes the content.
        numbers: (h, w, c) of uint16; grey with transparency, or colours with it or without.
        form: "png" or "tiff".
        notes: what Pillow takes for such a file beside the pixels.
    """
    file.write(_png(numbers, notes) if form == "png" else _tiff(numbers, notes))


def _png(numbers: np.ndarray, notes: dict[str, Any]) -> bytes:
    """Return a PNG of numbers (h, w, c) of uint16."""
    from PIL import Image

    h, w, c = numbers.shape
    small = BytesIO()
    Image.new(MODES[c], (1, 1)).save(small, format="png", **notes)
    rows = numbers.astype(">u2", order="C").view(np.uint8).reshape(h, 2 * w * c)
    filtered = np.full((h, 1 + 2 * w * c), UP, np.uint8)
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]  # modulo 256, as the format has it
    parts = [PNG_MARK]
    for kind, content in chunks(small.getvalue()):
        if kind == b"IHDR":
            content = struct.pack(">IIBBBBB", w, h, 16, COLOUR_TYPES[c], 0, 0, 0)
        elif kind == b"IDAT":
            content = zlib.compress(filtered.tobytes())
        parts += [struct.pack(">I", len(content)), kind, content]
        parts.append(struct.pack(">I", zlib.crc32(kind + content)))
    return b"".join(parts)


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the content of each chunk of a PNG."""
    at = len(PNG_MARK)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12  # the length, the name and a check sum have four bytes each


def _tiff(numbers: np.ndarray, notes: dict[str, Any]) -> bytes:
    """Return a TIFF of numbers (h, w, c) of uint16.

    Their bytes are those of a picture of 8 bits that is twice as wide. Pillow writes that one, and
    two tags are set right.
    """
    from PIL import Image

    h, w, c = numbers.shape
    bytes_ = numbers.astype("<u2", order="C").view(np.uint8).reshape(h, 2 * w, c)
    file = BytesIO()
    Image.fromarray(bytes_).save(file, format="tiff", **notes)
    content = bytearray(file.getvalue())
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    for at in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from("<HHI", content, at)
        if tag == IMAGE_WIDTH:
            struct.pack_into("<H" if kind == SHORT else "<I", content, at + 8, w)
        elif tag == BITS_PER_SAMPLE:
            place = at + 8 if 2 * values <= 4 else struct.unpack_from("<I", content, at + 8)[0]
            struct.pack_into(f"<{values}H", content, place, *[16] * values)
    return bytes(content)
