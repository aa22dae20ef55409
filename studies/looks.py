"""Twelve photographs of different kinds, restored: pictures to look at, with their figures.

    python studies/looks.py --photos FOLDER  # rewrites measurements/looks.md, its pictures and data

Eight come from a folder of photographs the prior was never trained on, four from the package.
Enlarging by 4, scratches, and noise of 25 and 50 of 255; solver and settings as `hrdis restore`
chooses them; one sample.
"""

import csv
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from common.pages import DOCS, rewrite, table
from common.photographs import bicubic
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import hrdis
from hrdis import operators
from hrdis.metrics import psnr, ssim
from hrdis.presets import choose_auto
from hrdis.problem import Problem

SIDE = 160
PACKAGE = Path(hrdis.__file__).parent / "pictures"


@dataclass(frozen=True)
class Subject:
    """A piece of a photograph.

    Args:
        kind: what it shows.
        file: beginning of its name.
        x: where its middle lies, as a share of the width.
        y: likewise of the height.
        grey: make it grey.
    """

    kind: str
    file: str
    x: float
    y: float
    grey: bool = False


SUBJECTS = (
    Subject("face", "astronaut", 0.48, 0.3), Subject("writing", "pop-os", 0.27, 0.51),
    Subject("sky", "getsolus-boats", 0.55, 0.25),
    Subject("foliage", "haz001", 0.4, 0.75), Subject("architecture", "buddiesofb-roman", 0.25, 0.5),
    Subject("night", "buddiesofb-singaporean", 0.5, 0.45), Subject("fur", "chelsea", 0.4, 0.35),
    Subject("flower", "flower", 0.5, 0.5), Subject("lines", "buddiesofb-motherboard", 0.45, 0.35),
    Subject("grey", "pddatabase", 0.5, 0.5, grey=True),
    Subject("rocks and water", "fedoradesi", 0.55, 0.5),
    Subject("roofs", "china", 0.5, 0.6),
)  # fmt: skip


@dataclass(frozen=True)
class Damage:
    """A way to damage a picture.

    Args:
        name: of its picture on disk.
        title: for the page.
        operator: for the k-th picture.
        noise: standard deviation for images in [0, 1].
        keys: of its presets.
        classical: the method it is compared with, and what that makes of the measurement.
    """

    name: str
    title: str
    operator: Callable[[int], operators.LinearOperator]
    noise: float
    keys: tuple[str, ...]
    classical: tuple[str, Callable[[Problem], Tensor]]


def _scratches(k: int) -> operators.LinearOperator:
    return operators.Inpainting(operators.masks.scratches(SIDE, SIDE, 0.15, index=k)[None, None])


def _non_local_means(problem: Problem) -> Tensor:
    """Non-local means with the strengths its authors recommend for a known level of noise."""
    from skimage.restoration import denoise_nl_means

    sigma, y = problem.sigma_y / 2, ((problem.y[0].double() + 1) / 2).permute(1, 2, 0).numpy()
    found = denoise_nl_means(
        y, h=0.7 * sigma, sigma=sigma, patch_size=5, patch_distance=6, channel_axis=-1
    )
    return torch.from_numpy(2 * found - 1).permute(2, 0, 1)[None].float()


DAMAGES = (
    Damage("x4", "Enlarged 4 times", lambda k: operators.SuperResolution(4), 0.0,
    hrdis.TASKS["sr4"].presets,
           ("bicubic", lambda p: bicubic(p.y, 4))),
    Damage("scratches", "Scratches and specks over 15 %", _scratches, 0.0,
    hrdis.TASKS["inpaint-scratches"].presets,
           ("biharmonic", lambda p: p.A.smooth(p.y))),
    Damage("noise25", "Noise of 25 of 255", lambda k: operators.Identity(), 25 / 255,
    hrdis.TASKS["denoise"].presets,
           ("non-local means", _non_local_means)),
    Damage("noise50", "Noise of 50 of 255", lambda k: operators.Identity(), 50 / 255,
    hrdis.TASKS["denoise"].presets,
           ("non-local means", _non_local_means)),
)  # fmt: skip


def load(subject: Subject, photos: Path) -> Tensor:
    """Cut a subject out of its photograph: (1, 3, 160, 160); a grey one has three equal channels,
    as `restore` makes.
    """
    file = next(
        f
        for folder in (photos, PACKAGE)
        for f in sorted(folder.iterdir())
        if f.name.startswith(subject.file)
    )
    x = hrdis.images.load(file)
    top, left = (
        min(max(round(share * n - SIDE / 2), 0), n - SIDE)
        for share, n in ((subject.y, x.shape[-2]), (subject.x, x.shape[-1]))
    )
    x = x[..., top : top + SIDE, left : left + SIDE]
    return x.mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous() if subject.grey else x


def sheet(rows: list[list[tuple[str, Tensor]]], file: Path) -> None:
    """Draw captioned pictures, a row per subject."""
    from matplotlib import font_manager

    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 11)
    high, wide = SIDE + 18, SIDE + 4
    page = Image.new("RGB", (len(rows[0]) * wide + 4, len(rows) * high + 4), "white")
    draw = ImageDraw.Draw(page)
    for r, row in enumerate(rows):
        for c, (caption, x) in enumerate(row):
            pixels = (
                ((x[0].clamp(-1, 1) + 1) * 127.5)
                .round()
                .byte()
                .permute(1, 2, 0)
                .expand(-1, -1, 3)
                .numpy()
            )
            picture = Image.fromarray(np.ascontiguousarray(pixels)).resize(
                (SIDE, SIDE), Image.Resampling.NEAREST
            )
            page.paste(picture, (4 + c * wide, 4 + r * high))
            draw.text((4 + c * wide, 4 + r * high + SIDE + 2), caption, fill="black", font=font)
    page.save(file, quality=88, optimize=True)


def main(
    photos: Path,
    prior: str = "default",
    write: bool = True,
    threads: int = 1,
) -> None:
    """Restore twelve photographs in four ways.

    Args:
        photos: photographs the prior was never trained on.
        prior: name or folder.
        write: rewrite the page, its pictures and its figures.
        threads: CPU threads.
    """
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore")
    network = hrdis.load_prior(prior)
    lines: list[list[object]] = []
    summary: list[list[object]] = []
    out = DOCS / "pictures" if write else Path("runs/looks")
    out.mkdir(parents=True, exist_ok=True)
    for damage in DAMAGES:
        started, rows = time.perf_counter(), []
        settings = choose_auto(damage.keys, damage.noise, tuned=network.presets).settings
        name, method = damage.classical
        for k, subject in enumerate(SUBJECTS):
            x = load(subject, photos)
            noise = hrdis.noise.Gaussian(damage.noise) if damage.noise else None
            problem = hrdis.measure(damage.operator(k), x, noise, seeds=[k])
            smooth = method(problem)
            found = hrdis.solve(settings, network, problem, seeds=[k]).x
            if subject.grey:
                found = found.mean(1, keepdim=True).expand_as(x)
            given = problem.y if problem.y.shape == x.shape else problem.A.pinv(problem.y)
            figures = [float(f(v, x)) for v in (smooth, found) for f in (psnr, ssim)]
            lines.append([damage.name, subject.kind, *(f"{v:.3f}" for v in figures)])
            rows.append([
                (f"{subject.kind}: given", given),
                (f"{name} {figures[0]:.1f} dB", smooth),
                (f"hrdis {figures[2]:.1f} dB", found), ("truth", x),
            ])  # fmt: skip
        sheet(rows, out / f"looks-{damage.name}.jpg")
        values = np.array(
            [[float(v) for v in line[2:]] for line in lines if line[0] == damage.name]
        )  # type: ignore[arg-type]
        means = values.mean(0)
        summary.append([
            damage.title, name, f"{means[0]:.2f}", f"{means[2]:.2f}", f"{means[2] - means[0]:+.2f}",
            f"{means[1]:.3f}", f"{means[3]:.3f}",
            f"{int((values[:, 2] > values[:, 0]).sum())} of 12",
            f"{type(settings).__name__}, {settings.steps}",  # type: ignore[attr-defined]
        ])  # fmt: skip
        print(*summary[-1], f"{time.perf_counter() - started:.0f} s", flush=True)
    header = [
        "damage",
        "classical method",
        "its PSNR",
        "hrdis",
        "gain",
        "its SSIM",
        "hrdis",
        "better in",
        "solver taken, calls",
    ]
    if write:
        with (DOCS / "data" / "looks.csv").open("w", newline="") as file:
            head = [
                "damage",
                "kind",
                "psnr_classical",
                "ssim_classical",
                "psnr_hrdis",
                "ssim_hrdis",
            ]
            csv.writer(file).writerows([head, *lines])
        rewrite(DOCS / "measurements" / "looks.md", "looks", table(header, summary))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
