"""What a solver costs beside its network: seconds per image over (network calls x one bare network call).

    python benchmarks/overhead.py                        # all solvers; rewrites the table of docs/speed.md

Solver and bare network take turns in the same process, and the ratio is taken between neighbours, so that a machine that
slows down slows both. Without weights the network is drawn at random: what it predicts does not change its cost.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro
from pages import DOCS, rewrite, table

import hrdis
from hrdis.operators.base import Problem
from hrdis.priors.unet import UNetPrior, build_unet
from hrdis.solvers import Solver

PAGE = DOCS / "speed.md"
SIZE = {  # of the embedded prior
    "sample_size": 64, "in_channels": 3, "out_channels": 3, "block_out_channels": (32, 64, 96, 128), "layers_per_block": 1,
    "down_block_types": ("DownBlock2D",) * 4, "up_block_types": ("UpBlock2D",) * 4, "add_attention": False, "norm_num_groups": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Seconds of one network call, and what solving costs over it; medians over the rounds, with the extremes."""

    seconds: float
    ratio: float
    low: float
    high: float


def cpu_seconds(work: Callable[[], object]) -> float:
    """Time the process spent, which other programs on the machine change least."""
    started = time.process_time()
    work()
    return time.process_time() - started


def compare(solver: Solver, prior: UNetPrior, problem: Problem, rounds: int) -> Cost:
    """Solve and call the bare network in turns."""
    b, times = len(problem.y), solver.times(prior.schedule)[:-1]
    x = torch.zeros(problem.image_shape).contiguous(memory_format=torch.channels_last)

    def bare() -> None:
        for t in times:
            prior.net(x, torch.full((b,), t))

    def solve() -> None:
        assert hrdis.solve(solver, prior, problem, seeds=range(b)).nfe == len(times)

    solve()
    before, ratios, calls = cpu_seconds(bare), [], []
    for _ in range(rounds):
        took, after = cpu_seconds(solve), cpu_seconds(bare)
        ratios.append(2 * took / (before + after))
        calls.append(after / len(times))
        before = after
    return Cost(statistics.median(calls), statistics.median(ratios), min(ratios), max(ratios))


def main(
    solvers_to_run: Annotated[tuple[str, ...], tyro.conf.arg(name="solvers")] = tuple(hrdis.SOLVERS),
    sides: tuple[int, ...] = (64, 128, 256),
    calls: int = 10,
    rounds: int = 5,
    write: bool = True,
) -> None:
    """Measure every solver's own cost.

    Args:
        solvers_to_run: keys of hrdis.SOLVERS.
        sides: image sides.
        calls: network calls per run.
        rounds: how often solver and network take turns.
        write: rewrite docs/speed.md.
    """
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
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
    rows = [
        [name, *(f"{c.ratio:.3f} ({c.low:.3f} to {c.high:.3f})" for c in costs.values())] for name, costs in found.items()
    ]
    bare = {side: statistics.median(c[side].seconds for c in found.values()) for side in sides}
    rows.append(["one bare network call", *(f"{1000 * s:.0f} ms" for s in bare.values())])
    text = table(["solver", *(f"{side} x {side}" for side in sides)], rows)
    print(text)
    if write:
        rewrite(PAGE, "overhead", text)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
