"""How much noise is noise: HRDIS's settings for none beside those for noise of 0.05, over levels;
and those for HDR.

    python studies/noise_levels.py --train FOLDER --photos FOLDER  # two tables of tasks.md

Levels on training photographs, one sample; HDR under Poisson and speckle noise on photographs the
prior never saw, one sample and the mean of 8.
"""

from dataclasses import replace
from pathlib import Path

import torch
import tyro
from common.measurements import measured
from common.pages import rewrite, table
from common.photographs import pictures, random_crops, score
from tasks import CALLED, PAGE, choices, mean_score, sampled
from torch import Tensor

import hrdis
from hrdis.operators import Inpainting
from hrdis.solvers import preset

LEVELS = (0.005, 0.01, 0.02, 0.03)
TASKS = ("sr4", "inpaint", "sr2", "deblur-gauss")


def level(task: str, sigma: float, prior: hrdis.Prior, x: Tensor) -> str:
    """PSNR of the settings for none, of those for 0.05, and of those with a data weight in
    proportion to 1 / noise^2.
    """
    known, side = hrdis.TASKS[task], x.shape[-1]
    parts = [known.build(side, side, 0, i) for i in range(len(x))]
    A = Inpainting(torch.cat([A.mask for A in parts])) if known.mask else parts[0]  # type: ignore[misc]
    problem = hrdis.measure(A, x, hrdis.noise.Gaussian(sigma), seeds=range(len(x)))
    none, aware = (preset("hrdis", known.presets, "default", noise)[1] for noise in (0.0, 0.05))
    weight = aware.lambda_obs * (0.05 / sigma) ** 2  # type: ignore[attr-defined]
    weighted = none if weight > none.lambda_obs else replace(aware, lambda_obs=weight)  # type: ignore[attr-defined,call-arg]
    found = [
        score(hrdis.solve(s, prior, problem, seeds=range(len(x))).x, x).psnr for s in (none, aware,
        weighted)
    ]  # fmt: skip
    print(task, sigma, [f"{v:.2f}" for v in found], flush=True)
    return ", ".join(f"**{v:.2f}**" if v == max(found) else f"{v:.2f}" for v in found)


def hdr(noise: str, prior: hrdis.Prior, x: Tensor) -> list[list[str]]:
    """One sample and the mean of 8, by the settings for the noise and by those for none."""
    problem, rows = measured("hdr", x, noise), []
    for key, solver in reversed(choices("hdr", noise)):
        found, _ = sampled(solver, prior, problem, 8)
        one, mean = mean_score([score(v, x) for v in found]).psnr, score(found.mean(0), x).psnr
        rows.append([CALLED[noise], f"`{key}`", f"{one:.2f}", f"{mean:.2f}"])
        print(rows[-1], flush=True)
    return rows


def main(train: Path, photos: Path, images: int = 6) -> None:
    """Measure.

    Args:
        train: training photographs, for the levels.
        photos: photographs the prior has never seen, for HDR.
        images: training photographs, one crop of each.
    """
    torch.set_num_threads(1)
    prior = hrdis.load_prior("default", dtype=torch.bfloat16)
    x = random_crops(pictures(train, images), 64, 0)
    rows = [[sigma, *(level(task, sigma, prior, x) for task in TASKS)] for sigma in LEVELS]
    rewrite(PAGE, "levels", table(["noise", *TASKS], rows))
    x = random_crops(pictures(photos, 4), 64, 0)
    rows = [row for noise in ("poisson", "speckle") for row in hdr(noise, prior, x)]
    rewrite(PAGE, "hdr", table(["noise", "settings", "one sample", "mean of 8"], rows))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
