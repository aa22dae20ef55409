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
    from . import (
        checkpoints,
        images,
        interop,
        metrics,
        noise,
        operators,
        presets,
        priors,
        rng,
        schedule,
        uncertainty,
    )
    from .check import check_operator
    from .checkpoints import load_prior
    from .driver import Result, Run, iterate, solve
    from .fixing import Fixed, fix
    from .priors import Prior
    from .problem import Problem, measure
    from .restarts import Best, best_of
    from .restoration import Restoration, restore
    from .schedule import Schedule
    from .solvers import (
        CM4IR,
        CMHRDIS,
        CR,
        DAPS,
        DDNM,
        DDRM,
        DDS,
        DPS,
        DRDDIM,
        FIRE,
        FPS,
        GDP,
        HRDIS,
        MMPS,
        SOLVERS,
        BlindHRDIS,
        DDNMPlus,
        DiffPIR,
        OverRelaxed,
        PiGDM,
        REDDiff,
        Solver,
        Step,
    )
    from .tasks import TASKS

_HOME = {
    "images": "images", "metrics": "metrics", "noise": "noise", "operators": "operators",
    "presets": "presets", "priors": "priors", "checkpoints": "checkpoints",
    "rng": "rng", "schedule": "schedule", "solvers": "solvers", "tasks": "tasks",
    "uncertainty": "uncertainty",
    "Problem": "problem", "Prior": "priors", "load_prior": "checkpoints", "Schedule": "schedule",
    "Result": "driver", "Run": "driver", "iterate": "driver", "solve": "driver",
    "measure": "problem",
    "HRDIS": "solvers", "REDDiff": "solvers", "CR": "solvers", "DRDDIM": "solvers",
    "CMHRDIS": "solvers",
    "BlindHRDIS": "solvers", "DDRM": "solvers", "DPS": "solvers",
    "PiGDM": "solvers", "DDNM": "solvers", "DDNMPlus": "solvers", "DDS": "solvers",
    "GDP": "solvers",
    "FPS": "solvers", "DiffPIR": "solvers", "DAPS": "solvers", "MMPS": "solvers",
    "OverRelaxed": "solvers", "FIRE": "solvers", "CM4IR": "solvers",
    "Restoration": "restoration", "restore": "restoration",
    "Best": "restarts", "best_of": "restarts", "check_operator": "check", "interop": "interop",
    "fix": "fixing", "Fixed": "fixing",
    "SOLVERS": "solvers", "Solver": "solvers", "Step": "solvers", "TASKS": "tasks",
}  # fmt: skip

#: Written out, so that type checkers see it.
__all__ = [
    "CM4IR",
    "CMHRDIS",
    "CR",
    "DAPS",
    "DDNM",
    "DDRM",
    "DDS",
    "DPS",
    "DRDDIM",
    "FIRE",
    "FPS",
    "GDP",
    "HRDIS",
    "MMPS",
    "SOLVERS",
    "TASKS",
    "Best",
    "BlindHRDIS",
    "DDNMPlus",
    "DiffPIR",
    "Fixed",
    "OverRelaxed",
    "PiGDM",
    "Prior",
    "Problem",
    "REDDiff",
    "Restoration",
    "Result",
    "Run",
    "Schedule",
    "Solver",
    "Step",
    "best_of",
    "check_operator",
    "checkpoints",
    "fix",
    "images",
    "interop",
    "iterate",
    "load_prior",
    "measure",
    "metrics",
    "noise",
    "operators",
    "presets",
    "priors",
    "restore",
    "rng",
    "schedule",
    "solve",
    "uncertainty",
]


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
