"""Fill specks, scratches and dates, each with as much of the picture around it as tells."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..diagnosis.base import components, widened
from ..driver import solve
from ..operators import Inpainting
from ..presets import choose
from ..priors import Prior
from ..problem import Problem
from ..solvers import DDNM
from ..tasks import TASKS
from .restorations import Mended

CELL = 64  # pixels; a window reaches at least so far beyond what it fills


def fill(prior: Prior, y: Tensor, mask: Tensor, seed: int = 0) -> Mended:
    """Return the picture with the marked pixels filled, all others as they were.

    Args:
        prior: of pictures of y's size.
        y: (1, c, h, w) in [-1, 1].
        mask: (h, w) bool, True where it is to be filled.
        seed: of the solver.

    Cost:
        that of the solver on the `windows` of the mask.
    """
    families = TASKS["inpaint-scratches"].presets
    solver = choose(DDNM, families, tuned=prior.presets).settings
    x = y.clone()
    for own, rows, columns in windows(mask):
        A = Inpainting((~mask[rows, columns]).float()[None, None])
        given = A(y[..., rows, columns].expand(-1, 3, -1, -1))
        found = solve(solver, prior, Problem(given, A), seeds=[seed]).x
        if y.shape[1] == 1:
            found = found.mean(1, keepdim=True)
        x[..., rows, columns] = torch.where(own, found, x[..., rows, columns])
    return Mended(x, True, f"{int(mask.sum())} pixels filled.")


def windows(mask: Tensor) -> Iterator[tuple[Tensor, slice, slice]]:
    """Yield parts of a mask that lie far from each other, each in its window of the picture.

    Args:
        mask: (h, w) bool.

    Yields:
        the marked pixels of the window that belong to the part, and its rows and columns. The
        whole picture is one window where that is less than all of them together.
    """
    h, w = mask.shape
    marked = F.max_pool2d(mask.float()[None, None], CELL, ceil_mode=True)[0, 0] > 0
    labels, count = components(widened(marked.numpy(), 3))
    found = []
    for label in range(count):
        cells = labels == label
        rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
        window = (
            slice(CELL * int(rows[0]), min(h, CELL * (int(rows[-1]) + 1))),
            slice(CELL * int(columns[0]), min(w, CELL * (int(columns[-1]) + 1))),
        )
        own = torch.from_numpy(cells).repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
        found.append(((mask & own[:h, :w])[window], *window))
    if sum(own.numel() for own, _, _ in found) > h * w:
        found = [(mask, slice(0, h), slice(0, w))]
    yield from found
