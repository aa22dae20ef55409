"""Which solver, from which level, with how many calls, should `auto` take?

    python studies/auto_rows.py --photos shared/photos/train --minutes 9   (again until it says so)
    python studies/auto_rows.py --photos shared/photos/train --shard 0/2   (beside --shard 1/2)
    python studies/auto_rows.py --choose                                   (writes presets.toml)

Every solver that serves is tried from several levels, with few calls and with many, on crops of
training photographs. A trial is a line of docs/data/auto.csv; one that is there is not made again.
The best of a task, a noise and an effort is the one with the largest *median* gain over the
classical method: a mean would be that of the one or two crops of sky, where some solvers gain
10 dB. Fewer calls are taken where more gain less than `WORTH`. ``--choose`` writes the rows
[[auto]] whose search is "auto" into the embedded prior's presets.toml.
"""

import csv
import datetime
import time
import warnings
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from common.measurements import SCANS, classical, grey, level, measured
from common.pages import DOCS, ROOT
from common.photographs import pictures, random_crops
from common.rows import read
from common.stamps import now
from torch import Tensor

import hrdis
from hrdis.arguments import able
from hrdis.metrics import psnr
from hrdis.presets import choose, file
from hrdis.presets.rows import EFFORTS, Auto
from hrdis.solvers import CM4IR, DDNM, FIRE, HRDIS, DDNMPlus, DiffPIR, Solver
from hrdis.training.trials import brief

CSV = DOCS / "data" / "auto.csv"
PRESETS = ROOT / "src" / "hrdis" / "weights" / "default" / "presets.toml"
#: The most calls of an effort. What is no picture needs more at any effort.
MOST = {"low": 10, "normal": 20, "high": 100}
MOST_FOR_SCANS = {"low": 20, "normal": 60, "high": 100}
ROUNDING = 0.0011  #: deviation of rounding to 255 grey levels: 1 / 255 / sqrt(12)
CROPS = 8
MOSTLY = 7 / 8  #: of the crops, on which the best at normal effort has to be better
WORTH = 0.05  #: dB of the median that are worth more calls
CANDIDATES: list[Solver] = [
    *(FIRE(steps=n, start=t) for n, t in ((5, 100), (10, 60), (10, 100), (10, 200), (10, 300))),
    *(FIRE(steps=20, start=t) for t in (100, 200, 300)),
    *(CM4IR(steps=n, start=t) for n, t in ((5, 100), (8, 100), (20, 100), (20, 200))),
    *(DiffPIR(steps=n, start=t) for n, t in ((5, 100), (10, 100), (10, 200))),
    *(DiffPIR(steps=n, start=t) for n, t in ((20, 100), (20, 200), (20, 400), (50, 200))),
    *(DDNMPlus(steps=n, start=t) for n, t in ((5, 100), (10, 100))),
    *(DDNMPlus(steps=20, start=t) for t in (60, 100, 200, 400)),
]  # fmt: skip
LONG: list[Solver] = [
    *(FIRE(steps=n, start=300) for n in (40, 60, 100)),
    *(CM4IR(steps=n, start=t) for n in (60, 100) for t in (120, 200)),
    DiffPIR(steps=60, start=300),
    DiffPIR(steps=100, start=300),
]
#: Tasks by the family whose row they decide; of several, the mean of their medians counts.
FAMILIES = {
    "demosaic": ("demosaic",), "inpaint": ("inpaint", "inpaint-box", "inpaint-scratches"),
    "inpaint-random": ("inpaint-random",), "sr2": ("sr2", "sr2-bicubic"), "sr4": ("sr4",),
    "sr8": ("sr8",), "sr16": ("sr16",), "quantize": ("quantize",), "jpeg": ("jpeg10",),
    "hdr": ("hdr",), "mri": ("mri4",), "deblur": ("deblur-gauss", "deblur-uniform"),
    "cs25": ("cs25",), "cs10": ("cs10",), "cs-walsh4": ("cs-walsh4",),
}  # fmt: skip
#: Cells whose rows are left as they are: those that the study of efforts found, on other crops and
#: with the same solvers; clipping, which gains with more calls than are tried here; and blurs with
#: noise, where DiffPIR is the best for a Gaussian and fails for a box.
ELSEWHERE = {("inpaint", "none"), ("sr2", "none"), ("sr4", "none"), ("jpeg", "none"),
             ("hdr", "none"), ("deblur", "0.05"), ("deblur", "0.1")}  # fmt: skip
#: "rounded": to grey levels, as a file of 8 bits has it.
NOISES = ("none", "0.05", "0.1")
#: Families whose best picture is a mean, so that samples are drawn by another solver.
SAMPLED = ("inpaint", "sr", "deblur", "demosaic")


@dataclass(frozen=True)
class Trial:
    """One solver on all crops; dB over a classical method."""

    date: str
    model: str
    task: str
    noise: str
    solver: str
    calls: int
    settings: str
    classical: float
    median: float
    mean: float
    better: int


def problem_of(task: str, noise: str, x: Tensor) -> hrdis.Problem:
    """A measurement; "rounded" to grey levels, as a file of 8 bits has it."""
    if noise != "rounded":
        return measured(task, x, noise)
    exact = measured(task, x)
    y = ((exact.y + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    return hrdis.Problem(y, exact.A, hrdis.noise.Gaussian(ROUNDING).sigma_y)


def cells() -> list[tuple[str, str, str]]:
    """Return family, task and noise of everything that is tried."""
    found = []
    for family, tasks in FAMILIES.items():
        for task in tasks:
            noises = (*NOISES, "rounded") if family == "deblur" else NOISES
            found += [(family, task, n) for n in noises if (family, n) not in ELSEWHERE]
    return found


def candidates(family: str, task: str, noise: str, prior: hrdis.Prior) -> list[Solver]:
    """Return what is tried: HRDIS as it was tuned, too, with all its calls and with fewer."""
    sigma = 0.0 if noise == "rounded" else level(noise)
    tuned: Any = choose(HRDIS, hrdis.TASKS[task].presets, sigma, tuned=prior.presets).settings
    found = [*CANDIDATES, *(LONG if family.startswith("cs") else ())]
    if family == "deblur" and noise == "none":
        # what passes for exact is often rounded, and undoing a blur multiplies that
        fires = [s for s in found if isinstance(s, FIRE)]
        return [*(replace(s, least_noise=ROUNDING) for s in fires), tuned]
    if noise == "none":
        found += [DDNM(steps=n, start=t) for n, t in ((5, 100), (20, 100), (20, 400))]
    found += [replace(tuned, steps=20)] if tuned.steps > 20 else []
    return [*found, *([tuned] if tuned.steps <= 100 else [])]


def sought(photos: Path, crops: int, minutes: float, shard: str, only: tuple[str, ...]) -> None:
    """Try what was not tried, until the time is over."""
    deadline = time.perf_counter() + 60 * minutes
    prior, files = hrdis.load_prior("default", dtype=torch.bfloat16), pictures(photos)
    x = random_crops([files[k * len(files) // crops] for k in range(crops)], 64, seed=3)
    known = {(t.task, t.noise, t.solver, t.settings) for t in read(CSV, Trial)}
    own, of = (int(value) for value in shard.split("/"))
    for family, task, noise in cells()[own::of]:
        if (only and family not in only) or time.perf_counter() > deadline:
            continue
        wanted = [
            solver
            for solver in candidates(family, task, noise, prior)
            if (task, noise, solver.name, brief(solver)) not in known
        ]
        if not wanted:
            continue
        problem = problem_of(task, noise, x)
        finish, truth = (grey, grey(x)) if task in SCANS else (lambda v: v, x)
        sigma = 0.0 if noise == "rounded" else level(noise)
        answer = psnr(finish(classical(task, problem, sigma)[1]).clamp(-1, 1), truth)
        runs = able(problem)
        for solver in wanted:
            if type(solver) not in runs:
                continue
            found = hrdis.solve(solver, prior, problem, seeds=range(crops))
            gains = psnr(finish(found.x).clamp(-1, 1), truth) - answer
            trial = Trial(
                now()["date"], now()["model"], task, noise, solver.name, found.nfe, brief(solver),
                *(round(float(v), 2) for v in (answer.mean(), gains.median(), gains.mean())),
                int((gains > 0).sum()),
            )  # fmt: skip
            keep(trial)
        print(f"{task} {noise}", flush=True)


def keep(trial: Trial) -> None:
    """Append a line, which other shards may do at the same time."""
    new = not CSV.exists()
    with CSV.open("a", newline="") as opened:
        out = csv.DictWriter(opened, [f.name for f in fields(Trial)], lineterminator="\n")
        if new:
            out.writeheader()
        out.writerow(asdict(trial))


def best(trials: list[Trial], tasks: tuple[str, ...], limits: list[int], sure: bool) -> Trial:
    """Return a trial of the settings that are best for some tasks together.

    More calls are allowed, limit by limit, while nothing beats the classical method; or if it is to
    be ``sure``, while the best beats it on fewer than `MOSTLY` of the crops.
    """
    of: dict[str, list[Trial]] = {}
    for trial in trials:
        of.setdefault(trial.settings, []).append(trial)
    whole = {settings: found for settings, found in of.items() if len(found) == len(tasks)}
    gains = {s: sum(t.median for t in found) / len(tasks) for s, found in whole.items()}
    better = {s: sum(t.better for t in found) / len(tasks) / CROPS for s, found in whole.items()}
    for limit in limits:
        within = [s for s in gains if of[s][0].calls <= limit]
        top = max(within, key=lambda s: gains[s])
        if gains[top] > 0 and (better[top] >= MOSTLY or not sure):
            break
    enough = [s for s in within if gains[s] >= gains[top] - WORTH and better[s] >= better[top]]
    return of[min(enough, key=lambda s: (of[s][0].calls, -gains[s]))][0]


def rows_of(family: str, noise: str, trials: list[Trial], prior: hrdis.Prior) -> list[Auto]:
    """Return the rows of a family at a noise: one for each solver and its settings."""
    tasks = FAMILIES[family]
    mine = [t for t in trials if t.task in tasks and t.noise == noise]
    most = MOST_FOR_SCANS if family.startswith(("cs", "mri")) else MOST
    sigma = ROUNDING if noise == "rounded" else level(noise)
    sampler = "overrelaxed" if family.startswith(SAMPLED) else ""
    if family == "deblur" and noise == "none":
        sampler = "hrdis"  # overrelaxed would multiply what rounding has left
    solvers = {brief(s): s for task in tasks[:1] for s in candidates(family, task, noise, prior)}
    preset: dict[str, set[str]] = {}
    for row in prior.presets.rows if prior.presets else ():
        if any(row.family in hrdis.TASKS[task].presets for task in tasks):
            preset.setdefault(row.solver, set()).update(row.settings)
    rows: list[Auto] = []
    for effort in EFFORTS:
        limits = sorted(most[e] for e in EFFORTS if most[e] >= most[effort])
        taken = best(mine, tasks, limits, sure=effort != "low")
        solver: Any = solvers[taken.settings]
        changes = {
            f.name: getattr(solver, f.name)
            for f in fields(solver)
            # all that a preset changes, too: at another noise the row stands on another preset
            if f.name in preset.get(taken.solver, ()) or getattr(solver, f.name) != f.default
        }
        if taken.solver == "hrdis":
            changes = {}  # it is the preset itself, with these calls
        changes.pop("steps", None)
        row = Auto(
            family, taken.solver, {effort: solver.steps}, sigma, changes, sampler, {}, "auto"
        )
        for k, other in enumerate(rows):
            if (other.solver, other.settings) == (row.solver, row.settings):
                rows[k] = replace(other, calls={**other.calls, **row.calls})
                break
        else:
            rows.append(row)
    return rows


def choose_rows() -> None:
    """Write the best of every cell into the presets of the embedded prior."""
    prior, trials = hrdis.load_prior("default"), read(CSV, Trial)
    presets = file.read(PRESETS)
    rows: list[Auto] = []
    for family in FAMILIES:
        for noise in dict.fromkeys(n for f, _, n in cells() if f == family):
            found = [t for t in trials if t.task in FAMILIES[family] and t.noise == noise]
            if found:
                rows += rows_of(family, noise, trials, prior)
    new = {(row.family, row.noise) for row in rows}
    kept = [row for row in presets.autos if (row.family, row.noise) not in new]
    about = {
        "command": "studies/auto_rows.py (docs/data/auto.csv)",
        "date": datetime.date.today().isoformat(),
        "weights": next(s for s in presets.searches if s["name"] == "auto")["weights"],
        "photographs": "64 x 64 crops of 8 training photographs, the network in bf16",
        "score": "median dB of one restoration over a classical method",
        "note": "FIRE, CM4IR, DDNM, DDNM+ and DiffPIR from several levels, and HRDIS as tuned.",
    }
    searches = [
        {"name": "auto", **about} if search["name"] == "auto" else search
        for search in presets.searches
    ]
    file.write(PRESETS, replace(presets, autos=(*kept, *rows), searches=tuple(searches)))
    print(f"{len(rows)} rows of {len(new)} cells, {len(kept)} rows left as they were")


def main(
    photos: Path | None = None,
    crops: int = CROPS,
    minutes: float = 9,
    shard: str = "0/1",
    only: tuple[str, ...] = (),
    choose: bool = False,
) -> None:
    """Try, or choose.

    Args:
        photos: training photographs, to try on.
        crops: one of 64 x 64 of each of so many.
        minutes: begin no task after so long; another call goes on where this one stopped.
        shard: i/n, every n-th cell from the i-th on, for one of n processes.
        only: families.
        choose: write the best rows into presets.toml.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if photos is not None:
        sought(photos, crops, minutes, shard, only)
    if choose:
        choose_rows()


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
