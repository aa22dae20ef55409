"""Search the settings that suit a prior, on its own training photographs: never on pictures it is
judged by.

    python studies/search_presets.py --photos FOLDER  # all tasks, noises and solvers
    python studies/search_presets.py --photos FOLDER --tasks sr4 --solvers hrdis --minutes 10

Two rounds: a grid over the settings that matter most (where a run starts, how far y is to be
believed, how much noise is fresh), then one setting at a time around the best of it, more network
calls among them. The best two are compared again on other pictures. Every trial becomes a line of
docs/data/presets.csv; a trial that is there already, with the same weights and pictures, is not run
again. At the end the best of every task is printed as the line of a preset.
"""

import csv
import hashlib
import itertools
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
import tyro
from common.pages import DOCS, rewrite, table
from common.photographs import Score, bicubic, pictures, random_crops, restore, score, scratched
from torch import Tensor

import hrdis
from hrdis.metrics import psnr
from hrdis.problem import Problem
from hrdis.solvers import Solver

CSV = DOCS / "data" / "presets.csv"
Options = dict[str, tuple[object, ...]]
GENTLE = {
    "adam_eps": 1.0,
    "init": "smooth",
    "lr": 1.0,
    "steps": 40,
}  # with such an epsilon only lr / adam_eps matters
BASE: dict[str, Solver] = {
    "hrdis": hrdis.HRDIS(**GENTLE),  # type: ignore[arg-type]
    "reddiff": hrdis.REDDiff(**GENTLE),  # type: ignore[arg-type]
    "ddnm": hrdis.DDNM(steps=20, eta=1.0),
    "ddrm": hrdis.DDRM(steps=20, eta=1.0),
    "diffpir": hrdis.DiffPIR(steps=20, zeta=1.0),
    "daps": hrdis.DAPS(steps=10, sigma_min=0.02, ode_steps=4, langevin_steps=20, lr=5e-5),
}
STARTS = (100, 200)
GRID: dict[str, Options] = {  # without noise
    "hrdis": {"start": STARTS, "beta": (0.2, 0.5)},
    "reddiff": {"start": STARTS, "lr": (0.5, 1.0)},
    "ddnm": {"start": (*STARTS, 350)},
    "ddrm": {"start": STARTS, "eta": (0.85, 1.0)},
    "diffpir": {"start": STARTS, "lam": (1.0, 8.0)},
    "daps": {"start": STARTS},
}
AROUND: dict[str, Options] = {
    "hrdis": {"steps": (100,), "beta": (0.5,), "lambda_reg": (0.1, 0.5), "lr": (0.5,)},
    "reddiff": {"steps": (100,), "lambda_reg": (0.1, 0.5)},
    "ddnm": {"steps": (40, 100), "eta": (0.85,)},
    "ddrm": {"steps": (40, 100)},
    "diffpir": {"steps": (40, 100), "zeta": (0.3,)},
    "daps": {"tau": (0.05,)},
}
#: How far a noisy y is believed: tried around 0.1, 0.04, 0.01 and 0.004 for noise 0.01, 0.02, 0.05
#: and 0.1.
BELIEF = {0.01: (0.05, 0.2), 0.02: (0.02, 0.08), 0.05: (0.005, 0.02), 0.1: (0.002, 0.008)}
TASKS = ("sr4", "inpaint-scratches", "sr2", "denoise", "deblur-uniform")
NOISES = (0.0, 0.05, 0.02, 0.1, 0.01)
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
    base_psnr: float
    base_pooled: float
    seconds: float


def measure(task: str, x: Tensor) -> tuple[Problem, Tensor]:
    """The task's measurement of the crops, and its baseline picture."""
    n, side = len(x), x.shape[-1]
    task, level = split(task)
    noise = hrdis.noise.Gaussian(level) if level else None
    A: hrdis.operators.LinearOperator
    if task.startswith("sr"):
        A = hrdis.operators.SuperResolution(int(task[2:]))
        problem = hrdis.measure(A, x, noise, seeds=range(n))
        return problem, bicubic(problem.y, A.scale)
    if task == "inpaint-scratches":
        A = scratched(n, side)
    elif task == "inpaint":
        masks = [hrdis.operators.masks.freeform(side, side, index=i) for i in range(n)]
        A = hrdis.operators.Inpainting(torch.stack(masks)[:, None])
    else:
        A = hrdis.TASKS[task].build(side, side, 0, 0)  # type: ignore[assignment]
    problem = hrdis.measure(A, x, noise, seeds=range(n))
    return problem, A.smooth(problem.y)


def split(task: str) -> tuple[str, float]:
    """A task and the noise of its measurement, for images in [0, 1]: "sr4-noise05" is ("sr4",
    0.05).
    """
    name, _, level = task.partition("-noise")
    return name, float(level or 0) / 100


def problems() -> tuple[str, ...]:
    """Every task with every noise, the most important first; denoising has some."""
    names = [f"{task}-noise{round(100 * s):02d}" if s else task for s in NOISES for task in TASKS]
    return tuple(name for name in names if name != "denoise")


def beat(task: str, name: str) -> Solver:
    """What a search has to beat: the preset that is there."""
    keys, noise = split(task)
    return hrdis.solvers.preset(name, hrdis.TASKS[keys].presets, "default", noise)[1]


def try_out(
    solver: Solver, prior: hrdis.Prior, problem: Problem, truth: Tensor
) -> dict[str, float]:
    """Scores of one sample, and of the mean of 8 as two samples foretell it.

    The mean of k samples has the squared error of the posterior mean plus 1 / k of one sample's
    variance, so two samples give both parts: error(8) = error(2) - (error(1) - error(2)) * 3 / 4.
    """
    x = restore(solver, prior, problem, samples=2, batch=16)
    one, two = (torch.stack([_error(v, truth) for v in x]).mean(0), _error(x.mean(0), truth))
    eight = (two - 0.75 * (one - two)).clamp(min=0.3 * two.clamp(min=1e-12))
    scores = [score(v, truth) for v in x]
    return {
        "psnr_one": float(_db(one).mean()), "psnr_mean_of_8": float(_db(eight).mean()),
        "pooled_one": float(_db(one.mean())), "pooled_mean_of_8": float(_db(eight.mean())),
        "ssim_one": sum(s.ssim for s in scores) / len(scores),
        "ssim_mean_of_2": score(x.mean(0), truth).ssim,
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


def grid(name: str, noise: float) -> Options:
    """The settings of the first round."""
    found = dict(GRID[name])
    if noise and name in ("hrdis", "reddiff"):
        found["lambda_obs"] = BELIEF[noise]
        found.pop("lr", None)
        if name == "hrdis":
            found["beta"] = (0.2,)
    if noise and name == "daps":
        found["tau"] = (0.01, noise)
    return found


def candidates(name: str, task: str) -> Iterator[Solver]:
    """What there is to beat, then the grid."""
    yield beat(task, name)
    options = grid(name, split(task)[1])
    for chosen in itertools.product(*options.values()):
        yield replace(BASE[name], **dict(zip(options, chosen, strict=True)))  # type: ignore[arg-type]


def around(solver: Solver, name: str) -> Iterator[Solver]:
    """One setting at a time changed from ``solver``."""
    for key, values in AROUND[name].items():
        for value in values:
            if value != getattr(solver, key):
                yield replace(solver, **{key: value})


def gain(found: dict[str, float], baseline: Score, noisy: bool) -> float:
    """dB of the mean of 8 over the baseline, less what one sample loses against it; PSNR and pooled
    PSNR averaged.

    A criterion of one sample alone rewards doing nothing: the smooth start is hard to beat by
    anything sharp. Under noise the start is easily beaten, and the gains of one sample and of the
    mean are averaged.
    """
    base = baseline.psnr + baseline.pooled
    one, mean = (
        (found[f"psnr_{of}"] + found[f"pooled_{of}"] - base) / 2 for of in ("one", "mean_of_8")
    )
    return (one + mean) / 2 if noisy else mean + min(0.0, one)


@dataclass
class Search:
    """Trials of one prior on one task's crops; stops trying at the deadline."""

    prior: hrdis.Prior
    task: str
    x: Tensor
    deadline: float
    trials: list[Trial]
    file: Path

    def __post_init__(self) -> None:
        self.problem, baseline = measure(self.task, self.x)
        self.baseline = score(baseline, self.x)
        parts = (*self.prior.parameters(), self.x)
        self.digest = hashlib.sha256(
            b"".join(p.float().numpy().tobytes() for p in parts)
        ).hexdigest()[:8]
        print(f"\n{self.task}, {len(self.x)} crops: baseline {self.baseline}", flush=True)

    def run(self, name: str, solver: Solver) -> Trial | None:
        """Try a setting, or look it up; None once the time is up, or where the solver cannot take
        the problem.
        """
        key = (self.digest, self.task, name, brief(solver))
        known = next(
            (t for t in self.trials if (t.weights, t.task, t.solver, t.settings) == key), None
        )
        if known or time.perf_counter() > self.deadline:
            return known
        started = time.perf_counter()
        try:
            found = try_out(solver, self.prior, self.problem, self.x)
        except (TypeError, ValueError) as error:
            print(f"{name}: {error}")
            return None
        value = gain(found, self.baseline, noisy=split(self.task)[1] > 0)
        trial = Trial(*key, pictures=len(self.x), **found, gain=value,
            base_psnr=self.baseline.psnr, base_pooled=self.baseline.pooled,
                      seconds=time.perf_counter() - started)  # fmt: skip
        self.trials.append(trial)
        write(self.trials, self.file)
        one, mean = trial.psnr_one - self.baseline.psnr, trial.psnr_mean_of_8 - self.baseline.psnr
        print(
            f"{value:+.3f}  one {one:+.2f}  mean of 8 {mean:+.2f}  {trial.seconds:.0f} s  "
            f"{brief(solver)}",
            flush=True,
        )
        return trial

    def best(self, name: str, solvers: Iterable[Solver], count: int) -> list[Solver]:
        """Try them all; the best by `gain`."""
        found = {solver: self.run(name, solver) for solver in solvers}
        ranked = {s: t.gain for s, t in found.items() if t is not None and t.gain == t.gain}
        return sorted(ranked, key=lambda s: -ranked[s])[:count]


def main(
    photos: Path,
    prior: str = "default",
    tasks: tuple[str, ...] = problems(),
    solvers: tuple[str, ...] = tuple(BASE),
    images: int = 12,
    confirm: int = 12,
    side: int = 64,
    minutes: float = 240,
    threads: int = 1,
    file: Path = CSV,
) -> None:
    """Search settings.

    Args:
        photos: training photographs.
        prior: "default" or a folder.
        tasks: of sr2, sr4, inpaint-scratches, inpaint (free-form holes) or any of `hrdis tasks`
            that is linear; with -noise01, -noise02, -noise05, -noise10 behind it: measured with
            noise of 0.01 to 0.1 for images in [0, 1].
        solvers: of hrdis, reddiff, ddnm, ddrm, diffpir, daps.
        images: pictures of the search, one crop of each.
        confirm: other pictures, on which the best settings are compared again; 0 leaves it out.
        side: of the crops.
        minutes: stop after so long; another call goes on where this one stopped.
        threads: CPU threads.
        file: where the trials are kept.
    """
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore")
    deadline = time.perf_counter() + 60 * minutes
    model = hrdis.load_prior(prior)
    trials, lines = read(file), []
    for task in tasks:
        search = Search(
            model, task, random_crops(pictures(photos, images), side, 0), deadline, trials, file
        )
        again = search
        if confirm:
            again = Search(
                model,
                task,
                random_crops(pictures(photos, confirm), side, 1),
                deadline,
                trials,
                file,
            )
        for name in solvers:
            if name == "ddnm" and split(task)[1]:  # it knows no noise
                continue
            best = search.best(name, candidates(name, task), 1)
            shortlist = search.best(name, [*best, *around(best[0], name)], BEST) if best else []
            chosen = (
                again.best(name, [*shortlist, beat(task, name)], 1)
                if confirm and shortlist
                else shortlist
            )
            lines += [f'{name:8s} "{task}@default": {brief(chosen[0])},'] if chosen else []
            print(*lines[-1:], flush=True)
    print("\n" + "\n".join(sorted(lines)))
    if file == CSV:
        rewrite(DOCS / "measurements" / "model.md", "presets", best_table(trials))


def best_table(trials: list[Trial]) -> str:
    """The best setting of every task and solver: gains over the task's baseline, in dB."""
    best: dict[tuple[str, str], Trial] = {}
    for t in trials:
        kept = best.get((t.task, t.solver))
        if kept is None or t.gain > kept.gain:
            best[t.task, t.solver] = t
    rows = [
        [t.task, f"`{t.settings}`", f"{t.psnr_one - t.base_psnr:+.2f}",
        f"{t.psnr_mean_of_8 - t.base_psnr:+.2f}",
         f"{t.pooled_one - t.base_pooled:+.2f}", f"{t.pooled_mean_of_8 - t.base_pooled:+.2f}"]
        for t in best.values()
    ]  # fmt: skip
    return table(
        ["task", "best settings tried", "one", "mean of 8", "pooled: one", "mean of 8"],
        sorted(rows),
    )


def read(file: Path = CSV) -> list[Trial]:
    """Trials of earlier runs."""
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        kinds = {f.name: f.type for f in fields(Trial)}
        return [Trial(**{k: kinds[k](v) for k, v in row.items()}) for row in csv.DictReader(opened)]


def write(trials: list[Trial], file: Path = CSV) -> None:
    """All trials, one line each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        out = csv.DictWriter(opened, [*Trial.__dataclass_fields__])
        out.writeheader()
        out.writerows(
            {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in asdict(t).items()}
            for t in trials
        )


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
