"""``hrdis solvers``: what there is to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from hrdis.solvers import SOLVERS

from .parsing import choose, parse

HELP = """\
List the solvers: what they need of the measurement, what they cost, their presets and their source.

Examples:
  hrdis solvers
  hrdis solvers hrdis          (one solver's settings and presets)
"""


@dataclass(frozen=True, kw_only=True)
class Solvers:
    """Options of ``hrdis solvers``."""

    name: tyro.conf.Positional[str] = ""
    """Show this solver's settings and presets."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(Solvers, argv, "solvers", HELP)
    console = Console(highlight=False)
    if args.name:
        _one(console, choose("solver", args.name, SOLVERS))
        return 0
    table = Table("solver", "what it does", "needs", "cost", "presets", "reference", box=None, pad_edge=False)
    for name, (cls, presets) in SOLVERS.items():
        needs = cls.requires.__name__ if cls.requires.__name__ != "Operator" else "any operator"
        table.add_row(name, cls.summary, needs, cls.cost, ", ".join(presets), cls.reference)
    console.print(table)
    return 0


def _one(console: Console, name: str) -> None:
    cls, presets = SOLVERS[name]
    console.print(f"{name}: {cls.summary}\nneeds {cls.requires.__name__}; {cls.cost}; {cls.reference}\n", markup=False)
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    table = Table("setting", "default", *presets, box=None, pad_edge=False)
    for field in names:
        default = getattr(cls(), field)
        values = [getattr(p, field) for p in presets.values()]
        table.add_row(field, str(default), *(str(v) if v != default else "." for v in values))
    console.print(table)
