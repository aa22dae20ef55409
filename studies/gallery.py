"""Five problems by every solver with the embedded model: gains over a classical method, with
intervals over the pictures.

    python studies/gallery.py --photos FOLDER  # rewrites measurements/solvers.md and its pictures
    python studies/gallery.py --photos FOLDER --minutes 9  # as far as it gets; goes on from there

Solvers come from ``hrdis.SOLVERS`` with the settings that fit, so one that is added there joins
the table. All solve the same problems, from the middle of every photograph. What is done is kept
in a folder named after the weights, and not done again.
"""

import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from common import rows
from common.measurements import classical, level, measured, preset
from common.pages import DOCS, rewrite, table
from common.photographs import centre_crops, pictures
from torch import Tensor

import hrdis
from hrdis.arguments import able
from hrdis.bench.report.statistics import estimate
from hrdis.metrics import psnr, ssim
from hrdis.presets import choose_auto
from hrdis.solvers import Solver

PAGE, CSV = DOCS / "measurements" / "solvers.md", DOCS / "data" / "choosing.csv"
PLOT, PICTURE = DOCS / "pictures" / "choosing-gains.png", DOCS / "pictures" / "choosing.jpg"
#: They need a consistency model, an unknown in the operator, and 910 calls.
LEFT_OUT = ("cmhrdis", "blindhrdis", "repaint")
#: Title, task, noise.
PROBLEMS = (
    ("x4", "sr4", "none"),
    ("x4, noise 0.05", "sr4", "0.05"),
    ("scratches", "inpaint-scratches", "none"),
    ("denoising, noise 0.1", "denoise", "0.1"),
    ("deblurring, noise 0.05", "deblur-uniform", "0.05"),
)


@dataclass(frozen=True)
class Cell:
    """One solver on one problem: means over the pictures.

    Args:
        solver: its class, "auto (CLASS)", or the name of the classical method.
        settings: name of the preset; "defaults" of the class.
        gain: PSNR of one sample less that of the classical method, in dB.
        low, high: ends of its 95 % interval, by bootstrap over the pictures.
    """

    problem: str
    solver: str
    settings: str
    calls: int
    psnr_one: float
    ssim_one: float
    gain: float
    low: float
    high: float
    psnr_mean: float
    ssim_mean: float
    seconds: float


def candidates(task: str, noise: str, prior: hrdis.Prior) -> dict[str, tuple[str, Solver]]:
    """What is compared on a problem, by name: auto, and every solver that can take it."""
    known = hrdis.TASKS[task]
    runs = able(measured(task, torch.zeros(1, 3, 64, 64), noise))
    auto = choose_auto(known.presets, level(noise), tuned=prior.presets, able=lambda c: c in runs)
    found = {"auto": ("auto", auto.settings)}
    for name, (cls, *_) in hrdis.SOLVERS.items():
        if name not in LEFT_OUT and cls in runs:
            key, solver = preset(name, known.presets, "default", level(noise))
            found[name] = (key or "defaults", solver)
    return found


def solve(
    title: str, chosen: tuple[str, Solver], prior: hrdis.Prior, problem: Any, x: Tensor,
    answer: Tensor, samples: int,
) -> tuple[Cell, Tensor]:  # fmt: skip
    """Restore every picture ``samples`` times, and return the scores and the first samples."""
    settings, solver = chosen
    began = time.perf_counter()
    runs = [
        hrdis.solve(solver, prior, problem, seeds=[1000 * k + i for i in range(len(x))])
        for k in range(samples)
    ]
    seconds = (time.perf_counter() - began) / (samples * len(x))
    found = torch.stack([run.x for run in runs])
    one, mean = found[0], found.mean(0)
    gain = estimate((psnr(one, x) - psnr(answer, x)).tolist())
    cell = Cell(
        title, type(solver).__name__, settings, runs[0].nfe, float(psnr(one, x).mean()),
        float(ssim(one, x).mean()), gain.value, gain.low or 0.0, gain.high or 0.0,
        float(psnr(mean, x).mean()), float(ssim(mean, x).mean()), seconds,
    )  # fmt: skip
    return cell, one


def gains(cells: list[Cell], problem: str) -> list[Cell]:
    """The solvers of a problem, the best first, without the classical method."""
    found = [c for c in cells if c.problem == problem and c.calls]
    return sorted(found, key=lambda c: -c.gain)


def plot(cells: list[Cell]) -> None:
    """Draw the gain of every solver on every problem with its interval."""
    import matplotlib.pyplot as plt

    names = sorted({c.solver for c in cells if c.calls and not c.solver.startswith("auto")})
    names = ["auto", *names]
    figure, axes = plt.subplots(1, len(PROBLEMS), figsize=(13, 5.6), sharey=True)
    for ax, (title, _, _) in zip(axes, PROBLEMS, strict=True):
        shown = gains(cells, title)
        lowest = max(min(c.low for c in shown), -4.0)
        for c in shown:
            y = names.index(c.solver.split(" ")[0])
            colour = {"auto": "tab:orange", "HRDIS": "tab:blue"}.get(names[y], "0.35")
            if c.gain < lowest:
                ax.text(lowest, y, f"◂ {c.gain:.1f}", va="center", fontsize=8, color=colour)
                continue
            ax.plot([max(c.low, lowest), c.high], [y, y], color=colour, lw=1.5)
            ax.plot(c.gain, y, "o", color=colour, ms=4)
        ax.axvline(0, color="0.7", lw=0.8, zorder=0)
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("dB over " + classical_name(cells, title), fontsize=8)
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(PLOT, dpi=100)
    plt.close(figure)


def classical_name(cells: list[Cell], problem: str) -> str:
    """The classical method of a problem."""
    return next(c.solver for c in cells if c.problem == problem and not c.calls)


def picture(cells: list[Cell], tiles: dict[tuple[str, str], Tensor]) -> None:
    """Draw a row for each problem: truth, given, the classical method, the best, HRDIS, the worst.

    The photograph of a row is the one on which HRDIS's gain is the median.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(PROBLEMS), 6, figsize=(12, 2.35 * len(PROBLEMS)))
    for line, (title, _, _) in zip(axes, PROBLEMS, strict=True):
        order = [c for c in gains(cells, title) if not c.solver.startswith("auto")]
        x, base, ours = (tiles[title, name] for name in ("truth", "classical", "HRDIS"))
        middle = int((psnr(ours, x) - psnr(base, x)).argsort()[len(x) // 2])
        columns = [
            ("truth", "truth"), ("given", "given"), (classical_name(cells, title), "classical"),
            (f"best: {order[0].solver}", order[0].solver), ("HRDIS", "HRDIS"),
            (f"worst: {order[-1].solver}", order[-1].solver),
        ]  # fmt: skip
        for ax, (name, tile) in zip(line, columns, strict=True):
            shown = tiles[title, tile][middle]
            ax.imshow(((shown.clamp(-1, 1) + 1) / 2).permute(1, 2, 0), interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_title(name, fontsize=9)
            if tile not in ("truth", "given"):
                value = float(psnr(shown[None], x[middle : middle + 1]))
                ax.set_xlabel(f"{value:.1f} dB", fontsize=8)
        line[0].set_ylabel(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=90, pil_kwargs={"quality": 88})
    plt.close(figure)


def best_of_each(cells: list[Cell]) -> str:
    """The table of the page: the five best of every problem, auto and HRDIS."""
    lines = []
    for title, _, _ in PROBLEMS:
        ranked = gains(cells, title)
        for place, c in enumerate(ranked, start=1):
            if place <= 5 or c.solver == "HRDIS" or c.solver.startswith("auto"):
                lines.append(
                    [title, place, c.solver, c.calls, f"{c.psnr_one:.2f}",
                     f"{c.gain:+.2f} ({c.low:+.2f} to {c.high:+.2f})", f"{c.psnr_mean:.2f}",
                     f"{c.ssim_one:.3f}"]
                )  # fmt: skip
    header = ["problem", "place", "solver", "calls", "PSNR of one sample",
              "gain (95 % interval)", "PSNR of the mean", "SSIM of one"]  # fmt: skip
    return table(header, lines)


def main(photos: Path, samples: int = 4, minutes: float = 600.0, side: int = 64) -> None:
    """Compare every solver on five problems.

    Args:
        photos: photographs the model was never trained on.
        samples: for the mean.
        minutes: start nothing after this time; the next run goes on.
        side: of the crops.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    ends = time.monotonic() + 60 * minutes
    prior = hrdis.load_prior("default", dtype=torch.bfloat16)
    files = pictures(photos)
    x = centre_crops(files, side)
    folder = Path("runs") / f"choosing-{hrdis.checkpoints.identity('default')[:8]}-{samples}"
    folder.mkdir(parents=True, exist_ok=True)
    cells = rows.read(folder / "rows.csv", Cell)
    done = {(c.problem, c.solver.split(" ")[0]) for c in cells}
    tiles: dict[tuple[str, str], Tensor] = {}
    whole = True
    for title, task, noise in PROBLEMS:
        problem = measured(task, x, noise)
        method, answer = classical(task, problem, level(noise))
        given = problem.y if problem.y.shape == x.shape else problem.A.pinv(problem.y)
        tiles |= {(title, "truth"): x, (title, "given"): given, (title, "classical"): answer}
        if (title, method.split(" ")[0]) not in done:
            cells.append(
                Cell(title, method, "", 0, float(psnr(answer, x).mean()),
                     float(ssim(answer, x).mean()), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
            )  # fmt: skip
        for name, chosen in candidates(task, noise, prior).items():
            shown = "auto" if name == "auto" else type(chosen[1]).__name__
            file = folder / f"{title}-{shown}.pt"
            if (title, shown) not in done and time.monotonic() < ends:
                cell, one = solve(title, chosen, prior, problem, x, answer, samples)
                if name == "auto":
                    cell = replace(cell, solver=f"auto ({cell.solver})")
                torch.save(one.half(), file)
                cells.append(cell)
                rows.write(folder / "rows.csv", Cell, cells)
                print(cell, flush=True)
            if file.exists():
                tiles[title, shown] = torch.load(file).float()
            else:
                whole = False
    if not whole:
        print("Not all is done. Run the same line again, and it goes on.")
        return
    rewrite(
        PAGE,
        "run",
        f"The {len(files)} photographs have one crop of {side} x {side} pixels each, from the "
        f"middle; the mean is of {samples} samples. The network ran in bf16.",
    )
    rewrite(PAGE, "table", best_of_each(cells))
    kept = [
        replace(c, **{k: round(v, 4) for k, v in vars(c).items() if isinstance(v, float)})
        for c in cells
    ]
    rows.write(CSV, Cell, kept)
    plot(cells)
    picture(cells, tiles)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
