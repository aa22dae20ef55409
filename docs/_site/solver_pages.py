"""One page per solver: the paper's algorithm beside its code, from the docstring and the source of
its class.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from docstrings import literal, split
from rst import code, directive, heading, indented, table
from settings import settings

from hrdis.presets import embedded
from hrdis.solvers import SOLVERS, Solver

NEEDS = {
    "Operator": "any operator, or a callable x -> y that autograd differentiates",
    "LinearOperator": "a `LinearOperator`: forward map and adjoint",
    "ProximalOperator": "a `ProximalOperator`: the closest image that fits y",
    "SVDOperator": "an `SVDOperator`: singular vectors in closed form",
    "BlindOperator": "a `BlindOperator`: an operator with parameters to estimate",
}
NOISE = {
    "known": "uses the level, ``problem.sigma_y``",
    "weights": "tuned settings for each level",
    "switch": "uses only whether there is any",
    "assumed": "assumes a fixed level",
    "ignored": "ignores it",
    "noiseless": "the input must be clean",
}
RECONSTRUCTION = "a reconstruction, rebuilt from the text of its paper"


def solver_page(name: str, cls: type[Solver], presets: dict[str, Solver]) -> list[str]:
    parts = split(inspect.getdoc(cls) or "")
    parts.pop("Settings", None)  # a table here
    first, _, body = "\n".join(parts.pop("")).partition("\n\n")
    path = f"src/hrdis/solvers/{name}.py"
    facts = [
        ("needs", needs(cls)),
        ("noise", NOISE[cls.noise]),
        ("cost", " ".join(parts.pop("Cost", [cls.cost])).strip()),
        ("source", " ".join(parts.pop("Reference", [cls.reference])).strip()),
        ("names", f"``hrdis.{cls.__name__}``, ``hrdis restore --solver {name}``, ``{path}``"),
    ]
    if cls.reconstruction:
        facts.insert(4, ("origin", RECONSTRUCTION))
    paper = [".. rubric:: The algorithm", "", *literal(aligned(body.splitlines())), ""]
    loop = [".. rubric:: The code", "", *code(inspect.getsource(cls.run))]
    lines = [
        ":hide-toc:",
        "",
        *heading(cls.__name__),
        first,
        "",
        *table(facts, header=False, kind="facts"),
    ]
    lines += directive("container", "columns", [
        *directive("container", "paper", paper), *directive("container", "loop", loop),
    ])  # fmt: skip
    example = code("\n".join(parts.pop("Example", [])), "pycon")
    lines += [*sections(parts), ""]
    called = list(helpers(cls))
    if called:
        lines += [
            *heading("What belongs to the loop", "-"),
            *code("\n".join(inspect.getsource(f) for f in called)),
        ]
    lines += heading("Settings", "-")
    lines += directive("py:class", f"hrdis.{cls.__name__}(**settings)", [
        "Frozen, given by name, checked when it is made.", "", *table([*settings(cls)]),
    ], canonical=f"{cls.__module__}.{cls.__name__}")  # fmt: skip
    lines += heading("Presets", "-")
    presets = presets | embedded().of(cls)
    rows = [(f"``{key}``", f"``{difference(chosen)}``") for key, chosen in presets.items()]
    lines += [
        f"``hrdis.SOLVERS[{name!r}][1][KEY]`` has the rows of papers and of their authors' code, "
        "by task and level of noise (``-noise05``);",
        f"where each comes from stands beside it in ``{path}``. Rows ``@default`` were searched "
        "for the prior inside the package:",
        "``hrdis.presets.choose`` says which row fits.", "",
        *table([("key", "settings"), *rows]),
    ] if presets else ["None.", ""]  # fmt: skip
    return [*lines, *heading("Example", "-"), *example]


def needs(cls: type[Solver]) -> str:
    other = "" if cls.needs is Solver.needs else "; it depends on the settings (``needs``, below)"
    return NEEDS[cls().needs().__name__] + other


def aligned(lines: list[str]) -> list[str]:
    """Formulas whose remarks stand close behind them, for half a screen."""
    parts = [re.fullmatch(r"(    .*?\S) {4,}(\(.*)", line) for line in lines]
    width = max((len(part[1]) for part in parts if part), default=0)
    return [
        f"{part[1]:{width}}   {part[2]}" if part else line
        for part, line in zip(parts, lines, strict=True)
    ]


def sections(parts: dict[str, list[str]]) -> Iterator[str]:
    """The sections of a docstring that are left, in its order."""
    for name, lines in parts.items():
        if name.startswith("Differs"):
            yield from ["", *heading(name, "-"), *lines]
        else:
            yield from [name, *indented(lines), ""]


def helpers(cls: type[Solver]) -> Iterator[Any]:
    """The methods that `run` calls on itself, `times` and `needs`, as far as they are the
    algorithm's own.
    """
    names = dict.fromkeys(
        ["times", "needs", *re.findall(r"self\.(\w+)", inspect.getsource(cls.run))]
    )
    for name in names:
        found = inspect.getattr_static(cls, name, None)
        f = found.fget if isinstance(found, property) else found
        if inspect.isfunction(f) and f.__qualname__.split(".")[0] != "Solver":
            yield f


def difference(chosen: Solver) -> str:
    """The call that makes a preset."""
    changed = {
        f.name: getattr(chosen, f.name)
        for f in fields(chosen)
        if getattr(chosen, f.name) != f.default
    }  # type: ignore[arg-type]
    return f"{type(chosen).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"


def solvers_index() -> list[str]:
    rows = [("solver", "what it does", "needs", "noise", "cost", "source")]
    kinds = {
        "Operator": "any",
        "LinearOperator": "linear",
        "ProximalOperator": "closest image",
        "SVDOperator": "SVD",
        "BlindOperator": "blind",
    }
    for name, (cls, _) in SOLVERS.items():
        kind = kinds[cls().needs().__name__]
        rows.append(
            (
                f":doc:`{cls.__name__} <{name}>`",
                cls.summary,
                kind,
                cls.noise,
                cls.cost,
                cls.reference,
            )
        )
    return [
        *heading("The solvers, one by one"),
        "Each is one file that reads like its paper's algorithm; a page shows both side by side. "
        "Which one to take:",
        ":doc:`/how-to/choose-solver`. *needs*: any operator or callable; a linear one; one with a "
        "singular value decomposition;",
        "one with unknown parameters. *noise*: whether it is told the level, and what it makes "
        "of it.", "",
        *table(rows), *directive("toctree", "", list(SOLVERS), hidden=""),
    ]  # fmt: skip
