"""Checks, their report, and the random images on which an operator is tried."""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..operators.base import LinearOperator, Operator
from ..rng import ImageRNG

EXACT = 1e-5  # float32 rounding in a long sum; what is wrong is wrong by far more
SOLVED = 1e-3  # what conjugate gradient reaches on an ill-conditioned A


@dataclass(frozen=True)
class Check:
    """Result of one test of an operator or a prior.

    Args:
        name: what.
        passed: whether it is as it should be.
        measured: the number found, with the limit.
        meaning: what that is about, and what goes wrong without it.
        fix: what to do if it failed, as code.
    """

    name: str
    passed: bool
    measured: str
    meaning: str
    fix: str = ""


@dataclass(frozen=True)
class CheckReport:
    """Result of `check_operator` or `check_prior`; ``print(report)`` shows it.

    Args:
        operator: what was tried, its class, and what kind it is.
        checks: in the order they were made; the first to fail may explain the later ones.
        null_space: the share of a random image that y says nothing about, 0 to 1; None for a
            nonlinear A.
        solvers: of every name in ``hrdis.SOLVERS`` why it cannot use A, "" where it can.
        notes: what is no error but good to know.
    """

    operator: str
    checks: tuple[Check, ...]
    null_space: float | None = None
    solvers: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(check.name for check in self.checks if not check.passed)

    def __str__(self) -> str:
        lines = [self.operator, ""]
        for check in self.checks:
            verdict = "ok  " if check.passed else "FAIL"
            lines.append(f"{verdict}  {check.name:<15} {check.measured}")
            lines.append(f"      {check.meaning}")
            if not check.passed and check.fix:
                lines.append(f"      fix: {check.fix}")
        if self.null_space is not None:
            share = f"y says nothing about {self.null_space:.1%} of a random image"
            lines += ["", f"null space: {share}; the prior fills it."]
        if self.solvers:
            able, unable = [], []
            for name, reason in self.solvers.items():
                if reason:
                    unable.append(f"  not {name}: {reason}")
                else:
                    able.append(name)
            lines += ["", f"solvers that can use it: {', '.join(able) or 'none'}", *unable]
        if self.notes:
            lines.append("")
        for note in self.notes:
            lines.append(f"note: {note}")
        verdict = f"{len(self.failed)} of {len(self.checks)} failed."
        if self.passed:
            verdict = "All checks passed."
        return "\n".join([*lines, "", verdict])


class OperatorProbe:
    """An operator under test and the random images for it, in float64 where it can.

    Args:
        A: the operator.
        shape: (c, h, w), or (b, c, h, w) for an operator with parameters per image.
        seed: of the images.
    """

    def __init__(self, A: Operator, shape: tuple[int, ...], seed: int):
        self.A, self.given = A, A
        self.shape = shape if len(shape) == 4 else (2, *shape)
        self.rng = ImageRNG([seed + i for i in range(self.shape[0])], "check")
        self.dtype = torch.float32
        self.device = next((t.device for t in (*A.parameters(), *A.buffers())), torch.device("cpu"))
        self.notes: list[str] = []
        self.null_space: float | None = None

    def x(self) -> Tensor:
        """Draw random images within (-1, 1)."""
        return (0.5 * self.normal(self.shape)).tanh()

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Draw normal numbers; ``shape`` includes the image axis."""
        return self.rng.randn(shape[1:]).to(self.device, self.dtype)

    def use_float64(self) -> None:
        """Go on in float64 where A can, on a copy."""
        try:
            A = copy.deepcopy(self.A).double()
            with torch.no_grad():
                y = A(self.x().double())
                is_float64 = y.dtype == torch.float64
                if is_float64 and isinstance(A, LinearOperator):
                    A.adjoint(y)
        except Exception as error:
            # This is code of anybody, and may raise anything.
            reason = first_line(error)
            self.notes.append(
                f"A does not take float64 images ({reason}); float32 was used here. Exact tests "
                "need float64."
            )
            return
        if is_float64:
            self.A, self.dtype = A, torch.float64
        else:
            self.notes.append(
                "A gives float32 for float64 images; float32 was used here. Exact tests need "
                "float64."
            )


def relative_error(a: Tensor, b: Tensor) -> float:
    """Return ||a - b|| / ||b||; infinity for another shape.

    NaN equals NaN: another check looks for NaN.
    """
    if a.shape != b.shape:
        return float("inf")
    a, b = a.nan_to_num(), b.nan_to_num()
    return float((a - b).norm() / b.norm().clamp(min=1e-12))


def with_limit(off: float, limit: float = EXACT) -> str:
    return f"{off:.1e} (at most {limit:g})"


def is_finite(x: Tensor) -> bool:
    return bool(torch.isfinite(x).all())


def first_line(error: Exception) -> str:
    """Format an exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
