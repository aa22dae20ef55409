"""The command ``hrdis list tasks``, which shows what can be done about a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hrdis.repairs import REPAIRS
from hrdis.tasks import TASKS

from .parsing import parse

HELP = """\
List the tasks: what people ask for, with its options, and the benchmark settings of papers.

Example:
  hrdis list tasks
"""


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """``hrdis list tasks`` has no options."""


def main(argv: Sequence[str]) -> int:
    parse(Tasks, argv, "list tasks", HELP)
    console = Console(highlight=False)
    repairs = Table("task", "what it does", "options", box=None, pad_edge=False)
    repairs.columns[0].no_wrap = True
    for name, repair in REPAIRS.items():
        repairs.add_row(name, repair.summary, escape(repair.options))
    console.print(repairs)
    console.print("\nBenchmark settings, by the names of papers; they work as tasks too:\n")
    table = Table("task", "what it does", "mask", "as measured by", box=None, pad_edge=False)
    for name, task in TASKS.items():
        table.add_row(name, task.summary, "yes" if task.mask else "", task.source)
    console.print(table)
    return 0
