"""Restore one picture file: its options, the checked job they become, and what that writes.

The command line and the web page are two faces of this.
"""

from .job import Found, Job
from .options import Options
from .prepare import prepare

__all__ = ["Found", "Job", "Options", "prepare"]
