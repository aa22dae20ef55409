"""What is to be solved: a measurement and its operator, which may be any callable."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .messages import shown
from .noise import Gaussian, Noise
from .operators import hints
from .operators.base import Function, Operator, Shape, at_least_float32
from .operators.deepinv import Theirs, adopt, from_deepinv, image_shape, is_physics, noise_level
from .rng import Replay, noise_source


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
            if doubt := hints.range_warning(y, "y"):
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
                f"A(x) is {made.dtype}. A floating tensor is expected. "
                f"{hints.complex_operator_hint(shape)}"
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
        y = at_least_float32(self.y)
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
        return hints.conversion_hint(y, "y")
    given, name = (y, "y") if isinstance(y, Tensor) else (torch.as_tensor(y), "torch.from_numpy(y)")
    shape = _of_images(A, given)
    if hints.gives_complex(A, shape):
        return hints.complex_operator_hint(shape)
    fits = hints.measured_by(A) if isinstance(A, Operator) else hints.is_image
    return f"Complex numbers are given as two channels: {hints.complex_hint(given, name, fits)}."


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


def measure(
    A: Operator | Callable[[Tensor], Tensor],
    x: Tensor,
    noise: Noise | None = None,
    *,
    seeds: Sequence[int] | None = None,
    rng: Replay | None = None,
) -> Problem:
    """Simulate y = A(x) + noise; no noise is put where nothing is observed.

    Args:
        A: an operator, any callable, or a deepinv ``Physics``, whose own noise level counts where
            ``noise`` is None.
        x: (b, c, h, w) in [-1, 1].
        noise: e.g. ``hrdis.noise.Gaussian(0.05)``; None is noiseless. Levels are for measurements
            of images in [-1, 1]: half of them on a linear ``Physics``, whose problem holds half of
            A.
        seeds: one per image; image i's noise depends on ``seeds[i]`` only. Needed where there is
            noise.
        rng: recorded draws instead of seeds.

    Returns:
        the `Problem` with y and sigma_y in units of y.

    Raises:
        TypeError, ValueError: if x cannot be measured by A, seeds do not match the batch, or the
            noise is defined for pictures and y is none.
    """
    _check_measured(A, x, noise)
    operator = (
        A if isinstance(A, Operator) else Function(A, shape=tuple(getattr(x, "shape", ())[1:]))
    )
    operator.check(x)
    if is_physics(A):
        operator = from_deepinv(A, (x.shape[1], x.shape[2], x.shape[3]))
        if noise is None and (sigma := noise_level(A)) > 0:
            noise = Gaussian(sigma / _scale(operator), "[-1,1]")
    if getattr(noise, "pictures_only", False) and not operator.picture:
        raise ValueError(
            f"{type(operator).__name__} measures no picture, but {type(noise).__name__} noise is "
            "defined for pictures in [-1, 1]. Use Gaussian(sigma), or, for y >= 0, Poisson(rate, "
            "scale=...)."
        )
    if x.abs().max() > 1.5:
        warnings.warn(
            f"x reaches {float(x.abs().max()):.3g}; images are expected in [-1, 1]. For values in "
            "[0, 1] or 0..255 use 2 * x - 1 or x / 127.5 - 1.",
            stacklevel=2,
        )
    elif noise is not None and (
        doubt := hints.range_warning(x, "x")
    ):  # without noise `Problem` sees it in y
        warnings.warn(doubt, stacklevel=2)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        y = operator(x)
        if noise is None:
            return Problem(y.clone(), operator, 0.0)
        scale = _scale(operator)
        noisy = scale * noise.add(y / scale, noise_source(seeds, rng, len(x), "measure"))
        if operator.observed is not None:
            noisy = torch.where(operator.observed.to(y.device).bool(), noisy, y)
        return Problem(noisy, operator, scale * noise.sigma_y)


def _scale(A: Operator) -> float:
    """What A's measurements are multiplied with, beside those of an operator of ours: 1/2 on
    deepinv's linear ones.
    """
    return A.scale if isinstance(A, Theirs) else 1.0


def _check_measured(A: object, x: object, noise: object) -> None:
    """Raise unless A can be an operator and noise a noise; x is left to the operator.

    Raises:
        TypeError: for swapped arguments, a class instead of an operator, a number instead of a
            noise.
    """
    if isinstance(A, Tensor) and not isinstance(x, Tensor):
        raise TypeError(
            "The image was given in the place of A. hrdis.measure(A, x) is expected, in this order."
        )
    if isinstance(A, type) or not callable(A):
        made = (
            f"{A.__name__}(...)"
            if isinstance(A, type)
            else "hrdis.operators.SuperResolution(scale=4)"
        )
        raise TypeError(
            f"A is {shown(A)}. An operator or a callable x -> y is expected: "
            f"hrdis.measure({made}, x)."
        )
    if noise is not None and (
        isinstance(noise, type) or not (hasattr(noise, "add") and hasattr(noise, "sigma_y"))
    ):
        level = noise if isinstance(noise, int | float) else 0.05
        raise TypeError(
            f"noise is {shown(noise)}. A noise with its level is expected: "
            f"noise=hrdis.noise.Gaussian({level})."
        )
