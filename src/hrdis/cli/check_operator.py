"""``hrdis check operator``: is somebody's own operator right, and who can use it?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich.console import Console

from hrdis.check import check_operator
from hrdis.restoration.plugin import load

from .parsing import checking, parse

HELP = """\
Try an operator of your own: adjoint, pseudo-inverse, gradient, batch, range, and which solvers can
use it.

Examples:
  hrdis check operator my.py:make
  hrdis check operator my.py:make --size 64 48 --channels 1

my.py defines make(h, w), or make(), which returns a hrdis Operator, any function x -> y of images
(b, c, h, w) in [-1, 1], or a deepinv Physics. The file is executed, as `python my.py` would: run
none that you do not trust. Exit status: 0 if all checks pass, 1 if one fails, 2 if the operator
cannot be loaded.
"""


@dataclass(frozen=True, kw_only=True)
class CheckOperator:
    """Options of ``hrdis check operator``."""

    operator: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FILE.py:NAME")]
    """Your file, and the name in it. The file is executed."""
    size: Annotated[tuple[int, int], tyro.conf.arg(metavar="HEIGHT WIDTH")] = (32, 32)
    """Height and width of the images to try."""
    channels: int = 3
    """1 for grey, 3 for colour."""
    seed: int = 0
    """Seed of the random images."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(CheckOperator, argv, "check operator", HELP)
    with checking():
        shape = (args.channels, *args.size)
        if min(shape) < 1:
            raise ValueError(
                f"--size and --channels make images of shape {shape}. Positive numbers are "
                "expected."
            )
        A = load(args.operator, shape)
    report = check_operator(A, shape, args.seed)
    console = Console(highlight=False)
    styles = {"ok  ": "green", "FAIL": "bold red", "All ": "green"}
    for line in str(report).splitlines():
        console.print(line, style=styles.get(line[:4]), markup=False, soft_wrap=True)
    return 0 if report.passed else 1
