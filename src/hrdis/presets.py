"""Settings that fit a measurement: those tuned for a prior, else a paper's, else the defaults.

A prior may have a ``presets.toml`` beside its weights, written by ``hrdis tune``. It holds the
searches that were made and one row per solver, family of measurements and noise level; `choose`
takes the row that fits. A solver's file holds the settings of its paper, for priors without one.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from math import exp, inf, isfinite, log
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from .files import write_text

if TYPE_CHECKING:
    from .solvers.base import Solver

S = TypeVar("S", bound="Solver")

FILE = "presets.toml"
FORMAT = 1
KINDS = ("gaussian", "poisson", "speckle")

#: The level that settings for a noiseless measurement stand for on the logarithmic scale: noise up
#: to one of 255 grey values does them no harm.
QUIET = 0.004

#: The levels in the names of the papers' rows; "" is without noise.
PAPER_LEVELS = {"": QUIET, "-noise01": 0.01, "-noise02": 0.02, "-noise05": 0.05, "-noise10": 0.1}


@dataclass(frozen=True)
class Row:
    """Settings of one solver that were searched for one family of measurements and one noise.

    Args:
        solver: a key of `hrdis.SOLVERS`.
        family: what is measured, e.g. "sr4"; an operator names its own in ``families``.
        settings: by name; those left out are the defaults of the solver's class.
        noise: standard deviation for images in [0, 1]; 0 is none.
        kind: of the noise.
        search: the name of the search that found them.
    """

    solver: str
    family: str
    settings: Mapping[str, Any]
    noise: float = 0.0
    kind: str = "gaussian"
    search: str = ""

    @property
    def key(self) -> str:
        """Family and noise in one word: "sr4", "sr4-noise05" (percent), "hdr-poisson"."""
        if self.kind != "gaussian":
            return f"{self.family}-{self.kind}"
        if self.noise == 0:
            return self.family
        percent = f"{100 * self.noise:g}"
        return f"{self.family}-noise{percent.zfill(2)}"


@dataclass(frozen=True)
class Presets:
    """The rows of a prior's ``presets.toml``.

    Args:
        prior: the name of the prior they were searched with; it stands behind the ``@`` of a row's
            name, e.g. "sr4-noise05@default".
        rows: one per solver, family, kind and level of noise.
        searches: what is known of each search: ``name``, and any of ``command``, ``date``,
            ``photographs``, ``weights``, ``score``, ``note``.
    """

    prior: str
    rows: tuple[Row, ...]
    searches: tuple[Mapping[str, Any], ...] = ()

    def of(self, solver: "type[Solver]") -> "dict[str, Solver]":
        """Return the settings of one solver by the names of their rows."""
        found = {}
        for row in self.rows:
            if row.solver == solver.name:
                found[f"{row.key}@{self.prior}"] = solver(**row.settings)
        return found


@dataclass(frozen=True)
class Choice(Generic[S]):
    """The settings that `choose` found, and where they come from.

    Args:
        settings: of the solver.
        source: "prior" if they were tuned for it, "paper", or "defaults" of the solver's class.
        row: the name of the row; two names with ".." between them if the settings were
            interpolated; "" for defaults.
        why: the reason in one sentence.
    """

    settings: S
    source: Literal["prior", "paper", "defaults"]
    row: str
    why: str


def choose(
    solver: type[S],
    families: Sequence[str],
    noise: float = 0.0,
    kind: str = "gaussian",
    tuned: Presets | None = None,
) -> Choice[S]:
    """Return the settings of a solver that fit a measurement and a prior.

    The prior's own rows go first, then the paper's, then the defaults of the class; among the rows
    the first family that has any. Rows of the noise's own kind go before Gaussian ones. Between two
    levels of noise that were searched, settings are interpolated (`interpolate`) on the logarithm
    of the level; outside the levels the nearest counts. Rows searched with noise do not serve a
    measurement without. A paper's rows are never interpolated: a table needs what is printed.

    Args:
        solver: a class of `hrdis.solvers`.
        families: of the operator, the most specific first (``Operator.families``).
        noise: standard deviation for images in [0, 1].
        kind: of the noise: "gaussian", "poisson" or "speckle".
        tuned: the rows of the prior (``Prior.presets``), if it has any.

    Raises:
        ValueError: for a negative noise, or one that is not finite.

    Example:
        >>> import hrdis
        >>> choose(hrdis.HRDIS, ["sr4"]).row
        'sr4'
        >>> choose(hrdis.HRDIS, ["sr4"], 0.05, tuned=hrdis.load_prior("default").presets).row
        'sr4-noise05@default'
    """
    if not 0 <= noise < inf:
        raise ValueError(f"noise is {noise}. A standard deviation, 0 or more, is expected.")
    if tuned is not None:
        for family in families:
            rows = _candidates(tuned.rows, solver.name, family, noise, kind)
            if rows:
                return _tuned(solver, tuned.prior, rows, noise)
    wanted = " or ".join(families)
    missing = "the prior has no settings of its own"
    if tuned is not None:
        missing = f"the prior {tuned.prior!r} has none of {solver.__name__} for {wanted}"
    for family in families:
        for suffix in _suffixes(noise, kind):
            if family + suffix in solver.paper:
                why = f"The paper's settings for {family + suffix}: {missing}."
                return Choice(solver.paper[family + suffix], "paper", family + suffix, why)  # type: ignore[arg-type]
    why = f"The defaults of {solver.__name__}: {missing}, and the paper has none for {wanted}."
    return Choice(solver(), "defaults", "", why)


def _suffixes(noise: float, kind: str) -> list[str]:
    """Return the endings of a paper's rows that may serve, the best first."""
    if noise == 0:
        return [""]
    nearest = sorted(PAPER_LEVELS, key=lambda suffix: abs(log(noise / PAPER_LEVELS[suffix])))
    return [f"-{kind}", *nearest]


def _candidates(
    rows: Iterable[Row], solver: str, family: str, noise: float, kind: str
) -> list[Row]:
    """Return the rows that may serve, by rising level of noise."""
    found = [row for row in rows if row.solver == solver and row.family == family]
    own = [row for row in found if row.kind == kind]
    if kind != "gaussian" and not (noise > 0 and own):
        own = [row for row in found if row.kind == "gaussian"]
    if noise == 0:
        # What was searched with noise distrusts y, which is exact here.
        own = [row for row in own if row.noise == 0]
    return sorted(own, key=lambda row: row.noise)


def _tuned(solver: type[S], prior: str, rows: Sequence[Row], noise: float) -> Choice[S]:
    """Choose among the rows of one solver and family, given by rising level of noise."""
    place = max(noise, QUIET)
    below, above = rows[0], rows[-1]
    for row in rows:
        level = max(row.noise, QUIET)
        if level <= place:
            below = row
        if level >= place:
            above = row
            break
    low, high = max(below.noise, QUIET), max(above.noise, QUIET)
    searched = f"Settings searched for the prior {prior!r}, {below.family}"
    if low < place < high:
        share = log(place / low) / log(high / low)
        settings = interpolate(solver(**below.settings), solver(**above.settings), share)
        why = f"{searched}, interpolated between noise {below.noise:g} and {above.noise:g}."
        return Choice(settings, "prior", f"{below.key}@{prior}..{above.key}@{prior}", why)
    row = below if low <= place else above
    why = f"{searched} with noise {row.noise:g}."
    if max(row.noise, QUIET) != place:
        why = f"{searched}, from the nearest level of noise searched, {row.noise:g}."
    return Choice(solver(**row.settings), "prior", f"{row.key}@{prior}", why)


def interpolate(low: S, high: S, share: float) -> S:
    """Return settings between two of one class: ``low`` at share 0, ``high`` at share 1.

    Positive numbers go geometrically, since weights and steps span orders of magnitude, other
    numbers linearly; integers are rounded. All else comes from the nearer side.
    """
    values: dict[str, Any] = {}
    for setting in fields(low):  # type: ignore[arg-type]
        a, b = getattr(low, setting.name), getattr(high, setting.name)
        if a == b or not (_is_number(a) and _is_number(b)):
            values[setting.name] = a if share < 0.5 else b
            continue
        if a > 0 and b > 0:
            value = exp((1 - share) * log(a) + share * log(b))
        else:
            value = (1 - share) * a + share * b
        whole = isinstance(a, int) and isinstance(b, int)
        values[setting.name] = round(value) if whole else value
    return type(low)(**values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass
class _Reader:
    """Takes the values of one table of a file, and names file and row where one is wrong."""

    path: Path
    where: str
    table: Mapping[str, Any]
    taken: set[str] = field(default_factory=set)

    def take(self, name: str, kind: type | tuple[type, ...], expected: str, default: Any) -> Any:
        """Return a value of the table; without a default (None) it has to be there."""
        self.taken.add(name)
        value = self.table.get(name, default)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.refuse(f"{name} is {value!r}; {expected} is expected")
        return value

    def finish(self) -> None:
        """Refuse names that nobody took."""
        for name in self.table:
            if name not in self.taken:
                known = ", ".join(sorted(self.taken))
                self.refuse(f"{name} is unknown; one of {known} is expected")

    def refuse(self, wrong: str) -> None:
        raise ValueError(f"{self.path}, {self.where}: {wrong}. `hrdis tune` writes such a file.")


def read(path: str | Path) -> Presets:
    """Read a ``presets.toml`` and check all of it.

    Raises:
        ValueError: if the file is missing, is not TOML, or holds an unknown entry, solver or
            setting, a setting out of bounds, or two rows for the same measurement; in one line that
            names the file, the row and the setting.

    Example:
        >>> from importlib.resources import files
        >>> read(files("hrdis") / "weights" / "default" / "presets.toml").prior
        'default'
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}. `hrdis tune` writes such a file.") from None
    top = _Reader(path, "top level", content)
    if top.take("format", int, f"{FORMAT}", -1) != FORMAT:
        top.refuse(f"format is {content.get('format')!r}; {FORMAT} is expected")
    prior = top.take("prior", str, "the name of a prior", None)
    searches = top.take("search", list, "a list of tables [[search]]", [])
    tables = top.take("preset", list, "a list of tables [[preset]]", [])
    top.finish()
    for number, search in enumerate(searches, 1):
        if not isinstance(search, dict) or not isinstance(search.get("name"), str):
            top.refuse(f'search {number} has no name; name = "..." is expected')
    rows = []
    names = [search["name"] for search in searches]
    for number, table in enumerate(tables, 1):
        rows.append(_row(path, number, table, names))
    presets = Presets(prior, tuple(rows), tuple(searches))
    check(presets, path)
    return presets


@cache
def embedded() -> Presets:
    """Return the rows of the prior inside the package, read once."""
    return read(str(resources.files("hrdis") / "weights" / "default" / FILE))


def _row(path: Path, number: int, table: Any, searches: Sequence[str]) -> Row:
    """Return one row of a file whose entries have the right types."""
    if not isinstance(table, dict):
        raise ValueError(f"{path}, row {number}: {table!r} is not a table [[preset]].")
    reader = _Reader(path, f"row {number}", table)
    solver = reader.take("solver", str, "the name of a solver", None)
    family = reader.take("family", str, "a family of measurements, such as sr4,", None)
    reader.where = f"row {number} ({solver}, {family})"
    noise = float(reader.take("noise", (int, float), "a level for images in [0, 1]", 0.0))
    kind = reader.take("kind", str, f"one of {', '.join(KINDS)}", "gaussian")
    search = reader.take("search", str, "the name of a [[search]]", "")
    settings = reader.take("settings", dict, "a table", None)
    reader.finish()
    if not (isfinite(noise) and noise >= 0):
        reader.refuse(f"noise is {noise}; a level for images in [0, 1] is expected")
    if kind not in KINDS:
        reader.refuse(f"kind is {kind!r}; one of {', '.join(KINDS)} is expected")
    if search and search not in searches:
        reader.refuse(f"search is {search!r}; one of {', '.join(searches) or 'none'} is expected")
    return Row(solver, family, settings, noise, kind, search)


def check(presets: Presets, path: str | Path = FILE) -> None:
    """Check rows against the solvers: their names, settings and bounds, and that none is there
    twice.

    Raises:
        ValueError: in one line that names the file, the row and the setting.
    """
    # Solvers know their presets, so this module must not need them to be imported.
    from .solvers import SOLVERS

    seen: set[tuple[str, str, str, float]] = set()
    for number, row in enumerate(presets.rows, 1):
        where = f"{path}, row {number} ({row.solver}, {row.key})"
        if row.solver not in SOLVERS:
            known = ", ".join(SOLVERS)
            raise ValueError(f"{where}: no solver {row.solver!r}. One of {known} is expected.")
        try:
            SOLVERS[row.solver][0](**row.settings)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{where}: {error}") from None
        place = (row.solver, row.family, row.kind, row.noise)
        if place in seen:
            raise ValueError(f"{where}: a row before it has the same solver, family and noise.")
        seen.add(place)


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
        f"prior = {_toml(presets.prior)}",
    ]
    for search in presets.searches:
        lines += ["", "[[search]]"]
        for name, value in search.items():
            lines.append(f"{name} = {_toml(value)}")
    for row in presets.rows:
        lines += ["", "[[preset]]", f"solver = {_toml(row.solver)}"]
        lines += [f"family = {_toml(row.family)}", f"noise = {row.noise}"]
        if row.kind != "gaussian":
            lines.append(f"kind = {_toml(row.kind)}")
        if row.search:
            lines.append(f"search = {_toml(row.search)}")
        lines.append(f"settings = {_toml(row.settings)}")
    write_text(path, "\n".join(lines) + "\n")


def _toml(value: Any) -> str:
    """Return a value in TOML: text, number, switch, or a table of them in one line."""
    if isinstance(value, Mapping):
        entries = [f"{name} = {_toml(entry)}" for name, entry in value.items()]
        return "{ " + ", ".join(entries) + " }" if entries else "{}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and isfinite(value):
        return repr(value)
    raise ValueError(f"{value!r} cannot be written to TOML. A text, number or switch is expected.")
