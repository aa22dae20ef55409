"""White stays white and black black: pixels that a measurement decides by itself."""

import torch
from torch import Tensor

from ..operators import JPEG, Blur, Colorization, Operator, Quantization

#: Operators whose measurement is the picture, pixel by pixel: where it is white, so is the picture.
AT_ENDS = (Blur, Colorization, JPEG, Quantization)
REACH = 4  # pixels all around that must be white, too, for those that round


def keep_ends(x: Tensor, y: Tensor, A: Operator) -> Tensor:
    """Return x, white where y says so, and black where y says so.

    What a solver leaves there is its own error, which would turn a saturated sky or the paper of a
    drawing a little grey. A mean over pixels is white if all of them are; what was rounded is white
    if all around is.

    Args:
        x: (b, c, h, w) in [-1, 1].
        y: of the size of x, with one channel or as many.
        A: one of `AT_ENDS`.
    """
    for end in (-1.0, 1.0):
        at_end = ((y - end).abs() < 1e-4).float()
        if isinstance(A, Blur):
            if float(A.kernel.min()) < 0:  # a sharpening filter decides nothing
                break
            light = A.adjoint(torch.ones_like(at_end))
            sure = A.adjoint(at_end) > 0.5 * light  # most of the pixel's light went there
        else:
            reach = 0 if isinstance(A, Colorization) else REACH
            not_at_end = torch.nn.functional.max_pool2d(
                1 - at_end, 2 * reach + 1, stride=1, padding=reach
            )
            sure = not_at_end == 0
        x = torch.where(sure, end, x)
    return x
