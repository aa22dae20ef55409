"""Restore one picture, by way of a checked job, which finds the answer and writes it.

`restore` is the function for Python; the command line and the web page are two other faces.
"""

from .auto import PROVISIONAL, find_options, given_as_auto
from .inputs import Inputs
from .job import Job, prepare
from .options import FileOptions, FoundOptions, Options
from .python import restore
from .result import Restoration

__all__ = [
    "PROVISIONAL", "FileOptions", "FoundOptions", "Inputs", "Job", "Options", "Restoration",
    "find_options", "given_as_auto", "prepare", "restore",
]  # fmt: skip
