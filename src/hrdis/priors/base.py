"""What a diffusion prior is: a schedule and a noise estimate."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from ..schedule import Schedule


class Prediction(NamedTuple):
    """Two forms of one estimate: x_t = sqrt(alpha_bar) x0_hat + sqrt(1 - alpha_bar) eps."""

    x0_hat: Tensor
    eps: Tensor


class Prior(nn.Module, ABC):
    """A diffusion model of images, of any size unless its docstring says otherwise.

    Attributes:
        schedule: how noise grows with t.
        channels: image channels the prior accepts; None means any.
        name: for records and messages.
        presets: which solver presets fit, e.g. "default" for the rows "...@default"; empty for the papers' own.
    """

    schedule: Schedule
    channels: tuple[int, ...] | None = None
    name: str = "custom"
    presets: str = ""

    @abstractmethod
    def forward(self, x_t: Tensor, t: int) -> Prediction:
        """Estimate the clean images and the noise in x_t at time t.

        Args:
            x_t: (b, c, h, w), images diffused to time t.
            t: one time for all images, 0 <= t < len(schedule).

        Returns:
            (x0_hat, eps), of the shape, dtype and device of x_t; nothing is clipped.
        """
