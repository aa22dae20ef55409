"""Which solver gives the best picture for little, normal and much effort?

    python studies/effort.py --photos shared/photos/train --minutes 10   (again until it says so)
    python studies/effort.py --photos shared/photos/train --minutes 0    (rewrites the page alone)

Crops of training photographs, never of those that the prior's page is measured on. Every result is
a line of docs/data/effort.csv; one that is there is not made again. The rows [[auto]] of the
embedded prior's presets.toml are set by hand from the table.
"""

import csv
import time
import warnings
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
import tyro
from common.pages import DOCS, rewrite, table
from common.photographs import pictures, random_crops, restore, score
from torch import Tensor

import hrdis
from hrdis.arguments import able
from hrdis.operators import Inpainting
from hrdis.presets import choose
from hrdis.problem import Problem
from hrdis.solvers import Solver
from hrdis.training.trials import brief

PAGE, CSV = DOCS / "measurements" / "effort.md", DOCS / "data" / "effort.csv"
SIDE = 64
CALLS = {"normal": 20, "low": 5, "high": 100}  # in the order in which they are measured
SOLVERS = ("hrdis", "cm4ir", "fire", "diffpir", "ddnm", "ddnmplus", "ddrm", "overrelaxed")
#: What is measured, the most asked for first.
MEASUREMENTS = (
    ("sr4", 0.0),
    ("denoise", 0.1),
    ("denoise", 0.05),
    ("sr4", 0.05),
    ("sr2", 0.0),
    ("quantize", 0.0),
    ("jpeg10", 0.0),
    ("deblur-gauss", 0.01),
    ("deblur-motion", 0.01),
    ("sr2", 0.05),
    ("inpaint-scratches", 0.0),
    ("inpaint", 0.0),
    ("deblur-gauss", 0.02),
    ("denoise", 0.02),
    ("deblur-gauss", 0.05),
    ("inpaint-scratches", 0.05),
    ("sr4", 0.02),
    ("sr4", 0.1),
    ("deblur-gauss", 0.0),
    ("inpaint-scratches", 0.02),
    ("inpaint-scratches", 0.1),
    ("sr2", 0.02),
    ("sr2", 0.1),
    ("deblur-gauss", 0.1),
)


@dataclass(frozen=True)
class Trial:
    """A solver's single samples of all crops: dB, and seconds per crop under the load there was."""

    task: str
    noise: float
    effort: str
    solver: str
    calls: int
    settings: str
    crops: int
    psnr: float
    pooled: float
    seconds: float


def measure(task: str, noise: float, x: Tensor) -> Problem:
    """A measurement of crops, each with a mask of its own where the task has masks."""
    known = hrdis.TASKS[task]
    A = known.build(SIDE, SIDE, 0, 0)
    if isinstance(A, Inpainting):
        A = Inpainting(torch.cat([known.build(SIDE, SIDE, 0, i).mask for i in range(len(x))]))  # type: ignore[attr-defined]
    model = hrdis.noise.Gaussian(noise) if noise else None
    return hrdis.measure(A, x, model, seeds=range(len(x)))


def candidates(task: str, noise: float, effort: str, prior: hrdis.Prior) -> dict[str, Solver]:
    """The presets of the solvers with the calls of an effort, by name; for denoising also one call
    at the level of the noise.
    """
    found: dict[str, Solver] = {}
    for name in SOLVERS:
        cls = hrdis.SOLVERS[name][0]
        solver = choose(cls, hrdis.TASKS[task].presets, noise, tuned=prior.presets).settings
        changes = {"steps": CALLS[effort]}
        if name == "overrelaxed":
            changes["result"] = "mean"  # type: ignore[assignment]
        if name in ("cm4ir", "fire", "overrelaxed"):
            # so many distinct times do not fit below a low start
            changes["start"] = max(solver.start, 3 * CALLS[effort])  # type: ignore[attr-defined]
        found[name] = replace(solver, **changes)  # type: ignore[type-var]
    if task == "denoise" and effort == "low":
        found["fire, one call"] = hrdis.FIRE(steps=1, own_noise=noise)
    found["auto"] = taken(task, noise, effort, prior)
    return found


def taken(task: str, noise: float, effort: str, prior: hrdis.Prior) -> Solver:
    """What the solver auto takes."""
    families = hrdis.TASKS[task].presets
    return hrdis.presets.choose_auto(families, noise, effort, tuned=prior.presets).settings


class Trials:
    """The lines of the CSV file; what is there is not made again."""

    def __init__(self) -> None:
        self.known: dict[tuple[object, ...], Trial] = {}
        if CSV.exists():
            kinds = {f.name: f.type for f in fields(Trial)}
            with CSV.open(newline="") as file:
                for line in csv.DictReader(file):
                    self.keep(Trial(**{k: kinds[k](v) for k, v in line.items()}))  # type: ignore[operator]

    def keep(self, trial: Trial) -> None:
        self.known[trial.task, trial.noise, trial.settings, trial.crops] = trial

    def of(self, task: str, noise: float, effort: str, solver: str, crops: int) -> Trial | None:
        """The trial of a solver at a measurement and an effort, if it was made."""
        for t in self.known.values():
            if (t.task, t.noise, t.effort, t.solver, t.crops) == (
                task, noise, effort, solver, crops,
            ):  # fmt: skip
                return t
        return None

    def make(
        self, task: str, noise: float, effort: str, name: str, solver: Solver, x: Tensor,
        prior: hrdis.Prior,
    ) -> None:  # fmt: skip
        """Run a solver, unless it was run, and write the file."""
        if (task, noise, brief(solver), len(x)) in self.known:
            return
        problem = measure(task, noise, x)
        if type(solver) not in able(problem):
            return
        started = time.perf_counter()
        found = score(restore(solver, prior, problem, samples=1, batch=len(x))[0], x)
        seconds = (time.perf_counter() - started) / len(x)
        calls = solver.calls(solver.times(prior.schedule), prior.schedule)
        trial = Trial(
            task, noise, effort, name, calls, brief(solver), len(x), round(found.psnr, 3),
            round(found.pooled, 3), round(seconds, 3),
        )  # fmt: skip
        self.keep(trial)
        with CSV.open("w", newline="") as file:
            out = csv.DictWriter(file, [f.name for f in fields(Trial)], lineterminator="\n")
            out.writeheader()
            for known in self.known.values():
                out.writerow(asdict(known))
        print(f"{task:18s} {noise:4g} {trial.psnr:6.2f} / {trial.pooled:5.2f} dB  {trial.settings}")


def comparison(trials: Trials, prior: hrdis.Prior, crops: int) -> str:
    """Mean PSNR by measurement and effort, by solver, the best in bold, and what auto takes."""
    names = ("fire, one call", *SOLVERS)
    rows = []
    for task, noise in MEASUREMENTS:
        for effort in ("low", "normal", "high"):
            found = {name: trials.of(task, noise, effort, name, crops) for name in names}
            best = max((t.psnr for t in found.values() if t), default=0.0)
            cells = []
            for trial in found.values():
                shown = "-" if trial is None else f"{trial.psnr:.2f}"
                cells.append(f"**{shown}**" if trial and trial.psnr == best else shown)
            if best:
                solver = taken(task, noise, effort, prior)
                calls = solver.calls(solver.times(prior.schedule), prior.schedule)
                auto = trials.known.get((task, noise, brief(solver), crops))
                shown = "-" if auto is None else f"{auto.psnr:.2f}"
                name = f"{type(solver).__name__}, {calls}"
                rows.append([task, f"{noise:g}", effort, *cells, name, shown])
    titles = ["one call", *(hrdis.SOLVERS[name][0].__name__ for name in SOLVERS)]
    return table(["task", "noise", "effort", *titles, "auto takes, calls", "auto"], rows)


def main(
    photos: Path, crops: int = 8, minutes: float = 10, efforts: tuple[str, ...] = tuple(CALLS),
    tasks: tuple[str, ...] = (), solvers: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Measure, and rewrite the page.

    Args:
        photos: training photographs.
        crops: one of each of so many photographs.
        minutes: begin no run after so long; another call goes on where this one stopped.
        efforts: low, normal, high.
        tasks: only these.
        solvers: only these.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    deadline = time.perf_counter() + 60 * minutes
    prior, trials = hrdis.load_prior("default"), Trials()
    files = pictures(photos)
    x = random_crops([files[k * len(files) // crops] for k in range(crops)], SIDE, seed=1)
    left = 0
    for effort in efforts:
        for task, noise in MEASUREMENTS:
            for name, solver in candidates(task, noise, effort, prior).items():
                if (tasks and task not in tasks) or (solvers and name not in solvers):
                    continue
                if time.perf_counter() < deadline:
                    trials.make(task, noise, effort, name, solver, x, prior)
                else:
                    left += 1
    print("All measured." if not left else f"At most {left} runs left.")
    if PAGE.exists():
        rewrite(PAGE, "results", comparison(trials, prior, crops))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
