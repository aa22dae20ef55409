"""Is `hrdis.restore`, told the task and the noise alone, better than a classical method?

    python studies/repairs.py --photos photos/val --minutes 9   (again until it says so)
    python studies/repairs.py --photos photos/val --minutes 0   (rewrites the page alone)
    python studies/repairs.py --photos photos/train --rows train.csv --no-page --repairs deblur

The middle of every photograph is damaged by the repair's own measurement and stored in a file of 8
bits (a real JPEG where JPEG is the damage); `hrdis.restore` and the classical method get that file.
Every result is a line of the CSV file; one that is there is not made again.
"""

import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from common.measurements import classical
from common.pages import DOCS, rewrite, table
from common.photographs import centre_crops, pictures
from common.rows import read, write
from PIL import Image
from torch import Tensor

import hrdis
from hrdis.metrics import psnr, ssim
from hrdis.operators import Inpainting, Operator, masks
from hrdis.repairs import resolve

PAGE, CSV = DOCS / "measurements" / "repairs.md", DOCS / "data" / "repairs.csv"


@dataclass(frozen=True)
class Setting:
    """A repair with its options, as `hrdis.restore` takes them; noise in grey levels of 255."""

    repair: str
    noise: float = 0.0
    scale: int | None = None
    quality: int | None = None
    bits: int | None = None
    kernel: str | None = None

    def __str__(self) -> str:
        said = [self.repair]
        for option in ("scale", "quality", "bits", "kernel"):
            value = getattr(self, option)
            if value is not None:
                said.append(f"{option} {value}")
        if self.noise:
            said.append(f"noise {self.noise:g}")
        return ", ".join(said)

    @property
    def options(self) -> dict[str, Any]:
        """What `resolve` takes."""
        return {k: getattr(self, k) for k in ("scale", "quality", "bits", "kernel")}


SETTINGS = (
    Setting("denoise", 10),
    Setting("denoise", 25),
    Setting("denoise", 50),
    Setting("inpaint"),
    Setting("inpaint", 13),
    Setting("upscale", scale=2),
    Setting("upscale", scale=4),
    Setting("upscale", scale=8),
    Setting("upscale", 13, scale=4),
    Setting("deblur", kernel="gaussian:3"),  # a file's rounding is the noise
    Setting("deblur", kernel="box:9"),
    Setting("deblur", 2.5, kernel="gaussian:3"),
    Setting("deblur", 2.5, kernel="box:9"),
    Setting("deblur", 2.5, kernel="motion:15:30"),
    Setting("dejpeg", quality=10),
    Setting("dejpeg", quality=30),
    Setting("deband", bits=3),
    Setting("declip"),
    Setting("brighten"),
    Setting("colorize"),
)
#: The task whose classical method answers a repair, where the name is another.
ANSWERED_BY = {"upscale": "sr4", "dejpeg": "jpeg10", "deband": "quantize", "declip": "hdr",
               "brighten": "lowlight"}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One picture with one setting."""

    setting: str
    picture: str
    side: int
    effort: str
    solver: str
    calls: int
    method: str
    psnr_classical: float
    psnr_restore: float
    ssim_classical: float
    ssim_restore: float


def damage(setting: Setting, x: Tensor, k: int, folder: Path) -> tuple[Path, Path | None]:
    """Write what is given of picture k, (1, 3, h, w) in [-1, 1], and its mask if there is one."""
    file, mask = folder / f"{k}.png", None
    if setting.repair == "dejpeg":
        file = folder / f"{k}.jpg"
        hrdis.images.to_pil(hrdis.images.Picture(x)).save(file, quality=setting.quality)
        return file, None
    task = resolve(setting.repair, **setting.options)
    h, w = x.shape[-2:]
    A: Operator = (task.photo or task.build)(h, w, 0, k)
    if setting.repair == "inpaint":
        kept = masks.scratches(h, w, 0.15, 0, k)
        A, mask = Inpainting(kept), folder / f"{k}-mask.png"
        holes = (kept.reshape(h, w) == 0).to(torch.uint8) * 255
        Image.fromarray(holes.numpy()).save(mask)
    noise = hrdis.noise.Gaussian(setting.noise / 255) if setting.noise else None
    y = hrdis.measure(A, x, noise, seeds=[k]).y
    hrdis.images.to_pil(hrdis.images.Picture(y)).save(file)
    return file, mask


def compare(setting: Setting, name: str, x: Tensor, k: int, effort: str) -> Row:
    """Restore one picture by both methods."""
    with tempfile.TemporaryDirectory() as folder:
        file, mask = damage(setting, x, k, Path(folder))
        found = hrdis.restore(
            file, setting.repair, mask=mask, noise=setting.noise, effort=effort,  # type: ignore[arg-type]
            seed=k, **setting.options,
        )  # fmt: skip
        problem = found.job.problem
        task = ANSWERED_BY.get(setting.repair, setting.repair)
        if setting.repair == "upscale":
            task = f"sr{setting.scale}"
        method, answer = classical(task, problem, setting.noise / 255)
    ours, theirs = found.samples[:1].clamp(-1, 1), answer.clamp(-1, 1)
    return Row(
        str(setting), name, x.shape[-1], effort, type(found.solver).__name__, found.calls, method,
        round(float(psnr(theirs, x)), 3), round(float(psnr(ours, x)), 3),
        round(float(ssim(theirs, x)), 4), round(float(ssim(ours, x)), 4),
    )  # fmt: skip


def comparison(rows: list[Row]) -> str:
    """Means over the pictures of every setting, the gain with its standard error."""
    lines = []
    for setting in SETTINGS:
        mine = [row for row in rows if row.setting == str(setting)]
        if not mine:
            continue
        gains = torch.tensor([row.psnr_restore - row.psnr_classical for row in mine])
        error = float(gains.std()) / len(mine) ** 0.5 if len(mine) > 1 else float("nan")
        better = int((gains > 0).sum())
        means = [
            sum(getattr(row, key) for row in mine) / len(mine)
            for key in ("psnr_classical", "psnr_restore", "ssim_classical", "ssim_restore")
        ]
        lines.append(
            [
                setting, mine[0].method, f"{mine[0].solver}, {mine[0].calls}",
                *(f"{m:.2f}" for m in means[:2]), f"{float(gains.mean()):+.2f} ± {error:.2f}",
                f"{better} of {len(mine)}", *(f"{m:.3f}" for m in means[2:]),
            ]
        )  # fmt: skip
    return table(
        [
            "repair", "classical method", "solver taken, calls", "PSNR: classical", "hrdis.restore",
            "gain", "better", "SSIM: classical", "hrdis.restore",
        ],
        lines,
    )  # fmt: skip


def main(
    photos: Path, side: int = 128, count: int = 0, minutes: float = 9, effort: str = "normal",
    rows: Path = CSV, page: bool = True, repairs: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Measure, and rewrite the page.

    Args:
        photos: photographs; for the page, ones that nothing was trained or chosen on.
        side: of the crops, in pixels.
        count: how many photographs, evenly spread; 0 for all.
        minutes: begin no restoration after so long; another call goes on where this one stopped.
        effort: low, normal or high.
        rows: the CSV file.
        page: rewrite the page.
        repairs: only these.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    deadline = time.perf_counter() + 60 * minutes
    files, done = pictures(photos, count), read(rows, Row)
    known, left = {(row.setting, row.picture, row.side, row.effort) for row in done}, 0
    for k, file in enumerate(files):
        x = centre_crops([file], side)
        for setting in SETTINGS:
            key = (str(setting), file.stem, side, effort)
            if key in known or (repairs and setting.repair not in repairs):
                continue
            if time.perf_counter() > deadline:
                left += 1
                continue
            done.append(compare(setting, file.stem, x, k, effort))
            write(rows, Row, done)
    mine = [row for row in done if (row.side, row.effort) == (side, effort)]
    print(comparison(mine))
    print("All measured." if not left else f"{left} restorations left.")
    if page:
        rewrite(PAGE, "results", comparison(mine))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
