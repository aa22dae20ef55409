"""Is an operator what it claims to be? Measured on random images, in plain words, with what to do
about it.
"""

from collections.abc import Callable
from typing import Any

import torch

from ..operators.base import Function, LinearOperator, Operator, SVDOperator
from ..operators.deepinv import from_deepinv, is_physics
from ..solvers import SOLVERS, Solver
from . import general, linear
from .base import EXACT, Trial, rel, said
from .base import Check as Check
from .base import Report as Report
from .prior import check_prior as check_prior

GENERAL = (
    general.dtype_kept, general.finite, general.repeats, general.input_kept, general.images_apart,
    general.image_size, general.gradient,
)  # fmt: skip


def check_operator(A: Any, shape: tuple[int, ...] = (3, 32, 32), seed: int = 0) -> Report:
    """Try an operator on random images: what solvers rely on, measured, with what to fix.

    Args:
        A: an `Operator`, any callable, or a deepinv ``Physics``.
        shape: (c, h, w) of the images to try; (b, c, h, w) for an operator with parameters per
            image.
        seed: of the random images.

    Returns:
        the `Report`: ``report.passed``, ``report.checks``, and ``print(report)`` for people.

    Raises:
        TypeError: if A cannot be called.
        ValueError: for a shape that is none.

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
    c, h, w = shape[-3:]
    if is_physics(A):
        A = from_deepinv(A, (c, h, w))
    if not callable(A):
        raise TypeError(
            f"A is a {type(A).__name__}. A hrdis Operator or a callable x -> y is expected: "
            "check_operator(hrdis.operators.SuperResolution(scale=4))."
        )
    A = A if isinstance(A, Operator) else Function(A, shape=(c, h, w))
    return _report(Trial(A, shape, seed))


def _report(trial: Trial) -> Report:
    A = trial.given
    kind = next(k.__name__ for k in (SVDOperator, LinearOperator, Operator) if isinstance(A, k))
    checks = [general.runs(trial)]
    if checks[0].passed:
        trial.widen()
        wanted: list[Callable[[Trial], Check]] = [*GENERAL]
        if isinstance(A, LinearOperator):
            wanted += [linear.linear, linear.adjoint, linear.pseudo_inverse]
        else:
            wanted += [general.start]
        wanted += [linear.decomposition] if isinstance(A, SVDOperator) else []
        checks += [_attempt(check, trial) for check in wanted]
    finite = any(check.name == general.finite.__name__ and check.passed for check in checks)
    if finite and not isinstance(A, LinearOperator):
        _look_for_lines(trial)
    size = " x ".join(map(str, trial.shape[1:]))
    return Report(
        f"{_name(A)}: {'a' if kind[0] == 'L' else 'an'} {kind}, tried on images of {size}",
        tuple(checks),
        trial.null_space,
        {name: _why_not(A, cls) for name, (cls, _) in SOLVERS.items()},
        tuple(trial.notes),
    )


def _attempt(check: Callable[[Trial], Check], trial: Trial) -> Check:
    try:
        with torch.no_grad():
            return check(trial)
    except Exception as error:  # anybody's code: whatever it raises is the finding
        name = check.__name__.replace("_", " ")
        return Check(
            name, False, said(error), "This could not be tried: A raised.", "see the message"
        )


def _look_for_lines(trial: Trial) -> None:
    """Note that a nonlinear operator is linear after all."""
    try:
        with torch.no_grad():
            u, v = trial.x(), trial.x()
            zero = trial.A(torch.zeros_like(u))
            bent = rel(
                trial.A(0.5 * u - 0.4 * v) - zero,
                0.5 * (trial.A(u) - zero) - 0.4 * (trial.A(v) - zero),
            )
    except Exception:  # what A refuses has been said already
        return
    if bent > EXACT:
        return
    if float(zero.abs().max()) <= EXACT:
        trial.notes.append(
            "A is linear, which it does not say. More solvers can use it as "
            f"hrdis.operators.LinearFunction(A, shape={trial.shape[1:]})."
        )
    else:
        trial.notes.append(
            "A is linear but for a constant. More solvers can use "
            "hrdis.operators.LinearFunction(lambda x: A(x) - A(torch.zeros_like(x)), "
            f"shape={trial.shape[1:]}), with A(0) subtracted from y too."
        )


def _name(A: Operator) -> str:
    inner = getattr(A, "physics", None) or getattr(A, "function", None)
    if inner is None:
        return type(A).__name__
    return f"{type(A).__name__} of {getattr(inner, '__name__', type(inner).__name__)}"


def _why_not(A: Operator, cls: type[Solver]) -> str:
    kind = cls.requires.__name__
    return (
        ""
        if isinstance(A, cls.requires)
        else f"needs {'an' if kind.startswith('S') else 'a'} {kind}"
    )
