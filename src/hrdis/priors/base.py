"""Base class of diffusion priors, the adapters of other libraries' objects, and priors that wrap
another one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from ..schedule import Schedule

if TYPE_CHECKING:
    from ..operators.base import Shape
    from ..presets import Presets
    from ..problem import Problem


class _Estimates(NamedTuple):
    x0_hat: Tensor
    eps: Tensor


class Prediction(_Estimates):
    """Two forms of one estimate, x_t = sqrt(alpha_bar) x0_hat + sqrt(1 - alpha_bar) eps, as a pair.

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
        """Convert the return value of a prior to a Prediction.

        Args:
            found: the value, which may be a plain pair.
            name: name of the prior, for the message.

        Raises:
            TypeError: if it is not a pair.
        """
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(
                f"The prior {name!r} gives a {type(found).__name__}. The clean image and the noise "
                "are expected: return hrdis.priors.Prediction(x0_hat, eps)."
            )
        return found if isinstance(found, Prediction) else cls(*found)

    def map(self, f: Callable[[Tensor], Tensor]) -> "Prediction":
        """Apply f to each part."""
        return Prediction(f(self.x0_hat), f(self.eps), None if self.v is None else f(self.v))


class Prior(nn.Module, ABC):
    """Interface of diffusion models of images, of any size unless a prior's docstring says
    otherwise.

    A prior that models something other than images, as `LatentPrior` does, converts problems to its
    space by `pull` and solutions to images by `picture`. Solvers work in that space, and the driver
    converts what they return.

    Args:
        schedule: the noise levels of the times t.
        channels: image channels the prior accepts; None for any.
        name: name for records and messages.
        latent: True if it models something other than images.
        classes: number of classes a class-conditional model was trained with; None for all others.
        label: the class of all images, 0 to classes - 1; see `labelled`.
        presets: settings of solvers that were tuned for it (`hrdis.presets.read`); None without,
            where the papers' are taken.
        multiple: the sides of images are padded to a multiple of this; 1 for no padding.
        of_consistency: True for a consistency model, whose x0_hat is one clean image instead of the
            mean of all that fit; None where nobody said.
        overwrites: False if it never writes into the images it is given; the driver gives any other
            prior a copy of them.
    """

    schedule: Schedule
    channels: tuple[int, ...] | None = None
    name: str = "custom"
    latent: bool = False
    classes: int | None = None
    label: int | None = None
    presets: "Presets | None" = None
    multiple: int = 1
    of_consistency: bool | None = None
    overwrites: bool = True

    def __repr__(self) -> str:
        """Describe the prior in one line, without its layers (``print(prior.network)``)."""
        parameters = list(self.parameters())
        about = [repr(self.name), repr(getattr(self, "schedule", None))]
        if parameters:
            count = sum(parameter.numel() for parameter in parameters)
            dtype = str(parameters[0].dtype).removeprefix("torch.")
            about += [f"{count / 1e6:.3g} M parameters", f"{dtype} on {parameters[0].device}"]
        if self.classes is not None:
            about.append(f"label={self.label} of {self.classes}")
        if self.extra_repr():
            about.append(self.extra_repr())
        return f"{type(self).__name__}({', '.join(about)})"

    @abstractmethod
    def forward(self, x_t: Tensor, t: int) -> Prediction:
        """Estimate the clean images and the noise in x_t at time t.

        Args:
            x_t: (b, c, h, w), images diffused to time t.
            t: one time for all images, 0 <= t < len(schedule).

        Returns:
            (x0_hat, eps), of the shape, dtype and device of x_t; nothing is clipped.
        """

    def pull(self, problem: "Problem") -> "Problem":
        """Return the problem in the space that the prior models; by default the problem itself."""
        return problem

    def picture(self, x: Tensor, shape: "Shape") -> Tensor:
        """Convert x from the prior's space to images of shape (b, c, h, w); by default x itself."""
        return x

    def labelled(self, label: int | None) -> Self:
        """Return this prior for images of one class; the weights are shared.

        Args:
            label: the class, 0 to classes - 1; None for no class.

        Raises:
            ValueError: if the model was trained without classes, or without this one.
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
        """Raise if the prior is class-conditional and has no label.

        Raises:
            ValueError: naming the classes.
        """
        if self.classes is not None and self.label is None:
            raise ValueError(
                f"The prior {self.name!r} was trained on {self.classes} classes and was told none. "
                "The class of the images is expected: hrdis.load_prior(name, label=0), or "
                "prior.labelled(0)."
            )

    def labels_of(self, x: Tensor) -> Tensor | None:
        """Return the label of each image, (b,), for the network; None without classes."""
        self.check_label()
        return None if self.label is None else torch.full((len(x),), self.label, device=x.device)


class WrappedPrior(Prior):
    """Base of priors that run another one, and take their schedule, channels, name, classes and
    space from it.

    Args:
        prior: the prior that is run; `prior` afterwards.
    """

    prior: Prior

    def __init__(self, prior: Prior):
        super().__init__()
        self.prior = prior
        self.schedule, self.channels, self.name = prior.schedule, prior.channels, prior.name
        self.latent, self.presets, self.multiple = prior.latent, prior.presets, prior.multiple
        self.classes, self.label = prior.classes, prior.label
        self.of_consistency, self.overwrites = prior.of_consistency, prior.overwrites

    def pull(self, problem: "Problem") -> "Problem":
        return self.prior.pull(problem)

    def picture(self, x: Tensor, shape: "Shape") -> Tensor:
        return self.prior.picture(x, shape)

    def labelled(self, label: int | None) -> Self:
        other = super().labelled(label)
        # A copied module shares the dictionary of its parts with the original.
        other._modules = {**self._modules, "prior": self.prior.labelled(label)}
        return other


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
