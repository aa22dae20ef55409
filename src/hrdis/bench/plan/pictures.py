"""The pictures of a benchmark: which they are, and their scaling to one size."""

from dataclasses import dataclass, replace
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ... import images
from ...priors.base import Prior
from ..records import ADDED

if TYPE_CHECKING:
    from PIL import Image

#: Photographs of the package, in the order in which a limit takes them.
PACKAGE_PICTURES = (
    "chelsea.png", "astronaut.jpg", "china.jpg", "coffee.jpg", "flower.jpg", "rocket.jpg",
    "retina.jpg", "hubble.jpg",
)  # fmt: skip

#: (name for people, path, class) of each picture.
FileList = list[tuple[str, Path, int | None]]


@dataclass(frozen=True)
class DataPicture:
    """A picture of the data.

    Args:
        name: its path in the data, for people.
        path: its file.
        sha256: hash of the file.
        index: its place in the whole list, whatever part of it is used; it chooses a random mask.
        label: its class, where a list says so.
        mask_sha256: hash of the file of its mask, if one was given.
        mask_number: number of its mask in that file, if the file is a packed one.
        measured_sha256: hash of the file of its measurement, if one was given.
    """

    name: str
    path: Path
    sha256: str
    index: int
    label: int | None = None
    mask_sha256: str | None = None
    mask_number: int | None = None
    measured_sha256: str | None = None

    def fields(self, has_mask: bool) -> dict[str, Any]:
        """Return the fields of a run task that name the picture, its mask if the task has one, and
        its measurement.
        """
        return {
            "image": self.name,
            "image_sha256": self.sha256,
            "index": self.index,
            "mask_sha256": self.mask_sha256 if has_mask else None,
            "mask_number": self.mask_number if has_mask else None,
            "measured_sha256": self.measured_sha256,
        }

    def record(self) -> dict[str, Any]:
        """Return the entry of `config.json`, which holds no path of this machine."""
        record = {
            "name": self.name, "sha256": self.sha256, "index": self.index, "label": self.label,
        }  # fmt: skip
        # Folders of earlier versions, which knew no such files, are continued.
        for name in ADDED:
            if getattr(self, name) is not None:
                record[name] = getattr(self, name)
        return record


def package_folder() -> Path:
    """Return the folder of the photographs that come with the package."""
    return Path(str(resources.files("hrdis") / "pictures"))


def find_pictures(
    folder: Path | None = None, listed: Path | None = None, limit: int | None = None
) -> list[DataPicture]:
    """Return the pictures to use, hashed.

    Args:
        folder: searched with its subfolders, sorted by path; None for the photographs of the
            package.
        listed: lines ``wnid/file label`` (ImageNet's form; the label may be left out), files
            relative to the folder, where they may also lie without their ``wnid/``. They are taken
            in the order of the lines.
        limit: number of pictures, the first ones.

    Raises:
        ValueError: for a folder without pictures, a list that cannot be read, or a file that is
            missing or damaged.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"The limit is {limit}. At least one picture is expected: --limit 1")
    if folder is None:
        if listed is not None:
            raise ValueError(
                f"{listed} lists files of a folder that is not given. A folder is expected: --data "
                "FOLDER"
            )
        own = package_folder()
        files: FileList = [(name, own / name, None) for name in PACKAGE_PICTURES]
    elif not folder.is_dir():
        what = "is a file" if folder.is_file() else "does not exist"
        raise ValueError(f"{folder} {what}. A folder of pictures is expected: --data FOLDER")
    elif listed is None:
        paths = images.pictures_in(folder)
        if not paths:
            raise ValueError(
                f"There is no picture in {folder}. Files ending in {', '.join(images.SUFFIXES)} "
                "are expected there or in its subfolders: --data FOLDER"
            )
        files = [(path.relative_to(folder).as_posix(), path, None) for path in paths]
    else:
        files = _files_of_list(folder, listed)
    pictures = []
    for index, (name, path, label) in enumerate(files[:limit]):
        # Decoded once, so that a damaged file is refused now and not after hours of work.
        with images.open_image(path):
            pass
        pictures.append(DataPicture(name, path, file_sha256(path), index, label))
    return pictures


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    return sha256(path.read_bytes()).hexdigest()


def _files_of_list(folder: Path, listed: Path) -> FileList:
    try:
        lines = listed.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"The list {listed} cannot be read ({error}). Lines 'wnid/file label' are expected: "
            "--list FILE"
        ) from None
    files: FileList = []
    for number, line in enumerate(lines, 1):
        name, _, label = line.strip().rpartition(" ")
        if not name:
            name, label = label, ""
        if not name:
            continue
        if label and not label.isdigit():
            raise ValueError(
                f"Line {number} of {listed} is {line!r}. 'wnid/file label' is expected, label a "
                "number."
            )
        path = folder / name
        if not path.is_file():
            path = folder / Path(name).name  # ImageNet's validation set unpacks into one folder
        if not path.is_file():
            raise ValueError(
                f"{name}, line {number} of {listed}, is not in {folder}. The folder of the list's "
                "files is expected: --data FOLDER"
            )
        files.append((name, path, int(label) if label else None))
    if not files:
        raise ValueError(
            f"The list {listed} is empty. Lines 'wnid/file label' are expected: --list FILE"
        )
    return files


def read_sized(path: Path, size: int, crop: int) -> Tensor:
    """Read a picture as guided-diffusion does (and thereby the papers): (1, 3, h, w) in [-1, 1], on
    the 256 levels.

    While the shorter side has twice the size or more, halve both with a box filter. Then scale the
    shorter side to the size with Pillow's bicubic filter (the other is rounded), and cut out the
    centre. EXIF rotations are not applied, as there.

    Args:
        path: of any mode; converted to RGB first, transparent ones on white.
        size: side of the result; 0 takes the picture as it is (FFHQ at 256 x 256).
        crop: side of the centre to cut out of that; 0 takes all of it.

    Raises:
        ValueError: if the file cannot be read, or is smaller than the crop.
    """
    pixels = images.decode(path, lambda image: np.asarray(_scaled_to_rgb(image, size)))
    if size:
        pixels = centre(pixels, size)
    if crop:
        if crop > min(pixels.shape[:2]):
            raise ValueError(
                f"{path} has {pixels.shape[0]} x {pixels.shape[1]} pixels, less than the crop of "
                f"{crop}. A smaller one is expected: --crop {min(pixels.shape[:2])}"
            )
        pixels = centre(pixels, crop)
    x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255
    return images.from_unit(x)[None]


def match_channels(x: Tensor, prior: Prior) -> Tensor:
    """Reduce pictures whose channels are equal to one channel for a prior of grey images; return
    all others as they are.
    """
    if prior.channels == (1,) and bool((x == x[:, :1]).all()):
        return x[:, :1]
    return x


def _scaled_to_rgb(image: "Image.Image", size: int) -> "Image.Image":
    from PIL.Image import Resampling

    on_white = replace(images.from_pil(image).on_white(), bits=8)
    image = images.to_pil(on_white).convert("RGB")
    if not size:
        return image
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Resampling.BOX)
    scale = size / min(image.size)
    w, h = round(image.width * scale), round(image.height * scale)
    # A picture of 64 000 000 x 1 pixels passes the reader and would take terabytes here.
    if w * h > images.MAX_PIXELS:
        raise ValueError(
            f"A picture of {image.width} x {image.height} pixels has {w} x {h} where its shorter "
            f"side has {size}. At most {images.MAX_PIXELS // 1_000_000} megapixels are expected: "
            "crop it first."
        )
    return image.resize((w, h), Resampling.BICUBIC)


def centre(pixels: "np.ndarray[Any, Any]", side: int) -> "np.ndarray[Any, Any]":
    """Return the middle of pixels (h, w, c), a square of a side that is not larger than they."""
    height, width = pixels.shape[:2]
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]
