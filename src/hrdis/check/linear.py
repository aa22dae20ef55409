"""Checks of linear operators, and of those with a decomposition."""

import torch

from ..linalg import dot, norm
from ..operators.base import LinearOperator, SVDOperator
from .base import EXACT, Check, OperatorProbe, relative_error, with_limit

WRITTEN = 1e-3  # a pseudo-inverse of A's own
SOLVED = 1e-2  # conjugate gradient stops after 200 steps, early where A is ill-conditioned (a blur)


def linear(probe: OperatorProbe) -> Check:
    u, v = probe.normal(probe.shape), probe.normal(probe.shape)
    off = relative_error(probe.A(2 * u - 3 * v), 2 * probe.A(u) - 3 * probe.A(v))
    constant = float(probe.A(torch.zeros_like(u)).norm())
    fix = "hrdis.operators.Function(A, shape) for what is not linear"
    if constant > EXACT:
        fix = "A(0) is not 0: subtract it from A and from y, y - A(torch.zeros_like(x))"
    what = "A(2 u - 3 v) = 2 A(u) - 3 A(v): adjoint and pseudo-inverse mean nothing without it."
    return Check("linear", off <= EXACT, with_limit(off), what, fix)


def adjoint(probe: OperatorProbe) -> Check:
    assert isinstance(probe.A, LinearOperator)
    u = probe.normal(probe.shape)
    Au = probe.A(u)
    v = probe.normal(tuple(Au.shape))
    back = probe.A.adjoint(v)
    what = "<A u, v> = <u, A* v>: with another A*, least squares and the data term lead astray."
    fix = "let autograd do it: hrdis.operators.LinearFunction(A.forward, shape)"
    if back.shape != u.shape:
        return Check(
            "adjoint", False, f"gives {tuple(back.shape)} for images {tuple(u.shape)}", what, fix
        )
    off = float(((dot(Au, v) - dot(u, back)).abs() / (norm(Au) * norm(v)).clamp(min=1e-12)).max())
    return Check("adjoint", off <= EXACT, with_limit(off), what, fix)


def pseudo_inverse(probe: OperatorProbe) -> Check:
    """Check that A A^+ A = A and that A^+ A is symmetric, and estimate the null space.

    Both hold for the Moore-Penrose inverse, on what A gives.
    """
    shares, off = [], 0.0
    for _ in range(3):
        u, v = probe.normal(probe.shape), probe.normal(probe.shape)
        Pu, Pv = probe.A.pinv(probe.A(u)), probe.A.pinv(probe.A(v))
        skew = (dot(Pu, v) - dot(u, Pv)).abs() / (norm(u) * norm(v))
        off = max(off, relative_error(probe.A(Pu), probe.A(u)), float(skew.max()))
        shares.append(float((1 - (norm(Pu) / norm(u)) ** 2).mean()))
    probe.null_space = min(max(sum(shares) / len(shares), 0.0), 1.0)
    what = "A A^+ A = A and A^+ A is a projection: DDNM, DDRM and PiGDM are built on it."
    own = type(probe.A).pinv is not LinearOperator.pinv
    limit = WRITTEN if own else SOLVED
    fix = "leave pinv out: LinearOperator then solves for it by conjugate gradient"
    if not own:
        fix = (
            "look at linear and adjoint; else A is ill-conditioned: write its pinv, or use HRDIS, "
            "which needs none"
        )
    return Check("pseudo inverse", off <= limit, with_limit(off, limit), what, fix)


def decomposition(probe: OperatorProbe) -> Check:
    A, x = probe.A, probe.normal(probe.shape)
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
        relative_error(A.V(z), x),
        relative_error(A.U(s * z), A(x)),
        relative_error(A.U(A.Ut(A(x))), A(x)),
        relative_error(A.V(s * A.Ut(A(x))), A.adjoint(A(x))),
    )
    return Check("decomposition", off <= EXACT, with_limit(off), what, fix)
