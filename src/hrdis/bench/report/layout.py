"""What a table of the report holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..results import Variant
from .statistics import Estimate, Mark


@dataclass(frozen=True)
class Entry:
    """One number of ours beside one of the paper's.

    Args:
        ours: None if missing or not in this run.
        text: ours as printed, "" if there is none.
        paper: as printed there, "" if it has none.
        difference: ours minus the paper's, with sign, "" without one of them.
        better: whether that is good; None if there is no difference or no direction.
        mark: among ours in this column.
        reason: why ours is missing, or what limits it.
        ranked: whether it takes part in the marks: all pictures of the column, none failed.
    """

    ours: Estimate | None = None
    text: str = ""
    paper: str = ""
    difference: str = ""
    better: bool | None = None
    mark: Mark = ""
    reason: str = ""
    ranked: bool = False


@dataclass(frozen=True)
class Head:
    """A group of columns: a task as the paper has it, and its metrics."""

    dataset: str
    name: str
    title: str
    task: str
    noise: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A method; ``chosen`` says what was made of several seeds, ``place`` counts the lines of one
    method.
    """

    label: str
    chosen: str
    place: int
    entries: dict[tuple[int, str], Entry]
    images: str
    seeds: str
    failed: int


@dataclass(frozen=True)
class Table:
    """A table or figure of the paper, or a plan of one's own, as it came out."""

    name: str
    caption: str
    note: str
    heads: tuple[Head, ...]
    lines: tuple[Line, ...] = ()
    variants: dict[tuple[str, int], Variant] = field(default_factory=dict)
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Of the paper's table; 0 for figures and plans."""
        return int(self.name.split()[1]) if self.name.startswith("table ") else 0
