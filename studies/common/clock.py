"""Where the processor time of a run goes: the network, the operator, the noise, and the solver
itself.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest import mock

import torch
from torch import nn

import hrdis
from hrdis.problem import Problem
from hrdis.rng import ImageRNG

NOISE = ("randn", "rand")


class Clock:
    """Processor time by part, to the innermost part that is running.

    It is the time of this process on all its threads: other programs on the machine hardly change
    it, and what they change they change for all parts alike.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._running: list[str] = []
        self._since = 0.0

    def enter(self, part: str) -> None:
        """Start a part; the one around it waits."""
        self._credit()
        self._running.append(part)
        self.calls[part] += 1

    def leave(self) -> None:
        """End the part that was started last."""
        self._credit()
        self._running.pop()

    def _credit(self) -> None:
        now = time.process_time()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside to a part."""
        self.enter(name)
        yield
        self.leave()

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Return the function, its time counted to a part unless that part is running already."""

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if part in self._running:
                return function(*args, **kwargs)
            with self.part(part):
                return function(*args, **kwargs)

        return call


@contextmanager
def watched(clock: Clock, net: nn.Module, A: hrdis.operators.Operator) -> Iterator[None]:
    """Count the network's calls and backward passes, the operator's methods and the draws."""
    enter, leave = (lambda *_: clock.enter("network")), (lambda *_: clock.leave())
    hooks = [
        net.register_forward_pre_hook(enter),
        net.register_forward_hook(leave),
        net.register_full_backward_pre_hook(enter),
        net.register_full_backward_hook(leave),
    ]
    names = []
    for cls in type(A).__mro__[: type(A).__mro__.index(nn.Module)]:
        for name, member in vars(cls).items():
            if callable(member) and not name.startswith("__") and name not in names:
                names.append(name)
    names = [name for name in names if callable(getattr(A, name))]
    for name in names:
        setattr(A, name, clock.timed(getattr(A, name), "operator"))
    draws = {name: clock.timed(getattr(ImageRNG, name), "noise") for name in NOISE}
    try:
        with mock.patch.multiple(ImageRNG, **draws):
            yield
    finally:
        for name in names:
            delattr(A, name)
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class Parts:
    """Processor seconds of one run, and its number of network calls."""

    network: float
    operator: float
    noise: float
    solver: float
    calls: int

    @property
    def own(self) -> float:
        """Everything beside the network, over the network."""
        return (self.operator + self.noise + self.solver) / self.network


def parts_of(
    solver: hrdis.solvers.Solver, prior: hrdis.priors.UNetPrior, problem: Problem
) -> Parts:
    """Run a solver once and say where its time went."""
    clock = Clock()
    with watched(clock, prior.net, problem.A), clock.part("solver"):
        hrdis.solve(solver, prior, problem, seeds=range(len(problem.y)))
    seconds = clock.seconds
    return Parts(
        seconds["network"],
        seconds["operator"],
        seconds["noise"],
        seconds["solver"],
        clock.calls["network"],
    )


def settings(name: str, calls: int) -> hrdis.solvers.Solver:
    """A solver of so few steps, from low noise on, with its other settings as they are."""
    cls: Any = hrdis.SOLVERS[name][0]
    if name == "daps":
        return cls(steps=max(2, calls // 2), start=200, ode_steps=2, langevin_steps=3)
    return cls(steps=calls, start=200)


#: The problem of all solvers but three: these need what it is not.
NOISELESS, BLIND = ("ddnm", "repaint"), ("blindhrdis",)


def problem_for(name: str, side: int, batch: int) -> Problem:
    """Fourfold enlargement of a grey square with noise of 0.05; without for DDNM and RePaint, an
    unknown exposure for BlindHRDIS.
    """
    x = torch.zeros(batch, 3, side, side)
    if name in BLIND:
        return Problem(x, hrdis.operators.LowLight(), 0.1)
    noise = None if name in NOISELESS else hrdis.noise.Gaussian(0.05)
    return hrdis.measure(hrdis.operators.SuperResolution(4), x, noise, seeds=range(batch))
