"""What a plan will cost, from one timed network call: calls, seconds, memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...priors.base import Prior
from ..records import Unit
from .memory import Peak
from .restore_unit import time_call


@dataclass(frozen=True)
class Line:
    """One method on one task: how many cells, and what they cost together."""

    task: str
    noise: str
    group: str
    preset: str | None
    cells: int
    calls: int
    seconds: float


@dataclass(frozen=True)
class Cost:
    """What a network call costs on images of one size.

    Attributes:
        forward: seconds.
        both: seconds of a call and the way back through it; forward's where no method needs it.
        memory: bytes at most, None where it cannot be told.
    """

    forward: float
    both: float
    memory: int | None


def time_network(units: Sequence[Unit], prior: Prior, shape: tuple[int, int, int]) -> Cost:
    """Time one call on a batch of the plan's size, and its derivative where a method takes one."""
    device = next(iter(prior.parameters())).device
    x = torch.zeros((max((len(unit.cells) for unit in units), default=1), *shape), device=device)
    back = any(unit.cells[0].method().passes() for unit in units)
    with Peak(device, host=True) as peak:
        forward = time_call(prior, x)
        both = time_call(prior, x, backward=True) if back else forward
    return Cost(forward, both, peak.allocated)


def lines(units: Sequence[Unit], prior: Prior, cost: Cost) -> list[Line]:
    """The methods of a plan in its order; particles of a solver count as so many calls' time."""
    found: dict[str, Line] = {}
    for unit in units:
        cell, n = unit.cells[0], len(unit.cells)
        old = found.get(cell.variant)
        if old is None:
            found[cell.variant] = old = Line(
                cell.task, cell.noise, cell.group, cell.preset, 0, 0, 0.0
            )
        solver = cell.method()
        calls = solver.calls(solver.times(prior.schedule), prior.schedule)
        each = (cost.forward + solver.passes() * (cost.both - cost.forward)) * getattr(
            solver, "particles", 1
        )
        found[cell.variant] = Line(
            old.task,
            old.noise,
            old.group,
            old.preset,
            old.cells + n,
            old.calls + calls,
            old.seconds + calls * each,
        )
    return list(found.values())
