"""``hrdis cite``: BibTeX of hrdis and of the papers behind the solvers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

import hrdis
from hrdis.solvers import SOLVERS, find
from hrdis.solvers.base import Paper, bibtex_entry

from .parsing import BadInput, checking, parse

HELP = """\
Print BibTeX: hrdis itself, and the papers of the solvers that you used. Without a solver or a
record: the paper of HRDIS, which the package is named after.

Examples:
  hrdis cite
  hrdis cite --solver ddrm diffpir
  hrdis cite whole.json              (the solver that made whole.png, by its record)
  hrdis cite --solver all > hrdis.bib
"""


@dataclass(frozen=True, kw_only=True)
class Cite:
    """Options of ``hrdis cite``."""

    record: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="RECORD.json")] = (
        None
    )
    """The record (.json) of a restoration: cite the solver that it names."""
    solver: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SOLVER")] = ()
    """Cite these solvers; `hrdis list solvers` lists the names, and all means every one."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(Cite, argv, "cite", HELP)
    named = list(SOLVERS) if "all" in args.solver else list(args.solver)
    if args.record is not None:
        with checking():
            named.append(solver_of(args.record))
    with checking():
        chosen = [find(name) for name in named or ["hrdis"]]
    print(bibliography(chosen))
    return 0


def bibliography(solvers: Sequence[str]) -> str:
    """Return the BibTeX of hrdis and of the papers of these solvers, each paper once."""
    entries = [software()]
    users: dict[Paper, list[str]] = {}
    for name in dict.fromkeys(solvers):
        cls, _ = SOLVERS[name]
        if cls.source is not None:
            users.setdefault(cls.source, []).append(cls.__name__)
    for paper, names in users.items():
        entries.append(paper.bibtex(f"as implemented in hrdis: {', '.join(names)}"))
    return "\n\n".join(entries)


def software() -> str:
    """Return the entry of the package itself."""
    rows = {
        "title": "{hrdis: image restoration with diffusion models}",
        "author": "{hrdis maintainers}",
        "note": f"Version {hrdis.__version__}. Python package, MIT licence; an independent "
        "implementation",
    }
    return bibtex_entry("misc", "hrdis", rows)


def solver_of(record: Path) -> str:
    """Return the name of the solver in the record of a restoration.

    Raises:
        BadInput: if the file is no record of ``hrdis restore``.
    """
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    except OSError as error:
        raise BadInput(
            f"{record} cannot be read ({error.strerror}). The .json beside a restored picture is "
            "expected, or a name: --solver ddrm"
        ) from None
    if not isinstance(found, dict) or "hrdis" not in found or "solver" not in found:
        raise BadInput(
            f"{record} is no record of a restoration. The .json beside a restored picture is "
            "expected, or a name: --solver ddrm"
        )
    return str(found["solver"])
