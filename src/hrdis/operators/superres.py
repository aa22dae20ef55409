"""Super-resolution: block means, or bicubic with antialiasing."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .hints import crop_or_pad
from .separable import Separable


class SuperResolution(Separable):
    """Downscale by an integer: A x = K_h x K_w^T per channel, K of shape (n / scale, n).

    ``kernel="average"``: K averages blocks of ``scale`` samples; A A* = I / scale^2 and A^+
    replicates. With ``kernel="bicubic"`` K is Keys' cubic (a = -0.5) stretched by ``scale``, with 4
    scale taps, half-sample symmetric at the border. It is equal to the resizer of DPS and DDRM, not
    to ``torch.nn.functional.interpolate``, which treats the border otherwise. Its pseudo-inverse is
    exact.

    Args:
        scale: integer >= 1; even for bicubic (2, 4, 8, ...).
        kernel: ``"average"`` or ``"bicubic"``.

    Raises:
        ValueError: for a scale that is no integer >= 1, an odd scale with bicubic, or an image
            whose sides are no multiples of the scale (the message names the nearest sizes).
    """

    def __init__(self, scale: int, kernel: Literal["average", "bicubic"] = "average"):
        super().__init__()
        if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
            raise ValueError(
                f"scale is {scale!r}. An integer >= 1 is expected: SuperResolution(scale=4)."
            )
        if kernel not in ("average", "bicubic"):
            raise ValueError(f"kernel is {kernel!r}. 'average' or 'bicubic' is expected.")
        if kernel == "bicubic" and scale % 2:
            raise ValueError(
                f"scale is {scale}, but the bicubic kernel is defined for even scales (its phase "
                f"is half a pixel). Use an even scale, or SuperResolution({scale}, "
                "kernel='average')."
            )
        self.scale, self.kernel = scale, kernel
        own = (f"sr{scale}",) if kernel == "average" else (f"sr{scale}-{kernel}", f"sr{scale}")
        self.families = own if scale <= 4 else (*own, "sr4")

    def extra_repr(self) -> str:
        return f"scale={self.scale}, kernel={self.kernel!r}"

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        if h % self.scale or w % self.scale:
            raise ValueError(
                f"The image is {h} x {w}, no multiple of scale {self.scale}. "
                f"{crop_or_pad(h, w, self.scale)}"
            )
        return super().forward(x)

    def keep_ends(self, x: Tensor, y: Tensor) -> Tensor:
        """Return x with the pixels that noiseless block means decide.

        Where a mean is white or black, its whole block is.
        """
        if self.kernel != "average":
            return x
        mean = self.pinv(y)
        x = torch.where(mean >= 1 - 1e-6, mean.new_ones(()), x)
        return torch.where(mean <= -1 + 1e-6, -mean.new_ones(()), x)

    def factor(self, n: int, axis: int) -> Tensor:
        scale, m = self.scale, n // self.scale
        if self.kernel == "average":
            one = torch.eye(m, dtype=torch.float64, device="cpu")
            return one.repeat_interleave(scale, dim=1) / scale
        k = torch.arange(m, device="cpu")[:, None]
        taps = torch.arange(-2 * scale, 2 * scale, device="cpu")[None, :]
        j = k * scale + scale // 2 + taps  # input samples
        u = ((j - k * scale - scale // 2 + 0.5) / scale).abs().double()
        near = 1.5 * u**3 - 2.5 * u**2 + 1
        far = -0.5 * u**3 + 2.5 * u**2 - 4 * u + 2
        weight = torch.where(u <= 1, near, torch.where(u < 2, far, torch.zeros_like(u)))
        weight = weight / weight.sum(1, keepdim=True)
        j = j % (2 * n)
        j = torch.where(j < n, j, 2 * n - 1 - j)  # half-sample symmetric: -1 -> 0, n -> n - 1
        K = torch.zeros(m, n, dtype=torch.float64, device="cpu")
        return K.scatter_add_(1, j, weight)

    def side(self, m: int) -> int:
        return m * self.scale

    def period(self, n: int) -> int:
        if self.kernel != "average":
            return n
        # Of 16 pixels, where it is possible: still shorter blocks take longer.
        for length in range(-(-16 // self.scale) * self.scale, 64, self.scale):
            if n % length == 0:
                return length
        return self.scale

    def prox(self, x: Tensor, y: Tensor, rho: float | Tensor) -> Tensor:
        """Return argmin_v ||A v - y||^2 + rho ||v - x||^2.

        For block means A A* = I / scale^2, and it is x + A^+ (y - A x) / (1 + scale^2 rho).
        """
        if self.kernel != "average":
            return super().prox(x, y, rho)
        return x + self.pinv((y - self(x)) / (1 + self.scale**2 * rho))

    def smooth(self, y: Tensor) -> Tensor:
        """Return y enlarged bicubically, moved to the nearest image whose measurement is y."""
        x = F.interpolate(y, scale_factor=self.scale, mode="bicubic", align_corners=False)
        return self.project(x, y)
