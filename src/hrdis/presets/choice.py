"""The settings of one solver that fit a measurement and a prior."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import exp, inf, log
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from .rows import QUIET, Presets, Row

if TYPE_CHECKING:
    from ..solvers.base import Solver

AnySolver = TypeVar("AnySolver", bound="Solver")

#: The levels in the names of the papers' rows; "" is without noise.
PAPER_LEVELS = {"": QUIET, "-noise01": 0.01, "-noise02": 0.02, "-noise05": 0.05, "-noise10": 0.1}


@dataclass(frozen=True)
class Choice(Generic[AnySolver]):
    """The settings that `choose` or `choose_auto` found, and where they come from.

    Args:
        settings: of the solver.
        source: "prior" if they were tuned for it, "paper", or "defaults" of the solver's class.
        row: the name of the row; two names with ".." between them if the settings were
            interpolated; "" for defaults.
        why: the reason in one sentence.
        effort: at which the solver "auto" was asked for; "" if the solver was given by name.
    """

    settings: AnySolver
    source: Literal["prior", "paper", "defaults"]
    row: str
    why: str
    effort: str = ""


def choose(
    solver: type[AnySolver],
    families: Sequence[str],
    noise: float = 0.0,
    kind: str = "gaussian",
    tuned: Presets | None = None,
) -> Choice[AnySolver]:
    """Return the settings of a solver that fit a measurement and a prior.

    The prior's own rows go first, then the paper's, then the defaults of the class; among the rows
    the first family that has any. Rows of the noise's own kind go before Gaussian ones. Between two
    levels of noise that were searched, settings are interpolated (`interpolate`) on the logarithm
    of the level; outside the levels the nearest counts. Rows searched with noise do not serve a
    measurement without. A paper's rows are never interpolated, because a table needs what is
    printed.

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
    check_noise(noise)
    if tuned is not None:
        for family in families:
            found = [row for row in tuned.rows if (row.solver, row.family) == (solver.name, family)]
            own = [row for row in found if row.kind == kind]
            if kind != "gaussian" and not (noise > 0 and own):
                own = [row for row in found if row.kind == "gaussian"]
            if noise == 0:
                # What was searched with noise distrusts y, which is exact here.
                own = [row for row in own if row.noise == 0]
            if own:
                rows = sorted(own, key=lambda row: row.noise)
                return _tuned(solver, tuned.prior, rows, noise)
    wanted = " or ".join(families)
    missing = "the prior has no settings of its own"
    if tuned is not None:
        missing = f"the prior {tuned.prior!r} has none of {solver.__name__} for {wanted}"
    suffixes = [""]  # endings of a paper's rows, the best first
    if noise > 0:
        nearest = sorted(PAPER_LEVELS, key=lambda suffix: abs(log(noise / PAPER_LEVELS[suffix])))
        suffixes = [f"-{kind}", *nearest]
    for family in families:
        for suffix in suffixes:
            if family + suffix in solver.paper:
                why = f"The paper's settings for {family + suffix}: {missing}."
                return Choice(solver.paper[family + suffix], "paper", family + suffix, why)  # type: ignore[arg-type]
    why = f"The defaults of {solver.__name__}: {missing}, and the paper has none for {wanted}."
    return Choice(solver(), "defaults", "", why)


def check_noise(noise: float) -> None:
    """Raise unless a noise is a standard deviation."""
    if not 0 <= noise < inf:
        raise ValueError(f"noise is {noise}. A standard deviation, 0 or more, is expected.")


def _tuned(
    solver: type[AnySolver], prior: str, rows: Sequence[Row], noise: float
) -> Choice[AnySolver]:
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


def interpolate(low: AnySolver, high: AnySolver, share: float) -> AnySolver:
    """Return settings between two of one class, from ``low`` at share 0 to ``high`` at share 1.

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
