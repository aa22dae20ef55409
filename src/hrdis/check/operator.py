"""The check of an operator: tried on random images, with what to do about each failure."""

from typing import Any

import torch

from ..operators.base import LinearOperator, SVDOperator, as_operator, find_adapter
from ..solvers import SOLVERS
from . import general, linear
from .base import EXACT, Check, CheckReport, OperatorProbe, first_line, relative_error

#: Checks of every operator, in the order in which a failure explains the later ones.
GENERAL = (
    general.dtype_kept, general.finite, general.repeats, general.input_kept, general.images_apart,
    general.image_size, general.gradient,
)  # fmt: skip


def check_operator(A: Any, shape: tuple[int, ...] = (3, 32, 32), seed: int = 0) -> CheckReport:
    """Try an operator on random images, to measure what solvers rely on and say what to fix.

    Args:
        A: an `Operator`, any callable, or a deepinv ``Physics``.
        shape: (c, h, w) of the images to try; (b, c, h, w) for an operator with parameters per
            image.
        seed: of the random images.

    Returns:
        the `CheckReport`: ``report.passed``, ``report.checks``, and ``print(report)`` for people.

    Raises:
        TypeError: if A cannot be called.
        ValueError: for an invalid shape.

    Cost:
        some forty calls of A, and six pseudo-inverses.

    Example:
        >>> from hrdis.operators import SuperResolution
        >>> report = check_operator(SuperResolution(2), shape=(1, 8, 8))
        >>> report.passed, round(report.null_space, 1)
        (True, 0.8)
    """
    if len(shape) not in (3, 4) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(
            f"shape is {tuple(shape)}. The shape (c, h, w) of an image, or (b, c, h, w), is "
            "expected: check_operator(A, shape=(3, 64, 64))."
        )
    if find_adapter(A) is None and not callable(A):
        raise TypeError(
            f"A is a {type(A).__name__}. A hrdis Operator or a callable x -> y is expected: "
            "check_operator(hrdis.operators.SuperResolution(scale=4))."
        )
    c, h, w = shape[-3:]
    probe = OperatorProbe(as_operator(A, (c, h, w)), shape, seed)
    A = probe.given
    kind, asked = "an Operator", [*GENERAL, general.start]
    if isinstance(A, LinearOperator):
        kind = "a LinearOperator"
        asked = [*GENERAL, linear.linear, linear.adjoint, linear.pseudo_inverse]
    if isinstance(A, SVDOperator):
        kind = "an SVDOperator"
        asked.append(linear.decomposition)
    checks = [general.runs(probe)]
    if checks[0].passed:
        probe.use_float64()
        for check in asked:
            name = check.__name__.replace("_", " ")
            try:
                with torch.no_grad():
                    checks.append(check(probe))
            except Exception as error:
                # This is code of anybody: whatever it raises is what the check has found.
                found, meaning = first_line(error), "This could not be tried: A raised."
                checks.append(Check(name, False, found, meaning, "see the message"))
    finite = any(check.name == general.finite.__name__ and check.passed for check in checks)
    if finite and not isinstance(A, LinearOperator):
        _note_linearity(probe)
    solvers = {}
    for name, (cls, _) in SOLVERS.items():
        needed = cls.requires.__name__
        article = "an" if needed.startswith("S") else "a"
        solvers[name] = "" if isinstance(A, cls.requires) else f"needs {article} {needed}"
    title = type(A).__name__
    inner = getattr(A, "physics", None) or getattr(A, "function", None)
    if inner is not None:
        title = f"{title} of {getattr(inner, '__name__', type(inner).__name__)}"
    size = " x ".join(map(str, probe.shape[1:]))
    title = f"{title}: {kind}, tried on images of {size}"
    return CheckReport(title, tuple(checks), probe.null_space, solvers, tuple(probe.notes))


def _note_linearity(probe: OperatorProbe) -> None:
    """Note that a nonlinear operator is linear after all."""
    try:
        with torch.no_grad():
            u, v = probe.x(), probe.x()
            zero = probe.A(torch.zeros_like(u))
            bent = relative_error(
                probe.A(0.5 * u - 0.4 * v) - zero,
                0.5 * (probe.A(u) - zero) - 0.4 * (probe.A(v) - zero),
            )
    except Exception:
        return  # what A refuses is in the report already
    if bent > EXACT:
        return
    if float(zero.abs().max()) <= EXACT:
        probe.notes.append(
            "A is linear, which it does not say. More solvers can use it as "
            f"hrdis.operators.LinearFunction(A, shape={probe.shape[1:]})."
        )
    else:
        probe.notes.append(
            "A is linear but for a constant. More solvers can use "
            "hrdis.operators.LinearFunction(lambda x: A(x) - A(torch.zeros_like(x)), "
            f"shape={probe.shape[1:]}), with A(0) subtracted from y too."
        )
