"""Hints in error messages: code that turns what was given into what is expected.

Code for complex numbers is tried on the values before it is advised.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# ---- ranges and types ---------------------------------------------------------------------------


def conversion_hint(value: object, name: str) -> str:
    """Suggest how to turn value into a float image tensor; "" if unknown.

    Args:
        value: given instead of a floating tensor (b, c, h, w) in [-1, 1].
        name: of the value in the caller's code, for the line that is suggested.
    """
    if isinstance(value, nn.Module):
        return "It looks as if the arguments were swapped: Problem(y, A)."
    if isinstance(value, list | tuple) and all(isinstance(v, Tensor) for v in value):
        return f"torch.stack({name}), or torch.cat where each has an axis of one image."
    if isinstance(value, Tensor) and value.is_complex():
        return f"Complex numbers are given as two channels: {complex_hint(value, name, is_image)}."
    if not isinstance(value, Tensor):
        if getattr(getattr(value, "dtype", None), "kind", "") == "c":
            return conversion_hint(torch.as_tensor(value), f"torch.from_numpy({name})")
        if hasattr(value, "__array__"):
            return f"torch.from_numpy({name}), the image axis first and in [-1, 1]."
        return ""
    if not value.is_floating_point():
        return f"For grey levels of 8 bits: {name} / 127.5 - 1."
    if value.ndim in (1, 3):
        return f"One image gets its axis with {name}[None]."
    return ""


def range_warning(x: Tensor, name: str) -> str:
    """Return a warning if x looks like [0, 1] or 0..255 instead of [-1, 1]; "" if it does not.

    Images in [0, 1] are recognised by values that reach from 0 to 1 and never below, and grey
    levels by whole numbers. A dim image in [0, 1] cannot be distinguished from one in [-1, 1].
    """
    low, high = (float(v) for v in x.detach().aminmax())
    if low >= 0 and 10 < high <= 255 and bool((x == x.round()).all()):
        return (
            f"{name} holds whole numbers up to {high:g}; pictures are expected in [-1, 1]: {name} "
            "/ 127.5 - 1."
        )
    if 0 <= low < 0.05 and 0.95 < high <= 1:
        return (
            f"{name} reaches from {low:.2g} to {high:.2g} and never below; pictures are expected "
            f"in [-1, 1]. For values in [0, 1]: 2 * {name} - 1."
        )
    return ""


def crop_or_pad(h: int, w: int, multiple: int) -> str:
    """Advise how an image of h x w pixels gets sides that are multiples of a number.

    Example:
        >>> crop_or_pad(70, 64, 32)
        'Crop it to 64 x 64 or pad it to 96 x 64.'
    """
    smaller, larger = [], []
    for side in (h, w):
        # An image smaller than one multiple cannot be cropped: one multiple is named for both.
        smaller.append(max(side // multiple, 1) * multiple)
        larger.append(max(-(-side // multiple), 1) * multiple)
    return f"Crop it to {smaller[0]} x {smaller[1]} or pad it to {larger[0]} x {larger[1]}."


# ---- complex numbers ----------------------------------------------------------------------------


def _parts(y: Tensor) -> Tensor:
    return torch.view_as_real(y).movedim(-1, 1)


def _parts_per_coil(y: Tensor) -> Tensor:
    return torch.view_as_real(y).movedim(-1, 2)


def _parts_of_only_channel(y: Tensor) -> Tensor:
    if y.ndim < 3 or y.shape[1] != 1:
        raise ValueError("several channels")
    return _parts(y[:, 0])


#: Code that makes a complex tensor of a given name real, and the function that does the same. The
#: parts become two channels, at the place that an operator expects.
FORMS: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    ("torch.view_as_real({}).movedim(-1, 1)", _parts),
    ("torch.view_as_real({}[None]).movedim(-1, 1)", lambda y: _parts(y[None])),
    ("torch.view_as_real({}[:, 0]).movedim(-1, 1)", _parts_of_only_channel),
    ("torch.view_as_real({}).movedim(-1, 2)", _parts_per_coil),
    ("torch.view_as_real({}[None]).movedim(-1, 2)", lambda y: _parts_per_coil(y[None])),
    ("torch.cat([{0}.real, {0}.imag], 1)", lambda y: torch.cat([y.real, y.imag], 1)),
)


def complex_hint(y: Tensor, name: str, fits: Callable[[Tensor], bool]) -> str:
    """Return the code of the first of `FORMS` whose result fits; of the first if none does."""
    for text, convert in FORMS:
        try:
            if fits(convert(y)):
                return text.format(name)
        except Exception:
            # Indexing and reshaping raise whatever the shape makes impossible: try the next form.
            continue
    return FORMS[0][0].format(name)


def is_image(x: Tensor) -> bool:
    """Return True if x has as many axes as images, (b, c, h, w)."""
    return x.ndim == 4


def measured_by(A: Any) -> Callable[[Tensor], bool]:
    """Return a test for tensors that have the shape of a measurement of the operator A."""

    def fits(y: Tensor) -> bool:
        shape = A.image_shape(tuple(y.shape))
        with torch.no_grad():
            return len(shape) == 4 and A(y.new_zeros(shape)).shape == y.shape

    return fits


def gives_complex(A: Any, shape: tuple[int, ...]) -> bool:
    """Return True if A makes complex numbers of real images; False if it refuses the shape."""
    # The method A of a deepinv Physics measures without its noise.
    call = getattr(A, "A", A)
    try:
        with torch.no_grad():
            return bool(call(torch.zeros(shape, device="cpu")).is_complex())
    except Exception:
        # A may want another shape or device; then nothing is known of its numbers.
        return False


def complex_operator_hint(shape: tuple[int, ...]) -> str:
    """Advise how an operator with complex measurements becomes real, for images (b, c, h, w)."""
    size = tuple(shape[1:]) if len(shape) == 4 else "(c, h, w)"
    return (
        "A gives complex numbers, which are given as two channels, by A and in y: A = "
        "hrdis.operators.Function(lambda x: torch.view_as_real(A_complex(x)).movedim(-1, 1), "
        f"shape={size}), y = torch.view_as_real(y).movedim(-1, 1)."
    )
