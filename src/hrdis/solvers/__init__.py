"""The solvers, by name, each with its presets.

``SOLVERS[name]`` is ``(class, presets)``; presets are keyed by task, or by task and prior ("sr4@default").
"""

from . import ddnm, hrdis
from .base import Solver as Solver
from .base import Step as Step
from .ddnm import DDNM as DDNM
from .hrdis import CR as CR
from .hrdis import HRDIS as HRDIS
from .hrdis import REDDiff as REDDiff

SOLVERS: dict[str, tuple[type[Solver], dict[str, Solver]]] = {
    "hrdis": (HRDIS, hrdis.PRESETS),
    "reddiff": (REDDiff, hrdis.REDDIFF_PRESETS),
    "cr": (CR, hrdis.CR_PRESETS),
    "ddnm": (DDNM, ddnm.PRESETS),
}
