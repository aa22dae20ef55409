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


def build(task: str, h: int, w: int, indices: Sequence[int], blur: BKSE | None) -> Operator:
    """The operator for a batch of images at these places of the data; one mask for each."""
    if task == NONLINEAR and blur is not None:
        return NonlinearBlur(blur, seed=0, index=indices[0])
    operators = [ALL[task].build(h, w, 0, index) for index in (indices if ALL[task].mask else indices[:1])]
    if len(operators) > 1:
        return Inpainting(torch.cat([A.mask for A in operators if isinstance(A, Inpainting)]))
    return operators[0]


def pose(cells: Sequence[Cell], truth: Tensor, blur: BKSE | None = None) -> Problem:
    """Measure the pictures of a unit. Every solver, and every seed, faces the same y.

    Args:
        cells: they agree in task and noise.
        truth: (b, 3, h, w) in [-1, 1], where the solver runs.
        blur: the network of the nonlinear blur.

    Raises:
        ValueError, TypeError: if pictures of this size cannot be measured so.
    """
    task, (h, w) = cells[0].task, truth.shape[-2:]
    A = build(task, h, w, [cell.index for cell in cells], blur).to(truth.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an identity without noise says that it is one
        problem = measure(A, truth, noise_of(cells[0].noise), seeds=[cell.draw_seed("measure") for cell in cells])
    blind = ALL[task].blind
    if blind is not None and cells[0].solver == ALL[task].solver:  # any other is told what it does not estimate
        return Problem(problem.y, blind(h, w, 0, 0), problem.sigma_y)
    return problem
