"""The one driver: run a solver, step by step or to its end, and count what it does."""

import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import cast

import torch
from torch import Tensor

from .arguments import by_name, check, check_arguments, check_times, noise_source
from .operators.base import Shape
from .operators.problem import Problem
from .presets import Choice
from .priors.adopt import adopt
from .priors.base import Prediction, Prior
from .rng import ImageRNG, Replay
from .solvers.base import Solver, Step


@dataclass(frozen=True)
class Result:
    """What a solver found.

    Args:
        x: (b, c, h, w) in [-1, 1], unclamped; of the precision of y, float32 at least.
        finite: (b,), False for images that became NaN or infinite.
        nfe: network calls made.
        seconds: wall time of the whole run.
        times: the network times visited.
        theta: parameters of the operator where the solver estimated them too (BlindHRDIS), the
            image axis first.
        solver: the settings it was found with.
        choice: where they come from, and why, if the solver was given by name.
    """

    x: Tensor
    finite: Tensor
    nfe: int
    seconds: float
    times: tuple[int, ...]
    theta: Mapping[str, Tensor] = field(default_factory=dict)
    solver: Solver | None = None
    choice: Choice[Solver] | None = None

    def __repr__(self) -> str:
        shown = (
            f"x={tuple(self.x.shape)}, finite={self.finite.tolist()}, nfe={self.nfe}, "
            f"seconds={self.seconds:.3g}"
        )
        theta = {name: tuple(value.shape) for name, value in self.theta.items()}
        return f"Result({shown}, times={len(self.times)}{f', theta={theta}' if theta else ''})"


def iterate(
    solver: Solver | str,
    prior: Prior,
    problem: Problem,
    *,
    seeds: Sequence[int] | None = None,
    times: Sequence[int] | None = None,
    rng: ImageRNG | Replay | None = None,
) -> Generator[Step, None, Result]:
    """Run a solver step by step: yields each `Step`, returns the `Result`; closing it cancels the
    run.

    Args:
        solver: settings of an algorithm, e.g. ``hrdis.HRDIS(steps=100)``; or its name, e.g.
            ``"hrdis"``, for the settings that fit the operator, the noise and the prior:
            `Solver.preset`.
        prior: see `hrdis.load_prior`; or what `hrdis.priors.adopt` takes for one: a pair of a
            diffusers UNet2DModel and its scheduler, a pipeline of both, an azula denoiser.
        problem: see `hrdis.measure` and `hrdis.Problem`.
        seeds: one integer per image; image i's result depends on ``seeds[i]`` only, never on its
            neighbours.
        times: network times in order, ending in -1, instead of the solver's own.
        rng: a noise source instead of seeds, e.g. ``hrdis.rng.Replay([...])``.

    Raises:
        TypeError: if an argument is no solver, prior or problem, or the operator lacks what the
            solver needs.
        ValueError: for seeds, times or channels that do not fit; all before the first network call.

    Warns:
        RuntimeWarning: naming images that became non-finite, and when.
    """
    prior = cast(Prior, adopt(prior))
    choice = None
    if isinstance(solver, str):
        choice = by_name(solver, prior, problem)
        solver = choice.settings
    check_arguments(solver, prior, problem)
    draws = noise_source(seeds, rng, len(problem.y), "solve")
    times = solver.times(prior.schedule) if times is None else check_times(times, prior, solver)
    run = check(solver, prior, problem)
    return _iterate(solver, prior, run, problem.image_shape, times, draws, choice)


def solve(
    solver: Solver | str,
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
    """Counts the calls of a prior, and holds it to what `Prior.forward` promises: a pair, in the
    precision of x_t.
    """

    def __init__(self, prior: Prior):
        super().__init__()
        self.prior, self.calls, self.autocast = prior, 0, torch.autocast("cpu", enabled=False)
        self.schedule, self.channels, self.name = prior.schedule, prior.channels, prior.name

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        self.calls += 1
        with self.autocast:
            found: object = self.prior(x_t.clone(), t)  # it may write into what it gets
        return Prediction.of(found, self.name).map(lambda part: part.to(x_t))


class _Decoded(Step):
    """A step of a prior of latents: x is their picture, made when it is first looked at."""

    def __init__(self, step: Step, decode: Callable[[Tensor], Tensor]):
        vars(self).update(t=step.t, info=step.info, theta=step.theta, latents=step.x, decode=decode)

    @cached_property
    def x(self) -> Tensor:
        found: Tensor = vars(self)["decode"](vars(self)["latents"])
        return found


def _iterate(
    solver: Solver,
    prior: Prior,
    problem: Problem,
    shape: Shape,
    times: list[int],
    source: ImageRNG | Replay,
    choice: Choice[Solver] | None,
) -> Generator[Step, None, Result]:
    started = time.perf_counter()
    counted, calls = _Counted(prior), solver.calls(times, prior.schedule)
    decode = partial(prior.picture, shape=shape)
    theta: Mapping[str, Tensor] = {}
    finite = torch.ones(len(problem.y), dtype=torch.bool, device="cpu")
    run, kind = solver.run(counted, problem.rescaled(), times, source), problem.y.device.type
    _check_run(solver, "returned", run, Generator)
    while True:
        # The caller's mixed precision is for the network: it would make A's products, and the
        # state, half precision.
        counted.autocast = torch.autocast(
            kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
        )
        try:
            with torch.autocast(kind, enabled=False):
                step = next(run)
        except StopIteration as end:
            x = end.value
            _check_run(solver, "ended with", x, Tensor)
            break
        _check_run(solver, "yielded", step, Step)
        finite = _still_finite(finite, step.x, f"at t = {step.t} (call {counted.calls} of {calls})")
        theta = {name: value.clone() for name, value in step.theta.items()}
        yield _Decoded(step, decode) if prior.latent else step
    x = decode(x)
    finite = _still_finite(finite, x, "in the last step")
    if isinstance(source, Replay):
        source.close()
    return Result(
        x,
        finite,
        counted.calls,
        time.perf_counter() - started,
        tuple(times),
        theta,
        solver,
        choice,
    )


def _check_run(solver: Solver, did: str, what: object, expected: type) -> None:
    if not isinstance(what, expected):
        raise TypeError(
            f"{type(solver).__name__}.run {did} a {type(what).__name__}. A generator is expected "
            "that says `yield hrdis.Step(t, x)` in every iteration and `return x` at its end."
        )


def _still_finite(finite: torch.Tensor, x: Tensor, when: str) -> Tensor:
    # A sum is finite only if all of its terms are, and costs a tenth of looking at each of them;
    # finite terms that overflow together are looked at.
    now = torch.isfinite(x.flatten(1).sum(1)).cpu()
    if not now.all():
        now = torch.isfinite(x).flatten(1).all(1).cpu()
    lost = (finite & ~now).nonzero().flatten().tolist()
    if lost:
        warnings.warn(
            f"Images {lost} of {len(x)} became non-finite {when}. The solver's step is likely too "
            "large for this problem: lower its step size (lr, zeta, scale), or start from its "
            "preset.",
            RuntimeWarning,
            stacklevel=4,
        )
    return finite & now
