"""Rows of run folders as one flat table, for a notebook."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .collect import collect


def rows(*folders: str | Path) -> Any:
    """Return the rows of run folders, with their scores, as a table.

    A column is a field of the row, or of what was run (``task``, ``solver``, ``image``, ``seed``,
    ...). A setting of the solver is called ``settings.NAME``. Rows that failed are there, with
    ``status`` and ``error``. A row without a field has None there, in pandas NaN for a number.

    Args:
        folders: run folders, of one plan or of several; a key that several have counts once.

    Returns:
        a ``pandas.DataFrame`` where pandas is installed, else a list of dicts; sorted by key.

    Raises:
        ValueError: for no folder, one that is no run folder, or rows that disagree.

    Example:
        >>> import hrdis.bench
        >>> found = hrdis.bench.rows("runs/paper")  # doctest: +SKIP
        >>> found.groupby(["task", "solver"]).psnr.mean()  # doctest: +SKIP
    """
    table = [_flat(row) for row in collect(folders).rows]
    if find_spec("pandas") is None:
        return table
    return import_module("pandas").DataFrame(table)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row in which what was run, and each setting of its solver, is a column."""
    cell = dict(row["cell"])
    settings = cell.pop("settings", {})
    flat = {"key": row["key"]} | cell
    for name, value in settings.items():
        flat[f"settings.{name}"] = value
    for name, value in row.items():
        if name != "cell":
            flat[name] = value
    return flat
