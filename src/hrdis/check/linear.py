"""What is expected of linear operators, and of those with a decomposition."""

import torch

from ..linalg import dot, norm
from ..operators.base import LinearOperator, SVDOperator
from .base import EXACT, Check, Trial, limited, rel

WRITTEN = 1e-3  # a pseudo-inverse of A's own
SOLVED = 1e-2  # conjugate gradient stops after 200 steps, early where A is ill-conditioned (a blur)


def linear(trial: Trial) -> Check:
    u, v = trial.normal(trial.shape), trial.normal(trial.shape)
    off = rel(trial.A(2 * u - 3 * v), 2 * trial.A(u) - 3 * trial.A(v))
    constant = float(trial.A(torch.zeros_like(u)).norm())
    fix = "hrdis.operators.Function(A, shape) for what is not linear"
    if constant > EXACT:
        fix = "A(0) is not 0: subtract it from A and from y, y - A(torch.zeros_like(x))"
    what = "A(2 u - 3 v) = 2 A(u) - 3 A(v): adjoint and pseudo-inverse mean nothing without it."
    return Check("linear", off <= EXACT, limited(off), what, fix)


def adjoint(trial: Trial) -> Check:
    assert isinstance(trial.A, LinearOperator)
    u = trial.normal(trial.shape)
    Au = trial.A(u)
    v = trial.normal(tuple(Au.shape))
    back = trial.A.adjoint(v)
    what = "<A u, v> = <u, A* v>: with another A*, least squares and the data term lead astray."
    fix = "let autograd do it: hrdis.operators.LinearFunction(A.forward, shape)"
    if back.shape != u.shape:
        return Check(
            "adjoint", False, f"gives {tuple(back.shape)} for images {tuple(u.shape)}", what, fix
        )
    off = float(((dot(Au, v) - dot(u, back)).abs() / (norm(Au) * norm(v)).clamp(min=1e-12)).max())
    return Check("adjoint", off <= EXACT, limited(off), what, fix)


def pseudo_inverse(trial: Trial) -> Check:
    """A A^+ A = A, and A^+ A symmetric: the Moore-Penrose inverse on what A gives. Also estimates
    the null space.
    """
    shares, off = [], 0.0
    for _ in range(3):
        u, v = trial.normal(trial.shape), trial.normal(trial.shape)
        Pu, Pv = trial.A.pinv(trial.A(u)), trial.A.pinv(trial.A(v))
        skew = (dot(Pu, v) - dot(u, Pv)).abs() / (norm(u) * norm(v))
        off = max(off, rel(trial.A(Pu), trial.A(u)), float(skew.max()))
        shares.append(float((1 - (norm(Pu) / norm(u)) ** 2).mean()))
    trial.null_space = min(max(sum(shares) / len(shares), 0.0), 1.0)
    what = "A A^+ A = A and A^+ A is a projection: DDNM, DDRM and PiGDM are built on it."
    own = type(trial.A).pinv is not LinearOperator.pinv
    limit = WRITTEN if own else SOLVED
    fix = "leave pinv out: LinearOperator then solves for it by conjugate gradient"
    if not own:
        fix = (
            "look at linear and adjoint; else A is ill-conditioned: write its pinv, or use HRDIS, "
            "which needs none"
        )
    return Check("pseudo inverse", off <= limit, limited(off, limit), what, fix)


def decomposition(trial: Trial) -> Check:
    A, x = trial.A, trial.normal(trial.shape)
    assert isinstance(A, SVDOperator)
    s, z = A.singulars(x), A.Vt(x)
    what = "A = U diag(s) V*, V V* x = x, s >= 0: the solvers that work in the spectrum need it."
    fix = (
        "make V* keep the null space too (one entry per pixel, s = 0 there), or derive from "
        "LinearOperator"
    )
    if s.is_complex() or bool((s < 0).any()):
        return Check(
            "decomposition",
            False,
            f"s from {s.real.min():.3g}",
            what,
            "give U the sign: s.abs(), U(s.sgn() * z)",
        )
    off = max(
        rel(A.V(z), x),
        rel(A.U(s * z), A(x)),
        rel(A.U(A.Ut(A(x))), A(x)),
        rel(A.V(s * A.Ut(A(x))), A.adjoint(A(x))),
    )
    return Check("decomposition", off <= EXACT, limited(off), what, fix)
