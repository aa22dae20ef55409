"""Metadata of picture files: camera notes (EXIF), resolution and colour profile.

A malformed block of them says nothing, and is no reason to refuse a picture.
"""

import contextlib
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

#: What Pillow raises when it reads a malformed block.
MALFORMED = (
    SyntaxError, OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    ArithmeticError,
    struct.error,
)  # fmt: skip
ORIENTATION, ACROSS, DOWN, UNIT = 0x0112, 0x011A, 0x011B, 0x0128
INCH, CENTIMETRE = 2, 3
#: Of the notes of a TIFF these alone are about the picture: description, camera, author, dates,
#: exposure, place. The others say where the pixels lie in the file.
ABOUT = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, 0x8769, 0x8825)
BLOCKS = (0x8769, 0x8825)  # exposure and place, which are blocks of their own
LONGEST = 65_000  # bytes of a JPEG's block
#: Under this name an opened picture's ``info`` has the lower bytes of colours of 16 bits.
LOWER = "hrdis:lower bytes"


def upright(image: "Image.Image") -> "Image.Image":
    """Return a picture turned as its EXIF says; a malformed EXIF block says nothing."""
    from PIL import ImageOps

    try:
        turned = ImageOps.exif_transpose(image)
        if turned is not image and LOWER in image.info:
            turned.info[LOWER] = ImageOps.exif_transpose(image.info[LOWER])
        return turned
    except MALFORMED:
        image.info.pop("exif", None)
        return image


def notes_of(image: "Image.Image") -> dict[str, Any]:
    """Return the EXIF of a picture without its rotation, and its resolution, where they can be
    read.
    """
    from PIL import Image

    notes: dict[str, Any] = {}
    try:
        exif = image.getexif()
    except MALFORMED:
        exif = None
    # Dots per inch across and down: those of the file, else those of the camera's notes.
    with contextlib.suppress(*MALFORMED):
        across, down = (float(value) for value in image.info["dpi"])
        if 1 < across < 1e5 and 1 < down < 1e5:
            notes["dpi"] = across, down
    if exif is None:
        return notes
    if "dpi" not in notes:
        with contextlib.suppress(*MALFORMED):
            per = {INCH: 1.0, CENTIMETRE: 2.54}[exif.get(UNIT, INCH)]
            across, down = (float(exif[tag]) * per for tag in (ACROSS, DOWN))
            if 1 < across < 1e5 and 1 < down < 1e5:
                notes["dpi"] = across, down
    kept = Image.Exif()
    with contextlib.suppress(*MALFORMED):
        for tag in set(exif) | set(BLOCKS):
            # Rotation and resolution go with the picture itself.
            if tag in (ORIENTATION, ACROSS, DOWN, UNIT):
                continue
            if image.format == "TIFF" and tag not in ABOUT:
                continue
            if tag not in BLOCKS:
                kept[tag] = exif[tag]
            elif block := exif.get_ifd(tag):
                kept[tag] = dict(block)
        content = kept.tobytes() if len(kept) else b""
        if 0 < len(content) <= LONGEST:
            notes["exif"] = content
    return notes


def with_resolution(exif: bytes | None, dpi: tuple[float, float] | None) -> bytes | None:
    """Return camera notes with the resolution among them, as those of a file that has no other
    place for it.
    """
    from PIL import Image

    if exif is None and dpi is None:
        return None
    notes = Image.Exif()
    if exif is not None:
        notes.load(exif)
    if dpi is not None:
        notes[ACROSS], notes[DOWN], notes[UNIT] = dpi[0], dpi[1], INCH
    return notes.tobytes()
