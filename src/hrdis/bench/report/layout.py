"""The tables of the report, with their groups of columns, their rows and their entries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..results import MethodResults
from .statistics import Estimate, Mark


@dataclass(frozen=True)
class TableCell:
    """One number of ours beside one of the paper's.

    Args:
        ours: our number, None if missing or not in this run.
        text: ours as printed, "" if there is none.
        paper: the paper's as printed there, "" if it has none.
        difference: ours minus the paper's, with sign, "" without one of them.
        better: True if the difference is good; None if there is no difference or no direction.
        mark: best or second among ours in this column.
        reason: the reason why ours is missing, or a limit of it.
        ranked: True if it takes part in the marks: all pictures of the column, none failed.
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
class ColumnGroup:
    """A group of columns: one task on one data set, and its metrics.

    Args:
        dataset, name: the paper's names of data set and task.
        title: title of the task.
        task, noise: task and noise, as in a run task.
        metrics: keys of `METRICS`, one per column.
    """

    dataset: str
    name: str
    title: str
    task: str
    noise: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class TableRow:
    """A row of a table: one method, and one choice among its seeds.

    Args:
        label: name of the method.
        chosen: the choice among several seeds, in words; "" without one.
        place: number of the row among those of its method, from 0.
        cells: by number of the group and metric.
        images, seeds: numbers of pictures and seeds, in words.
        failed: number of failed restorations.
    """

    label: str
    chosen: str
    place: int
    cells: dict[tuple[int, str], TableCell]
    images: str
    seeds: str
    failed: int


@dataclass(frozen=True)
class ReportTable:
    """A table or figure of the paper, or a plan of the user's own, with the numbers of a run.

    Args:
        name, caption, note: as in its `PaperTable`.
        groups, rows: columns and rows.
        methods: results by label and number of the group.
        settings: solver and settings of each method, by label.
    """

    name: str
    caption: str
    note: str
    groups: tuple[ColumnGroup, ...]
    rows: tuple[TableRow, ...] = ()
    methods: dict[tuple[str, int], MethodResults] = field(default_factory=dict)
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Number of the paper's table; 0 for figures and plans."""
        return int(self.name.split()[1]) if self.name.startswith("table ") else 0

    @property
    def file_stem(self) -> str:
        """Name of its CSV and LaTeX files, without the ending."""
        return self.name.replace(" ", "-").replace("/", "-")

    def methods_of(self, group: int) -> dict[str, MethodResults]:
        """Return the results of one group of columns, by label."""
        found = {}
        for (label, i), method in self.methods.items():
            if i == group:
                found[label] = method
        return found
