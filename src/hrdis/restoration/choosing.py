"""The solver of a restoration: by name with the settings that fit, or the best measured."""

from ..messages import unknown
from ..presets import EFFORTS, Choice, Presets, choose, choose_auto
from ..solvers import SOLVERS, Solver, find
from ..tasks import Task
from .options import check_level

AUTO = "auto"

#: Whose settings suit an operator that nobody has tuned for.
FALLBACK = ("sr4",)


def chosen(
    task: Task | None, solver: str, noise: float, effort: str, samples: int, tuned: Presets | None
) -> Choice[Solver]:
    """Return the solver that a restoration asks for, with its settings, and say why.

    "auto" (or "") is `hrdis.presets.choose_auto`. Tasks whose operators a network or an unknown is
    part of, and operators of the user's own, were never compared. They get the task's own solver.

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
            return choose_auto(families, noise, effort, samples, tuned)
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
