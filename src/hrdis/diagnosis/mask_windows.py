"""Windows around the holes of a picture, for holes that are small beside it."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .base import components, widened

CELL = 64  # pixels, the grid of windows


class Window(NamedTuple):
    """A part of a mask, and a rectangle of the picture around it.

    Args:
        own: (h, w) bool, the marked pixels of the rectangle that belong to the part.
        rows, columns: of the picture.
    """

    own: Tensor
    rows: slice
    columns: slice

    @property
    def place(self) -> list[int]:
        """Top, left, height and width in pixels."""
        return [self.rows.start, self.columns.start, *self.own.shape]

    def cut(self, x: Tensor) -> Tensor:
        """Return the rectangle of a picture or mask (..., h, w)."""
        return x[..., self.rows, self.columns]

    def paste(self, found: Tensor, x: Tensor) -> None:
        """Write the part's pixels of what was found in the rectangle into a picture, in place.

        Args:
            found: (..., h, w) of the rectangle.
            x: (..., h, w) of the picture.
        """
        x[..., self.rows, self.columns] = torch.where(self.own.to(x.device), found, self.cut(x))


def windows(mask: Tensor, reach: int = 1, most: float = 1.0) -> list[Window]:
    """Return parts of a mask that lie far from each other, each in its window of the picture.

    Args:
        mask: (h, w) bool.
        reach: number of cells of 64 x 64 pixels that a window has around those of its part.
        most: share of the picture that all windows together may have.

    Returns:
        the windows. The whole picture is one where they would be more than ``most`` of it.
    """
    h, w = mask.shape
    marked = F.max_pool2d(mask.float()[None, None], CELL, ceil_mode=True)[0, 0] > 0
    labels, count = components(widened(marked.numpy(), 1 + 2 * reach))
    found, pixels = [], 0
    for label in range(count):
        cells = labels == label
        down, across = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
        top, bottom = int(down[0]), int(down[-1]) + 1
        left, right = int(across[0]), int(across[-1]) + 1
        rows = slice(CELL * top, min(h, CELL * bottom))
        columns = slice(CELL * left, min(w, CELL * right))
        inside = mask[rows, columns]
        part = torch.from_numpy(cells[top:bottom, left:right])
        part = part.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
        found.append(Window(inside & part[: inside.shape[0], : inside.shape[1]], rows, columns))
        pixels += inside.numel()
        if pixels > most * h * w:
            return [Window(mask, slice(0, h), slice(0, w))]
    return found
