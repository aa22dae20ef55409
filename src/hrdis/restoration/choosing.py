"""The solver of a restoration: by name with the settings that fit, or the best measured."""

from dataclasses import replace

from torch import Tensor

from ..messages import unknown
from ..presets import EFFORTS, Choice, Presets, choose, choose_auto
from ..solvers import SOLVERS, Solver, find
from ..tasks import Task
from .options import check_level

AUTO = "auto"

#: Standard deviation of what rounding to whole grey levels of 255 changes, for images in [0, 1].
ROUNDING = 1 / 255 / 12**0.5

#: Whose settings suit an operator that nobody has tuned for.
FALLBACK = ("sr4",)


def chosen(
    task: Task | None, solver: str, noise: float, effort: str, samples: int, tuned: Presets | None
) -> Choice[Solver]:
    """Return the solver that a restoration asks for, with its settings, and say why.

    "auto" (or "") is `hrdis.presets.choose_auto`. Tasks whose operators a network or an unknown is
    part of, and operators of the user's own, were never compared. They get the task's own solver.
    A blurred picture without noise counts as a rounded one; see `rounding`.

    Args:
        task: what is wrong with the picture; None for an operator of the user's own.
        solver: a name of `hrdis.SOLVERS`, "auto" or "".
        noise: standard deviation for images in [0, 1].
        effort: "low", "normal" or "high"; for auto alone.
        samples: how many are wanted.
        tuned: what is known of the prior, if anything.

    Raises:
        ValueError: for an unknown solver or effort, an effort for a solver by name, or a bad noise.
    """
    check_level(noise)
    if effort not in EFFORTS:
        raise ValueError(f"--effort is {effort!r}. One of {', '.join(EFFORTS)} is expected.")
    families = task.presets if task else FALLBACK
    if solver in ("", AUTO):
        if task and not task.blind and not task.weights:
            if noise > 0 or not _is_blur(task):
                return choose_auto(families, noise, effort, samples, tuned)
            choice = choose_auto(families, ROUNDING, effort, samples, tuned)
            said = " As no noise is given, the picture counts as rounded to whole grey levels."
            return replace(choice, why=choice.why + said)
        name = task.solver if task else "hrdis"
        return choose(SOLVERS[name][0], families, noise, tuned=tuned)
    try:
        name = find(solver)
    except ValueError:
        raise ValueError(unknown("solver", solver, [AUTO, *SOLVERS])) from None
    if effort != "normal":
        raise ValueError(
            f"--effort {effort} is for the solver auto, and --solver is {solver}. Its number of "
            "network calls is a setting of its own: --steps 20"
        )
    return choose(SOLVERS[name][0], families, noise, tuned=tuned)


def rounding(task: Task, solver: Solver, y: Tensor) -> float:
    """Return the noise of a blurred picture that is said to have none, for images in [0, 1].

    It is that of its rounding, which undoing a blur multiplies. It is 0 for other tasks, for
    solvers that take no noise, and for numbers that are not rounded to grey levels.

    Args:
        task: what is wrong with the picture.
        solver: that restores it.
        y: the picture, (1, c, h, w) in [-1, 1].
    """
    if not _is_blur(task) or type(solver).noiseless:
        return 0.0
    levels = 255 * (y.double() + 1) / 2
    rounded = bool((levels - levels.round()).abs().max() < 1e-3)  # float32 is exact to 2e-5
    return ROUNDING if rounded else 0.0


def _is_blur(task: Task) -> bool:
    return "deblur" in task.presets and not task.weights
