"""How a method is set for a task: what every plan may say, whose presets are taken, and what cannot
be run at all.
"""

import warnings
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from ...arguments import check
from ...presets import Presets, embedded
from ...priors.base import Prior
from ...schedule import Schedule
from ...solvers import SOLVERS, Solver
from ...solvers.base import settings
from ..paper.tables import Column, Method
from ..records import Cell, settings_of
from .problems import NONLINEAR, Poser, chosen

PresetsOf = Literal["auto", "paper", "default"]


@settings
class Options:
    """What a plan has beside its tables: everything that changes a number."""

    size: Annotated[int, Field(ge=0)] = 256
    """Scale and crop pictures to this side as the papers do; 0 takes them as they are."""
    crop: Annotated[int, Field(ge=0)] = 0
    """Use the centre of this side only; 0: all of it."""
    presets: PresetsOf = "auto"
    """paper: the papers' settings, for the papers' networks; default: those for small priors; auto:
    what fits.
    """
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """What the network runs in."""
    seeds: Annotated[int, Field(ge=1)] = 1
    """Samples per picture, all of one measurement; phase retrieval takes at least 4."""
    batch: Annotated[int, Field(ge=1)] = 1
    """Pictures per network call."""
    dataset: str = ""
    """Which of the papers' data sets the pictures are (imagenet, ffhq, lol); others' columns are
    left out.
    """


@dataclass(frozen=True)
class Network:
    """The prior of a plan: its name, its hashes, and the settings that were tuned for it.

    Args:
        sha256: of its weights.
        identity: of all that decides what it computes (`checkpoints.identity`); "" in run
            folders of hrdis 0.1, which knew a prior by its weights.
    """

    name: str
    sha256: str
    presets: Presets | None
    schedule: Schedule
    identity: str = ""


def settle(
    column: Column, method: Method, options: Options, network: Network
) -> tuple[str | None, Solver]:
    """The settings of a method on a task: its preset, and what replaces it; the preset's key goes
    into the row.
    """
    tuned = {"auto": network.presets, "paper": None, "default": embedded()}[options.presets]
    key, solver = chosen(method.solver, column.task, column.noise, tuned)
    if method.preset is not None:
        rows = named_rows(method.solver, network.presets)
        if method.preset not in rows:
            raise ValueError(
                f"{method.solver} has no preset {method.preset!r}. One of {', '.join(rows)} is "
                "expected."
            )
        key, solver = method.preset, rows[method.preset]
    given = dict(method.settings)
    if "epsilon" in given:
        given |= _spaced(solver, given.pop("epsilon"), len(network.schedule))
    return key, replace(solver, **given)  # type: ignore[type-var]


def named_rows(solver: str, tuned: Presets | None) -> dict[str, Solver]:
    """Return all rows that a plan may name: the paper's, the embedded prior's, the prior's own."""
    cls, paper = SOLVERS[solver]
    rows = paper | embedded().of(cls)
    return rows if tuned is None else rows | tuned.of(cls)


def _spaced(solver: Solver, epsilon: float, length: int) -> dict[str, Any]:
    """Settings whose times are epsilon apart, on a scale where all times are 1."""
    names = {f.name for f in fields(solver)}  # type: ignore[arg-type]
    if not {"steps", "start"} <= names or not 0 < epsilon <= 1:
        raise ValueError(
            f"epsilon is {epsilon} for {type(solver).__name__}. A distance of times in (0, 1] is "
            "expected, for a solver with steps and start."
        )
    start: int | None = solver.start  # type: ignore[attr-defined]
    steps = round(1 / epsilon) if start is None else round(start / (length * epsilon)) + 1
    steps = max(1, min(steps, length if start is None else start + 1))
    return {"steps": steps} | ({"grid": "uniform"} if "grid" in names else {})


def fitted(x: Tensor, prior: Prior) -> Tensor:
    """Return pictures as a prior of grey ones takes them, if their channels are equal; all others
    as they are.
    """
    grey = prior.channels == (1,) and bool((x == x[:, :1]).all())
    return x[:, :1] if grey else x


class Feasible:
    """Which method can be run on which task, tried on the first picture; the reason where not, else
    empty.
    """

    def __init__(self, truth: Tensor, prior: Prior, poser: Poser, cell: Cell):
        self.truth, self.prior, self.poser, self.cell = truth, prior, poser, cell

    def why_not(self, column: Column, method: Method, solver: Solver) -> str:
        """One sentence, or nothing."""
        if column.task == NONLINEAR and not self.poser.has_weights:
            return "no weights of the nonlinear blur were given: --bkse GOPRO_wVAE.pth"
        here = replace(
            self.cell,
            task=column.task,
            noise=column.noise,
            solver=method.solver,
            settings=settings_of(solver),
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(solver, self.prior, self.poser.pose([here], self.truth))
            solver.times(self.prior.schedule)
        except (ValueError, TypeError) as error:
            return str(error)
        return ""
