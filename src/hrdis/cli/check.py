"""``hrdis check``: is an operator or a model of somebody's own right?"""

from collections.abc import Sequence

from . import check_operator, model
from .parsing import part

HELP = """\
usage: hrdis check operator FILE.py:NAME [options]
       hrdis check model NAME [options]

Check an operator or a model of your own.

  operator  adjoint, pseudo-inverse, gradient, batch, range, and which solvers can use it
  model     remove noise at five levels, and compare with filters: does it work?

Examples:
  hrdis check operator my.py:make --size 64 48
  hrdis check model default

`hrdis check operator --help` and `hrdis check model --help` show the options.
"""


def main(argv: Sequence[str]) -> int:
    chosen, rest = part("check", argv, ("operator", "model"), HELP)
    if chosen == "operator":
        return check_operator.main(rest)
    return model.main(["check", *rest])
