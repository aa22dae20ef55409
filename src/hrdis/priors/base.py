"""What a diffusion prior is: a schedule and a noise estimate."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from ..operators.base import Shape
from ..operators.problem import Problem
from ..schedule import Schedule


class _Estimates(NamedTuple):
    x0_hat: Tensor
    eps: Tensor


class Prediction(_Estimates):
    """Two forms of one estimate: x_t = sqrt(alpha_bar) x0_hat + sqrt(1 - alpha_bar) eps; unpacks as this pair.

    Args:
        x0_hat, eps: (b, c, h, w).
        v: of the same shape, where a network learned the variance of its steps too (ADM's 6 channels), else None:
            in [-1, 1], 1 for the largest variance (`Schedule.ancestral`).
    """

    v: Tensor | None

    def __new__(cls, x0_hat: Tensor, eps: Tensor, v: Tensor | None = None) -> "Prediction":
        made = super().__new__(cls, x0_hat, eps)
        made.v = v
        return made

    def map(self, f: Callable[[Tensor], Tensor]) -> "Prediction":
        """f of each part."""
        return Prediction(f(self.x0_hat), f(self.eps), None if self.v is None else f(self.v))


class Prior(nn.Module, ABC):
    """A diffusion model of images, of any size unless its docstring says otherwise.

    One that models something else (`LatentPrior`) says how problems come into its space, by `pull`, and pictures out
    of it, by `picture`; solvers then work in that space, and the driver turns what they find into pictures.

    Attributes:
        schedule: how noise grows with t.
        channels: image channels the prior accepts; None means any.
        name: for records and messages.
        latent: whether it models something else than the pictures themselves.
        presets: which solver presets fit, e.g. "default" for the rows "...@default"; empty for the papers' own.
    """

    schedule: Schedule
    channels: tuple[int, ...] | None = None
    name: str = "custom"
    latent: bool = False
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

    def pull(self, problem: Problem) -> Problem:
        """The problem in the prior's space; by default that of pictures, and the problem itself."""
        return problem

    def picture(self, x: Tensor, shape: Shape) -> Tensor:
        """The pictures of a shape (b, c, h, w) that x, of the prior's space, stands for; by default x itself."""
        return x
