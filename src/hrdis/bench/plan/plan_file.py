"""A plan of your own: a YAML file of tasks, solvers and grids of their settings.

    tasks: [inpaint-20-30, sr4]             # names of `hrdis tasks`
    noise: [none, gaussian0.05]             # or poisson1.0, speckle0.1
    solvers:
      - reddiff                             # a name of `hrdis solvers`: the preset of each task
      - solver: hrdis
        label: HRDIS                        # how the report calls it
        preset: sr4                         # instead of the task's own
        settings: {steps: 50, beta: [0, 0.2, 1]}     # a list is a grid: three methods; epsilon:
        distance of times
    images: {folder: photos, list: list.txt, limit: 8}
    bkse: GOPRO_wVAE.pth                    # paths are relative to this file
    prior: default
    metrics: [PSNR, SSIM, LPIPS]
    size: 256                               # and every other setting of
    `hrdis.bench.methods.Options`

Only tasks and solvers must be there. What the command line says goes before what the file says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from ...messages import unknown
from ...solvers import SOLVERS
from ...tasks import TASKS
from ..paper.tables import Column, Method, Table
from .methods import Options
from .problems import noise_of

METRICS = ("PSNR", "SSIM", "LPIPS", "FID", "KID", "CA", "diversity")
OPTIONS = tuple(f.name for f in fields(Options))
KEYS = ("tasks", "noise", "solvers", "images", "bkse", "prior", "metrics", "title", *OPTIONS)


@dataclass(frozen=True)
class PlanFile:
    """What a plan file says; None and empty where it says nothing."""

    table: Table
    folder: Path | None
    listed: Path | None
    limit: int | None
    bkse: Path | None
    prior: str | None
    options: dict[str, Any]


def read(path: Path) -> PlanFile:
    """Read a plan.

    Raises:
        ValueError: for a file that is none, an unknown key or name (naming the likeliest), or a
            value that is none.
    """
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}). A plan is expected: hrdis bench PLAN.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is no YAML ({' '.join(str(error).split())}). See examples/plan.yaml"
        ) from None
    said = _mapping(said, str(path), KEYS)
    for key in ("tasks", "solvers"):
        if not said.get(key):
            raise ValueError(
                f"{path} has no {key}. A list of names is expected: {key}: "
                f"[{'sr4' if key == 'tasks' else 'hrdis'}]"
            )
    images = _mapping(said.get("images", {}), f"images of {path}", ("folder", "list", "limit"))
    limit = images.get("limit")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(
            f"limit in {path} is {limit!r}. A number of pictures is expected: limit: 8"
        )
    options = {key: said[key] for key in OPTIONS if key in said}
    try:
        Options(**options)
    except ValueError as error:
        raise ValueError(f"In {path}: {str(error).removeprefix('Options: ')}") from None
    return PlanFile(
        _table(said, path), _path(path, images.get("folder")), _path(path, images.get("list")),
        limit,
        _path(path, said.get("bkse")), said.get("prior"), options,
    )  # fmt: skip


def _table(said: Mapping[str, Any], path: Path) -> Table:
    metrics = tuple(_names(said.get("metrics", ["PSNR", "SSIM"]), "metric", METRICS))
    noises = said.get("noise", ["none"])
    columns = []
    for task, noise in product(_names(said["tasks"], "task", TASKS), _list(noises)):
        noise_of(str(noise))
        columns.append(
            Column("", task if noise == "none" else f"{task}, {noise}", task, metrics, str(noise))
        )
    methods = [method for entry in _list(said["solvers"]) for method in _methods(entry, path)]
    labels = [method.label for method in methods]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(
            f"Two methods of {path} are called {twice!r}. One label each is expected: label: ..."
        )
    return Table("plan", str(said.get("title", path.stem)), tuple(columns), tuple(methods))


def _methods(entry: object, path: Path) -> list[Method]:
    """One method, or one for each combination of the settings that are lists."""
    entry = {"solver": entry} if isinstance(entry, str) else entry
    row = _mapping(entry, f"a solver of {path}", ("solver", "label", "preset", "settings"))
    (solver,) = _names([row.get("solver", "")], "solver", SOLVERS)
    given = _mapping(
        row.get("settings") or {}, f"settings of {solver}", (*_settings(solver), "epsilon")
    )
    label = str(row.get("label", solver))
    grids = {name: value for name, value in given.items() if isinstance(value, list)}
    made = []
    for values in product(*grids.values()):
        at = dict(zip(grids, values, strict=True))
        name = " ".join(
            [label, *(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in at.items())]
        )
        made.append(Method(name, solver, given | at, row.get("preset")))
    return made


def _settings(solver: str) -> tuple[str, ...]:
    return tuple(f.name for f in fields(SOLVERS[solver][0]))  # type: ignore[arg-type]


def _mapping(value: object, what: str, valid: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(
            f"{what} holds {type(value).__name__}. Keys and values are expected. See "
            "examples/plan.yaml"
        )
    for key in value:
        if key not in valid:
            raise ValueError(f"In {what}: {unknown('key', str(key), valid)}")
    return value


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _names(value: object, kind: str, valid: "Mapping[str, Any] | tuple[str, ...]") -> list[str]:
    for name in (names := [str(v) for v in _list(value)]):
        if name not in valid:
            text = unknown(kind, name, valid)
            raise ValueError(text[0].upper() + text[1:])
    return names


def _path(plan: Path, name: object) -> Path | None:
    return None if name is None else plan.parent / Path(str(name)).expanduser()
