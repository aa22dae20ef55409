"""What a check of an operator is, what a report of them says, and the images they are tried on."""

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
    """One thing that was tried.

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
class Report:
    """What `check_operator` or `check_prior` found; ``print(report)`` shows it.

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
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(check.name for check in self.checks if not check.passed)

    def __str__(self) -> str:
        lines = [self.operator, ""]
        for check in self.checks:
            lines.append(f"{'ok  ' if check.passed else 'FAIL'}  {check.name:<15} {check.measured}")
            lines.append(f"      {check.meaning}")
            lines += [f"      fix: {check.fix}"] if not check.passed and check.fix else []
        if self.null_space is not None:
            lines += [
                "",
                f"null space: y says nothing about {self.null_space:.1%} of a random image; the "
                "prior fills it.",
            ]
        if self.solvers:
            lines += [
                "",
                "solvers that can use it: "
                + (", ".join(n for n, why in self.solvers.items() if not why) or "none"),
            ]
            lines += [f"  not {name}: {why}" for name, why in self.solvers.items() if why]
        lines += ["", *(f"note: {note}" for note in self.notes)] if self.notes else []
        count = len(self.failed)
        return "\n".join(
            [
                *lines,
                "",
                "All checks passed." if self.passed else f"{count} of {len(self.checks)} failed.",
            ]
        )


class Trial:
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
        """Random images within (-1, 1)."""
        return (0.5 * self.normal(self.shape)).tanh()

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Normal numbers, ``shape`` with its image axis."""
        return self.rng.randn(shape[1:]).to(self.device, self.dtype)

    def widen(self) -> None:
        """Go on in float64 where A can, on a copy."""
        try:
            A = copy.deepcopy(self.A).double()
            with torch.no_grad():
                y = A(self.x().double())
                wide = y.dtype == torch.float64
                if wide and isinstance(A, LinearOperator):
                    A.adjoint(y)
        except Exception as error:  # anybody's code
            self.notes.append(
                f"A does not take float64 images ({said(error)}); float32 was used here. Exact "
                "tests need float64."
            )
            return
        if wide:
            self.A, self.dtype = A, torch.float64
        else:
            self.notes.append(
                "A gives float32 for float64 images; float32 was used here. Exact tests need "
                "float64."
            )


def rel(a: Tensor, b: Tensor) -> float:
    """||a - b|| / ||b||, infinite for another shape; NaN equals NaN, for whether there is one is
    another check.
    """
    if a.shape != b.shape:
        return float("inf")
    a, b = a.nan_to_num(), b.nan_to_num()
    return float((a - b).norm() / b.norm().clamp(min=1e-12))


def limited(off: float, limit: float = EXACT) -> str:
    return f"{off:.1e} (at most {limit:g})"


def is_finite(x: Tensor) -> bool:
    return bool(torch.isfinite(x).all())


def said(error: Exception) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
