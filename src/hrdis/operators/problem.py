"""What is to be solved: a measurement and its operator, which may be any callable."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from . import real
from .adopt import adopt, image_shape, is_physics
from .base import Operator, Shape, as_tensor, other_range, wide
from .deepinv import Theirs


class Function(Operator):
    """Any differentiable callable ``x -> y`` as a nonlinear operator.

    Args:
        function: maps (b, c, h, w) to measurements with the image axis first, images independent.
        shape: (c, h, w) of the images; by default that of y.
        start: maps y to a starting picture; by default y itself where shapes agree, else mid-grey.

    Example:
        >>> A = Function(lambda x: x.clamp(-1, 0.2))
        >>> A(torch.ones(1, 3, 8, 8)).max()
        tensor(0.2000)
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        shape: tuple[int, int, int] | None = None,
        start: Callable[[Tensor], Tensor] | None = None,
    ):
        super().__init__()
        self.function, self.shape, self.start = function, shape, start

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x.clone())  # it may write into what it gets

    def pinv(self, y: Tensor) -> Tensor:
        """The starting picture: ``start(y)``, or y itself, or mid-grey when y is no picture of that
        shape.
        """
        if self.start is not None:
            return self.start(y)
        shape = self.image_shape(tuple(y.shape))
        return y if tuple(y.shape) == shape else y.new_zeros(shape)

    def image_shape(self, y_shape: Shape) -> Shape:
        return tuple(y_shape) if self.shape is None else (y_shape[0], *self.shape)


@dataclass(frozen=True)
class Problem:
    """A measurement to be explained: y = A(x) + sigma_y z.

    Args:
        y: the measurement, the image axis first; never written to.
        A: an `Operator`, or any callable ``x -> y`` (then nonlinear: see `Function`), or a deepinv
            ``Physics``. With the last, y and sigma_y are given as deepinv has them, for images in
            [0, 1]; the problem then holds them as we do (``y`` = y - A 1 / 2 and A / 2 for a linear
            one; sigma stays), and solutions are in [-1, 1].
        sigma_y: standard deviation of the noise, in units of y (twice that of a [0, 1] image); 0,
            the default, is noiseless. The default of a deepinv ``Physics`` is its
            ``noise_model.sigma``.

    Raises:
        TypeError: if y is no floating tensor or A cannot be called.
        ValueError: if y is not finite, sigma_y is negative, or y is no measurement of A.
    """

    y: Tensor
    A: Operator
    sigma_y: float = None  # type: ignore[assignment]  # a float once the problem is made

    def __post_init__(self) -> None:
        y, A = self.y, self.A
        if not isinstance(y, Tensor) or not y.is_floating_point() or y.ndim < 2 or len(y) == 0:
            got = (
                f"{y.dtype} of shape {tuple(y.shape)}"
                if isinstance(y, Tensor)
                else type(y).__name__
            )
            raise TypeError(
                f"y is {got}. A floating tensor whose first axis is the image is expected. "
                f"{_as_measurement(y, A)}"
            )
        if is_physics(A):
            y, A, sigma_y = adopt(y, A, self.sigma_y)
            object.__setattr__(self, "y", y)
            object.__setattr__(self, "A", A)
            object.__setattr__(self, "sigma_y", sigma_y)
        elif self.sigma_y is None:
            object.__setattr__(self, "sigma_y", 0.0)
        if not callable(A):
            raise TypeError(
                f"A is a {type(A).__name__}. A hrdis Operator or a callable x -> y is expected: "
                "Problem(y, hrdis.operators.SuperResolution(scale=4))."
            )
        if not isinstance(A, Operator):
            object.__setattr__(self, "A", Function(A))
        if not bool(torch.isfinite(y).all()):
            bad = [i for i in range(len(y)) if not bool(torch.isfinite(y[i]).all())]
            raise ValueError(
                f"y is not finite (images {bad}). A measurement without NaN or infinite values is "
                "expected. Where nothing was observed, use hrdis.operators.Inpainting and put 0 "
                "there."
            )
        object.__setattr__(self, "sigma_y", _level(self.sigma_y))
        if self.A.lossless and self.sigma_y == 0:
            warnings.warn(
                f"{type(self.A).__name__} without noise leaves nothing to recover: y is the "
                "image. A noise level is expected: Problem(y, A, sigma_y=0.1), or measure(A, x, "
                "noise=hrdis.noise.Gaussian(0.05), seeds=...).",
                stacklevel=3,
            )
        self._check_shape()
        self._doubt_range()

    def _doubt_range(self) -> None:
        """Warn of a picture that seems to be in [0, 1] or 0..255, by what was observed: holes are 0
        in any range.
        """
        y, seen = self.y, self.A.observed
        if self.A.picture and not isinstance(self.A, Function):
            y = y if seen is None else y[seen.to(y.device).bool().expand_as(y)]
            if doubt := other_range(y, "y"):
                warnings.warn(doubt, stacklevel=4)

    def __repr__(self) -> str:
        y = f"y={tuple(self.y.shape)} {str(self.y.dtype).removeprefix('torch.')} on {self.y.device}"
        return f"Problem({y}, A={self.A}, sigma_y={float(self.sigma_y):g}, x={self.image_shape})"

    def _check_shape(self) -> None:
        shape = self._shape()
        if len(shape) != 4:
            raise ValueError(
                f"y has shape {tuple(self.y.shape)}, which no measurement of "
                f"{type(self.A).__name__} has: images are (b, c, h, w). Build both at once: "
                "problem = hrdis.measure(A, x, seeds=...)."
            )
        with torch.no_grad():
            made = self.A(self.y.new_zeros(shape))
        if not isinstance(made, Tensor):
            raise TypeError(
                f"A(x) is a {type(made).__name__}. A tensor is expected: let A return its "
                "measurement."
            )
        if made.is_complex():
            raise TypeError(
                f"A(x) is {made.dtype}. A floating tensor is expected. {real.of_operator(shape)}"
            )
        measured = made.shape
        if measured != self.y.shape:
            named = "Problem(y, hrdis.operators.Function(A, shape=(c, h, w)))"
            if isinstance(self.A, Theirs):
                named = "Problem(y, hrdis.operators.from_deepinv(physics, (c, h, w)))"
            elif not isinstance(self.A, Function):
                named = "def image_shape(self, y_shape): return (y_shape[0], c, h, w)"
            raise ValueError(
                f"y has shape {tuple(self.y.shape)}, but {type(self.A).__name__} gives "
                f"{tuple(measured)} for images of shape {shape}. Build both at once: problem = "
                f"hrdis.measure(A, x, seeds=...), or name the image's shape: {named}."
            )

    def _shape(self) -> Shape:
        """The shape of the images, () where y is no measurement of anything."""
        try:
            return self.A.image_shape(tuple(self.y.shape))
        except IndexError:
            return ()
        except ValueError as error:
            if "to unpack" in str(error):  # Python's own, of too few axes or too many
                return ()
            raise

    def rescaled(self) -> "Problem":
        """As solvers expect it: y in float32 at least; 2 y and 2 sigma_y where A is half of
        deepinv's.
        """
        y = wide(self.y)
        if isinstance(self.A, Theirs) and self.A.scale != 1:
            return Problem(y / self.A.scale, self.A.whole(), self.sigma_y / self.A.scale)
        return self if y is self.y else replace(self, y=y)

    @property
    def image_shape(self) -> Shape:
        """Shape (b, c, h, w) of the images to recover."""
        return self.A.image_shape(tuple(self.y.shape))


def _as_measurement(y: object, A: Any) -> str:
    """Say how what was given becomes a measurement of A."""
    numbers = getattr(getattr(y, "dtype", None), "kind", "") == "c"
    if not numbers and not (isinstance(y, Tensor) and y.is_complex()):
        return as_tensor(y, "y")
    given, name = (y, "y") if isinstance(y, Tensor) else (torch.as_tensor(y), "torch.from_numpy(y)")
    shape = _of_images(A, given)
    if real.gives_complex(A, shape):
        return real.of_operator(shape)
    fits = real.measured_by(A) if isinstance(A, Operator) else real.is_image
    return f"Complex numbers are given as two channels: {real.code(given, name, fits)}."


def _of_images(A: Any, y: Tensor) -> Shape:
    """The shape of images that A may take, by that of a complex y."""
    if isinstance(A, Operator):
        try:
            return A.image_shape(tuple(y.shape))
        except (IndexError, ValueError):
            return tuple(y.shape)
    return (len(y), *image_shape(y, A)) if is_physics(A) else tuple(y.shape)


def _level(sigma_y: object) -> float:
    """A noise level as one number: also from a tensor or an array of one entry.

    Raises:
        TypeError, ValueError: unless it is one number >= 0.
    """
    try:
        level = float(sigma_y.item() if hasattr(sigma_y, "item") else sigma_y)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        shape = tuple(getattr(sigma_y, "shape", ()))
        got = f"of shape {shape}" if shape else repr(sigma_y)
        raise TypeError(
            f"sigma_y is {got}. One number for all images is expected, a standard deviation >= 0 "
            "in units of y: Problem(y, A, sigma_y=0.1). For a level per image, make a problem of "
            "each."
        ) from None
    if not 0 <= level < math.inf:
        raise ValueError(
            f"sigma_y is {level}. A standard deviation >= 0 in units of y is expected."
        )
    return level
