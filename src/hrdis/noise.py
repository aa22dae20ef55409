"""Measurement noise, with the range its level is quoted in.

A level sigma belongs to a range. Papers that follow DDRM and RED-diff (HRDIS among them) quote it
for images in [0, 1], those that follow DPS for [-1, 1]. Here the range is part of the noise, and
``sigma_y``, in units of y (images in [-1, 1]), is what solvers get.

The noise of `Poisson` and `Speckle` depends on the signal. Solvers want one number. Their
``sigma_y`` is the standard deviation at mid-grey, u = 1/2 in [0, 1]. It is a constant, so that it
does not tie the images of a batch together. On photographs of faces it is within 6 % of the
measured rms.
"""

import warnings
from dataclasses import dataclass
from math import hypot, inf, sqrt
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from .rng import ImageRNG, Replay

Range = Literal["[0,1]", "[-1,1]"]

PHOTONS = 255  # a white pixel of a [0, 1] image, at rate 1
#: The largest rate of photons. Its noise is below the last digit of float32, and further counts
#: would not differ by one in float64.
MOST_RATE = 1e12


def read_level(given: float | str) -> float:
    """Return a level of noise for images in [0, 1], from any of the ways in which people quote it.

    Args:
        given: a fraction, ``0.1`` or ``"25/255"``, or grey levels of 255, which a number from 1 on
            is: ``25``.

    Raises:
        ValueError: for what is no number.

    Example:
        >>> read_level("25/255") == read_level(25) == 25 / 255, read_level("0.1")
        (True, 0.1)
    """
    try:
        above, line, below = str(given).partition("/")
        level = float(above) / float(below) if line else float(above)
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"--noise is {given!r}. A fraction (0.1 or 25/255) or grey levels of 255 are expected: "
            "--noise 25"
        ) from None
    return level / 255 if level >= 1 and not line else level


def read_model(given: object) -> "Poisson | Speckle | None":
    """Return a noise that depends on the picture from words, or None for what is no such word.

    Args:
        given: ``"poisson:1"`` (the rate, as in `Poisson`) or ``"speckle:0.1"`` (the share).

    Raises:
        ValueError: for a word whose number is missing, or none that its noise takes.

    Example:
        >>> read_model("poisson:1"), read_model("25")
        (Poisson(rate=1.0, scale=None), None)
    """
    kind, colon, number = str(given).partition(":")
    if kind not in ("poisson", "speckle") or not colon:
        return None
    try:
        return Poisson(float(number)) if kind == "poisson" else Speckle(float(number))
    except ValueError:
        raise ValueError(
            f"--noise is {given!r}. A number is expected after the colon, the rate of the photons "
            "or the share of the signal: --noise poisson:1, --noise speckle:0.1"
        ) from None


class Noise(Protocol):
    """Interface of a noise model: its level, and how it is added.

    ``pictures_only = True`` says that y must be a picture, too.
    """

    @property
    def sigma_y(self) -> float:
        """Standard deviation in units of y; a representative one if it depends on the signal."""

    def add(self, y: Tensor, rng: ImageRNG | Replay) -> Tensor:
        """Return a noisy copy of y."""


@dataclass(frozen=True)
class Gaussian:
    """y + sigma_y z with z ~ N(0, I).

    Args:
        sigma: standard deviation in units of ``sigma_range``; 0 is noiseless.
        sigma_range: ``"[0,1]"`` (the paper's 0.05 and 0.1) or ``"[-1,1]"`` (as in DPS).

    Example:
        >>> Gaussian(0.05).sigma_y, Gaussian(0.05, "[-1,1]").sigma_y
        (0.1, 0.05)
        >>> Gaussian(0.05).describe()
        'Gaussian noise: standard deviation 0.05 for images in [0, 1], 0.1 for [-1, 1]'
    """

    sigma: float
    sigma_range: Range = "[0,1]"
    pictures_only: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < inf:
            raise ValueError(
                f"sigma is {self.sigma}. A standard deviation >= 0 is expected: Gaussian(0.05)."
            )
        if self.sigma_range not in ("[0,1]", "[-1,1]"):
            raise ValueError(
                f"sigma_range is {self.sigma_range!r}. '[0,1]' or '[-1,1]' is expected."
            )
        if self.sigma > 2 and self.sigma_range == "[0,1]":
            warnings.warn(
                f"sigma is {self.sigma:g}, more than the range of a picture in [0, 1]. For "
                f"{self.sigma:g} grey levels of 255: Gaussian({self.sigma:g} / 255). For a "
                f"measurement that is no picture: Gaussian({2 * self.sigma:g}, '[-1,1]').",
                stacklevel=3,
            )

    @property
    def sigma_y(self) -> float:
        """Standard deviation in units of y, whose images are in [-1, 1]."""
        return 2 * self.sigma if self.sigma_range == "[0,1]" else self.sigma

    def add(self, y: Tensor, rng: ImageRNG | Replay) -> Tensor:
        """Draw once and add; nothing is clamped."""
        return y + self.sigma_y * rng.randn_like(y) if self.sigma_y > 0 else y.clone()

    def describe(self) -> str:
        """Return a sentence with the level in both ranges."""
        return f"Gaussian noise: {_both(self.sigma_y)}"


@dataclass(frozen=True)
class Poisson:
    """Counted photons: u' = Poisson(255 rate u) / (255 rate) with u = (y + 1) / 2, clamped to [0,
    1] before and after.

    More ``rate`` is less noise; at rate 1 a white pixel is 255 photons. Counts are quantiles of one
    uniform number per pixel, so that rounding errors in y change a count by one at most and never
    the pixels after it.

    Some measurements are no pictures but >= 0, such as magnitudes of a Fourier transform. For them
    ``scale`` says which value of y is worth 255 rate photons. Then y' = scale Poisson(255 rate y /
    scale) / (255 rate), without clamping.

    Args:
        rate: > 0 and at most 1e12, dimensionless; 1.0 in the papers.
        scale: in units of y, > 0; None for pictures.

    Raises:
        ValueError: for a rate or scale that is not in range, or, on use, a y that is no picture (it
            leaves [-1.5, 1.5]) without a scale, or has negative entries with one.
        TypeError: on use, for a complex y.

    Reference:
        Chung et al., Diffusion Posterior Sampling, ICLR 2023, arXiv 2209.14687.

    Example:
        >>> Poisson(1.0).describe()  # doctest: +NORMALIZE_WHITESPACE
        'Poisson noise of rate 1: standard deviation 0.04428 for images in [0, 1], 0.08856 for [-1,
        1], at mid-grey'
    """

    rate: float = 1.0
    scale: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.rate <= MOST_RATE:
            raise ValueError(
                f"rate is {self.rate}. A number > 0 is expected, more being less noise, and at "
                f"most {MOST_RATE:g}: Poisson(rate=1.0)."
            )
        if self.scale is not None and not 0 < self.scale < inf:
            raise ValueError(
                f"scale is {self.scale}. A value of y > 0 is expected: Poisson(rate=1.0, "
                "scale=float(y.max()))."
            )

    @property
    def pictures_only(self) -> bool:
        """True if the noise is defined for images only, which it is unless a scale is given."""
        return self.scale is None

    @property
    def sigma_y(self) -> float:
        """Standard deviation at u = 1/2, in units of y: scale sqrt(1/2 / (255 rate)).

        For pictures the scale is 2, the width of [-1, 1].
        """
        return (2 if self.scale is None else self.scale) * sqrt(0.5 / (PHOTONS * self.rate))

    def level_in(self, y: Tensor) -> float:
        """Return the root mean square of the standard deviation in a noisy picture, in units of y.

        It is 2 sqrt(mean(u) / (255 rate)). A count varies by its mean, and the mean of all counts
        is that of the picture.
        """
        return 2 * sqrt(float(((y + 1) / 2).clamp(0, 1).mean()) / (PHOTONS * self.rate))

    def add(self, y: Tensor, rng: ImageRNG | Replay) -> Tensor:
        """Draw uniform numbers once and turn them into counts, in float64 where the numbers are
        drawn.
        """
        photons = PHOTONS * self.rate
        if y.is_complex():
            raise TypeError(
                f"y is {y.dtype}, which counts no photons. Real values are expected. Use "
                "Gaussian(sigma)."
            )
        if self.scale is None:
            _check_picture(y, "Poisson", "Poisson(rate, scale=...) for y >= 0")
        elif float(y.min()) < 0:
            raise ValueError(
                f"y holds negative values (down to {float(y.min()):.3g}), which count no photons. "
                "y >= 0 is expected with scale=. Use Gaussian(sigma)."
            )
        draw = rng.rand(y.shape[1:], like=y)
        v = y.to(draw.device).double()
        u = ((v + 1) / 2).clamp(0, 1) if self.scale is None else v / self.scale
        u = poisson_quantile(draw, photons * u) / photons
        noisy = (2 * u - 1).clamp(-1, 1) if self.scale is None else self.scale * u
        return noisy.to(y)

    def describe(self) -> str:
        """Return a sentence with the level at mid-grey in both ranges."""
        if self.scale is not None:
            return (
                f"Poisson noise of rate {self.rate:g} for measurements of {self.scale:g}: standard "
                f"deviation {self.sigma_y:.4g} at half of that"
            )
        return f"Poisson noise of rate {self.rate:g}: {_both(self.sigma_y)}, at mid-grey"


@dataclass(frozen=True)
class Speckle:
    """Multiplicative: u' = u + sigma u z with u = (y + 1) / 2 in [0, 1] and z ~ N(0, I).

    Args:
        sigma: standard deviation as a share of the signal, >= 0; 0.1 in the paper. 0 is noiseless.
        clamp: clamp the result to [0, 1], here [-1, 1]; by default it is not.

    Raises:
        ValueError: for a negative sigma, or, on use, a y that is no picture (it leaves [-1.5,
            1.5]).
        TypeError: on use, for a complex y.

    Reference:
        HRDIS, ICLR 2025, appendix C.2, names the level; that it belongs to [0, 1] is inferred from
        its tables.

    Example:
        >>> Speckle(0.1).describe()  # doctest: +NORMALIZE_WHITESPACE
        'speckle noise of 0.1: standard deviation 0.05 for images in [0, 1], 0.1 for [-1, 1], at
        mid-grey'
    """

    sigma: float = 0.1
    clamp: bool = False
    pictures_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < inf:
            raise ValueError(
                f"sigma is {self.sigma}. A standard deviation >= 0 is expected: Speckle(0.1)."
            )

    @property
    def sigma_y(self) -> float:
        """Standard deviation at mid-grey in units of y: 2 (sigma / 2)."""
        return self.sigma

    def level_in(self, y: Tensor) -> float:
        """Return the root mean square of the standard deviation in a noisy picture, in units of y.

        It is 2 sigma sqrt(mean(u^2)). The noise has raised the mean of squares by 1 + sigma^2.
        """
        squares = float(((y + 1) / 2).square().mean())
        return 2 * sqrt(squares) * (self.sigma / hypot(1, self.sigma))

    def add(self, y: Tensor, rng: ImageRNG | Replay) -> Tensor:
        """Draw once and multiply."""
        _check_picture(y, "Speckle", "Gaussian(sigma)")
        noisy = y + self.sigma * (y + 1) * rng.randn_like(y) if self.sigma > 0 else y.clone()
        return noisy.clamp(-1, 1) if self.clamp else noisy

    def describe(self) -> str:
        """Return a sentence with the level at mid-grey in both ranges."""
        return f"speckle noise of {self.sigma:g}: {_both(self.sigma_y)}, at mid-grey"


def poisson_quantile(u: Tensor, mean: Tensor) -> Tensor:
    """Return the least count k with P(Poisson(mean) <= k) >= u, entry by entry, in float64.

    Starts from the normal quantile with one term for the skewness, and steps until the distribution
    function agrees.
    """
    u = u.clamp(2.0**-54, 1 - 2.0**-53)
    z = torch.special.ndtri(u)
    k = (mean + mean.sqrt() * z + (z.square() - 1) / 6).round().clamp(min=0).flatten()
    u, mean = u.flatten(), mean.flatten()
    for step in (1.0, -1.0):
        todo = torch.arange(len(k), device=k.device)
        while len(todo):
            # Upwards while P(<= k) < u; downwards while P(<= k - 1) >= u.
            at, m, v = k[todo], mean[todo], u[todo]
            wrong = (
                _cdf(at, m) < v if step > 0 else (at > 0) & (_cdf((at - 1).clamp(min=0), m) >= v)
            )
            todo = todo[wrong]
            k[todo] += step
    return k.reshape(z.shape)


def _cdf(k: Tensor, mean: Tensor) -> Tensor:
    """Return P(Poisson(mean) <= k)."""
    return torch.special.gammaincc(k + 1, mean)


def _both(sigma_y: float) -> str:
    return f"standard deviation {sigma_y / 2:.4g} for images in [0, 1], {sigma_y:.4g} for [-1, 1]"


def _check_picture(y: Tensor, name: str, instead: str) -> None:
    if y.is_complex():
        raise TypeError(
            f"y is {y.dtype}, but {name} noise is defined for pictures in [-1, 1]. Use {instead}."
        )
    if (
        y.numel() and float(y.abs().max()) > 2
    ):  # bicubic kernels and JPEG overshoot, by half at most
        raise ValueError(
            f"y reaches {float(y.abs().max()):.3g}, but {name} noise is defined for pictures in "
            f"[-1, 1]. For other measurements use {instead}."
        )
