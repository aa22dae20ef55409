"""Open picture files, here and nowhere else, with the readers of picture formats and no others.

Pillow goes by the content of a file and has readers one of which runs a program on what it is
given. Whatever is wrong with a file becomes one ``ValueError`` of one line.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .deep import decode_lower_bytes, decoder_of, has_two_bytes
from .notes import LOWER, MALFORMED, notes_of

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

#: What Pillow may take a file for, whatever its name. PostScript is not among them: Ghostscript
#: would run it. A phone's MPO is read as a JPEG.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
#: Endings of cameras' raw files. Their previews are read; Pillow would take a DNG for a TIFF, and
#: its smallest preview for the picture.
RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef")
#: Other endings that are read where a library for them is there; results are written as PNG.
ALSO_READ = (".avif", ".heic", ".heif", *RAW)
#: Larger pictures are refused before they are decoded (a small file can unpack to gigabytes).
MAX_PIXELS = 64_000_000
HEIC, AVIF = "a HEIC picture, as phones write", "an AVIF picture"
#: What people take for a picture that is read: where its mark lies, the mark, its name.
OTHERS = (
    (4, b"ftyphei", HEIC), (4, b"ftyphev", HEIC), (4, b"ftypmif1", HEIC), (4, b"ftypmsf1", HEIC),
    (4, b"ftypavi", AVIF), (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"), (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"%!PS", "PostScript"), (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"%PDF", "a PDF document"),
    (0, b"8BPS", "a Photoshop document"), (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML file, maybe an SVG drawing"),
    (0, b"gimp xcf", "a GIMP document"), (128, b"DICM", "a DICOM file"),
    (0, b"SIMPLE  =", "a FITS file"),
    (0, b"\x93NUMPY", "a NumPy array"), (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"v/1\x01", "an OpenEXR picture"), (0, b"#?RADIANCE", "a Radiance HDR picture"),
    (0, b"II*\0", "a TIFF of a kind"), (0, b"MM\0*", "a TIFF of a kind"),
    (0, b"II+\0", "a TIFF of a kind"),
)  # fmt: skip
#: Under these names an opened picture's ``info`` says what `from_pil` wants to know, and turning
#: would lose.
DEPTH, WHITE_IS_ZERO, FILE, NOTES = (
    "hrdis:depth",
    "hrdis:white is zero",
    "hrdis:file",
    "hrdis:notes",
)


@contextmanager
def open_image(source: str | Path | bytes) -> Iterator["Image.Image"]:
    """Open and decode a picture by its content, as one of ``FORMATS``; use it in a ``with``
    statement.

    Args:
        source: a file, or the content of one.

    Raises:
        ValueError: if the file is missing, empty, truncated, no picture, or larger than
            ``MAX_PIXELS``.

    Warns:
        UserWarning: of a file of several pictures, of which the first is taken.
    """
    from PIL import Image, UnidentifiedImageError

    path, start = _start(source)
    readers = [*FORMATS, *_more_formats(start)]
    if path.lower().endswith(RAW):
        source = _preview(path)
    too_large = f"{path} unpacks to over {MAX_PIXELS / 1e6:.0f} megapixels. Scale or crop it first."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd notes and large pictures
        try:
            image = Image.open(
                BytesIO(source) if isinstance(source, bytes) else source, formats=readers
            )
        except UnidentifiedImageError:
            if len(readers) > len(FORMATS):  # there is a reader, which found nothing to read
                raise ValueError(
                    f"{path} is {_name_of(start)} that cannot be decoded. It is truncated or "
                    "damaged: copy it again, or save or export it as a PNG or a JPEG."
                ) from None
            raise ValueError(f"{path} {_instead(start)}") from None
        except Image.DecompressionBombError:
            raise ValueError(too_large) from None
        except Exception as error:
            raise _damaged(path, error) from None
        with image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise ValueError(
                    f"{path} is {image.width} x {image.height}, {pixels / 1e6:.0f} megapixels. At "
                    f"most {MAX_PIXELS // 1_000_000} megapixels are expected. Scale or crop it "
                    "first."
                )
            try:
                lower = None
                if has_two_bytes(image):
                    again = BytesIO(source) if isinstance(source, bytes) else source
                    lower = Image.open(again, formats=[str(image.format)])
                    with lower:
                        decode_lower_bytes(lower)
                said, several = _load(image)
            except Image.DecompressionBombError:
                raise ValueError(too_large) from None
            except Exception as error:  # a decoder may raise anything on what is no picture
                raise _damaged(path, error) from None
    # It is closed by now and its pixels stay: Pillow 10.1 cannot close it twice.
    image.info.update(said | {FILE: path})
    if lower is not None:
        image.info[LOWER] = lower
    if several:
        warnings.warn(f"{path} holds several pictures; the first is taken.", stacklevel=3)
    yield image


def _start(source: str | Path | bytes) -> tuple[str, bytes]:
    """Return the name of a file for messages, and its first bytes.

    Raises:
        ValueError: if there is no such file, or nothing in it.
    """
    if isinstance(source, bytes):
        name, start = "The picture", source[:256]
    else:
        path, name = Path(source), str(source) or "''"
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise ValueError(
                f"{name} {what}. A picture file (PNG, JPEG, WebP, TIFF, BMP) is expected."
            )
        try:
            with path.open("rb") as file:
                start = file.read(256)
        except OSError as error:
            raise ValueError(f"{name} cannot be read ({error.strerror or error}).") from None
    if not start:
        raise ValueError(
            f"{name} is empty (0 bytes). A picture file is expected: copy or download it again."
        )
    return name, start


def _more_formats(start: bytes) -> list[str]:
    """Return the formats besides `FORMATS` that may read a file with this start, if any can."""
    name = _name_of(start)
    if name == AVIF:
        from PIL import features

        if features.check("avif"):
            return ["AVIF"]
    if name == HEIC:
        try:
            heif: Any = import_module("pillow_heif")  # optional
        except ImportError:
            return []
        heif.register_heif_opener(thumbnails=False)
        return ["HEIF"]
    return []


def _preview(path: str) -> bytes:
    """Return the JPEG that a camera put into its raw file.

    Raises:
        ValueError: if there is none, or rawpy, which finds it, is not installed.
    """
    try:
        rawpy: Any = import_module("rawpy")  # optional
    except ImportError:
        raise ValueError(
            f"{path} is a camera's raw file, whose preview needs rawpy: pip install "
            "'hrdis[photos]'. Or save or export it as a PNG or a JPEG."
        ) from None
    try:
        with rawpy.imread(path) as raw:
            thumb = raw.extract_thumb()
    except Exception as error:  # a decoder may raise anything on what is no picture
        raise _damaged(path, error) from None
    if thumb.format != rawpy.ThumbFormat.JPEG:
        raise ValueError(
            f"{path} is a camera's raw file without a JPEG preview. Save or export it as a PNG or "
            "a JPEG."
        )
    return bytes(thumb.data)


def decode(path: str | Path, convert: Callable[["Image.Image"], T]) -> T:
    """Open a picture and return what ``convert`` makes of it; errors as those of `open_image`."""
    with open_image(path) as image:
        return convert(image)


def _load(image: "Image.Image") -> tuple[dict[str | tuple[int, int], Any], bool]:
    """Decode a picture.

    Returns:
        what its file says and Pillow does not hand on: the depth of its numbers, whether 0 is
        white, its notes; and whether the file holds several pictures.
    """
    said: dict[str | tuple[int, int], Any] = {}
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        said[WHITE_IS_ZERO] = tags.get(262) == 0
        bits = tags.get(258, 8)
        said[DEPTH] = max(bits) if isinstance(bits, tuple) else int(bits)
    if image.format == "PNG" and decoder_of(image):
        said[DEPTH] = 16 if ";16" in decoder_of(image) else 8
    several = False
    if image.format != "MPO":  # of a phone, whose second one is no picture
        try:
            several = int(getattr(image, "n_frames", 1)) > 1
        except MALFORMED:  # the first one may be whole
            image.seek(0)
    # Pillow turns a TIFF while it loads, and forgets its notes.
    notes = notes_of(image) if image.format == "TIFF" else None
    image.load()
    said[NOTES] = notes_of(image) if notes is None else notes
    return said, several


def _name_of(start: bytes) -> str:
    """Return what a file with this start is, of `OTHERS`; "" if it is none of them."""
    for at, mark, name in OTHERS:
        if start[at : at + len(mark)] == mark:
            return name
    return ""


def _instead(start: bytes) -> str:
    """Say what a file is that is no picture of a known format."""
    formats = "PNG, JPEG, WebP, TIFF or BMP is expected, whatever the file is named"
    name = _name_of(start)
    if name == "a TIFF of a kind":
        return (
            "is a TIFF of a kind that cannot be read, or damaged. Grey or colours of 8 or 16 bits, "
            "or floating-point grey of 32 bits, are expected: save it as one of these, or as a "
            "PNG."
        )
    if name == HEIC:
        return (
            f"is no picture that can be read: it is {name}. {formats}: save or export it as a PNG "
            "or a JPEG, or install a reader: pip install 'hrdis[photos]'"
        )
    if name:
        return (
            f"is no picture that can be read: it is {name}. {formats}: save or export it as a PNG "
            "or a JPEG."
        )
    return f"is no picture that can be read. {formats}."


def _damaged(path: str, error: Exception) -> ValueError:
    said = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, MemoryError):
        return ValueError(f"{path} needs more memory than there is. Scale or crop it first.")
    return ValueError(
        f"{path} cannot be decoded ({said}). It is truncated or damaged: copy it again."
    )
