"""Scanners that know neither colours nor, at times, real numbers, on pictures: channel by
channel.
"""

import torch
from torch import Tensor

from .base import LinearOperator, Shape


class Channelwise(LinearOperator):
    """Operator that measures each channel with a single-channel operator.

    What takes one channel (`CT`) sees each channel as an image; what takes a real and an imaginary
    part (`MRI`) sees it as the real part, with phase zero. Measurements of (b, c, h, w) are (b, c,
    ...), the dots being what the operator makes of one image. A picture so becomes something to
    scan, and a prior of photographs can fill what was not.

    Args:
        operator: linear, the same for every image.
        channels: how many it takes; those after the first are 0.

    Raises:
        TypeError: if the operator is not linear.
        ValueError: if it takes no channel, or, on use, what the operator raises.

    Cost:
        the operator's, once per channel.

    Example:
        >>> from hrdis.operators import MRI, kspace
        >>> A = Channelwise(MRI(kspace.columns(32, acceleration=4)), channels=2)
        >>> A(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 3, 2, 32, 32])
    """

    picture = False

    def __init__(self, operator: LinearOperator, channels: int = 1):
        super().__init__()
        if not isinstance(operator, LinearOperator):
            raise TypeError(
                f"operator is a {type(operator).__name__}. A linear operator is expected: "
                "Channelwise(CT(60, size=64))."
            )
        if isinstance(channels, bool) or not isinstance(channels, int) or channels < 1:
            raise ValueError(
                f"channels is {channels!r}. 1 (CT) or 2 (MRI) is expected: Channelwise(operator, "
                "channels=2)."
            )
        self.operator, self.channels = operator, channels
        self.families = operator.families

    def extra_repr(self) -> str:
        return f"channels={self.channels}"

    @property
    def observed(self) -> Tensor | None:  # type: ignore[override]
        own = self.operator.observed
        return None if own is None else own[:, None]

    def image_shape(self, y_shape: Shape) -> Shape:
        # The channels of one image are a batch of images to the operator.
        return (*y_shape[:2], *self.operator.image_shape(y_shape[1:])[2:])

    def forward(self, x: Tensor) -> Tensor:
        one = x.flatten(0, 1)[:, None]
        others = one.new_zeros(len(one), self.channels - 1, *one.shape[2:])
        y: Tensor = self.operator(torch.cat([one, others], 1))
        return y.unflatten(0, x.shape[:2])

    def adjoint(self, y: Tensor) -> Tensor:
        return self._first(self.operator.adjoint(y.flatten(0, 1)), len(y))

    def init(self, y: Tensor) -> Tensor:
        """Return ``smooth(y)``."""
        return self.smooth(y)

    def smooth(self, y: Tensor) -> Tensor:
        """Return the operator's own smooth image if it takes one channel, else ``pinv``.

        Of several channels the operator's ``smooth`` would fill those that are 0 here.
        """
        return (
            self._first(self.operator.smooth(y.flatten(0, 1)), len(y))
            if self.channels == 1
            else self.pinv(y)
        )

    def _first(self, x: Tensor, b: int) -> Tensor:
        """Convert (b c, channels, h, w) to (b, c, h, w), the first channel of each."""
        return x[:, 0].unflatten(0, (b, len(x) // b))
