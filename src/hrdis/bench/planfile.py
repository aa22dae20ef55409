"""Deprecated: the names of `hrdis.bench.planfile` lie in `hrdis.bench.plan` since hrdis 0.2."""

import warnings
from importlib import import_module
from typing import Any

#: Old names to new ones.
MOVED = {"read": "read_plan", "PlanFile": "PlanFile"}


def __getattr__(name: str) -> Any:
    """Return a moved name, with a warning that shows its new place."""
    if name not in MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"hrdis.bench.planfile.{name} moves: from hrdis.bench.plan import {MOVED[name]}",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(import_module("hrdis.bench.plan"), MOVED[name])
