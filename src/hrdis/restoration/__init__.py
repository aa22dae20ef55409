"""Restore one picture: what was given, the checked job it becomes, and what that finds and writes.

`restore` is the function for Python; the command line and the web page are two other faces.
"""

from .inputs import Inputs
from .job import Job, prepare
from .options import FileOptions, Options
from .python import restore
from .result import Restoration

__all__ = ["FileOptions", "Inputs", "Job", "Options", "Restoration", "prepare", "restore"]
