"""A folder of photographs, read once into three scales, and the crops that training draws from it.

Photographs are only ever made smaller: an enlarged picture is blurred, and a prior trained on it would
learn to blur. All randomness comes from the generator that the caller hands in.
"""

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..rng import stream

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
SCALES = ((1.0, 1.0), (0.7, 0.6), (0.5, 0.4))  # scale, weight
HELD_OUT_SHARE, HELD_OUT_MOST = 0.03, 8
FLAT = 4.0  # standard deviation, of 255


def find_images(folder: Path, licences: Sequence[str] = ()) -> list[Path]:
    """List the image files under a folder, sorted by name.

    Args:
        folder: searched with all its subfolders.
        licences: if given, keep only files to which ``manifest.csv`` gives one of these licences.

    Raises:
        ValueError: if there is no folder, no image, or no manifest that could decide the licences.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}. Give a folder of photographs (jpg, png, webp, tif, bmp).")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise ValueError(
            f"{folder} holds no images. Files ending in {', '.join(sorted(SUFFIXES))} were looked for, "
            "in all its subfolders. Give a folder of photographs."
        )
    return _with_licence(folder, found, licences) if licences else found


def read_manifest(folder: Path) -> dict[Path, dict[str, str]]:
    """Return the rows of ``manifest.csv``, beside the images or one folder up, by resolved path."""
    for home in (folder, folder.resolve().parent):
        path = home / "manifest.csv"
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as lines:
                rows = list(csv.DictReader(lines))
            if rows and not {"file", "licence"} <= rows[0].keys():
                raise ValueError(
                    f"{path} has the columns {', '.join(rows[0])}. Columns 'file' and 'licence' are expected."
                )
            return {(home / row["file"]).resolve(): row for row in rows}
    return {}


def _with_licence(folder: Path, files: list[Path], licences: Sequence[str]) -> list[Path]:
    manifest = read_manifest(folder)
    if not manifest:
        raise ValueError(
            f"licences = {', '.join(licences)} was asked for, but there is no manifest.csv in {folder} or its parent. "
            "A table with the columns file and licence is expected. Leave licences empty to use every image."
        )
    known = {row["licence"].strip().lower(): row["licence"] for row in manifest.values()}
    unknown = [name for name in licences if name.strip().lower() not in known]
    if unknown:
        raise ValueError(
            f"The manifest names no licence {', '.join(unknown)}. It has: {', '.join(sorted(known.values()))}."
        )
    wanted = {name.strip().lower() for name in licences}
    kept = [p for p in files if manifest.get(p.resolve(), {}).get("licence", "").strip().lower() in wanted]
    if not kept:
        raise ValueError(f"No image in {folder} has one of the licences {', '.join(licences)}.")
    return kept


def read_image(path: Path, long_side: int | None = None) -> np.ndarray:
    """Read a picture as uint8 ``(h, w, 3)``: EXIF rotation applied, transparency put on white.

    Args:
        path: the file.
        long_side: larger pictures are reduced to this long side.
    """
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I") or image.mode == "F":
            values = np.asarray(image, np.float64)
            values = values / 257 if image.mode.startswith("I") and values.max(initial=0) > 255 else values
            image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
    if long_side is not None and max(image.size) > long_side:
        image = _resized(image, long_side / max(image.size))
    return np.asarray(image)


def _resized(image: Image.Image, scale: float) -> Image.Image:
    width, height = (max(1, round(scale * side)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class Pyramid:
    """Every photograph at every scale, in one flat array that processes can share.

    Args:
        pixels: uint8, all pictures one after the other.
        sizes: int64 ``(n, 2)``, height and width of each picture.
        sources: int64 ``(n,)``, which photograph it shows.
        weights: float64 ``(n,)``, how often its scale is drawn, times the photograph's pixels.
    """

    pixels: np.ndarray
    sizes: np.ndarray
    sources: np.ndarray
    weights: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """Where each picture begins in ``pixels``."""
        return np.concatenate([[0], np.cumsum(3 * self.sizes.prod(axis=1))[:-1]])

    @classmethod
    def build(cls, images: Sequence[np.ndarray]) -> "Pyramid":
        """Reduce each photograph to the scales of `SCALES`, by Lanczos."""
        pixels, sizes, sources, weights = [], [], [], []
        for i, image in enumerate(images):
            for scale, weight in SCALES:
                level = image if scale == 1 else np.asarray(_resized(Image.fromarray(image), scale))
                pixels.append(level.reshape(-1))
                sizes.append(level.shape[:2])
                sources.append(i)
                weights.append(weight * image.shape[0] * image.shape[1])
        return cls(np.concatenate(pixels), np.array(sizes), np.array(sources), np.array(weights, float))

    def palette(self, rng: np.random.Generator, count: int = 512) -> np.ndarray:
        """Return colours of one photograph, chosen in proportion to its pixels: uint8 ``(count, 3)``."""
        i = _choose(rng, np.cumsum(self.weights))
        start, pixels = self.starts[i], int(self.sizes[i].prod())
        return self.pixels[start : start + 3 * pixels].reshape(-1, 3)[rng.integers(pixels, size=count)]


def _choose(rng: np.random.Generator, cumulative: np.ndarray) -> int:
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))


class Cropper:
    """Draws augmented square crops from a pyramid.

    Scale, photograph, place, flips and transpose are drawn anew for each crop; gamma, saturation and a
    permutation of the channels for some. Never blur, sharpening or noise: those are what the prior is to undo.

    Args:
        pyramid: the photographs.
        patch: side of the crops in pixels; scales of a photograph that are smaller are left out.
    """

    def __init__(self, pyramid: Pyramid, patch: int):
        fits = pyramid.sizes.min(axis=1) >= patch
        if not fits.any():
            raise ValueError(
                f"No photograph is as large as a patch of {patch} x {patch} pixels; the largest is "
                f"{' x '.join(map(str, pyramid.sizes.max(axis=0)))}. Pictures are never enlarged. Use a smaller patch."
            )
        self.patch = patch
        self._pixels = pyramid.pixels
        self._starts, self._sizes = pyramid.starts[fits], pyramid.sizes[fits]
        self._cumulative = np.cumsum(pyramid.weights[fits])

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        """Return one crop, uint8 ``(patch, patch, 3)``."""
        crop = self._cut(rng)
        if crop.std() < FLAT and rng.random() < 0.5:
            crop = self._cut(rng)
        return recoloured(rng, turned(rng, crop))

    def _cut(self, rng: np.random.Generator) -> np.ndarray:
        i = _choose(rng, self._cumulative)
        (height, width), start = self._sizes[i], self._starts[i]
        picture = self._pixels[start : start + 3 * height * width].reshape(height, width, 3)
        return cut(rng, picture, self.patch)


def cut(rng: np.random.Generator, picture: np.ndarray, patch: int) -> np.ndarray:
    """Return a crop at a place chosen uniformly."""
    y, x = rng.integers(0, np.array(picture.shape[:2]) - patch + 1)
    return picture[y : y + patch, x : x + patch]


def turned(rng: np.random.Generator, crop: np.ndarray) -> np.ndarray:
    """Apply one of the eight flips and transpositions."""
    left_right, up_down, transposed = rng.random(3) < 0.5
    crop = crop[:, ::-1] if left_right else crop
    crop = crop[::-1] if up_down else crop
    return crop.swapaxes(0, 1) if transposed else crop


def recoloured(rng: np.random.Generator, crop: np.ndarray) -> np.ndarray:
    """Change gamma in 30 %, saturation in 15 % (a third of these become grey), channel order in 5 %."""
    gamma, saturation, order = rng.random(3) < (0.30, 0.15, 0.05)
    if gamma:
        curve = np.linspace(0, 1, 256) ** np.exp(rng.uniform(np.log(0.6), np.log(1.6)))
        crop = np.rint(255 * curve).astype(np.uint8)[crop]
    if saturation:
        factor = 0.0 if rng.random() < 1 / 3 else rng.uniform(0, 1.3)
        grey = (crop @ np.array([0.299, 0.587, 0.114]))[..., None]
        crop = np.clip(np.rint(grey + factor * (crop - grey)), 0, 255).astype(np.uint8)
    return crop[..., rng.permutation(3)] if order else crop


@dataclass(frozen=True)
class Photographs:
    """What was read from a folder.

    Args:
        files: the readable files, sorted.
        training: pyramid of the photographs that are trained on.
        held_out: a few photographs that are not, at full scale; the trainer measures itself on them.
        held_out_files: their names.
    """

    files: tuple[Path, ...]
    training: Pyramid
    held_out: tuple[np.ndarray, ...]
    held_out_files: tuple[Path, ...]


def load(
    folder: Path, *, licences: Sequence[str] = (), seed: int = 0, long_side: int = 960, most: int = 4000
) -> Photographs:
    """Read a folder of photographs; a few of them, chosen by the seed, are held out.

    Args:
        folder: searched with all its subfolders.
        licences: see `find_images`.
        seed: decides which photographs are held out (3 %, at least one, at most eight).
        long_side: larger photographs are reduced to this long side.
        most: more photographs than this are not read; which ones is decided by the seed.

    Raises:
        ValueError: if fewer than two images can be read.
    """
    files = find_images(folder, licences)
    if len(files) > most:
        chosen = stream(seed, "photographs").permutation(len(files))[:most]
        files = [files[i] for i in sorted(chosen)]
    images, readable, failures = [], [], []
    for path in files:
        try:
            images.append(read_image(path, long_side))
            readable.append(path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            failures.append(f"{path.name} ({error})")
    if len(images) < 2:
        raise ValueError(
            f"{len(images)} of {len(files)} images in {folder} could be read, but at least 2 are needed, one of which "
            f"is held out. Not readable: {'; '.join(failures[:20]) or 'none'}. Add photographs or remove broken files."
        )
    if failures:
        warnings.warn(f"Left out, not readable: {'; '.join(failures)}.", stacklevel=2)
    count = min(HELD_OUT_MOST, max(1, round(HELD_OUT_SHARE * len(images))))
    held = set(stream(seed, "held out").permutation(len(images))[:count].tolist())
    return Photographs(
        files=tuple(readable),
        training=Pyramid.build([image for i, image in enumerate(images) if i not in held]),
        held_out=tuple(images[i] for i in sorted(held)),
        held_out_files=tuple(readable[i] for i in sorted(held)),
    )
