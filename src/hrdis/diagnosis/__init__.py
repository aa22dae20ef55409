"""Estimators of the damage in a picture, from its pixels and the tables of its file.

Each answers "yes", "no" or "unsure", with a value, an interval and one sentence. None needs a
network.
"""

from .base import Answer, Finding
from .blur import Blurring, blurring
from .jpeg import Compression, compression
from .noise import NoiseLevel, noise
from .resolution import Resolution, resolution
from .specks import Specks, specks

__all__ = [
    "Answer", "Blurring", "Compression", "Finding", "NoiseLevel", "Resolution", "Specks",
    "blurring", "compression", "noise", "resolution", "specks",
]  # fmt: skip
