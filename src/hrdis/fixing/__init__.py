"""Mend pictures without knowing what is wrong with them; ``fixing.many`` takes folders."""

from .diagnose import Diagnosis, diagnose
from .picture import KINDS, NOTHING, Fixed, fix, opened, record_of

__all__ = ["KINDS", "NOTHING", "Diagnosis", "Fixed", "diagnose", "fix", "opened", "record_of"]
