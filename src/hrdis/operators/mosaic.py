"""Mosaic: what a camera's sensor sees, one colour a pixel."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Shape, SVDOperator

Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")


class Mosaic(SVDOperator):
    """y[i, j] = x[c(i, j), i, j]: colour images (b, 3, h, w) to mosaics (b, 1, h, w).

    c(i, j) is the colour of the filter before the pixel, which repeats every 2 x 2 pixels. Half of
    them are green, a quarter red and a quarter blue (Bayer). A* y puts y into the colour that was
    seen and 0 into the others, and is A^+ too. With U = V = I, s is 1 for an entry that was seen
    and 0 for the others.

    Args:
        pattern: the filters of the 2 x 2 pixels in the upper left corner, in reading order:
            ``"RGGB"``, ``"BGGR"``, ``"GRBG"`` or ``"GBRG"``.

    Raises:
        ValueError: for another pattern, or, on use, an image that has not 3 channels.

    Cost:
        one product per entry.

    Reference:
        Bayer, Color Imaging Array, US patent 3 971 065, 1976.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
        >>> Mosaic()(x)
        tensor([[[[1., 2.],
                  [2., 3.]]]])
    """

    families = ("demosaic", "inpaint-random", "inpaint")

    to_grey = True

    filters: Tensor
    near: Tensor

    def __init__(self, pattern: Pattern = "RGGB"):
        super().__init__()
        if pattern not in PATTERNS:
            raise ValueError(
                f"pattern is {pattern!r}. One of {', '.join(PATTERNS)} is expected: Mosaic('RGGB')."
            )
        self.pattern = pattern
        colours = torch.tensor(["RGB".index(colour) for colour in pattern]).reshape(2, 2)
        filters = F.one_hot(colours, 3).permute(2, 0, 1).float()
        self.register_buffer("filters", filters)  # (3, 2, 2), 1 where a colour is seen
        near = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("near", (near[:, None] * near).expand(3, 1, 3, 3).contiguous())

    def extra_repr(self) -> str:
        return f"pattern={self.pattern!r}"

    def image_shape(self, y_shape: Shape) -> Shape:
        return (y_shape[0], 3, *y_shape[2:])

    def singulars(self, x: Tensor) -> Tensor:
        """Return 1 for what is seen and 0 for the rest, (3, h, w), for sides odd or even."""
        h, w = x.shape[-2:]
        return self.filters.to(x).repeat(1, (h + 1) // 2, (w + 1) // 2)[:, :h, :w]

    def V(self, spectrum: Tensor) -> Tensor:
        return spectrum

    def Vt(self, x: Tensor) -> Tensor:
        if x.shape[1] != 3:
            raise ValueError(
                f"Mosaic got images of {x.shape[1]} channels. 3 (red, green, blue) are expected. "
                "Copy grey to three: x.expand(-1, 3, -1, -1)."
            )
        return x

    def U(self, spectrum: Tensor) -> Tensor:
        return (self.singulars(spectrum) * spectrum).sum(1, keepdim=True)

    def Ut(self, y: Tensor) -> Tensor:
        return self.singulars(y) * y

    def smooth(self, y: Tensor) -> Tensor:
        """Return the bilinear interpolation of each colour, which keeps what was seen."""
        seen = self.singulars(y).expand(len(y), -1, -1, -1)
        near = self.near.to(y)
        # Means over the neighbours that saw the colour: at the border there are fewer.
        total = F.conv2d(seen * y, near, padding=1, groups=3)
        weight = F.conv2d(seen, near, padding=1, groups=3)
        return torch.where(seen > 0, y, total / weight.clamp(min=1))
