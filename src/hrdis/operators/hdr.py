"""High dynamic range: a sensor that saturates."""

import warnings
from math import isfinite

import torch
from torch import Tensor

from .base import ProximalOperator


class HDR(ProximalOperator):
    """A x = clip(scale x, -1, 1): contrast is stretched, and what leaves the range is lost.

    The gradient is ``scale`` where ``|x| < 1 / scale`` and 0 where y is saturated: there only the
    prior acts. Noise is added after clipping and may leave [-1, 1].

    Args:
        scale: > 0; 2 in the papers.

    Raises:
        ValueError: for a scale that is not positive.

    Warns:
        UserWarning: of a scale up to 1, with which nothing is clipped.

    Cost:
        none to speak of.

    Reference:
        Mardani et al., A Variational Perspective on Solving Inverse Problems with Diffusion Models,
        ICLR 2024, arXiv 2305.04391.

    Example:
        >>> import torch
        >>> HDR()(torch.tensor([-0.7, 0.2, 0.5]).reshape(1, 1, 1, 3)).flatten()
        tensor([-1.0000,  0.4000,  1.0000])
    """

    families = ("hdr",)

    def __init__(self, scale: float = 2.0):
        super().__init__()
        if not (isfinite(scale) and scale > 0):
            raise ValueError(f"scale is {scale}. A number > 0 is expected: HDR(scale=2).")
        if scale <= 1:
            warnings.warn(
                f"Nothing is clipped: scale is {scale:g}. A scale above 1 is expected: "
                "HDR(scale=2).",
                stacklevel=2,
            )
        self.scale = scale

    def extra_repr(self) -> str:
        return f"scale={self.scale:g}"

    def forward(self, x: Tensor) -> Tensor:
        return (self.scale * x).clamp(-1, 1)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Return y / scale where y is inside (-1, 1), elsewhere x as far beyond +-1 / scale."""
        bound = y / self.scale
        beyond = torch.where(y > 0, torch.maximum(x, bound), torch.minimum(x, bound))
        return torch.where(y.abs() < 1, bound, beyond)

    def pinv(self, y: Tensor) -> Tensor:
        """Return the starting image y / scale, which explains every y in [-1, 1]."""
        return y / self.scale
