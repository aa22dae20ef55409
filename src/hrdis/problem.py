"""Inverse problems: `Problem`, and `measure`, which simulates one."""

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from . import _deprecated
from .messages import level_outside, shown
from .noise import Gaussian, Noise
from .operators import hints
from .operators.base import Function, Operator, Shape, as_operator, at_least_float32, find_adapter
from .rng import Replay, noise_source


@dataclass(frozen=True, init=False)
class Problem:
    """An inverse problem: a measurement, its operator and its noise level, y = A(x) + sigma_y z.

    Args:
        y: the measurement, the image axis first; never written to.
        A: an `Operator`, or any callable ``x -> y`` (then nonlinear: see `Function`), or a deepinv
            ``Physics``. With the last, y and sigma_y are given as deepinv has them, for images in
            [0, 1]. The problem then holds them for images in [-1, 1] (2 y - A 1 and 2 sigma for a
            linear one; those of a nonlinear one stay). Solutions are in [-1, 1].
        sigma_y: standard deviation of the noise, in units of y (twice that of a [0, 1] image); 0,
            the default, is noiseless. The default of a deepinv ``Physics`` is its
            ``noise_model.sigma``.

    Raises:
        TypeError: if y is no floating tensor or A cannot be called.
        ValueError: if y is not finite, sigma_y is negative, or y is no measurement of A.

    Warns:
        UserWarning: of a y that looks like an image in [0, 1] or 0..255, and of a noiseless
            problem whose y is the image itself.

    Cost:
        one call of A, on an image of zeros.
    """

    y: Tensor
    A: Operator
    sigma_y: float

    def __init__(
        self,
        y: Tensor,
        A: Operator | Callable[[Tensor], Tensor] | Any,
        sigma_y: float | None = None,
    ) -> None:
        _check_measurement(y, A)
        adapter = find_adapter(A)
        if adapter is not None:
            operator = adapter.convert(A, adapter.image_shape(A, y))
            if sigma_y is None:
                sigma_y = adapter.noise_level(A)
            y, sigma_y = adapter.measurement(operator, y, _checked_level(sigma_y))
        elif callable(A):
            operator = as_operator(A)
        else:
            raise TypeError(
                f"A is a {type(A).__name__}. A hrdis Operator or a callable x -> y is expected: "
                "Problem(y, hrdis.operators.SuperResolution(scale=4))."
            )
        if not bool(torch.isfinite(y).all()):
            bad = [i for i in range(len(y)) if not bool(torch.isfinite(y[i]).all())]
            raise ValueError(
                f"y is not finite (images {bad}). A measurement without NaN or infinite values is "
                "expected. Where nothing was observed, use hrdis.operators.Inpainting and put 0 "
                "there."
            )
        # The dataclass is frozen, so its own __init__ must go around __setattr__.
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "A", operator)
        object.__setattr__(self, "sigma_y", _checked_level(0.0 if sigma_y is None else sigma_y))
        if operator.lossless and self.sigma_y == 0:
            warnings.warn(
                f"{type(operator).__name__} without noise leaves nothing to recover: y is the "
                "image. A noise level is expected: Problem(y, A, sigma_y=0.1), or measure(A, x, "
                "noise=hrdis.noise.Gaussian(0.05), seeds=...).",
                stacklevel=level_outside(),
            )
        self._check_shape()
        if operator.picture and not isinstance(operator, Function):
            if operator.observed is not None:  # holes are 0 in any range
                y = y[operator.observed.to(y.device).bool().expand_as(y)]
            warning = hints.range_warning(y, "y")
            if warning:
                warnings.warn(warning, stacklevel=level_outside())

    def __repr__(self) -> str:
        y = f"y={tuple(self.y.shape)} {str(self.y.dtype).removeprefix('torch.')} on {self.y.device}"
        return f"Problem({y}, A={self.A}, sigma_y={float(self.sigma_y):g}, x={self.image_shape})"

    def _check_shape(self) -> None:
        """Raise unless A gives measurements of the shape of y."""
        shape: Shape = ()
        try:
            shape = self.A.image_shape(tuple(self.y.shape))
        except IndexError:
            pass  # y has the wrong number of axes
        except ValueError as error:
            # Python's own error where a shape of too few or too many axes is unpacked; any other
            # is the operator's message.
            if "to unpack" not in str(error):
                raise
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
        if made.shape == self.y.shape:
            return
        raise ValueError(
            f"y has shape {tuple(self.y.shape)}, but {type(self.A).__name__} gives "
            f"{tuple(made.shape)} for images of shape {shape}. Build both at once: problem = "
            f"hrdis.measure(A, x, seeds=...), or name the image's shape: {self.A.shape_hint}."
        )

    def at_least_float32(self) -> "Problem":
        """Return the problem with y in float32 at least, as solvers expect it."""
        y = at_least_float32(self.y)
        return self if y is self.y else replace(self, y=y)

    def rescaled(self) -> "Problem":
        """Call `at_least_float32`: deprecated."""
        _deprecated.warn("problem.rescaled()", "problem.at_least_float32()")
        return self.at_least_float32()

    @property
    def image_shape(self) -> Shape:
        """Shape (b, c, h, w) of the images to recover."""
        return self.A.image_shape(tuple(self.y.shape))


def measure(
    A: Operator | Callable[[Tensor], Tensor] | Any,
    x: Tensor,
    noise: Noise | None = None,
    *,
    seeds: Sequence[int] | None = None,
    rng: Replay | None = None,
) -> Problem:
    """Simulate y = A(x) + noise; no noise is added where nothing is observed.

    Args:
        A: an operator, any callable, or a deepinv ``Physics``, whose own noise level counts where
            ``noise`` is None.
        x: (b, c, h, w) in [-1, 1].
        noise: e.g. ``hrdis.noise.Gaussian(0.05)``; None is noiseless. Levels are for measurements
            of images in [-1, 1]; a nonlinear ``Physics``, which measures images in [0, 1], gets
            half of them.
        seeds: one per image; image i's noise depends on ``seeds[i]`` only. Needed where there is
            noise.
        rng: recorded draws instead of seeds.

    Returns:
        the `Problem` with y and sigma_y in units of y.

    Raises:
        TypeError, ValueError: if x cannot be measured by A, seeds do not match the batch, or the
            noise is defined for pictures and y is none.
    """
    _check_simulation(A, x, noise)
    adapter = find_adapter(A)
    if adapter is None:
        shape = tuple(getattr(x, "shape", ())[1:])
        operator = A if isinstance(A, Operator) else Function(A, shape=shape)
        operator.check(x)
    else:
        Function(A).check(x)  # the foreign object is converted for images that can be measured
        operator = adapter.convert(A, (x.shape[1], x.shape[2], x.shape[3]))
        if noise is None:
            sigma = adapter.noise_level(A)
            noise = Gaussian(sigma) if sigma > 0 else None
    if getattr(noise, "pictures_only", False) and not operator.picture:
        raise ValueError(
            f"{type(operator).__name__} measures no picture, but {type(noise).__name__} noise is "
            "defined for pictures in [-1, 1]. Use Gaussian(sigma), or, for y >= 0, Poisson(rate, "
            "scale=...)."
        )
    warning = ""
    if x.abs().max() > 1.5:
        warning = (
            f"x reaches {float(x.abs().max()):.3g}; images are expected in [-1, 1]. For values in "
            "[0, 1] or 0..255 use 2 * x - 1 or x / 127.5 - 1."
        )
    elif noise is not None:  # without noise `Problem` sees the same in y
        warning = hints.range_warning(x, "x")
    if warning:
        warnings.warn(warning, stacklevel=level_outside())
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        y = operator(x)
        if noise is None:
            return Problem(y.clone(), operator, 0.0)
        draws = noise_source(seeds, rng, len(x), "measure")
        if operator.unit_range and getattr(noise, "pictures_only", False):
            noisy, sigma_y = (noise.add(2 * y - 1, draws) + 1) / 2, noise.sigma_y / 2
        else:
            if operator.unit_range and isinstance(noise, Gaussian):
                noise = Gaussian(noise.sigma_y / 2, "[-1,1]")
            # Any other noise that takes all measurements states its level in units of y.
            noisy, sigma_y = noise.add(y, draws), noise.sigma_y
        if operator.observed is not None:
            noisy = torch.where(operator.observed.to(y.device).bool(), noisy, y)
        return Problem(noisy, operator, sigma_y)


# ---- what is refused ----------------------------------------------------------------------------


def _check_measurement(y: object, A: Any) -> None:
    """Raise unless y is a floating tensor of at least one measurement."""
    if isinstance(y, Tensor) and y.is_floating_point() and y.ndim >= 2 and len(y) > 0:
        return
    got, name = type(y).__name__, "torch.from_numpy(y)"
    given = None  # y as a tensor, if it is complex
    if isinstance(y, Tensor):
        got, name = f"{y.dtype} of shape {tuple(y.shape)}", "y"
        given = y if y.is_complex() else None
    elif getattr(getattr(y, "dtype", None), "kind", "") == "c":
        given = torch.as_tensor(y)
    if given is None:
        hint = hints.conversion_hint(y, "y")
    else:
        shape = tuple(given.shape)  # of the images that A may take
        adapter = find_adapter(A)
        if adapter is not None:
            shape = (len(given), *adapter.image_shape(A, given))
        elif isinstance(A, Operator):
            # Where y has the axes of no measurement its own shape is as good a guess as any.
            with suppress(IndexError, ValueError):
                shape = A.image_shape(shape)
        if hints.gives_complex(A, shape):
            hint = hints.complex_operator_hint(shape)
        else:
            fits = hints.measured_by(A) if isinstance(A, Operator) else hints.is_image
            code = hints.complex_hint(given, name, fits)
            hint = f"Complex numbers are given as two channels: {code}."
    raise TypeError(
        f"y is {got}. A floating tensor whose first axis is the image is expected. {hint}"
    )


def _checked_level(sigma_y: object) -> float:
    """Return a noise level as one number, also from a tensor or an array of one entry.

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


def _check_simulation(A: object, x: object, noise: object) -> None:
    """Raise unless A can be an operator and noise a noise model; the operator checks x.

    Raises:
        TypeError: for swapped arguments, a class instead of an operator, a number instead of a
            noise.
    """
    if isinstance(A, Tensor) and not isinstance(x, Tensor):
        raise TypeError(
            "The image was given in the place of A. hrdis.measure(A, x) is expected, in this order."
        )
    if isinstance(A, type) or not callable(A):
        made = "hrdis.operators.SuperResolution(scale=4)"
        if isinstance(A, type):
            made = f"{A.__name__}(...)"
        raise TypeError(
            f"A is {shown(A)}. An operator or a callable x -> y is expected: "
            f"hrdis.measure({made}, x)."
        )
    is_noise = hasattr(noise, "add") and hasattr(noise, "sigma_y") and not isinstance(noise, type)
    if noise is not None and not is_noise:
        level = noise if isinstance(noise, int | float) else 0.05
        raise TypeError(
            f"noise is {shown(noise)}. A noise with its level is expected: "
            f"noise=hrdis.noise.Gaussian({level})."
        )
