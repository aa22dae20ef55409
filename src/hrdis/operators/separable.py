"""Operators that act on columns and rows apart: A x = K_h x K_w^T per channel."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from .base import ZERO, Copies, Shape, SVDOperator


class Separable(SVDOperator):
    """A x = K_h x K_w^T per channel, with its SVD from those of the two small matrices.

    A subclass says what K is for a side of n pixels (`factor`) and, if it shrinks, which side a
    measurement came from (`side`). Where K does the same to one block of pixels after the other, it
    says how long a block is (`period`). Spectra have the shape of the image.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[tuple[str, int, int], Copies] = {}
        self._spectra: dict[Shape, Copies] = {}

    @abstractmethod
    def factor(self, n: int, axis: Literal[-2, -1]) -> Tensor:
        """Return K for n pixels along an axis, float64 of shape (m, n) with m <= n.

        Args:
            n: pixels of the image.
            axis: -2 down a column, -1 along a row.
        """

    def side(self, m: int) -> int:
        """Return the number of pixels behind m measurements along an axis; by default m."""
        return m

    def period(self, n: int) -> int:
        """Return the length p of the blocks of which K = diag(k, ..., k) is made, where k is
        ``factor(p)``; by default n, for one block.
        """
        return n

    def image_shape(self, y_shape: Shape) -> Shape:
        return (*y_shape[:-2], self.side(y_shape[-2]), self.side(y_shape[-1]))

    # ---- without the decomposition
    # ----------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        return self._both("K", x, x.shape[-2:])

    def adjoint(self, y: Tensor) -> Tensor:
        return self._both("Kt", y, self.image_shape(tuple(y.shape))[-2:])

    def pinv(self, y: Tensor) -> Tensor:
        return self._both("pinv", y, self.image_shape(tuple(y.shape))[-2:])

    # ---- with it
    # ----------------------------------------------------------------------------------

    def singulars(self, x: Tensor) -> Tensor:
        size = tuple(x.shape[-2:])
        if size not in self._spectra:
            h, w = size
            s_h = self._part("s", self.period(h), -2).value.repeat(h // self.period(h))
            s_w = self._part("s", self.period(w), -1).value.repeat(w // self.period(w))
            with torch.inference_mode(False):
                self._spectra[size] = Copies(s_h[:, None] * s_w)
        return self._spectra[size].like(x)

    def V(self, spectrum: Tensor) -> Tensor:
        return self._both("V", spectrum, spectrum.shape[-2:])

    def Vt(self, x: Tensor) -> Tensor:
        return self._both("Vt", x, x.shape[-2:])

    def U(self, spectrum: Tensor) -> Tensor:
        return self._both("U", spectrum, spectrum.shape[-2:])

    def Ut(self, y: Tensor) -> Tensor:
        return self._both("Ut", y, self.image_shape(tuple(y.shape))[-2:])

    # ---- the small matrices, made once per side
    # ---------------------------------------------------

    def _both(self, name: str, x: Tensor, size: Shape) -> Tensor:
        """Apply a small matrix down the columns and along the rows of x; ``size`` is the
        image's.
        """
        h, w = size
        down = self._part(name, self.period(h), -2).like(x)
        along = self._part(name, self.period(w), -1).like(x)
        if (self.period(h), self.period(w)) == (h, w):
            return down @ x @ along.T
        # The blocks of an axis as an axis of their own: products with the small k, not with K.
        columns = down @ x.reshape(*x.shape[:-2], -1, down.shape[1], x.shape[-1])
        rows = columns.reshape(-1, along.shape[1]) @ along.T
        sides = x.shape[-2] // down.shape[1] * len(down), x.shape[-1] // along.shape[1] * len(along)
        return rows.reshape(*x.shape[:-2], *sides)

    def _part(self, name: str, n: int, axis: Literal[-2, -1]) -> Copies:
        if (name, n, axis) in self._kept:
            return self._kept[name, n, axis]
        with torch.inference_mode(False):  # kept for later callers, who may want a gradient
            K = self.factor(n, axis)
            if name in ("K", "Kt"):
                parts = {"K": K, "Kt": K.T.contiguous()}
            elif name == "pinv":
                parts = {"pinv": torch.linalg.pinv(K, rtol=ZERO)}
            else:
                U, s, Vt = torch.linalg.svd(K, full_matrices=True)
                m = len(K)
                s = torch.cat([s, s.new_zeros(n - m)])
                s = s.where(s > ZERO * s[0], torch.zeros_like(s))
                Ut = s.new_zeros(n, m)  # to a spectrum of n entries, 0 where s is
                Ut[:m] = U.T
                Ut[s == 0] = 0
                parts = {"s": s, "Vt": Vt, "V": Vt.T.contiguous()}
                parts |= {"Ut": Ut, "U": Ut.T.contiguous()}
            for key, M in parts.items():
                self._kept[key, n, axis] = Copies(M)
        return self._kept[name, n, axis]
