"""Peak memory of every solver over that of the bare network, on a CPU.

    python studies/memory.py  # rewrites the memory table of measurements/speed.md
    python studies/memory.py --side 128 --no-write

Each solver restores one picture (x4 enlargement, three steps) in a process of its own; the peak is
the process's largest resident set, less what it held with the prior loaded. The bare network,
called three times, is measured alike.
"""

import json
import resource
import subprocess
import sys

import torch
import tyro
from common.pages import DOCS, rewrite, table

import hrdis
from hrdis.problem import Problem

PAGE = DOCS / "measurements" / "speed.md"
LEFT_OUT = (
    "cmhrdis",
    "blindhrdis",
)  # they need a consistency model, and an operator with unknown parameters


def settings(name: str) -> hrdis.Solver:
    """Three steps from low noise, of any solver."""
    cls = hrdis.SOLVERS[name][0]
    return (
        cls(steps=3, start=200, ode_steps=2, langevin_steps=3)
        if name == "daps"
        else cls(steps=3, start=200)
    )  # type: ignore[call-arg]


def peak(name: str, side: int) -> float:
    """MiB that one run adds to a process with the prior loaded; "network" is the bare network."""
    torch.set_num_threads(1)
    prior = hrdis.load_prior("default")
    with torch.no_grad():
        prior(torch.zeros(1, 3, 32, 32), 100)  # what the first call allocates for good
    problem = Problem(torch.zeros(1, 3, side // 4, side // 4), hrdis.operators.SuperResolution(4))
    before = _resident()
    if name == "network":
        with torch.no_grad():
            for _ in range(3):
                prior(torch.zeros(1, 3, side, side), 100)
    else:
        hrdis.solve(settings(name), prior, problem, seeds=[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main(side: int = 256, write: bool = True, only: str = "") -> None:
    """Measure.

    Args:
        side: of the picture, in pixels.
        write: rewrite the memory table of docs/measurements/speed.md.
        only: measure this one here and print it as JSON (how the script calls itself).
    """
    if only:
        print(json.dumps(peak(only, side)))
        return
    found = {}
    for name in ("network", *(n for n in hrdis.SOLVERS if n not in LEFT_OUT)):
        command = [sys.executable, __file__, "--side", str(side), "--only", name]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[name] = float(out.splitlines()[-1])
        print(
            f"{name}: {found[name]:.0f} MiB, {found[name] / found['network']:.2f} of the bare "
            "network",
            flush=True,
        )
    rows = [
        [
            "bare network" if n == "network" else hrdis.SOLVERS[n][0].__name__,
            f"{v:.0f}",
            f"{v / found['network']:.2f}",
        ]
        for n, v in found.items()
    ]
    text = table(["solver", f"MiB at {side} x {side}", "over the bare network"], rows)
    if write:
        rewrite(PAGE, "memory", text)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
