"""A folder of photographs: which files it holds, under which licences, and what can be read of
them.
"""

import csv
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .. import images
from ..rng import stream
from .crops import Pyramid, at_all_scales, resized

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
HELD_OUT_SHARE, HELD_OUT_MOST = 0.03, 8


def find_images(folder: Path, licences: Sequence[str] = ()) -> list[Path]:
    """List the image files under a folder, sorted by name.

    Args:
        folder: searched with all its subfolders.
        licences: if given, keep only files to which ``manifest.csv`` gives one of these licences.

    Raises:
        ValueError: if there is no folder, no image, or no manifest that could decide the licences.
    """
    if not folder.is_dir():
        raise ValueError(
            f"There is no folder {folder}. Give a folder of photographs (jpg, png, webp, tif, bmp)."
        )
    found = images.pictures_in(folder, sorted(SUFFIXES))
    if not found:
        raise ValueError(
            f"{folder} holds no images. Files ending in {', '.join(sorted(SUFFIXES))} were looked "
            "for, in all its subfolders. Give a folder of photographs."
        )
    if not licences:
        return found
    manifest = read_manifest(folder)
    if not manifest:
        raise ValueError(
            f"licences = {', '.join(licences)} was asked for, but there is no manifest.csv in "
            f"{folder} or its parent. A table with the columns file and licence is expected. Leave "
            "licences empty to use every image."
        )
    known = {row["licence"].strip().lower(): row["licence"] for row in manifest.values()}
    wanted = {name.strip().lower(): name for name in licences}
    unknown = [name for key, name in wanted.items() if key not in known]
    if unknown:
        raise ValueError(
            f"The manifest names no licence {', '.join(unknown)}. It has: "
            f"{', '.join(sorted(known.values()))}."
        )
    kept = []
    for path in found:
        licence = manifest.get(path.resolve(), {}).get("licence", "")
        if licence.strip().lower() in wanted:
            kept.append(path)
    if not kept:
        raise ValueError(f"No image in {folder} has one of the licences {', '.join(licences)}.")
    return kept


def read_manifest(folder: Path) -> dict[Path, dict[str, str]]:
    """Return the rows of ``manifest.csv``, beside the images or one folder up, by resolved path."""
    # One folder up, because a manifest often lists several folders, "train" and "test" say.
    for home in (folder, folder.resolve().parent):
        path = home / "manifest.csv"
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as lines:
                rows = list(csv.DictReader(lines))
            if rows and not {"file", "licence"} <= rows[0].keys():
                raise ValueError(
                    f"{path} has the columns {', '.join(rows[0])}. Columns 'file' and 'licence' "
                    "are expected."
                )
            return {(home / row["file"]).resolve(): row for row in rows}
    return {}


def read_image(path: Path, long_side: int | None = None) -> np.ndarray:
    """Read a picture as uint8 ``(h, w, 3)``, as `images.read` reads it; transparency is put on
    white.

    Args:
        path: the file.
        long_side: larger pictures are reduced to this long side.

    Raises:
        ValueError: if it cannot be read, as `images.read`.
    """
    # By the reader of `hrdis restore`, so that a prior learns pixels as it will be shown them.
    x = images.to_unit(images.read(path).on_white().x)[0]
    pixels = (x * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if long_side is not None and max(image.size) > long_side:
        image = resized(image, long_side / max(image.size))
    return np.asarray(image)


@dataclass(frozen=True)
class Photographs:
    """The photographs that were read from a folder.

    Args:
        files: the readable files, sorted.
        training: pyramid of the photographs that are trained on.
        held_out: a few photographs that are not, at full scale; the trainer measures itself on
            them.
        held_out_files: their names.
    """

    files: tuple[Path, ...]
    training: Pyramid
    held_out: tuple[np.ndarray, ...]
    held_out_files: tuple[Path, ...]


def load(
    folder: Path,
    *,
    licences: Sequence[str] = (),
    seed: int = 0,
    long_side: int = 960,
    most: int = 4000,
    memory: float = 16e9,
) -> Photographs:
    """Read a folder of photographs; a few of them, chosen by the seed, are held out.

    Args:
        folder: searched with all its subfolders.
        licences: see `find_images`.
        seed: decides which photographs are held out (3 %, at least one, at most eight).
        long_side: larger photographs are reduced to this long side.
        most: more photographs than this are not read; which ones is decided by the seed.
        memory: bytes that the photographs may take; reading ends before there are more.

    Raises:
        ValueError: if fewer than two images can be read.

    Cost:
        1.74 times 3 bytes a pixel, once, and the memory to decode one photograph: 4000 photographs
        of 960 x 720 take 14.4 GB.
    """
    files = find_images(folder, licences)
    if len(files) > most:
        chosen = stream(seed, "photographs").permutation(len(files))[:most]
        files, total = [files[i] for i in sorted(chosen)], len(files)
        warnings.warn(f"Of {total} images {most} are read, chosen by the seed.", stacklevel=2)
    pictures, readable, failures = _read_all(files, long_side, memory)
    unread = "; ".join(failures[:20]) or "none"
    if len(pictures) < 2:
        raise ValueError(
            f"{len(pictures)} of {len(files)} images in {folder} could be read, but at least 2 are "
            f"needed, one of which is held out. Not readable: {unread}. Add photographs or remove "
            "broken files."
        )
    if failures:
        warnings.warn(f"Left out, not readable: {unread}.", stacklevel=2)
    count = min(HELD_OUT_MOST, max(1, round(HELD_OUT_SHARE * len(pictures))))
    held = sorted(stream(seed, "held out").permutation(len(pictures))[:count].tolist())
    held_out = tuple(pictures[i][0] for i in held)
    for i in reversed(held):
        del pictures[i]
    # The queue alone holds the photographs, so that each is let go when it has been copied.
    return Photographs(
        files=tuple(readable),
        training=Pyramid.gather(pictures),
        held_out=held_out,
        held_out_files=tuple(readable[i] for i in held),
    )


def _read_all(
    files: Sequence[Path], long_side: int, memory: float
) -> tuple[deque[list[np.ndarray]], list[Path], list[str]]:
    """Read photographs, each at all scales, as long as there is memory for them.

    Returns:
        the photographs; their files; names and errors of those that cannot be read.
    """
    pictures: deque[list[np.ndarray]] = deque()
    readable, failures, doubts, taken = [], [], [], 0
    full = False
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        for path in files:
            try:
                levels = at_all_scales(read_image(path, long_side))
            except (OSError, ValueError) as error:
                failures.append(f"{path.name} ({error})")
                continue
            except MemoryError:  # of one picture, which does not end the others
                failures.append(f"{path.name} (it needs more memory than there is)")
                continue
            finally:  # a folder of scans may warn thousands of times: once is enough
                doubts += [str(warning.message) for warning in raised]
                raised.clear()
            size = sum(level.nbytes for level in levels)
            if taken + size > memory:
                full = True
                break
            taken += size
            pictures.append(levels)
            readable.append(path)
    if doubts:
        more = f" The same is true of {len(doubts) - 1} more." if len(doubts) > 1 else ""
        warnings.warn(doubts[0] + more, stacklevel=3)
    if full:
        warnings.warn(
            f"Of {len(files)} images the first {len(pictures)} are read: more would take over "
            f"memory = {memory / 1e9:g} GB. Give more, or a smaller long_side than {long_side}.",
            stacklevel=3,
        )
    return pictures, readable, failures
