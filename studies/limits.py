"""What it cannot do: failures to look at, with their figures.

    python studies/limits.py --photos FOLDER    # rewrites explanation/limits.md and its pictures
    python studies/limits.py --photos FOLDER --only told --no-write

Pieces of photographs that the model was never trained on, of the package's own pictures, and two
drawn ones. Everything is restored as `hrdis.restore` does it unless the failure is another choice.
Beside each failure stands what does better: another option, or a classical method.
"""

import csv
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from common.measurements import classical, preset
from common.pages import DOCS, rewrite, table
from common.photographs import bicubic
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import hrdis
from hrdis import operators
from hrdis.metrics import align, psnr, ssim
from hrdis.operators import kernels
from hrdis.presets import choose_auto
from hrdis.problem import Problem

PAGE, CSV = DOCS / "explanation" / "limits.md", DOCS / "data" / "limits.csv"
PACKAGE = Path(hrdis.__file__).parent / "pictures"
SIDE, TILE = 128, 224  #: of a piece, and of its tile on the page, in pixels


@dataclass
class Failure:
    """One row of a picture: the truth, what was given, the result, and what does better."""

    name: str
    truth: Tensor
    given: Tensor
    results: dict[str, Tensor]  #: the failure first


class Photographs:
    """Pieces of photographs by the beginning of their file's name."""

    def __init__(self, folder: Path) -> None:
        self.folders = (PACKAGE, folder)

    def piece(self, name: str, x: float, y: float, side: int = SIDE, shrink: int = 1) -> Tensor:
        """Cut (1, 3, side, side) whose middle lies at these shares of width and height."""
        for folder in self.folders:
            for file in sorted(folder.iterdir()):
                if file.name.startswith(name):
                    whole = hrdis.images.load(file)
                    whole = F.avg_pool2d(whole, shrink)
                    top, left = (
                        min(max(round(share * n - side / 2), 0), n - side)
                        for share, n in zip((y, x), whole.shape[-2:], strict=True)
                    )
                    return stored(whole[..., top : top + side, left : left + side])
        raise ValueError(
            f"No picture of {self.folders[1]} is called {name}... The folder of photographs that "
            "this page was made with is expected: --photos FOLDER."
        )


def stored(x: Tensor) -> Tensor:
    """Return a picture as a file of 8 bits has it."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def restored(picture: Tensor, task: str, **options: Any) -> Tensor:
    """Return what `hrdis.restore` makes of a picture (1, 3, h, w)."""
    return hrdis.restore(picture[0], task, seed=0, **options).samples


def noisy(x: Tensor, levels: float) -> Tensor:
    """Return a picture with noise of so many grey levels, as a file of 8 bits has it."""
    problem = hrdis.measure(operators.Identity(), x, hrdis.noise.Gaussian(levels / 255), seeds=[0])
    return stored(problem.y)


def non_local_means(y: Tensor, levels: float) -> Tensor:
    """Return what non-local means makes of a picture with noise of so many grey levels."""
    problem = Problem(y, operators.Identity(), 2 * levels / 255)
    return classical("denoise", problem, levels / 255)[1]


# ---- detail --------------------------------------------------------------------------------------


def detail(photos: Photographs) -> list[Failure]:
    """Enlarge what is too small."""
    found = []
    for name, x, scale in (
        ("small letters, four times", screenshot(), 4),
        ("a face, eight times", photos.piece("astronaut", 0.48, 0.3), 8),
        ("fur, sixteen times", photos.piece("buddiesofb-kitten", 0.5, 0.5, shrink=2), 16),
    ):
        small = stored(F.avg_pool2d(x, scale))
        task = "sr16" if scale == 16 else "upscale"
        options = {} if scale == 16 else {"scale": scale}
        found.append(
            Failure(name, x, F.interpolate(small, scale_factor=scale), {
                "hrdis": restored(small, task, **options),
                "bicubic": bicubic(small, scale),
            })
        )  # fmt: skip
    return found


# ---- what the picture does not say ---------------------------------------------------------------


def missing(photos: Photographs) -> list[Failure]:
    """Fill a large hole, colour a grey picture, and brighten one without white."""
    face = photos.piece("astronaut", 0.48, 0.3)
    hole = torch.zeros(SIDE, SIDE)
    hole[44:92, 36:92] = 1
    given = torch.where(hole.bool(), torch.ones(()), face)
    A = operators.Inpainting(1 - hole[None, None])
    found = [
        Failure("a large hole", face, given, {
            "hrdis": restored(given, "inpaint", mask=hole.numpy()),
            "biharmonic": A.smooth(A(face)),
        })
    ]  # fmt: skip
    flower = photos.piece("flower", 0.5, 0.5)
    grey = flower.mean(1, keepdim=True)
    colours = restored(grey.expand(-1, 3, -1, -1), "colorize")
    found.append(
        Failure("colours of a grey picture", flower, grey.expand_as(flower), {
            "hrdis": colours, "left grey": grey.expand_as(flower),
        })
    )  # fmt: skip
    shade = photos.piece("pddatabase", 0.75, 0.25, shrink=2)
    told = operators.LowLight(0.25, torch.zeros(1, 1, SIDE, SIDE))
    dark = stored(told(shade))
    found.append(
        Failure("dark, without a white point", shade, dark, {
            "hrdis": restored(dark, "brighten"), "told the exposure": told.pinv(dark),
        })
    )  # fmt: skip
    return found


# ---- what it is told -----------------------------------------------------------------------------


def told(photos: Photographs) -> list[Failure]:
    """Tell a wrong level of noise, and a wrong kernel."""
    osprey = photos.piece("buddiesofb-perched", 0.5, 0.4, shrink=2)
    y = noisy(osprey, 25)
    found = [
        Failure("noise of 25 levels, told half", osprey, y, {
            "told 12.5": restored(y, "denoise", noise=12.5),
            "told 25": restored(y, "denoise", noise=25),
        }),
        Failure("noise of 25 levels, told double", osprey, y, {
            "told 50": restored(y, "denoise", noise=50),
            "told 25": restored(y, "denoise", noise=25),
        }),
    ]  # fmt: skip
    china = photos.piece("china", 0.5, 0.6)
    blurred = stored(operators.Blur(kernels.gaussian(25, 2.0))(china))
    found.append(
        Failure("a blur of 2 pixels, told 3", china, blurred, {
            "told 3": restored(blurred, "deblur", kernel="gaussian:3"),
            "told 2": restored(blurred, "deblur", kernel="gaussian:2"),
        })
    )  # fmt: skip
    shake = curved()
    shaken = stored(operators.Blur(shake)(china))
    found.append(
        Failure("a curved shake, taken for straight", china, shaken, {
            "told a straight line": restored(shaken, "deblur", kernel="motion:11:45"),
            "told the kernel": restored(shaken, "deblur", kernel=shake.numpy()),
        })
    )  # fmt: skip
    return found


def curved() -> Tensor:
    """Return a kernel of a quarter of a circle, 15 x 15 pixels."""
    large = Image.new("L", (60, 60))
    ImageDraw.Draw(large).arc((-38, 8, 50, 96), 270, 360, fill=255, width=5)
    taps = np.asarray(large.resize((15, 15), Image.Resampling.BOX), dtype=np.float32)
    return torch.from_numpy(taps / taps.sum())


# ---- other kinds of pictures ---------------------------------------------------------------------


def kinds(photos: Photographs) -> list[Failure]:
    """Restore what is no photograph, or of things that look like noise."""
    found = []
    for name, x, levels in (
        ("a drawing, noise of 25 levels", drawing(), 25),
        ("stars, noise of 50 levels", photos.piece("hubble", 0.5, 0.5), 50),
        ("vessels of an eye, noise of 50 levels", photos.piece("retina", 0.5, 0.5), 50),
    ):
        y = noisy(x, levels)
        found.append(
            Failure(name, x, y, {
                "hrdis": restored(y, "denoise", noise=levels),
                "non-local means": non_local_means(y, levels),
            })
        )  # fmt: skip
    spices = photos.piece("buddiesofb-the-spices", 0.5, 0.5, shrink=2)
    buffer = io.BytesIO()
    hrdis.images.to_pil(hrdis.images.Picture(spices)).save(buffer, "JPEG", quality=3)
    blocks = loaded(buffer)
    found.append(
        Failure("a JPEG of quality 3", spices, blocks, {
            "hrdis": restored(blocks, "dejpeg", quality=3),
            "total variation": classical("jpeg10", Problem(blocks, operators.Identity(), 0.1))[1],
        })
    )  # fmt: skip
    return found


def loaded(buffer: io.BytesIO) -> Tensor:
    """Return a picture that Pillow reads, (1, 3, h, w) in [-1, 1]."""
    pixels = np.asarray(Image.open(buffer).convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]


def font(size: int) -> Any:
    """Return a font that every machine with matplotlib has."""
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def drawing() -> Tensor:
    """Return flat areas of colour with black outlines."""
    page = Image.new("RGB", (4 * SIDE, 4 * SIDE), "#fff6d8")
    pen = ImageDraw.Draw(page)
    pen.rectangle((40, 250, 470, 480), fill="#d9483b", outline="black", width=8)
    pen.polygon(((20, 250), (255, 60), (490, 250)), fill="#3a6ea5", outline="black", width=8)
    pen.rectangle((110, 320, 210, 480), fill="#fff", outline="black", width=6)
    pen.ellipse((300, 310, 420, 430), fill="#f2c230", outline="black", width=6)
    for k in range(12):
        pen.line((40 + 36 * k, 250, 40 + 36 * k, 300), fill="black", width=2)
    return loaded_from(page.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def screenshot() -> Tensor:
    """Return a small window with a menu and text."""
    page = Image.new("RGB", (SIDE, SIDE), "#f3f3f3")
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, SIDE, 15), fill="#2b5797")
    pen.text((4, 1), "Settings", fill="white", font=font(10))
    for k, line in enumerate(("Name: hrdis", "Size: 4.1 MB", "Seed: 20261130", "Date: 30 Nov")):
        pen.text((6, 22 + 16 * k), line, fill="black", font=font(10))
    pen.rectangle((6, 96, 58, 114), outline="#888", fill="#e1e1e1")
    pen.text((16, 98), "Cancel", fill="#333", font=font(9))
    pen.rectangle((68, 96, 120, 114), fill="#2b5797")
    pen.text((86, 98), "OK", fill="white", font=font(9))
    return loaded_from(page)


def loaded_from(page: Image.Image) -> Tensor:
    """Return one of Pillow's images as (1, 3, h, w) in [-1, 1]."""
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return loaded(buffer)


# ---- measurements that are no pictures -----------------------------------------------------------


def sensing(photos: Photographs) -> list[Failure]:
    """Retrieve a phase, and sense a quarter of the Walsh coefficients."""
    prior = hrdis.load_prior("default")
    face = F.avg_pool2d(photos.piece("astronaut", 0.48, 0.3), 2)
    problem = hrdis.measure(operators.PhaseRetrieval(), face)
    solver = preset("hrdis", hrdis.TASKS["phase"].presets, "default")[1]
    best = hrdis.best_of(4, solver, prior, problem, seeds=[0]).x
    found = [
        Failure("phase retrieval, the best of 4 by residual", face,
                problem.A.pinv(problem.y).clamp(-1, 1), {
            "hrdis": best, "signs and turns mended": align(best, face, "per_channel"),
        })
    ]  # fmt: skip
    boat = F.avg_pool2d(photos.piece("getsolus-boats", 0.55, 0.6), 2)
    A = operators.WalshHadamard(4, seed=0)
    problem = hrdis.measure(A, boat)
    auto = choose_auto(hrdis.TASKS["cs-walsh4"].presets, 0.0, tuned=prior.presets).settings
    found.append(
        Failure("a quarter of the Walsh coefficients", boat, A.pinv(problem.y), {
            "hrdis": hrdis.solve(auto, prior, problem, seeds=[0]).x,
            "total variation": classical("cs-walsh4", problem)[1],
        })
    )  # fmt: skip
    return found


#: The pictures of the page, by name.
GROUPS: dict[str, Callable[[Photographs], list[Failure]]] = {
    "detail": detail, "missing": missing, "told": told, "kinds": kinds, "sensing": sensing,
}  # fmt: skip


# ---- the page ------------------------------------------------------------------------------------


def figures(x: Tensor, truth: Tensor) -> tuple[float, float]:
    """Return PSNR and SSIM."""
    x = x.clamp(-1, 1)
    return round(float(psnr(x, truth)), 1), round(float(ssim(x, truth)), 2)


def draw(failures: list[Failure], file: Path) -> None:
    """Draw a row of tiles for each failure, a line of text above it and captions below."""
    large, small = font(13), font(12)
    columns = 2 + max(len(f.results) for f in failures)
    high, wide = TILE + 46, TILE + 6
    page = Image.new("RGB", (columns * wide + 6, len(failures) * high + 4), "white")
    pen = ImageDraw.Draw(page)
    for row, failure in enumerate(failures):
        top = row * high
        pen.text((6, top + 4), failure.name, fill="black", font=large)
        tiles = {"truth": failure.truth, "given": failure.given, **failure.results}
        for column, (caption, x) in enumerate(tiles.items()):
            picture = hrdis.images.to_pil(hrdis.images.Picture(stored(x.float())))
            picture = picture.resize((TILE, TILE), Image.Resampling.NEAREST)
            page.paste(picture, (6 + column * wide, top + 24))
            said = caption
            if caption not in ("truth", "given"):
                said = f"{caption}, {figures(x, failure.truth)[0]:.1f} dB"
            pen.text((6 + column * wide, top + 26 + TILE), said, fill="black", font=small)
    page.save(file, quality=80, optimize=True)


def main(
    photos: Path, only: tuple[str, ...] = (), write: bool = True, out: Path = Path("runs/limits")
) -> None:
    """Fail, and draw it.

    Args:
        photos: photographs that the model was never trained on.
        only: some of the pictures.
        write: rewrite the page's tables, its pictures and the CSV file.
        out: where the pictures go otherwise.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    out = DOCS / "pictures" if write else out
    out.mkdir(parents=True, exist_ok=True)
    lines: list[list[object]] = []
    for name, make in GROUPS.items():
        if only and name not in only:
            continue
        failures = make(Photographs(photos))
        draw(failures, out / f"limits-{name}.jpg")
        rows = []
        for failure in failures:
            for what, x in {"given": failure.given, **failure.results}.items():
                values = figures(x, failure.truth)
                rows.append([failure.name, what, *values])
                print(name, *rows[-1], flush=True)
        lines += [[name, *row] for row in rows]
        if write:
            shown = [[f, what, f"{p:.1f}", f"{s:.2f}"] for f, what, p, s in rows]
            rewrite(PAGE, name, table(["failure", "picture", "PSNR", "SSIM"], shown))
    if write and not only:
        with CSV.open("w", newline="") as file:
            head = ["picture", "failure", "what", "psnr", "ssim"]
            csv.writer(file, lineterminator="\n").writerows([head, *lines])


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
