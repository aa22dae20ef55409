"""Moments of a restoration that is watched: its place in the line, its progress and its outcome."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Waiting:
    """A restoration whose turn has not come: the number of those before it."""

    before: int


@dataclass(frozen=True)
class ProgressFrame:
    """A moment of a run, with the steps done of all, the seconds left, and the picture so far."""

    done: int
    total: int
    left: float
    picture: "Image.Image"


@dataclass(frozen=True)
class RepairStage:
    """A moment of a repair, with what is being done in words."""

    what: str


@dataclass(frozen=True)
class FinishedJob:
    """The outcome of a run, whose files exist until the next value is asked for.

    Args:
        given: the damaged picture at the size of the restored one.
        first: the first restoration, to compare with it.
        gallery: files of the samples, their mean and their deviation, with titles; empty for one
            sample.
        files: all files to download, the record among them.
        command: the same restoration as a line for a shell.
        summary: its cost, and warnings about the files.
    """

    given: "Image.Image"
    first: "Image.Image"
    gallery: list[tuple[Path, str]]
    files: list[Path]
    command: str
    summary: str


class Cancelled(Exception):
    """Raised inside a run that nobody watches any more."""
