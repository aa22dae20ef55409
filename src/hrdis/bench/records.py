"""The unit of identity: a `Cell` is one restoration, a `Unit` those that share a network call."""

import json
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter

from ..solvers import SOLVERS, Solver
from ..solvers.base import settings

#: What a cell is called, which changes no pixel of it.
LABELS = ("image", "prior", "preset", "group", "frames")
#: What distinguishes the cells of one method on one task.
INSTANCE = ("image_sha256", "index", "seed")


@settings
class Cell:
    """One restoration: everything its pixels depend on, and what it is called.

    Its `key` names it. Labels (the name of the picture and of the prior's file, the preset's key,
    the row of a table, how many frames are kept) are left out of it: two cells with one key are the
    same result.
    """

    image: str
    """Name of the picture, for people."""
    image_sha256: str
    """Of the picture's file."""
    index: int
    """Place of the picture in the whole list of data, which chooses a random mask."""
    size: int
    """What the shorter side was scaled to, and both cropped to; 0: as it was."""
    crop: int
    """Side of the centre that is used; 0: all of it."""
    task: str
    noise: str
    """none, gaussian0.05, poisson1.0 or speckle0.1."""
    solver: str
    preset: str | None
    """Key of the preset its settings were taken from."""
    settings: dict[str, Any]
    """All settings of the solver."""
    prior: str
    prior_sha256: str
    """The identity of the prior: of its scheme, its configurations and its weights; before hrdis
    0.2 of the last.
    """
    precision: str
    seed: int
    """Chooses the solver's noise; the measurement does not depend on it."""
    operator_sha256: str | None = None
    """Of the weights of an operator that has some (nonlinear blur)."""
    group: str = ""
    """The row of a table."""
    frames: int = 0
    """How many pictures of its course are kept."""

    @cached_property
    def key(self) -> str:
        """The name of the result: 16 hex digits of a SHA-256 of everything that it depends on."""
        return _digest({k: v for k, v in self.record().items() if k not in LABELS})[:16]

    @cached_property
    def variant(self) -> str:
        """What this cell shares with those of other pictures and seeds: task, noise, method and
        prior.
        """
        return variant_of(self.record())

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in FIELDS}

    def method(self) -> Solver:
        """The solver."""
        return SOLVERS[self.solver][0](**self.settings)

    def draw_seed(self, name: str = "solve") -> int:
        """An integer for the streams of this picture: of the solver, or of the measurement,
        whatever the solver.

        It depends on the picture, and for the solver on the seed; on nothing else.
        """
        text = f"{self.image_sha256} {self.seed}" if name == "solve" else self.image_sha256
        return int.from_bytes(sha256(f"{name} {text}".encode()).digest()[:7], "big")


FIELDS = tuple(Cell.__dataclass_fields__)


def variant_of(cell: Mapping[str, Any]) -> str:
    """`Cell.variant` of a cell as it stands in a row."""
    return _digest({k: v for k, v in cell.items() if k not in (*LABELS, *INSTANCE)})[:12]


def settings_of(solver: Solver) -> dict[str, Any]:
    """All settings of a solver, as JSON."""
    return TypeAdapter(type(solver)).dump_python(solver, mode="json")


@settings
class Unit:
    """Cells that differ in picture and seed only, restored in one batch; done again as a whole
    after a kill.
    """

    cells: tuple[Cell, ...]

    @cached_property
    def key(self) -> str:
        """The name of the unit, which does not depend on its place in a plan."""
        return _digest([cell.key for cell in self.cells])[:16]


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()
