"""Every task and every noise with the embedded prior, on photographs it was never trained on.

    python studies/tasks.py --photos FOLDER  # rewrites measurements/tasks.md
    python studies/tasks.py --photos FOLDER --minutes 9  # as far as it gets; goes on from there
    python studies/tasks.py --photos FOLDER --shard 0/2  # half of the rows, beside --shard 1/2
    python studies/tasks.py --photos FOLDER --images 1 --samples 2 --tasks hdr phase --no-write

The starting picture, one classical method, what the solver "auto" gives, and one sample and the
mean of several of HRDIS; phase retrieval seed by seed; photographs darkened by an exposure that the
solver has to find. Every row and section is a file of the run folder as soon as it is
there, with a digest of what it depends on (weights, crops, settings): a row whose digest is still
the same is not run again.
"""

import csv
import hashlib
import json
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import tyro
from common.measurements import NOISES, SCANS, classical, grey, kind, level, measured, preset
from common.pages import DOCS, rewrite, table
from common.photographs import Score, pictures, random_crops, score
from torch import Tensor

import hrdis
from hrdis import operators
from hrdis.arguments import able
from hrdis.metrics import align, psnr, ssim
from hrdis.presets import choose_auto
from hrdis.problem import Problem
from hrdis.solvers import Solver

PAGE = DOCS / "measurements" / "tasks.md"
PICTURE, CSV = DOCS / "pictures" / "tasks.png", DOCS / "data" / "tasks.csv"
ALONE = ("phase", "lowlight")  # have tables of their own
SLOW = ("ct60",)  # two crops, two samples
CALLED = {
    "none": "none",
    "0.05": "Gaussian 0.05",
    "0.1": "Gaussian 0.1",
    "poisson": "Poisson 1.0",
    "speckle": "speckle 0.1",
}
#: What the picture shows: a task of each kind, and of those some with noise.
DRAWN = (
    "inpaint", "inpaint-box", "inpaint-random", "sr2", "sr4", "sr8", "hdr", "jpeg10", "quantize",
    "mri4", "ct60", "cs25",
    "cs10", "cs-walsh4", "colorize", "deblur-gauss", "deblur-motion", "denoise, Gaussian 0.05",
    "inpaint, Gaussian 0.05",
    "sr2, Gaussian 0.05", "sr4, Gaussian 0.05", "hdr, Gaussian 0.05", "quantize, Gaussian 0.05",
    "mri4, Gaussian 0.05",
    "deblur-gauss, Gaussian 0.05",
)  # fmt: skip
FILES: list[Path] = []  # every photograph there is, for what needs no network
SUCCESS = 20.0  # dB, after alignment: the picture is recognisable, not merely its outline


@dataclass(frozen=True)
class Row:
    """One task with one noise; means over the pictures.

    Args:
        method: the classical one.
        auto: the solver that auto takes, with its calls.
        better: number of pictures that auto restores better than the classical method.
        preset: of HRDIS; "none" for the class's defaults.
    """

    task: str
    noise: str
    method: str
    auto: str
    auto_calls: int
    better: int
    preset: str
    calls: int
    psnr_start: float
    psnr_classical: float
    psnr_auto: float
    psnr_one: float
    psnr_mean: float
    ssim_start: float
    ssim_classical: float
    ssim_auto: float
    ssim_one: float
    ssim_mean: float
    seconds: float


@dataclass
class Run:
    """What has been measured so far: a folder with a file per row and per section."""

    folder: Path
    digest: str  # of weights, crops and numbers of samples
    prior: hrdis.Prior

    def known(self, name: str, settings: object) -> dict[str, object] | None:
        """What was found for a row or a section with these settings; None where nothing was yet."""
        file = self.folder / f"{name}.json"
        found = json.loads(file.read_text()) if file.exists() else {}
        return found if found.get("digest") == self.key(settings) else None

    def key(self, settings: object) -> str:
        """A digest of all that a result depends on."""
        return hashlib.sha256(f"{self.digest} {settings!r}".encode()).hexdigest()[:16]

    def keep(self, name: str, settings: object, tiles: list[Tensor], **found: object) -> None:
        """Write a result, its pictures first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if tiles:
            torch.save(
                torch.stack([v.expand(3, -1, -1) for v in tiles]).half(), self.folder / f"{name}.pt"
            )
        part = self.folder / f"{name}.part"
        part.write_text(json.dumps(found | {"digest": self.key(settings)}))
        part.replace(self.folder / f"{name}.json")

    def page(self, about: str, wanted: Iterable[tuple[str, str]]) -> None:
        """Rewrite page, picture and CSV from all that is there."""
        rows, tiles = [], {}
        order = {task: i for i, task in enumerate(hrdis.TASKS)}
        for task, noise in sorted(wanted, key=lambda case: order[case[0]]):
            found = self.known(f"{task}-{noise}", depends_on(task, noise, self.prior))
            if found:
                rows.append(Row(**found["row"]))  # type: ignore[arg-type]
                caption = f"{task}, {CALLED[noise]}" if noise != "none" else task
                tiles[caption] = list(torch.load(self.folder / f"{task}-{noise}.pt").float())
        rewrite(PAGE, "run", about)
        rewrite(PAGE, "table", quality(rows))
        rewrite(PAGE, "summary", short(rows))
        with CSV.open("w", newline="") as file:
            out = csv.DictWriter(file, [*Row.__dataclass_fields__])
            out.writeheader()
            out.writerows(
                {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in asdict(r).items()}
                for r in rows
            )
        for name, (_, settings) in SECTIONS.items():
            if found := self.known(name, settings()):
                rewrite(PAGE, name, str(found["text"]))
        drawn = {caption: tiles[caption] for caption in DRAWN if caption in tiles}
        if self.known("lowlight", SECTIONS["lowlight"][1]()):
            caption = "lowlight, f = 0.25, M a ramp;, last: told f and M"
            drawn[caption] = list(torch.load(self.folder / "lowlight.pt").float())
        draw(drawn)


# ---- rows
# -----------------------------------------------------------------------------------------------


def repeated(problem: Problem, k: int) -> Problem:
    """The same measurements k times over, to draw k samples in one batch."""
    A = problem.A
    if isinstance(A, operators.Inpainting):
        A = operators.Inpainting(A.mask.repeat(k, 1, 1, 1))
    return Problem(problem.y.repeat(k, *[1] * (problem.y.ndim - 1)), A, problem.sigma_y)


def by_level(problem: Problem, noise: str) -> list[Problem]:
    """The pictures that have one level of noise: all, or each alone where it depends on them."""
    model = NOISES[noise]
    if not isinstance(model, hrdis.noise.Poisson | hrdis.noise.Speckle):
        return [problem]
    problems = []
    for i in range(len(problem.y)):
        y, A = problem.y[i : i + 1], problem.A
        if isinstance(A, operators.Inpainting) and len(A.mask) > 1:
            A = operators.Inpainting(A.mask[i : i + 1])
        problems.append(Problem(y, A, model.level_in(y)))
    return problems


def sampled(
    solver: Solver, prior: hrdis.Prior, problem: Problem, k: int, first: int = 0
) -> tuple[Tensor, hrdis.Result]:
    """k samples per picture, (k, n, c, h, w); sample j of picture i has seed 1000 j + i, counted
    from ``first``.
    """
    n = len(problem.y)
    seeds = [1000 * j + first + i for j in range(k) for i in range(n)]
    result = hrdis.solve(solver, prior, repeated(problem, k), seeds=seeds)
    return result.x.reshape(k, n, *result.x.shape[1:]), result


def row(
    task: str, noise: str, prior: hrdis.Prior, x: Tensor, samples: int
) -> tuple[Row, list[Tensor]]:
    """Measure, restore, score."""
    began = time.perf_counter()
    problem = measured(task, x, noise)
    finish, x = (grey, grey(x)) if task in SCANS else (lambda v: v, x)
    start = finish(problem.A.smooth(problem.y))
    of_hrdis, of_auto, names, answers = [], [], [], []
    for i, own in enumerate(by_level(problem, noise)):
        truth = x[i : i + 1] if len(own.y) < len(x) else x
        tried = [classical(task, own, level(noise))]
        if kind(noise) != "gaussian":  # the better of two strengths, by the truth
            tried.append(classical(task, own, own.sigma_y / 2))
        method, answer = max(
            tried, key=lambda t: float(psnr(finish(t[1]).clamp(-1, 1), truth).sum())
        )
        answers.append(answer)
        auto, (key, solver) = choices(task, noise, prior, own.sigma_y / 2)
        of_hrdis.append(sampled(solver, prior, own, samples, i))
        of_auto.append(sampled(auto, prior, own, 1, i))
        names.append(type(auto).__name__)
    result, by_auto = of_hrdis[0][1], of_auto[0][1]
    found = finish(torch.cat([x for x, _ in of_hrdis], 1))
    taken = finish(torch.cat([x for x, _ in of_auto], 1))[0]
    answer = finish(torch.cat(answers))
    one, mean = mean_score([score(v, x) for v in found]), score(found.mean(0), x)
    scores = [score(start, x), score(answer, x), score(taken, x), one, mean]
    better = int((psnr(taken.clamp(-1, 1), x) > psnr(answer.clamp(-1, 1), x)).sum())
    made = Row(
        task, noise, method, " or ".join(dict.fromkeys(names)), len(by_auto.times) - 1, better,
        key or "none", len(result.times) - 1, *(s.psnr for s in scores), *(s.ssim for s in scores),
        time.perf_counter() - began,
    )  # fmt: skip
    i = shown(x)
    return made, [x[i], start[i], answer[i], taken[i], found[0, i]]


def choices(
    task: str, noise: str, prior: hrdis.Prior, own: float | None = None
) -> tuple[Solver, tuple[str | None, Solver]]:
    """What auto takes, and HRDIS by its preset for the noise, with its key; at a picture's own
    level where that is given, as a fraction of white.
    """
    known = hrdis.TASKS[task]
    sigma = level(noise) if own is None else own
    hrdis_and_key = preset("hrdis", known.presets, "default", sigma, kind(noise))
    runs = able(measured(task, torch.zeros(1, 3, 64, 64), noise))
    auto = choose_auto(known.presets, sigma, tuned=prior.presets, able=lambda cls: cls in runs)
    return auto.settings, hrdis_and_key


def depends_on(task: str, noise: str, prior: hrdis.Prior) -> object:
    """What a row depends on beside weights and crops."""
    found = choices(task, noise, prior)
    return (
        found
        if kind(noise) == "gaussian"
        else (found, "the level of each picture, two strengths of the classical method")
    )


def shown(x: Tensor) -> int:
    """The crop for the picture: the second in detail, which has edges and not texture alone."""
    detail = (x - torch.nn.functional.avg_pool2d(x, 5, 1, 2)).flatten(1).std(1)
    return int(detail.argsort(descending=True)[min(1, len(x) - 1)])


def mean_score(scores: list[Score]) -> Score:
    """Of one sample, averaged over samples."""
    return Score(
        *(
            sum(getattr(s, name) for s in scores) / len(scores)
            for name in ("psnr", "pooled", "ssim")
        )
    )


def quality(rows: list[Row]) -> str:
    """The first table."""
    lines = []
    for r in rows:
        values = (r.psnr_start, r.psnr_classical, r.psnr_auto, r.psnr_one, r.psnr_mean)
        best = max(values)
        cells = [f"**{v:.2f}**" if v == best else f"{v:.2f}" for v in values]
        similar = (r.ssim_classical, r.ssim_auto, r.ssim_one, r.ssim_mean)
        lines.append(
            [
                r.task, CALLED[r.noise], r.method, f"{r.auto}, {r.auto_calls}", *cells,
                f"{r.psnr_auto - r.psnr_classical:+.2f}", r.better,
                *(f"{v:.3f}" for v in similar), r.calls,
            ]
        )  # fmt: skip
    head = [
        "task", "noise", "classical method", "auto takes, calls", "start", "classical", "auto",
        "HRDIS: one", "HRDIS: mean", "auto over classical", "pictures better",
        "SSIM: classical", "auto", "HRDIS: one", "HRDIS: mean", "calls of HRDIS",
    ]  # fmt: skip
    return table(head, lines)


def short(rows: list[Row]) -> str:
    """How many rows gain how much, and the rows where the classical method is not beaten."""
    gains = {(r.task, r.noise): r.psnr_auto - r.psnr_classical for r in rows}
    lines = []
    for name, noises in (("no noise", ("none",)), ("noise", tuple(CALLED)[1:])):
        mine = [gain for (_, noise), gain in gains.items() if noise in noises]
        of_means = [r.psnr_mean > r.psnr_classical for r in rows if r.noise in noises]
        if not mine:
            continue
        lines.append([
            name, len(mine), sum(g >= 0.5 for g in mine), sum(0 < g < 0.5 for g in mine),
            sum(g <= 0 for g in mine), f"{sorted(mine)[len(mine) // 2]:+.2f}",
            f"{sum(of_means)} of {len(of_means)}",
        ])  # fmt: skip
    head = [
        "rows with", "rows", "auto better by 0.5 dB or more", "by less", "not better",
        "median gain of auto", "HRDIS's mean better",
    ]  # fmt: skip
    found = table(head, lines)
    below = [[t, CALLED[n], f"{gain:+.2f}"] for (t, n), gain in gains.items() if gain <= 0]
    worse = table(["task where auto is not better", "noise", "auto over classical"], below)
    return f"{found}\n\n{worse}" if below else found


# ---- the paper's noisy presets
# ----------------------------------------------------------------------------


def factors(solver: Solver) -> dict[str, Solver]:
    """The paper's preset for a noise, and what one thing at a time changed makes of it."""
    return {
        "as in the paper": solver,
        **{
            f"start at t = {t}": replace(solver, start=t, steps=min(150, t + 1))
            for t in (400, 200, 100)
        },  # type: ignore[call-arg]
        "data weight 1": replace(solver, lambda_obs=1.0),  # type: ignore[call-arg]
        "no floor under the weight": replace(solver, weight_min=0.0),  # type: ignore[call-arg]
        "Adam's epsilon 1 (momentum)": replace(solver, adam_eps=1.0),  # type: ignore[call-arg]
        "start at 200 and momentum": replace(solver, start=200, adam_eps=1.0),  # type: ignore[call-arg]
    }


def paper(prior: hrdis.Prior, x: Tensor, runs: int) -> tuple[str, list[Tensor]]:
    """Inpainting noisy pictures with the paper's presets, from pure noise: section C.2 against
    Table 5.
    """
    keys, lines = hrdis.TASKS["inpaint"].presets, []
    names = ["its preset without noise", *factors(hrdis.HRDIS(steps=150))]
    columns = []
    for noise in ("0.05", "0.1", "poisson", "speckle"):
        problem = measured("inpaint", x, noise)
        (_, a), (_, b) = preset("hrdis", keys), preset("hrdis", keys, "", level(noise), kind(noise))
        columns.append(
            [score(sampled(s, prior, problem, 1)[0][0], x) for s in (a, *factors(b).values())]
        )
        print("paper", noise, [f"{v.psnr:.2f}" for v in columns[-1]], flush=True)
    lines = [
        [name, *(f"{column[i].psnr:.2f} ({column[i].ssim:.3f})" for column in columns)]
        for i, name in enumerate(names)
    ]
    return table(
        ["settings", *(CALLED[noise] for noise in ("0.05", "0.1", "poisson", "speckle"))], lines
    ), []


# ---- phase retrieval
# ----------------------------------------------------------------------------------------


def phase(prior: hrdis.Prior, x: Tensor, runs: int) -> tuple[str, list[Tensor]]:
    """Single runs and the best of them, by residual and by the truth, for both ranges of the
    operator.
    """
    lines = []
    for span in ("[-1,1]", "[0,1]"):
        problem = hrdis.measure(operators.PhaseRetrieval(data_range=span), x)  # type: ignore[arg-type]
        key, solver = preset("hrdis", hrdis.TASKS["phase"].presets, "default")
        found = hrdis.best_of(runs, solver, prior, problem, seeds=[100 * i for i in range(len(x))])
        sign = span == "[-1,1]"

        def aligned(v: Tensor, sign: bool = sign) -> Tensor:
            return psnr(align(v, x, "per_channel", sign), x)

        every = torch.stack([aligned(r.x) for r in found.results])  # (runs, n)
        raw = torch.stack([psnr(r.x, x) for r in found.results])
        kept, oracle = aligned(found.x), every.max(0).values
        residual = found.scores
        wins = int((every >= SUCCESS).sum())
        lines.append([
            span, f"`{key}`", f"{wins} of {every.numel()}",
            f"{int((kept >= SUCCESS).sum())} of {len(x)}",
            f"{raw.mean():.2f}", f"{every.mean():.2f}", f"{kept.mean():.2f}",
            f"{oracle.mean():.2f}",
            f"{residual.min():.3f} to {residual.max():.3f}",
        ])  # fmt: skip
        print("phase", lines[-1], flush=True)
    head = [
        "range", "preset", f"runs above {SUCCESS:g} dB", f"pictures, best of {runs} by residual",
        "one run, not aligned",
        "one run, aligned", "best by residual, aligned", "best by the truth, aligned",
        "residual, rms",
    ]  # fmt: skip
    return table(head, lines), []


# ---- low light
# ------------------------------------------------------------------------------------------------


def lowlight(prior: hrdis.Prior, x: Tensor, runs: int) -> tuple[str, list[Tensor]]:
    """Photographs darkened by a known f, with and without a map M; the solver is told neither."""
    n, _, h, w = x.shape
    lines, tiles = [], []
    ramp = 0.04 * torch.linspace(0, 1, w).expand(n, 1, h, w)
    key, solver = preset("blindhrdis", hrdis.TASKS["lowlight"].presets, "default")
    for f in (0.1, 0.25, 0.5):
        for name, M in (("0", torch.zeros(n, 1, h, w)), ("ramp to 0.04", ramp)):
            y = hrdis.measure(operators.LowLight(f, M), x).y
            problem = Problem(y, operators.LowLight())
            start, (_, answer) = problem.A.pinv(y), classical("lowlight", problem)
            result = hrdis.solve(solver, prior, problem, seeds=range(n))
            error = [
                (v.flatten() - f).abs().mean() / f
                for v in (problem.A.start(y)["f"], result.theta["f"])
            ]  # type: ignore[operator]
            of_map = (result.theta["M"] - M).square().mean().sqrt()
            scale = operators.LowLight(f, M)
            told = hrdis.solve(
                preset("hrdis", hrdis.TASKS["lowlight"].presets, "default")[1],
                prior,
                Problem(y, scale),
                seeds=range(n),
            ).x
            cells = [psnr(v, x).mean() for v in (y, answer, start, result.x, told)]
            lines.append([
                f, name, f"{100 * error[0]:.1f} %", f"{100 * error[1]:.1f} %", f"{of_map:.4f}",
                *(f"{v:.2f}" for v in cells), f"{ssim(start, x).mean():.3f}",
                f"{ssim(result.x, x).mean():.3f}",
            ])  # fmt: skip
            print("lowlight", lines[-1], flush=True)
            if f == 0.25 and name != "0":
                tiles = [v[shown(x)] for v in (x, y, answer, result.x, told)]
    head = [
        "f", "M", "error of f: start", "error of f: found", "M: rms error", "dark", "gamma 0.45",
        "start", f"blind (`{key}`)",
        "told f and M", "SSIM: start", "blind",
    ]  # fmt: skip
    return f"{table(head, lines)}\n\n{exposures()}", tiles


def exposures(size: int = 64) -> str:
    """How far off the exposure starts, on whole photographs and on a piece of each, and by the rule
    of mid-grey.
    """
    lines = []
    for name in ("whole", f"{size} x {size}"):
        for lift, sigma in ((0.0, 0.0), (0.04, 0.0), (0.0, 0.01)):
            errors: list[tuple[float, float]] = []
            for k, file in enumerate(FILES):
                x = hrdis.images.load(file) if name == "whole" else random_crops([file], size, 1)
                h, w = x.shape[-2:]
                M = lift * torch.linspace(0, 1, w).expand(1, 1, h, w)
                for f in (0.1, 0.25, 0.5):
                    noise = hrdis.noise.Gaussian(sigma) if sigma else None
                    y = hrdis.measure(operators.LowLight(f, M), x, noise, seeds=[k]).y
                    found = (
                        operators.LowLight().start(y)["f"].item(),
                        min(max((y + 1).mean().item(), 0.02), 1),
                    )
                    errors.append((abs(found[0] / f - 1), abs(found[1] / f - 1)))
            white, mean = torch.tensor(errors).T
            lines.append([
                name, "a ramp to 0.04" if lift else "0", sigma or "none",
                f"{100 * white.mean():.1f} %",
                f"{100 * white.median():.1f} %", f"{100 * mean.mean():.1f} %",
            ])  # fmt: skip
    about = (
        f"The error of f where it starts, over {len(FILES)} photographs and f of 0.1, 0.25 and 0.5:"
    )
    head = ["photographs", "M", "noise", "white point: mean", "median", "mid-grey: mean"]
    return f"{about}\n\n{table(head, lines)}"


# ---- the picture
# ------------------------------------------------------------------------------------------------


def draw(tiles: dict[str, list[Tensor]], zoom: int = 2) -> None:
    """Two tasks a line, five tiles each."""
    from PIL import Image, ImageDraw, ImageFont

    if not tiles:
        return
    side = next(iter(tiles.values()))[0].shape[-1] * zoom
    columns, gap, band, text = 5, 3, 16, 150
    font = ImageFont.load_default(size=12)
    width, high = text + columns * (side + gap), side + gap
    rows = -(-len(tiles) // 2)
    out = Image.new("RGB", (2 * width + 10, band + rows * high), "white")
    pen = ImageDraw.Draw(out)
    for half in range(2):
        for k, caption in enumerate(("truth", "start", "classical", "auto", "HRDIS")):
            pen.text(
                (half * (width + 10) + text + k * (side + gap) + 2, 1),
                caption,
                fill="black",
                font=font,
            )
    for i, (name, images) in enumerate(tiles.items()):
        left, top = (i % 2) * (width + 10), band + i // 2 * high
        pen.multiline_text((left + 2, top + 4), name.replace(", ", "\n"), fill="black", font=font)
        for k, v in enumerate(images):
            tile = hrdis.images.to_pil(hrdis.images.Picture(v[None]))
            out.paste(
                tile.resize((side, side), Image.Resampling.NEAREST),
                (left + text + k * (side + gap), top),
            )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    out.save(PICTURE, optimize=True)


def cases(tasks: Iterable[str]) -> list[tuple[str, str]]:
    """(task, noise), noise by noise; Poisson and speckle where a picture is measured."""
    chosen = [t for t in hrdis.TASKS if t not in ALONE and (t in tasks or not tasks)]
    return [(t, n) for n in CALLED for t in chosen if _makes_sense(t, n)]


def _makes_sense(task: str, noise: str) -> bool:
    if hrdis.TASKS[task].weights:  # random ones would say nothing
        return False
    no_picture = task.startswith("cs") or task in SCANS
    return not (task == "denoise" and noise == "none") and not (
        no_picture and noise in ("poisson", "speckle")
    )


def _best_phase() -> object:
    return preset("hrdis", hrdis.TASKS["phase"].presets, "default")


def _blind() -> object:
    keys = hrdis.TASKS["lowlight"].presets
    return [
        preset(s, keys, "default") for s in ("blindhrdis", "hrdis")
    ], operators.lowlight.WHITE_SHARE


def _paper() -> object:
    keys = hrdis.TASKS["inpaint"].presets
    return [factors(preset("hrdis", keys, "", level(n), kind(n))[1]) for n in ("0.05", "0.1")]


#: Tables of their own: how each is made, and the settings it depends on.
SECTIONS = {
    "lowlight": (lowlight, _blind),
    "paper": (paper, _paper),
    "phase": (phase, _best_phase),
}


def main(
    photos: Path, prior: str = "default", tasks: tuple[str, ...] = (), images: int = 4,
    samples: int = 4,
    runs: int = 4, side: int = 64, write: bool = True, minutes: float = 600, shard: str = "0/1",
    folder: Path = Path("runs/tasks"), noises: tuple[str, ...] = tuple(NOISES),
) -> None:  # fmt: skip
    """Measure.

    Args:
        photos: photographs the prior has never seen.
        prior: "default" or a folder.
        tasks: names of tasks, "paper" for the paper's noisy presets, "page" for no new row; by
            default everything.
        images: pictures, one crop of each.
        samples: of which the mean is taken.
        runs: of phase retrieval, per picture.
        side: of the crops; a power of two and a multiple of 32, or compressed sensing has no
            blocks.
        write: rewrite the page, its picture and the CSV.
        minutes: begin no row after so long.
        shard: i/n, every n-th row from the i-th on, for one of n processes that share the folder.
        folder: where rows are kept.
        noises: some of none, 0.05, 0.1, poisson, speckle.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="Identity without noise")
    deadline = time.perf_counter() + 60 * minutes
    own, of = (int(v) for v in shard.split("/"))
    model = hrdis.load_prior(prior, dtype=torch.bfloat16)
    files = pictures(photos, images)
    FILES[:] = pictures(photos)
    x = random_crops(files, side, 0)
    content = b"".join(p.float().numpy().tobytes() for p in (*model.parameters(), x))
    run = Run(folder, f"{hashlib.sha256(content).hexdigest()} {samples} {runs}", model)
    about = (
        f"The figures are of {len(x)} photographs ({', '.join(f.stem for f in files)}), one "
        f"{side} x {side} crop of each, with the network in bf16. The mean is of {samples} "
        "samples. PSNR is in dB and averaged over pictures. The best of a line is bold, and a mean "
        "has an advantage over a sample by nature. Auto is at normal effort. With Poisson noise "
        "and speckle the solvers get the level in each picture, as --noise poisson:1 takes it. The "
        "classical method has the better of two strengths by the truth, for that level and for "
        "mid-grey. Scans are of grey pictures. The task ct60 ran on two of the crops, with the "
        "mean of 2 samples. Nonlinear "
        "deblurring is left out, as its published weights are not here."
    )
    work = [(name, "") for name in SECTIONS if not tasks or name in tasks] + [
        c for c in cases(tasks) if c[1] in noises
    ]
    for task, noise in work[own::of]:
        if time.perf_counter() > deadline:
            break
        name = f"{task}-{noise}" if noise else task
        settings = depends_on(task, noise, model) if noise else SECTIONS[task][1]()
        if run.known(name, settings):
            continue
        if not noise:
            text, tiles = SECTIONS[task][0](model, x, runs)
            run.keep(name, settings, tiles, text=text)
            continue
        own_x = x[1::2] if task in SLOW else x
        made, tiles = row(task, noise, model, own_x, 2 if task in SLOW else samples)
        run.keep(name, settings, tiles, row=asdict(made))
        print(
            f"{task:18} {noise:8} start {made.psnr_start:.2f} classical "
            f"{made.psnr_classical:.2f} {made.auto} {made.psnr_auto:.2f} HRDIS {made.psnr_one:.2f} "
            f"mean {made.psnr_mean:.2f}  {made.preset}  {made.seconds:.0f} s", flush=True,
        )  # fmt: skip
    if write:
        run.page(about, cases(()))


if __name__ == "__main__":
    assert set(NOISES) == set(CALLED)
    tyro.cli(main, description=__doc__)
