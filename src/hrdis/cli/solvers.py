"""``hrdis solvers``: what there is to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import tyro
from rich.console import Console

from hrdis.solvers import SOLVERS, Solver

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
    for name, (cls, presets) in SOLVERS.items():
        console.print(f"{name:9} {cls.summary}", markup=False, soft_wrap=True)
        console.print(f"{'':9} needs {_needs(cls)}; {cls.cost}; {cls.reference}", markup=False, soft_wrap=True)
        console.print(f"{'':9} presets: {', '.join(presets)}\n", markup=False, soft_wrap=True)
    return 0


def _one(console: Console, name: str) -> None:
    cls, presets = SOLVERS[name]
    head = f"{name}: {cls.summary}\nneeds {_needs(cls)}; {cls.cost}; {cls.reference}\n"
    console.print(head, markup=False, soft_wrap=True)
    usual = cls()
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    console.print("defaults: " + ", ".join(f"{n}={getattr(usual, n)}" for n in names) + "\n", markup=False)
    for key, chosen in presets.items():
        other = [f"{n}={getattr(chosen, n)}" for n in names if getattr(chosen, n) != getattr(usual, n)]
        console.print(f"{key:24} {', '.join(other) or 'the defaults'}", markup=False, soft_wrap=True)


def _needs(cls: type[Solver]) -> str:
    return {"Operator": "any operator", "LinearOperator": "a linear operator"}.get(
        cls.requires.__name__, f"a {cls.requires.__name__}"
    )
