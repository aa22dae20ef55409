"""The inverse problems of run tasks: operator, noise and measurement of the pictures of a unit."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...operators import BlindOperator, Inpainting, Operator
from ...problem import Problem, measure
from ...tasks import TASKS, Task
from ..records import RunTask
from .given import GivenFiles, read_given_mask, read_given_measurement
from .noises import parse_noise

#: Tasks whose operator is another one for each image, and cannot be stacked in a batch.
UNBATCHED_TASKS = ("deblur-motion", "deblur-nonlinear")
NONLINEAR_BLUR = "deblur-nonlinear"


#: Operators that are kept, one per task and size.
KEPT_OPERATORS = 16


class ProblemMaker:
    """Measures the pictures of units. Every solver, and every seed, faces the same y.

    Operators that are the same for all pictures of a size, and the last problem, are kept, because
    building one can take longer than a short run.

    Args:
        bkse: weights of the nonlinear blur, a file or a state dict; without them that task cannot
            be measured.
        given: masks and measurements that were given, if any.

    Raises:
        ValueError: if they do not fit.
    """

    def __init__(
        self,
        bkse: str | Path | Mapping[str, Tensor] | None = None,
        given: GivenFiles | None = None,
    ):
        self.given = given or GivenFiles()
        self.tasks: dict[str, Task] = dict(TASKS)
        if bkse is not None:
            self.tasks[NONLINEAR_BLUR] = TASKS[NONLINEAR_BLUR].with_weights(bkse)
        self.has_weights = bkse is not None
        self._operators: dict[object, Operator] = {}
        self._last: tuple[object, Problem] | None = None

    def problem_of(self, run_tasks: Sequence[RunTask], truth: Tensor) -> Problem:
        """Return the problem of a unit.

        Args:
            run_tasks: they agree in task and noise.
            truth: (b, 3, h, w) in [-1, 1], on the device of the solver; the pictures of the run
                tasks.

        Raises:
            ValueError, TypeError: if pictures of this size cannot be measured so.
        """
        first = run_tasks[0]
        # A blind solver estimates the operator's parameters; any other is told them.
        is_blind = first.method().needs() is BlindOperator
        blind_operator = self.tasks[first.task].blind if is_blind else None
        where = (first.size, first.crop, *truth.shape, truth.device)
        pictures = []
        for run_task in run_tasks:
            beside = (run_task.mask_sha256, run_task.mask_number, run_task.measured_sha256)
            pictures.append((run_task.image_sha256, run_task.index, *beside))
        name = (first.task, first.noise, blind_operator, where, tuple(pictures))
        if self._last is None or self._last[0] != name:
            A = self._operator(first.task, truth, run_tasks)
            noise = parse_noise(first.noise)
            with warnings.catch_warnings():
                # `measure` warns of an identity without noise, which a plan asks for on purpose.
                warnings.simplefilter("ignore", UserWarning)
                if first.measured_sha256 is None:
                    seeds = [run_task.draw_seed("measure") for run_task in run_tasks]
                    problem = measure(A, truth, noise, seeds=seeds)
                else:
                    y = self.given_measurement(A, truth, run_tasks)
                    problem = Problem(y, A, 0.0 if noise is None else noise.sigma_y)
            if blind_operator is not None:
                unknown = blind_operator(truth.shape[-2], truth.shape[-1], 0, 0)
                problem = Problem(problem.y, unknown, problem.sigma_y)
            self._last = name, problem
        return self._last[1]

    def given_measurement(self, A: Operator, truth: Tensor, run_tasks: Sequence[RunTask]) -> Tensor:
        """Return the measurements that were given, in place of A(truth)."""
        with torch.no_grad():
            expected = A(truth).shape
        pieces = []
        for run_task in run_tasks:
            pieces.append(read_given_measurement(self.given, run_task, expected))
        y = torch.cat(pieces).to(truth.device)
        # Whatever a damaged picture shows in its holes was not observed.
        return A.mask * y if isinstance(A, Inpainting) else y

    def _operator(self, task: str, truth: Tensor, run_tasks: Sequence[RunTask]) -> Operator:
        (h, w), build = truth.shape[-2:], self.tasks[task].build
        if self.tasks[task].mask:
            # Masks are drawn by the picture's place, so that each has the same in any batch.
            masks = []
            for run_task in run_tasks:
                if run_task.mask_sha256 is not None:
                    known = self.tasks[task]
                    masks.append(read_given_mask(self.given, run_task, known, truth.shape))
                    continue
                operator = build(h, w, 0, run_task.index)
                if isinstance(operator, Inpainting):
                    masks.append(operator.mask)
            return Inpainting(torch.cat(masks)).to(truth.device)
        if task in UNBATCHED_TASKS:
            return build(h, w, 0, run_tasks[0].index).to(truth.device)
        name = (task, h, w, truth.device)
        if name not in self._operators:
            # Pictures of two hundred sizes would fill the memory with operators: the first goes.
            while len(self._operators) >= KEPT_OPERATORS:
                del self._operators[next(iter(self._operators))]
            self._operators[name] = build(h, w, 0, 0).to(truth.device)
        return self._operators[name]
