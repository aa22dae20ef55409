"""Restore one picture, by way of a checked job, which finds the answer and writes it.

`restore` is the function for Python; the command line and the web page are two other faces.
"""

from .inputs import Inputs
from .job import Job, prepare
from .options import FileOptions, Options
from .python import restore
from .result import Restoration

__all__ = ["FileOptions", "Inputs", "Job", "Options", "Restoration", "prepare", "restore"]
