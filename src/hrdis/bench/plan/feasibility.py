"""Feasibility of methods on tasks, tried on the first picture before any work."""

import warnings
from dataclasses import replace

from torch import Tensor

from ...arguments import check
from ...operators import BlindOperator
from ...priors.base import Prior
from ...solvers.base import Solver
from ..paper import Column, Method
from ..records import RunTask, settings_of
from .given import why_not_given
from .pictures import DataPicture
from .problems import NONLINEAR_BLUR, ProblemMaker


class FeasibilityCheck:
    """Feasibility of a method on a task, tried on the first picture.

    Args:
        truth: the first picture, (1, c, h, w) in [-1, 1].
        prior: the prior.
        problems: measures the picture.
        model: a run task of the first picture.
        picture: the first picture, where masks or measurements were given.
    """

    def __init__(
        self,
        truth: Tensor,
        prior: Prior,
        problems: ProblemMaker,
        model: RunTask,
        picture: DataPicture | None = None,
    ):
        self.truth, self.prior, self.problems, self.model = truth, prior, problems, model
        self.picture = picture

    def why_not(self, column: Column, method: Method, solver: Solver) -> str:
        """Return one sentence on what hinders the method; "" if nothing does."""
        if column.task == NONLINEAR_BLUR and not self.problems.has_weights:
            return "no weights of the nonlinear blur were given: --bkse GOPRO_wVAE.pth"
        run_task = replace(
            self.model,
            task=column.task,
            noise=column.noise,
            solver=method.solver,
            settings=settings_of(solver),
        )
        task = self.problems.tasks[column.task]
        if self.picture is not None:
            run_task = replace(run_task, **self.picture.fields(task.mask))
        reason = why_not_given(run_task, task, solver.needs() is BlindOperator)
        if reason:
            return reason
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the run itself will warn
                check(solver, self.prior, self.problems.problem_of([run_task], self.truth))
            solver.times(self.prior.schedule)
        except (ValueError, TypeError) as error:
            # What the library refuses is no fault of the plan: a table has a cell for it.
            return str(error)
        return ""
