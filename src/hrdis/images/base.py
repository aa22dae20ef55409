"""Pictures inside the package: a tensor in [-1, 1], with what a file needs beside the colours."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


@dataclass(frozen=True)
class Picture:
    """A picture as a tensor, with what a file needs beside its colours.

    Args:
        x: (1, c, h, w) in [-1, 1]; c is 1 for grey and 3 for colour.
        alpha: (h, w) in [0, 1], or None for an opaque picture.
        bits: 8 or 16 for each number in the file.
        icc: the colour profile, copied to what is written.
        exif: what the camera noted, less its rotation, likewise.
        dpi: the resolution in dots per inch, likewise, where the size stays.
        white: the number in the file that is white where ``bits`` is 16: 1023 for data of 10 bits.
    """

    x: Tensor
    alpha: Tensor | None = None
    bits: int = 8
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    white: int = 65535

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.x.shape[-2], self.x.shape[-1]

    def with_image(self, x: Tensor) -> "Picture":
        """Return the same file with other colours; transparency and resolution follow to another
        size.
        """
        alpha = self.alpha
        if alpha is not None and alpha.shape != x.shape[-2:]:
            alpha = torch.nn.functional.interpolate(
                alpha[None, None], size=x.shape[-2:], mode="bicubic", align_corners=False
            )[0, 0].clamp(0, 1)
        dpi = self.dpi
        if dpi is not None:  # a picture of twice the pixels is printed at the same size
            dpi = dpi[0] * x.shape[-1] / self.size[1], dpi[1] * x.shape[-2] / self.size[0]
        return replace(self, x=x, alpha=alpha, dpi=dpi)

    def without_hidden(self) -> "Picture":
        """Return the picture with other colours under its transparent pixels: see
        `without_hidden`.
        """
        return self if self.alpha is None else replace(self, x=without_hidden(self.x, self.alpha))

    def on_white(self) -> "Picture":
        """Return the picture as it looks on white paper, opaque."""
        if self.alpha is None:
            return self
        return replace(
            self, x=from_unit(to_unit(self.x) * self.alpha + (1 - self.alpha)), alpha=None
        )


def to_pil(picture: Picture) -> "Image.Image":
    """Convert a picture to one of Pillow's images, clamped and rounded.

    Grey of 16 bits stays so. Colours get 8 bits, as Pillow has no more for them.
    """
    from PIL import Image

    x = to_unit(picture.x[0].detach().float().cpu())
    if picture.bits == 16 and len(x) == 1 and picture.alpha is None:
        return Image.fromarray(to_numbers(picture)[..., 0])  # `write` knows that the file can
    if picture.alpha is not None:
        x = torch.cat([x, picture.alpha[None]])
    pixels = x.mul_(255).round_().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def to_numbers(picture: Picture) -> "np.ndarray":
    """Convert a picture to the numbers of a file of 16 bits, (h, w, c) of uint16.

    The transparency is the last channel, if there is any.
    """
    import numpy as np

    x = to_unit(picture.x[0].detach().float().cpu())
    if picture.alpha is not None:
        x = torch.cat([x, picture.alpha[None]])
    return (x * picture.white).round().permute(1, 2, 0).numpy().astype(np.uint16)


def to_unit(x: Tensor) -> Tensor:
    """Convert [-1, 1] to [0, 1], clamped."""
    # In place after the first step: a photograph of 12 megapixels has 144 MB.
    return (x + 1).div_(2).clamp_(0, 1)


def from_unit(x: Tensor) -> Tensor:
    """Convert [0, 1] to [-1, 1]."""
    return 2 * x - 1


def without_hidden(x: Tensor, alpha: Tensor) -> Tensor:
    """Give pixels that are wholly transparent the colours of the visible ones around them.

    What hides there is arbitrary, mostly black, and would leak into a rim that is enlarged or
    sharpened. Each takes the mean of the visible pixels of the smallest block of 2, 4, 8, ... that
    has any.

    Args:
        x: (1, c, h, w).
        alpha: (h, w) in [0, 1].
    """
    h, w = alpha.shape
    missing = (alpha == 0)[None, None]
    if not missing.any() or missing.all():
        return x
    colours, weights, filled = x * alpha, alpha[None, None], x.clone()
    scale = 1
    while missing.any():
        scale *= 2
        colours, weights = (
            torch.nn.functional.avg_pool2d(v, 2, ceil_mode=True, count_include_pad=False)
            for v in (colours, weights)
        )
        mean = (
            (colours / weights.clamp(min=1e-12))
            .repeat_interleave(scale, -2)
            .repeat_interleave(scale, -1)
        )
        known = (weights > 0).repeat_interleave(scale, -2).repeat_interleave(scale, -1)[..., :h, :w]
        take = missing & known
        filled = torch.where(take, mean[..., :h, :w], filled)
        missing = missing & ~known
    return filled
