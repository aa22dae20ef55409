"""Walsh-Hadamard sampling: some of the coefficients of a fast orthogonal transform."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..rng import stream
from .base import Copies, Shape, SVDOperator


class WalshHadamard(SVDOperator):
    """The share 1 / ratio of an image's Walsh-Hadamard coefficients, channel by channel.

    y is (b, c, n^2 / ratio).

    Each channel, n x n pixels row by row, is transformed by the orthogonal and symmetric Hadamard
    matrix (entries +-1 / n, Sylvester's order). A permutation, the same for all channels, says
    which coefficients are kept. They are its first n^2 / ratio entries. A* = A^+; singular values
    are 1 and 0.

    Args:
        ratio: pixels per measurement, an integer that divides n^2: 2, 4, ...
        seed: which permutation; it is a function of the seed and n.
        keep_dc: keep coefficient 0 (n times the mean), otherwise left to chance. A deviation from
            DDRM.
        order: ``"natural"``, a random permutation; or ``"sequency"``, no chance at all: the
            coefficients with the fewest sign changes (along rows plus along columns) are kept, a
            low-pass.
        permutation: of the n^2 coefficients, instead of a drawn one.

    Raises:
        ValueError: for a ratio below 1, another order, a permutation that is none, or, on use, an
            image that is not square with a power of two as its side, n^2 not divisible by the
            ratio, or a permutation of other length.

    Cost:
        2 log2 n passes over the image.

    Reference:
        Kawar, Elad, Ermon, Song, Denoising Diffusion Restoration Models, NeurIPS 2022 ("cs2",
        "cs4").

    Example:
        >>> A = WalshHadamard(4, keep_dc=True)
        >>> A(torch.ones(1, 1, 4, 4))
        tensor([[[4., 0., 0., 0.]]])
    """

    families = ("cs-walsh4", "cs25", "cs")

    picture = False

    def __init__(
        self,
        ratio: int,
        seed: int = 0,
        keep_dc: bool = False,
        order: Literal["natural", "sequency"] = "natural",
        permutation: Tensor | None = None,
    ):
        super().__init__()
        if isinstance(ratio, bool) or not isinstance(ratio, int) or ratio < 1:
            raise ValueError(
                f"ratio is {ratio!r}. Pixels per measurement, an integer >= 1, is expected: "
                "ratio=4."
            )
        if order not in ("natural", "sequency"):
            raise ValueError(f"order is {order!r}. 'natural' or 'sequency' is expected.")
        if permutation is not None and not torch.equal(
            permutation.sort().values.cpu(), torch.arange(len(permutation))
        ):
            raise ValueError(
                f"The permutation of {len(permutation)} entries repeats or misses some. Every "
                f"number from 0 to {len(permutation) - 1} is expected once: "
                f"torch.arange({len(permutation)})."
            )
        self.ratio, self.seed, self.keep_dc, self.order, self.given = (
            ratio,
            seed,
            keep_dc,
            order,
            permutation,
        )
        self._drawn: dict[int, Copies] = {}  # by the side of the image
        self._back: dict[int, Copies] = {}

    def extra_repr(self) -> str:
        return f"ratio={self.ratio}, seed={self.seed}, keep_dc={self.keep_dc}, order={self.order!r}"

    def image_shape(self, y_shape: Shape) -> Shape:
        n = math.isqrt(y_shape[2] * self.ratio)
        return (y_shape[0], y_shape[1], n, n)

    def permutation(self, n: int) -> Tensor:
        """Return the order of the coefficients of an n x n image, those that are kept first."""
        if self.given is not None and len(self.given) != n * n:
            raise ValueError(
                f"The permutation has {len(self.given)} entries. {n * n} are expected for {n} x "
                f"{n} pixels."
            )
        if n not in self._drawn:
            if self.given is not None:
                order = self.given.cpu()
            elif self.order == "sequency":
                rows = hadamard(torch.eye(n)).sign()
                changes = (rows[:, 1:] != rows[:, :-1]).sum(1)
                order = (changes[:, None] + changes).flatten().argsort(stable=True)
            else:
                order = torch.from_numpy(stream(self.seed, "walsh-hadamard", n).permutation(n * n))
            if self.keep_dc:
                order = torch.cat([order.new_zeros(1), order[order != 0]])
            self._drawn[n], self._back[n] = Copies(order), Copies(order.argsort())
        return self._drawn[n].value

    def singulars(self, x: Tensor) -> Tensor:
        n = x.shape[-2] * x.shape[-1]
        return (torch.arange(n, device=x.device) < n // self.ratio).to(x)

    def V(self, spectrum: Tensor) -> Tensor:
        n = math.isqrt(spectrum.shape[-1])
        self.permutation(n)
        back = self._back[n].on(spectrum.device)
        return hadamard(spectrum[..., back]).unflatten(-1, (n, n))

    def Vt(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        if h != w or h < 1 or h & (h - 1):
            side = 1 << max(min(h, w).bit_length() - 1, 0)
            raise ValueError(
                f"The image is {h} x {w}. A square whose side is a power of two is expected for "
                f"the Walsh-Hadamard transform. Crop it to {side} x {side}."
            )
        if h * w % self.ratio:
            raise ValueError(
                f"ratio is {self.ratio}, which does not divide the {h * w} pixels. Use 2, 4, 8, ..."
            )
        self.permutation(h)
        return hadamard(x.flatten(-2))[..., self._drawn[h].on(x.device)]

    def U(self, spectrum: Tensor) -> Tensor:
        return spectrum[..., : spectrum.shape[-1] // self.ratio]

    def Ut(self, y: Tensor) -> Tensor:
        return F.pad(y, (0, y.shape[-1] * (self.ratio - 1)))


def hadamard(x: Tensor) -> Tensor:
    """Apply the fast Walsh-Hadamard transform along the last axis, a power of two long.

    It is orthogonal and its own inverse.
    """
    n, half = x.shape[-1], 1
    while half < n:
        a, b = x.unflatten(-1, (-1, 2, half)).unbind(-2)
        x = torch.stack([a + b, a - b], -2).flatten(-3)
        half *= 2
    return x / math.sqrt(n)
