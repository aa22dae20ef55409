"""What a solver costs beside its network: seconds per image over (network calls x one bare network
call).

    python studies/overhead.py  # all solvers; rewrites the tables of measurements/speed.md

Solver and bare network take turns at every step of the same run, so that a machine that slows down
slows both. The second table has a network that answers at once: what is left is the solver's own
work, without the noise of the network's time. Weights are drawn at random: what a network predicts
does not change its cost.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro
from common.pages import DOCS, rewrite, table
from torch import Tensor, nn

import hrdis
from hrdis.priors.unet import UNetPrior, build_unet
from hrdis.problem import Problem
from hrdis.solvers import Solver

PAGE = DOCS / "measurements" / "speed.md"
SIZE = {  # of the embedded prior
    "sample_size": 64, "in_channels": 3, "out_channels": 3,
    "block_out_channels": (32, 64, 96, 128), "layers_per_block": 1,
    "down_block_types": ("DownBlock2D",) * 4, "up_block_types": ("UpBlock2D",) * 4,
    "add_attention": False, "norm_num_groups": 8,
}  # fmt: skip


class Instant(nn.Module):
    """A network that predicts its input."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))  # tells the prior its precision

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class Cost:
    """Solving over its network calls, median over the rounds with the extremes; seconds of one call
    and of a step without it.
    """

    ratio: float
    low: float
    high: float
    call: float
    own: float


def cpu_seconds(work: Callable[[], object]) -> float:
    """Time the process spent, which other programs on the machine change least."""
    started = time.process_time()
    work()
    return time.process_time() - started


def compare(solver: Solver, prior: UNetPrior, problem: Problem, rounds: int) -> Cost:
    """Solve with the bare network called between all steps, then with a network that costs
    nothing.
    """
    ratios, calls = [], []
    for k in range(rounds + 1):  # the first is a rehearsal
        bare, steps = one_round(solver, prior, problem)
        if k:
            ratios.append(sum(steps) / sum(bare))
            calls += bare
    instant = UNetPrior(Instant(), prior.schedule, prior.prediction_type)
    own = [
        cpu_seconds(lambda: hrdis.solve(solver, instant, problem, seeds=[0])) / solver.steps
        for _ in range(4 * rounds)
    ]
    return Cost(
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        statistics.median(calls),
        statistics.median(own),
    )


def one_round(
    solver: Solver, prior: UNetPrior, problem: Problem
) -> tuple[list[float], list[float]]:
    """CPU seconds of bare calls and of the solver's steps, in turns."""
    x = torch.zeros(problem.image_shape).contiguous(memory_format=torch.channels_last)
    times = iter(solver.times(prior.schedule)[:-1])
    run = hrdis.iterate(solver, prior, problem, seeds=[0])
    bare, steps, step = [], [], True
    while step is not None:
        started = time.process_time()
        step = next(run, None)
        steps.append(time.process_time() - started)
        if (t := next(times, None)) is not None:
            bare.append(cpu_seconds(lambda: prior.net(x, torch.full((1,), t))))
    return bare, steps


def main(
    solvers_to_run: Annotated[tuple[str, ...], tyro.conf.arg(name="solvers")] = tuple(
        hrdis.SOLVERS
    ),
    sides: tuple[int, ...] = (64, 128, 256),
    calls: int = 10,
    rounds: int = 7,
    write: bool = True,
) -> None:
    """Measure every solver's own cost.

    Args:
        solvers_to_run: keys of hrdis.SOLVERS.
        sides: image sides.
        calls: network calls per run.
        rounds: runs per solver and size.
        write: rewrite docs/measurements/speed.md.
    """
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)  # noqa: TID251, the weights of a network that is only timed
    prior = UNetPrior(build_unet(SIZE), prediction_type="v_prediction")
    found: dict[str, dict[int, Cost]] = {}
    for side in sides:
        x = torch.zeros(1, 3, side, side)
        problem = hrdis.measure(hrdis.operators.SuperResolution(4), x)
        for name in solvers_to_run:
            cls, _ = hrdis.SOLVERS[name]
            try:
                cost = compare(cls(steps=calls), prior, problem, rounds)
            except TypeError as error:
                print(f"{name} left out: {error}")
                continue
            found.setdefault(cls.__name__, {})[side] = cost
            print(f"{side} {name}: {cost}", flush=True)
    call = {side: statistics.median(c[side].call for c in found.values()) for side in sides}
    header = ["solver", *(f"{side} x {side}" for side in sides)]
    whole = [
        [name, *(f"{c.ratio:.3f} ({c.low:.3f} to {c.high:.3f})" for c in costs.values())]
        for name, costs in found.items()
    ]
    whole.append(["one bare network call", *(f"{1000 * s:.0f} ms" for s in call.values())])
    own = [
        [name, *(f"{1000 * c.own:.2f} ms, {1 + c.own / call[s]:.3f}" for s, c in costs.items())]
        for name, costs in found.items()
    ]
    for section, rows in ("overhead", whole), ("own", own):
        print(f"\n{section}\n{table(header, rows)}")
        if write:
            rewrite(PAGE, section, table(header, rows))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
