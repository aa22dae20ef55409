"""Mend pictures without knowing what is wrong with them; ``fixing.many`` takes folders."""

from .diagnose import Diagnosis, diagnose, former_jpeg
from .opening import opened
from .outputs import record_of
from .picture import KINDS, NOTHING, Fixed, fix, unused

__all__ = [
    "KINDS", "NOTHING", "Diagnosis", "Fixed", "diagnose", "fix", "former_jpeg", "opened",
    "record_of", "unused",
]  # fmt: skip
