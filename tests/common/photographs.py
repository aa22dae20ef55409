"""Photographs of the package, reduced so that neither their noise nor JPEG's blocks are left."""

from functools import cache
from importlib import resources

import numpy as np
import torch
from PIL import Image

from hrdis import images
from hrdis.rng import stream


@cache
def _reduced(name: str, shrink: int) -> np.ndarray:
    path = resources.files("hrdis") / "pictures" / name
    with images.open_image(str(path)) as image:
        size = image.width // shrink, image.height // shrink
        return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX))


def photograph(name: str = "astronaut.jpg", side: int = 160, shrink: int = 2) -> np.ndarray:
    """Return the middle of a photograph, (3, side, side) from 0 to 255."""
    pixels = _reduced(name, shrink).astype(np.float64).transpose(2, 0, 1)
    top, left = ((n - side) // 2 for n in pixels.shape[1:])
    return pixels[:, max(top, 0) : max(top, 0) + side, max(left, 0) : max(left, 0) + side]


def stored(pixels: np.ndarray) -> torch.Tensor:
    """Return grey levels rounded to 8 bits, (1, c, h, w) in [-1, 1]."""
    return torch.from_numpy(np.clip(np.round(pixels), 0, 255) / 127.5 - 1).float()[None]


def noisy(pixels: np.ndarray, levels: float, seed: int = 0) -> np.ndarray:
    """Add white noise."""
    return pixels + levels * stream(seed, "test noise").standard_normal(pixels.shape)
