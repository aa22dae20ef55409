"""The date that a film camera prints into a corner: a mask of its strokes.

Such a date is a row of digits of one height, one warm colour and one width of stroke, evenly
spaced, with nothing of that colour around it. Lamps, lit windows, flowers and the sun have the
colour, but they do not look like digits. White dates are not looked for: letters and lamps abound.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Finding, components, grey_levels, luma, widened

LEAST = 160  # pixels of the shorter side; the digits of smaller pictures are blots
LOOKED_AT = 400  # pixels of the shorter side at which digits are looked for, at least
#: Where a date may be: shares of the sides along it and across it, from a corner.
WIDE, DEEP = 0.42, 0.16
THIN = 0.025  # of the shorter side; strokes are thinner
#: Levels by which strokes stand out from what is thicker. One is tried after another, as a glow
#: joins digits below, and a busy ground takes parts of them away above.
STEPS = (25.0, 45.0, 80.0)
JOINS = (1, 3)  # pixels; parts of a digit, segments or dots, that lie nearer belong together
MOST_INK = 0.3  # share of a corner that stands out; a date covers less
#: The colour of a digit: hue in degrees, from red to yellow, red less blue, and red, in levels.
HUE, COLOURED, BRIGHT = (-35.0, 58.0), 40.0, 105.0
FAINT = 10.0  # red less blue at the rim of a stroke, which a JPEG mixes with a blue ground
HEIGHT, LEAST_HEIGHT = (0.013, 0.06), 6  # of a digit, as shares of the shorter side; in pixels
#: In heights of a digit: by how much the ends of neighbours differ in height, the gap between them,
#: and the widths of digits other than 1, of which some may touch.
LEVEL, GAP, WIDTH, TOUCHING = 0.22, 3.0, (0.45, 1.15), 3.4
DIGITS = 4  # least
STROKE, STROKES = (0.06, 0.24), 0.3  # mean width in heights, and its relative standard deviation
SPREAD = 40.0  # standard deviation of the digits' colours in levels
AROUND, BETWEEN = 0.2, 0.5  # ink above and below the row, and between digits, to that in digits
PITCH = 0.66  # heights from one digit to the next, at least (median)
#: Correlation of the digits with those of `DOTS` on average. That of lit windows in training
#: photographs is at most 0.56.
LIKE = 0.66
REACH = 0.35  # heights of a digit to which its glow or outline reaches at most
#: Levels by which a ring around the strokes differs from the ground where they end, and the share
#: of the strokes' own difference.
RIM, SHARE = 2.5, 0.05

#: Digits but for the 1 as dots, seven rows of five bits each: as printed, and of seven segments.
DOTS = (
    (14, 17, 17, 17, 17, 17, 14), (14, 17, 1, 2, 4, 8, 31), (31, 2, 4, 2, 1, 17, 14),
    (2, 6, 10, 18, 31, 2, 2), (31, 16, 30, 1, 1, 17, 14), (6, 8, 16, 30, 17, 17, 14),
    (31, 1, 2, 4, 8, 8, 8), (14, 17, 17, 14, 17, 17, 14), (14, 17, 17, 15, 1, 2, 12),
    (31, 17, 17, 17, 17, 17, 31), (31, 1, 1, 31, 16, 16, 31), (31, 1, 1, 31, 1, 1, 31),
    (17, 17, 17, 31, 1, 1, 1), (31, 16, 16, 31, 1, 1, 31), (31, 16, 16, 31, 17, 17, 31),
    (31, 1, 1, 1, 1, 1, 1), (31, 17, 17, 31, 17, 17, 31), (31, 17, 17, 31, 1, 1, 31),
    (12, 20, 4, 4, 4, 4, 31),
)  # fmt: skip


@dataclass(frozen=True)
class Stamp(Finding):
    """A printed date; value, low and high are shares of the picture in per cent.

    Args:
        mask: (h, w) bool, True where the picture should be filled; None without a proposal.
        corner: where it is, as "lower right"; "" without one.
        digits: how many were seen, all that touch counted by their width.
    """

    mask: Tensor | None = field(default=None, repr=False, compare=False)
    corner: str = ""
    digits: int = 0


@dataclass(frozen=True)
class Parts:
    """Connected parts of a corner, one entry each, in pixels; the ends are not included.

    Args:
        top, bottom, left, right: of their boxes.
        area: how many pixels they have.
        stroke: their width of stroke, 2 area / length of the outline.
        colour: (n, 3), means in grey levels.
    """

    top: np.ndarray
    bottom: np.ndarray
    left: np.ndarray
    right: np.ndarray
    area: np.ndarray
    stroke: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True)
class DigitRow:
    """Digits in a row.

    Args:
        top, bottom, left, right: of their box, in pixels; the ends are not included.
        digits: how many.
        ink: (h, w) bool, the strokes of the corner in which they are.
    """

    top: int
    bottom: int
    left: int
    right: int
    digits: int
    ink: np.ndarray


def find_stamp(x: Tensor, sigma: float = 0.0) -> Stamp:
    """Return a mask of a printed date.

    Args:
        x: (1, c, h, w) in [-1, 1].
        sigma: standard deviation of its noise in grey levels.

    Cost:
        parts of 8 corners of a picture of about 600 x 400 pixels: half a second.
    """
    levels = grey_levels(x)
    if len(levels) == 1:
        return Stamp("no", 0, 0, 0, "A picture without colours has no coloured date.")
    short = min(levels.shape[1:])
    if short < LEAST:
        return Stamp("unsure", 0, 0, 100, "The picture is too small to tell digits from detail.")
    factor = max(1, short // LOOKED_AT)
    h, w = (n // factor * factor for n in levels.shape[1:])
    small = levels[:, :h, :w].reshape(3, h // factor, factor, w // factor, factor).mean((2, 4))
    best: DigitRow | None = None
    turned, name, place = False, "", (0, 0)
    for turn in (False, True):  # a date along the other side, too
        picture = np.rot90(small, axes=(1, 2)) if turn else small
        h, w = picture.shape[1:]
        deep, wide = round(DEEP * h), round(WIDE * w)
        for lower in (True, False):
            for right in (True, False):
                top, left = (h - deep) * lower, (w - wide) * right
                corner = picture[:, top : top + deep, left : left + wide].copy()
                row = find_row(corner, min(h, w), sigma / factor)
                if row is not None and (best is None or row.digits > best.digits):
                    # turned by a quarter, the right end of a side becomes the lower one
                    down, across = (right, not lower) if turn else (lower, right)
                    name = f"{'lower' if down else 'upper'} {'right' if across else 'left'}"
                    best, turned, place = row, turn, (top, left)
    if best is None:
        return Stamp("no", 0, 0, 0, "No date is printed into a corner.")
    picture = np.rot90(levels, axes=(1, 2)) if turned else levels
    strokes = strokes_of(picture, best, place, factor)
    mask = torch.from_numpy((np.rot90(strokes, -1) if turned else strokes).copy())
    share = 100 * float(mask.double().mean())
    why = f"A date stamp of {best.digits} digits at the {name}, {share:.2f} % of the picture."
    return Stamp("yes", share, share / 2, share * 2, why, mask, name, best.digits)


def find_row(corner: np.ndarray, short: int, sigma: float) -> DigitRow | None:
    """Return the row of digits in a corner, None without one.

    Args:
        corner: (3, h, w) in grey levels.
        short: the picture's shorter side.
        sigma: standard deviation of the noise in grey levels.
    """
    red, _, blue = corner
    warm = (red - blue > COLOURED) & (red > BRIGHT)
    if warm.sum() < DIGITS * LEAST_HEIGHT:
        return None
    near = widened(warm, 5) & (red - blue > FAINT)
    light = luma(corner)
    best: DigitRow | None = None
    # JPEG keeps colours at half the size: the brightness tells digits apart that the colours join
    for plane in (red - blue, red, light, -light):
        above = above_ground(plane, 2 * round(THIN * short / 2) + 1)
        for step in STEPS:
            ink = near & (above > max(step, 5 * sigma))
            if not 0 < ink.mean() < MOST_INK:
                continue
            for join in JOINS:
                row = longest_row(corner, ink, above, short, join)
                if row is not None and (best is None or row.digits > best.digits):
                    best = row
    return best


def above_ground(plane: np.ndarray, window: int) -> np.ndarray:
    """Return by how much a plane exceeds what is thicker than a window of odd side."""
    reach = window // 2
    opened = F.pad(torch.from_numpy(plane)[None, None], (2 * reach,) * 4, mode="replicate")
    for sign in (-1, 1):  # the least of each window, then the most
        for side in ((window, 1), (1, window)):
            opened = sign * F.max_pool2d(sign * opened, side, 1)
    above: np.ndarray = plane - opened[0, 0].numpy()
    return above


def longest_row(
    corner: np.ndarray, ink: np.ndarray, above: np.ndarray, short: int, join: int
) -> DigitRow | None:
    """Return the longest row of digits among the connected parts of some pixels, None without one.

    Args:
        corner: (3, h, w) in grey levels.
        ink: (h, w) bool.
        above: (h, w), by how much they stand out.
        short: the picture's shorter side.
        join: side of the window within which pixels belong together.
    """
    parts = parts_of(corner, ink, above, join)
    height, width = parts.bottom - parts.top, parts.right - parts.left
    red, green, blue = parts.colour.T
    hue = 60 * (green - blue) / np.maximum(red - blue, 1)
    fits = (hue > HUE[0]) & (hue < HUE[1]) & (red - blue > COLOURED) & (red > BRIGHT)
    fits &= (height >= max(HEIGHT[0] * short, LEAST_HEIGHT)) & (height <= HEIGHT[1] * short)
    fits &= width <= TOUCHING * height
    left = [int(k) for k in np.flatnonzero(fits)]
    left.sort(key=lambda k: int(parts.left[k]))
    best: DigitRow | None = None
    while len(left) >= DIGITS:
        row = [left.pop(0)]
        for k in list(left):
            last = row[-1]
            h = (height[k] + height[last]) / 2
            apart = parts.left[k] - parts.right[last]
            up, down = parts.top[k] - parts.top[last], parts.bottom[k] - parts.bottom[last]
            if -1 <= apart < GAP * h and max(abs(up), abs(down)) <= max(1.6, LEVEL * h):
                row.append(k)
                left.remove(k)
        chosen = np.array(row)
        if len(row) < DIGITS or not like_digits(parts, chosen, ink, above):
            continue
        digits = int(np.maximum(1, np.round(width[row] / (0.8 * height[row]))).sum())
        if best is None or digits > best.digits:
            best = DigitRow(
                int(parts.top[row].min()), int(parts.bottom[row].max()),
                int(parts.left[row].min()), int(parts.right[row].max()), digits, ink,
            )  # fmt: skip
    return best


def parts_of(corner: np.ndarray, ink: np.ndarray, above: np.ndarray, join: int) -> Parts:
    """Return the connected parts of some pixels; the arguments are those of `longest_row`."""
    labels, count = components(widened(ink, join))
    rows, columns = np.nonzero(ink)
    own = labels[rows, columns]
    ends = []
    for places in (rows, columns):
        first, last = np.full(count, max(ink.shape)), np.zeros(count, dtype=int)
        np.minimum.at(first, own, places)
        np.maximum.at(last, own, places + 1)
        ends += [first, last]
    area = np.bincount(own, minlength=count)
    framed = np.pad(ink, 1)
    sides = np.zeros(len(rows))  # of each pixel's four, those with no ink beyond
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        sides += ~framed[rows + down, columns + right]
    stroke = 2 * area / np.bincount(own, sides, minlength=count)
    weight = above[rows, columns]
    total = np.bincount(own, weight, minlength=count)
    colour = np.zeros((count, 3))
    for c, plane in enumerate(corner):
        colour[:, c] = np.bincount(own, weight * plane[rows, columns], minlength=count) / total
    return Parts(ends[0], ends[1], ends[2], ends[3], area, stroke, colour)


def like_digits(parts: Parts, row: np.ndarray, ink: np.ndarray, above: np.ndarray) -> bool:
    """Return True if the parts of a row look like digits, and nothing is around them.

    Args:
        parts: connected parts.
        row: numbers of those in a row, from left to right.
        ink, above: as for `longest_row`.
    """
    top, bottom = parts.top[row], parts.bottom[row]
    left, right = parts.left[row], parts.right[row]
    h = float(np.median(bottom - top))
    width, stroke = (right - left) / h, parts.stroke[row] / h
    wide = (width >= WIDTH[0]) & (width <= WIDTH[1])
    if wide.sum() < 2 or parts.colour[row].std(0).max() > SPREAD:
        return False
    if not STROKE[0] < stroke.mean() < STROKE[1] or stroke.std() > STROKES * stroke.mean():
        return False
    steps = np.diff((left + right) / 2) / h
    if np.median(steps) < PITCH:
        return False
    sides = slice(max(left.min() - round(1.2 * h), 0), right.max() + round(1.2 * h))
    inked = []
    for reach in (round(0.5 * h), round(0.15 * h)):
        inked.append(int(ink[max(top.min() - reach, 0) : bottom.max() + reach, sides].sum()))
    total = int(parts.area[row].sum())
    if inked[0] - inked[1] > AROUND * total or inked[1] > (1 + BETWEEN) * total:
        return False
    seen = []
    for k in row[wide]:
        box = slice(parts.top[k], parts.bottom[k]), slice(parts.left[k], parts.right[k])
        seen.append(of_one_size(above[box]))
    known = []
    for rows in DOTS:
        dots = np.array(rows)[:, None] >> np.arange(4, -1, -1) & 1
        for blurs in (1, 2):  # thin strokes and thick ones
            known.append(of_one_size(dots.repeat(4, 0).repeat(4, 1), blurs))
    likeness = []
    for turned in (1, -1):  # the date may stand on its head
        likeness.append((np.stack(seen)[:, ::turned] @ np.stack(known).T).max(1).mean())
    return bool(max(likeness) > LIKE)


def of_one_size(glyph: np.ndarray, blurs: int = 1) -> np.ndarray:
    """Return a glyph as 140 numbers of mean 0 and norm 1: 14 x 10 pixels, blurred once or twice."""
    plane = torch.from_numpy(glyph.clip(0).astype(np.float64))[None, None]
    plane = F.interpolate(plane, (14, 10), mode="bilinear", antialias=True)
    for _ in range(blurs):
        plane = F.avg_pool2d(plane, 3, 1, 1)
    plane = plane.flatten() - plane.mean()
    numbers: np.ndarray = (plane / plane.norm().clamp(min=1e-9)).numpy()
    return numbers


def strokes_of(
    picture: np.ndarray, row: DigitRow, place: tuple[int, int], factor: int
) -> np.ndarray:
    """Return the strokes of a date, (h, w) bool, with their glow, outline and ringing.

    The strokes are widened until the ring around them differs from the ground no more. All
    directions are averaged, so that texture of the ground does not count.

    Args:
        picture: (3, h, w) in grey levels.
        row: the digits, in pixels of the corner.
        place: row and column of the corner.
        factor: pixels of the picture a pixel of the corner.
    """
    h, w = picture.shape[1:]
    digit = factor * (row.bottom - row.top)
    top, bottom = factor * (row.top + place[0]), factor * (row.bottom + place[0])
    left, right = factor * (row.left + place[1]), factor * (row.right + place[1])
    ink = np.zeros((h, w), dtype=bool)
    large = row.ink.repeat(factor, 0).repeat(factor, 1)
    ink[factor * place[0] :, factor * place[1] :][: large.shape[0], : large.shape[1]] = large
    window = (
        slice(max(top - 2 * digit, 0), bottom + 2 * digit),
        slice(max(left - 4 * digit, 0), right + 4 * digit),
    )
    # signs lower than digits stand beside and between them
    band = np.zeros((h, w), dtype=bool)
    low, beside = digit // 5, 5 * digit // 4
    band[max(top - low, 0) : bottom + low, max(left - beside, 0) : right + beside] = True
    band, part = band[window], picture[:, window[0], window[1]]
    strokes = ink[window] & band
    reach = max(3, round(REACH * digit))
    difference = part - ground_of(part, widened(strokes, 2 * reach + 1), digit)
    own = difference[:, strokes].mean(1)
    along = np.tensordot(own, difference, 1) / (own @ own)  # 1 in the colour of the strokes
    strokes |= (along > 0.4) & band
    far = widened(strokes, 2 * reach + 1)
    difference = part - ground_of(part, far, digit)
    left_over = difference[:, far & ~widened(strokes, 2 * reach - 1)].mean(1)
    least = max(RIM, SHARE * float(np.abs(own).max()))
    for _ in range(reach):
        wider = widened(strokes, 3)
        ring = difference[:, wider & ~strokes].mean(1) - left_over
        if np.abs(ring).max() < least:
            break
        strokes = wider
    found = np.zeros((h, w), dtype=bool)
    found[window] = strokes
    return found


def ground_of(part: np.ndarray, hidden: np.ndarray, digit: int) -> np.ndarray:
    """Return what lies behind hidden pixels: the mean of the others in a window.

    Args:
        part: (3, h, w) in grey levels.
        hidden: (h, w) bool.
        digit: height of a digit in pixels.
    """
    seen = torch.from_numpy(~hidden).double()[None]
    planes = torch.cat([torch.from_numpy(part.copy()) * seen, seen])[None]
    side = 2 * digit + 1
    for window in ((side, 1), (1, side)):
        pad = (window[1] // 2, window[0] // 2)
        planes = F.avg_pool2d(planes, window, 1, (pad[1], pad[0]), count_include_pad=False)
    ground: np.ndarray = (planes[0, :3] / planes[0, 3:].clamp(min=1e-9)).numpy()
    return ground
