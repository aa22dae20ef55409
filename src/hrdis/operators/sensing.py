"""Compressed sensing: few orthonormal combinations of many pixels."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..rng import stream
from .base import Shape, SVDOperator
from .hints import crop_or_pad


class CompressedSensing(SVDOperator):
    r"""y = \Phi x for every block of pixels of every channel: \Phi is (m, block^2) with orthonormal
    rows.

    \Phi holds the first m = int(rate block^2) rows of a random (Haar) orthogonal matrix, the same
    for all blocks, channels and images. The measurement y is (b, c, h / block, w / block, m). A* =
    A^+, and the singular values are 1 (m per block) and 0. No row is the mean of a block, so that
    A^+ y keeps about the share ``rate`` of the energy and looks like dark noise.

    Args:
        rate: measurements per pixel, in (0, 1]; the paper takes 0.25 (ImageNet) and 0.1 (FFHQ).
        seed: which random matrix.
        block: side of a block in pixels.
        matrix: \Phi itself, (m, block^2), instead of ``rate`` and ``seed``; pixels of a block row
            by row.

    Raises:
        ValueError: for a rate outside (0, 1] or too small for one measurement, a block below 1, a
            matrix whose rows are not orthonormal (to 1e-4) or not block^2 long, or, on use, an
            image whose sides are no multiples of the block.

    Cost:
        one product with \Phi per block; one QR decomposition of (block^2, block^2) when it is
        built, kept whole in float64 (8 MiB for block 32).

    Reference:
        HRDIS, ICLR 2025; Wang, Yu, Zhang, Denoising Diffusion Null-Space Model, ICLR 2023
        (block-based sampling).

    Example:
        >>> A = CompressedSensing(0.25, block=4)
        >>> A(torch.ones(1, 3, 8, 12)).shape
        torch.Size([1, 3, 2, 3, 4])
    """

    picture = False

    Q: Tensor

    def __init__(
        self,
        rate: float | None = None,
        seed: int = 0,
        block: int = 32,
        matrix: Tensor | None = None,
    ):
        super().__init__()
        if isinstance(block, bool) or not isinstance(block, int) or block < 1:
            raise ValueError(
                f"block is {block!r}. A side in pixels, an integer >= 1, is expected: block=32."
            )
        if (rate is None) == (matrix is None):
            raise ValueError(
                f"{'Neither' if rate is None else 'Both'} rate and matrix "
                f"{'is' if rate is None else 'are'} given. One of them is expected: "
                "CompressedSensing(0.25)."
            )
        n = block**2
        if matrix is not None:
            Q = _completed(matrix, n)
            self.m = len(matrix)
        else:
            assert rate is not None
            if not 0 < rate <= 1:
                raise ValueError(
                    f"rate is {rate}. A share of measurements in (0, 1] is expected: rate=0.25."
                )
            self.m = int(n * rate)
            if self.m == 0:
                raise ValueError(
                    f"rate is {rate}, less than one measurement for a block of {block} x {block} "
                    f"pixels. At least {1 / n:.3g} is expected: rate={1 / n:.3g}, or a larger "
                    "block."
                )
            G = torch.from_numpy(stream(seed, "compressed sensing", block).standard_normal((n, n)))
            Q, R = torch.linalg.qr(G)
            Q = (
                Q * R.diagonal().sign()
            ).T.contiguous()  # with the signs of R it is Haar distributed
        self.block, self.rate = block, self.m / n
        self.families = (f"cs{100 * self.rate:.0f}", "cs")
        self.register_buffer("Q", Q)  # the first m rows are Phi, the others complete it

    def extra_repr(self) -> str:
        return f"block={self.block}, m={self.m} ({self.rate:.2%})"

    def image_shape(self, y_shape: Shape) -> Shape:
        b, c, rows, columns = y_shape[:4]
        return (b, c, rows * self.block, columns * self.block)

    def forward(self, x: Tensor) -> Tensor:
        return self._blocks(x) @ self.Q[: self.m].to(x).T

    def adjoint(self, y: Tensor) -> Tensor:
        return self._image(y @ self.Q[: self.m].to(y))

    def pinv(self, y: Tensor) -> Tensor:
        return self.adjoint(y)

    def singulars(self, x: Tensor) -> Tensor:
        return (torch.arange(self.block**2, device=x.device) < self.m).to(x)

    def V(self, spectrum: Tensor) -> Tensor:
        return self._image(spectrum @ self.Q.to(spectrum))

    def Vt(self, x: Tensor) -> Tensor:
        return self._blocks(x) @ self.Q.to(x).T

    def U(self, spectrum: Tensor) -> Tensor:
        return spectrum[..., : self.m]

    def Ut(self, y: Tensor) -> Tensor:
        return F.pad(y, (0, self.block**2 - self.m))

    def _blocks(self, x: Tensor) -> Tensor:
        """Convert (b, c, h, w) to (b, c, h / block, w / block, block^2)."""
        k, (h, w) = self.block, x.shape[-2:]
        if h % k or w % k or min(h, w) == 0:
            raise ValueError(
                f"The image is {h} x {w}, no multiple of the block of {k} pixels. "
                f"{crop_or_pad(h, w, k)}"
            )
        return x.unflatten(-1, (w // k, k)).unflatten(-3, (h // k, k)).transpose(-3, -2).flatten(-2)

    def _image(self, blocks: Tensor) -> Tensor:
        return (
            blocks.unflatten(-1, (self.block, self.block))
            .transpose(-3, -2)
            .flatten(-4, -3)
            .flatten(-2)
        )


def _completed(matrix: Tensor, n: int) -> Tensor:
    """Return an orthogonal (n, n) matrix that begins with these orthonormal rows."""
    if matrix.ndim != 2 or matrix.shape[1] != n or not 1 <= len(matrix) <= n:
        raise ValueError(
            f"The matrix has shape {tuple(matrix.shape)}. (m, {n}) with 1 <= m <= {n} is expected "
            f"for blocks of {math.isqrt(n)} x {math.isqrt(n)} pixels. Name the side: "
            "CompressedSensing(matrix=Phi, block=...)."
        )
    Phi = matrix.detach().double()
    error = float((Phi @ Phi.T - torch.eye(len(Phi)).to(Phi)).abs().max())
    if not error < 1e-4:
        raise ValueError(
            "The rows of the matrix are not orthonormal: Phi Phi^T differs from the identity by "
            f"{error:.2g}. At most 1e-4 is expected. Orthonormalise them: "
            "torch.linalg.qr(matrix.T).Q.T."
        )
    Q = torch.linalg.qr(Phi.T, mode="complete").Q.T.contiguous()
    U, _, Vt = torch.linalg.svd(Phi, full_matrices=False)
    Q[: len(Phi)] = U @ Vt  # the nearest matrix whose rows are orthonormal to rounding
    return Q
