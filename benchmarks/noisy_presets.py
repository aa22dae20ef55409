"""What the presets for noisy measurements gain over those for none, on training photographs.

    python benchmarks/noisy_presets.py --photos FOLDER                # rewrites a table of docs/prior.md

The presets are found by benchmarks/search_presets.py, on other crops.
"""

import time
from pathlib import Path

import torch
import tyro
from pages import DOCS, rewrite, table
from photographs import pictures, random_crops, score
from search_presets import measure, split, try_out

import hrdis

TASKS = (
    "sr4-noise02", "sr4-noise05", "sr4-noise10",
    "inpaint-scratches-noise02", "inpaint-scratches-noise05", "inpaint-scratches-noise10",
)  # fmt: skip


def main(
    photos: Path,
    prior: str = "default",
    tasks: tuple[str, ...] = TASKS,
    solvers: tuple[str, ...] = ("hrdis", "reddiff"),
    images: int = 6,
    side: int = 64,
    write: bool = True,
) -> None:
    """Compare the presets.

    Args:
        photos: training photographs.
        prior: "default" or a folder.
        tasks: of search_presets.py, with their noise.
        solvers: of hrdis, reddiff.
        images: pictures, one crop of each; the crops are not those of the search.
        side: of the crops.
        write: rewrite docs/prior.md.
    """
    torch.set_num_threads(1)
    model, rows, started = hrdis.load_prior(prior), [], time.perf_counter()
    x = random_crops(pictures(photos, images), side, 2)
    for task in tasks:
        problem, baseline = measure(task, x)
        start = score(baseline, x).psnr
        key, noise = split(task)
        for name in solvers:
            _, quiet = hrdis.solvers.preset(name, hrdis.TASKS[key].presets, "default")
            old = try_out(quiet, model, problem, x)
            chosen, solver = hrdis.solvers.preset(name, hrdis.TASKS[key].presets, "default", noise)
            new = try_out(solver, model, problem, x)
            rows.append([
                f"{key}, noise {noise}", type(solver).__name__, f"{start:.2f}",
                f"{old['psnr_one']:.2f} ({old['psnr_mean_of_8']:.2f})",
                f"**{new['psnr_one']:.2f}** ({new['psnr_mean_of_8']:.2f})", f"{new['psnr_one'] - old['psnr_one']:+.2f}",
            ])  # fmt: skip
            print(chosen, rows[-1], f"{time.perf_counter() - started:.0f} s", flush=True)
    text = table(["task", "solver", "bicubic or biharmonic", "preset for no noise", "preset for noise", "gain"], rows)
    print(text)
    if write:
        rewrite(DOCS / "prior.md", "noisy", text)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
