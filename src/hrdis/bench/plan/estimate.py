"""Estimate of the cost of a plan from one timed network call: calls, seconds, memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ...priors.base import Prior
from ..records import Unit
from .timing import PeakMemory, time_call


@dataclass(frozen=True)
class CostLine:
    """Cost of one method on one task.

    Args:
        task, noise, group, preset: the method and its task, as in a run task.
        restorations: number of restorations.
        calls: network calls of all together.
        seconds: time of all together.
    """

    task: str
    noise: str
    group: str
    preset: str | None
    restorations: int = 0
    calls: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class CallCost:
    """Cost of a network call on images of one size.

    Args:
        forward: seconds of a call.
        with_gradient: seconds of a call and its gradient; those of a call alone where no method
            needs the gradient.
        memory: bytes at most, None where the system does not tell.
    """

    forward: float
    with_gradient: float
    memory: int | None


def time_network(units: Sequence[Unit], prior: Prior, shape: tuple[int, int, int]) -> CallCost:
    """Time one call on a batch of the plan's size, and its gradient where a method takes one."""
    device = next(iter(prior.parameters())).device
    batch = max((len(unit.tasks) for unit in units), default=1)
    x = torch.zeros((batch, *shape), device=device)
    needs_gradient = any(unit.tasks[0].method().passes() for unit in units)
    with PeakMemory(device, host=True) as peak:
        forward = time_call(prior, x)
        with_gradient = time_call(prior, x, backward=True) if needs_gradient else forward
    return CallCost(forward, with_gradient, peak.allocated)


def cost_lines(units: Sequence[Unit], prior: Prior, cost: CallCost) -> list[CostLine]:
    """Return the cost of each method of a plan, in its order."""
    lines: dict[str, CostLine] = {}
    for unit in units:
        first = unit.tasks[0]
        line = lines.get(first.variant)
        if line is None:
            line = CostLine(first.task, first.noise, first.group, first.preset)
        # Pictures of a unit share its calls, so that calls are counted by unit.
        solver = first.method()
        calls = solver.calls(solver.times(prior.schedule), prior.schedule)
        each = cost.forward + solver.passes() * (cost.with_gradient - cost.forward)
        each *= getattr(solver, "particles", 1)  # particles share a call, which takes as long as n
        lines[first.variant] = replace(
            line,
            restorations=line.restorations + len(unit.tasks),
            calls=line.calls + calls,
            seconds=line.seconds + calls * each,
        )
    return list(lines.values())
