"""The command ``hrdis list solvers``, which shows what there is to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from hrdis.presets import embedded
from hrdis.solvers import SOLVERS, Solver, find

from .parsing import checking, parse
from .restore import changed_settings

HELP = """\
List the solvers: what they need of the measurement, what they make of its noise, what they cost,
where they come from. Their names may be spelled as in the papers: red-diff, ddnm+, HRDIS.

Examples:
  hrdis list solvers
  hrdis list solvers hrdis          (one solver's settings and presets)
"""


@dataclass(frozen=True, kw_only=True)
class Solvers:
    """Options of ``hrdis list solvers``."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOLVER")] = ""
    """Show this solver's settings and presets."""


LEGEND = """
needs  any: an operator or a callable x -> y; closest: that knows
       the closest image with the measurement y (linear, rounding, clipping);
       linear: with an adjoint; SVD: with singular vectors in closed form;
       blind: with unknown parameters
noise  known: uses the level; weights: tuned settings per level; switch: only
       noise or none; assumed: assumes a fixed level; ignored: ignores it;
       noiseless: input must be clean
*      a reconstruction: rebuilt from the text of its paper, without code of its
       authors to compare with

`hrdis list solvers NAME` shows the settings and presets of one."""

WIDE = 116  # columns from which the table also says what a solver does
KINDS = {
    "Operator": "any",
    "ProximalOperator": "closest",
    "LinearOperator": "linear",
    "SVDOperator": "SVD",
    "BlindOperator": "blind",
}


def main(argv: Sequence[str]) -> int:
    args: Any = parse(Solvers, argv, "list solvers", HELP)
    console = Console(highlight=False)
    if args.name:
        with checking():
            name = find(args.name)
        _one(console, name)
        return 0
    wide = console.width >= WIDE
    table = Table(box=None, pad_edge=False)
    for header in ("solver", "needs", "noise", "per step", "source"):
        # the names are whole on the narrowest terminal
        least = max(map(len, SOLVERS)) if header == "solver" else None
        table.add_column(header, no_wrap=True, min_width=least)
    if wide:
        table.add_column("what it does")
    for name, (cls, _) in SOLVERS.items():
        # short words: the longest row fits 80 columns
        cost = cls.cost.split(",")[0].replace(" per step", "").replace(" and ", " + ")
        source = cls.reference.split(" (")[0] + (" *" if cls.reconstruction else "")
        table.add_row(name, _needs(cls), cls.noise, cost, source, *([cls.summary] if wide else []))
    console.print(table)
    console.print(LEGEND, markup=False, soft_wrap=True)
    return 0


def _one(console: Console, name: str) -> None:
    cls, paper = SOLVERS[name]
    presets = paper | embedded().of(cls)
    usual = cls()
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    print_ = partial(console.print, markup=False)
    print_(f"{name}: {cls.summary}\n")
    if cls.reconstruction:
        print_("A reconstruction: rebuilt from the text of its paper.\n")
    print_(
        _columns(
            [
                ["needs", _needs(cls)],
                ["noise", cls.noise],
                ["cost", cls.cost],
                ["source", cls.reference],
            ]
        )
    )
    print_("\nsettings and their defaults")
    settings = []
    for name_ in names:
        value, option = getattr(usual, name_), name_.replace("_", "-")
        if isinstance(value, bool):  # a switch that turns it round
            settings.append([f"  --no-{option}" if value else f"  --{option}", "(a switch)"])
        else:
            settings.append([f"  --{option}", "by itself" if value is None else str(value)])
    print_(_columns(settings))
    print_(
        "\npresets: the options that make of the defaults the settings for a task"
        if presets
        else "\nno presets"
    )
    rows = []
    for key, chosen in presets.items():
        rows.append([f"  {key}", changed_settings(usual, chosen) or "nothing"])
    print_(_columns(rows))
    print_(f"\n`hrdis restore --solver {name} --help` says what each setting does.")


def _columns(rows: Sequence[Sequence[str]]) -> Table:
    """Rows without a frame; the last column is folded at words."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(*row)
    if table.columns:
        table.columns[0].no_wrap = True
    return table


def _needs(cls: type[Solver]) -> str:
    return KINDS.get(cls().needs().__name__, cls().needs().__name__)
