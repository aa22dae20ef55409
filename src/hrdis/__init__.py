"""hrdis: recover an image from an incomplete or noisy measurement, with a diffusion model as the
prior.

    import hrdis
    prior   = hrdis.load_prior("default")
    A       = hrdis.operators.SuperResolution(scale=4)
    problem = hrdis.measure(A, x, noise=hrdis.noise.Gaussian(0.05), seeds=[0])
    result  = hrdis.solve("hrdis", prior, problem, seeds=[0])      # or hrdis.HRDIS(steps=100)

Names are imported on first use, so that ``hrdis --help`` does not pay for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    # "as" tells type checkers that a name is public.
    from . import checkpoints as checkpoints
    from . import images as images
    from . import interop as interop
    from . import metrics as metrics
    from . import noise as noise
    from . import operators as operators
    from . import presets as presets
    from . import priors as priors
    from . import rng as rng
    from . import schedule as schedule
    from . import uncertainty as uncertainty
    from .check import check_operator as check_operator
    from .checkpoints import load_prior as load_prior
    from .driver import Result as Result
    from .driver import Run as Run
    from .driver import iterate as iterate
    from .driver import solve as solve
    from .fixing import Fixed as Fixed
    from .fixing import fix as fix
    from .priors import Prior as Prior
    from .problem import Problem as Problem
    from .problem import measure as measure
    from .restarts import Best as Best
    from .restarts import best_of as best_of
    from .restoration import Restoration as Restoration
    from .restoration import restore as restore
    from .schedule import Schedule as Schedule
    from .solvers import *  # noqa: F403
    from .tasks import TASKS as TASKS

_HOME = {
    "images": "images", "metrics": "metrics", "noise": "noise", "operators": "operators",
    "presets": "presets", "priors": "priors", "checkpoints": "checkpoints",
    "rng": "rng", "schedule": "schedule", "solvers": "solvers", "tasks": "tasks",
    "uncertainty": "uncertainty",
    "Problem": "problem", "Prior": "priors", "load_prior": "checkpoints", "Schedule": "schedule",
    "Result": "driver", "Run": "driver", "iterate": "driver", "solve": "driver",
    "measure": "problem",
    "Restoration": "restoration", "restore": "restoration",
    "Best": "restarts", "best_of": "restarts", "check_operator": "check", "interop": "interop",
    "fix": "fixing", "Fixed": "fixing",
    "SOLVERS": "solvers", "Solver": "solvers", "Step": "solvers", "TASKS": "tasks",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name == "__all__":
        # The modules `solvers` and `tasks` resolve, but SOLVERS and TASKS are what people need.
        return sorted({*_HOME, *_solvers()} - {"solvers", "tasks"})
    home = _HOME.get(name)
    # Only the names of classes are looked for among the solvers, whose import loads torch.
    if home is None and name[0].isupper() and name in _solvers():
        home = "solvers"
    if home is None:
        import difflib

        known = [*_HOME, *_solvers()] if name[0].isupper() else _HOME
        near = difflib.get_close_matches(name, known, n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"module 'hrdis' has no attribute {name!r}{hint}", name=name)
    module = import_module(f".{home}", __name__)
    value = module if name == home else getattr(module, name)
    globals()[name] = value
    return value


def _solvers() -> list[str]:
    """Return the names of the classes in the table of solvers."""
    solvers = import_module(".solvers", __name__).SOLVERS
    return [cls.__name__ for cls, _ in solvers.values()]


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_solvers()})
