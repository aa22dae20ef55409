"""The solvers by name, each with the settings of its paper.

``SOLVERS[name]`` is ``(class, paper)``. The paper's settings are keyed by family of measurements
and level of noise (``"sr4"``, ``"inpaint-noise05"``). Settings tuned for a prior are that prior's:
`hrdis.presets`.
"""

import warnings
from collections.abc import Sequence
from importlib import import_module

from .. import presets
from ..messages import unknown
from .base import Solver as Solver
from .base import Step as Step

# The table of solvers, in the order in which lists show them. A line is all that a new one needs
# beside its file: its name, its paper's settings and its paper follow from that. The lines are
# imports, so that type checkers see the classes.
# ruff: isort: off
from .hrdis import HRDIS as HRDIS
from .reddiff import REDDiff as REDDiff
from .cr import CR as CR
from .drddim import DRDDIM as DRDDIM
from .cmhrdis import CMHRDIS as CMHRDIS
from .blindhrdis import BlindHRDIS as BlindHRDIS
from .ddrm import DDRM as DDRM
from .dps import DPS as DPS
from .pigdm import PiGDM as PiGDM
from .ddnm import DDNM as DDNM
from .ddnmplus import DDNMPlus as DDNMPlus
from .dds import DDS as DDS
from .gdp import GDP as GDP
from .fps import FPS as FPS
from .diffpir import DiffPIR as DiffPIR
from .mmps import MMPS as MMPS
from .daps import DAPS as DAPS
from .overrelaxed import OverRelaxed as OverRelaxed
from .fire import FIRE as FIRE
from .cm4ir import CM4IR as CM4IR
from .repaint import RePaint as RePaint
# ruff: isort: on

SOLVERS: dict[str, tuple[type[Solver], dict[str, Solver]]] = {}
for _cls in [*vars().values()]:
    if isinstance(_cls, type) and issubclass(_cls, Solver) and _cls is not Solver:
        _file = import_module(_cls.__module__)
        _cls.name = _cls.__module__.rpartition(".")[2]
        _cls.paper, _cls.source = _file.PAPER, _file.SOURCE
        SOLVERS[_cls.name] = (_cls, _file.PAPER)


#: Names by which papers call a solver and that differ from its key in more than case and signs.
PAPER_NAMES = {"hrdisblind": "blindhrdis", "fpssmc": "fps", "ddnm+": "ddnmplus", "πgdm": "pigdm"}


def find(name: str) -> str:
    """Return the key of `SOLVERS` that a name means, in the spelling of its paper too.

    Case, hyphens, underscores and spaces do not count: ``RED-diff`` is ``reddiff``.

    Raises:
        ValueError: for a name that nobody knows, with the valid ones and the closest of them.

    Example:
        >>> find("DDNM+"), find("HRDIS-Blind")
        ('ddnmplus', 'blindhrdis')
    """
    plain = name.lower()
    for sign in "-_ ":
        plain = plain.replace(sign, "")
    key = PAPER_NAMES.get(plain, plain)
    if key not in SOLVERS:
        raise ValueError(unknown("solver", name, SOLVERS))
    return key


def preset(
    solver: str, keys: Sequence[str], prior: str = "", noise: float = 0.0, kind: str = "gaussian"
) -> tuple[str | None, Solver]:
    """Return the row and the settings of `hrdis.presets.choose`: its name in hrdis 0.1.

    Args:
        solver: a name of `SOLVERS`.
        keys: families of measurements, the most specific first.
        prior: "default" for the rows of the embedded prior, "" for the paper's.
        noise: standard deviation for images in [0, 1].
        kind: of the noise.
    """
    warnings.warn(
        "hrdis.solvers.preset is going away. Call hrdis.presets.choose(hrdis.HRDIS, families, "
        "noise, tuned=prior.presets), or hrdis.HRDIS.preset(problem, prior).",
        DeprecationWarning,
        stacklevel=2,
    )
    tuned = presets.embedded() if prior == "default" else None
    choice = presets.choose(SOLVERS[solver][0], keys, noise, kind, tuned)
    return choice.row or None, choice.settings
