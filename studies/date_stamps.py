"""How well `hrdis fix` finds the date that a film camera has printed into a photograph.

    python studies/date_stamps.py --photos TRAIN --count 178 --rows train.csv
    python studies/date_stamps.py --photos PHOTOS --seed 1 --fill --rows docs/data/fix-stamps.csv
    python studies/fix.py --photos PHOTOS --rows docs/data/fix.csv --page

Dates are drawn by a seeded script over photographs of several sizes: in several fonts, colours and
corners, with a glow or a dark outline, blurred, and saved as JPEG. Every photograph without a date,
as it is and saved again, is a control. Counted are dates found, false claims, how much of the date
the mask covers, and what filling gains. The last line writes docs/measurements/fix.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
import tyro
from fix import coded, keep, psnr, read, stored
from PIL import Image, ImageDraw, ImageFont
from skimage.metrics import structural_similarity
from torch import Tensor

import hrdis
from hrdis.diagnosis import find_stamp
from hrdis.rng import stream

SHORT_SIDES = (320, 480, 720, 1200)
QUALITIES = (75, 82, 88, 95)
FILLED_AT = 320  # pixels of the shorter side at which dates are filled
DATES = (
    "'98 12 31", "98  7 24", "12 31 '98", "31. 8.97", "'04  5 16", "16 10 '03", "2003/08/17",
    "00 10 22", " 6 14 '99", "17.04.2002", "'95 11 11",
)  # fmt: skip
COLOURS = {
    "orange": (255, 125, 35), "red": (250, 65, 40), "yellow": (255, 205, 60),
    "amber": (255, 160, 45),
}  # fmt: skip
LOOKS = ("plain", "glow", "outline", "exposed")
CORNERS = ("lower right", "lower right", "lower right", "lower left", "upper right", "upper left")
#: Segments of a digit: top, upper left, upper right, middle, lower left, lower right, bottom.
SEGMENTS = {
    "0": "1110111", "1": "0010010", "2": "1011101", "3": "1011011", "4": "0111010",
    "5": "1101011", "6": "1101111", "7": "1010010", "8": "1111111", "9": "1111011",
}  # fmt: skip
#: Ends of the segments in a cell of width 1 and height 2.
ENDS = (
    (0, 0, 1, 0), (0, 0, 0, 1), (1, 0, 1, 1), (0, 1, 1, 1), (0, 1, 0, 2), (1, 1, 1, 2),
    (0, 2, 1, 2),
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What is measured, on which photographs."""

    photos: Path
    """Folder of photographs."""
    count: int = 16
    """How many of them, evenly spread over their names."""
    seed: int = 0
    """Of the dates; limits were chosen with 0."""
    fill: bool = False
    """Fill what is found at the smallest size with `hrdis.fix(..., only=["stamp"])`, too."""
    rows: Path | None = None
    """A CSV file for the rows, one after the other; what is there already is not measured again."""


# ---- drawing ------------------------------------------------------------------------------------


def written(text: str, height: int, font: str) -> np.ndarray:
    """Return a text as a share of ink (h, w) from 0 to 1, its digits ``height`` pixels high.

    Args:
        text: digits, blanks and signs.
        height: of a digit in pixels.
        font: "plain" or "DejaVu ..." for a font of outlines; "segments" or "dots" for displays.
    """
    large = 4 * height  # drawn four times as large, and averaged
    if font in ("segments", "dots"):
        drawn = display(text, large, dots=font == "dots")
    else:
        drawn = typeset(text, large, font)
    drawn = np.pad(drawn, 4)
    drawn = np.pad(drawn, ((0, -drawn.shape[0] % 4), (0, -drawn.shape[1] % 4)))
    h, w = drawn.shape
    share: np.ndarray = drawn.reshape(h // 4, 4, w // 4, 4).mean((1, 3))
    return share


def typeset(text: str, height: int, font: str) -> np.ndarray:
    """Draw a text with Pillow's font or one of matplotlib's, its digits ``height`` pixels high."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"

    def of_size(size: float) -> Any:
        if font == "plain":
            return ImageFont.load_default(size)
        return ImageFont.truetype(str(folder / f"{font.replace(' ', '')}.ttf"), size)

    box = of_size(100).getbbox("8")
    face = of_size(100 * height / (box[3] - box[1]))
    left, top, right, bottom = face.getbbox(text)
    image = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=face)
    return np.asarray(image) / 255


def display(text: str, height: int, *, dots: bool) -> np.ndarray:
    """Draw a text as seven segments a digit, or as dots of a 5 x 7 matrix."""
    cell, gap = round(0.5 * height), round(0.28 * height)
    image = Image.new("L", (len(text) * (cell + gap), height + 2))
    pen = ImageDraw.Draw(image)
    thick = max(2, round(0.13 * height))
    for k, sign in enumerate(text):
        left = k * (cell + gap)
        if dots and sign.isdigit():
            # a small letter of Pillow's font, seven rows high, is the matrix
            rows = matrix(sign)
            pitch = height / 7
            for row, column in zip(*np.nonzero(rows), strict=True):
                x, y = left + (column + 0.5) * cell / 5, (row + 0.5) * pitch
                r = 0.42 * pitch
                pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
        elif sign in SEGMENTS:
            half = thick / 2
            for on, (x0, y0, x1, y1) in zip(SEGMENTS[sign], ENDS, strict=True):
                if on == "0":
                    continue
                wide, high = cell - thick, (height - thick) / 2
                trim = 0.03 * height + half  # segments do not touch
                ends = [
                    left + half + x0 * wide + (trim if y0 == y1 else 0),
                    half + y0 * high + (trim if x0 == x1 else 0),
                    left + half + x1 * wide - (trim if y0 == y1 else 0),
                    half + y1 * high - (trim if x0 == x1 else 0),
                ]
                if y0 == y1:
                    box = (
                        ends[0] - half * 0.7,
                        ends[1] - half,
                        ends[2] + half * 0.7,
                        ends[3] + half,
                    )
                else:
                    box = (
                        ends[0] - half,
                        ends[1] - half * 0.7,
                        ends[2] + half,
                        ends[3] + half * 0.7,
                    )
                pen.rectangle(box, fill=255)
        elif sign == "'":
            pen.rectangle((left + cell - thick, 0, left + cell, 2 * thick), fill=255)
        elif sign == ".":
            pen.rectangle((left, height - thick, left + thick, height), fill=255)
        elif sign == "/":
            pen.line((left, height, left + cell, 0), fill=255, width=thick)
    return np.asarray(image) / 255


#: The rows of digits in a matrix of 5 x 7 dots, five bits each.
MATRIX = {
    "0": (14, 17, 17, 17, 17, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31), "3": (31, 2, 4, 2, 1, 17, 14), "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14), "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8), "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
}  # fmt: skip


def matrix(digit: str) -> np.ndarray:
    """Return which of 7 x 5 dots make a digit."""
    rows = np.array(MATRIX[digit])
    return (rows[:, None] >> np.arange(4, -1, -1)) & 1


FONTS = ("plain", "DejaVu Sans", "DejaVu Sans-Bold", "DejaVu Sans Mono", "segments", "dots")


def softened(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Blur a plane of shares by a Gaussian."""
    if sigma <= 0:
        return plane
    reach = int(np.ceil(3 * sigma))
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    for axis in (0, 1):
        plane = np.apply_along_axis(np.convolve, axis, plane, taps / taps.sum(), "same")
    return plane


@dataclass(frozen=True)
class Stamped:
    """A photograph with a date.

    Args:
        pixels: (3, h, w) from 0 to 255.
        there: (h, w) bool, where it was changed by more than 2 grey levels.
        ink: (h, w) bool, the strokes themselves.
        facts: how it was drawn.
    """

    pixels: np.ndarray
    there: np.ndarray
    ink: np.ndarray
    facts: dict[str, Any]


def stamped(pixels: np.ndarray, seed: int, number: int = 0) -> Stamped:
    """Draw a date into a corner of a picture.

    Args:
        pixels: (3, h, w) from 0 to 255.
        seed: of the look.
        number: of the date on this photograph.
    """
    rng = stream(seed, "date stamp", number)

    def one_of(values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    font, text, look, corner = one_of(FONTS), one_of(DATES), one_of(LOOKS), one_of(CORNERS)
    name = one_of(list(COLOURS))
    colour = np.clip(np.array(COLOURS[name]) + rng.uniform(-12, 12, 3), 0, 255)
    turned = rng.random() < 0.3
    picture = pixels.transpose(0, 2, 1)[:, :, ::-1] if turned else pixels
    h, w = picture.shape[1:]
    height = max(9, round(min(h, w) * rng.uniform(0.025, 0.045)))
    share = written(text, height, font)
    reach = height // 2
    share = np.pad(share, reach)
    soft = rng.uniform(0.0, 0.06) * height
    share = softened(share, soft)
    halo, edge = softened(share, 0.16 * height), softened(share, 0.08 * height)
    # the glyphs begin `reach` pixels inside their plane
    inset = np.round(rng.uniform(0.03, 0.075, 2) * min(h, w)).astype(int)
    top = h - share.shape[0] + reach - inset[0] if "lower" in corner else inset[0] - reach
    left = w - share.shape[1] + reach - inset[1] if "right" in corner else inset[1] - reach
    whole, around, rim = np.zeros((3, h, w))
    rows = slice(max(top, 0), min(top + share.shape[0], h))
    columns = slice(max(left, 0), min(left + share.shape[1], w))
    cut = (
        slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    )  # fmt: skip
    whole[rows, columns], around[rows, columns], rim[rows, columns] = (
        share[cut],
        halo[cut],
        edge[cut],
    )
    ground, ink = picture, colour[:, None, None]
    if look == "glow":
        ground = 255 - (255 - ground) * (1 - 0.6 * around * ink / 255)
    if look == "outline":
        dark = np.clip(1.6 * rim, 0, 1)
        ground = ground * (1 - 0.75 * dark)
    if look == "exposed":  # the film saw both the scene and the date
        done = 255 - (255 - ground) * (1 - whole * ink / 255)
        done = done * (1 - 0.35 * whole) + 0.35 * whole * ink
    else:
        strength = rng.uniform(0.85, 1.0)
        done = ground * (1 - strength * whole) + strength * whole * ink
    there, strokes = np.abs(done - picture).max(0) > 2, whole > 0.5
    if turned:
        done, there, strokes = done[:, :, ::-1], there[:, ::-1], strokes[:, ::-1]
        done, there, strokes = done.transpose(0, 2, 1), there.T, strokes.T
    facts = {
        "font": font, "date": text.strip(), "look": look, "corner": corner, "colour": name,
        "turned": turned, "digit": height,
    }  # fmt: skip
    return Stamped(done.copy(), there.copy(), strokes.copy(), facts)


def sized(path: Path, short: int) -> np.ndarray:
    """Return a photograph whose shorter side has so many pixels, (3, h, w) from 0 to 255."""
    with Image.open(path) as image:
        factor = short / min(image.size)
        size = round(image.width * factor), round(image.height * factor)
        whole = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return np.asarray(whole).astype(np.float64).transpose(2, 0, 1)


# ---- measuring ----------------------------------------------------------------------------------


def controls(path: Path, options: Options) -> None:
    """Look for a date on a photograph without one: at all sizes, saved again, and in crops of it.

    Crops put other things into the corners.
    """
    for short in SHORT_SIDES:
        whole = sized(path, short)
        pictures = {"as it is": whole, "JPEG 75": coded(whole, 75), "JPEG 90": coded(whole, 90)}
        if short == SHORT_SIDES[2]:
            h, w = whole.shape[1:]
            for number, (top, left) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
                part = whole[:, top * h // 2 :, left * w // 2 :][:, : h // 2, : w // 2]
                pictures[f"quarter {number}"] = part.copy()
        for name, pixels in pictures.items():
            found = find_stamp(stored(pixels))
            row = {column: "" for column in COLUMNS}
            row |= {"photograph": path.stem, "what": f"control, {name}", "short": short}
            keep(options.rows, row | {"found": found.found})


def dates(path: Path, k: int, options: Options, prior: Any) -> None:
    """Look for dates that were drawn over a photograph, one of every size."""
    for number, short in enumerate(SHORT_SIDES):
        truth = sized(path, short)
        drawn = stamped(truth, 1000 * options.seed + k, short)
        quality = QUALITIES[(k + number) % len(QUALITIES)]
        y = stored(coded(drawn.pixels, quality))
        found = find_stamp(y)
        row = {column: "" for column in COLUMNS}
        row |= {"photograph": path.stem, "what": "date", "short": short, "quality": quality}
        row |= {**drawn.facts, "found": found.found}
        if found.mask is not None:
            mask = found.mask.numpy()
            row["strokes"] = round(float(mask[drawn.ink].mean()), 4)
            row["recall"] = round(float(mask[drawn.there].mean()), 4)
            row["precision"] = round(float(drawn.there[mask].mean()), 4)
        if options.fill and short == FILLED_AT and found.found == "yes":
            row |= filled(prior, y, stored(coded(truth, quality)))
        keep(options.rows, row)
        print(row, flush=True)


def filled(prior: Any, y: Tensor, truth: Tensor) -> dict[str, Any]:
    """Return the PSNR and SSIM of the mask and of the whole before and after it is filled.

    Args:
        prior: the model.
        y: the picture with a date.
        truth: the same, saved in the same way without the date.
    """
    fixed = hrdis.fix(y, only=["stamp"], prior=prior)
    assert fixed.mask is not None
    scores = {}
    for name, x in (("before", y), ("after", fixed.x)):
        one, other = ((picture[0].numpy() + 1) / 2 for picture in (x, truth))
        _, similar = structural_similarity(one, other, channel_axis=0, data_range=1.0, full=True)
        error = ((one - other) ** 2)[:, fixed.mask.numpy()].mean()
        scores[f"psnr_mask_{name}"] = round(10 * np.log10(1 / error), 2)
        scores[f"ssim_mask_{name}"] = round(float(similar[:, fixed.mask.numpy()].mean()), 4)
        scores[f"psnr_{name}"] = round(psnr(x, truth), 2)
        scores[f"ssim_{name}"] = round(float(similar.mean()), 4)
    outside = ~fixed.mask
    scores["outside"] = bool((fixed.x[..., outside] == y[..., outside]).all())
    return scores


COLUMNS = (
    "photograph", "what", "short", "quality", "font", "date", "look", "corner", "colour", "turned",
    "digit", "found", "strokes", "recall", "precision", "psnr_mask_before", "psnr_mask_after",
    "ssim_mask_before", "ssim_mask_after", "psnr_before", "psnr_after", "ssim_before",
    "ssim_after", "outside",
)  # fmt: skip


def main() -> None:
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    paths = sorted(options.photos.glob("*.jpg"))
    prior = hrdis.load_prior("default") if options.fill else None
    there = {row["photograph"] for row in read(options.rows)}
    for k in np.linspace(0, len(paths) - 1, min(options.count, len(paths))).astype(int):
        # the last photograph of a run that was cut short has fewer rows, and is not gone back to
        if paths[k].stem not in there:
            controls(paths[k], options)
            dates(paths[k], int(k), options, prior)


if __name__ == "__main__":
    main()
