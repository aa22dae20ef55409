"""The one driver: run a solver, step by step or to its end, and count what it does."""

import cmath
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor

from .arguments import by_name, check, check_arguments, check_times
from .messages import level_outside
from .operators.base import Shape
from .presets import Choice
from .priors.base import Prediction, Prior, as_prior
from .problem import Problem
from .rng import ImageRNG, Replay, noise_source
from .solvers.base import Solver, Step

Item = TypeVar("Item", covariant=True)
Found = TypeVar("Found", covariant=True)


@dataclass(frozen=True)
class Result:
    """The solution of one run, and its cost.

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


class Iteration(Iterator[Item], Generic[Item, Found]):
    """Something done item by item, with a ``result`` at its end.

    Args:
        generator: yields the items and returns the result; closing it cancels what it does.
    """

    def __init__(self, generator: Generator[Item, None, Found]):
        self._generator = generator

    def __next__(self) -> Item:
        try:
            return next(self._generator)
        except StopIteration as end:
            if end.value is not None:  # an exhausted generator ends again, with nothing
                self._result: Found = end.value
            raise

    def close(self) -> None:
        """Cancel what is left."""
        self._generator.close()

    def finish(self, on_item: Callable[[Item], object] | None = None) -> Found:
        """Go on to the end and return the result; ``on_item`` is called with every item."""
        for item in self:
            if on_item is not None:
                on_item(item)
        return self.result

    @property
    def result(self) -> Found:
        """The result, once all items were taken.

        Raises:
            RuntimeError: before the end, or after the run was closed or failed.
        """
        if not hasattr(self, "_result"):
            raise RuntimeError(
                "This run has not reached its end, so there is no result yet. Take its steps "
                "first: for step in run: ...; or run.finish()."
            )
        return self._result


class Run(Iteration[Step, Result]):
    """A run of a solver, which is an iterator over its steps with a `Result` at the end.

    Args:
        generator: the run itself.
        solver: its settings.
        times: the network times it visits, ending in -1.
        calls: how many network calls it makes.
    """

    def __init__(
        self,
        generator: Generator[Step, None, Result],
        solver: Solver,
        times: Sequence[int],
        calls: int,
    ):
        super().__init__(generator)
        self.solver, self.times, self.calls = solver, tuple(times), calls

    def __repr__(self) -> str:
        return f"Run({self.solver!r}, calls={self.calls})"


def iterate(
    solver: Solver | str,
    prior: Prior,
    problem: Problem,
    *,
    seeds: Sequence[int] | None = None,
    times: Sequence[int] | None = None,
    rng: ImageRNG | Replay | None = None,
) -> Run:
    """Run a solver step by step.

        run = hrdis.iterate("hrdis", prior, problem, seeds=[0])
        for step in run:
            print(step.t, step.x.shape)
        run.result.x

    Args:
        solver: settings of an algorithm, e.g. ``hrdis.HRDIS(steps=100)``; or its name, e.g.
            ``"hrdis"``, for the settings that fit the operator, the noise and the prior:
            `Solver.preset`.
        prior: see `hrdis.load_prior`; or what `hrdis.priors.as_prior` takes for one: a pair of a
            diffusers UNet2DModel and its scheduler, a pipeline of both, an azula denoiser.
        problem: see `hrdis.measure` and `hrdis.Problem`.
        seeds: one integer per image; image i's result depends on ``seeds[i]`` only, never on its
            neighbours.
        times: network times in order, ending in -1, instead of the solver's own.
        rng: a noise source instead of seeds, e.g. ``hrdis.rng.Replay([...])``.

    Returns:
        the `Run`: an iterator over its steps; ``close()`` cancels it.

    Raises:
        TypeError: if an argument is no solver, prior or problem, or the operator lacks what the
            solver needs.
        ValueError: for seeds, times or channels that do not fit; all before the first network call.

    Warns:
        RuntimeWarning: naming images that became non-finite, and when.
    """
    prior = cast(Prior, as_prior(prior))
    choice = None
    if isinstance(solver, str):
        choice = by_name(solver, prior, problem)
        solver = choice.settings
    check_arguments(solver, prior, problem)
    draws = noise_source(seeds, rng, len(problem.y), "solve")
    times = solver.times(prior.schedule) if times is None else check_times(times, prior, solver)
    checked = check(solver, prior, problem)
    steps = _iterate(solver, prior, checked, problem.image_shape, times, draws, choice)
    return Run(steps, solver, times, solver.calls(times, prior.schedule))


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
    """Run a solver to its end. Arguments, errors and warnings are those of `iterate`.

    Args:
        on_step: called with every `Step`, e.g. to move a progress bar.
    """
    return iterate(solver, prior, problem, seeds=seeds, times=times, rng=rng).finish(on_step)


class _Counted(Prior):
    """Counts the calls of a prior, and holds it to what `Prior.forward` promises: a pair, in the
    precision of x_t.
    """

    def __init__(self, prior: Prior):
        super().__init__()
        self.prior, self.calls = prior, 0
        #: The caller's mixed precision, which the network alone runs in.
        self.autocast: AbstractContextManager[object] = nullcontext()
        self.schedule, self.channels, self.name = prior.schedule, prior.channels, prior.name

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        self.calls += 1
        given = x_t.clone() if self.prior.overwrites else x_t
        with self.autocast:
            found: object = self.prior(given, t)
        return Prediction.of(found, self.name).map(lambda part: part.to(x_t))


class _Decoded(Step):
    """A step of a prior of latents, in which x is their picture, made on first use."""

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
    finiteness = _Finiteness(problem)
    kind = problem.y.device.type
    if isinstance(source, ImageRNG):
        source.expect(solver.draws(times))
    run = solver.run(counted, problem.at_least_float32(), times, source)
    _check_run(solver, "returned", run, Generator)
    while True:
        # The caller's mixed precision is for the network: it would make A's products, and the
        # state, half precision.
        around: AbstractContextManager[object] = nullcontext()
        counted.autocast = around
        if torch.is_autocast_enabled(kind):
            counted.autocast = torch.autocast(kind, torch.get_autocast_dtype(kind))
            around = torch.autocast(kind, enabled=False)
        try:
            with around:
                step = next(run)
        except StopIteration as end:
            x = end.value
            _check_run(solver, "ended with", x, Tensor)
            break
        _check_run(solver, "yielded", step, Step)
        finiteness.note(step.x, f"at t = {step.t} (call {counted.calls} of {calls})")
        theta = {name: value.clone() for name, value in step.theta.items()}
        yield _Decoded(step, decode) if prior.latent else step
        if finiteness.all_lost():  # what is NaN stays so: the rest of the run would be for nothing
            run.close()
            x = step.x.detach().clone()
            break
    x = decode(x)
    finiteness.note(x, "in the last step")
    finite = finiteness.read()
    if isinstance(source, Replay) and finite.any():
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


#: Steps after which a device is asked whether any image is still finite.
LOOK_EVERY = 50


class _Finiteness:
    """Record of the images of a run that are still finite, with a warning about the others.

    On a CPU every step is checked at once. On any other device that would make the host wait for
    the whole step. So the flags stay on the device and are read every `LOOK_EVERY` steps, and at
    the end.
    """

    def __init__(self, problem: Problem):
        self.finite = torch.ones(len(problem.y), dtype=torch.bool, device="cpu")
        self._some_lost = False
        self._reads_now = problem.y.device.type == "cpu"
        self._unread: list[tuple[str, Tensor]] = []

    def note(self, x: Tensor, when: str) -> None:
        """Note which images of x are finite."""
        if self._reads_now and cmath.isfinite(x.sum().item()):
            return  # finite only if all are, at a tenth of the cost
        flags = torch.isfinite(x).flatten(1).all(1)
        if self._reads_now:
            self._compare(flags, when)
        else:
            self._unread.append((when, flags))

    def all_lost(self) -> bool:
        """Return True if no image is finite any more; on a device looked at now and then only."""
        if len(self._unread) >= LOOK_EVERY:
            self.read()
        return self._some_lost and not bool(self.finite.any())

    def read(self) -> Tensor:
        """Return which images stayed finite, (b,), on the CPU."""
        if self._unread:
            flags_of_all = torch.stack([flags for _, flags in self._unread]).cpu()
            for (when, _), flags in zip(self._unread, flags_of_all, strict=True):
                self._compare(flags, when)
            self._unread = []
        return self.finite

    def _compare(self, flags: Tensor, when: str) -> None:
        lost = (self.finite & ~flags).nonzero().flatten().tolist()
        self.finite = self.finite & flags
        if lost:
            self._some_lost = True
            warnings.warn(
                f"Images {lost} of {len(flags)} became non-finite {when}. The solver's step is "
                "likely too large for this problem: lower its step size (lr, zeta, scale), or "
                "start from its preset.",
                RuntimeWarning,
                stacklevel=level_outside(),
            )
