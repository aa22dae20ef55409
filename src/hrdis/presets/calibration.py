"""Calibration of samples: the width of intervals around their mean, found on photographs.

The samples of a solver are too narrow or too wide, each solver in its own way. So the interval is

    mean +- scale * (deviation + floor)

where the deviation is that of the samples at a pixel. Scale and floor were found on photographs, so
that a share of all colour values, 90 %, lies inside, with a margin for other photographs (docs/
measurements/uncertainty.md). They are data of a prior, kept in ``calibration.toml`` beside its
weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ..files import write_text
from .toml import Reader, open_toml, to_toml

CALIBRATION_FILE = "calibration.toml"
FORMAT = 1
#: How far beyond the levels of noise that were tried a calibration still serves, as a factor.
BEYOND = 1.1


@dataclass(frozen=True)
class Calibrated:
    """Scale and floor for one measurement, one noise and one solver.

    Args:
        families: measurements whose first family is one of these.
        solver: a key of `hrdis.SOLVERS`.
        scale: by the number of samples; a larger number of samples takes the last that it reaches.
        floor: added to the deviation, for images in [0, 1].
        noise: standard deviation for images in [0, 1].
        settings: of the solver, as they were.
    """

    families: tuple[str, ...]
    solver: str
    scale: Mapping[int, float]
    floor: float
    noise: float = 0.0
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Calibration:
    """Content of a ``calibration.toml``.

    Args:
        prior: name of the prior.
        weights: SHA-256 of its weights.
        level: share of the colour values that lie inside.
        command, date, photographs: how it was found.
        rows: one per families, noise and solver.
    """

    prior: str
    weights: str
    level: float
    command: str
    date: str
    photographs: str
    rows: tuple[Calibrated, ...]


@dataclass(frozen=True)
class Interval:
    """Half width of an interval around the mean, scale * (deviation + floor), on [0, 1].

    Args:
        level: share of the colour values of photographs that lie inside.
        scale, floor: of the formula.
    """

    level: float
    scale: float
    floor: float


def interval_for(
    calibration: Calibration, families: Sequence[str], noise: float, solver: str, samples: int
) -> Interval | None:
    """Return the interval of a restoration, or None if none is known for it.

    Between two levels of noise that were tried, scale and floor are interpolated linearly. Outside
    them nothing is known.

    Args:
        calibration: of the prior.
        families: of the measurement, the most specific first; the first alone counts.
        noise: standard deviation for images in [0, 1].
        solver: a key of `hrdis.SOLVERS`.
        samples: how many were drawn.

    Example:
        >>> row = Calibrated(("denoise",), "fire", {2: 4.0, 8: 2.0}, 0.01, noise=0.1)
        >>> known = Calibration("mine", "", 0.9, "", "", "", (row,))
        >>> interval_for(known, ["denoise"], 0.1, "fire", samples=10)
        Interval(level=0.9, scale=2.0, floor=0.01)
        >>> interval_for(known, ["denoise"], 0.3, "fire", samples=10)
    """
    rows = []
    for row in calibration.rows:
        if families and families[0] in row.families and row.solver == solver:
            rows.append(row)
    rows.sort(key=lambda row: row.noise)
    below = above = None
    for row in rows:
        if row.noise <= noise * BEYOND:
            below = row
        if row.noise * BEYOND >= noise and above is None:
            above = row
    if below is None or above is None:
        return None
    counts = [n for n in below.scale if n <= samples and n in above.scale]
    if not counts:
        return None
    share = 0.0
    if above.noise > below.noise:
        share = min(max((noise - below.noise) / (above.noise - below.noise), 0.0), 1.0)
    scale = (1 - share) * below.scale[max(counts)] + share * above.scale[max(counts)]
    return Interval(calibration.level, scale, (1 - share) * below.floor + share * above.floor)


def read_calibration(path: str | Path) -> Calibration:
    """Read a ``calibration.toml`` and check all of it.

    Raises:
        ValueError: if the file cannot be read, or holds an unknown entry or a wrong one. Its one
            line names the file and the entry.
    """
    path, writer = Path(path), "python studies/uncertainty.py calibrate"
    top = open_toml(path, writer)
    if top.take("format", int, f"{FORMAT}", -1) != FORMAT:
        top.refuse(f"format is {top.table.get('format')!r}; {FORMAT} is expected")
    words = []
    for name in ("prior", "weights", "command", "date", "photographs"):
        words.append(top.take(name, str, "a text", None))
    level = float(top.take("level", float, "a share", None))
    rows = []
    for number, content in enumerate(top.take("calibration", list, "a list of tables", []), 1):
        if not isinstance(content, dict):
            top.refuse(f"calibration {number} is {content!r}; a table [[calibration]] is expected")
        table = Reader(path, f"calibration {number}", content, writer)
        families = table.take("families", list, "a list of families", None)
        solver = table.take("solver", str, "the name of a solver", None)
        noise = float(table.take("noise", (int, float), "a level for images in [0, 1]", 0.0))
        floor = float(table.take("floor", (int, float), "a number", None))
        given = table.take("scale", dict, "a table of numbers by the number of samples", None)
        settings = table.take("settings", dict, "a table", {})
        table.finish()
        scale = {}
        for count, value in given.items():
            good = isinstance(value, int | float) and isfinite(value) and value > 0
            if not (good and count.isdecimal()):
                table.refuse(f"scale has {count} = {value!r}; numbers above 0 are expected")
            scale[int(count)] = float(value)
        if not (isfinite(floor) and floor >= 0 and isfinite(noise) and noise >= 0):
            table.refuse(f"floor is {floor} and noise {noise}; numbers from 0 on are expected")
        rows.append(Calibrated(tuple(families), solver, scale, floor, noise, settings))
    top.finish()
    if not 0 < level < 1:
        top.refuse(f"level is {level}; a share between 0 and 1 is expected")
    prior, weights, command, date, photographs = words
    return Calibration(prior, weights, level, command, date, photographs, tuple(rows))


def write_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write a ``calibration.toml`` that `read_calibration` takes; replace one that is there."""
    lines = [
        "# How wide intervals around the mean of samples must be, found on photographs.",
        f"# `{calibration.command}` writes this file.",
        f"format = {FORMAT}",
    ]
    for name in ("prior", "weights", "level", "command", "date", "photographs"):
        lines.append(f"{name} = {to_toml(getattr(calibration, name))}")
    for row in calibration.rows:
        scale = {str(count): value for count, value in row.scale.items()}
        settings = {name: v for name, v in (row.settings or {}).items() if v is not None}
        lines += [
            "", "[[calibration]]", f"families = {to_toml(list(row.families))}",
            f"solver = {to_toml(row.solver)}", f"noise = {to_toml(row.noise)}",
            f"scale = {to_toml(scale)}", f"floor = {to_toml(row.floor)}",
            f"settings = {to_toml(settings)}",
        ]  # fmt: skip
    write_text(Path(path), "\n".join(lines) + "\n")
