"""The command ``hrdis list``, which shows what there is to choose from."""

from collections.abc import Sequence
from importlib import import_module

from .parsing import part

HELP = """\
usage: hrdis list tasks
       hrdis list solvers [NAME]
       hrdis list models

List what there is to choose from.

  tasks    what hrdis can repair, and the benchmark settings of papers
  solvers  the algorithms: what they need, what they cost, where they come from
  models   the diffusion models: the one in the package, and those it can download

Examples:
  hrdis list tasks
  hrdis list solvers hrdis     (the settings of one algorithm)
"""


def main(argv: Sequence[str]) -> int:
    chosen, rest = part("list", argv, ("tasks", "solvers", "models"), HELP)
    if chosen == "models":
        return int(import_module(".model", __package__).main(["list", *rest]))
    return int(import_module(f".{chosen}", __package__).main(rest))
