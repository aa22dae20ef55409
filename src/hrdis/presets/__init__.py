"""Settings that fit a measurement, those tuned for a prior, else a paper's, else the defaults.

A prior may have a ``presets.toml`` beside its weights, written by ``hrdis tune``. It holds the
searches that were made and one row per solver, family of measurements and noise level; `choose`
takes the row that fits. It may also say which solver was measured to be the best, by family, noise
and effort; `choose_auto` takes that one. A ``calibration.toml`` beside it says how far the truth
lies from the mean of samples, for `interval_for`. A solver's file holds the settings of its paper,
for priors without one.
"""

from .auto import choose_auto as choose_auto
from .calibration import CALIBRATION_FILE as CALIBRATION_FILE
from .calibration import Calibrated as Calibrated
from .calibration import Calibration as Calibration
from .calibration import Interval as Interval
from .calibration import interval_for as interval_for
from .calibration import read_calibration as read_calibration
from .calibration import write_calibration as write_calibration
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
