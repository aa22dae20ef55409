"""What a diffusion prior is: a schedule and a noise estimate."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from ..operators.base import Shape
from ..presets import Presets
from ..problem import Problem
from ..schedule import Schedule


class _Estimates(NamedTuple):
    x0_hat: Tensor
    eps: Tensor


class Prediction(_Estimates):
    """Two forms of one estimate: x_t = sqrt(alpha_bar) x0_hat + sqrt(1 - alpha_bar) eps; unpacks as
    this pair.

    Args:
        x0_hat, eps: (b, c, h, w).
        v: of the same shape, where a network learned the variance of its steps too (ADM's 6
            channels), else None: in [-1, 1], 1 for the largest variance (`Schedule.ancestral`).
    """

    v: Tensor | None

    def __new__(cls, x0_hat: Tensor, eps: Tensor, v: Tensor | None = None) -> "Prediction":
        made = super().__new__(cls, x0_hat, eps)
        made.v = v
        return made

    @classmethod
    def of(cls, found: object, name: str) -> "Prediction":
        """What the prior of that name gave, which may be a plain pair.

        Raises:
            TypeError: if it is no pair.
        """
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(
                f"The prior {name!r} gives a {type(found).__name__}. The clean image and the noise "
                "are expected: return hrdis.priors.Prediction(x0_hat, eps)."
            )
        return found if isinstance(found, Prediction) else cls(*found)

    def map(self, f: Callable[[Tensor], Tensor]) -> "Prediction":
        """f of each part."""
        return Prediction(f(self.x0_hat), f(self.eps), None if self.v is None else f(self.v))


class Prior(nn.Module, ABC):
    """A diffusion model of images, of any size unless its docstring says otherwise.

    One that models something else (`LatentPrior`) says how problems come into its space, by `pull`,
    and pictures out of it, by `picture`; solvers then work in that space, and the driver turns what
    they find into pictures.

    Attributes:
        schedule: how noise grows with t.
        channels: image channels the prior accepts; None means any.
        name: for records and messages.
        latent: whether it models something else than the pictures themselves.
        classes: how many classes a class-conditional model was trained with; None for all others.
        label: the class of all images, 0 to classes - 1; see `labelled`.
        presets: settings of solvers that were tuned for it (`hrdis.presets.read`); None without,
            where the papers' are taken.
    """

    schedule: Schedule
    channels: tuple[int, ...] | None = None
    name: str = "custom"
    latent: bool = False
    classes: int | None = None
    label: int | None = None
    presets: Presets | None = None

    def __repr__(self) -> str:
        """One line: what it is, not its layers; those are in ``print(prior.network)`` and the
        like.
        """
        first = next(self.parameters(), None)
        about = [repr(self.name), repr(getattr(self, "schedule", None))]
        if first is not None:
            count = sum(p.numel() for p in self.parameters())
            about += [
                f"{count / 1e6:.3g} M parameters",
                f"{str(first.dtype).removeprefix('torch.')} on {first.device}",
            ]
        about += [f"label={self.label} of {self.classes}"] if self.classes is not None else []
        return f"{type(self).__name__}({', '.join([*about, *filter(None, [self.extra_repr()])])})"

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
        """The pictures of a shape (b, c, h, w) that x, of the prior's space, stands for; by default
        x itself.
        """
        return x

    def labelled(self, label: int | None) -> Self:
        """This prior, told that every image is of one class; the weights are shared, None takes the
        label away.

        Raises:
            ValueError: if the model knows no classes, or not this one.
        """
        if label is not None and self.classes is None:
            raise ValueError(
                f"The prior {self.name!r} was trained without classes, but label is {label!r}. It "
                "is loaded without one: hrdis.load_prior(name)."
            )
        if label is not None and (isinstance(label, bool) or label not in range(self.classes or 0)):
            raise ValueError(
                f"label is {label!r}. A class of the prior {self.name!r}, a whole number from 0 to "
                f"{(self.classes or 0) - 1}, is expected: hrdis.load_prior(name, label=0), or "
                "prior.labelled(0)."
            )
        other = copy(self)
        other.label = label
        return other

    def check_label(self) -> None:
        """Raise unless a class-conditional model has been told the class.

        Raises:
            ValueError: if it has not.
        """
        if self.classes is not None and self.label is None:
            raise ValueError(
                f"The prior {self.name!r} was trained on {self.classes} classes and was told none. "
                "The class of the images is expected: hrdis.load_prior(name, label=0), or "
                "prior.labelled(0)."
            )

    def labels_of(self, x: Tensor) -> Tensor | None:
        """The label of each image, (b,), for the network; None where it knows no classes."""
        self.check_label()
        return None if self.label is None else torch.full((len(x),), self.label, device=x.device)


#: Objects of other libraries that stand for a prior: a function that recognises them, and one that
#: converts them. `azula` and `diffusers` add theirs when they are imported.
ADAPTERS: list[tuple[Callable[[object], bool], Callable[[Any], Prior]]] = []


def as_prior(value: object) -> object:
    """Convert a diffusers pair or an azula denoiser to a `Prior`.

    Args:
        value: a pair (UNet2DModel, scheduler), a diffusers pipeline of both, or an azula denoiser;
            networks may be wrapped by DataParallel, DistributedDataParallel or torch.compile.

    Returns:
        the prior; anything else is returned as it is, for the caller to accept or refuse.
    """
    if isinstance(value, Prior):
        return value
    for recognises, convert in ADAPTERS:
        if recognises(value):
            return convert(value)
    return value
