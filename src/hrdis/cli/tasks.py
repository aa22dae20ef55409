"""``hrdis list tasks``: what can be wrong with a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from hrdis.tasks import TASKS

from .parsing import parse

HELP = """\
List the tasks.

Example:
  hrdis list tasks
"""


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """``hrdis list tasks`` has no options."""


def main(argv: Sequence[str]) -> int:
    parse(Tasks, argv, "tasks", HELP)
    table = Table("task", "what it does", "mask", "as measured by", box=None, pad_edge=False)
    for name, task in TASKS.items():
        table.add_row(name, task.summary, "yes" if task.mask else "", task.source)
    Console(highlight=False).print(table)
    return 0
