"""The crops that training draws from photographs kept at three scales.

Photographs are only ever made smaller, because an enlarged picture is blurred and a prior trained
on it would learn to blur. All randomness comes from the generator that the caller hands in.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

SCALES = ((1.0, 1.0), (0.7, 0.6), (0.5, 0.4))  # scale, weight
FLAT = 4.0  # standard deviation, of 255


def resized(image: Image.Image, scale: float) -> Image.Image:
    """Return the picture made smaller, by Lanczos."""
    width, height = image.size
    smaller = (max(1, round(scale * width)), max(1, round(scale * height)))
    return image.resize(smaller, Image.Resampling.LANCZOS)


def at_all_scales(image: np.ndarray) -> list[np.ndarray]:
    """Return a photograph at every scale of `SCALES`, by Lanczos."""
    levels = []
    for scale, _ in SCALES:
        if scale == 1:
            levels.append(image)
        else:
            levels.append(np.asarray(resized(Image.fromarray(image), scale)))
    return levels


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
        """Index in ``pixels`` at which each picture begins."""
        return np.concatenate([[0], np.cumsum(3 * self.sizes.prod(axis=1), dtype=np.int64)[:-1]])

    @classmethod
    def build(cls, images: Iterable[np.ndarray]) -> "Pyramid":
        """Reduce each photograph to the scales of `SCALES`, by Lanczos."""
        return cls.gather(deque(map(at_all_scales, images)))

    @classmethod
    def gather(cls, photographs: deque[list[np.ndarray]]) -> "Pyramid":
        """Copy photographs, each at all scales, into one array; the queue is empty afterwards.

        Cost:
            the memory of one photograph beside that of all: each is let go once it is copied.
        """
        total = sum(level.size for levels in photographs for level in levels)
        # Its pages take memory only when they are written.
        pixels = np.empty(total, np.uint8)
        sizes, sources, weights, end = [], [], [], 0
        for source in range(len(photographs)):
            levels = photographs.popleft()
            height, width = levels[0].shape[:2]
            for level, (_, weight) in zip(levels, SCALES, strict=True):
                start, end = end, end + level.size
                pixels[start:end] = level.reshape(-1)
                sizes.append(level.shape[:2])
                sources.append(source)
                weights.append(weight * height * width)
        return cls(
            pixels,
            np.array(sizes, np.int64),
            np.array(sources, np.int64),
            np.array(weights, float),
        )

    def palette(self, rng: np.random.Generator, count: int = 512) -> np.ndarray:
        """Return colours of one photograph, chosen in proportion to its pixels: uint8 ``(count,
        3)``.
        """
        i = _choose(rng, np.cumsum(self.weights))
        start, count_of_all = self.starts[i], int(self.sizes[i].prod())
        colours = self.pixels[start : start + 3 * count_of_all].reshape(-1, 3)
        return colours[rng.integers(count_of_all, size=count)]


def _choose(rng: np.random.Generator, cumulative: np.ndarray) -> int:
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))


class Cropper:
    """Draws augmented square crops from a pyramid.

    Scale, photograph, place, flips and transpose are drawn anew for each crop; gamma, saturation
    and a permutation of the channels for some. Never blur, sharpening or noise: those are what the
    prior is to undo.

    Args:
        pyramid: the photographs.
        patch: side of the crops in pixels; scales of a photograph that are smaller are left out.
    """

    def __init__(self, pyramid: Pyramid, patch: int):
        fits = pyramid.sizes.min(axis=1) >= patch
        if not fits.any():
            raise ValueError(
                f"No photograph is as large as a patch of {patch} x {patch} pixels; the largest is "
                f"{' x '.join(map(str, pyramid.sizes.max(axis=0)))}. Pictures are never enlarged. "
                "Use a smaller patch."
            )
        self.patch = patch
        self._pixels = pyramid.pixels
        self._starts, self._sizes = pyramid.starts[fits], pyramid.sizes[fits]
        self._cumulative = np.cumsum(pyramid.weights[fits])

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        """Return one crop, uint8 ``(patch, patch, 3)``."""
        crop = self._cut(rng)
        # A sky or a wall teaches little: half of the flat crops are drawn again.
        if crop.std() < FLAT and rng.random() < 0.5:
            crop = self._cut(rng)
        return random_colours(rng, random_flip(rng, crop))

    def _cut(self, rng: np.random.Generator) -> np.ndarray:
        i = _choose(rng, self._cumulative)
        (height, width), start = self._sizes[i], self._starts[i]
        picture = self._pixels[start : start + 3 * height * width].reshape(height, width, 3)
        return cut(rng, picture, self.patch)


def cut(rng: np.random.Generator, picture: np.ndarray, patch: int) -> np.ndarray:
    """Return a crop at a place chosen uniformly."""
    y, x = rng.integers(0, np.array(picture.shape[:2]) - patch + 1)
    return picture[y : y + patch, x : x + patch]


def random_flip(rng: np.random.Generator, crop: np.ndarray) -> np.ndarray:
    """Apply one of the eight flips and transpositions."""
    left_right, up_down, transposed = rng.random(3) < 0.5
    if left_right:
        crop = crop[:, ::-1]
    if up_down:
        crop = crop[::-1]
    if transposed:
        crop = crop.swapaxes(0, 1)
    return crop


def random_colours(rng: np.random.Generator, crop: np.ndarray) -> np.ndarray:
    """Change the gamma of 30 % of all crops, the saturation of 15 %, the channel order of 5 %.

    A third of those whose saturation changes become grey.
    """
    gamma, saturation, order = rng.random(3) < (0.30, 0.15, 0.05)
    if gamma:
        curve = np.linspace(0, 1, 256) ** np.exp(rng.uniform(np.log(0.6), np.log(1.6)))
        crop = np.rint(255 * curve).astype(np.uint8)[crop]
    if saturation:
        to_grey = rng.random() < 1 / 3
        factor = 0.0 if to_grey else rng.uniform(0, 1.3)
        grey = (crop @ np.array([0.299, 0.587, 0.114]))[..., None]
        crop = np.clip(np.rint(grey + factor * (crop - grey)), 0, 255).astype(np.uint8)
    return crop[..., rng.permutation(3)] if order else crop
