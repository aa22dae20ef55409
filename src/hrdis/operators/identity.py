"""Denoising: the measurement is the image itself."""

from torch import Tensor

from .base import LinearOperator


class Identity(LinearOperator):
    """A = I: y = x + noise. Only meaningful with noise; a noiseless problem warns."""

    lossless = True

    def forward(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y

    def pinv(self, y: Tensor) -> Tensor:
        return y
