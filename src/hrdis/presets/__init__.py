"""Settings that fit a measurement, those tuned for a prior, else a paper's, else the defaults.

A prior may have a ``presets.toml`` beside its weights, written by ``hrdis tune``. It holds the
searches that were made and one row per solver, family of measurements and noise level; `choose`
takes the row that fits. It may also say which solver was measured to be the best, by family, noise
and effort; `choose_auto` takes that one. A solver's file holds the settings of its paper, for
priors without one.
"""

from .auto import choose_auto as choose_auto
from .choice import Choice as Choice
from .choice import choose as choose
from .choice import interpolate as interpolate
from .file import FILE as FILE
from .file import FORMAT as FORMAT
from .file import check as check
from .file import embedded as embedded
from .file import read as read
from .file import write as write
from .rows import EFFORTS as EFFORTS
from .rows import KINDS as KINDS
from .rows import QUIET as QUIET
from .rows import Auto as Auto
from .rows import Presets as Presets
from .rows import Row as Row
