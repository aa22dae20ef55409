"""Denoising: the measurement is the image itself."""

from torch import Tensor

from .base import SVDOperator


class Identity(SVDOperator):
    """A = I: y = x + noise, all singular values 1. Only meaningful with noise; a noiseless problem
    warns.
    """

    families = ("denoise",)

    lossless = True

    def singulars(self, x: Tensor) -> Tensor:
        return x.new_ones(())

    def V(self, spectrum: Tensor) -> Tensor:
        return spectrum

    def Vt(self, x: Tensor) -> Tensor:
        return x

    def U(self, spectrum: Tensor) -> Tensor:
        return spectrum

    def Ut(self, y: Tensor) -> Tensor:
        return y
