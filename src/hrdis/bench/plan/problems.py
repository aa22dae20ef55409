"""What is measured: the tasks by name, their noise, and the problem that the cells of a unit
pose.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ... import noise as noises
from ...operators import BlindOperator, Inpainting, Operator
from ...presets import Presets, choose
from ...problem import Problem, measure
from ...solvers import SOLVERS, Solver
from ...tasks import TASKS, Task
from ..records import Cell

#: Operators whose random parts are another for each image and cannot be stacked in a batch.
ALONE = ("deblur-motion", "deblur-nonlinear")
KINDS = {"gaussian": noises.Gaussian, "poisson": noises.Poisson, "speckle": noises.Speckle}
NONLINEAR = "deblur-nonlinear"


def noise_of(name: str) -> noises.Noise | None:
    """The noise of a name: none, gaussian0.05, poisson1.0, speckle0.1.

    Raises:
        ValueError: for any other, or a level that the noise refuses.
    """
    if name == "none":
        return None
    for kind, make in KINDS.items():
        try:
            if name.startswith(kind):
                return make(float(name.removeprefix(kind)))
        except ValueError as error:
            if "expected" in str(error):
                raise
    raise ValueError(
        f"Unknown noise {name!r}. none, or a kind and a level, is expected: gaussian0.05, "
        "poisson1.0."
    )


def chosen(solver: str, task: str, noise: str, tuned: Presets | None) -> tuple[str | None, Solver]:
    """Return the preset of a solver for a task and noise: the name of its row, and the settings.

    Args:
        tuned: the rows of the prior, which go first; None for the papers' own.
    """
    model = noise_of(noise)
    level = 0.0 if model is None else model.sigma_y / 2
    kind = next((k for k in KINDS if noise.startswith(k)), "gaussian")
    choice = choose(SOLVERS[solver][0], TASKS[task].presets, level, kind, tuned)
    return choice.row or None, choice.settings


class Poser:
    """Measures the pictures of units. Every solver, and every seed, faces the same y.

    Operators without random parts of their own per picture, and the last problem, are kept:
    building one can take longer than a short run.

    Args:
        bkse: weights of the nonlinear blur, a file or a state dict; without them that task cannot
            be measured.

    Raises:
        ValueError: if they do not fit.
    """

    def __init__(self, bkse: str | Path | Mapping[str, Tensor] | None = None):
        own = {} if bkse is None else {NONLINEAR: TASKS[NONLINEAR].with_weights(bkse)}
        self.tasks: dict[str, Task] = TASKS | own
        self.has_weights = bkse is not None
        self._operators: dict[object, Operator] = {}
        self._last: tuple[object, Problem] | None = None

    def pose(self, cells: Sequence[Cell], truth: Tensor) -> Problem:
        """The problem of a unit.

        Args:
            cells: they agree in task and noise.
            truth: (b, 3, h, w) in [-1, 1], where the solver runs; the pictures of the cells.

        Raises:
            ValueError, TypeError: if pictures of this size cannot be measured so.
        """
        task, noise = cells[0].task, cells[0].noise
        estimates = (
            cells[0].method().needs() is BlindOperator
        )  # any other solver is told the parameters
        blind = self.tasks[task].blind if estimates else None
        where = (cells[0].size, cells[0].crop, *truth.shape, truth.device)
        name = (task, noise, blind, where, *((cell.image_sha256, cell.index) for cell in cells))
        if self._last is None or self._last[0] != name:
            problem = self._measured(cells, truth)
            if blind is not None:
                problem = Problem(
                    problem.y, blind(truth.shape[-2], truth.shape[-1], 0, 0), problem.sigma_y
                )
            self._last = name, problem
        return self._last[1]

    def _measured(self, cells: Sequence[Cell], truth: Tensor) -> Problem:
        A = self._operator(cells[0].task, truth, [cell.index for cell in cells])
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # an identity without noise says that it is one
            return measure(
                A,
                truth,
                noise_of(cells[0].noise),
                seeds=[cell.draw_seed("measure") for cell in cells],
            )

    def _operator(self, task: str, truth: Tensor, indices: Sequence[int]) -> Operator:
        (h, w), build = truth.shape[-2:], self.tasks[task].build
        if self.tasks[task].mask:
            masks = [
                A.mask
                for A in (build(h, w, 0, index) for index in indices)
                if isinstance(A, Inpainting)
            ]
            return Inpainting(torch.cat(masks)).to(truth.device)
        if task in ALONE:
            return build(h, w, 0, indices[0]).to(truth.device)
        name = (task, h, w, truth.device)
        if name not in self._operators:
            self._operators[name] = build(h, w, 0, 0).to(truth.device)
        return self._operators[name]
