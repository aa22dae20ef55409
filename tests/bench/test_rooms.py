"""The five packages of the benchmark: which of them may import which, through which door."""

import ast
from importlib.resources import files
from pathlib import Path

import pytest

import hrdis.bench.plan
import hrdis.bench.run

ROOT = Path(hrdis.bench.__file__).parent
#: Packages of the benchmark that a package may import, beside the two modules below all of them.
BELOW = {
    "paper": set(), "run": set(), "plan": {"paper"}, "score": set(), "report": {"paper"},
    "__init__": {"run"},
}  # fmt: skip
SHARED = {"records", "results"}
#: Modules that only hand on what has moved.
MOVED = {"store", "planfile"}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text()
    for path in sorted(ROOT.rglob("*.py"))
    if path.stem not in MOVED or path.parent != ROOT
}


def imported(module: str, source: str) -> set[str]:
    """The modules of the benchmark that a module imports anywhere, relative to it: "paper",
    "run.store".
    """
    here = ["hrdis", "bench", *module.split(".")]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = here[: len(here) - node.level]
        for alias in node.names:
            names = [*base, *filter(None, [node.module]), alias.name]
            while names and ".".join(names[2:]) not in MODULES:
                if ".".join([*names[2:], "__init__"]) in MODULES:
                    names.append("__init__")
                    break
                names.pop()
            if names[:2] == ["hrdis", "bench"] and len(names) > 2 and names[2] != "__init__":
                found.add(".".join(names[2:]))
    return found - {module}


IMPORTS = {module: imported(module, source) for module, source in MODULES.items()}


def broken(module: str, targets: set[str]) -> list[str]:
    """Imports of a module that go up, sideways, or past a door."""
    room = module.split(".")[0]
    found = []
    for target in targets:
        other, _, inside = target.partition(".")
        if other == room or (other in SHARED and room != "records"):
            continue
        if other not in BELOW.get(room, set()) or inside != "__init__":
            found.append(target)
    return found


def test_the_benchmark_has_these_rooms():
    assert {module.split(".")[0] for module in MODULES} == {*BELOW, *SHARED, "__init__"}


@pytest.mark.parametrize("module", MODULES)
def test_package_imports_others_below_it_through_their_door(module):
    assert not broken(module, IMPORTS[module])


def test_law_of_doors_refuses():
    assert broken("plan.expand", {"paper.tables"}) == ["paper.tables"]
    assert broken("run.store", {"plan.__init__"}) == ["plan.__init__"]
    assert broken("records", {"results"}) == ["results"]
    assert imported("plan.expand", "from ..paper.tables import TABLES") == {"paper.tables"}
    assert imported("run.ray", "def f():\n    from .execute import execute") == {"run.execute"}


def test_no_import_goes_in_a_circle():
    """Imports inside functions count too: they hide a circle and do not break it."""
    finished: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module in finished:
            return
        for target in sorted(IMPORTS[module]):
            visit(target, [*path, module])
        finished.add(module)

    for module in MODULES:
        visit(module, [])
    assert finished == set(MODULES)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("paper", "paper.csv"),
        ("report", "templates/report.html"),
        ("report", "templates/report.css"),
        ("report", "templates/report.js"),
    ],
)
def test_data_lies_in_the_package_that_reads_it(package, name):
    assert (files(f"hrdis.bench.{package}") / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("store", "Store", hrdis.bench.run.Store),
        ("store", "merge", hrdis.bench.run.merge),
        ("planfile", "read", hrdis.bench.plan.read_plan),
    ],
)
def test_old_name_works_and_shows_the_new_line(old, name, new):
    module = __import__(f"hrdis.bench.{old}", fromlist=[name])
    with pytest.warns(DeprecationWarning, match=r"from hrdis\.bench\.\w+ import") as told:
        assert getattr(module, name) is new
    assert told[0].filename == __file__
