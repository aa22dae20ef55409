"""Dust, specks and scratches: a mask that is proposed, and filled where it is beyond doubt.

Dust and scratches are thin, much lighter or darker than both sides, and end within a pixel or two.
All have one colour, whatever lies below. Twigs, wires, hair and highlights are thin, too, but
hardly two of their pixels have the same colour. So the colours that most small spots and thin
pixels share are looked for, with a narrow tolerance before a wide one.
What counts is how many of all thin pixels of a colour belong to specks and straight strokes. What
lies on ground of one kind, like a wire before the sky or the stars of a flag, is called unsure.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Answer, Finding, components, grey_levels, luma, widened
from .strokes import Stroke, strokes


@dataclass(frozen=True)
class Tolerance:
    """A tolerance of a colour, and from when on what is found with it is proposed and is sure.

    A share is that of all thin pixels within the tolerance.

    Args:
        near: grey levels of a channel.
        proposed: share that defects hold at least to be proposed.
        specks: their number from which on they are sure.
        of_specks: share that they hold then.
        grounds: standard deviation in grey levels of the ground from speck to speck.
        exact: how much of a scratch has exactly the colour, as `strokes` takes it.
        of_lines: share that scratches and specks hold if a scratch is sure.
    """

    near: float
    proposed: float
    specks: int
    of_specks: float
    grounds: float
    exact: float
    of_lines: float


WINDOW = 7  # pixels; a defect is thinner
STANDS_OUT = 20.0  # grey levels between a defect's colour and what surrounds it
#: Dust and scratches are nearly white or nearly black: least of the channels, most of them, and the
#: difference between the channels.
WHITE, BLACK, GREY = 190.0, 48.0, 14.0
CLIPPED = 1.5  # grey levels from black and white: highlights and shadows are cut there
FAINT = 10.0  # grey levels that the rim of a defect stands out at least
COLOURS = 2  # tried of small spots, and of all thin pixels, of each sign
#: Tolerances of a colour in grey levels of a channel. Specks drawn in one colour are found with 2,
#: those with grain and soft edges with 13. Details of the subject are more alike the wider it is.
TOLERANCES = (
    Tolerance(2.0, 0.3, 4, 0.4, 10.0, 0.45, 0.4),
    Tolerance(5.0, 0.5, 4, 0.6, 18.0, 0.6, 0.7),
    Tolerance(13.0, 0.7, 5, 0.95, 20.0, 0.8, 0.97),
)
FEW = 4  # specks from which on they are proposed
#: Share of the spots in the widest tolerance that are in a narrower one if they are sure.
ALIKE = 0.4
SMALL, SHARE_SMALL = 9, 0.016  # length of a speck: the larger of pixels and share of the short side
RIM = 3  # pixels around a speck: there the picture begins again
DEPTH = 30.0  # grey levels between a speck and the median of its surroundings
MOST_PARTS = 4000  # of one colour; more are the subject's
CELL = 6  # pixels; parts of a scratch in cells that touch belong together
COVERAGE = 5.0  # per cent of the picture, rims left out; more is the picture itself


@dataclass(frozen=True)
class Specks(Finding):
    """Specks and scratches; value, low and high are shares of the picture in per cent.

    Args:
        mask: (h, w) bool, True where the picture should be filled; None without a proposal.
        count: of defects.
    """

    mask: Tensor | None = field(default=None, repr=False, compare=False)
    count: int = 0


@dataclass
class Marks:
    """Defects of one colour.

    Args:
        answer: whether they are defects.
        pixels: (h, w) bool, of the defects.
        rim: (h, w) bool, what stands out a little.
        specks, lines: how many there are.
    """

    answer: Answer
    pixels: np.ndarray
    rim: np.ndarray
    specks: int
    lines: int


@dataclass(frozen=True)
class Side:
    """A picture in which what stands out is lighter than what is thicker than a window.

    Args:
        levels: (c, h, w) in grey levels.
        sign: 1 where defects are lighter, -1 where they are darker.
        light: (h, w), the brightness times the sign.
        above: (h, w), by how much it is above what is thicker than a window.
        sigma: standard deviation of the noise in grey levels.
    """

    levels: np.ndarray
    sign: float
    light: np.ndarray
    above: np.ndarray
    sigma: float

    @property
    def least(self) -> float:
        """Return the grey levels that a defect stands out at least."""
        return max(STANDS_OUT, 4 * self.sigma)


def find_specks(x: Tensor, sigma: float = 0.0) -> Specks:
    """Return a mask of what looks like dust and scratches.

    Args:
        x: (1, c, h, w) in [-1, 1].
        sigma: standard deviation of its noise in grey levels.

    Cost:
        the parts of at most 8 colours with 3 tolerances each: three seconds a megapixel.
    """
    levels = grey_levels(x)
    h, w = levels.shape[1:]
    if min(h, w) < 96:
        return Specks("unsure", 0, 0, 100, "The picture is too small to tell defects from detail.")
    order = ("no", "unsure", "yes")
    best: Marks | None = None
    for sign in (1.0, -1.0):
        light = sign * luma(levels)
        opened = _most(-_most(-light, WINDOW), WINDOW)
        side = Side(levels, sign, light, light - opened, sigma)
        for colour in colours(side):
            for marks in marks_of(side, colour):
                if best is None or (order.index(marks.answer), marks.pixels.sum()) > (
                    order.index(best.answer), best.pixels.sum(),
                ):  # fmt: skip
                    best = marks
    if best is None or best.answer == "no":
        return Specks("no", 0, 0, 0, "No specks or scratches stand out.")
    whole = best.pixels | (best.rim & widened(best.pixels, 5))
    grown = torch.from_numpy(widened(whole, 3))
    share = 100 * float(grown.double().mean())
    count = best.specks + best.lines
    if 100 * best.pixels.mean() > COVERAGE:
        why = f"{count} thin details of one colour stand out, too many to be defects."
        return Specks("no", 0, 0, share, why)
    what = f"{best.specks} specks and {best.lines} scratches of one colour on {share:.2f} %"
    if best.answer == "yes":
        why = f"{what} of the picture."
    else:
        why = f"{what} of the picture, or details of the subject; look at the mask first."
    return Specks(best.answer, share, share / 2, share * 2, why, grown, count)


def colours(side: Side) -> list[np.ndarray]:
    """Return the commonest colours of what stands out, each (c,) in grey levels.

    They are those of small spots, which a busy subject hides among its thin details, and those of
    all thin details. Only the lightest pixels of each count.
    """
    levels = side.levels
    extreme = levels.min(0) > WHITE if side.sign > 0 else levels.max(0) < BLACK
    grey = np.ptp(levels, axis=0) < GREY + 6 + 2 * side.sigma
    peaks = (side.light >= _most(side.light, 3)) & (side.above > side.least) & extreme & grey
    # A spot stands out from all of a square around it.
    h, w = side.light.shape
    around = np.full((h, w), np.inf)
    for half in (3, 4, 5):
        padded = F.pad(torch.from_numpy(side.light)[None, None], (half,) * 4, mode="replicate")
        across = F.max_pool2d(padded, (1, 2 * half + 1), 1)[0, 0].numpy()
        down = F.max_pool2d(padded, (2 * half + 1, 1), 1)[0, 0].numpy()
        border = np.maximum(across[:h], across[-h:])
        border = np.maximum(border, np.maximum(down[:, :w], down[:, -w:]))
        around = np.minimum(around, border)
    spots = peaks & (side.light - around > side.least)
    found: list[np.ndarray] = []
    near = TOLERANCES[0].near + 2 * side.sigma
    for where in (spots, peaks):
        values = levels[:, where].T
        for _ in range(COLOURS):
            if len(values) < 3:
                break
            cells, counts = np.unique((values / (2 * near)).astype(int), axis=0, return_counts=True)
            middle = (cells[counts.argmax()] + 0.5) * 2 * near
            for _ in range(3):  # to the middle of what is there, as the cell may cut it
                inside = np.abs(values - middle).max(1) <= near + 0.5
                if not inside.any():
                    break
                middle = np.median(values[inside], axis=0)
            values = values[np.abs(values - middle).max(1) > 3 * near]
            clipped = middle.min() <= CLIPPED or middle.max() >= 255 - CLIPPED
            known = any(np.abs(middle - other).max() <= near for other in found)
            if not clipped and not known and np.ptp(middle) < GREY:
                found.append(middle)
    return found


def marks_of(side: Side, colour: np.ndarray) -> Iterator[Marks]:
    """Return the specks and scratches of one colour, with each tolerance.

    Args:
        side: the picture.
        colour: (c,) in grey levels.
    """
    h, w = side.light.shape
    short = min(h, w)
    distance = np.abs(side.levels - colour[:, None, None]).max(0)
    ink = side.sign * float(luma(colour[:, None, None])[0, 0])
    thin = side.above > max(12.0, 3 * side.sigma)
    rim = side.above > max(FAINT, 2 * side.sigma)
    widest = 0
    for tolerance in reversed(TOLERANCES):
        near = tolerance.near + 2 * side.sigma
        own = thin & (distance <= near)
        total = int(own.sum())
        pixels = np.zeros((h, w), dtype=bool)
        specks = of_specks = 0
        grounds: list[float] = []
        for r, c in _parts(own, 1, 1):
            length = int(max(np.ptp(r), np.ptp(c))) + 1  # not numpy's: counts end in a JSON record
            if length > max(SMALL, SHARE_SMALL * short):
                continue
            top, left = max(r.min() - RIM, 0), max(c.min() - RIM, 0)
            window = (slice(top, r.max() + RIM + 1), slice(left, c.max() + RIM + 1))
            mask = np.zeros(own[window].shape, dtype=bool)
            mask[r - top, c - left] = True
            ring = widened(mask, 2 * RIM + 1) & ~widened(mask, 2 * RIM - 1)
            around = ink - side.light[window][ring]
            if len(around) < 6 or np.median(around) < max(DEPTH, 6 * side.sigma):
                continue
            if (around > side.least).mean() < 0.95:
                continue
            pixels[r, c] = True
            of_specks += len(r)
            if len(r) > 1:
                specks += 1
                grounds.append(float(np.median(around)))
        widest = max(widest, specks)
        share = of_specks / max(total, 1)
        answer: Answer = "no"
        if specks >= FEW and share >= tolerance.proposed:
            clear = specks >= max(tolerance.specks, ALIKE * widest) and share >= tolerance.of_specks
            answer = "yes" if clear and np.std(grounds) >= tolerance.grounds else "unsure"
        lines: list[Stroke] = []
        for r, c in _parts(own, CELL, 6):
            lines += strokes(side.light, distance, r, c, ink, near, tolerance.exact, short)
        for line in lines:
            pixels[line.rows, line.columns] = True
        share = float((pixels & own).sum()) / max(total, 1)
        if any(line.sure for line in lines) and share >= tolerance.of_lines:
            answer = "yes"
        elif lines and answer == "no" and share >= tolerance.proposed:
            answer = "unsure"
        yield Marks(answer, pixels, rim, specks, len(lines))


def _most(plane: np.ndarray, window: int) -> np.ndarray:
    """Return the largest value in the window, of odd side, around each pixel."""
    padded = F.pad(torch.from_numpy(plane)[None, None], (window // 2,) * 4, mode="replicate")
    rows = F.max_pool2d(padded, (window, 1), 1)
    largest: np.ndarray = F.max_pool2d(rows, (1, window), 1)[0, 0].numpy()
    return largest


def _parts(own: np.ndarray, cell: int, least: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return the rows and columns of each connected part.

    Args:
        own: (h, w) bool.
        cell: side of the square cells that are joined, 1 for pixels.
        least: pixels of a part.
    """
    rows, columns = np.nonzero(own)
    cells = np.zeros(tuple(n // cell + 1 for n in own.shape), dtype=bool)
    cells[rows // cell, columns // cell] = True
    labels, count = components(cells)
    if count > MOST_PARTS:
        return
    parts = labels[rows // cell, columns // cell]
    order = np.argsort(parts, kind="stable")
    starts = np.searchsorted(parts[order], np.arange(count + 1))
    for k in np.flatnonzero(np.diff(starts) >= least):
        mine = order[starts[k] : starts[k + 1]]
        yield rows[mine], columns[mine]
