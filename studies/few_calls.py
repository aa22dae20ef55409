"""How good a picture is after 5, 10, 20, 40 and 100 network calls: new solvers beside DDNM, DiffPIR
and HRDIS.

    python studies/few_calls.py --photos FOLDER --table     # errors of the prior, for fire.py
    python studies/few_calls.py --photos FOLDER --starts    # where a run may start, and presets
    python studies/few_calls.py --photos FOLDER             # the comparison; rewrites the page

Photographs are those the embedded prior was trained on, never those it is judged by. Searches take
every second picture of the folder and the comparison the others. Every result becomes a line of
docs/data/few-calls.csv, and one that is there already is not made again.
"""

import csv
import itertools
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
import tyro
from common.measurements import preset
from common.pages import DOCS, rewrite, table
from common.photographs import pictures, random_crops, restore, score, scratched
from torch import Tensor

import hrdis
from hrdis.problem import Problem
from hrdis.solvers import Solver, fire
from hrdis.training.trials import brief

PAGE, CSV = DOCS / "measurements" / "few-calls.md", DOCS / "data" / "few-calls.csv"
SIDE = 64
TASKS = (
    "sr4",
    "inpaint-scratches",
    "sr4-noise05",
    "inpaint-scratches-noise05",
    "denoise-noise05",
)
CALLS = (5, 10, 20, 40, 100)
SOLVERS = ("fire", "cm4ir", "overrelaxed", "diffpir", "ddnm", "hrdis")
STARTS = (50, 100, 200, 300)


@dataclass(frozen=True)
class Trial:
    """A setting on a task: dB and SSIM of one sample, means over the crops."""

    role: str
    task: str
    solver: str
    calls: int
    settings: str
    crops: int
    psnr: float
    pooled: float
    ssim: float
    seconds: float


def split(task: str) -> tuple[str, float]:
    """Return a task and its noise for images in [0, 1]; of "sr4-noise05" "sr4" and 0.05."""
    name, _, level = task.partition("-noise")
    return name, float(level or 0) / 100


def measure(task: str, x: Tensor) -> Problem:
    """Return the task's measurement of crops, scratches of its own for each."""
    name, level = split(task)
    A = hrdis.TASKS[name].build(SIDE, SIDE, 0, 0)
    if name == "inpaint-scratches":
        A = scratched(len(x), SIDE)
    noise = hrdis.noise.Gaussian(level) if level else None
    return hrdis.measure(A, x, noise, seeds=range(len(x)))


def crops(photos: Path, count: int, role: str) -> Tensor:
    """One crop of each of ``count`` pictures; those of a search are never those of the
    comparison.
    """
    files = pictures(photos)[role == "compare" :: 2]
    chosen = [files[k * len(files) // count] for k in range(count)]
    return random_crops(chosen, SIDE, seed=0)


def settings(task: str, name: str, calls: int) -> Solver:
    """The preset for the embedded prior, with another number of calls."""
    family, noise = split(task)
    solver = preset(name, hrdis.TASKS[family].presets, "default", noise)[1]
    if isinstance(solver, hrdis.OverRelaxed):
        solver = replace(solver, result="mean")  # the others' pictures are no samples either
    return replace(solver, steps=calls)  # type: ignore[call-arg]


def candidates(name: str, calls: int, noisy: bool) -> Iterator[Solver]:
    """Settings that a search compares."""
    if name == "fire":
        for start in STARTS:
            yield hrdis.FIRE(steps=calls, start=start, error="default")
        for start in (50, 100, 200) if noisy else ():
            yield hrdis.FIRE(steps=calls, start=start)
    if name == "cm4ir":
        for start in STARTS:
            yield hrdis.CM4IR(steps=calls, start=start)
        for start, zeta in itertools.product((100, 200), (10.0, 100.0, 1000.0) if noisy else ()):
            yield hrdis.CM4IR(steps=calls, start=start, zeta=zeta)
    if name == "overrelaxed":
        for start, spread in itertools.product((100, 200, 300), (1.0, 0.1)):
            yield hrdis.OverRelaxed(steps=calls, start=start, spread=spread, result="mean")


class Trials:
    """The lines of the CSV file; what is there is looked up."""

    def __init__(self, prior: hrdis.Prior, deadline: float):
        self.prior, self.deadline = prior, deadline
        self.known: dict[tuple[object, ...], Trial] = {}
        if CSV.exists():
            kinds = {f.name: f.type for f in fields(Trial)}
            with CSV.open(newline="") as file:
                for row in csv.DictReader(file):
                    self.add(Trial(**{k: kinds[k](v) for k, v in row.items()}))  # type: ignore[operator]

    def add(self, trial: Trial) -> None:
        """Keep a trial."""
        self.known[trial.role, trial.task, trial.settings, trial.crops] = trial

    def run(self, role: str, task: str, name: str, solver: Solver, x: Tensor) -> Trial | None:
        """Make a trial, or look it up; None once the time is up."""
        key = (role, task, brief(solver), len(x))
        if key in self.known or time.perf_counter() > self.deadline:
            return self.known.get(key)
        problem = measure(task, x)
        started = time.perf_counter()
        found = score(restore(solver, self.prior, problem, samples=1, batch=len(x))[0], x)
        seconds = (time.perf_counter() - started) / len(x)
        calls = solver.calls(solver.times(self.prior.schedule), self.prior.schedule)
        trial = Trial(
            role, task, name, calls, brief(solver), len(x),
            round(found.psnr, 3), round(found.pooled, 3), round(found.ssim, 4), round(seconds, 2),
        )  # fmt: skip
        self.add(trial)
        self.write()
        print(f"{task:26s} {trial.psnr:6.2f} dB  {trial.seconds:5.1f} s  {key[2]}", flush=True)
        return trial

    def write(self) -> None:
        """All trials, one line each."""
        with CSV.open("w", newline="") as file:
            out = csv.DictWriter(file, [f.name for f in fields(Trial)])
            out.writeheader()
            for trial in self.known.values():
                out.writerow(asdict(trial))


# ---- what is known of the prior and of the starts ------------------------------------------------


def errors(prior: hrdis.Prior, x: Tensor) -> list[float]:
    """Root mean square error of x0_hat at the levels of `fire.ERRORS`, over crops."""
    q, found = prior.schedule, []
    count = len(fire.ERRORS["default"])
    z = hrdis.rng.ImageRNG(range(len(x)), "error").randn_like(x)
    for k in range(count):
        level = fire.LOWEST * (fire.HIGHEST / fire.LOWEST) ** (k / (count - 1))
        t = q.nearest(level)
        with torch.no_grad():
            x0_hat = prior(q.diffuse(x, t, z), t).x0_hat
        # the table is of wished levels, the network of those it has: errors scale with the noise
        found.append(float((x0_hat - x).square().mean().sqrt()) * level / float(q.sigma(t)))
    return found


def start_errors(task: str, x: Tensor) -> tuple[float, float]:
    """Root mean square error of the smooth picture, and the root of the largest value of its
    radial spectrum.

    The second is the least noise that hides the error in every direction, if errors at different
    places are alike.
    """
    problem = measure(task, x)
    error = problem.A.smooth(problem.y) - x
    power = torch.fft.fft2(error, norm="ortho").abs().square().mean((0, 1))
    frequency = torch.fft.fftfreq(SIDE) * SIDE
    radius = (frequency[:, None] ** 2 + frequency[None] ** 2).sqrt().round().long()
    rings = [float(power[radius == r].mean()) for r in range(SIDE // 2)]
    return float(error.square().mean().sqrt()), max(rings) ** 0.5


def starts_table(x: Tensor, schedule: hrdis.Schedule) -> str:
    """Both errors per task, and the times at which the noise is as large."""
    rows = []
    for task in TASKS:
        rms, top = start_errors(task, x)
        rows.append(
            [task, f"{rms:.3f}", schedule.nearest(rms), f"{top:.3f}", schedule.nearest(top)]
        )
    return table(["task", "rms", "its time", "largest direction", "its time"], rows)


def search(trials: Trials, x: Tensor, calls: tuple[int, ...]) -> None:
    """Print the best setting of every task and new solver: both PSNR, averaged over ``calls``."""
    for task in TASKS:
        for name in ("fire", "cm4ir", "overrelaxed"):
            gains: dict[str, float] = {}
            for solver in candidates(name, calls[0], split(task)[1] > 0):
                found = [
                    trials.run("search", task, name, replace(solver, steps=n), x)  # type: ignore[call-arg]
                    for n in calls
                ]
                if None not in found:
                    gains[brief(solver)] = (
                        sum(t.psnr + t.pooled for t in found if t) / len(calls) / 2
                    )
            if gains:
                best = max(gains, key=lambda k: gains[k])
                print(f'    "{task}@default": {best},  # {gains[best]:.2f} dB', flush=True)


# ---- the page -----------------------------------------------------------------------------------


def results(trials: Trials, count: int) -> str:
    """PSNR by task and solver, by calls: mean over crops, and of the pooled error; best in bold."""
    rows = []
    for task in TASKS:
        own = {
            (t.solver, t.calls): t
            for t in trials.known.values()
            if t.role == "compare" and t.task == task and t.crops == count
        }
        best = {
            n: max((t.psnr + t.pooled for (_, calls), t in own.items() if calls == n), default=0.0)
            for n in CALLS
        }
        for name in SOLVERS:
            cells = []
            for n in CALLS:
                trial = own.get((name, n))
                if trial is None:
                    cells.append("-")
                elif trial.psnr + trial.pooled == best[n]:
                    cells.append(f"**{trial.psnr:.2f} / {trial.pooled:.2f}**")
                else:
                    cells.append(f"{trial.psnr:.2f} / {trial.pooled:.2f}")
            if set(cells) != {"-"}:
                rows.append([task, hrdis.SOLVERS[name][0].__name__, *cells])
    return table(["task", "solver", *(f"{n} calls" for n in CALLS)], rows)


def main(
    photos: Path,
    crops_: int = 6,
    minutes: float = 60,
    table: bool = False,
    starts: bool = False,
    calls: tuple[int, ...] = CALLS,
    tasks: tuple[str, ...] = TASKS,
) -> None:
    """Measure.

    Args:
        photos: training photographs.
        crops_: crops compared, and as many others searched on.
        minutes: stop after so long; another call goes on where this one stopped.
        table: print the errors of the prior instead.
        starts: search the presets of the new solvers instead.
        calls: of the comparison.
        tasks: of the comparison.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    prior = hrdis.load_prior("default")
    if table:
        print(", ".join(f"{e:.4g}" for e in errors(prior, crops(photos, 24, "search"))))
        return
    trials = Trials(prior, time.perf_counter() + 60 * minutes)
    if starts:
        found = starts_table(crops(photos, 48, "search"), prior.schedule)
        print(found)
        if PAGE.exists():
            rewrite(PAGE, "starts", found)
        search(trials, crops(photos, crops_, "search"), (5, 20))
        return
    x = crops(photos, crops_, "compare")
    for n, task, name in itertools.product(calls, tasks, SOLVERS):
        solver = settings(task, name, n)
        if not (solver.noiseless and split(task)[1]):
            trials.run("compare", task, name, solver, x)
    rewrite(PAGE, "results", results(trials, crops_))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
