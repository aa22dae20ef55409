"""A linear operator given as a matrix."""

import torch
from torch import Tensor

from .base import ZERO, Shape, SVDOperator


class Matrix(SVDOperator):
    """y = H x for flattened images: any small linear measurement, with its SVD.

    Args:
        matrix: (m, n), n = c h w; kept in float64.
        shape: (c, h, w) of the images, flattened channel by channel, row by row.

    Raises:
        ValueError: if the matrix is not (m, c h w) or not finite.

    Cost:
        one product with H a call; an SVD of (m, n) when it is built: for a few thousand entries,
        not for photographs.

    Example:
        >>> A = Matrix(torch.eye(4)[:2], shape=(1, 2, 2))
        >>> A(torch.arange(4.0).reshape(1, 1, 2, 2))
        tensor([[0., 1.]])
    """

    H: Tensor
    s: Tensor
    left: Tensor
    right: Tensor

    def __init__(self, matrix: Tensor, shape: tuple[int, int, int]):
        super().__init__()
        n = torch.Size(shape).numel()
        if matrix.ndim != 2 or matrix.shape[1] != n or not bool(torch.isfinite(matrix).all()):
            raise ValueError(
                f"The matrix has shape {tuple(matrix.shape)}. A finite (m, {n}) matrix is expected "
                f"for images of shape {tuple(shape)}."
            )
        self.shape = tuple(shape)
        H = matrix.detach().double()
        U, s, Vt = torch.linalg.svd(H, full_matrices=True)
        s = torch.cat([s, s.new_zeros(n - len(s))])
        s = s.where(s > ZERO * s.max(), torch.zeros_like(s))
        left = torch.zeros(len(H), n, dtype=torch.float64)
        left[:, : min(H.shape)] = U[:, : min(H.shape)]
        left[:, s == 0] = 0
        self.register_buffer("H", H)
        self.register_buffer("s", s)
        self.register_buffer("left", left)
        self.register_buffer("right", Vt.T.contiguous())

    def extra_repr(self) -> str:
        return f"{self.H.shape[0]} x {self.H.shape[1]}, shape={self.shape}"

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.H.to(x).T

    def adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.H.to(y)).reshape(-1, *self.shape)

    def singulars(self, x: Tensor) -> Tensor:
        return self.s.to(x)

    def V(self, spectrum: Tensor) -> Tensor:
        return (spectrum @ self.right.to(spectrum).T).reshape(-1, *self.shape)

    def Vt(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.right.to(x)

    def U(self, spectrum: Tensor) -> Tensor:
        return spectrum @ self.left.to(spectrum).T

    def Ut(self, y: Tensor) -> Tensor:
        return y @ self.left.to(y)

    def image_shape(self, y_shape: Shape) -> Shape:
        return (y_shape[0], *self.shape)
