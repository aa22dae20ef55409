"""What a solver costs beside its network: processor time by part, traffic with the host, memory.

    python studies/speed.py  # everything; rewrites measurements/speed.md and data/speed.csv
    python studies/speed.py --solvers hrdis dps --sides 64 --batches 1 --no-write

Shares are ratios of processor time inside one process: the clock stops at the network's door, in
the same run, so that a machine that slows down slows both sides of the ratio. Every figure is the
median over the rounds; the first run of each case is a rehearsal.
"""

import csv
import ctypes
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import weakref
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from common.clock import Parts, parts_of, problem_for, settings
from common.pages import DOCS, rewrite, table
from PIL import Image
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import hrdis
from hrdis.priors import Tiled
from hrdis.rng import ImageRNG, stream

PAGE = DOCS / "measurements" / "speed.md"
ROWS = DOCS / "data" / "speed.csv"
PLOT = DOCS / "pictures" / "speed.png"
#: The bounds that the project set itself, per cent of the network's time, by side.
BOUNDS = {64: 3.0}
BOUND = 2.0  # from 128 pixels up
FIELDS = ("solver", "side", "batch", "calls", "own_percent", "network_ms", "operator_ms")
FIELDS += ("noise_ms", "solver_ms")
#: They differentiate through the network and keep its activations.
DIFFERENTIATE = ("dps", "pigdm", "mmps")

Row = dict[str, Any]


def measure(name: str, side: int, batch: int, calls: int, rounds: int, prior: Any) -> Row:
    """Run a solver several times and return the medians, milliseconds per network call."""
    problem, solver = problem_for(name, side, batch), settings(name, calls)
    runs: list[Parts] = []
    for k in range(rounds + 1):
        parts = parts_of(solver, prior, problem)
        if k or not rounds:
            runs.append(parts)

    def per_call(part: str) -> float:
        return statistics.median(1000 * getattr(run, part) / run.calls for run in runs)

    return {
        "solver": type(solver).__name__,
        "side": side,
        "batch": batch,
        "calls": runs[0].calls,
        "own_percent": round(100 * statistics.median(run.own for run in runs), 2),
        "network_ms": round(per_call("network"), 3),
        "operator_ms": round(per_call("operator"), 3),
        "noise_ms": round(per_call("noise"), 3),
        "solver_ms": round(per_call("solver"), 3),
    }


# ---- traffic with the host ----------------------------------------------------------------------


class Reads(TorchDispatchMode):
    """Counter of numbers that the host reads from what depends on the measurement.

    On a GPU each would make the host wait; numbers of the schedule lie on the host already.
    """

    def __init__(self, y: Tensor):
        super().__init__()
        self.count = 0
        self._known: set[int] = set()
        self._note(y)

    def _note(self, value: Tensor) -> None:
        storage = value.untyped_storage()
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)
            weakref.finalize(storage, self._known.discard, storage._cdata)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = [v for v in tree_leaves((args, kwargs)) if isinstance(v, Tensor)]
        if any(value.untyped_storage()._cdata in self._known for value in given):
            self.count += func is torch.ops.aten._local_scalar_dense.default
            for value in tree_leaves(out):
                if isinstance(value, Tensor):
                    self._note(value)
        return out


def traffic(name: str, prior: hrdis.Prior, calls: int) -> tuple[int, int, int]:
    """Return the reads, the draws (each an upload, unless they are drawn ahead) and the network
    calls of the solver alone.
    """
    problem, solver = problem_for(name, 32, 1), settings(name, calls)
    draws = 0

    class Counted(ImageRNG):
        def randn(self, shape: Any, like: Tensor | None = None) -> Tensor:
            nonlocal draws
            draws += 1
            return super().randn(shape, like)

    times = solver.times(prior.schedule)
    with Reads(problem.y) as reads:
        for _ in solver.run(prior, problem, times, Counted([0], "solve")):
            pass
    return reads.count, draws, solver.calls(times, prior.schedule)


# ---- memory -------------------------------------------------------------------------------------


def peak(name: str, side: int, batch: int) -> tuple[float, float]:
    """Return the MiB that a run adds to a process with the prior loaded, and its wall time."""
    prior = hrdis.load_prior("default")
    with torch.no_grad():
        prior(torch.zeros(1, 3, 32, 32), 100)  # what the first call allocates for good
    work = None if name == "network" else problem_for(name, side, batch)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = _status("VmRSS"), time.perf_counter()
    if name == "network":
        with torch.no_grad():
            for _ in range(3):
                prior(torch.zeros(batch, 3, side, side), 100)
    else:
        hrdis.solve(settings(name, 3), prior, work, seeds=range(batch))
    return _status("VmHWM") - before, time.perf_counter() - started


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/self/status has no {key}. A Linux machine is expected.")


def apart(name: str, side: int, batch: int) -> tuple[float, float]:
    """Return `peak` of a process of its own."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found: tuple[float, float] = pool.apply(peak, (name, side, batch))
    return found


def large(height: int, width: int) -> tuple[float, float]:
    """Return the peak in GB of `hrdis restore --task denoise` on a noisy picture, and its wall
    time from shell to file.
    """
    grey = np.linspace(64, 192, width)[None, :, None]
    noise = stream(0, "speed").standard_normal((height, width, 3), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "noisy.png"
        Image.fromarray((grey + 25 * noise).clip(0, 255).astype(np.uint8)).save(given)
        command = [sys.executable, "-m", "hrdis", "restore", given, "--task", "denoise"]
        command += ["--noise", "25", "-o", f"{folder}/denoised.png"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        assert status == 0
        return used.ru_maxrss * 1024 / 1e9, time.perf_counter() - started


# ---- the page -----------------------------------------------------------------------------------


def machine() -> str:
    """Name the processor, its cores and the load of the moment."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{model}, {os.cpu_count()} cores, one thread, torch {torch.__version__}, Python "
        f"{platform.python_version()}; load {os.getloadavg()[0]:.1f} when the study began, other "
        "programs ran meanwhile."
    )


def own_table(rows: list[Row], sides: tuple[int, ...], batches: tuple[int, ...]) -> str:
    """Tabulate the own cost of every solver, in per cent of its network's time."""
    cells = {(row["solver"], row["side"], row["batch"]): row["own_percent"] for row in rows}
    names = list(dict.fromkeys(row["solver"] for row in rows))
    cases = [(s, b) for b in batches for s in sides if any((n, s, b) in cells for n in names)]
    header = ["solver", *(f"{s} px, batch {b}" for s, b in cases)]
    lines = []
    for name in names:
        found = [cells.get((name, *case)) for case in cases]
        lines.append([name, *("-" if value is None else f"{value:.1f} %" for value in found)])
    return table(header, lines)


def parts_table(rows: list[Row], side: int) -> str:
    """Tabulate the parts of one size, batch 1, in milliseconds per network call."""
    lines = []
    for row in rows:
        if (row["side"], row["batch"]) == (side, 1):
            keys = ("network_ms", "operator_ms", "noise_ms", "solver_ms")
            lines.append([row["solver"], *(f"{row[key]:.2f}" for key in keys)])
    return table(["solver", "network", "operator", "noise", "solver and driver"], lines)


def answer(rows: list[Row]) -> str:
    """Summarize in sentences: the range of own costs, and how many solvers keep the bound."""
    said = []
    for side in sorted({row["side"] for row in rows}):
        found = [row["own_percent"] for row in rows if (row["side"], row["batch"]) == (side, 1)]
        bound = BOUNDS.get(side, BOUND)
        kept = sum(value <= bound for value in found)
        said.append(
            f"At {side} x {side} a solver adds {min(found):.1f} to {max(found):.1f} % to the time "
            f"of its network; {kept} of {len(found)} keep the bound of {bound:g} %."
        )
    return "\n".join(said)


def plot(rows: list[Row]) -> None:
    """Draw the own cost of every solver by the side of the picture, batch 1."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["solver"] for row in rows))
    figure, axes = plt.subplots(figsize=(7, 0.3 * len(names) + 1.2))
    for side, marker in zip(sorted({row["side"] for row in rows}), "os^D", strict=False):
        chosen = [row for row in rows if (row["side"], row["batch"]) == (side, 1)]
        places = [names.index(row["solver"]) for row in chosen]
        values = [row["own_percent"] for row in chosen]
        axes.plot(values, places, marker, label=f"{side} px", ms=5)
    axes.axvline(BOUND, color="grey", lw=0.8, ls="--", label=f"{BOUND:g} %")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("own cost, % of the network's processor time")
    axes.legend(fontsize=8)
    axes.grid(axis="x", lw=0.3)
    figure.tight_layout()
    figure.savefig(PLOT, dpi=110)
    plt.close(figure)


def main(
    solvers_to_run: Annotated[tuple[str, ...], tyro.conf.arg(name="solvers")] = tuple(
        hrdis.SOLVERS
    ),
    sides: tuple[int, ...] = (64, 128, 256, 512),
    batches: tuple[int, ...] = (1, 8),
    calls: int = 8,
    rounds: int = 3,
    largest: int = 8 * 128**2,
    sections: tuple[str, ...] = ("own", "traffic", "memory", "samples", "large"),
    write: bool = True,
) -> None:
    """Measure every solver.

    Args:
        solvers_to_run: keys of hrdis.SOLVERS.
        sides: image sides.
        batches: images at once.
        calls: steps per run; half of them above 128 pixels.
        rounds: runs per case; one above 128 pixels or for a batch.
        largest: pixels of a batch, above which only single images are run.
        sections: of own, traffic, memory, samples, large.
        write: rewrite the page, its picture and the CSV file.
    """
    torch.set_num_threads(1)
    about = machine()
    prior: Any = hrdis.load_prior("default")
    publish = partial(_publish, write)
    if "own" in sections:
        publish("machine", about)
    if "memory" in sections:
        header = ["solver", "batch 1: MiB", "over the network", "batch 8: MiB", "over the network"]
        lines: list[list[str]] = []
        network = [apart("network", 128, batch)[0] for batch in (1, 8)]
        for name in ("network", *solvers_to_run):
            line = ["bare network" if name == "network" else hrdis.SOLVERS[name][0].__name__]
            for of_network, batch in zip(network, (1, 8), strict=True):
                used = of_network if name == "network" else apart(name, 128, batch)[0]
                line += [f"{used:.0f}", f"{used / of_network:.2f}"]
            lines.append(line)
            print(line, flush=True)
        publish("memory", table(header, lines))
    if "large" in sections:
        used, seconds = large(3000, 4000)
        tiled = Tiled(prior)
        (th, tops), (tw, lefts) = tiled.layout(3000), tiled.layout(4000)
        count = len(tops) * len(lefts)
        line = ["4000 x 3000", f"{count} of {tw} x {th}", f"{count * th * tw / 12e6:.2f} times"]
        line += [f"{used:.2f} GB", f"{seconds:.0f} s"]
        header = ["photograph", "tiles", "pixels computed", "memory in all", "wall time"]
        publish("large", table(header, [line]))
    if "traffic" in sections:
        lines = []
        for name in solvers_to_run:
            reads, draws, made = traffic(name, prior, calls)
            title = hrdis.SOLVERS[name][0].__name__
            lines.append([title, f"{reads / made:.2f}", f"{draws / made:.2f}"])
        publish("traffic", table(["solver", "reads per call", "draws per call"], lines))
    rows: list[Row] = []
    if "own" in sections:
        for batch in batches:
            for side in sides:
                if batch > 1 and batch * side**2 > largest:
                    continue
                few = side > 128
                for name in solvers_to_run:
                    steps = max(2, calls // 2) if few else calls
                    again = 1 if few or batch > 1 else rounds
                    rows.append(measure(name, side, batch, steps, again, prior))
                    print(rows[-1], flush=True)
        publish("own", own_table(rows, sides, batches))
        publish("parts", parts_table(rows, 256 if 256 in sides else sides[-1]))
        publish("answer", answer(rows))
        if write:
            with ROWS.open("w", newline="") as file:
                writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            plot(rows)
    if "samples" in sections:
        lines = []
        for side in (64, 256):
            one, eight = [], []
            for _ in range(rounds):  # in turns
                one.append(_seconds_of(side, 1, prior))
                eight.append(_seconds_of(side, 8, prior))
            ratio = statistics.median(b / a for a, b in zip(one, eight, strict=True))
            lines.append([f"{side} x {side}", f"{ratio:.2f}"])
        publish("samples", table(["picture", "time of 8 samples over one"], lines))


def _publish(write: bool, section: str, text: str) -> None:
    print(f"\n{section}\n{text}", flush=True)
    if write:
        rewrite(PAGE, section, text)


def _seconds_of(side: int, samples: int, prior: hrdis.Prior) -> float:
    """Seconds in which `hrdis.restore` enlarges a picture with HRDIS, without loading."""
    y = torch.zeros(1, 3, side // 4, side // 4) + torch.linspace(-1, 1, side // 4)
    solver = hrdis.HRDIS(steps=4)
    return hrdis.restore(y, "upscale", scale=4, solver=solver, prior=prior, samples=samples).seconds


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
