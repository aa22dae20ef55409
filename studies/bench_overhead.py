"""What `hrdis bench` costs beside its solvers: a run of the benchmark over the same solver called
directly.

    python studies/bench_overhead.py
    python studies/bench_overhead.py --crop 0 --rounds 1

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
from hrdis.bench.plan import (
    DataPicture,
    FeasibilityCheck,
    Plan,
    PlanOptions,
    PriorIdentity,
    ProblemMaker,
    WorkerSpec,
    expand,
    find_pictures,
    model_task,
    paper_tables,
    read_sized,
    select_columns,
)
from hrdis.bench.records import Unit
from hrdis.bench.run import Store
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
    plan: Plan, spec: WorkerSpec, store: Store, pictures: list[DataPicture], instant: bool = False
) -> tuple[Spent, Spent]:
    """Do every unit as the benchmark does, and its solver alone."""
    worker = spec.open(store)
    if instant:
        worker.prior = Instant(worker.prior)
    ours, theirs = Spent(), Spent()

    def unit_of_work(unit: Unit) -> None:
        for row in worker(unit):
            assert row["status"] == "ok", row["error"]
            store.append(row)

    for unit in plan.units:
        (task,) = unit.tasks
        truth = read_sized(pictures[task.index].path, task.size, task.crop)
        problem = ProblemMaker().problem_of(unit.tasks, truth)
        ours.time(partial(unit_of_work, unit))
        theirs.time(
            partial(hrdis.solve, task.method(), worker.prior, problem, seeds=[task.draw_seed()])
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
    pictures = find_pictures(limit=limit)
    options = PlanOptions(crop=crop, precision=precision)  # type: ignore[arg-type]
    files = {picture.sha256: str(picture.path) for picture in pictures}
    spec = WorkerSpec("default", precision, "cpu", files)
    prior = hrdis.load_prior("default")
    identity = PriorIdentity(prior.name, weights_sha256("default"), prior.presets, prior.schedule)
    model = model_task(options, identity, pictures[0])
    truth = read_sized(pictures[0].path, 256, crop)
    tables = [(select_columns(t, tasks, solvers, ""), "") for t, _ in paper_tables([9], [])]
    check = FeasibilityCheck(truth, prior, ProblemMaker(), model)
    plan = expand(tables, pictures, options, identity, check.why_not)
    ratios: dict[str, list[float]] = {"CPU": [], "wall": []}
    for k in range(rounds + 1):  # the first is a rehearsal
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = in_turns(
                plan, spec, Store.create(Path(folder) / "run", plan.config), pictures
            )
        if k:
            for clock, found in ratios.items():
                found.append(ours[clock] / theirs[clock])
    with tempfile.TemporaryDirectory() as folder:
        busy, idle = in_turns(
            plan, spec, Store.create(Path(folder) / "run", plan.config), pictures, instant=True
        )
    own = 1000 * (busy["CPU"] - idle["CPU"]) / len(plan.units)
    each = 1000 * theirs["CPU"] / len(plan.units)
    print(
        f"{len(plan.units)} restorations of {truth.shape[-1]} x {truth.shape[-1]}, {each:.0f} ms "
        f"of solver each (CPU), {own:.1f} ms of benchmark"
    )
    for clock, found in ratios.items():
        print(f"{clock}: {statistics.median(found):.4f} ({min(found):.4f} to {max(found):.4f})")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
