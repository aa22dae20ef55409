"""The solvers by name, each with the settings of its paper.

``SOLVERS[name]`` is ``(class, paper)``: the paper's settings are keyed by family of measurements
and level of noise (``"sr4"``, ``"inpaint-noise05"``). Settings tuned for a prior are that prior's:
`hrdis.presets`.
"""

import warnings
from collections.abc import Sequence

from .. import presets
from ..messages import unknown
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
    "hrdis": (HRDIS, hrdis.PAPER),
    "reddiff": (REDDiff, reddiff.PAPER),
    "cr": (CR, cr.PAPER),
    "drddim": (DRDDIM, drddim.PAPER),
    "cmhrdis": (CMHRDIS, cmhrdis.PAPER),
    "blindhrdis": (BlindHRDIS, blindhrdis.PAPER),
    "ddrm": (DDRM, ddrm.PAPER),
    "dps": (DPS, dps.PAPER),
    "pigdm": (PiGDM, pigdm.PAPER),
    "ddnm": (DDNM, ddnm.PAPER),
    "ddnmplus": (DDNMPlus, ddnmplus.PAPER),
    "dds": (DDS, dds.PAPER),
    "gdp": (GDP, gdp.PAPER),
    "fps": (FPS, fps.PAPER),
    "diffpir": (DiffPIR, diffpir.PAPER),
    "mmps": (MMPS, mmps.PAPER),
    "daps": (DAPS, daps.PAPER),
    "overrelaxed": (OverRelaxed, overrelaxed.PAPER),
    "fire": (FIRE, fire.PAPER),
    "cm4ir": (CM4IR, cm4ir.PAPER),
}


for _name, (_cls, _paper) in SOLVERS.items():
    _cls.name, _cls.paper = _name, _paper


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
