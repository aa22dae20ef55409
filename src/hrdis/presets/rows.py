"""The rows of a prior's ``presets.toml``, as they are in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..solvers.base import Solver
    from .calibration import Calibration

KINDS = ("gaussian", "poisson", "speckle")
EFFORTS = ("low", "normal", "high")

#: The level that settings for a noiseless measurement stand for on the logarithmic scale: noise up
#: to one of 255 grey values does them no harm.
QUIET = 0.004


def key_of(family: str, noise: float) -> str:
    """Return family and noise in one word: "sr4", "sr4-noise05" (percent)."""
    if noise == 0:
        return family
    percent = f"{100 * noise:g}"
    return f"{family}-noise{percent.zfill(2)}"


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
        return key_of(self.family, self.noise)


@dataclass(frozen=True)
class Auto:
    """The solver that was measured to be the best for one family of measurements and one noise.

    Args:
        family: what is measured.
        solver: a key of `hrdis.SOLVERS`.
        calls: the number of network calls by effort; the row is for these efforts alone.
        noise: standard deviation for images in [0, 1], Gaussian; 0 is none.
        settings: what differs from the settings that `choose` finds for the solver; the text
            "noise" stands for the level of the noise.
        sampler: the solver that draws, by its own preset, where several samples are wanted; "" if
            the row's own solver does.
        lead: dB of a single picture over HRDIS with its own preset, by effort, where it was
            measured.
        search: the name of the search that found it.
    """

    family: str
    solver: str
    calls: Mapping[str, int]
    noise: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    sampler: str = ""
    lead: Mapping[str, float] = field(default_factory=dict)
    search: str = ""

    @property
    def key(self) -> str:
        """Family and noise in one word, as `Row.key`."""
        return key_of(self.family, self.noise)

    def made(self, base: "Solver", effort: str, noise: float) -> "Solver":
        """Return a preset with the changes of the row, at an effort it is for."""
        changes: dict[str, Any] = {"steps": self.calls[effort]}
        for name, value in self.settings.items():
            changes[name] = noise if value == "noise" else value
        return replace(base, **changes)  # type: ignore[type-var]


@dataclass(frozen=True)
class Presets:
    """The rows of a prior's ``presets.toml``.

    Args:
        prior: the name of the prior they were searched with; it stands behind the ``@`` of a row's
            name, e.g. "sr4-noise05@default".
        rows: one per solver, family, kind and level of noise.
        searches: what is known of each search: ``name``, and any of ``command``, ``date``,
            ``photographs``, ``weights``, ``score``, ``note``.
        autos: one per family, noise and effort, of those that were compared.
        calibration: of samples, if it is known.
    """

    prior: str
    rows: tuple[Row, ...]
    searches: tuple[Mapping[str, Any], ...] = ()
    autos: tuple[Auto, ...] = ()
    calibration: "Calibration | None" = None

    def of(self, solver: "type[Solver]") -> "dict[str, Solver]":
        """Return the settings of one solver by the names of their rows."""
        found = {}
        for row in self.rows:
            if row.solver == solver.name:
                found[f"{row.key}@{self.prior}"] = solver(**row.settings)
        return found
