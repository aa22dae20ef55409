"""Measurements that round: JPEG compression and quantisation."""

from math import cos, pi, sqrt
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Copies, ProximalOperator, at_least_float32

Rounding = Literal["ste", "hard"]

#: How far from a level a value may lie to be rounded to it, a little less than half a step so that
#: float32 does not round it to the next one.
MOST = 0.4999

# ITU-T T.81, annex K.1: tables for quality 50
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
    92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *[99] * 32,
)  # fmt: skip
#: Y, Cb, Cr of R, G, B in 0..255 (full range BT.601), before 128 is added to Cb and Cr
YCC = ((0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813))


class RoundingOperator(ProximalOperator):
    """Base of operators that round, with a straight-through or zero gradient; y is the start.

    The images that are consistent with y fill a box. `project` goes to its nearest point.
    """

    def __init__(self, rounding: Rounding):
        super().__init__()
        if rounding not in ("ste", "hard"):
            raise ValueError(f"rounding is {rounding!r}. 'ste' or 'hard' is expected.")
        self.rounding = rounding

    def rounded(self, exact: Tensor, nearest: Tensor) -> Tensor:
        """Return ``nearest``, bit for bit; with "ste" its gradient is that of ``exact``."""
        return nearest.detach() + (exact - exact.detach()) if self.rounding == "ste" else nearest

    def pinv(self, y: Tensor) -> Tensor:
        """Return the starting image: y itself."""
        return y.clone()


class JPEG(RoundingOperator):
    """A x = decode(encode(x, quality)): colours to Y Cb Cr, chroma halved, 8 x 8 cosines divided by
    tables, rounded.

    Colours are full-range BT.601. Each 2 x 2 block keeps its top left chroma sample, which comes
    back four times (no averaging). The tables of annex K are scaled as libjpeg does. Values are not
    clamped. A grey image is a luminance alone. Entropy coding loses nothing and is left out. Blocks
    that reach beyond the image repeat its last row and column there, as encoders do.
    Against a file written by Pillow this differs where chroma is averaged and pixels are rounded
    and clamped.

    Args:
        quality: integer from 1 (coarse) to 100.
        rounding: ``"ste"``: values are rounded, the gradient is as if they were not
            (straight-through), so that solvers learn from y; ``"hard"``: the gradient of rounding
            itself, which is 0 everywhere. Both give the same measurement.

    Raises:
        ValueError: for another quality or rounding, or, on use, channels other than 1 or 3.

    Cost:
        about 40 products per sample.

    Reference:
        ITU-T T.81 (1992), annex K; used so by Kawar et al., JPEG Artifact Correction using
        Denoising Diffusion Restoration Models, 2022, arXiv 2209.11888, and by RED-diff.

    Example:
        >>> JPEG(10)(torch.full((1, 3, 16, 16), 0.5)).shape
        torch.Size([1, 3, 16, 16])
    """

    families = ("jpeg",)

    luminance: Tensor
    chrominance: Tensor

    def __init__(self, quality: int, rounding: Rounding = "ste"):
        super().__init__(rounding)
        if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
            raise ValueError(
                f"quality is {quality!r}. An integer from 1 to 100 is expected: JPEG(quality=10)."
            )
        self.quality = quality
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        for name, base in (("luminance", LUMINANCE), ("chrominance", CHROMINANCE)):
            table = ((torch.tensor(base, device="cpu") * scale + 50) // 100).clamp(1, 255)
            self.register_buffer(name, table.reshape(8, 8))
        rows = [
            [sqrt((2 if k else 1) / 8) * cos(pi * (2 * n + 1) * k / 16) for n in range(8)]
            for k in range(8)
        ]
        # Constants in float64, and no buffers: not every device knows float64.
        to_ycc = torch.tensor(YCC, dtype=torch.float64, device="cpu")
        self.cosines = Copies(torch.tensor(rows, dtype=torch.float64, device="cpu"))
        self.to_ycc, self.to_rgb = Copies(to_ycc), Copies(torch.linalg.inv(to_ycc))

    def extra_repr(self) -> str:
        return f"quality={self.quality}, rounding={self.rounding!r}"

    def forward(self, x: Tensor) -> Tensor:
        v = (at_least_float32(self._whole(x)) + 1) / 2 * 255
        if x.shape[1] == 1:
            v = self._coded(v - 128, self.luminance) + 128
        else:
            ycc = _recolour(self.to_ycc, v)
            light = self._coded(ycc[:, :1] - 128, self.luminance) + 128
            # 128 is added to chroma, and subtracted again
            chroma = self._coded(ycc[:, 1:, ::2, ::2], self.chrominance)
            v = _recolour(self.to_rgb, torch.cat([light, _fourfold(chroma)], 1))
        return (v / 255 * 2 - 1).to(x.dtype)[..., : x.shape[-2], : x.shape[-1]]

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the image near x whose every coefficient is rounded to that of y.

        It is the nearest in luminance and in the chroma samples that are kept. The three samples
        beside a kept one move along with it. What a block of y held beyond the image is not known.
        The last row and column of y stand for it, and there the image is only nearly consistent.
        """
        v, w = ((at_least_float32(self._whole(image)) + 1) / 2 * 255 for image in (x, y))
        if x.shape[1] == 1:
            v = self._clipped(v - 128, w - 128, self.luminance) + 128
        else:
            v, w = _recolour(self.to_ycc, v), _recolour(self.to_ycc, w)
            light = self._clipped(v[:, :1] - 128, w[:, :1] - 128, self.luminance) + 128
            kept = v[:, 1:, ::2, ::2]
            change = self._clipped(kept, w[:, 1:, ::2, ::2], self.chrominance) - kept
            v = _recolour(self.to_rgb, torch.cat([light, v[:, 1:] + _fourfold(change)], 1))
        return (v / 255 * 2 - 1).to(x.dtype)[..., : x.shape[-2], : x.shape[-1]]

    def _whole(self, x: Tensor) -> Tensor:
        """Return the image with its last row and column repeated until all blocks are whole."""
        c, h, w = x.shape[1:]
        if c not in (1, 3):
            raise ValueError(
                f"The image has {c} channels. 1 (grey) or 3 (red, green, blue) are expected by "
                "JPEG."
            )
        cell = 8 if c == 1 else 16
        missing = (0, -w % cell, 0, -h % cell)
        return F.pad(x, missing, mode="replicate") if any(missing) else x

    def _coded(self, v: Tensor, table: Tensor) -> Tensor:
        """Transform planes by 8 x 8 cosines, divide by the table, round, and go back."""
        exact = self._coefficients(v, table)
        return self._plane(self.rounded(exact, exact.round()), table)

    def _clipped(self, v: Tensor, w: Tensor, table: Tensor) -> Tensor:
        """Clip the coefficients of planes v to what rounds to those of w, and go back."""
        middle = self._coefficients(w, table).round()
        found = self._coefficients(v, table).clamp(middle - MOST, middle + MOST)
        return self._plane(found, table)

    def _coefficients(self, v: Tensor, table: Tensor) -> Tensor:
        """Return the coefficients of planes (..., h, w) in units of the table, (..., 8, 8)."""
        D, q = self.cosines.like(v), table.to(v)
        *batch, h, w = v.shape
        blocks = v.reshape(*batch, h // 8, 8, w // 8, 8).transpose(-3, -2)
        return D @ blocks @ D.T / q

    def _plane(self, coefficients: Tensor, table: Tensor) -> Tensor:
        """Return the planes (..., h, w) of coefficients."""
        D, q = self.cosines.like(coefficients), table.to(coefficients)
        *batch, rows, columns, _, _ = coefficients.shape
        blocks = D.T @ (coefficients * q) @ D
        return blocks.transpose(-3, -2).reshape(*batch, 8 * rows, 8 * columns)


class Quantization(RoundingOperator):
    """A x = the nearest of 2^bits levels: floor(u (2^bits - 1) + 1/2) / (2^bits - 1) for u = (x +
    1) / 2.

    Args:
        bits: integer from 1 to 16.
        rounding: ``"ste"`` (gradient as if nothing were rounded) or ``"hard"`` (gradient 0), as for
            `JPEG`; both give the same measurement.

    Raises:
        ValueError: for other bits or rounding.

    Cost:
        none to speak of.

    Example:
        >>> Quantization(1)(torch.tensor([-0.8, 0.3]).reshape(1, 1, 1, 2)).flatten()
        tensor([-1.,  1.])
    """

    families = ("quantize",)

    def __init__(self, bits: int, rounding: Rounding = "ste"):
        super().__init__(rounding)
        if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 16:
            raise ValueError(
                f"bits is {bits!r}. An integer from 1 to 16 is expected: Quantization(bits=3)."
            )
        self.bits = bits

    def extra_repr(self) -> str:
        return f"bits={self.bits}, rounding={self.rounding!r}"

    def forward(self, x: Tensor) -> Tensor:
        steps = 2**self.bits - 1
        exact = (at_least_float32(x) + 1) / 2 * steps
        return (self.rounded(exact, (exact + 0.5).floor()) / steps * 2 - 1).to(x.dtype)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Return every value of x, moved into the interval that is rounded to y's level."""
        half = 2 * MOST / (2**self.bits - 1)
        return x.clamp(y - half, y + half)


def _fourfold(v: Tensor) -> Tensor:
    """Repeat every sample of planes twice along both axes."""
    return v.repeat_interleave(2, -2).repeat_interleave(2, -1)


def _recolour(matrix: Copies, v: Tensor) -> Tensor:
    """Apply a 3 x 3 matrix to the channels of (b, 3, h, w)."""
    return torch.einsum("dc,bchw->bdhw", matrix.like(v), v)
