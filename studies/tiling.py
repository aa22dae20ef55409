"""What tiles change: differences from the whole image, seams, memory and time of a large
restoration.

    python studies/tiling.py --photo PICTURE  # the embedded prior; rewrites measurements/speed.md
    python studies/tiling.py --photo PICTURE --sections restorations --crop 512 768 --calls 10

The picture is one the prior was not trained on. Memory is the peak of a process of its own for
every setting.
"""

import multiprocessing
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import tyro
from common.pages import DOCS, rewrite, table
from PIL import Image, ImageDraw
from torch import Tensor

import hrdis
from hrdis.metrics import psnr
from hrdis.priors import Tiled
from hrdis.rng import ImageRNG
from hrdis.solvers import Solver

PAGE = DOCS / "measurements" / "speed.md"
TIMES = (20, 114, 300, 600, 900)  # noise over signal 0.08, 0.39, 1.3, 6.5, 61
SETTINGS = (
    (128, 32),
    (128, 64),
    (256, 0),
    (256, 16),
    (256, 32),
    (256, 64),
    (256, 128),
    (512, 0),
    (512, 32),
    (512, 64),
    (512, 128),
)


def borders(tiled: Tiled, n: int) -> list[int]:
    """First and last rows (or columns) of tiles inside a side of n pixels."""
    side, starts = tiled.layout(n)
    return sorted({*starts[1:], *(s + side for s in starts[:-1])})


def seam(x: Tensor, whole: Tensor, tiled: Tiled) -> float:
    """Mean step across tile borders over the step in the same places of the untiled image; 1 is no
    seam.
    """
    steps = []
    for axis in (-2, -1):
        at = torch.tensor(borders(tiled, x.shape[axis]))
        if len(at):
            steps.append(
                [v.diff(dim=axis).abs().index_select(axis, at - 1).mean() for v in (x, whole)]
            )
    return float(sum(s[0] for s in steps) / sum(s[1] for s in steps)) if steps else 1.0


def predictions(prior: hrdis.Prior, x: Tensor) -> str:
    """The denoised picture in tiles against the whole one: differences, seams, and closeness to the
    truth.
    """
    q, z = prior.schedule, ImageRNG([0], "tiling").randn_like(x)
    rows: dict[tuple[int, int], list[str]] = {setting: [] for setting in SETTINGS}
    untiled = []
    for t in TIMES:
        x_t = q.diffuse(x, t, z)
        whole = prior(x_t, t)
        untiled.append(f"{float(psnr(whole.x0_hat, x)):.2f} dB")
        for setting in SETTINGS:
            tiled = Tiled(prior, *setting)
            found = tiled(x_t, t)
            difference = (found.eps - whole.eps) / whole.eps.square().mean().sqrt()
            rows[setting].append(
                f"{100 * float(difference.square().mean().sqrt()):.2g} "
                f"({100 * float(difference.abs().max()):.2g}) % · "
                f"{seam(found.x0_hat, whole.x0_hat, tiled):.2f} · "
                f"{float(psnr(found.x0_hat, x)):.2f} dB"
            )
        print(f"t = {t} done", flush=True)
    lines = [
        ["whole", *untiled],
        *([f"{tile}, {overlap}", *row] for (tile, overlap), row in rows.items()),
    ]
    return table(["tile, overlap", *(f"t = {t}" for t in TIMES)], lines)


def restorations(
    prior: hrdis.Prior,
    x: Tensor,
    solver: Solver,
    settings: Sequence[tuple[int, int]],
    picture: Path | None,
) -> str:
    """x4 restorations of the picture, whole and in tiles: closeness, seams, and, where it is asked
    for, a picture of the differences.
    """
    problem = hrdis.measure(hrdis.operators.SuperResolution(4), x)
    whole = hrdis.solve(solver, prior, problem, seeds=[0]).x
    print("whole done", flush=True)
    rows, panels = [["whole", f"{float(psnr(whole, x)):.3f}", "", "", ""]], [("whole", whole)]
    for tile, overlap in settings:
        tiled = Tiled(prior, tile, overlap)
        found = hrdis.solve(solver, tiled, problem, seeds=[0]).x
        change = (found - whole) * 127.5
        rows.append([
            f"{tile}, {overlap}", f"{float(psnr(found, x)):.3f}",
            f"{float(change.square().mean().sqrt()):.2f}",
            f"{float(change.abs().max()):.0f}", f"{seam(found, whole, tiled):.3f}",
        ])  # fmt: skip
        panels.append((f"tile {tile}, overlap {overlap}: difference x 8", 8 * (found - whole)))
        print(rows[-1], flush=True)
    if picture is not None:
        contact_sheet(panels, picture)
    return table(
        ["tile, overlap", "PSNR", "rms change, of 255", "largest change, of 255", "seam"], rows
    )


def contact_sheet(panels: Sequence[tuple[str, Tensor]], file: Path, width: int = 480) -> None:
    """Pictures with captions, two in a row."""
    thumbs = []
    for caption, x in panels:
        image = hrdis.images.to_pil(hrdis.images.Picture(x))
        image = image.resize(
            (width, round(image.height * width / image.width)), Image.Resampling.LANCZOS
        )
        framed = Image.new("RGB", (width, image.height + 18), "white")
        framed.paste(image, (0, 18))
        ImageDraw.Draw(framed).text((4, 3), caption, fill="black")
        thumbs.append(np.asarray(framed))
    if len(thumbs) % 2:
        thumbs.append(np.full_like(thumbs[0], 255))
    rows = [np.concatenate(thumbs[i : i + 2], 1) for i in range(0, len(thumbs), 2)]
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(file, optimize=True)


def cost(
    prior: str, setting: tuple[int, int] | None, solver: Solver, threads: int
) -> tuple[float, float]:
    """Seconds of a 1024 x 768 restoration, and the peak memory in megabytes of the process, which
    does nothing else.
    """
    torch.set_num_threads(threads)
    model = hrdis.load_prior(prior)
    if setting == (0, 0):  # only what a process needs before it restores anything
        model(torch.zeros(1, 3, 64, 64), 500)
        return 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    problem = hrdis.Problem(torch.zeros(1, 3, 192, 256), hrdis.operators.SuperResolution(4))
    started = time.perf_counter()
    hrdis.solve(solver, Tiled(model, *setting) if setting else model, problem, seeds=[0])
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def costs(prior: str, solver: Solver, threads: int) -> str:
    """Time and memory of a 1024 x 768 restoration, whole and in tiles."""
    rows = []
    for setting in ((0, 0), None, (512, 64), (256, 64), (256, 32), (128, 32)):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, megabytes = pool.apply(cost, (prior, setting, solver, threads))
        name = {None: "whole", (0, 0): "nothing but loading"}.get(
            setting, "{}, {}".format(*setting or (0, 0))
        )
        rows.append([name, f"{seconds:.0f} s", f"{megabytes:.0f} MB"])
        print(rows[-1], flush=True)
    return table(["tile, overlap", f"{solver.steps} calls", "peak memory of the process"], rows)


def bound(prior: str, tile: int, memory: float, threads: int) -> tuple[float, float, int]:
    """Seconds of one call on 1024 x 768, megabytes it adds to the process at its peak, and tiles at
    once.
    """
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    model = hrdis.load_prior(prior)
    model(torch.zeros(1, 3, 64, 64), 500)
    x = torch.zeros(1, 3, 768, 1024)
    tiled = Tiled(model, tile, 64, memory=memory)
    at_once = tiled._tiles_per_call(x[..., :64, :64], 500, 1)  # imports what the first count needs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    tiled(x, 500)
    seconds, peak = (
        time.perf_counter() - started,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
    at_once = tiled._tiles_per_call(x[..., :tile, :tile], 500, 1)
    return seconds, peak - before, at_once


def bounds(prior: str, threads: int) -> str:
    """What a bound of memory costs and keeps."""
    rows = []
    for tile, memory in ((256, 0.25e9), (256, 0.5e9), (256, 1e9), (128, 0.25e9), (128, 1e9)):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, megabytes, at_once = pool.apply(bound, (prior, tile, memory, threads))
        rows.append([f"{tile}, 64", f"{memory / 1e6:.0f} MB", str(at_once), f"{megabytes:.0f} MB"])
        # The time is printed only: it means something on an idle machine alone.
        print(rows[-1], f"{seconds:.1f} s a prediction", flush=True)
    return table(["tile, overlap", "bound", "tiles at once", "peak above loading"], rows)


def main(
    photo: Path,
    prior: str = "default",
    calls: int = 20,
    memory_calls: int = 3,
    threads: int = 1,
    sections: tuple[str, ...] = ("costs", "bounds", "predictions", "restorations"),
    crop: tuple[int, int] | None = None,
    write: bool = True,
    picture: Path | None = None,
) -> None:
    """Compare tiled with whole-image runs.

    Args:
        photo: a large picture.
        prior: "default" or a folder.
        calls: network calls of the restorations that are compared.
        memory_calls: network calls of those whose time and memory are taken.
        threads: CPU threads.
        sections: of costs, bounds, predictions, restorations.
        crop: height and width of the part of the picture to take, from its middle.
        write: rewrite docs/measurements/speed.md.
        picture: a file for a picture of the differences; by default none is drawn.
    """
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    model = hrdis.load_prior(prior)
    x = hrdis.images.load(photo)
    h, w = crop or x.shape[-2:]
    top, left = (x.shape[-2] - h) // 2, (x.shape[-1] - w) // 2
    x = x[..., top : top + h // 8 * 8, left : left + w // 8 * 8]
    preset = hrdis.presets.embedded().of(hrdis.HRDIS)["sr4@default"]
    settings = ((256, 0), (256, 64), (512, 64))
    measured = {
        "costs": lambda: costs(prior, replace(preset, steps=memory_calls), threads),
        "bounds": lambda: bounds(prior, threads),
        "predictions": lambda: predictions(model, x),
        "restorations": lambda: restorations(
            model, x, replace(preset, steps=calls), settings, picture
        ),
    }
    for name in sections:
        text = measured[name]()
        print(f"\n{name}\n{text}")
        if write:
            rewrite(PAGE, name, text)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
