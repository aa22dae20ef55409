"""The solvers, by name, each with its presets.

``SOLVERS[name]`` is ``(class, presets)``; presets are keyed by task, or by task and prior
(``"sr4@default"``).
"""

from collections.abc import Sequence

from . import (
    blindhrdis,
    cm4ir,
    cmhrdis,
    cr,
    daps,
    ddnm,
    ddnmplus,
    ddrm,
    dds,
    diffpir,
    dps,
    drddim,
    fire,
    fps,
    gdp,
    hrdis,
    mmps,
    overrelaxed,
    pigdm,
    reddiff,
)
from .base import Solver as Solver
from .base import Step as Step
from .base import choose
from .blindhrdis import BlindHRDIS as BlindHRDIS
from .cm4ir import CM4IR as CM4IR
from .cmhrdis import CMHRDIS as CMHRDIS
from .cr import CR as CR
from .daps import DAPS as DAPS
from .ddnm import DDNM as DDNM
from .ddnmplus import DDNMPlus as DDNMPlus
from .ddrm import DDRM as DDRM
from .dds import DDS as DDS
from .diffpir import DiffPIR as DiffPIR
from .dps import DPS as DPS
from .drddim import DRDDIM as DRDDIM
from .fire import FIRE as FIRE
from .fps import FPS as FPS
from .gdp import GDP as GDP
from .hrdis import HRDIS as HRDIS
from .mmps import MMPS as MMPS
from .overrelaxed import OverRelaxed as OverRelaxed
from .pigdm import PiGDM as PiGDM
from .reddiff import REDDiff as REDDiff

SOLVERS: dict[str, tuple[type[Solver], dict[str, Solver]]] = {
    "hrdis": (HRDIS, hrdis.PRESETS),
    "reddiff": (REDDiff, reddiff.PRESETS),
    "cr": (CR, cr.PRESETS),
    "drddim": (DRDDIM, drddim.PRESETS),
    "cmhrdis": (CMHRDIS, cmhrdis.PRESETS),
    "blindhrdis": (BlindHRDIS, blindhrdis.PRESETS),
    "ddrm": (DDRM, ddrm.PRESETS),
    "dps": (DPS, dps.PRESETS),
    "pigdm": (PiGDM, pigdm.PRESETS),
    "ddnm": (DDNM, ddnm.PRESETS),
    "ddnmplus": (DDNMPlus, ddnmplus.PRESETS),
    "dds": (DDS, dds.PRESETS),
    "gdp": (GDP, gdp.PRESETS),
    "fps": (FPS, fps.PRESETS),
    "diffpir": (DiffPIR, diffpir.PRESETS),
    "mmps": (MMPS, mmps.PRESETS),
    "daps": (DAPS, daps.PRESETS),
    "overrelaxed": (OverRelaxed, overrelaxed.PRESETS),
    "fire": (FIRE, fire.PRESETS),
    "cm4ir": (CM4IR, cm4ir.PRESETS),
}


for _cls, _presets in SOLVERS.values():
    _cls.presets = _presets


def preset(
    solver: str, keys: Sequence[str], prior: str = "", noise: float = 0.0, kind: str = "gaussian"
) -> tuple[str | None, Solver]:
    """Choose a solver's settings: the most specific preset, else the class's defaults.

    Args:
        solver: a name of `SOLVERS`.
        keys: preset keys of the task, the most specific first (``Task.presets``).
        prior: its ``presets``; ``"sr4@default"`` goes before ``"sr4"`` for "default".
        noise: level for images in [0, 1]. Of the levels that a key has ("inpaint-noise01",
            "-noise02", "-noise05", "-noise10", or "inpaint" for none) the nearest one is taken, by
            the ratio of the levels.
        kind: of the noise; "inpaint-poisson" goes before all of these for "poisson", as
            "inpaint-speckle" for "speckle".

    Returns:
        the key chosen (None if there was none to choose) and the settings.
    """
    cls, presets = SOLVERS[solver]
    return choose(cls, presets, keys, prior, noise, kind)
