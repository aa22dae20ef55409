"""The restorations of a picture, one function per kind of damage, each with its own check.

None knows the truth. Each compares what it took away with what its diagnosis says was there, and
takes less, or nothing, where the two differ.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..diagnosis import Blurring, Compression, NoiseLevel, estimate_noise
from ..diagnosis.base import cosines
from ..driver import solve
from ..operators import Blur, SuperResolution
from ..presets import choose
from ..priors.base import Prior
from ..problem import Problem
from ..solvers import DDNM, DiffPIR
from ..tasks import TASKS
from .network import (
    agreed_level,
    best_weight,
    estimate,
    estimate_colours,
    implied_level,
    middling,
    moments,
)

LEAST_GAIN = 0.5  # dB, expected, below which a picture is left as it is
#: Grey levels of JPEG's loss that are acted on at most: beyond, the prior smooths what was left.
MOST_LOST = 7.0
PART = 512  # pixels a side of the part that tells the weight: as exact as 12 megapixels, in 1 s
WHITE = 0.1  # correlation of neighbours in what was taken away, above which texture went with it
#: The solver that sharpens, and the noise in grey levels that rounding is taken for at least. On
#: training crops it gains 0.4 dB more than 20 calls from time 100 with fresh noise at 1 level.
SHARPEN, ROUNDED = DiffPIR(steps=5, start=30, lam=2.0, zeta=0.0), 0.5
#: Grey levels by which the result, blurred again, differs at most where there is no noise. Training
#: crops leave at most 0.4 with their own Gaussian and 1.0 with their own motion. One with a motion
#: that was taken for a Gaussian left 1.5, and lost 4.7 dB.
MOST_LEFT = {"gaussian": 0.9, "motion": 1.5}
LUMA = (0.299, 0.587, 0.114)
FINE = 16  # points a pixel and direction at which a strip is tried


@dataclass(frozen=True)
class Mended:
    """A restoration of one kind of damage.

    Args:
        x: (1, c, h, w), the picture after it, or as it was.
        done: whether it was kept.
        why: one sentence with its numbers.
        residual: root mean square in grey levels by which the result, damaged again, differs from
            the picture.
    """

    x: Tensor
    done: bool
    why: str
    residual: float = 0.0


def denoise(prior: Prior, y: Tensor, found: NoiseLevel, strength: float = 1.0) -> Mended:
    """Return the picture without its noise, as far as that is sure to do no harm.

    x = y + w (D(y; s) - y), with the weight w whose expected error is the least. So the level on
    which the estimators and the prior agree decides how much is taken.

    Args:
        prior: of pictures of y's size.
        y: (1, c, h, w) in [-1, 1].
        found: its noise.
        strength: factor of w, 0 to 1.

    Cost:
        a network call, and 2 on 512 x 512 pixels. For coarse noise 2, and up to 12 on 192 x 192.
    """
    if found.white is False:
        return _denoise_coarse(prior, y, found, strength)
    if found.alike and y.shape[1] == 3:
        return _denoise_alike(prior, y, found, strength)
    level = found.value
    x = estimate(prior, y, level)
    part = middling(y, PART)
    near = x if part is y else estimate(prior, part, level)
    _, square, divergence = moments(prior, part, level, near)
    weight, gain = best_weight(level, square, divergence)
    if gain < LEAST_GAIN:
        return Mended(y, False, f"Noise left alone: {gain:.1f} dB would be gained.")
    weight *= strength
    removed = weight * (y - x)
    shift = float(removed.mean((0, 2, 3)).abs().max()) * 127.5
    # The correlation of neighbouring pixels, the larger of rows and columns.
    r = removed - removed.mean((2, 3), keepdim=True)
    power = float(r.square().mean()) + 1e-12
    across = float((r[..., 1:] * r[..., :-1]).mean()) / power
    down = float((r[..., 1:, :] * r[..., :-1, :]).mean()) / power
    rho = max(across, down)
    if rho > WHITE + 0.1:
        return Mended(y, False, f"Noise left alone: what was taken away is no noise ({rho:.2f}).")
    if shift > max(0.5, 0.1 * level):
        return Mended(y, False, f"Noise left alone: the colours moved by {shift:.1f} levels.")
    residual = math.sqrt(float(removed.square().mean())) * 127.5
    # No gain is told: the estimate of the error is the difference of two numbers that a level
    # wrong by 5 % takes below 0. It decides well where little is to be gained, and only there.
    why = f"Noise of {level:.1f} levels removed."
    return Mended(y - removed, True, why, residual)


def _denoise_alike(prior: Prior, y: Tensor, found: NoiseLevel, strength: float) -> Mended:
    """Remove noise that is the same in all colours from the mean of the channels.

    What noise there is in the colours goes at half the size, at which a JPEG has kept them.
    """
    light = y.mean(1, keepdim=True)
    mended = denoise(prior, light, replace(found, alike=False), strength)
    if not mended.done:
        return replace(mended, x=y)
    x = y + mended.x - light
    small = _means(x, 2)
    levels = [estimate_noise(axis).value for axis in opponents(small)]
    colours = math.sqrt(sum(level**2 for level in levels) / len(levels))
    if colours >= 1:
        change = estimate_colours(prior, small, colours) - small
        x = x + strength * _enlarged(change, 2, y)
    residual = math.sqrt(float((y - x).square().mean())) * 127.5
    why = f"Noise of {found.value:.1f} levels in the brightness"
    why += f" and {colours:.1f} in the colours removed." if colours >= 1 else " removed."
    return Mended(x, True, why, residual)


def opponents(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return (R - G) / sqrt 2 and (R + G - 2 B) / sqrt 6, which keep the level of white noise."""
    red, green, blue = x.split(1, 1)
    return (red - green) / math.sqrt(2), (red + green - 2 * blue) / math.sqrt(6)


def _denoise_coarse(prior: Prior, y: Tensor, found: NoiseLevel, strength: float) -> Mended:
    """Remove noise that is coarser than a pixel, at the smaller factor of 2 and 4 whose means over
    blocks have white noise.
    """
    for factor in (2, 4):
        h, w = (n // factor * factor for n in y.shape[-2:])
        if min(h, w) < 64 * factor:
            break
        small = F.avg_pool2d(y[..., :h, :w], factor)
        there = estimate_noise(small)
        if there.white is False or there.value < 1:
            continue
        # The prior's level gains up to 0.6 dB more than the smaller of the two, on training crops.
        level = agreed_level(prior, small, there.value)
        if level < 1.0:
            break
        x = denoise_means(prior, y, factor, level, strength)
        left = agreed_level(prior, x, max(math.sqrt(0.75) * found.channels[0], 1.5))
        if left > 1.0:
            x = x + strength * (estimate(prior, x, left) - x)
        removed = math.sqrt(float((y - x).square().mean())) * 127.5
        if removed > 1.25 * found.value:
            break
        why = f"Coarse noise of {found.value:.1f} levels removed at 1/{factor} of the size."
        return Mended(x, True, why, removed)
    return Mended(y, False, "Coarse noise left alone: at no size is it like a pixel's.")


def denoise_means(
    prior: Prior, y: Tensor, factor: int, level: float, strength: float = 1.0
) -> Tensor:
    """Return y + strength up(D(down y; level) - down y), down being means over blocks.

    Args:
        prior: of colour pictures.
        y: (1, c, h, w) in [-1, 1].
        factor: pixels along a side of a block.
        level: of the noise in the means, in grey levels.
        strength: of the correction, 0 to 1.
    """
    small = _means(y, factor)
    return y + strength * _enlarged(estimate(prior, small, level) - small, factor, y)


def _means(y: Tensor, factor: int) -> Tensor:
    """Return means over whole blocks of factor x factor pixels."""
    h, w = (n // factor * factor for n in y.shape[-2:])
    return F.avg_pool2d(y[..., :h, :w], factor)


def _enlarged(change: Tensor, factor: int, y: Tensor) -> Tensor:
    """Return a change of means over blocks for every pixel of y; 0 where there was no block."""
    change = F.pad(change, (1, 1, 1, 1), mode="replicate")
    change = F.interpolate(change, scale_factor=factor, mode="bicubic", align_corners=False)
    change = change[..., factor:-factor, factor:-factor]
    h, w = change.shape[-2:]
    return F.pad(change, (0, y.shape[-1] - w, 0, y.shape[-2] - h))


def clean_jpeg(
    prior: Prior, y: Tensor, found: Compression, level: float = 0.0, strength: float = 1.0
) -> Mended:
    """Return the picture without JPEG's blocks and ringing.

    x <- the nearest picture to D(x; s) whose brightness has, in every block, coefficients that the
    same table rounds to those of y. The level s takes three values that fall from 1.5 times the
    loss.

    Args:
        prior: of pictures of y's size.
        y: (1, c, h, w) in [-1, 1].
        found: its compression.
        level: noise besides, in grey levels; it was rounded with the picture, so that the intervals
            are wider by twice as much.
        strength: of the blend with y, 0 to 1.

    Cost:
        3 network calls, 2 on 192 x 192 pixels.
    """
    # Artefacts look like structure to the prior, which finds a quarter of them to be noise; where
    # it finds less, the picture is smooth, and less was lost than the table can lose.
    own = implied_level(prior, middling(y), math.hypot(found.damage, level))
    lost = min(math.hypot(found.damage, level), 3.5 * own if level < 1 else 1.5 * own)
    if level < 1:
        lost = min(lost, MOST_LOST)
    if lost < 1:
        return Mended(y, False, "JPEG left alone: the prior finds less than 1 level of damage.")
    steps = torch.tensor(found.steps, dtype=torch.float64).reshape(8, 8)
    wide = 1.0 + 2 * level
    x = y
    for k in range(3):
        scale = 1.5 * (0.4 / 1.5) ** (k / 2) if level < 1 else 1.0
        x = nearest_alike(estimate(prior, x, max(scale * lost, 0.8)), y, found, steps, wide)
        if level >= 1:  # noise goes in one call, and what it leaves is no noise to the next one
            break
    x = y + strength * (x - y)
    changed = math.sqrt(float((x - y).square().mean())) * 127.5
    if changed > 2 * math.hypot(found.damage, level):
        why = f"changed by {changed:.1f} levels, more than {found.damage:.1f} were lost"
        return Mended(y, False, f"JPEG left alone: the result {why}.")
    alike = share_alike(x, y, found, steps)
    again = f"quality {found.value:.0f}" if found.source == "pixels" else "the file's tables"
    why = (
        f"JPEG's artefacts removed: saved again with {again}, {100 * alike:.1f} % of the "
        "coefficients are the same."
    )
    return Mended(x, True, why, changed)


def _blocks(plane: Tensor, offset: tuple[int, int]) -> Tensor:
    """Return the coefficients (rows, columns, 8, 8) of the whole blocks of a plane of levels."""
    h, w = ((n - o) // 8 for n, o in zip(plane.shape, offset, strict=True))
    inside = plane[offset[0] : offset[0] + 8 * h, offset[1] : offset[1] + 8 * w] - 128
    table = torch.from_numpy(cosines())
    return table @ inside.reshape(h, 8, w, 8).transpose(1, 2) @ table.T


def _brightness(x: Tensor) -> Tensor:
    """Return the brightness (h, w) in grey levels, float64."""
    levels = (x[0].double().cpu() + 1) * 127.5
    if len(levels) == 1:
        return levels[0]
    return torch.einsum("c,chw->hw", torch.tensor(LUMA, dtype=torch.float64), levels)


def nearest_alike(
    x: Tensor, y: Tensor, found: Compression, steps: Tensor, wide: float = 1.0
) -> Tensor:
    """Return the picture nearest to x in brightness that JPEG rounds to what it rounded y to.

    Args:
        x, y: (1, c, h, w) in [-1, 1]; y came out of JPEG.
        found: where the blocks begin.
        steps: (8, 8) of the brightness.
        wide: grey levels by which the intervals are wider, for what decoding rounded.
    """
    light = _brightness(x)
    own, given = _blocks(light, found.offset), _blocks(_brightness(y), found.offset)
    middle = (given / steps).round() * steps
    inside = own.clamp(middle - steps / 2 - wide, middle + steps / 2 + wide)
    table = torch.from_numpy(cosines())
    change = (table.T @ (inside - own) @ table).transpose(1, 2)
    h, w = change.shape[0] * 8, change.shape[2] * 8
    full = torch.zeros_like(light)
    top, left = found.offset
    full[top : top + h, left : left + w] = change.reshape(h, w)
    return x + (full / 127.5).to(x)


def share_alike(x: Tensor, y: Tensor, found: Compression, steps: Tensor) -> float:
    """Return the share of the brightness' coefficients that the table rounds as it did in y."""
    mine = (_blocks(_brightness(x), found.offset) / steps).round()
    theirs = (_blocks(_brightness(y), found.offset) / steps).round()
    return float((mine == theirs).double().mean())


def kernel_of(found: Blurring) -> Tensor:
    """Return the blur kernel (k, k) of a diagnosis, float64, odd, of sum 1."""
    if found.kind == "motion":
        return streak(found.length, found.angle)
    reach = math.ceil(3 * found.value)
    t = torch.arange(-reach, reach + 1, dtype=torch.float64)
    taps = torch.exp(-(t**2) / (2 * found.value**2))
    kernel = torch.outer(taps, taps)
    return kernel / kernel.sum()


def streak(length: float, angle: float) -> Tensor:
    """Return the kernel (k, k) of a strip of the length of a motion, one pixel wide.

    Each value is the share of the strip that lies in a pixel. Its spectrum has the zeros of
    sin(pi length f) / (pi length f), by which the motion was found. Those of `kernels.line`, whose
    path is a pixel shorter, lie elsewhere. Half a pixel of length costs 2 dB.

    Args:
        length: of the motion in pixels.
        angle: in degrees from the right, counter-clockwise.
    """
    reach = math.ceil(length / 2) + 1
    size = 2 * reach + 1
    t = (torch.arange(FINE * size, dtype=torch.float64) + 0.5) / FINE - size / 2
    turn = math.radians(angle)
    along = t[None] * math.cos(turn) - t[:, None] * math.sin(turn)
    across = t[None] * math.sin(turn) + t[:, None] * math.cos(turn)
    inside = ((along.abs() <= length / 2) & (across.abs() <= 0.5)).double()
    kernel = F.avg_pool2d(inside[None, None], FINE)[0, 0]
    return kernel / kernel.sum()


def deblur(
    prior: Prior, y: Tensor, found: Blurring, level: float, seed: int = 0,
    kernel: Tensor | None = None,
) -> Mended:  # fmt: skip
    """Return the picture sharper, for the blur that was found.

    Args:
        prior: of pictures of y's size.
        y: (1, c, h, w) in [-1, 1].
        found: its blur.
        level: its noise in grey levels; at least `ROUNDED` is assumed.
        seed: of the solver.
        kernel: (k, k), instead of the kernel of what was found.

    Cost:
        that of the solver: `SHARPEN`.
    """
    A = Blur(kernel_of(found) if kernel is None else kernel).float()
    given = y.expand(-1, 3, -1, -1)
    problem = Problem(given, A, 2 * max(level, ROUNDED) / 255)
    x = solve(SHARPEN, prior, problem, seeds=[seed]).x
    if y.shape[1] == 1:
        x = x.mean(1, keepdim=True)
    residual = math.sqrt(float((A(x.expand(-1, 3, -1, -1)) - given).square().mean())) * 127.5
    if residual > max(2 * level + 0.5, MOST_LEFT[found.kind]):
        why = f"the result, blurred again, differs by {residual:.1f} levels"
        return Mended(y, False, f"Blur left alone: {why}.")
    if float(x.abs().max()) > 2.0:  # far outside the range: ringing
        return Mended(y, False, "Blur left alone: the result rings.")
    return Mended(x, True, f"{found.why[:-1]}: sharpened.", residual)


def enlarge(prior: Prior, y: Tensor, scale: int, seed: int = 0) -> Mended:
    """Return the picture 2 or 4 times as large, whose means over blocks are the picture.

    Args:
        prior: of pictures of the new size.
        y: (1, c, h, w) in [-1, 1].
        scale: 2 or 4.
        seed: of the solver.
    """
    A = SuperResolution(scale)
    solver = choose(DDNM, TASKS[f"sr{scale}"].presets, tuned=prior.presets).settings
    given = y.expand(-1, 3, -1, -1)
    x = solve(solver, prior, Problem(given, A), seeds=[seed]).x
    residual = math.sqrt(float((A(x) - given).square().mean())) * 127.5
    if y.shape[1] == 1:
        x = x.mean(1, keepdim=True)
    return Mended(x, True, f"Enlarged {scale} times.", residual)
