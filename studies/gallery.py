"""Five problems x every solver with the embedded prior: a picture, scores, seconds and network
calls.

    python studies/gallery.py --photos FOLDER  # rewrites measurements/solvers.md and picture
    python studies/gallery.py --photos FOLDER --images 1 --samples 2 --no-write

Solvers come from ``hrdis.SOLVERS`` with the presets that `hrdis restore` would choose, so one that
is added there joins the picture. One that cannot take a problem says why.
"""

import csv
import time
import warnings
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import torch
import tyro
from common.pages import DOCS, rewrite, table
from common.photographs import bicubic, biharmonic, centre_crops, pictures, scratched
from torch import Tensor

import hrdis
from hrdis import operators
from hrdis.metrics import psnr, ssim
from hrdis.problem import Problem
from hrdis.solvers import preset

PAGE = DOCS / "measurements" / "solvers.md"
PICTURE = DOCS / "pictures" / "choosing.png"
LEFT_OUT = (
    "cmhrdis",
    "blindhrdis",
)  # they need a consistency model, and an operator with unknown parameters


@dataclass(frozen=True)
class Case:
    """One problem: its operator for n crops, noise for images in [0, 1], preset keys, and a
    classical answer.
    """

    name: str
    operator: Callable[[int, int], operators.LinearOperator]
    noise: float
    keys: tuple[str, ...]
    classical: str
    baseline: Callable[[Problem], Tensor]


def _fill(problem: Problem) -> Tensor:
    method = [biharmonic(((y.double() + 1) / 2).permute(1, 2, 0).numpy(), None) for y in problem.y]  # type: ignore[arg-type]
    return torch.from_numpy(np.stack(method)).permute(0, 3, 1, 2).float() * 2 - 1


def _denoised(problem: Problem) -> Tensor:
    from skimage.restoration import denoise_nl_means

    sigma = problem.sigma_y / 2
    arrays = (((y.double() + 1) / 2).permute(1, 2, 0).numpy() for y in problem.y)
    found = [
        denoise_nl_means(
            a, h=0.7 * sigma, sigma=sigma, patch_size=5, patch_distance=6, channel_axis=-1
        )
        for a in arrays
    ]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() * 2 - 1


def _tikhonov(problem: Problem) -> Tensor:
    """The smallest correction of y, or of mid-grey, that explains y to within its noise."""
    A: operators.LinearOperator = problem.A  # type: ignore[assignment]
    return A.prox(A.smooth(problem.y), problem.y, max(problem.sigma_y, 0.02) ** 2 * 4)


def _blur(n: int, side: int) -> operators.LinearOperator:
    """Means over 9 x 9 pixels, with an SVD."""
    return hrdis.TASKS["deblur-uniform"].build(side, side, 0, 0)  # type: ignore[return-value]


CASES = [
    Case("x4", lambda n, side: operators.SuperResolution(4), 0.0, ("sr4",), "bicubic",
    lambda p: bicubic(p.y, 4)),
    Case("x4, noise 0.05", lambda n, side: operators.SuperResolution(4), 0.05, ("sr4",), "bicubic",
    lambda p: bicubic(p.y, 4)),
    Case("scratches", scratched, 0.0, ("inpaint-scratches", "inpaint"), "biharmonic", _fill),
    Case("denoising, noise 0.1", lambda n, side: operators.Identity(), 0.1, ("denoise",),
    "non-local means", _denoised),
    Case("deblurring, noise 0.02", _blur, 0.02, hrdis.TASKS["deblur-uniform"].presets, "Tikhonov",
    _tikhonov),
]  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One solver on one problem; means over the pictures."""

    problem: str
    solver: str
    settings: str
    psnr_one: float
    ssim_one: float
    psnr_mean: float
    ssim_mean: float
    calls: int
    seconds: float


def run(case: Case, name: str, prior: hrdis.Prior, x: Tensor, samples: int) -> tuple[Cell, Tensor]:
    """Restore every picture ``samples`` times, in one batch; the cell and the samples (samples, n,
    3, h, w).
    """
    n, side = len(x), x.shape[-1]
    noise = hrdis.noise.Gaussian(case.noise) if case.noise else None
    problem = hrdis.measure(case.operator(n, side), x, noise, seeds=range(n))
    key, solver = preset(name, case.keys, "default", case.noise)
    started = time.perf_counter()
    found = []
    for k in range(samples):  # one sample of every picture at a time, as a person would run it
        found.append(hrdis.solve(solver, prior, problem, seeds=[1000 * k + i for i in range(n)]))
    seconds = (time.perf_counter() - started) / (samples * n)
    xs = torch.stack([result.x for result in found])
    one, mean = xs[0], xs.mean(0)
    cell = Cell(
        case.name, type(solver).__name__, key or "defaults", float(psnr(one, x).mean()),
        float(ssim(one, x).mean()),
        float(psnr(mean, x).mean()), float(ssim(mean, x).mean()), found[0].nfe, seconds,
    )  # fmt: skip
    return cell, xs


def picture(rows: list[list[tuple[str, Tensor | None]]], zoom: int) -> None:
    """Draw captioned tiles, one list per row; a tile without a picture shows its caption alone."""
    from matplotlib import font_manager
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 11)
    side = next(t.shape[-1] for row in rows for _, t in row if t is not None) * zoom
    high = side + 46
    page = Image.new("RGB", (max(map(len, rows)) * (side + 6) + 6, len(rows) * high + 6), "white")
    draw = ImageDraw.Draw(page)
    for r, row in enumerate(rows):
        for c, (caption, tile) in enumerate(row):
            left, top = 6 + c * (side + 6), 6 + r * high
            if tile is not None:
                shown = hrdis.images.to_pil(hrdis.images.Picture(tile[None].clamp(-1, 1)))
                page.paste(shown.resize((side, side), Image.Resampling.NEAREST), (left, top))
            draw.multiline_text(
                (left, top + (side + 2 if tile is not None else 20)),
                caption,
                fill="black",
                font=font,
                spacing=1,
            )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    page.quantize(256).save(PICTURE, optimize=True)


def main(
    photos: Path,
    prior: str = "default",
    solvers: tuple[str, ...] = tuple(name for name in hrdis.SOLVERS if name not in LEFT_OUT),
    images: int = 2,
    samples: int = 8,
    side: int = 64,
    zoom: int = 2,
    precision: str = "bf16",
    write: bool = True,
) -> None:
    """Compare every solver on five problems.

    Args:
        photos: photographs the prior was never trained on.
        prior: name or folder.
        solvers: keys of hrdis.SOLVERS.
        images: pictures per problem, other ones for every problem.
        samples: for the mean.
        side: of the crops.
        zoom: of the tiles in the picture.
        precision: bf16 or fp32.
        write: rewrite docs/measurements/solvers.md, its picture and docs/data/choosing.csv.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    network = hrdis.load_prior(
        prior, dtype=torch.bfloat16 if precision == "bf16" else torch.float32
    )
    files = pictures(photos)
    cells: list[Cell] = []
    rows: list[list[tuple[str, Tensor | None]]] = []
    for k, case in enumerate(CASES):
        x = centre_crops([files[(k * images + i) % len(files)] for i in range(images)], side)
        noise = hrdis.noise.Gaussian(case.noise) if case.noise else None
        problem = hrdis.measure(case.operator(images, side), x, noise, seeds=range(images))
        base = case.baseline(problem)
        figures = f"{float(psnr(base, x).mean()):.2f} dB {float(ssim(base, x).mean()):.3f}"
        cells.append(
            Cell(
                case.name,
                case.classical,
                "",
                float(psnr(base, x).mean()),
                float(ssim(base, x).mean()),
                float("nan"),
                float("nan"),
                0,
                0.0,
            )
        )
        given = problem.y if problem.y.shape == x.shape else problem.A.pinv(problem.y)
        one: list[tuple[str, Tensor | None]] = [
            (f"{case.name}\ntruth", x[0]),
            ("given", given[0]),
            (f"{case.classical}\n{figures}", base[0]),
        ]
        mean: list[tuple[str, Tensor | None]] = [
            ("", None),
            ("", None),
            (f"mean of {samples}:", None),
        ]
        for name in solvers:
            try:
                cell, xs = run(case, name, network, x, samples)
            except (TypeError, ValueError) as error:
                print(f"{case.name}: {error}", flush=True)
                label = hrdis.SOLVERS[name][0].__name__
                why = (
                    "noiseless\nonly"
                    if "noiseless" in str(error)
                    else "needs an\nSVD"
                    if "SVD" in str(error)
                    else "cannot"
                )
                one.append((f"{label}\n{why}", None))
                mean.append(("", None))
                continue
            print(cell, flush=True)
            cells.append(cell)
            one.append(
                (
                    f"{cell.solver}\n{cell.psnr_one:.2f} dB {cell.ssim_one:.3f}\n{cell.calls} "
                    f"calls {cell.seconds:.1f} s",
                    xs[0, 0],
                )
            )
            mean.append(
                (
                    f"mean of {samples}\n{cell.psnr_mean:.2f} dB {cell.ssim_mean:.3f}",
                    xs[:, 0].mean(0),
                )
            )
        rows += [one, mean]
    text = table(
        ["problem", "solver", "preset", "one: PSNR", "SSIM", f"mean of {samples}: PSNR", "SSIM",
        "calls", "seconds"],
        [[c.problem, c.solver, c.settings, f"{c.psnr_one:.2f}", f"{c.ssim_one:.3f}",
          "-" if c.psnr_mean != c.psnr_mean else f"{c.psnr_mean:.2f}",
          "-" if c.ssim_mean != c.ssim_mean else f"{c.ssim_mean:.3f}",
          c.calls or "-", f"{c.seconds:.1f}" if c.seconds else "-"] for c in cells],
    )  # fmt: skip
    print(text)
    if write:
        picture(rows, zoom)
        rewrite(
            PAGE,
            "run",
            f"Each problem has {images} pictures of {side} x {side} pixels with {samples} samples "
            f"each, made in {precision} on one core.",
        )
        with (DOCS / "data" / "choosing.csv").open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow([f.name for f in fields(Cell)])
            out.writerows(
                [f"{v:.6g}" if isinstance(v, float) else v for v in astuple(cell)] for cell in cells
            )


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
