"""A plan of your own: a YAML file of tasks, solvers and grids of their settings.

    tasks: [inpaint-20-30, sr4]             # names of `hrdis list tasks`
    noise: [none, gaussian0.05]             # or poisson1.0, speckle0.1
    solvers:
      - reddiff                             # of `hrdis list solvers`: the preset of each task
      - solver: hrdis
        label: HRDIS                        # its name in the report
        preset: sr4                         # instead of the task's own
        settings:
          steps: 50
          beta: [0, 0.2, 1]                 # a list is a grid: three methods
          epsilon: 0.01                     # distance of times, instead of steps
    images: {folder: photos, list: list.txt, limit: 8}
                                            # and masks: FOLDER, mask_offset: 3, measured: FOLDER
    bkse: GOPRO_wVAE.pth                    # paths are relative to this file
    prior: default
    metrics: [PSNR, SSIM, LPIPS]
    size: 256                               # and every other field of ``PlanOptions``

Only tasks and solvers must be there. Options of the command line go before those of the file.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from ...messages import unknown
from ...solvers import SOLVERS
from ...tasks import TASKS
from ..paper import Column, Method, PaperTable
from .methods import PlanOptions
from .noises import parse_noise

METRICS = ("PSNR", "SSIM", "LPIPS", "FID", "KID", "CA", "diversity")
OPTIONS = tuple(option.name for option in fields(PlanOptions))
IMAGES = ("folder", "list", "limit", "masks", "measured", "mask_offset")
#: Bounds of a plan file, so that a small file takes neither hours nor all memory. YAML is read at
#: some 50 kB a second.
MOST_BYTES, MOST_VALUES, MOST_ALIASES, DEEPEST, MOST_METHODS = 100_000, 50_000, 20, 20, 10_000
#: Most pairs of a task and a noise level, and most of these with a method.
MOST_COLUMNS, MOST_ENTRIES = 10_000, 30_000
KEYS = ("tasks", "noise", "solvers", "images", "bkse", "prior", "metrics", "title", *OPTIONS)


@dataclass(frozen=True)
class PlanFile:
    """Content of a plan file; None and empty where it says nothing.

    Args:
        table: its methods and tasks.
        folder, listed, limit: pictures, as ``find_pictures`` takes them.
        masks, measured, mask_offset: masks and measurements, as ``GivenFiles`` has them.
        bkse: weights of the nonlinear blur.
        prior: name of the prior.
        options: fields of ``PlanOptions``.
    """

    table: PaperTable
    folder: Path | None
    listed: Path | None
    limit: int | None
    masks: Path | None
    measured: Path | None
    mask_offset: int | None
    bkse: Path | None
    prior: str | None
    options: dict[str, Any]


def read_plan(path: Path) -> PlanFile:
    """Read a plan.

    Raises:
        ValueError: for a file that cannot be read, an unknown key or name (naming the closest one),
            or a value that is not valid.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(
                f"{path} has {path.stat().st_size} bytes. A plan of at most {MOST_BYTES} is "
                "expected: see examples/plan.yaml"
            )
        content = PlanLoader(path.read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}). A plan is expected: hrdis bench PLAN.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not YAML ({' '.join(str(error).split())}). See examples/plan.yaml"
        ) from None
    check_size(content, path)
    plan = _mapping(content, str(path), KEYS)
    for key, example in (("tasks", "sr4"), ("solvers", "hrdis")):
        if not plan.get(key):
            raise ValueError(
                f"{path} has no {key}. A list of names is expected: {key}: [{example}]"
            )
    images = _mapping(plan.get("images", {}), f"images of {path}", IMAGES)
    limit = images.get("limit")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(
            f"limit in {path} is {limit!r}. A number of pictures is expected: limit: 8"
        )
    offset = images.get("mask_offset")
    if offset is not None and (not isinstance(offset, int) or offset < 0):
        raise ValueError(
            f"mask_offset in {path} is {offset!r}. A number from 0 on is expected: mask_offset: 3"
        )
    options = {key: plan[key] for key in OPTIONS if key in plan}
    try:
        PlanOptions(**options)
    except ValueError as error:
        text = str(error).removeprefix(f"{PlanOptions.__name__}: ")
        raise ValueError(f"In {path}: {text}") from None
    return PlanFile(
        _table(plan, path),
        _relative_to(path, images.get("folder")),
        _relative_to(path, images.get("list")),
        limit,
        _relative_to(path, images.get("masks")),
        _relative_to(path, images.get("measured")),
        offset,
        _relative_to(path, plan.get("bkse")),
        plan.get("prior"),
        options,
    )


class PlanLoader(yaml.SafeLoader):
    """YAML's safe loader with bounds on depth and aliases.

    The time of a text grows with the square of its depth, and what aliases of aliases stand for
    with the power of their number.
    """

    def __init__(self, stream: str):
        super().__init__(stream)
        self._depth = self._aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node.

        Raises:
            yaml.YAMLError: for one that is too deep, and for too many aliases.
        """
        if self.check_event(yaml.AliasEvent):
            self._aliases += 1
        if self._depth >= DEEPEST or self._aliases > MOST_ALIASES:
            raise yaml.YAMLError(
                f"more than {DEEPEST} values in each other, or more than {MOST_ALIASES} aliases"
            )
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def check_size(content: object, path: Path) -> None:
    """Refuse a content of too many values, each alias counted as what it stands for."""
    todo, seen = [content], 0
    while todo:
        current = todo.pop()
        seen += 1
        if isinstance(current, dict):
            todo += [*current, *current.values()]
        elif isinstance(current, list | tuple | set):
            todo += current
        if seen + len(todo) > MOST_VALUES:
            raise ValueError(
                f"{path} holds more than {MOST_VALUES} values. A plan is expected: see "
                "examples/plan.yaml"
            )


def _table(plan: Mapping[str, Any], path: Path) -> PaperTable:
    metrics = tuple(_names(plan.get("metrics", ["PSNR", "SSIM"]), "metric", METRICS))
    tasks, noises = _names(plan["tasks"], "task", TASKS), _list(plan.get("noise", ["none"]))
    if len(tasks) * len(noises) > MOST_COLUMNS:
        raise ValueError(
            f"{path} has {len(tasks)} tasks and {len(noises)} noise levels. At most "
            f"{MOST_COLUMNS} pairs of the two are expected. Give shorter lists."
        )
    columns = []
    for task, noise in product(tasks, noises):
        parse_noise(str(noise))  # refused here and not when the first picture is measured
        name = task
        if noise != "none":
            name += f", {noise}"
        columns.append(Column("", name, task, metrics, str(noise)))
    methods: list[Method] = []
    for entry in _list(plan["solvers"]):
        row = {"solver": entry}
        if not isinstance(entry, str):
            row = _mapping(entry, f"a solver of {path}", ("solver", "label", "preset", "settings"))
        (solver,) = _names([row.get("solver", "")], "solver", SOLVERS)
        names = [f.name for f in fields(SOLVERS[solver][0])]  # type: ignore[arg-type]
        given = _mapping(row.get("settings") or {}, f"settings of {solver}", (*names, "epsilon"))
        # One method, or one for each combination of the settings that are lists.
        grids = {name: value for name, value in given.items() if isinstance(value, list)}
        count = math.prod(len(values) for values in grids.values())
        if len(methods) + count > MOST_METHODS:
            raise ValueError(
                f"The settings of {solver} in {path} are a grid of {count} methods. At most "
                f"{MOST_METHODS} are expected. Give shorter lists."
            )
        for values in product(*grids.values()):
            point = dict(zip(grids, values, strict=True))
            label = str(row.get("label", solver))
            for name, value in point.items():
                shown = f"{value:g}" if isinstance(value, float) else str(value)
                label += f" {name}={shown}"
            methods.append(Method(label, solver, given | point, row.get("preset")))
    if len(columns) * len(methods) > MOST_ENTRIES:
        raise ValueError(
            f"{path} has {len(methods)} methods and {len(columns)} pairs of a task and a noise "
            f"level. A table of at most {MOST_ENTRIES} entries is expected. Give shorter lists."
        )
    labels: set[str] = set()
    for method in methods:
        if method.label in labels:
            raise ValueError(
                f"Two methods of {path} are called {method.label!r}. One label each is expected: "
                "label: ..."
            )
        labels.add(method.label)
    return PaperTable("plan", str(plan.get("title", path.stem)), tuple(columns), tuple(methods))


def _mapping(value: object, what: str, valid: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(
            f"{what} holds no keys and values, which are expected: see examples/plan.yaml"
        )
    for key in value:
        if key not in valid:
            raise ValueError(f"In {what}: {unknown('key', str(key), valid)}")
    return value


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _names(value: object, kind: str, valid: Iterable[str]) -> list[str]:
    names = [str(entry) for entry in _list(value)]
    for name in names:
        if name not in valid:
            text = unknown(kind, name, valid)
            raise ValueError(text[0].upper() + text[1:])
    return names


def _relative_to(plan: Path, name: object) -> Path | None:
    return None if name is None else plan.parent / Path(str(name)).expanduser()
