"""Blur kernels: Gaussian, uniform, motion, and those that the papers name.

Every function returns float64 with odd sides and sum 1.
"""

import math
import warnings

import torch
from torch import Tensor

from .. import _deprecated
from ..rng import stream


def gaussian(size: int = 61, std: float = 3.0) -> Tensor:
    """Return a sampled Gaussian, (size, size), cut at 4 standard deviations.

    Args:
        size: side in pixels, odd.
        std: standard deviation in pixels; DPS takes 3.0 with size 61, of which 25 x 25 taps are not
            0.
    """
    _check_size(size)
    if not 0 < std < math.inf:
        raise ValueError(f"std is {std}. A standard deviation > 0 in pixels is expected: std=3.0.")
    t = torch.arange(size, dtype=torch.float64) - size // 2
    taps = torch.exp(-(t**2) / (2 * std**2)) * (t.abs() <= int(4 * std + 0.5))
    return torch.outer(taps, taps) / taps.sum() ** 2


def uniform(size: int = 9) -> Tensor:
    """Return the kernel of a mean over a square of (size, size) pixels, size odd."""
    _check_size(size)
    return torch.full((size, size), 1 / size**2, dtype=torch.float64)


def line(length: float, angle: float = 0.0) -> Tensor:
    """Return the kernel of a straight motion, (k, k), each point of it spread over four pixels.

    Args:
        length: of the motion in pixels, above 0.
        angle: its direction in degrees from the right, counter-clockwise.

    Raises:
        ValueError: for a length that is not above 0 and finite, or an angle that is not finite.

    Example:
        >>> line(3.0).shape
        torch.Size([7, 7])
    """
    if not 0 < length < math.inf or not math.isfinite(angle):
        raise ValueError(
            f"length is {length} and angle {angle}. A length > 0 in pixels and an angle in degrees "
            "are expected: line(15.0, 30.0)."
        )
    reach = math.ceil(length / 2) + 1
    size = 2 * reach + 1
    kernel = torch.zeros(size, size, dtype=torch.float64)
    turn = math.radians(angle)
    for k in range(16 * size):  # 16 points per pixel hide the grid from the eye and from a solver
        s = (k / (16 * size - 1) - 0.5) * max(length - 1, 0)
        column, row = reach + s * math.cos(turn), reach - s * math.sin(turn)
        left, top = math.floor(column), math.floor(row)
        for i, down in ((0, top + 1 - row), (1, row - top)):
            for j, right in ((0, left + 1 - column), (1, column - left)):
                kernel[top + i, left + j] += down * right
    return kernel / kernel.sum()


def separable(name: str, std: float = 10.0) -> tuple[Tensor, Tensor]:
    """Return the taps down a column and along a row that the papers name, for `SeparableBlur`.

    Args:
        name: ``"uniform9"``, 9 equal taps both ways; ``"gauss"``, 5 taps of a Gaussian both ways;
            ``"aniso"``, 9 taps of a Gaussian of 1 pixel down a column, of 20 pixels along a row.
        std: of ``"gauss"``, in pixels: 10 in DDRM and DDNM, 25 in RED-diff, 3 in HRDIS.

    Raises:
        ValueError: for another name, or a std that is not above 0.

    Example:
        >>> separable("gauss", std=1.0)[0].round(decimals=3)
        tensor([0.0540, 0.2440, 0.4030, 0.2440, 0.0540], dtype=torch.float64)
    """
    if name not in ("uniform9", "gauss", "aniso"):
        raise ValueError(
            f"There is no separable kernel {name!r}. 'uniform9', 'gauss' or 'aniso' is expected."
        )
    if not 0 < std < math.inf:
        raise ValueError(f"std is {std}. A standard deviation > 0 in pixels is expected: std=10.0.")
    if name == "aniso":
        return _taps(9, 1.0), _taps(9, 20.0)
    taps = torch.full((9,), 1 / 9, dtype=torch.float64) if name == "uniform9" else _taps(5, std)
    return taps, taps


def motion(size: int = 61, intensity: float = 0.5, seed: int = 0, index: int = 0) -> Tensor:
    """Draw the trace of a shaken camera, (size, size).

    It follows the "motionblur" generator that DPS uses.

    A path of random steps and turns is drawn on a canvas of twice the size, softened, and halved.

    Args:
        size: side in pixels, odd.
        intensity: 0 is a straight line, 1 a convoluted path; DPS takes 0.5.
        seed, index: which path.

    Raises:
        ValueError: for an even size, or an intensity outside [0, 1].
    """
    _check_size(size)
    if not 0 <= intensity <= 1:
        raise ValueError(
            f"intensity is {intensity}. A number from 0 (straight) to 1 is expected: intensity=0.5."
        )
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter

    q, rng, canvas = intensity, stream(seed, "motion blur", index), 2 * size
    diagonal = math.sqrt(2) * canvas
    longest = 0.75 * diagonal * (rng.uniform() + rng.uniform(0, q**2))
    steps: list[float] = []
    while sum(steps) < longest:
        step = rng.beta(1, 30) * (1 - q + 0.1) * diagonal
        if step < longest:
            steps.append(step)
    turn, flip = rng.uniform(0, q * math.pi), rng.beta(2, 20)
    angles = [rng.uniform(-turn, turn)]
    for _ in steps[1:]:  # absolute directions, which keep their sign for a while
        sign = math.copysign(1, angles[-1]) * (-1 if rng.uniform() < flip else 1)
        angles.append(sign * rng.triangular(0, q * turn, turn + 0.1))
    path = np.cumsum(
        [0, *(step * np.exp(1j * angle) for step, angle in zip(steps, angles, strict=False))]
    )
    path = (path - path.mean()) * np.exp(1j * rng.uniform(0, math.pi)) + (1 + 1j) * canvas / 2

    image = Image.new("L", (canvas, canvas))
    width = max(1, int(diagonal / 150))
    points = [(float(z.real), float(z.imag)) for z in path]
    ImageDraw.Draw(image).line(points, fill=255, width=width)
    ImageDraw.Draw(image).point(points, fill=255)  # a line of no length leaves no trace
    image = image.filter(ImageFilter.GaussianBlur(int(0.01 * diagonal)))
    image = image.resize((size, size), Image.Resampling.LANCZOS)
    kernel = torch.from_numpy(np.asarray(image).astype(np.float64))
    return kernel / kernel.sum()


def checked(kernel: Tensor, axes: int = 2) -> Tensor:
    """Return the kernel in float64 if a blur can take it.

    Raises:
        TypeError: if it is no real tensor of so many axes.
        ValueError: for even sides, or a sum that is 0 or not finite.

    Warns:
        UserWarning: of a sum that is not 1.
    """
    shape = "(k, k)" if axes == 2 else "(k,)"
    if not isinstance(kernel, Tensor) or kernel.is_complex() or kernel.ndim != axes:
        got = (
            f"shape {tuple(kernel.shape)}" if isinstance(kernel, Tensor) else type(kernel).__name__
        )
        raise TypeError(
            f"The kernel is given as {got}. A real tensor of shape {shape} is expected: "
            "kernels.gaussian(61)."
        )
    sides = " x ".join(map(str, kernel.shape))
    if any(n % 2 == 0 for n in kernel.shape):
        raise ValueError(
            f"The kernel is {sides}. Odd sides are expected, so that it has a centre. Pad it with "
            "a zero: torch.nn.functional.pad(kernel, (0, 1) * kernel.ndim)."
        )
    kernel = kernel.detach().double()
    total = float(kernel.sum())
    if not bool(torch.isfinite(kernel).all()) or abs(total) < 1e-12:
        raise ValueError(
            f"The kernel's sum is {total:g}. A finite sum other than 0 is expected: kernel / "
            "kernel.sum()."
        )
    if abs(total - 1) > 1e-3:
        warnings.warn(
            f"The kernel's sum is {total:g}, so that the blurred image is brighter or darker. 1 "
            "is expected: kernel / kernel.sum().",
            stacklevel=3,
        )
    return kernel


def _taps(size: int, std: float) -> Tensor:
    t = torch.arange(size, dtype=torch.float64) - size // 2
    taps = torch.exp(-(t**2) / (2 * std**2))
    return taps / taps.sum()


def _check_size(size: int) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or size % 2 == 0:
        raise ValueError(
            f"size is {size!r}. An odd number of pixels is expected, so that a kernel has a "
            "centre: 61."
        )


def __getattr__(name: str) -> object:
    if name != "from_file":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .. import images

    _deprecated.warn("kernels.from_file", "hrdis.images.read_kernel(path)")
    return images.read_kernel
