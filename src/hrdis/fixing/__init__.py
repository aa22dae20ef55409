"""Mend pictures without being told what is wrong with them: `fix`, and many files at once."""

from . import many
from .diagnose import Diagnosis, diagnose
from .picture import KINDS, NOTHING, Fixed, fix, record_of

__all__ = ["KINDS", "NOTHING", "Diagnosis", "Fixed", "diagnose", "fix", "many", "record_of"]
