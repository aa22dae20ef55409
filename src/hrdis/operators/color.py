"""Colorization: a grey picture, a weighted mean of the colours."""

from typing import Literal

import torch
from torch import Tensor

from .base import Copies, Shape, SVDOperator

WEIGHTS = {"mean": (0.3333, 0.3334, 0.3333), "bt601": (0.299, 0.587, 0.114)}


class Colorization(SVDOperator):
    """y = sum_c w_c x_c: colour images (b, 3, h, w) to grey ones (b, 1, h, w).

    A* y = w_c y and A^+ y = w_c y / ||w||^2. Every pixel has one singular value ||w|| (0.5774 for
    the mean); the right vectors are w / ||w|| and two colour differences, which y says nothing
    about.

    Args:
        weights: ``"mean"`` (0.3333, 0.3334, 0.3333, as DDRM and HRDIS) or ``"bt601"``, the luma of
            video and of most programs that turn a photo grey (0.299, 0.587, 0.114).

    Raises:
        ValueError: for other weights, or, on use, an image that has not 3 channels.

    Cost:
        one product of a 3 x 3 matrix per pixel.

    Reference:
        Kawar, Elad, Ermon, Song, Denoising Diffusion Restoration Models, NeurIPS 2022.

    Example:
        >>> Colorization("bt601")(torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1))
        tensor([[[[0.2990]]]])
    """

    families = ("colorize",)

    to_grey = True

    Q: Tensor

    def __init__(self, weights: Literal["mean", "bt601"] = "mean"):
        super().__init__()
        if weights not in WEIGHTS:
            raise ValueError(
                f"weights is {weights!r}. 'mean' or 'bt601' is expected: Colorization('bt601')."
            )
        self.weights = weights
        w = torch.tensor(WEIGHTS[weights], dtype=torch.float64)
        length = float(w.norm())
        Q = torch.linalg.qr(w[:, None], mode="complete").Q.T.contiguous()
        Q[0] = w / length
        self.register_buffer("Q", Q)  # rows: w / ||w||, then the colour differences
        self._spectrum = Copies(torch.tensor([length, 0, 0], dtype=torch.float64).reshape(3, 1, 1))

    def extra_repr(self) -> str:
        return f"weights={self.weights!r}"

    def image_shape(self, y_shape: Shape) -> Shape:
        return (y_shape[0], 3, *y_shape[2:])

    def singulars(self, x: Tensor) -> Tensor:
        return self._spectrum.like(x)

    def V(self, spectrum: Tensor) -> Tensor:
        return torch.einsum("kc, bkhw -> bchw", self.Q.to(spectrum), spectrum)

    def Vt(self, x: Tensor) -> Tensor:
        if x.shape[1] != 3:
            raise ValueError(
                f"Colorization got images of {x.shape[1]} channels. 3 (red, green, blue) are "
                "expected. Copy grey to three: x.expand(-1, 3, -1, -1)."
            )
        return torch.einsum("kc, bchw -> bkhw", self.Q.to(x), x)

    def U(self, spectrum: Tensor) -> Tensor:
        return spectrum[:, :1]

    def Ut(self, y: Tensor) -> Tensor:
        return torch.cat([y, torch.zeros_like(y), torch.zeros_like(y)], 1)

    def smooth(self, y: Tensor) -> Tensor:
        """Return the grey image y in all three channels, whose measurement is y.

        ``pinv`` is tinted unless the weights are equal.
        """
        return y.expand(-1, 3, -1, -1) / sum(WEIGHTS[self.weights])
