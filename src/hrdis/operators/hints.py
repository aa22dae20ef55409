"""Complex measurements and images as real ones: the line of code that makes them so, tried before
it is advised.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

#: Code that makes a complex tensor real, for a name, and what it does: as two channels, at the
#: place an operator wants.
FORMS: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    ("torch.view_as_real({}).movedim(-1, 1)", lambda y: _parts(y)),
    ("torch.view_as_real({}[None]).movedim(-1, 1)", lambda y: _parts(y[None])),
    ("torch.view_as_real({}[:, 0]).movedim(-1, 1)", lambda y: _parts(_only(y))),
    ("torch.view_as_real({}).movedim(-1, 2)", lambda y: torch.view_as_real(y).movedim(-1, 2)),
    (
        "torch.view_as_real({}[None]).movedim(-1, 2)",
        lambda y: torch.view_as_real(y[None]).movedim(-1, 2),
    ),
    ("torch.cat([{0}.real, {0}.imag], 1)", lambda y: torch.cat([y.real, y.imag], 1)),
)


def _parts(y: Tensor) -> Tensor:
    return torch.view_as_real(y).movedim(-1, 1)


def _only(y: Tensor) -> Tensor:
    """Return the one channel there is."""
    if y.ndim < 3 or y.shape[1] != 1:
        raise ValueError("several channels")
    return y[:, 0]


def complex_hint(y: Tensor, name: str, fits: Callable[[Tensor], bool]) -> str:
    """Return the first of `FORMS` whose result fits, else the first."""
    for text, make in FORMS:
        try:
            if fits(make(y)):
                return text.format(name)
        except Exception:  # whatever the shape makes impossible: the next form
            continue
    return FORMS[0][0].format(name)


def is_image(x: Tensor) -> bool:
    """Return True for the shape of an image of a real and an imaginary part."""
    return x.ndim == 4


def measured_by(A: Any) -> Callable[[Tensor], bool]:
    """Return a test of whether a tensor has the shape of a measurement of A, an operator of
    ours.
    """

    def fits(y: Tensor) -> bool:
        shape = A.image_shape(tuple(y.shape))
        with torch.no_grad():
            return len(shape) == 4 and A(y.new_zeros(shape)).shape == y.shape

    return fits


def gives_complex(A: Any, shape: tuple[int, ...]) -> bool:
    """Return True if A makes complex numbers of real images."""
    call = getattr(A, "A", A)  # of deepinv's operators, without its noise
    try:
        with torch.no_grad():
            return bool(call(torch.zeros(shape, device="cpu")).is_complex())
    except Exception:  # it wants another shape or device
        return False


def complex_operator_hint(shape: tuple[int, ...]) -> str:
    """Say how an operator that gives complex numbers is made to give real ones, for images of a
    shape (b, c, h, w).
    """
    size = tuple(shape[1:]) if len(shape) == 4 else "(c, h, w)"
    return (
        "A gives complex numbers, which are given as two channels, by A and in y: A = "
        "hrdis.operators.Function(lambda x: torch.view_as_real(A_complex(x)).movedim(-1, 1), "
        f"shape={size}), y = torch.view_as_real(y).movedim(-1, 1)."
    )


def conversion_hint(value: object, name: str) -> str:
    """How what was given instead of a floating tensor (b, c, h, w) in [-1, 1] becomes one; "" where
    nobody knows.
    """
    if isinstance(value, nn.Module):
        return "It looks as if the arguments were swapped: Problem(y, A)."
    if isinstance(value, list | tuple) and all(isinstance(v, Tensor) for v in value):
        return f"torch.stack({name}), or torch.cat where each has an axis of one image."
    if isinstance(value, Tensor) and value.is_complex():
        return f"Complex numbers are given as two channels: {complex_hint(value, name, is_image)}."
    if not isinstance(value, Tensor) and getattr(getattr(value, "dtype", None), "kind", "") == "c":
        return conversion_hint(torch.as_tensor(value), f"torch.from_numpy({name})")
    if not isinstance(value, Tensor):
        return (
            f"torch.from_numpy({name}), the image axis first and in [-1, 1]."
            if hasattr(value, "__array__")
            else ""
        )
    if not value.is_floating_point() and not value.is_complex():
        return f"For grey levels of 8 bits: {name} / 127.5 - 1."
    return f"One image gets its axis with {name}[None]." if value.ndim in (1, 3) else ""


def range_warning(x: Tensor, name: str) -> str:
    """A doubt whether pictures x are in [-1, 1], or "": all of [0, 1] and nothing below, or whole
    grey levels.
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
