"""Checks of operators and priors: what solvers rely on, measured, with what to fix."""

from typing import Any

from .. import _deprecated
from .base import Check as Check
from .base import CheckReport as CheckReport
from .operator import check_operator as check_operator
from .prior import check_prior as check_prior


def __getattr__(name: str) -> Any:
    if name == "Report":
        _deprecated.warn("hrdis.check.Report", "hrdis.check.CheckReport")
        return CheckReport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
