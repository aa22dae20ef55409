"""The pictures that explain: README's first, what is measured, one restoration, uncertainty, cost
against quality.

    python studies/explain.py  # all of them, anew after the model or its settings have changed
    python studies/explain.py uncertainty effort  # some of them

Photographs are those of the package. The plot of cost against quality reads docs/data/effort.csv,
which `studies/effort.py` writes. Figures below the pictures are printed, too.
"""

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from common.measurements import classical, measured
from common.pages import DOCS
from torch import Tensor

import hrdis
from hrdis.metrics import psnr
from hrdis.noise import Gaussian
from hrdis.operators import masks

PACKAGE = Path(hrdis.__file__).parent / "pictures"
ROWS = DOCS / "data" / "effort.csv"


def crop(name: str, top: int, left: int, side: int) -> Tensor:
    """A square piece of a photograph of the package, (1, 3, side, side)."""
    x = hrdis.images.load(PACKAGE / name)
    return x[..., top : top + side, left : left + side]


def pixels(x: Tensor) -> np.ndarray:
    """The first image of a batch as matplotlib shows it: (h, w, 3) in [0, 1]."""
    shown = ((x[0].detach().float().clamp(-1, 1) + 1) / 2).permute(1, 2, 0)
    return np.asarray(shown.expand(-1, -1, 3))


def show(axes: Any, x: Tensor, title: str, below: str = "") -> None:
    """Draw an image with words above and below, its pixels as squares."""
    axes.imshow(pixels(x), interpolation="nearest")
    bare(axes, title, below)


def bare(axes: Any, title: str, below: str = "") -> None:
    """Take ticks away, and write above and below."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(below, fontsize=8)


def save(figure: Any, name: str) -> None:
    """Write a picture of the documentation."""
    import matplotlib.pyplot as plt

    path = DOCS / "pictures" / name
    figure.savefig(
        path, dpi=100, **({"pil_kwargs": {"quality": 88}} if path.suffix == ".jpg" else {})
    )
    plt.close(figure)
    print(f"Wrote {path.relative_to(DOCS.parent)}")


# ---- README's first picture ---------------------------------------------------------------------

SIGMA = 25 / 255
SHOWN_SIDE = 88  # of the pieces in the picture, in pixels


def repaired() -> list[tuple[str, str, tuple[int, int], list[Tensor]]]:
    """Three repairs as a user has them: title, classical method, where the piece lies, and the
    pictures given, by the classical method, by hrdis, true.
    """
    coffee, cat, flower = (
        hrdis.images.load(PACKAGE / name) for name in ("coffee.jpg", "chelsea.png", "flower.jpg")
    )
    noisy = as_stored(hrdis.measure(hrdis.operators.Identity(), coffee, Gaussian(SIGMA), seeds=[0]))
    fixed = hrdis.fix(noisy).x
    kept = masks.scratches(*cat.shape[-2:], 0.15, 0, 0)
    torn = as_stored(hrdis.measure(hrdis.operators.Inpainting(kept), cat, seeds=[0]))
    holes = (kept.reshape(cat.shape[-2:]) == 0).numpy()
    whole = hrdis.restore(torn, "inpaint", mask=holes)
    small = as_stored(hrdis.measure(hrdis.operators.SuperResolution(scale=4), flower, seeds=[0]))
    large = hrdis.restore(small, "upscale", scale=4)
    pictures = [
        ("noise, found by hrdis fix", "denoise", noisy, fixed, coffee, (84, 84)),
        ("scratches", "inpaint", torn, whole.samples, cat, (60, 40)),
        ("small", "sr4", small, large.samples, flower, (84, 100)),
    ]
    rows = []
    for title, task, given, ours, truth, place in pictures:
        problem = hrdis.Problem(given, hrdis.operators.Identity())
        if task == "inpaint":
            problem = whole.job.problem  # its holes are marked
        method, theirs = classical(task, problem, SIGMA * (task == "denoise"))
        scale = truth.shape[-1] // given.shape[-1]
        shown = given.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
        rows.append((title, method, place, [shown, theirs, ours, truth]))
    return rows


def as_stored(problem: hrdis.Problem) -> Tensor:
    """The picture of a measurement as a file of 8 bits has it."""
    return hrdis.images.from_pil(hrdis.images.to_pil(hrdis.images.Picture(problem.y))).x


def draw_readme() -> None:
    """Three repairs beside a classical method and the truth, a piece of each; PSNR is of the whole
    picture.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 4, figsize=(10, 8.1), layout="constrained")
    lines = []
    for row, (title, method, (top, left), columns) in zip(axes, repaired(), strict=True):
        truth = columns[-1]
        names = [
            f"given: {title}",
            method.replace("bicubic", "bicubic, 4 times"),
            "hrdis",
            "the truth",
        ]
        found = [title]
        for place, name, picture in zip(row, names, columns, strict=True):
            dB = float(psnr(picture.clamp(-1, 1), truth)) if picture is not truth else 0.0
            found.append(f"{dB:.3f}")
            piece = picture[..., top : top + SHOWN_SIDE, left : left + SHOWN_SIDE]
            show(place, piece, name, f"{dB:.1f} dB" if dB else "")
        lines.append(found[:4])
        print(*found[:4])
    with (DOCS / "data" / "readme.csv").open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerows([["picture", "given", "classical", "hrdis"], *lines])
    save(figure, "readme.jpg")


# ---- what is measured ---------------------------------------------------------------------------

#: Task, what it does in words, and the noise by its name in `common.measurements`.
MEASUREMENTS = (
    ("inpaint-scratches", "holes", "none"),
    ("inpaint-random", "single pixels missing", "none"),
    ("sr4", "means of 4 x 4 pixels", "0.05"),
    ("denoise", "noise alone", "0.1"),
    ("deblur-gauss", "Gaussian blur", "0.05"),
    ("deblur-motion", "motion blur", "none"),
    ("jpeg10", "JPEG, quality 10", "none"),
    ("quantize", "3 bits a colour", "none"),
    ("hdr", "contrast doubled, clipped", "none"),
    ("colorize", "grey", "none"),
)


def draw_measurements() -> None:
    """y = A(x) + noise for ten tasks, on one photograph."""
    import matplotlib.pyplot as plt

    x = crop("coffee.jpg", 60, 60, 128)
    figure, axes = plt.subplots(2, 6, figsize=(10, 4.1), layout="constrained")
    places = list(axes.flat)
    show(places[0], x, "x, the photograph", "what is sought")
    for place, (task, words, noise) in zip(places[1:], MEASUREMENTS, strict=False):
        y = measured(task, x, noise).y
        level = "no noise" if noise == "none" else f"noise of {noise}"
        show(place, y, words, f"{task}, {level}")
    places[-1].axis("off")
    save(figure, "measurements.jpg")


# ---- one restoration ----------------------------------------------------------------------------


def draw_restoration() -> None:
    """HRDIS enlarges a photograph: the step in boxes, and the picture at some steps."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    x = crop("coffee.jpg", 80, 80, 96)
    A = hrdis.operators.SuperResolution(scale=4)
    problem = hrdis.measure(A, x, seeds=[0])
    frames = []
    run = hrdis.iterate("hrdis", hrdis.load_prior("default"), problem, seeds=[0])
    for step in run:
        frames.append(step)
    steps = len(frames)

    figure = plt.figure(figsize=(10, 4.9))
    words = figure.add_axes((0.01, 0.54, 0.98, 0.44))
    words.set_xlim(0, 100)
    words.set_ylim(0, 40)
    words.axis("off")
    boxes = (
        (1, 14, "y = A(x) + noise", "the measurement"),
        (19, 16, "picture mu", "begins smooth,\nfrom y alone"),
        (40, 16, "mix mu with noise n", "x_t, as noisy as\nthe model expects at t"),
        (61, 16, "network, one call", "eps, what it takes\nfor noise"),
        (82, 17, "move mu", "A(mu) closer to y,\neps closer to n"),
    )
    for left, width, name, meaning in boxes:
        colour = "#fde7d3" if left > 15 else "#e3eef9"
        words.add_patch(
            FancyBboxPatch(
                (left, 17), width, 16, boxstyle="round,pad=0.2", facecolor=colour, edgecolor="#555"
            )
        )
        words.text(left + width / 2, 29, name, ha="center", va="center", fontsize=9, weight="bold")
        words.text(left + width / 2, 22, meaning, ha="center", va="center", fontsize=8)
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 12, "color": "#555"}
    for start, end in ((15.5, 18.5), (35.5, 39.5), (56.5, 60.5), (77.5, 81.5)):
        words.add_patch(FancyArrowPatch((start, 25), (end, 25), **arrow))
    back = "arc3,rad=-0.13"
    words.add_patch(FancyArrowPatch((90, 16), (27, 16), connectionstyle=back, **arrow))
    words.text(
        58, 1.5, f"{steps} times, from noisy to clean t; the last mu is the result",
        ha="center", fontsize=9,
    )  # fmt: skip

    shown = [0, steps // 10, steps // 3, 2 * steps // 3, steps - 1]
    panels = [("y, 24 x 24 pixels", problem.y, "")]
    for k in shown:
        found = frames[k].x
        panels.append((f"mu after {k + 1} of {steps}", found, f"{float(psnr(found, x)):.1f} dB"))
    panels.append(("the photograph", x, ""))
    for k, (title, picture, below) in enumerate(panels):
        axes = figure.add_axes((0.01 + k * 0.141, 0.06, 0.135, 0.36))
        show(axes, picture, title, below)
        print(title, below)
    save(figure, "restoration.jpg")


# ---- uncertainty --------------------------------------------------------------------------------

SAMPLES = 6
WHITE = 255
#: Title, photograph and place, operator, solver with settings.
Case = tuple[str, Tensor, hrdis.operators.Operator, Any]


def uncertainty_cases() -> list[Case]:
    """A large hole, where samples differ, and enlarged fur, where they agree and are wrong."""
    side = 64
    hole = torch.ones(side, side)
    hole[16:48, 16:48] = 0
    return [
        (
            "hole",
            crop("china.jpg", 96, 112, side),
            hrdis.operators.Inpainting(hole),
            hrdis.OverRelaxed(steps=60),
        ),
        (
            "fur, small",
            crop("chelsea.png", 140, 70, side),
            hrdis.operators.SuperResolution(scale=4),
            "hrdis",
        ),
    ]


def draw_uncertainty() -> None:
    """Samples, the map of where they differ, and the true error, in grey levels."""
    import matplotlib.pyplot as plt

    prior = hrdis.load_prior("default")
    cases = uncertainty_cases()
    figure, axes = plt.subplots(len(cases), 7, figsize=(12, 4.4), layout="constrained")
    for row, (title, x, A, solver) in zip(axes, cases, strict=True):
        y = hrdis.measure(A, x, seeds=[0]).y
        many = hrdis.Problem(y.expand(SAMPLES, -1, -1, -1).clone(), A)
        found = hrdis.solve(solver, prior, many, seeds=range(SAMPLES)).x
        # the root mean square over the colours, in grey levels of 255
        spread = (found.double().std(0) * WHITE / 2).square().mean(0).sqrt()
        error = ((found.double().mean(0) - x[0]) * WHITE / 2).square().mean(0).sqrt()
        top = max(float(spread.quantile(0.995)), float(error.quantile(0.995)))
        open_part = spread > 0.5
        covered = float((error <= 2 * spread)[open_part].double().mean())
        show(row[0], y, f"y: {title}")
        for k in range(3):
            show(row[1 + k], found[k : k + 1], f"sample {k + 1}")
        row[4].imshow(spread, vmin=0, vmax=top, cmap="magma")
        bare(row[4], "samples differ by", f"mean {float(spread[open_part].mean()):.1f} levels")
        image = row[5].imshow(error, vmin=0, vmax=top, cmap="magma")
        below = f"mean {float(error[open_part].mean()):.1f} levels,\n"
        below += f"within 2 deviations in {100 * covered:.0f} %"
        bare(row[5], "their mean is wrong by", below)
        figure.colorbar(image, ax=row[5], shrink=0.8).ax.tick_params(labelsize=7)
        show(row[6], x, "the truth")
        print(title, below.replace("\n", " "), f"spread {float(spread[open_part].mean()):.1f}")
    save(figure, "uncertainty.jpg")


# ---- cost against quality -----------------------------------------------------------------------

#: Task and noise in units of y, with words for the title.
PLOTTED = (
    ("sr4", 0.0, "Enlarged 4 times"),
    ("inpaint-scratches", 0.0, "Scratches"),
    ("denoise", 0.1, "Noise of 13 levels"),
    ("deblur-gauss", 0.02, "Blur with noise"),
)
SHOWN = ("hrdis", "cm4ir", "fire", "diffpir", "ddrm", "ddnm", "ddnmplus")


def draw_effort() -> None:
    """PSNR over network calls, a line per solver, from docs/data/effort.csv."""
    import matplotlib.pyplot as plt

    with ROWS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure, axes = plt.subplots(1, len(PLOTTED), figsize=(12, 3.4), layout="constrained")
    for place, (task, noise, title) in zip(axes, PLOTTED, strict=True):
        for solver in SHOWN:
            best: dict[int, float] = {}
            for row in rows:
                name = row["solver"].partition(",")[0]  # "fire, one call" is fire
                here = (row["task"], float(row["noise"]), name) == (task, noise, solver)
                if here:
                    calls, quality = int(row["calls"]), float(row["psnr"])
                    best[calls] = max(quality, best.get(calls, quality))
            if best:
                calls_made = sorted(best)
                place.plot(calls_made, [best[n] for n in calls_made], "o-", ms=4, label=solver)
        place.set_xscale("log")
        place.set_xticks([1, 5, 20, 100], ["1", "5", "20", "100"])
        place.minorticks_off()
        place.set_title(title, fontsize=10)
        place.set_xlabel("network calls")
        place.grid(alpha=0.3)
    axes[0].set_ylabel("PSNR in dB")
    handles: dict[str, Any] = {}
    for place in axes:
        for handle, label in zip(*place.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize=9)
    save(figure, "effort.png")


PICTURES: dict[str, Callable[[], None]] = {
    "readme": draw_readme,
    "measurements": draw_measurements,
    "restoration": draw_restoration,
    "uncertainty": draw_uncertainty,
    "effort": draw_effort,
}


def main(pictures: Annotated[tuple[str, ...], tyro.conf.Positional] = tuple(PICTURES)) -> None:
    """Draw the pictures.

    Args:
        pictures: which: readme, measurements, restoration, uncertainty, effort.
    """
    import matplotlib

    matplotlib.use("agg")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for name in pictures:
        PICTURES[name]()


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
