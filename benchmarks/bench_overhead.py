"""What `hrdis bench` costs beside its solvers: a run of the benchmark over the same solver called directly.

    python benchmarks/bench_overhead.py
    python benchmarks/bench_overhead.py --crop 0 --rounds 1

Both are done in turns, unit by unit, in one process, so that a machine that slows down slows both. The benchmark's side
is all that happens to a unit: reading and measuring the picture, restoring, scoring, writing PNGs and the row, flushed to
the disk. CPU time is what the process spent; wall time includes waiting for the disk.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
import tyro

import hrdis
from hrdis.bench import data
from hrdis.bench.methods import Feasible, Network, Options
from hrdis.bench.plan import expand, model_cell, narrowed, wanted
from hrdis.bench.problems import Poser
from hrdis.bench.run import Work
from hrdis.bench.store import Store
from hrdis.priors.checkpoints import weights_sha256


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
    model, truth = model_cell(options, network, pictures[0]), data.prepare(pictures[0].path, 256, crop)
    tables = [(narrowed(table, tasks, solvers, ""), "") for table, _ in wanted([9], [])]
    plan = expand(tables, pictures, options, network, Feasible(truth, prior, Poser(), model))
    ratios: dict[str, list[float]] = {"CPU": [], "wall": []}
    for k in range(rounds + 1):  # the first is a rehearsal
        with tempfile.TemporaryDirectory() as folder:
            store = Store.create(Path(folder) / "run", plan.config)
            worker = work.open(store)
            spent = {side: {"CPU": 0.0, "wall": 0.0} for side in ("bench", "solver")}
            for unit in plan.units:
                (cell,) = unit.cells
                problem, solver = Poser().pose(unit.cells, data.prepare(pictures[cell.index].path, 256, crop)), cell.method()
                for side, action in (
                    ("bench", lambda unit=unit: [store.append(row) for row in worker(unit)]),
                    ("solver", lambda: hrdis.solve(solver, worker.prior, problem, seeds=[cell.draw_seed()])),
                ):
                    cpu, wall = time.process_time(), time.perf_counter()
                    action()
                    spent[side]["CPU"] += time.process_time() - cpu
                    spent[side]["wall"] += time.perf_counter() - wall
        if k:
            for clock, found in ratios.items():
                found.append(spent["bench"][clock] / spent["solver"][clock])
    each = 1000 * spent["solver"]["CPU"] / len(plan.units)
    print(f"{len(plan.units)} cells of {truth.shape[-1]} x {truth.shape[-1]}, {each:.0f} ms of solver each (CPU)")
    for clock, found in ratios.items():
        print(f"{clock}: {statistics.median(found):.4f} ({min(found):.4f} to {max(found):.4f})")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
