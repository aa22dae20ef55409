"""Search the settings that suit a prior, on its own training photographs: never on pictures it is judged by.

    python benchmarks/search_presets.py --photos FOLDER                               # the embedded prior, all tasks
    python benchmarks/search_presets.py --photos FOLDER --tasks sr4 --solvers hrdis --minutes 10

First a grid over the two settings that matter most (where a run starts, and how far a step goes), then one setting
at a time around the best of it. Every trial becomes a line of docs/data/presets.csv; a trial that is already there,
with the same weights and pictures, is not run again.
"""

import csv
import hashlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
import tyro
from pages import DOCS, table
from photographs import bicubic, pictures, random_crops, restore, score, scratched
from torch import Tensor

import hrdis
from hrdis.metrics import psnr
from hrdis.operators.base import Problem
from hrdis.solvers import Solver

CSV = DOCS / "data" / "presets.csv"
BASE = {
    "hrdis": hrdis.HRDIS(steps=40, start=400, lr=0.1, adam_eps=1.0, init="smooth"),
    "reddiff": hrdis.REDDiff(steps=40, start=400, lr=0.1, adam_eps=1.0, init="smooth"),
    "ddnm": hrdis.DDNM(steps=40, start=400),
}
GRID = {  # only the ratio lr / adam_eps matters while adam_eps is large
    "hrdis": {"start": (200, 300, 400, 600, 999), "lr": (0.05, 0.1, 0.2, 0.5)},
    "reddiff": {"start": (200, 300, 400, 600, 999), "lr": (0.05, 0.1, 0.2, 0.5)},
    "ddnm": {"start": (100, 200, 300, 400, 600, None), "eta": (0.5, 0.85, 1.0)},
}
AROUND = {
    "hrdis": {
        "beta": (0.05, 0.1, 0.4, 0.7), "lambda_reg": (0.1, 0.5, 1.0), "adam_eps": (0.002, 0.02, 0.2),
        "weight": ("sqrt", "const", "trunc_linear"), "init": ("pinv",), "steps": (20, 80),
    },
    "reddiff": {"lambda_reg": (0.1, 0.5, 1.0), "adam_eps": (0.2,), "weight": ("sqrt", "const"), "steps": (20, 80)},
    "ddnm": {"eta": (0.0, 0.25), "steps": (20, 80)},
}  # fmt: skip
NOISY = {"lambda_obs": 0.1, "weight_min": 2.0}  # the paper's for noisy measurements


@dataclass(frozen=True)
class Trial:
    """One setting tried on one task: dB and SSIM over the pictures."""

    weights: str
    task: str
    solver: str
    settings: str
    psnr_one: float
    psnr_mean_of_8: float
    pooled_one: float
    pooled_mean_of_8: float
    ssim_one: float
    ssim_mean_of_2: float
    gain: float
    seconds: float


def problems(names: tuple[str, ...], x: Tensor) -> dict[str, tuple[Problem, Tensor]]:
    """Each task's measurement of the crops, and its baseline picture."""
    n, side = len(x), x.shape[-1]
    out = {}
    for name in names:
        noise = None
        if name.startswith("sr"):
            A: hrdis.operators.LinearOperator = hrdis.operators.SuperResolution(int(name[2:]))
        elif name == "inpaint":
            A = scratched(n, side)
        else:
            A, noise = hrdis.operators.Identity(), hrdis.noise.Gaussian(25 / 255)
        problem = hrdis.measure(A, x, noise, seeds=range(n))
        out[name] = problem, bicubic(problem.y, A.scale) if name.startswith("sr") else A.smooth(problem.y)
    return out


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
    changed = {f.name: getattr(solver, f.name) for f in fields(solver) if getattr(solver, f.name) != getattr(type(solver)(), f.name)}
    return f"{type(solver).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"


def candidates(name: str, task: str) -> Iterator[Solver]:
    """The grid, in order."""
    base = BASE[name] if task != "denoise" or name == "ddnm" else replace(BASE[name], **NOISY)
    keys, values = GRID[name].keys(), GRID[name].values()
    for chosen in itertools.product(*values):
        yield replace(base, **dict(zip(keys, chosen, strict=True)))


def around(solver: Solver, name: str, task: str) -> Iterator[Solver]:
    """One setting at a time changed from ``solver``; lr follows adam_eps, so that their ratio stays."""
    options = dict(AROUND[name])
    if task == "denoise":
        options |= {"lambda_obs": (0.03, 0.3), "weight_min": (0.0, 1.0, 4.0)}
    for key, values in options.items():
        for value in values:
            yield replace(solver, **{key: value})


def main(
    photos: Path,
    prior: str = "default",
    tasks: tuple[str, ...] = ("sr4", "sr2", "inpaint", "denoise"),
    solvers: tuple[str, ...] = ("hrdis", "reddiff", "ddnm"),
    images: int = 8,
    side: int = 64,
    minutes: float = 60,
    seed: int = 0,
) -> None:
    """Search settings.

    Args:
        photos: training photographs.
        prior: "default" or a folder.
        tasks: of sr2, sr4, sr8, inpaint, denoise (noise of 25/255).
        solvers: of hrdis, reddiff, ddnm.
        images: pictures, one crop of each.
        side: of the crops.
        minutes: stop after so long; another call goes on where this one stopped.
        seed: of the crops.
    """
    torch.set_num_threads(1)
    deadline = time.perf_counter() + 60 * minutes
    model = hrdis.load_prior(prior, dtype=torch.bfloat16)
    x = random_crops(pictures(photos, images), side, seed)
    digest = hashlib.sha256(b"".join(p.float().numpy().tobytes() for p in (*model.parameters(), x))).hexdigest()[:8]
    trials = read()

    for task, (problem, baseline) in problems(tasks, x).items():
        base = score(baseline, x)
        smooth = score(problem.A.smooth(problem.y), x)
        print(f"\n{task}: baseline {base}\nsmooth start {smooth}", flush=True)
        for name in solvers:
            if task == "denoise" and name == "ddnm":
                continue  # for noiseless measurements

            def run(solver: Solver) -> Trial | None:
                key = (digest, task, name, brief(solver))
                known = next((t for t in trials if (t.weights, t.task, t.solver, t.settings) == key), None)
                if known or time.perf_counter() > deadline:
                    return known
                started = time.perf_counter()
                found = try_out(solver, model, problem, x)
                gain = (found["psnr_one"] + found["psnr_mean_of_8"]) / 2 - base.psnr
                trial = Trial(*key, **found, gain=gain, seconds=time.perf_counter() - started)
                trials.append(trial)
                write(trials)
                print(f"  {gain:+.2f} one {trial.psnr_one:.2f} mean {trial.psnr_mean_of_8:.2f} SSIM {trial.ssim_one:.4f}  {brief(solver)}", flush=True)
                return trial

            grid = {solver: run(solver) for solver in candidates(name, task)}
            best = max((s for s in grid if grid[s]), key=lambda s: grid[s].gain, default=None)
            if best:
                more = {solver: run(solver) for solver in around(best, name, task)}
                show({s: t for s, t in (grid | more).items() if t})


def show(trials: dict[Solver, Trial]) -> None:
    """The five best."""
    top = sorted(trials.items(), key=lambda item: -item[1].gain)[:5]
    rows = [[t.settings, f"{t.gain:+.2f}", f"{t.psnr_one:.2f}", f"{t.psnr_mean_of_8:.2f}", f"{t.ssim_one:.4f}"] for _, t in top]
    print(table(["settings", "gain", "one", "mean of 8", "SSIM one"], rows), flush=True)


def read() -> list[Trial]:
    """Trials of earlier runs."""
    if not CSV.exists():
        return []
    with CSV.open(newline="") as file:
        return [Trial(**{k: v if k in ("weights", "task", "solver", "settings") else float(v) for k, v in row.items()}) for row in csv.DictReader(file)]


def write(trials: list[Trial]) -> None:
    """All trials, one line each."""
    CSV.parent.mkdir(parents=True, exist_ok=True)
    with CSV.open("w", newline="") as file:
        out = csv.DictWriter(file, [*Trial.__dataclass_fields__])
        out.writeheader()
        out.writerows({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in asdict(t).items()} for t in trials)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
