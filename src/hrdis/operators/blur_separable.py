"""Blur down the columns and along the rows apart, which has an SVD."""

from typing import Literal

import torch
from torch import Tensor

from .kernels import checked
from .separable import Separable


class SeparableBlur(Separable):
    """A x = K_h x K_w^T per channel: a blur down the columns and one along the rows, mid-grey
    beyond the border.

    K[i, i - t] = k[t + r] for a kernel of 2 r + 1 taps (convolution, zero padding). Singular values
    of K_h and K_w below ``threshold`` are set to 0, in A too, so that A^+ does not blow up noise.

    Args:
        kernel_h: taps down a column, odd in number;
            ``SeparableBlur(*kernels.separable("uniform9"))`` names the kernels of the papers.
        kernel_w: taps along a row; by default those of ``kernel_h``.
        threshold: 1-D singular values below it count as 0; 0 keeps the blur as it is.

    Raises:
        TypeError, ValueError: for kernels as in `Blur`, of one axis, or a negative threshold.

    Cost:
        two products with (h, h) and (w, w) matrices; their SVDs, in float64, once per size: for
        photographs of some thousand pixels a side use `Blur`.

    Reference:
        Kawar, Elad, Ermon, Song, Denoising Diffusion Restoration Models, NeurIPS 2022.

    Differs from the official code:
        bahjat-kawar/ddrm (DDNM, RED-diff and HRDIS have the same lines): there the last tap of a
        kernel is lost, and singular values are paired with the wrong coefficients, so that it is no
        blur; here it is the intended one.
    """

    families = ("deblur", "sr4")

    def __init__(self, kernel_h: Tensor, kernel_w: Tensor | None = None, threshold: float = 0.03):
        super().__init__()
        if not threshold >= 0:
            raise ValueError(
                f"threshold is {threshold}. A singular value >= 0 is expected: threshold=0.03."
            )
        self.threshold = threshold
        # No buffers: what acts on images are the matrices made of them, on the CPU and in float64,
        # once per size.
        self.kernel_h = checked(kernel_h, axes=1).cpu()
        self.kernel_w = checked(kernel_w, axes=1).cpu() if kernel_w is not None else self.kernel_h

    def extra_repr(self) -> str:
        return (
            f"kernel_h={len(self.kernel_h)} taps, kernel_w={len(self.kernel_w)} taps, "
            f"threshold={self.threshold:g}"
        )

    def init(self, y: Tensor) -> Tensor:
        """Return y itself, as ``smooth``."""
        return self.smooth(y)

    def smooth(self, y: Tensor) -> Tensor:
        """Return y, which is close to x and whose noise no small singular value has divided."""
        return y.clone()

    def factor(self, n: int, axis: Literal[-2, -1]) -> Tensor:
        taps = self.kernel_h if axis == -2 else self.kernel_w
        r = len(taps) // 2
        padded = torch.zeros(n, r + n, dtype=torch.float64)  # taps beyond the end are not needed
        for t, tap in enumerate(taps.flip(0)):
            padded.diagonal(t)[:] = tap
        K = padded[:, r:]
        U, s, Vt = torch.linalg.svd(K)
        return U @ torch.diag(s.where(s >= self.threshold, torch.zeros_like(s))) @ Vt
