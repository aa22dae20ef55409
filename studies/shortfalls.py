"""Why is auto not better than a classical method at some tasks?

    python studies/shortfalls.py --photos TRAIN           # rewrites measurements/tasks.md
    python studies/shortfalls.py --photos TRAIN --no-write  # prints only

Two questions, on crops of training photographs, so that an answer may change what auto takes.

Walsh-Hadamard sensing: where is the error, by sequency (sign changes of a Walsh function) and by
whether a coefficient was measured; and what becomes of it with the same number of measurements of
another kind, and with more calls from higher levels?

Enlarging with Poisson noise and speckle: is it the noise that depends on the picture, the level
that the solver is told, the solver, or that it returns one sample?
"""

import statistics
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
import tyro
from common import rows
from common.measurements import classical, kind, level, measured, preset
from common.pages import DOCS, rewrite, table
from common.photographs import pictures, random_crops
from torch import Tensor

import hrdis
from hrdis import operators
from hrdis.arguments import able
from hrdis.metrics import psnr
from hrdis.operators.hadamard import hadamard
from hrdis.presets import choose_auto
from hrdis.problem import Problem
from hrdis.rng import stream
from hrdis.solvers import CM4IR, FIRE, DDNMPlus, DiffPIR, Solver

PAGE = DOCS / "measurements" / "tasks.md"
TRIALS, BANDS = DOCS / "data" / "shortfalls.csv", DOCS / "data" / "shortfalls-bands.csv"
SIDE = 64
GREY = 127.5  #: grey levels of 255 in one unit of an image in [-1, 1]
#: Bands of sequency: the larger of the sign changes along rows and along columns.
EDGES = (0, 1, 2, 4, 8, 16, 32, 64)
LOW = 8  #: sequencies below this are "low": 64 of the 4096 coefficients
CLASSICAL = "classical"


@dataclass(frozen=True)
class Trial:
    """One method on one measurement of all crops, with some draws of the operator; PSNR in dB."""

    question: str
    case: str
    noise: str
    method: str
    psnr: float
    gain: float  #: mean over the classical method
    median: float
    better: int  #: pictures where it is better than the classical method
    pictures: int


@dataclass(frozen=True)
class Band:
    """The mean square error of one band of sequency, in grey levels squared; bands add up."""

    case: str
    noise: str
    method: str
    low: int
    high: int
    measured: str
    coefficients: float  #: per channel, mean over the draws
    error: float


# ---- operators that measure as much in another way -----------------------------------------------


class Scrambled(operators.WalshHadamard):
    """Walsh-Hadamard sampling of a picture whose pixels had their signs changed at random."""

    def signs(self, like: Tensor) -> Tensor:
        """Return one sign per pixel, the same for all channels."""
        drawn = torch.from_numpy(stream(self.seed, "signs", SIDE).random((SIDE, SIDE))) < 0.5
        return torch.where(drawn, 1.0, -1.0).to(like)

    def V(self, spectrum: Tensor) -> Tensor:
        x = super().V(spectrum)
        return x * self.signs(x)

    def Vt(self, x: Tensor) -> Tensor:
        return super().Vt(x * self.signs(x))


def sequency(n: int = SIDE) -> Tensor:
    """Return the larger number of sign changes, along rows or columns, of every coefficient."""
    matrix = hadamard(torch.eye(n)).sign()
    changes = (matrix[:, 1:] != matrix[:, :-1]).sum(1)
    return torch.maximum(changes[:, None], changes).flatten()


def low_kept(seed: int) -> operators.WalshHadamard:
    """Keep all low sequencies, and as many of the others, at random, as are left."""
    drawn = operators.WalshHadamard(4, seed=seed).permutation(SIDE)
    low = sequency()[drawn] < LOW
    return operators.WalshHadamard(4, permutation=torch.cat([drawn[low], drawn[~low]]))


#: The bands of the error are told for these.
BANDED = ("the task", "the mean kept")
#: Ways to make 1024 numbers of 4096 pixels, by the draw.
KINDS: dict[str, Callable[[int], operators.SVDOperator]] = {
    "the task": lambda seed: operators.WalshHadamard(4, seed=seed),
    "the mean kept": lambda seed: operators.WalshHadamard(4, seed=seed, keep_dc=True),
    "low sequencies kept": low_kept,
    "signs scrambled": lambda seed: Scrambled(4, seed=seed),
    "random, in blocks (cs25)": lambda seed: operators.CompressedSensing(0.25, seed=seed),
}


# ---- Walsh-Hadamard sensing ----------------------------------------------------------------------


def auto(task: str, noise: str, prior: hrdis.Prior) -> Solver:
    """Return what auto takes at normal effort."""
    known, runs = hrdis.TASKS[task], able(measured(task, torch.zeros(1, 3, SIDE, SIDE), noise))
    return choose_auto(
        known.presets, level(noise), tuned=prior.presets, able=lambda cls: cls in runs
    ).settings


def tuned(task: str, noise: str) -> Solver:
    """Return HRDIS as it was tuned."""
    return preset("hrdis", hrdis.TASKS[task].presets, "default", level(noise), kind(noise))[1]


def bands_of(x: Tensor, truth: Tensor, kept: Tensor) -> dict[tuple[int, int, bool], float]:
    """Return the mean square error by (first sequency, last sequency, measured), grey levels^2."""
    error = hadamard(((x.clamp(-1, 1) - truth) * GREY).flatten(-2)).square().mean((0, 1)) / SIDE**2
    height, found = sequency(), {}
    for low, high in pairwise(EDGES):
        inside = (height >= low) & (height < high)
        for seen in (True, False):
            found[low, high - 1, seen] = float(error[inside & (kept == seen)].sum())
    return found


def walsh(prior: hrdis.Prior, x: Tensor, draws: int) -> tuple[list[Trial], list[Band]]:
    """Measure every kind of operator, and the bands of the error of the task's own."""
    trials, bands = [], []
    for noise in ("none", "0.05"):
        taken = auto("cs-walsh4", noise, prior)
        for case, make in KINDS.items():
            methods = {"auto": taken}
            if case == "the task":
                methods["HRDIS"] = tuned("cs-walsh4", noise)
            found: dict[str, list[Tensor]] = {}
            errors: dict[tuple[str, int, int, bool], list[float]] = {}
            counts: dict[tuple[int, int, bool], list[int]] = {}
            for problem, answers in answered(make, methods, noise, prior, x, draws):
                for name, answer in answers.items():
                    found.setdefault(name, []).append(psnr(answer.clamp(-1, 1), x))
                if case not in BANDED:
                    continue
                kept = torch.zeros(SIDE**2, dtype=torch.bool)
                kept[problem.A.permutation(SIDE)[: SIDE**2 // 4]] = True  # type: ignore[operator]
                for name, answer in answers.items():
                    for key, value in bands_of(answer, x, kept).items():
                        errors.setdefault((name, *key), []).append(value)
                for low, high, seen in bands_of(x, x, kept):
                    inside = (sequency() >= low) & (sequency() <= high) & (kept == seen)
                    counts.setdefault((low, high, seen), []).append(int(inside.sum()))
            trials += compared("Walsh-Hadamard", case, noise, found)
            for (name, low, high, seen), values in errors.items():
                bands.append(
                    Band(
                        case, noise, name, low, high, "yes" if seen else "no",
                        statistics.mean(counts[low, high, seen]),
                        round(statistics.mean(values), 3),
                    )
                )  # fmt: skip
    return trials, bands


def answered(
    make: Callable[[int], operators.SVDOperator], methods: dict[str, Solver], noise: str,
    prior: hrdis.Prior, x: Tensor, draws: int,
) -> Iterator[tuple[Problem, dict[str, Tensor]]]:  # fmt: skip
    """Yield the problem of each draw of an operator, and what every method makes of it."""
    for draw in range(draws):
        problem = hrdis.measure(make(draw), x, noise_of(noise), seeds=range(len(x)))
        answers = {CLASSICAL: classical("cs-walsh4", problem, level(noise))[1]}
        for name, solver in methods.items():
            answers[name] = one(solver, prior, problem)
        yield problem, answers


def longer(prior: hrdis.Prior, x: Tensor, draws: int) -> list[Trial]:
    """Try the task with 100 calls of three solvers, from three levels."""
    made = []
    for noise in ("none", "0.05"):
        methods: dict[str, Solver] = {}
        for cls in (FIRE, DiffPIR, CM4IR):
            for start in (300, 600, 900):
                methods[f"{cls.__name__}, 100 calls from t = {start}"] = cls(steps=100, start=start)
        found: dict[str, list[Tensor]] = {}
        for _, answers in answered(KINDS["the task"], methods, noise, prior, x, draws):
            for name, answer in answers.items():
                found.setdefault(name, []).append(psnr(answer.clamp(-1, 1), x))
        made += compared("more calls", "the task", noise, found)
    return made


def noise_of(noise: str) -> hrdis.noise.Noise | None:
    """Return the noise of a name."""
    return None if noise == "none" else hrdis.noise.Gaussian(level(noise))


def compared(question: str, case: str, noise: str, found: dict[str, list[Tensor]]) -> list[Trial]:
    """Return a row per method of PSNRs by draw; they are compared picture by picture."""
    reference, made = torch.cat(found[CLASSICAL]), []
    for name, values in found.items():
        gains = torch.cat(values) - reference
        made.append(
            Trial(
                question, case, noise, name,
                round(float(torch.cat(values).mean()), 2), round(float(gains.mean()), 2),
                round(float(gains.median()), 2),
                int((gains > 0).sum()), len(gains),
            )
        )  # fmt: skip
        print(made[-1], flush=True)
    return made


# ---- enlarging with noise that depends on the picture --------------------------------------------


def enlarging(prior: hrdis.Prior, x: Tensor, samples: int) -> list[Trial]:
    """Change one thing at a time: the noise, the level that is told, the solver, the samples."""
    trials = []
    for task in ("sr4", "sr8"):
        for noise in ("poisson", "speckle"):
            trials += enlarged(task, noise, prior, x, samples)
    return trials


def enlarged(task: str, noise: str, prior: hrdis.Prior, x: Tensor, samples: int) -> list[Trial]:
    """Return the rows of one task and noise."""
    problem, taken = measured(task, x, noise), auto(task, noise, prior)
    exact = problem.A(x)
    true_level = float((problem.y - exact).square().mean().sqrt())
    print(f"{task} {noise}: told {problem.sigma_y:.4f}, rms {true_level:.4f}", flush=True)
    even = hrdis.measure(
        problem.A, x, hrdis.noise.Gaussian(problem.sigma_y / 2), seeds=range(len(x))
    )
    by_sample = drawn(taken, prior, problem, samples)
    by_hrdis = drawn(tuned(task, noise), prior, problem, samples)
    found = {
        CLASSICAL: scores(classical(task, problem, level(noise))[1], x),
        "auto": scores(by_sample[0], x),
        f"auto, mean of {samples}": scores(by_sample.mean(0), x),
        "HRDIS": scores(by_hrdis[0], x),
        f"HRDIS, mean of {samples}": scores(by_hrdis.mean(0), x),
    }
    for factor in (0.5, 0.7, 0.85, 1.2, 1.4):
        told = replace(problem, sigma_y=problem.sigma_y * factor)
        found[f"auto, told {factor} of the level"] = scores(one(taken, prior, told), x)
    each = (problem.y - exact).square().flatten(1).mean(1).sqrt()
    alone = [
        one(taken, prior, Problem(problem.y[k : k + 1], problem.A, float(each[k])), k)
        for k in range(len(x))
    ]
    found["auto, told each picture's own level"] = scores(torch.cat(alone), x)
    for weight in (0.5, 0.7, 1.4, 2.0, 3.0):
        answer = classical(task, problem, weight * level(noise))[1]
        found[f"classical, {weight} of the strength"] = scores(answer, x)
    for solver in others():
        name = f"{type(solver).__name__}, {solver.steps} calls from t = {solver.start}"  # type: ignore[attr-defined]
        found[name] = scores(one(solver, prior, problem), x)
    made = compared("enlarging", task, noise, found)
    same = {
        CLASSICAL: scores(classical(task, even, level(noise))[1], x),
        "auto": scores(one(taken, prior, even), x),
        "HRDIS": scores(one(tuned(task, noise), prior, even), x),
    }
    return made + compared("enlarging", task, f"Gaussian of the level of {noise}", same)


def others() -> list[Solver]:
    """Return what else auto could take, with as many calls."""
    return [
        *(DDNMPlus(steps=20, start=t) for t in (60, 100, 200, 400)),
        *(DiffPIR(steps=20, start=t) for t in (100, 200, 400)),
        *(FIRE(steps=10, start=t) for t in (60, 100, 200)),
    ]


def one(solver: Solver, prior: hrdis.Prior, problem: Problem, seed: int = 0) -> Tensor:
    """Return one sample of every picture."""
    seeds = range(seed, seed + len(problem.y))
    return hrdis.solve(solver, prior, problem, seeds=seeds).x


def drawn(solver: Solver, prior: hrdis.Prior, problem: Problem, samples: int) -> Tensor:
    """Return samples (samples, n, 3, h, w)."""
    return torch.stack([one(solver, prior, problem, 1000 * k) for k in range(samples)])


def scores(answer: Tensor, truth: Tensor) -> list[Tensor]:
    """Return the PSNR of every picture, as the only draw."""
    return [psnr(answer.clamp(-1, 1), truth)]


# ---- the page ------------------------------------------------------------------------------------


def walsh_table(trials: list[Trial]) -> str:
    """Show what another choice of as many measurements is worth, and what more calls are."""
    lines = []
    for t in trials:
        if t.question in ("Walsh-Hadamard", "more calls") and t.method != CLASSICAL:
            total = next(
                o.psnr for o in trials
                if (o.question, o.case, o.noise, o.method)
                == (t.question, t.case, t.noise, CLASSICAL)
            )  # fmt: skip
            lines.append([
                t.case, t.noise, t.method, f"{total:.2f}", f"{t.psnr:.2f}", f"{t.gain:+.2f}",
                f"{t.median:+.2f}", f"{t.better} of {t.pictures}",
            ])  # fmt: skip
    head = [
        "measured", "noise", "method", "total variation", "PSNR", "gain: mean", "median", "better",
    ]  # fmt: skip
    return table(head, lines)


def bands_table(bands: list[Band]) -> str:
    """Show the mean square error without noise, by sequency, of what was not measured."""
    names = list(dict.fromkeys(b.method for b in bands))
    lines = []
    for case in BANDED:
        mine = [b for b in bands if (b.case, b.noise) == (case, "none")]
        for low, high in dict.fromkeys((b.low, b.high) for b in mine):
            of = {b.method: b for b in mine if (b.low, b.measured) == (low, "no")}
            title = f"{low} to {high}" if high > low else str(low)
            errors = [f"{of[name].error:.1f}" if name in of else "-" for name in names]
            missing = of[CLASSICAL].coefficients
            lines.append([case, title, f"{missing:g}", *errors])
        seen = [sum(b.error for b in mine if (b.method, b.measured) == (name, "yes"))
                for name in names]  # fmt: skip
        lines.append([case, "measured, all", "1024", *(f"{v:.1f}" if v else "-" for v in seen)])
    head = ["measured", "sequency", "coefficients missing", *(shown_name(n) for n in names)]
    return table(head, lines)


def shown_name(method: str) -> str:
    """Name the classical method of sensing."""
    return "total variation" if method == CLASSICAL else method


def enlarging_table(trials: list[Trial]) -> str:
    """Show what changes of one thing do to the gain over the classical method."""
    mine = [t for t in trials if t.question == "enlarging"]
    cells = {(t.case, t.noise, t.method): t for t in mine}
    places = [(task, noise) for task in ("sr4", "sr8") for noise in ("poisson", "speckle")]
    lines = []
    for name in ("auto", "HRDIS"):
        values = [cells[task, f"Gaussian of the level of {noise}", name] for task, noise in places]
        lines.append([f"{name}, even noise of that level", *(f"{t.gain:+.2f}" for t in values)])
    for method in dict.fromkeys(t.method for t in mine):
        if method != CLASSICAL:
            values = [cells[task, noise, method] for task, noise in places]
            lines.append([method, *(f"{t.gain:+.2f}" for t in values)])
    return table(["what", *(f"{task}, {noise}" for task, noise in places)], lines)


def main(
    photos: Path,
    crops: int = 8,
    draws: int = 4,
    samples: int = 4,
    only: tuple[str, ...] = ("walsh", "longer", "enlarging"),
    write: bool = True,
) -> None:
    """Measure.

    Args:
        photos: training photographs.
        crops: one of 64 x 64 of each of so many.
        draws: of the sensing operators.
        samples: of which a mean is taken.
        only: some of walsh, longer and enlarging.
        write: rewrite the CSV files and the page.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    prior, files = hrdis.load_prior("default", dtype=torch.bfloat16), pictures(photos)
    x = random_crops([files[k * len(files) // crops] for k in range(crops)], SIDE, seed=5)
    trials, bands = rows.read(TRIALS, Trial), rows.read(BANDS, Band)
    made: dict[str, list[Trial]] = {}
    if "walsh" in only:
        made["Walsh-Hadamard"], bands = walsh(prior, x, draws)
    if "longer" in only:
        made["more calls"] = longer(prior, x, draws)
    if "enlarging" in only:
        made["enlarging"] = enlarging(prior, x, samples)
    for question, found in made.items():
        trials = [t for t in trials if t.question != question] + found
    if write:
        rows.write(BANDS, Band, bands)
        rows.write(TRIALS, Trial, trials)
        rewrite(PAGE, "walsh", walsh_table(trials))
        rewrite(PAGE, "bands", bands_table(bands))
        rewrite(PAGE, "enlarging", enlarging_table(trials))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
