"""The file ``presets.toml``: read with every check, and written."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

from ..files import write_text
from ..messages import one_line
from .calibration import CALIBRATION_FILE, read_calibration
from .rows import EFFORTS, KINDS, Auto, Presets, Row
from .toml import Reader, name_in_toml, open_toml, to_toml

FILE = "presets.toml"
FORMAT = 1


def read(path: str | Path) -> Presets:
    """Read a ``presets.toml`` and check all of it, and the ``calibration.toml`` beside it, if any.

    Raises:
        ValueError: if the file is missing, is not TOML, or holds an unknown entry, solver or
            setting, a setting out of bounds, or two rows for the same measurement. Its one line
            names the file, the row and the setting.

    Example:
        >>> from importlib.resources import files
        >>> read(files("hrdis") / "weights" / "default" / "presets.toml").prior
        'default'
    """
    path = Path(path)
    top = open_toml(path, "hrdis tune")
    if top.take("format", int, f"{FORMAT}", -1) != FORMAT:
        top.refuse(f"format is {top.table.get('format')!r}; {FORMAT} is expected")
    prior = top.take("prior", str, "the name of a prior", None)
    searches = top.take("search", list, "a list of tables [[search]]", [])
    tables = top.take("preset", list, "a list of tables [[preset]]", [])
    autos = top.take("auto", list, "a list of tables [[auto]]", [])
    top.finish()
    for number, search in enumerate(searches, 1):
        if not isinstance(search, dict) or not isinstance(search.get("name"), str):
            top.refuse(f'search {number} has no name; name = "..." is expected')
    rows = []
    names = [search["name"] for search in searches]
    for number, table in enumerate(tables, 1):
        rows.append(_row(path, number, table, names))
    compared = []
    for number, table in enumerate(autos, 1):
        compared.append(_auto(path, number, table, names))
    presets = Presets(prior, tuple(rows), tuple(searches), tuple(compared))
    check(presets, path)
    beside = path.with_name(CALIBRATION_FILE)
    if path.name == FILE and beside.is_file():
        presets = replace(presets, calibration=read_calibration(beside))
    return presets


@cache
def embedded() -> Presets:
    """Return the rows of the prior inside the package, read once."""
    return read(str(resources.files("hrdis") / "weights" / "default" / FILE))


def _row(path: Path, number: int, table: Any, searches: Sequence[str]) -> Row:
    """Return one row of a file whose entries have the right types."""
    if not isinstance(table, dict):
        raise ValueError(f"{path}, row {number}: {table!r} is not a table [[preset]].")
    reader = Reader(path, f"row {number}", table)
    solver = reader.take("solver", str, "the name of a solver", None)
    family = reader.take("family", str, "a family of measurements, such as sr4,", None)
    reader.where = f"row {number} ({one_line(solver)}, {one_line(family)})"
    noise = float(reader.take("noise", (int, float), "a level for images in [0, 1]", 0.0))
    kind = reader.take("kind", str, f"one of {', '.join(KINDS)}", "gaussian")
    search = reader.take("search", str, "the name of a [[search]]", "")
    settings = reader.take("settings", dict, "a table", None)
    reader.finish()
    _check_row(reader, noise, search, searches)
    if kind not in KINDS:
        reader.refuse(f"kind is {kind!r}; one of {', '.join(KINDS)} is expected")
    return Row(solver, family, settings, noise, kind, search)


def _auto(path: Path, number: int, table: Any, searches: Sequence[str]) -> Auto:
    """Return one row about the solver auto whose entries have the right types."""
    if not isinstance(table, dict):
        raise ValueError(f"{path}, auto {number}: {table!r} is not a table [[auto]].")
    reader = Reader(path, f"auto {number}", table)
    family = reader.take("family", str, "a family of measurements, such as sr4,", None)
    solver = reader.take("solver", str, "the name of a solver", None)
    reader.where = f"auto {number} ({one_line(solver)}, {one_line(family)})"
    calls = reader.take("calls", dict, "a table of numbers of calls by effort", None)
    noise = float(reader.take("noise", (int, float), "a level for images in [0, 1]", 0.0))
    settings = reader.take("settings", dict, "a table", {})
    sampler = reader.take("sampler", str, "the name of a solver", "")
    lead = reader.take("lead", dict, "a table of dB by effort", {})
    search = reader.take("search", str, "the name of a [[search]]", "")
    reader.finish()
    _check_row(reader, noise, search, searches)
    for name, values in (("calls", calls), ("lead", lead)):
        for effort in values:
            if effort not in EFFORTS:
                reader.refuse(f"{name} has {effort!r}; one of {', '.join(EFFORTS)} is expected")
    return Auto(family, solver, calls, noise, settings, sampler, lead, search)


def _check_row(reader: Reader, noise: float, search: str, searches: Sequence[str]) -> None:
    """Refuse a noise that is no level, and a search that nobody made."""
    if not (isfinite(noise) and noise >= 0):
        reader.refuse(f"noise is {noise}; a level for images in [0, 1] is expected")
    if search and search not in searches:
        reader.refuse(f"search is {search!r}; one of {', '.join(searches) or 'none'} is expected")


def check(presets: Presets, path: str | Path = FILE) -> None:
    """Check rows against the solvers: their names, settings and bounds, and that none is there
    twice.

    Raises:
        ValueError: in one line that names the file, the row and the setting.
    """
    # Solvers know their presets, so this module must not need them to be imported.
    from ..solvers import SOLVERS

    known = ", ".join(SOLVERS)
    seen: set[tuple[str, str, str, float]] = set()
    for number, row in enumerate(presets.rows, 1):
        where = f"{path}, row {number} ({one_line(row.solver)}, {one_line(row.key)})"
        if row.solver not in SOLVERS:
            raise ValueError(f"{where}: no solver {row.solver!r}. One of {known} is expected.")
        try:
            SOLVERS[row.solver][0](**row.settings)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{where}: {error}") from None
        place = (row.solver, row.family, row.kind, row.noise)
        if place in seen:
            raise ValueError(f"{where}: a row before it has the same solver, family and noise.")
        seen.add(place)
    compared: set[tuple[str, float, str]] = set()
    for number, auto in enumerate(presets.autos, 1):
        where = f"{path}, auto {number} ({one_line(auto.solver)}, {one_line(auto.key)})"
        for name in (auto.solver, auto.sampler or auto.solver):
            if name not in SOLVERS:
                raise ValueError(f"{where}: no solver {name!r}. One of {known} is expected.")
        for effort in auto.calls:
            try:
                auto.made(SOLVERS[auto.solver][0](), effort, auto.noise)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{where}: {error}") from None
            if (auto.family, auto.noise, effort) in compared:
                raise ValueError(
                    f"{where}: a row before it has the same family, noise and effort {effort}."
                )
            compared.add((auto.family, auto.noise, effort))


def write(path: str | Path, presets: Presets) -> None:
    """Write a ``presets.toml`` that `read` takes, after the same checks; replace one that is there.

    Raises:
        ValueError: as `read`; and for a setting that is None, which TOML cannot say.
    """
    check(presets, path)
    lines = [
        "# Settings of solvers, searched for one prior on photographs it was trained on.",
        "# `hrdis tune` writes this file; `hrdis.presets.choose` says which row is taken when.",
        f"format = {FORMAT}",
        f"prior = {to_toml(presets.prior)}",
    ]
    for search in presets.searches:
        lines += ["", "[[search]]"]
        for name, value in search.items():
            lines.append(f"{name_in_toml(name)} = {to_toml(value)}")
    for row in presets.rows:
        lines += ["", "[[preset]]", f"solver = {to_toml(row.solver)}"]
        lines += [f"family = {to_toml(row.family)}", f"noise = {row.noise}"]
        if row.kind != "gaussian":
            lines.append(f"kind = {to_toml(row.kind)}")
        if row.search:
            lines.append(f"search = {to_toml(row.search)}")
        lines.append(f"settings = {to_toml(row.settings)}")
    for auto in presets.autos:
        lines += ["", "[[auto]]", f"family = {to_toml(auto.family)}", f"noise = {auto.noise}"]
        lines += [f"solver = {to_toml(auto.solver)}", f"calls = {to_toml(auto.calls)}"]
        for name in ("settings", "sampler", "lead", "search"):
            if getattr(auto, name):
                lines.append(f"{name} = {to_toml(getattr(auto, name))}")
    write_text(path, "\n".join(lines) + "\n")
