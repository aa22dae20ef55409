"""Which solver, from which level, with how many calls, for measurements beside the usual repairs?

    python studies/auto_rows.py --photos shared/photos/train --minutes 9   (again until it says so)

Every trial is a line of docs/data/auto.csv; one that is there is not made again. The rows [[auto]]
of the embedded prior's presets.toml whose search is "auto" are set by hand from it.
"""

import time
import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
import tyro
from common.measurements import SCANS, classical, grey, level, measured
from common.pages import DOCS, table
from common.photographs import pictures, random_crops, score
from common.rows import read, write
from torch import Tensor

import hrdis
from hrdis.arguments import able
from hrdis.solvers import CM4IR, DDNM, FIRE, DDNMPlus, DiffPIR, Solver
from hrdis.training.trials import brief

CSV = DOCS / "data" / "auto.csv"
FEW = [FIRE(steps=n, start=t) for n in (5, 10, 20) for t in (100, 200, 300)]
LONG = [FIRE(steps=n, start=300) for n in (20, 40, 60, 100)]
LONG += [CM4IR(steps=n, start=t) for n in (60, 100) for t in (120, 200)]
#: What is tried, by task and noise.
TRIALS: dict[tuple[str, str], list[Solver]] = {
    ("mri4", "none"): [CM4IR(steps=20, start=t) for t in (100, 200, 400)] + FEW[-2:],
    ("mri4", "0.05"): [*(FIRE(steps=n, start=200) for n in (5, 10, 20)), CM4IR(start=200)],
    ("cs25", "none"): [*LONG, DDNM(steps=20, start=400)],
    ("cs25", "0.05"): [*LONG, DDNMPlus(steps=20, start=400)],
    ("cs10", "none"): LONG,
    ("cs10", "0.05"): LONG,
    ("cs-walsh4", "none"): LONG,
    ("cs-walsh4", "0.05"): LONG,
    ("hdr", "none"): [
        *(DiffPIR(steps=n, start=t) for n, t in ((5, 200), (20, 200), (50, 300), (100, 300))),
        CM4IR(steps=20, start=300),
    ],
    ("hdr", "0.05"): [DiffPIR(steps=n, start=200) for n in (5, 10, 20)] + [CM4IR(start=100)],
    ("quantize", "0.05"): [DiffPIR(steps=n, start=200) for n in (5, 10, 20, 50)]
    + [CM4IR(steps=8, start=100)],
    ("quantize", "0.1"): [DiffPIR(steps=n, start=200) for n in (5, 10, 20, 50)]
    + [CM4IR(steps=8, start=100)],
    ("jpeg10", "0.05"): [CM4IR(steps=n, start=100) for n in (5, 8, 20)]
    + [DiffPIR(steps=20, start=200)],
    ("jpeg10", "0.1"): [CM4IR(steps=8, start=100), DiffPIR(steps=20, start=200)],
    ("inpaint", "0.05"): FEW,
    ("inpaint-scratches", "0.05"): FEW,
    ("inpaint-box", "0.1"): FEW,
    ("inpaint-30-40", "0.1"): FEW,
    ("inpaint-scratches", "0.1"): FEW,
    ("sr4", "0.1"): [DDNMPlus(steps=20, start=t) for t in (100, 200, 400)] + FEW[-2:],
    ("sr8", "0.1"): [DDNMPlus(steps=20, start=t) for t in (100, 200, 400)] + FEW[-2:],
    ("deblur-gauss", "rounded"): FEW,
    ("deblur-uniform", "rounded"): FEW,
    ("deblur-aniso", "rounded"): FEW,
}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One solver on all crops; dB over a classical method, of the mean and of the pooled error."""

    task: str
    noise: str
    settings: str
    classical: float
    psnr: float
    gain: float
    gain_pooled: float


def problem_of(task: str, noise: str, x: Tensor) -> hrdis.Problem:
    """A measurement; "rounded" to grey levels, as a file of 8 bits has it."""
    if noise != "rounded":
        return measured(task, x, noise)
    exact = measured(task, x)
    y = ((exact.y + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    return hrdis.Problem(y, exact.A, hrdis.noise.Gaussian(1 / 255 / 12**0.5).sigma_y)


def main(photos: Path, crops: int = 6, minutes: float = 9) -> None:
    """Try all, and print them.

    Args:
        photos: training photographs.
        crops: one of 64 x 64 of each of so many.
        minutes: begin no trial after so long; another call goes on where this one stopped.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    deadline = time.perf_counter() + 60 * minutes
    prior, files = hrdis.load_prior("default", dtype=torch.bfloat16), pictures(photos)
    x = random_crops([files[k * len(files) // crops] for k in range(crops)], 64, seed=3)
    trials, left = read(CSV, Trial), 0
    known = {(t.task, t.noise, t.settings) for t in trials}
    for (task, noise), solvers in TRIALS.items():
        wanted = [s for s in solvers if (task, noise, brief(s)) not in known]
        if not wanted:
            continue
        problem = problem_of(task, noise, x)
        truth = grey(x) if task in SCANS else x
        sigma = 0.0 if noise == "rounded" else level(noise)
        answer = score(classical(task, problem, sigma)[1], truth)
        for solver in wanted:
            if time.perf_counter() > deadline:
                left += 1
                continue
            if type(solver) not in able(problem):
                continue
            found = hrdis.solve(solver, prior, problem, seeds=range(crops)).x
            own = score(grey(found) if task in SCANS else found, truth)
            trials.append(
                Trial(
                    task, noise, brief(solver), round(answer.psnr, 2), round(own.psnr, 2),
                    round(own.psnr - answer.psnr, 2), round(own.pooled - answer.pooled, 2),
                )
            )  # fmt: skip
            write(CSV, Trial, trials)
    lines = [list(asdict(trial).values()) for trial in trials]
    print(table([f.name for f in fields(Trial)], lines))
    print("All tried." if not left else f"{left} trials left.")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
