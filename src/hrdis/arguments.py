"""Checks before the first network call, with one clear message for whatever cannot run."""

import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise

from .messages import Message, bilingual, level_outside, shown
from .presets import Choice, choose_auto
from .priors.base import Prior
from .problem import Problem
from .solvers.base import Solver, choose_for

CALL = "hrdis.solve(solver, prior, problem, seeds=...)"


def check_arguments(solver: object, prior: object, problem: object) -> None:
    """Raise unless the arguments of `iterate` and `solve` are what they should be, in their order.

    Raises:
        TypeError: for a class or a name instead of an object, swapped arguments, or anything else.
    """
    given: dict[str, tuple[object, type]] = {
        "solver": (solver, Solver), "prior": (prior, Prior), "problem": (problem, Problem),
    }  # fmt: skip
    wrong = [name for name, (value, kind) in given.items() if not isinstance(value, kind)]
    misplaced = [
        (name, there)
        for name in wrong
        for there in wrong
        if isinstance(given[name][0], given[there][1])
    ]
    if misplaced:
        name, there = misplaced[0]
        raise TypeError(
            f"The {there} was given in the place of the {name}. {CALL} is expected, in this order."
        )
    if not isinstance(solver, Solver):
        example = "hrdis.HRDIS()"
        if isinstance(solver, type) and issubclass(solver, Solver):
            example = f"an object made from it, {solver.__name__}()"
        raise TypeError(f"solver is {shown(solver)}. A solver is expected: {example}.")
    if not isinstance(prior, Prior):
        from .priors import is_unet

        example = 'hrdis.load_prior("default")'
        if isinstance(prior, str):
            example = f"hrdis.load_prior({prior!r})"
        elif isinstance(prior, type) and issubclass(prior, Prior):
            example = f"an object made from it, {prior.__name__}(...)"
        elif is_unet(prior):
            example = "hrdis.priors.from_diffusers(unet, scheduler), with the scheduler it was "
            example += "trained with"
        raise TypeError(f"prior is {shown(prior)}. A prior is expected: {example}.")
    if not hasattr(prior, "schedule"):
        raise TypeError(
            f"The prior {shown(prior)} has no schedule. Its noise levels are expected: "
            "self.schedule = hrdis.Schedule.linear(), after super().__init__()."
        )
    if not isinstance(problem, Problem):
        raise TypeError(
            f"problem is {shown(problem)}. A measurement with its operator is expected: "
            "hrdis.Problem(y, A), or hrdis.measure(A, x, seeds=[0])."
        )


def by_name(name: str, prior: Prior, problem: Problem) -> Choice[Solver]:
    """Return the settings that fit a prior and a problem for the solver of that name.

    "auto" is the solver that was measured to be the best, at normal effort, among those that can
    run. `hrdis.presets.choose_auto` chooses it.

    Raises:
        ValueError: for an unknown name.
        TypeError: if prior or problem is none.
    """
    from .solvers import HRDIS, SOLVERS, find

    if name.lower() == "auto":
        check_arguments(HRDIS(), prior, problem)
        level = problem.sigma_y / 2  # sigma_y is for images in [-1, 1], levels of noise for [0, 1]
        fit = able(prior.pull(problem))
        return choose_auto(
            problem.A.families, level, tuned=prior.presets, able=lambda cls: cls in fit
        )
    try:
        cls = SOLVERS[find(name)][0]
    except ValueError as error:
        raise ValueError(f"{error} Or give settings of your own: hrdis.HRDIS(steps=100).") from None
    check_arguments(cls(), prior, problem)
    return choose_for(cls, problem, prior)


def check_times(given: Sequence[int], prior: Prior, solver: Solver) -> list[int]:
    """Return the network times as a list.

    Raises:
        TypeError, ValueError: unless they are whole numbers that descend at first (to the end where
            the solver's steps only go down), lie on the schedule and end in -1.
    """
    if not isinstance(given, Iterable):
        raise TypeError(
            f"times is {given!r}. Network times in order are expected: times=[950, 900, ..., 0, "
            "-1]."
        )
    given = list(given)
    try:
        times = [int(t) for t in given]
        whole = all(int(t) == float(t) for t in given)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise TypeError(
            f"times is {given[:3]}... Whole numbers are expected, one per network call: "
            "times=[950, 900, ..., 0, -1]."
        )
    inside = (
        len(times) >= 2
        and times[-1] == -1
        and min(times[:-1]) >= 0
        and max(times) < len(prior.schedule)
    )
    if not inside or times[1] > times[0]:
        raise ValueError(
            f"times is {times[:3]}...{times[-2:]}. Network times from 0 to "
            f"{len(prior.schedule) - 1}, descending at first and ending in -1 (clean), are "
            "expected: times=[950, 900, ..., 0, -1]."
        )
    up = [(t, s) for t, s in pairwise(times) if s > t]
    if solver.descends and up:
        raise ValueError(
            f"times goes up from {up[0][0]} to {up[0][1]}, but {type(solver).__name__} only knows "
            "steps down. Descending times are expected, or a solver that travels: hrdis.DDNM()."
        )
    return times


def check(solver: Solver, prior: Prior, problem: Problem) -> Problem:
    """Raise unless the solver can run on the problem with the prior; `iterate` and `solve` do it
    first.

    Returns:
        the problem in the prior's space, which is what the solver is to run on.

    Raises:
        TypeError: if the operator lacks what the solver needs.
        ValueError: if there is noise the solver cannot treat, or the prior knows no such images or
            was given no class.
    """
    prior.check_label()
    channels = problem.image_shape[1]
    if prior.channels is not None and channels not in prior.channels:
        if problem.y.shape[-1] in (1, 3):
            fix = "Channels come before height and width: y.permute(0, 3, 1, 2)."
        elif channels == 3 and prior.channels == (1,):
            fix = "Grey ones are made before they are measured: x.mean(1, keepdim=True)."
        elif channels == 1 and 3 in prior.channels:
            fix = "Grey ones are repeated before they are measured: x.expand(-1, 3, -1, -1)."
        else:
            fix = "Convert the images, or use another prior."
        raise ValueError(
            f"The images have {channels} channels, but the prior {prior.name!r} takes "
            f"{' or '.join(map(str, prior.channels))}. {fix}"
        )
    name, A = type(solver).__name__, f"A is a {type(problem.A).__name__}, which"
    if prior.latent:
        A = (
            f"the prior {prior.name!r} works on latents, and its decoder followed by a "
            f"{type(problem.A).__name__}"
        )
    problem = prior.pull(problem)
    needed = solver.needs()
    if not isinstance(problem.A, needed):
        kind = needed.__name__
        python = (
            f"{name} needs {'an' if kind.startswith('S') else 'a'} {kind}, but {A} lacks "
            f"{needed.capability}."
        )
        command = (
            f"The solver {solver.name} needs {needed.capability}, which this task or operator "
            "lacks."
        )
        raise TypeError(_with_names(python, command, problem))
    if solver.noiseless and problem.sigma_y > 0:
        python = f"{name} is for noiseless measurements, but sigma_y is {problem.sigma_y:g}."
        command = (
            f"The solver {solver.name} is for pictures without noise, but the noise is "
            f"{problem.sigma_y / 2:g} of white."
        )
        raise ValueError(_with_names(python, command, problem))
    if solver.of_consistency and prior.of_consistency is False:
        warnings.warn(
            f"{name} is meant for consistency models, and the prior {prior.name!r} is none: with "
            f"it, {name} is HRDIS from t = 929.",
            stacklevel=level_outside(),
        )
    return problem


def able(problem: Problem) -> list[type[Solver]]:
    """Return the solvers that can run on a problem at their defaults."""
    from .solvers import SOLVERS

    fit = (cls for cls, _ in SOLVERS.values() if isinstance(problem.A, cls().needs()))
    return [cls for cls in fit if not (cls.noiseless and problem.sigma_y > 0)]


def _with_names(python: str, command: str, problem: Problem) -> Message:
    """Add the solvers that can run on a problem, as classes in Python and as names elsewhere."""
    fit = able(problem)
    classes = ", ".join(cls.__name__ for cls in fit)
    names = ", ".join(cls.name for cls in fit)
    return bilingual(
        f"{python} Solvers that can use it: {classes}.",
        f"{command} Solvers that can be used: {names}.",
    )
