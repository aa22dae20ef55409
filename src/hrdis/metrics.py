"""Distances between images. Images come in [-1, 1]; metrics are defined on [0, 1], clamped."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .linalg import rms


def psnr(x: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in dB, (b,).

    It is -10 log10 of the mean squared error on [0, 1].
    """
    return -20 * rms(_unit(x) - _unit(truth)).log10()


def psnr_pooled(x: Tensor, truth: Tensor) -> float:
    """Return the PSNR of the mean squared error over all images.

    Flat pictures do not dominate it.
    """
    return -10 * float((_unit(x) - _unit(truth)).square().mean().log10())


def ssim(x: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity of each image, (b,).

    Gaussian window 11 x 11 with std 1.5, data range 1.

    Local moments are weighted by the window without padding, the map is averaged over pixels and
    channels.

    Raises:
        ValueError: if a side is below 11 pixels.

    Reference:
        Wang, Bovik, Sheikh, Simoncelli, Image Quality Assessment, IEEE TIP 2004; K1 = 0.01, K2 =
        0.03.
    """
    if min(x.shape[-2:]) < 11:
        raise ValueError(
            f"SSIM needs images of 11 x 11 pixels or more, got {x.shape[-2]} x {x.shape[-1]}."
        )
    x, y = _unit(x), _unit(truth)
    taps = torch.exp(-((torch.arange(11, device="cpu") - 5.0) ** 2) / (2 * 1.5**2)).to(x)
    taps = taps / taps.sum()

    def blur(v: Tensor) -> Tensor:
        flat = v.reshape(-1, 1, *v.shape[-2:])
        return F.conv2d(F.conv2d(flat, taps.reshape(1, 1, 1, -1)), taps.reshape(1, 1, -1, 1))

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    score = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return score.reshape(len(x), -1).mean(1)


def align(
    x: Tensor,
    truth: Tensor,
    how: Literal["none", "global", "per_channel"] = "none",
    sign: bool = True,
) -> Tensor:
    """Return the image closest to the truth among those that phase retrieval cannot tell apart.

    They are x, -x (the photographic negative), and both turned by 180 degrees; closest in the mean
    squared error. Circular shifts are left out: the known support excludes them, except for images
    with grey margins. Scores of aligned images use the truth and must say so.

    Args:
        x, truth: (b, c, h, w) in [-1, 1].
        how: ``"none"`` returns x; ``"global"`` chooses for all channels at once, ``"per_channel"``
            for each.
        sign: whether negatives count; False for `PhaseRetrieval` with ``data_range="[0,1]"``, whose
            sign is known.

    Raises:
        ValueError: for another ``how``, or images of different shapes.

    Example:
        >>> x = torch.linspace(-1, 0.5, 4).reshape(1, 1, 2, 2)
        >>> torch.equal(align(-x.flip(-1, -2), x, "global"), x)
        True
    """
    if how not in ("none", "global", "per_channel"):
        raise ValueError(f"how is {how!r}. 'none', 'global' or 'per_channel' is expected.")
    if x.shape != truth.shape:
        raise ValueError(
            f"x has shape {tuple(x.shape)}, the truth {tuple(truth.shape)}. Both must agree."
        )
    if how == "none":
        return x
    turned = x.flip(-1, -2)
    candidates = torch.stack([x, turned, -x, -turned] if sign else [x, turned])  # (k, b, c, h, w)
    axes = (-3, -2, -1) if how == "global" else (-2, -1)
    error = _exact(candidates - truth).square().mean(axes, keepdim=True)
    best = error.argmin(0, keepdim=True).to(candidates.device)
    return candidates.gather(0, best.expand(1, *x.shape))[0]


def _unit(x: Tensor) -> Tensor:
    """Convert [-1, 1] to [0, 1], clamped, in float64."""
    return ((_exact(x) + 1) / 2).clamp(0, 1)


def _exact(x: Tensor) -> Tensor:
    """Return x in float64, on the CPU if its device has no such numbers, as Apple's GPUs."""
    try:
        return x.double()
    except TypeError:
        return x.cpu().double()
