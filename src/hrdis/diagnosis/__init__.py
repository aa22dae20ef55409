"""Estimators of the damage in a picture, from its pixels and the tables of its file.

Each answers "yes", "no" or "unsure", with a value, an interval and one sentence. None needs a
network.
"""

from .base import Answer, Finding
from .blur import Blurring, estimate_blur
from .jpeg import Compression, estimate_compression, noise_under_jpeg
from .mask_windows import Window, windows
from .noise import NoiseLevel, estimate_noise
from .resolution import Resolution, estimate_resolution, kernel_weights
from .specks import Specks, find_specks
from .stamp import Stamp, find_stamp

__all__ = [
    "Answer", "Blurring", "Compression", "Finding", "NoiseLevel", "Resolution", "Specks", "Stamp",
    "Window", "estimate_blur", "estimate_compression", "estimate_noise", "estimate_resolution",
    "find_specks", "find_stamp", "kernel_weights", "noise_under_jpeg", "windows",
]  # fmt: skip
