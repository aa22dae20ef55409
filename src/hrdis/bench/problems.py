"""What is measured: the tasks by name, their noise, and the problem that the cells of a unit pose."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .. import noise as noises
from ..operators import Inpainting, NonlinearBlur, Operator, Problem
from ..operators.nonlinear_blur import BKSE
from ..simulate import measure
from ..solvers import Solver, preset
from ..tasks import TASKS, Task
from .cells import Cell

#: Operators whose random parts are another for each image and cannot be stacked in a batch.
ALONE = ("deblur-motion", "deblur-nonlinear")
KINDS = {"gaussian": noises.Gaussian, "poisson": noises.Poisson, "speckle": noises.Speckle}
NONLINEAR = "deblur-nonlinear"


def _needs_weights(h: int, w: int, seed: int, index: int) -> Operator:
    raise ValueError(f"The task {NONLINEAR!r} needs the weights of its blur. A file is expected: --bkse GOPRO_wVAE.pth")


#: The tasks of the benchmark: those of `hrdis.TASKS`, and the one whose operator is a network from a file.
ALL: dict[str, Task] = TASKS | {
    NONLINEAR: Task(
        "undo a blur that a network made, its kernel known", _needs_weights, (NONLINEAR,), source="HRDIS, FFHQ"
    )
}


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
    raise ValueError(f"Unknown noise {name!r}. none, or a kind and a level, is expected: gaussian0.05, poisson1.0.")


def chosen(solver: str, task: str, noise: str, prior: str) -> tuple[str | None, Solver]:
    """The preset of a solver for a task and noise: its key, and the settings.

    Args:
        prior: which rows go first: "default" for those of small priors, "" for the papers' own.
    """
    model = noise_of(noise)
    kind = next((k for k in KINDS if noise.startswith(k)), "gaussian")
    return preset(solver, ALL[task].presets, prior, 0.0 if model is None else model.sigma_y / 2, kind)


def load_blur(file: str | Path | None) -> BKSE | None:
    """The network of the nonlinear blur, to be shared by all cells."""
    return None if file is None else NonlinearBlur(file).network


class Poser:
    """Measures the pictures of units. Every solver, and every seed, faces the same y.

    Operators without random parts of their own per picture, and the last problem, are kept: building one can take
    longer than a short run.

    Args:
        blur: the network of the nonlinear blur, if there is one.
    """

    def __init__(self, blur: BKSE | None = None):
        self.blur = blur
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
        blind = ALL[task].blind if cells[0].solver == ALL[task].solver else None  # any other is told what it lacks
        where = (cells[0].size, cells[0].crop, *truth.shape, truth.device)
        name = (task, noise, blind, where, *((cell.image_sha256, cell.index) for cell in cells))
        if self._last is None or self._last[0] != name:
            problem = self._measured(cells, truth)
            if blind is not None:
                problem = Problem(problem.y, blind(*truth.shape[-2:], 0, 0), problem.sigma_y)
            self._last = name, problem
        return self._last[1]

    def _measured(self, cells: Sequence[Cell], truth: Tensor) -> Problem:
        A = self._operator(cells[0].task, truth, [cell.index for cell in cells])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an identity without noise says that it is one
            return measure(A, truth, noise_of(cells[0].noise), seeds=[cell.draw_seed("measure") for cell in cells])

    def _operator(self, task: str, truth: Tensor, indices: Sequence[int]) -> Operator:
        (h, w), build = truth.shape[-2:], ALL[task].build
        if task == NONLINEAR and self.blur is not None:
            return NonlinearBlur(self.blur, seed=0, index=indices[0]).to(truth.device)
        if ALL[task].mask:
            masks = [A.mask for A in (build(h, w, 0, index) for index in indices) if isinstance(A, Inpainting)]
            return Inpainting(torch.cat(masks)).to(truth.device)
        if task in ALONE:
            return build(h, w, 0, indices[0]).to(truth.device)
        name = (task, h, w, truth.device)
        if name not in self._operators:
            self._operators[name] = build(h, w, 0, 0).to(truth.device)
        return self._operators[name]
