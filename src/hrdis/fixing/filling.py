"""Fill specks, scratches and dates, each with as much of the picture around it as tells."""

from torch import Tensor

from ..diagnosis import windows
from ..driver import solve
from ..operators import Inpainting
from ..presets import choose
from ..priors import Prior
from ..problem import Problem
from ..solvers import DDNM
from ..tasks import TASKS
from .restorations import Mended


def fill(prior: Prior, y: Tensor, mask: Tensor, seed: int = 0) -> Mended:
    """Return the picture with the marked pixels filled, all others as they were.

    Args:
        prior: of pictures of y's size.
        y: (1, c, h, w) in [-1, 1].
        mask: (h, w) bool, True where it is to be filled.
        seed: of the solver.

    Cost:
        that of the solver on the windows of the mask.
    """
    families = TASKS["inpaint-scratches"].presets
    solver = choose(DDNM, families, tuned=prior.presets).settings
    x = y.clone()
    for window in windows(mask):
        A = Inpainting((~window.cut(mask)).float()[None, None])
        given = A(window.cut(y).expand(-1, 3, -1, -1))
        found = solve(solver, prior, Problem(given, A), seeds=[seed]).x
        if y.shape[1] == 1:
            found = found.mean(1, keepdim=True)
        window.paste(found, x)
    return Mended(x, True, f"{int(mask.sum())} pixels filled.")
