"""Search settings of the samplers for a prior, on its own training photographs: never on pictures it is judged by.

    python benchmarks/search_samplers.py --photos FOLDER                          # the embedded prior, all of GRID
    python benchmarks/search_samplers.py --photos FOLDER --solvers ddrm dps

A grid per solver on the five problems of gallery.py; the criterion is that of search_presets.py. Every trial becomes a
line of docs/data/samplers.csv, and the best per problem and solver is printed.
"""

import csv
import itertools
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import tyro
from gallery import CASES, Case
from pages import DOCS
from photographs import pictures, random_crops, score
from search_presets import brief, gain, try_out

import hrdis
from hrdis.solvers import Solver

Values = dict[str, tuple[object, ...]]

LOW = (100, 200)
GRID: dict[str, Values] = {
    "ddrm": {"start": LOW, "eta": (0.85, 1.0), "steps": (40,)},
    "ddnm": {"start": LOW, "eta": (0.85, 1.0), "steps": (40,)},
    "ddnmplus": {"start": LOW, "eta": (0.85, 1.0), "steps": (40,)},
    "dds": {"start": LOW, "eta": (1.0,), "gamma": (1.0, 5.0), "steps": (40,)},
    "diffpir": {"start": LOW, "zeta": (0.3, 1.0), "lam": (1.0, 8.0), "steps": (40,)},
    "fps": {"start": LOW, "c": (0.95, 0.99), "steps": (40,)},
    "gdp": {"start": (100,), "kappa": (0.1, 0.3, 1.0), "steps": (40,)},
    "pigdm": {"start": (100, 200), "form": ("paper", "score"), "hard_replace": (False, True), "steps": (40,)},
    "mmps": {"start": (100, 200), "cg_steps": (1, 3), "steps": (40,)},
    "dps": {"start": (100,), "zeta": (1.0, 3.0, 10.0), "steps": (40,), "reference_side": (64,)},
    "daps": {
        "start": (100, 200), "lr": (5e-5,), "tau": (0.01, 0.05), "steps": (10,), "ode_steps": (4,),
        "langevin_steps": (20,), "sigma_min": (0.02,),
    },
}  # fmt: skip


def candidates(name: str) -> Iterator[Solver]:
    """Every point of a solver's grid."""
    cls, values = hrdis.SOLVERS[name][0], GRID[name]
    for chosen in itertools.product(*values.values()):
        yield cls(**dict(zip(values, chosen, strict=True)))  # type: ignore[call-arg]


def search(case: Case, name: str, prior: hrdis.Prior, x: torch.Tensor) -> list[list[object]]:
    """Try a solver's grid on a problem; rows, the best first."""
    n, side = len(x), x.shape[-1]
    noise = hrdis.noise.Gaussian(case.noise) if case.noise else None
    problem = hrdis.measure(case.operator(n, side), x, noise, seeds=range(n))
    base = score(case.baseline(problem), x)
    rows: list[list[object]] = []
    for solver in candidates(name):
        started = time.perf_counter()
        try:
            found = try_out(solver, prior, problem, x)
        except (TypeError, ValueError) as error:
            print(f"{case.name}, {name}: {error}")
            return []
        value = gain(found, base, noisy=case.noise > 0)
        rows.append([case.name, name, brief(solver), f"{value:.3f}", f"{found['psnr_one'] - base.psnr:.3f}",
                     f"{found['psnr_mean_of_8'] - base.psnr:.3f}", f"{time.perf_counter() - started:.1f}"])  # fmt: skip
    rows = sorted((r for r in rows if r[3] != "nan"), key=lambda r: -float(str(r[3])))
    for row in rows[:3]:
        print(*row, flush=True)
    return rows


def main(
    photos: Path,
    prior: str = "default",
    solvers: tuple[str, ...] = tuple(GRID),
    problems: tuple[str, ...] = tuple(case.name for case in CASES),
    images: int = 6,
    side: int = 64,
) -> None:
    """Search.

    Args:
        photos: training photographs.
        prior: "default" or a folder.
        solvers: keys of GRID.
        problems: names of gallery.CASES.
        images: pictures, one crop of each.
        side: of the crops.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    model = hrdis.load_prior(prior, dtype=torch.bfloat16)
    x = random_crops(pictures(photos, images), side, 0)
    file = DOCS / "data" / "samplers.csv"
    rows: list[list[object]] = []
    for case in (case for case in CASES if case.name in problems):
        for name in solvers:
            rows += search(case, name, model, x)
            with file.open("w", newline="") as out:
                header = ["problem", "solver", "settings", "gain", "one", "mean_of_8", "seconds"]
                csv.writer(out).writerows([header, *rows])


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
