"""The solver of a restoration: by name with the settings that fit, or the best measured."""

from ..messages import unknown
from ..presets import EFFORTS, Choice, Presets, choose, choose_auto
from ..solvers import SOLVERS, Solver
from ..tasks import TASKS

AUTO = "auto"

#: Whose settings suit an operator that nobody has tuned for.
FALLBACK = ("sr4",)


def chosen(
    task: str, solver: str, noise: float, effort: str, samples: int, tuned: Presets | None
) -> Choice[Solver]:
    """Return the solver that a restoration asks for, with its settings, and say why.

    "auto" (or "") is `hrdis.presets.choose_auto`. Tasks whose operators a network or an unknown is
    part of, and operators of the user's own, were never compared: they get the task's own solver.

    Args:
        task: a name of `hrdis.TASKS`, or "" for an operator of the user's own.
        solver: a name of `hrdis.SOLVERS`, "auto" or "".
        noise: standard deviation for images in [0, 1].
        effort: "low", "normal" or "high"; for auto alone.
        samples: how many are wanted.
        tuned: what is known of the prior, if anything.

    Raises:
        ValueError: for an unknown solver or effort, an effort for a solver by name, or a bad noise.
    """
    if effort not in EFFORTS:
        raise ValueError(f"--effort is {effort!r}. One of {', '.join(EFFORTS)} is expected.")
    known = TASKS.get(task)
    families = known.presets if known else FALLBACK
    if solver in ("", AUTO):
        if known and not known.blind and not known.weights:
            return choose_auto(families, noise, effort, samples, tuned)
        solver = known.solver if known else "hrdis"
    elif solver not in SOLVERS:
        raise ValueError(unknown("solver", solver, [AUTO, *SOLVERS]))
    elif effort != "normal":
        raise ValueError(
            f"--effort {effort} is for the solver auto, and --solver is {solver}. Its number of "
            "network calls is a setting of its own: --steps 20"
        )
    return choose(SOLVERS[solver][0], families, noise, tuned=tuned)
