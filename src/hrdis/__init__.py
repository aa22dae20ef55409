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

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import images, interop, metrics, noise, operators, priors, rng, schedule
    from .check import check_operator
    from .driver import Result, iterate, solve
    from .fixing import Fixed, fix
    from .operators import Problem
    from .priors import Prior, load_prior
    from .restarts import Best, best_of
    from .schedule import Schedule
    from .simulate import measure
    from .solvers import (
        CMHRDIS,
        CR,
        DAPS,
        DDNM,
        DDRM,
        DDS,
        DPS,
        DRDDIM,
        FPS,
        GDP,
        HRDIS,
        MMPS,
        SOLVERS,
        BlindHRDIS,
        DDNMPlus,
        DiffPIR,
        PiGDM,
        REDDiff,
        Solver,
        Step,
    )
    from .tasks import TASKS

_HOME = {
    "images": "images", "metrics": "metrics", "noise": "noise", "operators": "operators",
    "priors": "priors",
    "rng": "rng", "schedule": "schedule", "solvers": "solvers", "tasks": "tasks",
    "uncertainty": "uncertainty",
    "Problem": "operators", "Prior": "priors", "load_prior": "priors", "Schedule": "schedule",
    "Result": "driver", "iterate": "driver", "measure": "simulate", "solve": "driver",
    "HRDIS": "solvers", "REDDiff": "solvers", "CR": "solvers", "DRDDIM": "solvers",
    "CMHRDIS": "solvers",
    "BlindHRDIS": "solvers", "DDRM": "solvers", "DPS": "solvers",
    "PiGDM": "solvers", "DDNM": "solvers", "DDNMPlus": "solvers", "DDS": "solvers",
    "GDP": "solvers",
    "FPS": "solvers", "DiffPIR": "solvers", "DAPS": "solvers", "MMPS": "solvers",
    "Best": "restarts", "best_of": "restarts", "check_operator": "check", "interop": "interop",
    "fix": "fixing", "Fixed": "fixing",
    "SOLVERS": "solvers", "Solver": "solvers", "Step": "solvers", "TASKS": "tasks",
}  # fmt: skip

__all__ = [name for name in _HOME if name not in ("solvers", "tasks")]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        import difflib

        near = difflib.get_close_matches(name, _HOME, n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"module 'hrdis' has no attribute {name!r}{hint}", name=name)
    module = import_module(f".{home}", __name__)
    value = module if name == home else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
