"""What `hrdis bench` costs beside its solvers: a run of the benchmark over the same solver called
directly.

    python benchmarks/bench_overhead.py
    python benchmarks/bench_overhead.py --crop 0 --rounds 1

Both are done in turns, unit by unit, in one process, so that a machine that slows down slows both.
The benchmark's side is all that happens to a unit: reading and measuring the picture, restoring,
scoring, writing PNGs and the row, flushed to the disk. CPU time is what the process spent; wall
time includes waiting for the disk.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import tyro
from torch import Tensor

import hrdis
from hrdis.bench import data
from hrdis.bench.cells import Unit
from hrdis.bench.methods import Feasible, Network, Options
from hrdis.bench.plan import Plan, expand, model_cell, narrowed, wanted
from hrdis.bench.problems import Poser
from hrdis.bench.run import Work
from hrdis.bench.store import Store
from hrdis.checkpoints import weights_sha256
from hrdis.priors import Prediction


class Spent(dict[str, float]):
    """Seconds of the process and of the clock on the wall, added up."""

    def time(self, action: Callable[[], object]) -> None:
        """Do it, and add what it took."""
        cpu, wall = time.process_time(), time.perf_counter()
        action()
        self["CPU"] = self.get("CPU", 0) + time.process_time() - cpu
        self["wall"] = self.get("wall", 0) + time.perf_counter() - wall


def in_turns(
    plan: Plan, work: Work, store: Store, pictures: list[data.Picture], instant: bool = False
) -> tuple[Spent, Spent]:
    """Do every unit as the benchmark does, and its solver alone."""
    worker = work.open(store)
    if instant:
        worker.prior = Instant(worker.prior)
    ours, theirs = Spent(), Spent()

    def unit_of_work(unit: Unit) -> None:
        for row in worker(unit):
            assert row["status"] == "ok", row["error"]
            store.append(row)

    for unit in plan.units:
        (cell,) = unit.cells
        problem = Poser().pose(
            unit.cells, data.prepare(pictures[cell.index].path, cell.size, cell.crop)
        )
        ours.time(partial(unit_of_work, unit))
        theirs.time(
            partial(hrdis.solve, cell.method(), worker.prior, problem, seeds=[cell.draw_seed()])
        )
    return ours, theirs


class Instant(hrdis.Prior):
    """A network that costs nothing."""

    def __init__(self, prior: hrdis.Prior):
        super().__init__()
        self.schedule, self.channels = prior.schedule, prior.channels

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        return Prediction(x_t, x_t)


def main(
    tasks: tuple[str, ...] = ("inpaint", "sr4"),
    solvers: tuple[str, ...] = ("ddnm", "hrdis"),
    crop: int = 64,
    limit: int = 1,
    rounds: int = 3,
    precision: str = "bf16",
) -> None:
    """Measure.

    Args:
        tasks: of Table 9.
        solvers: rows of Table 9.
        crop: side of the pictures; 0 is 256.
        limit: photographs.
        rounds: runs, each into a folder of its own; the ratio is their median.
        precision: of the network.
    """
    torch.set_num_threads(1)
    pictures = data.find(limit=limit)
    options = Options(crop=crop, precision=precision)  # type: ignore[arg-type]
    work = Work("default", precision, "cpu", {p.sha256: str(p.path) for p in pictures})
    prior = hrdis.load_prior("default")
    network = Network(prior.name, weights_sha256("default"), prior.presets, prior.schedule)
    model, truth = (
        model_cell(options, network, pictures[0]),
        data.prepare(pictures[0].path, 256, crop),
    )
    tables = [(narrowed(table, tasks, solvers, ""), "") for table, _ in wanted([9], [])]
    plan = expand(tables, pictures, options, network, Feasible(truth, prior, Poser(), model))
    ratios: dict[str, list[float]] = {"CPU": [], "wall": []}
    for k in range(rounds + 1):  # the first is a rehearsal
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = in_turns(
                plan, work, Store.create(Path(folder) / "run", plan.config), pictures
            )
        if k:
            for clock, found in ratios.items():
                found.append(ours[clock] / theirs[clock])
    with tempfile.TemporaryDirectory() as folder:
        busy, idle = in_turns(
            plan, work, Store.create(Path(folder) / "run", plan.config), pictures, instant=True
        )
    own = 1000 * (busy["CPU"] - idle["CPU"]) / len(plan.units)
    each = 1000 * theirs["CPU"] / len(plan.units)
    print(
        f"{len(plan.units)} cells of {truth.shape[-1]} x {truth.shape[-1]}, {each:.0f} ms of "
        f"solver each (CPU), {own:.1f} ms of benchmark"
    )
    for clock, found in ratios.items():
        print(f"{clock}: {statistics.median(found):.4f} ({min(found):.4f} to {max(found):.4f})")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
