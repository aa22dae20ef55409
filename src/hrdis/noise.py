"""Measurement noise, with the range its level is quoted in.

A level sigma belongs to a range: papers that follow DDRM and RED-diff (HRDIS among them) quote it for images in
[0, 1], those that follow DPS for [-1, 1]. Here the range is part of the noise, and ``sigma_y``, in units of y
(images in [-1, 1]), is what solvers get.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from .rng import ImageRNG, Replay

Range = Literal["[0,1]", "[-1,1]"]


class Noise(Protocol):
    """What `hrdis.measure` needs of a noise model."""

    @property
    def sigma_y(self) -> float: ...

    def add(self, y: Tensor, rng: ImageRNG | Replay) -> Tensor: ...


@dataclass(frozen=True)
class Gaussian:
    """y + sigma_y z with z ~ N(0, I).

    Args:
        sigma: standard deviation in units of ``sigma_range``; 0 is noiseless.
        sigma_range: ``"[0,1]"`` (the paper's 0.05 and 0.1) or ``"[-1,1]"`` (as in DPS).

    Example:
        >>> Gaussian(0.05).sigma_y, Gaussian(0.05, "[-1,1]").sigma_y
        (0.1, 0.05)
    """

    sigma: float
    sigma_range: Range = "[0,1]"

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < float("inf"):
            raise ValueError(f"sigma is {self.sigma}. A standard deviation >= 0 is expected: Gaussian(0.05).")
        if self.sigma_range not in ("[0,1]", "[-1,1]"):
            raise ValueError(f"sigma_range is {self.sigma_range!r}. '[0,1]' or '[-1,1]' is expected.")

    @property
    def sigma_y(self) -> float:
        """Standard deviation in units of y, whose images are in [-1, 1]."""
        return 2 * self.sigma if self.sigma_range == "[0,1]" else self.sigma

    def add(self, y: Tensor, rng: ImageRNG | Replay) -> Tensor:
        """Draw once and add; nothing is clamped."""
        return y + self.sigma_y * rng.randn_like(y) if self.sigma_y > 0 else y.clone()
