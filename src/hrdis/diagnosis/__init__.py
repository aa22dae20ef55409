"""What is wrong with a picture: estimators that look at its pixels and at the tables of its file.

Each answers "yes", "no" or "unsure", with a value, an interval and one sentence. None needs a
network.
"""

from .base import Answer, Finding
from .blur import Blurring, estimate_blur
from .jpeg import Compression, estimate_compression, noise_under_jpeg
from .noise import Noise, estimate_noise
from .resolution import Resolution, estimate_resolution
from .specks import Specks, find_specks

__all__ = [
    "Answer", "Blurring", "Compression", "Finding", "Noise", "Resolution", "Specks",
    "estimate_blur", "estimate_compression", "estimate_noise", "estimate_resolution", "find_specks",
    "noise_under_jpeg",
]  # fmt: skip
