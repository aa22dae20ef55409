"""The solver "auto": the one that was measured to be the best for a measurement and an effort."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

from .choice import Choice, check_noise, choose
from .rows import EFFORTS, QUIET, Auto, Presets

if TYPE_CHECKING:
    from ..solvers.base import Solver

#: The level at which rows without noise stand when the nearest is looked for. It is below every
#: level of a picture's noise, so that a row for a file's rounding is nearer to a rounded picture.
FLOOR = 1e-4


def choose_auto(
    families: Sequence[str],
    noise: float = 0.0,
    effort: str = "normal",
    samples: int = 1,
    tuned: Presets | None = None,
    able: "Callable[[type[Solver]], bool]" = lambda cls: True,
) -> "Choice[Solver]":
    """Return the solver that was measured to be the best, with its settings, and say why.

    The first family that has rows counts, and of its levels of noise the nearest by ratio.
    Levels are not mixed, as their solvers may differ, but the settings of the chosen one fit the
    noise as those of `choose` do. Where nothing was compared, it is HRDIS with its preset.

    Args:
        families: of the operator, the most specific first (``Operator.families``).
        noise: standard deviation for images in [0, 1], Gaussian.
        effort: "low" (5 to 10 network calls), "normal" (about 20) or "high" (at most 100).
        samples: how many are wanted. Where the best picture is a mean, which has no other samples,
            more than one are drawn by the row's sampler.
        tuned: what is known of the prior (``Prior.presets``), if anything.
        able: tells the solvers that can run; others are passed over.

    Raises:
        ValueError: for an unknown effort, or a noise that is negative or not finite.

    Example:
        >>> import hrdis
        >>> type(choose_auto(["ct"], tuned=hrdis.load_prior("default").presets).settings).__name__
        'HRDIS'
    """
    from ..solvers import HRDIS, SOLVERS

    check_noise(noise)
    check_effort(effort)
    row = _best(tuned, families, noise, effort, able)
    if row is None or tuned is None:
        choice: Choice[Solver] = choose(HRDIS, families, noise, tuned=tuned)
        wanted = families[0] if families else "such measurements"
        why = f"HRDIS at any effort, as no solvers were compared for {wanted} with this prior: "
        return replace(choice, effort=effort, why=why + choice.why[0].lower() + choice.why[1:])

    cls = SOLVERS[row.solver][0]
    said = f"the best measured for {row.key} at {effort} effort"
    if effort == "high" and row.calls["high"] <= row.calls.get("normal", 0):
        said = f"the best measured for {row.key}, where more calls are not known to be better"
    if samples > 1 and row.sampler:
        sampler = SOLVERS[row.sampler][0]
        chosen = choose(sampler, families, noise, tuned=tuned)
        why = f"{_called(sampler)} draws the {samples} samples, as {said}, {_called(cls)}, "
        return replace(chosen, effort=effort, why=why + "has only one answer.")

    settings = row.made(choose(cls, families, noise, tuned=tuned).settings, effort, noise)
    calls = row.calls[effort]
    why = f"{_called(cls)} with {calls} network call{'s' if calls > 1 else ''}, {said}"
    if effort in row.lead:
        why += f": {row.lead[effort]:.1f} dB above HRDIS with its preset"
    return Choice(settings, "prior", f"{row.key}-{effort}@{tuned.prior}", why + ".", effort)


def check_effort(effort: str) -> None:
    """Raise unless an effort is one of `EFFORTS`."""
    if effort not in EFFORTS:
        raise ValueError(
            f"effort is {effort!r}. One of {', '.join(EFFORTS)} is expected: effort='normal'"
        )


def _called(cls: "type[Solver]") -> str:
    """Return what a solver is called: its class, if that is all capitals, or its word."""
    return cls.__name__ if cls.__name__.isupper() else cls.name


def _best(
    tuned: Presets | None,
    families: Sequence[str],
    noise: float,
    effort: str,
    able: "Callable[[type[Solver]], bool]",
) -> Auto | None:
    """Return the row of the first family that was compared, at the nearest noise."""
    from ..solvers import SOLVERS

    for family in families if tuned is not None else ():
        found: dict[float, Auto] = {}
        for row in tuned.autos if tuned is not None else ():
            cls = SOLVERS[row.solver][0]
            if row.family != family or effort not in row.calls or not able(cls):
                continue
            if noise > 0 and cls.noiseless:
                continue
            if _answers(row.noise, noise):
                found[abs(log(max(noise, FLOOR) / max(row.noise, FLOOR)))] = row
        if found:
            return found[min(found)]
        # Where a family was searched but not compared, nothing is known from a less specific one.
        if tuned is not None and any(row.family == family for row in tuned.rows):
            return None
    return None


def _answers(measured: float, noise: float) -> bool:
    """Return True if what was measured at one level of noise is an answer at another.

    What was measured with noise is none without, and the other way round, for solvers that are the
    best for exact numbers may fail on noisy ones. Between stand the levels up to 2 `QUIET`, such as
    the rounding of a file: rows without noise answer there, too.
    """
    if noise == 0:
        return measured == 0
    if noise <= 2 * QUIET:
        return measured <= 2 * QUIET
    return measured > 2 * QUIET
