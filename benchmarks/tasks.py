"""Every task and every noise with HRDIS and the embedded prior, on photographs it was never trained on.

    python benchmarks/tasks.py --photos FOLDER                       # rewrites docs/tasks.md, its picture and its table
    python benchmarks/tasks.py --photos FOLDER --images 1 --samples 2 --tasks hdr phase lowlight --no-write

The starting picture, one classical method, one sample and the mean of several; the preset for the noise beside the one
for none; phase retrieval seed by seed; photographs darkened by an exposure that the solver has to find. Everything is
written after every row, so a run that is stopped leaves a page that says less.
"""

import csv
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import tyro
from measurements import NOISES, classical, kind, level, measured
from pages import DOCS, rewrite, table
from photographs import Score, pictures, random_crops, score
from torch import Tensor

import hrdis
from hrdis import operators
from hrdis.metrics import align, psnr, ssim
from hrdis.operators.problem import Problem
from hrdis.solvers import Solver, preset

PAGE, PICTURE, CSV = DOCS / "tasks.md", DOCS / "pictures" / "tasks.png", DOCS / "data" / "tasks.csv"
ALONE = ("phase", "lowlight")  # have tables of their own
NOISY = {  # beside every task without noise
    "denoise": ("0.05", "0.1", "poisson", "speckle"),
    "inpaint": ("0.05", "0.1", "poisson", "speckle"),
    "sr4": ("0.05", "0.1", "poisson", "speckle"),
    "deblur-gauss": ("0.05", "0.1", "poisson", "speckle"),
    "cs25": ("0.05", "0.1"),
    "hdr": ("0.05",),
    "colorize": ("0.05",),
    "inpaint-random": ("0.05",),
}
CALLED = {
    "none": "none",
    "0.05": "Gaussian 0.05",
    "0.1": "Gaussian 0.1",
    "poisson": "Poisson 1.0",
    "speckle": "speckle 0.1",
}
SUCCESS = 20.0  # dB, after alignment: the picture is recognisable, not merely its outline


@dataclass(frozen=True)
class Row:
    """One task with one noise; means over the pictures. A preset that is none: the class's defaults."""

    task: str
    noise: str
    method: str
    preset: str
    calls: int
    psnr_start: float
    psnr_classical: float
    psnr_one: float
    psnr_mean: float
    psnr_unaware: float
    ssim_start: float
    ssim_classical: float
    ssim_one: float
    ssim_mean: float
    ssim_unaware: float
    seconds: float


@dataclass
class Page:
    """What has been measured so far."""

    about: str
    write: bool
    rows: list[Row] = field(default_factory=list)
    tiles: dict[str, list[Tensor]] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)

    def save(self) -> None:
        """Page, picture, and the rows as CSV."""
        if not self.write:
            return
        rewrite(PAGE, "run", self.about)
        if self.rows:
            rewrite(PAGE, "table", quality(self.rows))
            rewrite(PAGE, "noise", awareness(self.rows))
            with CSV.open("w", newline="") as file:
                out = csv.DictWriter(file, [*Row.__dataclass_fields__])
                out.writeheader()
                out.writerows(
                    {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in asdict(r).items()} for r in self.rows
                )
        for name, text in self.sections.items():
            rewrite(PAGE, name, text)
        draw(self.tiles)


# ---- rows -----------------------------------------------------------------------------------------------


def repeated(problem: Problem, k: int) -> Problem:
    """The same measurements k times over, to draw k samples in one batch."""
    A = problem.A
    if isinstance(A, operators.Inpainting):
        A = operators.Inpainting(A.mask.repeat(k, 1, 1, 1))
    return Problem(problem.y.repeat(k, *[1] * (problem.y.ndim - 1)), A, problem.sigma_y)


def sampled(solver: Solver, prior: hrdis.Prior, problem: Problem, k: int) -> tuple[Tensor, hrdis.Result]:
    """k samples per picture, (k, n, c, h, w); sample j of picture i has seed 1000 j + i."""
    n = len(problem.y)
    seeds = [1000 * j + i for j in range(k) for i in range(n)]
    result = hrdis.solve(solver, prior, repeated(problem, k), seeds=seeds)
    return result.x.reshape(k, n, *result.x.shape[1:]), result


def row(task: str, noise: str, prior: hrdis.Prior, x: Tensor, samples: int) -> tuple[Row, list[Tensor]]:
    """Measure, restore, score."""
    began = time.perf_counter()
    problem, keys = measured(task, x, noise), hrdis.TASKS[task].presets
    start = problem.A.smooth(problem.y)
    method, answer = classical(task, problem, noise)
    key, solver = preset("hrdis", keys, "default", level(noise), kind(noise))
    found, result = sampled(solver, prior, problem, samples)
    key_without, without = preset("hrdis", keys, "default")
    nan = Score(*[float("nan")] * 3)
    unaware = nan
    if noise != "none":
        same = key_without == key
        unaware = score(found[0] if same else sampled(without, prior, problem, 1)[0][0], x)
    one, mean = mean_score([score(v, x) for v in found]), score(found.mean(0), x)
    scores = [score(start, x), score(answer, x), one, mean, unaware]
    made = Row(
        task, noise, method, key or "none", len(result.times) - 1, *(s.psnr for s in scores), *(s.ssim for s in scores),
        time.perf_counter() - began,
    )  # fmt: skip
    i = shown(x)
    return made, [x[i], start[i], answer[i], found[0, i], found[:, i].mean(0)]


def shown(x: Tensor) -> int:
    """The crop with the most contrast, for the picture."""
    return int(x.flatten(1).std(1).argmax())


def mean_score(scores: list[Score]) -> Score:
    """Of one sample, averaged over samples."""
    return Score(*(sum(getattr(s, name) for s in scores) / len(scores) for name in ("psnr", "pooled", "ssim")))


def quality(rows: list[Row]) -> str:
    """The first table."""
    lines = []
    for r in rows:
        values = {"start": r.psnr_start, "classical": r.psnr_classical, "one": r.psnr_one, "mean": r.psnr_mean}
        best = max(values.values())
        cells = [f"**{v:.2f}**" if v == best else f"{v:.2f}" for v in values.values()]
        quality = [f"{v:.3f}" for v in (r.ssim_start, r.ssim_classical, r.ssim_one, r.ssim_mean)]
        lines.append([r.task, CALLED[r.noise], r.method, *cells, *quality, f"`{r.preset}`", r.calls])
    head = ["task", "noise", "classical method", "start", "classical", "one sample", "mean", "SSIM: start", "classical"]
    return table([*head, "one sample", "mean", "preset", "calls"], lines)


def awareness(rows: list[Row]) -> str:
    """The preset for the noise beside the one for none, both one sample on the same noisy measurements."""
    lines = [
        [
            r.task, CALLED[r.noise], f"{r.psnr_start:.2f}", f"{r.psnr_unaware:.2f}", f"{r.psnr_one:.2f}",
            f"{r.psnr_one - r.psnr_unaware:+.2f}", f"{r.ssim_unaware:.3f}", f"{r.ssim_one:.3f}",
        ]
        for r in rows if r.noise != "none" and r.task != "denoise"
    ]  # fmt: skip
    head = [
        "task",
        "noise",
        "start",
        "preset without noise",
        "preset for the noise",
        "gain, dB",
        "SSIM without",
        "SSIM for",
    ]
    return table(head, lines)


# ---- the paper's noisy presets ----------------------------------------------------------------------------


def paper(prior: hrdis.Prior, x: Tensor) -> str:
    """Inpainting noisy pictures with the paper's presets, from pure noise: section C.2 against Table 5."""
    lines = []
    for noise in ("0.05", "0.1", "poisson", "speckle"):
        problem, keys = measured("inpaint", x, noise), hrdis.TASKS["inpaint"].presets
        (without, a), (key, b) = preset("hrdis", keys), preset("hrdis", keys, "", level(noise), kind(noise))
        plain, aware = (score(sampled(s, prior, problem, 1)[0][0], x) for s in (a, b))
        numbers = [plain.psnr, aware.psnr, aware.psnr - plain.psnr]
        lines.append([
            CALLED[noise], f"`{without}`", f"`{key}`", f"{numbers[0]:.2f}", f"{numbers[1]:.2f}", f"{numbers[2]:+.2f}",
            f"{plain.ssim:.3f}", f"{aware.ssim:.3f}",
        ])  # fmt: skip
        print("paper", lines[-1], flush=True)
    head = ["noise", "without", "for the noise", "PSNR without", "PSNR for", "gain, dB", "SSIM without", "SSIM for"]
    return table(head, lines)


# ---- phase retrieval ----------------------------------------------------------------------------------------


def phase(prior: hrdis.Prior, x: Tensor, runs: int) -> str:
    """Single runs and the best of them, by residual and by the truth, for both ranges of the operator."""
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
            span, f"`{key}`", f"{wins} of {every.numel()}", f"{int((kept >= SUCCESS).sum())} of {len(x)}",
            f"{raw.mean():.2f}", f"{every.mean():.2f}", f"{kept.mean():.2f}", f"{oracle.mean():.2f}",
            f"{residual.min():.3f} to {residual.max():.3f}",
        ])  # fmt: skip
        print("phase", lines[-1], flush=True)
    head = [
        "range", "preset", f"runs above {SUCCESS:g} dB", f"pictures, best of {runs} by residual", "one run, not aligned",
        "one run, aligned", "best by residual, aligned", "best by the truth, aligned", "residual, rms",
    ]  # fmt: skip
    return table(head, lines)


# ---- low light ------------------------------------------------------------------------------------------------


def lowlight(prior: hrdis.Prior, x: Tensor) -> tuple[str, list[Tensor]]:
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
            error = [(v.flatten() - f).abs().mean() / f for v in (problem.A.start(y)["f"], result.theta["f"])]  # type: ignore[operator]
            of_map = (result.theta["M"] - M).square().mean().sqrt()
            scale = operators.LowLight(f, M)
            told = hrdis.solve(
                preset("hrdis", hrdis.TASKS["lowlight"].presets, "default")[1], prior, Problem(y, scale), seeds=range(n)
            ).x
            cells = [psnr(v, x).mean() for v in (y, answer, start, result.x, told)]
            lines.append([
                f, name, f"{100 * error[0]:.1f} %", f"{100 * error[1]:.1f} %", f"{of_map:.4f}",
                *(f"{v:.2f}" for v in cells), f"{ssim(start, x).mean():.3f}", f"{ssim(result.x, x).mean():.3f}",
            ])  # fmt: skip
            print("lowlight", lines[-1], flush=True)
            if f == 0.25 and name != "0":
                tiles = [v[shown(x)] for v in (x, y, answer, result.x, told)]
    head = [
        "f", "M", "error of f: start", "error of f: found", "M: rms error", "dark", "gamma 0.45", "start", f"blind (`{key}`)",
        "told f and M", "SSIM: start", "blind",
    ]  # fmt: skip
    return table(head, lines), tiles


# ---- the picture ------------------------------------------------------------------------------------------------


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
        for k, caption in enumerate(("truth", "start", "classical", "one sample", "mean")):
            pen.text((half * (width + 10) + text + k * (side + gap) + 2, 1), caption, fill="black", font=font)
    for i, (name, images) in enumerate(tiles.items()):
        left, top = (i % 2) * (width + 10), band + i // 2 * high
        pen.multiline_text((left + 2, top + 4), name.replace(", ", "\n"), fill="black", font=font)
        for k, v in enumerate(images):
            tile = hrdis.images.to_pil(hrdis.images.Picture(v[None]))
            out.paste(tile.resize((side, side), Image.Resampling.NEAREST), (left + text + k * (side + gap), top))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    out.save(PICTURE, optimize=True)


def cases(tasks: Iterable[str]) -> list[tuple[str, str]]:
    """(task, noise): first the tasks that are tried with noise, too."""
    chosen = [t for t in hrdis.TASKS if t not in ALONE and (t in tasks or not tasks)]
    chosen.sort(key=lambda t: t not in NOISY)
    return [(t, n) for t in chosen for n in (() if t == "denoise" else ("none",)) + NOISY.get(t, ())]


def main(
    photos: Path, prior: str = "default", tasks: tuple[str, ...] = (), images: int = 4, samples: int = 8,
    runs: int = 4, side: int = 64, write: bool = True,
) -> None:  # fmt: skip
    """Measure.

    Args:
        photos: photographs the prior has never seen.
        prior: "default" or a folder.
        tasks: names of tasks, "paper" for the paper's noisy presets; by default everything.
        images: pictures, one crop of each.
        samples: of which the mean is taken.
        runs: of phase retrieval, per picture.
        side: of the crops; a multiple of 32, or compressed sensing has no blocks.
        write: rewrite the page, its picture and the CSV.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="Identity without noise")
    model = hrdis.load_prior(prior, dtype=torch.bfloat16)
    files = pictures(photos, images)
    x = random_crops(files, side, 0)
    about = (
        f"{len(x)} photographs ({', '.join(f.stem for f in files)}), one {side} x {side} crop of each, the network in bf16; "
        f"the mean is of {samples} samples. PSNR in dB, means over pictures; the best of a line is bold, and a mean has an advantage "
        "over a sample by nature."
    )
    page = Page(about, write)
    if not tasks or "lowlight" in tasks:
        page.sections["lowlight"], tiles = lowlight(model, x)
        page.tiles["lowlight, f = 0.25, M a ramp;, last: told f and M"] = tiles
        page.save()
    if not tasks or "paper" in tasks:
        page.sections["paper"] = paper(model, x)
        page.save()
    if not tasks or "phase" in tasks:
        page.sections["phase"] = phase(model, x, runs)
        page.save()
    for task, noise in cases(tasks):
        made, tiles = row(task, noise, model, x, samples)
        page.rows.append(made)
        page.tiles[f"{task}, {CALLED[noise]}" if noise != "none" else task] = tiles
        print(
            f"{task:18} {noise:8} start {made.psnr_start:.2f} classical {made.psnr_classical:.2f} one {made.psnr_one:.2f} "
            f"mean {made.psnr_mean:.2f} unaware {made.psnr_unaware:.2f}  {made.preset}  {made.seconds:.0f} s", flush=True,
        )  # fmt: skip
        page.save()


if __name__ == "__main__":
    assert set(NOISES) == set(CALLED)
    tyro.cli(main, description=__doc__)
