"""Small holes are restored in windows around them instead of the whole picture."""

from typing import TYPE_CHECKING

from torch import Tensor

from ..diagnosis import Window, windows
from ..operators import Inpainting, Operator
from ..priors.base import Prior
from ..problem import Problem
from ..solvers.base import Step

if TYPE_CHECKING:
    from .options import Options

#: Cells of 64 pixels around a hole. On nine holes of three training photographs PSNR was 0.03 dB
#: lower than with the whole picture, and 0.13 dB lower with one cell (docs/data/windows.csv).
REACH = 2
#: Share of a picture that windows have together at most. Larger ones would save too little.
MOST = 0.5


def windows_of(options: "Options", A: Operator, prior: Prior) -> tuple[Window, ...]:
    """Return the windows around the holes of a picture; none where all of it is to be restored.

    All pixels but those in holes have to stay as they were measured. And the prior has to be the
    embedded one, with which windows were measured to be as good. A model that knows what is in
    pictures may need all of them.

    Args:
        options: of the restoration.
        A: its operator.
        prior: the model.
    """
    if not options.task or options.noise > 0 or options.redraw or prior.name != "default":
        return ()
    if not isinstance(A, Inpainting):
        return ()
    holes = A.mask[0, 0].cpu() == 0
    found = windows(holes, REACH, MOST)
    return () if found[0].own.shape == holes.shape else tuple(found)


def problem_in(window: Window, problem: Problem) -> Problem:
    """Return the problem of the pixels in a window, of a picture with holes."""
    assert isinstance(problem.A, Inpainting)
    A = Inpainting(window.cut(problem.A.mask))
    return Problem(window.cut(problem.y).contiguous(), A, problem.sigma_y)


class WindowStep(Step):
    """A step of a solver in a window, in which x is the whole picture, made on first use.

    Args:
        step: of the solver, whose x is the window's.
        window: where that is.
        x: the picture without it.
    """

    def __init__(self, step: Step, window: Window, x: Tensor):
        vars(self).update(t=step.t, info=step.info, theta=step.theta, inside=step.x)
        vars(self).update(window=window, around=x)

    @property
    def x(self) -> Tensor:
        """The current estimate of the image, (b, c, h, w)."""
        made: Tensor = vars(self)["around"].clone()
        vars(self)["window"].paste(vars(self)["inside"], made)
        return made
