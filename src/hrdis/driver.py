"""The one driver: run a solver, step by step or to its end, and count what it does."""

import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .operators.problem import Problem
from .priors.base import Prediction, Prior
from .rng import ImageRNG, Replay, source
from .solvers import SOLVERS
from .solvers.base import Solver, Step


@dataclass(frozen=True)
class Result:
    """What a solver found.

    Args:
        x: (b, c, h, w) in [-1, 1], unclamped.
        finite: (b,), False for images that became NaN or infinite.
        nfe: network calls made.
        seconds: wall time of the whole run.
        times: the network times visited.
        theta: parameters of the operator where the solver estimated them too (BlindHRDIS), the image axis first.
    """

    x: Tensor
    finite: Tensor
    nfe: int
    seconds: float
    times: tuple[int, ...]
    theta: Mapping[str, Tensor] = field(default_factory=dict)


def iterate(
    solver: Solver,
    prior: Prior,
    problem: Problem,
    *,
    seeds: Sequence[int] | None = None,
    times: Sequence[int] | None = None,
    rng: ImageRNG | Replay | None = None,
) -> Generator[Step, None, Result]:
    """Run a solver step by step: yields each `Step`, returns the `Result`; closing it cancels the run.

    Args:
        solver: settings of an algorithm, e.g. ``hrdis.HRDIS(steps=100)``.
        prior: see `hrdis.load_prior`.
        problem: see `hrdis.measure` and `hrdis.Problem`.
        seeds: one integer per image; image i's result depends on ``seeds[i]`` only, never on its neighbours.
        times: network times in order, ending in -1, instead of the solver's own.
        rng: a noise source instead of seeds, e.g. ``hrdis.rng.Replay([...])``.

    Raises:
        TypeError: if the operator lacks what the solver needs.
        ValueError: for seeds, times or channels that do not fit; all before the first network call.

    Warns:
        RuntimeWarning: naming images that became non-finite, and when.
    """
    draws = source(seeds, rng, len(problem.y), "solve")
    times = solver.times(prior.schedule) if times is None else _checked(times, prior)
    check(solver, prior, problem)
    return _iterate(solver, prior, problem, times, draws)


def solve(
    solver: Solver,
    prior: Prior,
    problem: Problem,
    *,
    seeds: Sequence[int] | None = None,
    times: Sequence[int] | None = None,
    rng: ImageRNG | Replay | None = None,
    on_step: Callable[[Step], object] | None = None,
) -> Result:
    """Run a solver to its end: `iterate`, drained. Arguments, errors and warnings are its own.

    Args:
        on_step: called with every `Step`, e.g. to move a progress bar.
    """
    run = iterate(solver, prior, problem, seeds=seeds, times=times, rng=rng)
    while True:
        try:
            step = next(run)
        except StopIteration as end:
            return end.value
        if on_step is not None:
            on_step(step)


class _Counted(Prior):
    """Counts the calls of a prior."""

    def __init__(self, prior: Prior):
        super().__init__()
        self.prior, self.calls = prior, 0
        self.schedule, self.channels, self.name = prior.schedule, prior.channels, prior.name

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        self.calls += 1
        return self.prior(x_t, t)


def _iterate(
    solver: Solver, prior: Prior, problem: Problem, times: list[int], source: ImageRNG | Replay
) -> Generator[Step, None, Result]:
    started = time.perf_counter()
    counted, calls = _Counted(prior), solver.calls(times, prior.schedule)
    theta: Mapping[str, Tensor] = {}
    finite = torch.ones(len(problem.y), dtype=torch.bool)
    run = solver.run(counted, problem, times, source)
    while True:
        try:
            step = next(run)
        except StopIteration as end:
            x = end.value
            break
        finite = _still_finite(finite, step.x, f"at t = {step.t} (call {counted.calls} of {calls})")
        theta = {name: value.clone() for name, value in step.theta.items()}
        yield step
    finite = _still_finite(finite, x, "in the last step")
    if isinstance(source, Replay):
        source.close()
    return Result(x, finite, counted.calls, time.perf_counter() - started, tuple(times), theta)


def _still_finite(finite: torch.Tensor, x: Tensor, when: str) -> Tensor:
    now = torch.isfinite(x).flatten(1).all(1).cpu()
    lost = (finite & ~now).nonzero().flatten().tolist()
    if lost:
        warnings.warn(
            f"Images {lost} of {len(x)} became non-finite {when}. The solver's step is likely too large for this "
            "problem: lower its step size (lr, zeta, scale), or start from its preset.",
            RuntimeWarning,
            stacklevel=4,
        )
    return finite & now


def _checked(times: Sequence[int], prior: Prior) -> list[int]:
    times = [int(t) for t in times]
    inside = len(times) >= 2 and times[-1] == -1 and min(times[:-1]) >= 0 and max(times) < len(prior.schedule)
    if not inside or times[1] > times[0]:
        raise ValueError(
            f"times is {times[:3]}...{times[-2:]}. Network times from 0 to {len(prior.schedule) - 1}, descending at "
            "first and ending in -1 (clean), are expected: times=[950, 900, ..., 0, -1]."
        )
    return times


def check(solver: Solver, prior: Prior, problem: Problem) -> None:
    """Raise unless the solver can run on the problem with the prior; `iterate` and `solve` do it first.

    Raises:
        TypeError: if the operator lacks what the solver needs.
        ValueError: if there is noise the solver cannot explain, or the prior knows no such images.
    """
    name, A = type(solver).__name__, problem.A
    if not isinstance(A, solver.needs()):
        raise TypeError(
            f"{name} needs a {solver.needs().__name__}, but A is a {type(A).__name__}, which lacks "
            f"{solver.needs().capability}. Solvers that can use it: {', '.join(_able(problem))}."
        )
    if solver.noiseless and problem.sigma_y > 0:
        raise ValueError(
            f"{name} is for noiseless measurements, but sigma_y is {problem.sigma_y:g}. "
            f"Solvers that can use it: {', '.join(_able(problem))}."
        )
    channels = problem.image_shape[1]
    if prior.channels is not None and channels not in prior.channels:
        raise ValueError(
            f"The images have {channels} channels, but the prior {prior.name!r} takes "
            f"{' or '.join(map(str, prior.channels))}. Convert the images, or use another prior."
        )


def _able(problem: Problem) -> list[str]:
    """The solvers that can run on a problem at their defaults, by class name."""
    able = (cls for cls, _ in SOLVERS.values() if isinstance(problem.A, cls().needs()))
    return [cls.__name__ for cls in able if not (cls.noiseless and problem.sigma_y > 0)]
