"""One page per room of the house: every public name, from its docstring."""

import ast
import inspect
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from pydantic.dataclasses import is_pydantic_dataclass
from rst import directive, heading, table
from settings import settings

import hrdis
from hrdis.solvers import SOLVERS
from hrdis.tasks import TASKS

#: The rooms, their modules, and of those that have more to them than is for everybody, the names
#: that are.
ROOMS: dict[str, dict[str, Sequence[str]]] = {
    "Measure and solve": {"problem": (), "driver": (), "restarts": ()},
    "Solvers": {"solvers": (), "solvers.base": ()},
    "Presets": {"presets": ()},
    "Operators": {"operators": (), "operators.masks": (), "operators.kernels": (),
    "operators.kspace": ()},
    "Noise": {"noise": ()},
    "Tasks": {"tasks": (), "repairs": ()},
    "Priors": {"priors": ()},
    "Checkpoints": {"checkpoints": (), "checkpoints.cards": ("pins", "resolve_card")},
    "Schedule": {"schedule": ()},
    "Random numbers": {"rng": ()},
    "Linear algebra": {"linalg": ()},
    "Images": {"images": ()},
    "Metrics": {"metrics": ()},
    "Uncertainty": {"uncertainty": ()},
    "Checks": {"check": ()},
    "deepinv": {"interop": ()},
    "Restoration of pictures": {"restoration": (), "fixing": (), "diagnosis": ()},
    "Training": {"training.train": (), "training.settings": (), "training.loop": ("Progress",)},
    "Benchmark": {
        "bench": ("rows",), "bench.plan.plan_file": (), "bench.run": ("Store", "collect", "merge"),
        "bench.results": ("Results", "MethodResults"), "bench.report": ("report",),
        "bench.report.exports": ("csv_of", "latex_of"), "bench.paper": (),
        "bench.report.statistics": (), "bench.score": (), "bench.score.set_distances": (),
    },
}  # fmt: skip


def room_page(title: str, modules: dict[str, Sequence[str]]) -> list[str]:
    lines = heading(title)
    for short, chosen in modules.items():
        module = import_module(f"hrdis.{short}")
        if len(modules) > 1:
            lines += heading(f"``{module.__name__}``", "-")
        lines += [f".. automodule:: {module.__name__}", ""]
        for name in chosen or public(module):
            lines += entry(module, name)
    return lines


def public(module: ModuleType) -> list[str]:
    """The names a module is there for: those it defines, or, of a folder, those its ``__init__``
    hands on.
    """
    at = module.__name__ if hasattr(module, "__path__") else None
    names = []
    for name in order(module):
        home = getattr(getattr(module, name), "__module__", "")
        if home == module.__name__ or (at and home.startswith(f"{at}.")):
            names.append(name)
    return sorted(names, key=lambda name: depth(getattr(module, name)))


def depth(found: Any) -> int:
    """Interfaces first, the most general before the others; everything else in its order."""
    return len(found.__mro__) if inspect.isabstract(found) else sys.maxsize


def order(module: ModuleType) -> list[str]:
    """Public classes and functions of a module, as its ``__all__`` has them or in the order of its
    lines.
    """
    names = list(getattr(module, "__all__", []))
    if names:
        return names
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.ImportFrom) and node.level:
            names += [alias.name for alias in node.names if alias.asname == alias.name]
    return [name for name in names if not name.startswith("_")]


def entry(module: ModuleType, name: str) -> list[str]:
    """The directive of one name, under the shortest name it has; nothing where another page has
    it.
    """
    found = getattr(module, name)
    if name in {cls.__name__ for cls, _ in SOLVERS.values()} or (
        short_of(found) != module.__name__
    ):
        return []
    at = (
        "hrdis"
        if getattr(hrdis, name, None) is found and name in hrdis.__all__
        else module.__name__
    )
    if not inspect.isclass(found):
        return directive("autofunction", f"{at}.{name}", [])
    options = {"members": ""}
    if any(base.__module__.startswith("hrdis.") for base in found.__bases__):
        options["show_inheritance"] = ""
    if not is_pydantic_dataclass(found):
        return directive("autoclass", f"{at}.{name}{signature(found)}", [], **options)
    options["exclude_members"] = ", ".join(f.name for f in fields(found))
    return directive("autoclass", f"{at}.{name}(**settings)", table([*settings(found)]), **options)


def signature(found: type) -> str:
    """The call of a class where Sphinx would not say it well, else nothing."""
    if found.__init__ is torch.nn.Module.__init__ or getattr(found, "_is_protocol", False):
        return "()"
    if not is_dataclass(found) or all(f.default_factory is MISSING for f in fields(found)):
        return ""
    usual = {f.name: "" if f.default is MISSING else f"={f.default!r}" for f in fields(found)}
    made = {
        f.name: f"={f.default_factory()!r}"
        for f in fields(found)
        if f.default_factory is not MISSING
    }
    return f"({', '.join(name + value for name, value in (usual | made).items())})"


def short_of(found: Any) -> str:
    """The module, among those that have a page, that a thing is shown in: its folder, where that
    hands it on.
    """
    modules = [f"hrdis.{short}" for room in ROOMS.values() for short in room]
    home = found.__module__
    holders = [m for m in modules if home == m or home.startswith(f"{m}.")]
    return next(
        (m for m in holders if getattr(import_module(m), found.__name__, None) is found), home
    )


def data() -> dict[str, list[str]]:
    """What the tables of names hold, by room."""
    solvers = [(f"``{name!r}``", f"`{cls.__name__}`") for name, (cls, _) in SOLVERS.items()]
    tasks = [("name", "what is to be done", "who measures like this")]
    tasks += [(f"``{name}``", task.summary, task.source) for name, task in TASKS.items()]
    held = {
        "Solvers": (
            "SOLVERS",
            [
                "``SOLVERS[name]`` is ``(class, presets)``.",
                "",
                *table([("name", "class"), *solvers]),
            ],
        ),
        "Tasks": ("TASKS", ["``TASKS[name]`` is a `Task`.", "", *table(tasks)]),
    }
    return {
        room: directive("py:data", name, lines, module="hrdis")
        for room, (name, lines) in held.items()
    }


def api_index() -> list[str]:
    return [
        *heading("API"),
        "All public names, by module, from their docstrings. What a script needs stands "
        "in ``hrdis`` itself,",
        "imported on first use:", "", ", ".join(f"`hrdis.{n}`" for n in hrdis.__all__) + ".", "",
        *directive("toctree", "", [slug(title) for title in ROOMS], maxdepth="1"),
    ]  # fmt: skip


def slug(title: str) -> str:
    return title.lower().replace(" ", "-")
