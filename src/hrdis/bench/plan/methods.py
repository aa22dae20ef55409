"""Settings of a method for a task: the options of every plan, and the preset that is taken."""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from ...presets import Presets, choose, embedded
from ...schedule import Schedule
from ...solvers import SOLVERS, Solver
from ...solvers.base import settings
from ...tasks import TASKS
from ..paper import HRDIS_PRESETS, Column, Method
from .noises import KINDS, parse_noise

PresetsOf = Literal["auto", "paper", "default"]

#: Settings of HRDIS by the names of Table 5.
TABLE_5_SETTINGS = {
    "N": "steps", "lambda1": "lambda_obs", "lambda2": "lambda_reg", "learning_rate": "lr",
}  # fmt: skip


@settings
class PlanOptions:
    """Options of a plan beside its tables: everything that changes a number."""

    size: Annotated[int, Field(ge=0, le=65_536)] = 256
    """Scale and crop pictures to this side as the papers do; 0 takes them as they are."""
    crop: Annotated[int, Field(ge=0, le=65_536)] = 0
    """Use the centre of this side only; 0: all of it."""
    presets: PresetsOf = "auto"
    """paper: the papers' settings, for the papers' networks; default: those for small priors; auto:
    those that fit the prior.
    """
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the network."""
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Samples per picture, all of one measurement; phase retrieval takes at least 4."""
    batch: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Pictures per network call."""
    dataset: str = ""
    """The paper's data set that the pictures are of (imagenet, ffhq, lol); columns of others are
    left out.
    """


@dataclass(frozen=True)
class PriorIdentity:
    """The prior of a plan, as far as a plan depends on it.

    Args:
        name: name for people.
        sha256: hash of its weights.
        presets: settings that were tuned for it; None for the papers' own.
        schedule: its noise schedule.
        identity: hash of all that decides its output (`priors.checkpoints.identity`); "" in run
            folders of hrdis 0.1, which identified a prior by its weights.
    """

    name: str
    sha256: str
    presets: Presets | None
    schedule: Schedule
    identity: str = ""


def preset_for(
    solver: str, task: str, noise: str, tuned: Presets | None
) -> tuple[str | None, Solver]:
    """Return the preset of a solver for a task and noise, as the name of its row and the settings.

    Args:
        solver, task, noise: names, as in a run task.
        tuned: the rows of the prior, which go first; None for the papers' own.
    """
    model = parse_noise(noise)
    sigma = 0.0 if model is None else model.sigma_y / 2  # for images in [0, 1]
    kind = "gaussian"
    for known in KINDS:
        if noise.startswith(known):
            kind = known
    choice = choose(SOLVERS[solver][0], TASKS[task].presets, sigma, kind, tuned)
    return choice.row or None, choice.settings


def choose_settings(
    column: Column, method: Method, options: PlanOptions, prior: PriorIdentity
) -> tuple[str | None, Solver]:
    """Return the preset key and settings of a method for a task.

    The settings are those of the preset, with those of the method in their place; the key is None
    where no preset fits.

    Raises:
        ValueError: for a preset that the solver does not have, or settings that it refuses.
    """
    tuned = {"auto": prior.presets, "paper": None, "default": embedded()}[options.presets]
    presets = named_rows(method.solver, prior.presets)
    key: str | None
    if method.preset is None:
        key, solver = preset_for(method.solver, column.task, column.noise, tuned)
    elif method.preset in presets:
        key, solver = method.preset, presets[method.preset]
    else:
        raise ValueError(
            f"{method.solver} has no preset {method.preset!r}. One of {', '.join(presets)} is "
            "expected."
        )
    changes = dict(method.settings)
    if "epsilon" in changes:
        changes |= steps_for_epsilon(solver, changes.pop("epsilon"), len(prior.schedule))
    return key, replace(solver, **changes)  # type: ignore[type-var]


def named_rows(solver: str, tuned: Presets | None) -> dict[str, Solver]:
    """Return all rows a plan may name, the paper's, the embedded prior's and the prior's own."""
    cls, paper = SOLVERS[solver]
    rows = paper | embedded().of(cls)
    return rows if tuned is None else rows | tuned.of(cls)


def steps_for_epsilon(solver: Solver, epsilon: float, length: int) -> dict[str, Any]:
    """Return settings whose times are epsilon apart, on a scale where all ``length`` times are 1.

    Raises:
        ValueError: for an epsilon outside (0, 1], or a solver without steps and start.
    """
    names = {f.name for f in fields(solver)}  # type: ignore[arg-type]
    if not {"steps", "start"} <= names or not 0 < epsilon <= 1:
        raise ValueError(
            f"epsilon is {epsilon} for {type(solver).__name__}. A distance of times in (0, 1] is "
            "expected, for a solver with steps and start."
        )
    start: int | None = solver.start  # type: ignore[attr-defined]
    if start is None:
        steps, most = round(1 / epsilon), length
    else:
        steps, most = round(start / (length * epsilon)) + 1, start + 1
    # Times are whole numbers: there are no more of them than `most`.
    changes: dict[str, Any] = {"steps": max(1, min(steps, most))}
    if "grid" in names:
        changes["grid"] = "uniform"
    return changes


def table_5() -> list[dict[str, Any]]:
    """Return Table 5 as the presets of HRDIS have it: rows of task, parameter, value."""
    presets, rows = SOLVERS["hrdis"][1], []
    for task, key in HRDIS_PRESETS.items():
        for parameter, field in TABLE_5_SETTINGS.items():
            value = getattr(presets[key], field)
            rows.append({"task": task, "parameter": parameter, "value": value})
    return rows
