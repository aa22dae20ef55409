"""The table of solvers: one line each, in the order in which lists show them.

A line is all that a new solver needs beside its file. `hrdis.SOLVERS` names it after its file, with
the settings and the paper at the foot of that; ``hrdis`` and ``hrdis.solvers`` hand the class out.
They are written as imports, so that type checkers see them.
"""

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
