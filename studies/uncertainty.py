"""How often does the truth lie in the intervals that several samples give, and what makes it 90 %?

    U="python studies/uncertainty.py"
    $U draw --photos TRAIN --out runs/uncertainty/train --most 48
    $U draw --photos FOLDER --out runs/uncertainty/val --places 2
    $U draw --photos FOLDER --out runs/uncertainty/middle --places 0
    $U calibrate --drawn runs/uncertainty/train
    $U report --drawn runs/uncertainty

`draw` restores crops as `hrdis.restore` does with eight samples, and keeps for every colour value
how far the truth lies from the mean of the samples, and the deviation of the samples there. A case
that is there is not made again. `calibrate` writes calibration.toml beside the embedded model's
weights. `report` says how often the truth lies inside on photographs that took no part, and
rewrites the page, its figures and its plot.
"""

import csv
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from common.pages import DOCS, rewrite, table
from common.photographs import centre_crops, pictures
from torch import Tensor

import hrdis
from hrdis.bench.records import settings_of
from hrdis.checkpoints.load import embedded_folder
from hrdis.noise import Gaussian
from hrdis.operators import Blur, masks
from hrdis.presets import CALIBRATION_FILE, Calibrated, Calibration, write_calibration
from hrdis.repairs import resolve
from hrdis.restoration.choosing import chosen
from hrdis.rng import stream

#: Numbers of samples for which the scale is found: the first of the eight.
COUNTS = (2, 4, 8)
SAMPLES = max(COUNTS)
#: Blurs of the case "deblur", one picture after the other, in the words of `hrdis restore`.
KERNELS = ("gaussian:1.5", "motion:9:30", "box:5", "gaussian:2.5", "motion:15:100")


@dataclass(frozen=True)
class Case:
    """A repair at one noise, as a user asks for it.

    Args:
        name: in files and tables.
        task: a repair.
        noise: in grey levels of 255, as --noise.
        scale: of upscale.
    """

    name: str
    task: str
    noise: float = 0.0
    scale: int | None = None


CASES = (
    Case("denoise-10", "denoise", 10),
    Case("denoise-25", "denoise", 25),
    Case("inpaint", "inpaint"),
    Case("sr2", "upscale", scale=2),
    Case("sr4", "upscale", scale=4),
    Case("deblur", "deblur", 2.55),
)


def hole_of(k: int, side: int) -> Tensor:
    """The mask of the k-th picture, (side, side): strokes, strokes that hide more, scratches."""
    if k % 3 == 2:
        return masks.scratches(side, side, 0.15, index=k).reshape(side, side)
    band = ((0.1, 0.2), (0.2, 0.3))[k % 3]
    return masks.freeform(side, side, band, index=k).reshape(side, side)


def restored(case: Case, x: Tensor, k: int, prior: hrdis.Prior) -> tuple[Tensor, Tensor]:
    """Samples (8, 3, h, w) of the k-th picture, measured and stored in 8 bits as by
    `hrdis degrade`, and its holes, (h, w); all of it where no pixel is known.
    """
    options: dict[str, Any] = {}
    holes = torch.ones(x.shape[-2:], dtype=torch.bool)
    if case.task == "inpaint":
        keep = hole_of(k, x.shape[-1])
        holes = keep == 0
        A: hrdis.operators.Operator = hrdis.operators.Inpainting(keep)
        options["mask"] = holes.numpy()
    elif case.task == "deblur":
        options["kernel"] = KERNELS[k % len(KERNELS)]
        A = resolve("deblur", kernel=options["kernel"]).build(*x.shape[-2:], 0, 0)
        assert isinstance(A, Blur)
    else:
        A = resolve(case.task, scale=case.scale).build(*x.shape[-2:], 0, 0)
        if case.scale:
            options["scale"] = case.scale
    level = Gaussian(case.noise / 255) if case.noise else None
    problem = hrdis.measure(A, x, level, seeds=[k])
    y = hrdis.images.from_pil(hrdis.images.to_pil(hrdis.images.Picture(problem.y))).x
    found = hrdis.restore(
        y, case.task, noise=case.noise / 255, samples=SAMPLES, prior=prior, seed=100 * k, **options
    )
    return found.samples, holes


def random_places(files: list[Path], side: int, places: int) -> Tensor:
    """Crops of each picture at random places, flat or not, (n, 3, side, side)."""
    out = []
    for k, file in enumerate(files):
        x, rng = hrdis.images.load(file), stream(0, "uncertainty", k)
        for _ in range(places):
            top, left = (int(rng.integers(n - side + 1)) for n in x.shape[-2:])
            out.append(x[..., top : top + side, left : left + side])
    return torch.cat(out)


def draw(
    photos: Path,
    out: Path,
    side: int = 64,
    most: int = 0,
    places: int = 1,
    cases: tuple[str, ...] = (),
    precision: str = "fp32",
) -> None:
    """Restore crops of each photograph, and keep truths, means, deviations and holes.

    Args:
        photos: a folder of photographs.
        out: a folder for the arrays, a file for each case.
        side: of the crops, in pixels.
        most: so many photographs, spread over the folder; 0 is all.
        places: so many crops of each photograph, at random places; 0 is one in its middle.
        cases: only these.
        precision: of the network.
    """
    from hrdis.devices import DTYPES

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    files = pictures(photos, most)
    x = random_places(files, side, places) if places else centre_crops(files, side)
    prior = hrdis.load_prior("default", dtype=DTYPES[precision])
    out.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        path = out / f"{case.name}.npz"
        if path.exists() or (cases and case.name not in cases):
            continue
        started = time.process_time()
        columns: dict[str, list[np.ndarray]] = {}
        for k in range(len(x)):
            samples, holes = restored(case, x[k : k + 1], k, prior)
            columns.setdefault("holes", []).append(holes.numpy())
            columns.setdefault("picture", []).append(np.array(k // max(1, places), np.int16))
            columns.setdefault("truth", []).append(x[k].numpy())
            for count in COUNTS:
                found = hrdis.uncertainty.summarise(samples[:count])
                columns.setdefault(f"mean{count}", []).append(found.mean[0].numpy())
                columns.setdefault(f"deviation{count}", []).append(found.deviation.numpy())
        arrays = {name: np.stack(parts) for name, parts in columns.items()}
        np.savez_compressed(path, **arrays)
        seconds = time.process_time() - started
        print(f"{case.name}: {len(x)} pictures, {seconds:.0f} s of the processor", flush=True)


# ---- calibration --------------------------------------------------------------------------------

LEVEL = 0.9
CONFIDENCE = 0.95  #: share of the sets of resampled pictures on which intervals hold the level
#: Floors that are tried, in grey levels of 255; the one whose pictures differ least is kept.
FLOORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class Drawn:
    """Errors and deviations of one case, for images in [0, 1], a value of each colour and pixel."""

    error: np.ndarray
    deviation: np.ndarray
    picture: np.ndarray


def drawn(folder: Path, case: Case, count: int) -> Drawn:
    """What `draw` kept of a case, for the first ``count`` samples, without what was known."""
    with np.load(folder / f"{case.name}.npz") as file:
        holes, truth, mean = file["holes"], file["truth"], file[f"mean{count}"]
        deviation, picture = file[f"deviation{count}"], file["picture"]
    inside = np.broadcast_to(holes[:, None], truth.shape)
    spread = np.broadcast_to(deviation[:, None], truth.shape)
    numbers = np.broadcast_to(picture[:, None, None, None], truth.shape)
    return Drawn(np.abs(mean - truth)[inside] / 2, spread[inside], numbers[inside])


def by_picture(found: Drawn, inside: np.ndarray) -> np.ndarray:
    """The share of the values of each picture that lie inside."""
    return np.bincount(found.picture, weights=inside) / np.bincount(found.picture)


def scale_of(found: Drawn, floor: float, level: float) -> float:
    """The least scale of (deviation + floor) whose intervals hold the level, with confidence.

    Other photographs are other pictures, so the pictures are drawn again with replacement, 2000
    times. In `CONFIDENCE` of these sets the intervals hold the level, as a mean over pictures.
    """
    score = found.error / (found.deviation + floor)
    scales = np.quantile(score, np.linspace(level, 0.999, 1000))
    shares = []
    for name in np.unique(found.picture):
        own = np.sort(score[found.picture == name])
        shares.append(np.searchsorted(own, scales, side="right") / len(own))
    # how often each picture is in each set
    sets = stream(0, "calibration").multinomial(len(shares), [1 / len(shares)] * len(shares), 2000)
    inside = sets @ np.stack(shares) / len(shares)
    enough = np.quantile(inside, 1 - CONFIDENCE, axis=0) >= level
    return float(scales[enough.argmax()] if enough.any() else score.max())


@dataclass(frozen=True)
class Floor:
    """What comes of a floor on the photographs of the calibration.

    Args:
        floor: in grey levels of 255.
        width: the mean half width, likewise.
        least: the least share of a picture's values that lie inside.
        spread: the standard deviation of the pictures' shares.
    """

    floor: float
    width: float
    least: float
    spread: float


def by_floor(found: Drawn) -> list[Floor]:
    """What comes of each of the floors."""
    tried = []
    for levels in FLOORS:
        floor = levels / 255
        width = scale_of(found, floor, LEVEL) * (found.deviation + floor)
        shares = by_picture(found, found.error <= width)
        half_width = 255 * float(width.mean())
        tried.append(Floor(levels, half_width, float(shares.min()), float(shares.std())))
    return tried


def floor_of(found: Drawn) -> float:
    """The floor with which the shares of the pictures differ least, for images in [0, 1]."""
    return min(by_floor(found), key=lambda tried: tried.spread).floor / 255


def floors_table(drawn_in: Path) -> str:
    """The floor with the narrowest intervals, and the one that is taken, for each case."""
    lines = []
    for case in CASES:
        tried = by_floor(drawn(drawn_in, case, SAMPLES))
        narrowest = min(tried, key=lambda one: one.width)
        taken = min(tried, key=lambda one: one.spread)
        line = [NAMES[case.name]]
        for one in (narrowest, taken):
            line += [f"{one.floor:g}", f"{one.width:.1f}", f"{100 * one.least:.0f}"]
        lines.append(line)
    heads = ["task", "narrowest: floor", "half width", "least of a picture, %"]
    return table([*heads, "taken: floor", "half width", "least of a picture, %"], lines)


def families_of(case: Case) -> tuple[str, ...]:
    """The first family of each measurement that the case is made of."""
    if case.task == "inpaint":
        return ("inpaint-10-20", "inpaint-20-30", "inpaint-scratches")
    if case.task == "deblur":
        names = [resolve("deblur", kernel=kernel).presets[0] for kernel in KERNELS]
        return tuple(dict.fromkeys(names))
    return (resolve(case.task, scale=case.scale).presets[0],)


def calibrate(drawn_in: Annotated[Path, tyro.conf.arg(name="drawn")], write: bool = True) -> None:
    """Find scale and floor of every case, and write them beside the embedded model's weights.

    Args:
        drawn_in: the folder that `draw` wrote, of photographs for calibration.
        write: replace the model's calibration.toml.
    """
    tuned = hrdis.presets.embedded()
    rows, used = [], 0
    for case in CASES:
        if not (drawn_in / f"{case.name}.npz").exists():
            continue
        floor = floor_of(drawn(drawn_in, case, SAMPLES))
        scale = {}
        for count in COUNTS:
            found = drawn(drawn_in, case, count)
            scale[count] = round(scale_of(found, floor, LEVEL), 3)
            used = len(np.unique(found.picture))
        kernel = KERNELS[0] if case.task == "deblur" else None
        task = resolve(case.task, scale=case.scale, kernel=kernel)
        settings = chosen(task, "auto", case.noise / 255, "normal", SAMPLES, tuned).settings
        noise = round(case.noise / 255, 6)
        rows.append(
            Calibrated(
                families_of(case), settings.name, scale, round(floor, 6), noise,
                settings_of(settings),
            )
        )  # fmt: skip
        print(case.name, settings.name, scale, f"floor {255 * floor:g} levels")
    calibration = Calibration(
        "default", hrdis.checkpoints.weights_sha256("default"), LEVEL,
        "python studies/uncertainty.py calibrate", time.strftime("%Y-%m-%d"),
        f"pieces of {used} photographs that the model was trained on", tuple(rows),
    )  # fmt: skip
    if write:
        write_calibration(embedded_folder() / CALIBRATION_FILE, calibration)


# ---- report -------------------------------------------------------------------------------------

PAGE, CSV = DOCS / "measurements" / "uncertainty.md", DOCS / "data" / "uncertainty.csv"
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
#: Half width of an interval in deviations, if samples were exact and errors Gaussian.
GAUSSIAN = {0.5: 0.674, 0.6: 0.842, 0.7: 1.036, 0.8: 1.282, 0.9: 1.645, 0.95: 1.960}
NAMES = {
    "denoise-10": "noise of 10", "denoise-25": "noise of 25",
    "inpaint": "holes", "sr2": "enlarged 2 times", "sr4": "enlarged 4 times",
    "deblur": "blurs, noise of 2.55",
}  # fmt: skip
#: Folders of `draw` by what they hold, and its words.
PLACES = {"val": "anywhere", "middle": "middle"}
COLUMNS = (
    "case", "place", "samples", "level", "pictures", "inside", "low", "high", "least", "most",
    "half_width", "error", "gaussian",
)  # fmt: skip


def spread_of_mean(shares: np.ndarray) -> tuple[float, float]:
    """90 % of the means of pictures that are drawn again with replacement lie between these."""
    places = stream(0, "resampled pictures").integers(len(shares), size=(2000, len(shares)))
    low, high = np.quantile(shares[places].mean(1), (0.05, 0.95))
    return float(low), float(high)


def coverage(there: Drawn, scale: float, floor: float, gaussian: float) -> list[float]:
    """What lies inside: of all values, the range of resampled means, the least and the most of a
    picture, the half width and the mean error in grey levels, and the share inside ``gaussian``
    deviations.
    """
    width = scale * (there.deviation + floor)
    shares = by_picture(there, there.error <= width)
    low, high = spread_of_mean(shares)
    return [
        (there.error <= width).mean(), low, high, shares.min(), shares.max(),
        255 * width.mean(), 255 * there.error.mean(),
        (there.error <= gaussian * there.deviation).mean(),
    ]  # fmt: skip


def report(drawn_in: Annotated[Path, tyro.conf.arg(name="drawn")], write: bool = True) -> None:
    """Say how often the truth lies inside, on photographs that took no part.

    Args:
        drawn_in: the folder with what `draw` wrote: of photographs for calibration in its folder
            train, of others at random places in val and in the middle of each in middle.
        write: rewrite the page, its figures and its plot.
    """
    rows: list[dict[str, str]] = []
    for case in CASES:
        train = {count: drawn(drawn_in / "train", case, count) for count in COUNTS}
        floor = floor_of(train[SAMPLES])
        for count in COUNTS:
            for level in LEVELS if count == SAMPLES else (LEVEL,):
                scale = scale_of(train[count], floor, level)
                for folder, place in PLACES.items():
                    there = drawn(drawn_in / folder, case, count)
                    numbers = coverage(there, scale, floor, GAUSSIAN[level])
                    found = [case.name, place, str(count), f"{level:g}"]
                    found += [str(len(np.unique(there.picture)))]
                    found += [f"{number:.4f}" for number in numbers]
                    rows.append(dict(zip(COLUMNS, found, strict=True)))
    shown = []
    for row in rows:
        if float(row["level"]) == LEVEL and int(row["samples"]) == SAMPLES:
            names = ("inside", "low", "high", "least", "most")
            percent = {name: f"{100 * float(row[name]):.1f}" for name in names}
            shown.append([
                NAMES[row["case"]], row["place"], percent["inside"],
                f"{percent['low']} to {percent['high']}",
                f"{percent['least']} to {percent['most']}", f"{float(row['half_width']):.1f}",
                f"{float(row['error']):.1f}", f"{100 * float(row['gaussian']):.1f}",
            ])  # fmt: skip
    head = [
        "task", "place", "inside, %", "90 % of resampled sets", "least and most of a picture",
        "half width", "mean error", "inside 1.645 deviations, %",
    ]  # fmt: skip
    text = table(head, shown)
    print(text)
    if write:
        with CSV.open("w", newline="") as file:
            out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            out.writeheader()
            out.writerows(rows)
        rewrite(PAGE, "coverage", text)
        rewrite(PAGE, "floors", floors_table(drawn_in / "train"))
        draw_reliability(rows)


def draw_reliability(rows: list[dict[str, str]]) -> None:
    """Plot what lay inside over what was said, with and without calibration."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", sharey=True)
    titles = ("calibrated on other photographs", "deviations alone, as if Gaussian")
    for place, column, title in zip(axes, ("inside", "gaussian"), titles, strict=True):
        place.plot([45, 100], [45, 100], color="#999", lw=1)
        for case in CASES:
            said, found = [], []
            for row in rows:
                anywhere = row["place"] == "anywhere" and int(row["samples"]) == SAMPLES
                if row["case"] == case.name and anywhere:
                    said.append(100 * float(row["level"]))
                    found.append(100 * float(row[column]))
            if said:
                place.plot(said, found, "o-", ms=4, label=NAMES[case.name])
        place.set_title(title, fontsize=10)
        place.set_xlabel("colour values that should lie inside, %")
        place.grid(alpha=0.3)
    axes[0].set_ylabel("colour values that lie inside, %")
    axes[0].legend(fontsize=8)
    figure.savefig(DOCS / "pictures" / "reliability.png", dpi=100)
    plt.close(figure)


COMMANDS: dict[str, Callable[..., None]] = {
    "draw": draw,
    "calibrate": calibrate,
    "report": report,
}

if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict(COMMANDS, description=__doc__)
