"""Search the settings that suit a prior, on its own training photographs: never on pictures it is judged by.

    python benchmarks/search_presets.py --photos FOLDER                               # the embedded prior, all tasks
    python benchmarks/search_presets.py --photos FOLDER --tasks sr4 --solvers hrdis --minutes 10
    python benchmarks/search_presets.py --photos FOLDER --tasks sr4-noise05 sr4-noise10 inpaint-noise05 inpaint-noise10 \
        --solvers hrdis reddiff --images 6 --minutes 15                               # noisy measurements

Three rounds: a grid over the settings that matter most (where a run starts, how far a step goes), one setting at a time
around the best of it, and the best few again on other pictures. Every trial becomes a line of docs/data/presets.csv; a
trial that is there already, with the same weights and pictures, is not run again.
"""

import csv
import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
import tyro
from pages import DOCS
from photographs import Score, bicubic, pictures, random_crops, restore, score, scratched
from torch import Tensor

import hrdis
from hrdis.metrics import psnr
from hrdis.operators.problem import Problem
from hrdis.solvers import Solver

CSV = DOCS / "data" / "presets.csv"
GENTLE = {"adam_eps": 1.0, "init": "smooth"}  # with such an epsilon only the ratio lr / adam_eps matters
BASE = {"hrdis": hrdis.HRDIS(**GENTLE), "reddiff": hrdis.REDDiff(**GENTLE), "ddnm": hrdis.DDNM()}
GRID: dict[str, dict[str, tuple[object, ...]]] = {
    "hrdis": {"start": (100, 200, 400), "lr": (0.5, 1.0), "steps": (40, 100)},
    "reddiff": {"start": (100, 200), "lr": (0.5, 1.0), "steps": (40, 100)},
    "ddnm": {"start": (100, 200, 400, 600), "eta": (0.85, 1.0), "steps": (40,)},
}
AROUND: dict[str, dict[str, tuple[object, ...]]] = {
    "hrdis": {
        "beta": (0.4,),
        "lambda_reg": (0.1, 0.5, 1.0),
        "weight": ("sqrt", "const"),
        "init": ("pinv",),
        "steps": (60,),
    },
    "reddiff": {"lambda_reg": (0.1, 0.5), "weight": ("sqrt",)},
    "ddnm": {"eta": (0.5,), "steps": (20, 25, 100)},
}
NOISY = {  # under noise the data weight matters more than the step; the floor of the weight is the paper's
    "start": (60, 100, 200), "lambda_obs": (0.03, 0.1, 0.3, 1.0),
}  # fmt: skip
MEASURED = {  # noisy enlarging and filling: where a run starts, and how far y is to be believed
    "hrdis": {"start": (150, 300), "lambda_obs": (0.004, 0.02)},
    "reddiff": {"start": (60, 100), "lambda_obs": (0.004, 0.02)},
}
MEASURED_AROUND: dict[str, tuple[object, ...]] = {
    "lr": (0.25, 1.0), "start": (100, 200, 400), "lambda_obs": (0.01, 0.04), "lambda_reg": (0.5,), "steps": (100,),
}  # fmt: skip
PAPER = {  # the paper's settings, for comparison: from pure noise, Adam as published
    "hrdis": hrdis.HRDIS(steps=100),
    "reddiff": hrdis.REDDiff(steps=100),
    "ddnm": hrdis.DDNM(steps=100),
}
BEST = 2  # how many are tried again on other pictures


@dataclass(frozen=True)
class Trial:
    """One setting tried on one task: dB and SSIM over the pictures."""

    weights: str
    task: str
    solver: str
    settings: str
    pictures: int
    psnr_one: float
    psnr_mean_of_8: float
    pooled_one: float
    pooled_mean_of_8: float
    ssim_one: float
    ssim_mean_of_2: float
    gain: float
    seconds: float


def measure(task: str, x: Tensor) -> tuple[Problem, Tensor]:
    """The task's measurement of the crops, and its baseline picture."""
    n, side = len(x), x.shape[-1]
    task, level = split(task)
    noise = hrdis.noise.Gaussian(level) if level else None
    if task.startswith("sr"):
        A: hrdis.operators.LinearOperator = hrdis.operators.SuperResolution(int(task[2:]))
        problem = hrdis.measure(A, x, noise, seeds=range(n))
        return problem, bicubic(problem.y, A.scale)
    if task == "denoise":
        problem = hrdis.measure(hrdis.operators.Identity(), x, hrdis.noise.Gaussian(25 / 255), seeds=range(n))
        return problem, problem.y
    freeform = [hrdis.operators.masks.freeform(side, side, index=i) for i in range(n)]
    A = (
        scratched(n, side)
        if task == "inpaint-scratches"
        else hrdis.operators.Inpainting(torch.stack(freeform)[:, None])
    )
    problem = hrdis.measure(A, x, noise, seeds=range(n))
    return problem, A.smooth(problem.y)


def split(task: str) -> tuple[str, float]:
    """A task and the noise of its measurement, for images in [0, 1]: "sr4-noise05" is ("sr4", 0.05)."""
    name, _, level = task.partition("-noise")
    return name, float(level or 0) / 100


def beat(task: str, name: str) -> Solver:
    """What a search has to beat: the paper's settings; under noise, the preset there is for none."""
    if not split(task)[1]:
        return PAPER[name]
    return hrdis.SOLVERS[name][1][f"{split(task)[0].removesuffix('-scratches')}@default"]


def try_out(solver: Solver, prior: hrdis.Prior, problem: Problem, truth: Tensor) -> dict[str, float]:
    """Scores of one sample, and of the mean of 8 as two samples foretell it.

    The mean of k samples has the squared error of the posterior mean plus 1 / k of one sample's variance, so two samples
    give both parts: error(8) = error(2) - (error(1) - error(2)) * 3 / 4.
    """
    x = restore(solver, prior, problem, samples=2, batch=16)
    one, two = (torch.stack([_error(v, truth) for v in x]).mean(0), _error(x.mean(0), truth))
    eight = (two - 0.75 * (one - two)).clamp(min=0.3 * two.clamp(min=1e-12))
    scores = [score(v, truth) for v in x]
    return {
        "psnr_one": float(_db(one).mean()), "psnr_mean_of_8": float(_db(eight).mean()),
        "pooled_one": float(_db(one.mean())), "pooled_mean_of_8": float(_db(eight.mean())),
        "ssim_one": sum(s.ssim for s in scores) / len(scores), "ssim_mean_of_2": score(x.mean(0), truth).ssim,
    }  # fmt: skip


def _error(x: Tensor, truth: Tensor) -> Tensor:
    return 10 ** (-psnr(x, truth) / 10)


def _db(error: Tensor) -> Tensor:
    return -10 * error.log10()


def brief(solver: Solver) -> str:
    """The solver as Python, without settings left at their defaults."""
    changed = {
        f.name: getattr(solver, f.name)
        for f in fields(solver)
        if getattr(solver, f.name) != getattr(type(solver)(), f.name)
    }
    return f"{type(solver).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"


def candidates(name: str, task: str) -> Iterator[Solver]:
    """What there is to beat, then the grid."""
    yield beat(task, name)
    base, grid = BASE[name], GRID[name]
    if split(task)[1]:
        base, grid = replace(base, steps=40, lr=0.5), MEASURED[name]
    if task == "denoise":
        base, grid = replace(base, steps=40, lr=0.5, weight_min=2.0), NOISY
    for chosen in itertools.product(*grid.values()):
        yield replace(base, **dict(zip(grid.keys(), chosen, strict=True)))


def around(solver: Solver, name: str, task: str) -> Iterator[Solver]:
    """One setting at a time changed from ``solver``."""
    options = MEASURED_AROUND if split(task)[1] else dict(AROUND[name])
    if task == "denoise":
        options |= {"lr": (0.1, 0.2, 1.0), "weight_min": (0.0, 1.0, 4.0), "lambda_obs": ()}
    for key, values in options.items():
        for value in values:
            too_many = key == "steps" and solver.start is not None and value > solver.start + 1
            if value != getattr(solver, key) and not too_many:
                yield replace(solver, **{key: value})


def gain(found: dict[str, float], baseline: Score, noisy: bool) -> float:
    """dB of the mean of 8 over the baseline, less what one sample loses against it; PSNR and pooled PSNR averaged.

    A criterion of one sample alone rewards doing nothing: the smooth start is hard to beat by anything sharp.
    Under noise the start is easily beaten, and the gains of one sample and of the mean are averaged.
    """
    base = baseline.psnr + baseline.pooled
    one, mean = ((found[f"psnr_{of}"] + found[f"pooled_{of}"] - base) / 2 for of in ("one", "mean_of_8"))
    return (one + mean) / 2 if noisy else mean + min(0.0, one)


@dataclass
class Search:
    """Trials of one prior on one task's crops; stops trying at the deadline."""

    prior: hrdis.Prior
    task: str
    x: Tensor
    deadline: float
    trials: list[Trial]

    def __post_init__(self) -> None:
        self.problem, baseline = measure(self.task, self.x)
        self.baseline, self.smooth = score(baseline, self.x), score(self.problem.A.smooth(self.problem.y), self.x)
        parts = (*self.prior.parameters(), self.x)
        self.digest = hashlib.sha256(b"".join(p.float().numpy().tobytes() for p in parts)).hexdigest()[:8]
        print(f"\n{self.task}, {len(self.x)} crops: baseline {self.baseline}\nsmooth start {self.smooth}", flush=True)

    def run(self, name: str, solver: Solver) -> Trial | None:
        """Try a setting, or look it up; None once the time is up."""
        key = (self.digest, self.task, name, brief(solver))
        known = next((t for t in self.trials if (t.weights, t.task, t.solver, t.settings) == key), None)
        if known or time.perf_counter() > self.deadline:
            return known
        started = time.perf_counter()
        found = try_out(solver, self.prior, self.problem, self.x)
        gain = self.gain(found)
        trial = Trial(*key, pictures=len(self.x), **found, gain=gain, seconds=time.perf_counter() - started)
        self.trials.append(trial)
        write(self.trials)
        print(
            f"  {gain:+.2f} one {trial.psnr_one - self.baseline.psnr:+.2f} mean {trial.psnr_mean_of_8 - self.baseline.psnr:+.2f} "
            f"pooled {trial.pooled_mean_of_8 - self.baseline.pooled:+.2f} SSIM {trial.ssim_one - self.baseline.ssim:+.4f}  {key[-1]}",
            flush=True,
        )
        return trial

    def gain(self, found: dict[str, float]) -> float:
        """See `gain`."""
        return gain(found, self.baseline, noisy=split(self.task)[1] > 0)

    def best(self, name: str, solvers: Iterable[Solver], count: int) -> list[Solver]:
        """Try them all; the best by `gain`."""
        found = {solver: self.run(name, solver) for solver in solvers}
        return sorted((s for s in found if found[s]), key=lambda s: -found[s].gain)[:count]  # type: ignore[union-attr]


def main(
    photos: Path,
    prior: str = "default",
    tasks: tuple[str, ...] = ("sr4", "sr2", "inpaint-scratches", "inpaint", "denoise"),
    solvers: tuple[str, ...] = ("hrdis", "reddiff", "ddnm"),
    images: int = 8,
    confirm: int = 16,
    side: int = 64,
    minutes: float = 60,
) -> None:
    """Search settings.

    Args:
        photos: training photographs.
        prior: "default" or a folder.
        tasks: of sr2, sr4, sr8, inpaint-scratches, inpaint (free-form holes), denoise (noise of 25/255); with -noise05,
            -noise10 behind it: measured with noise of 0.05, 0.10 for images in [0, 1].
        solvers: of hrdis, reddiff, ddnm.
        images: pictures of the search, one crop of each.
        confirm: other pictures, on which the best settings are compared again; 0 leaves it out.
        side: of the crops.
        minutes: stop after so long; another call goes on where this one stopped.
    """
    torch.set_num_threads(1)
    deadline = time.perf_counter() + 60 * minutes
    model = hrdis.load_prior(prior, dtype=torch.bfloat16)
    trials = read()
    for k, task in enumerate(tasks):
        end = time.perf_counter() + (deadline - time.perf_counter()) / (len(tasks) - k)  # every task has its share
        search = Search(model, task, random_crops(pictures(photos, images), side, 0), end, trials)
        chosen = {}
        names = [n for n in solvers if n != "ddnm" or not (task == "denoise" or split(task)[1])]  # it knows no noise
        for i, name in enumerate(names):  # a quarter of the time is for the other pictures
            search.deadline = end - (end - time.perf_counter()) * (1 - 0.75 / (len(names) - i))
            best = search.best(name, candidates(name, task), 1)
            chosen[name] = search.best(name, [*best, *around(best[0], name, task)], BEST) if best else []
        if confirm and any(chosen.values()):
            again = Search(model, task, random_crops(pictures(photos, confirm), side, 1), end, trials)
            for i, (name, shortlist) in enumerate(chosen.items()):
                again.deadline = end - (end - time.perf_counter()) * (1 - 1 / (len(chosen) - i))
                print(name, [brief(s) for s in again.best(name, [*shortlist, beat(task, name)], 1)])


def read() -> list[Trial]:
    """Trials of earlier runs."""
    if not CSV.exists():
        return []
    with CSV.open(newline="") as file:
        kinds = {f.name: f.type for f in fields(Trial)}
        return [Trial(**{k: kinds[k](v) for k, v in row.items()}) for row in csv.DictReader(file)]


def write(trials: list[Trial]) -> None:
    """All trials, one line each."""
    CSV.parent.mkdir(parents=True, exist_ok=True)
    with CSV.open("w", newline="") as file:
        out = csv.DictWriter(file, [*Trial.__dataclass_fields__])
        out.writeheader()
        out.writerows({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in asdict(t).items()} for t in trials)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
