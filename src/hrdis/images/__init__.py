"""Pictures on disk and tensors: the only place, with metrics and screens, where [0, 1] and 0..255
exist.

Files of any mode become (1, c, h, w) in [-1, 1] and go back as they came. Grey stays grey.
Transparency, 16 bits per number, colour profile, resolution and EXIF are kept, and EXIF
rotation is applied. Files are written whole or not at all. One reader, `open_image`, serves
restoring, masks, kernels, training and benchmarks.
"""

from ..files import write_atomically as write_atomically
from . import records
from .arrays import ARRAYS, check_pixels, plain_array, read_array
from .base import Picture, from_unit, to_pil, to_unit, without_hidden
from .errands import (
    Errand,
    check_distinct,
    into_folder,
    named_pictures,
    pictures_in,
    written_as,
)
from .given import from_python
from .masks import read_kernel, read_mask, read_palette_mask
from .notes import upright
from .opening import ALSO_READ, FORMATS, MAX_PIXELS, decode, open_image
from .reading import KINDS, from_pil, load, read, read_numbers
from .writing import (
    LONGEST,
    SUFFIXES,
    check_folder,
    check_output,
    require_finite,
    save,
    write,
    write_pil,
)

__all__ = [
    "ALSO_READ", "ARRAYS", "FORMATS", "KINDS", "LONGEST", "MAX_PIXELS", "SUFFIXES", "Errand",
    "Picture", "check_distinct", "check_folder", "check_output", "check_pixels", "decode",
    "from_pil", "from_python", "from_unit", "into_folder", "load", "named_pictures", "open_image",
    "pictures_in", "plain_array", "read", "read_array", "read_kernel", "read_mask", "read_numbers",
    "read_palette_mask", "records", "require_finite", "save", "to_pil", "to_unit", "upright",
    "without_hidden", "write", "write_atomically", "write_pil", "written_as",
]  # fmt: skip
