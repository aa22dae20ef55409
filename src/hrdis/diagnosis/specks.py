"""Dust, specks and scratches: a mask that is proposed, and filled where it is beyond doubt.

Dust and scratches are thin, much lighter or darker than both sides, and of one colour whatever lies
below. Twigs, wires, hair and highlights are thin, too, but their colours differ. So the colour that
most thin pixels have is looked for first, then what is connected in that colour alone. What has one
colour and lies on ground of one kind, like a wire before the sky, is called unsure.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Answer, Finding, components, grey_levels, luma, widened

WINDOW = 7  # pixels; a defect is thinner
LEVELS = 24.0  # grey levels that a defect stands out at least
#: Dust and scratches are nearly white or nearly black: least of the channels, most of them, and the
#: difference between the channels.
WHITE, BLACK, GREY = 190.0, 48.0, 28.0
FAINT = 10.0  # grey levels that the rim of a defect stands out at least
BIN = 12.0  # grey levels of a channel that count as one colour in the histogram
COLOURS = 3  # tried, of each sign
NEAR = 13.0  # grey levels of a channel that a defect's pixels differ from its colour
JOINED = 7  # pixels; parts of a defect that lie nearer belong together
#: Length of a scratch, in pixels and as a share of the shorter side, the share of it that is seen
#: at least, and its pixels per pixel of length at most.
LONG, SHARE_LONG, SOLID, THICK = 32, 0.08, 0.4, 3.0
STRIP = 8.0  # pixels; half of the width in which a stroke that is nearly straight lies
STROKES, STRAIGHT = 4, 0.8  # that may cross; share of the pixels that they hold
SMALL, SHARE_SMALL = 9, 0.016  # length of a speck: the larger of pixels and share of the short side
RIM = 6  # pixels around a defect that are compared with it
DEPTH = 40.0  # grey levels between a defect and its surroundings
LIKE = 0.12  # share of the surroundings that may have the defect's colour
FEW, MANY = 4, 5  # specks from which on they are proposed; from which on they are sure
#: Share of all thin pixels of the colour that defects make up: to be proposed, and to be sure of
#: specks alone and of lines. Of 90 training crops of 128 pixels no detail of the subject counts as
#: sure, of 30 of 320 pixels those of one do, with a share of 0.95.
PROPOSED, SURE_SPECKS, SURE_LINES = 0.4, 0.45, 0.85
#: The limits on the colour where it is sure. Those of lines in training crops are more colourful.
SURE_WHITE, SURE_BLACK, SURE_GREY = 205.0, 40.0, 12.0
GROUNDS = 14.0  # standard deviation in grey levels of what lies around them: of one kind below
CLIPPED = 4.0  # grey levels from black and white: highlights and shadows are cut there
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
        pixels: (h, w) bool, of the defects.
        specks, lines: how many there are.
        share: of all pixels of that colour that are theirs.
        grounds: standard deviation of the brightness around them, in grey levels.
        plain: whether the colour is that of dust: grey, nearly white or black, and not clipped.
    """

    pixels: np.ndarray
    specks: int
    lines: int
    share: float
    grounds: float
    plain: bool

    @property
    def answer(self) -> Answer:
        """Return the answer to the question of whether they are defects."""
        if self.share < PROPOSED or (self.lines == 0 and self.specks < FEW):
            return "no"
        enough = self.lines > 0 or self.specks >= MANY
        least = SURE_LINES if self.lines else SURE_SPECKS
        clear = self.share >= least and self.grounds >= GROUNDS and self.plain
        return "yes" if enough and clear else "unsure"


def find_specks(x: Tensor, sigma: float = 0.0) -> Specks:
    """Return a mask of what looks like dust and scratches.

    Args:
        x: (1, c, h, w) in [-1, 1].
        sigma: standard deviation of its noise in grey levels.

    Cost:
        two windowed extremes of the picture, and the parts of at most 6 colours: two seconds a
        megapixel.
    """
    levels = grey_levels(x)
    h, w = levels.shape[1:]
    if min(h, w) < 96:
        return Specks("unsure", 0, 0, 100, "The picture is too small to tell defects from detail.")
    plane = luma(levels)
    best: Marks | None = None
    rim = np.zeros((h, w), dtype=bool)
    grey = levels.max(0) - levels.min(0) < GREY + 2 * sigma
    for sign in (1.0, -1.0):
        above = _tophat(sign * plane)
        thin = above > max(LEVELS, 4 * sigma)
        extreme = levels.min(0) > WHITE if sign > 0 else levels.max(0) < BLACK
        for ink in _colours(levels, thin & extreme & grey):
            marks = _marks(levels, plane, thin, ink, sign, sigma)
            order = ("no", "unsure", "yes")
            if best is None or (order.index(marks.answer), marks.pixels.sum()) > (
                order.index(best.answer), best.pixels.sum(),
            ):  # fmt: skip
                best = marks
                rim = above > max(FAINT, 2 * sigma)
    if best is None or best.answer == "no":
        return Specks("no", 0, 0, 0, "No specks or scratches stand out.")
    whole = best.pixels | (rim & widened(best.pixels, 5))
    grown = torch.from_numpy(widened(whole, 3))
    share = 100 * float(grown.double().mean())
    count = best.specks + best.lines
    if 100 * best.pixels.mean() > COVERAGE:
        why = f"{count} thin details of one colour stand out, too many to be defects."
        return Specks("no", 0, 0, share, why)
    found = best.answer
    what = f"{best.specks} specks and {best.lines} scratches of one colour on {share:.2f} %"
    if found == "yes":
        why = f"{what} of the picture."
    else:
        why = f"{what} of the picture, or details of the subject; look at the mask first."
    return Specks(found, share, share / 2, share * 2, why, grown, count)


def _tophat(plane: np.ndarray) -> np.ndarray:
    """Return by how much a plane is lighter than what is thicker than a window."""
    reach = WINDOW // 2
    padded = F.pad(torch.from_numpy(plane)[None, None], (2 * reach,) * 4, mode="replicate")
    opened = F.max_pool2d(-F.max_pool2d(-padded, WINDOW, 1), WINDOW, 1)[0, 0].numpy()
    above: np.ndarray = plane - opened
    return above


def _colours(levels: np.ndarray, thin: np.ndarray) -> list[np.ndarray]:
    """Return the commonest colours of thin pixels, each the mean of a cube of the histogram."""
    values = levels[:, thin].T
    found: list[np.ndarray] = []
    for _ in range(COLOURS):
        if len(values) < 12:
            break
        cells, counts = np.unique((values / BIN).astype(int), axis=0, return_counts=True)
        middle = (cells[counts.argmax()] + 0.5) * BIN
        for _ in range(3):  # to the middle of what is there, as the cube may cut it
            inside = np.abs(values - middle).max(1) < BIN
            middle = values[inside].mean(0)
        found.append(middle)
        values = values[np.abs(values - middle).max(1) >= BIN]
    return found


def _marks(
    levels: np.ndarray, plane: np.ndarray, thin: np.ndarray, ink: np.ndarray, sign: float,
    sigma: float,
) -> Marks:  # fmt: skip
    """Return the specks and lines of one colour.

    Args:
        levels, plane: the picture and its brightness in grey levels.
        thin: pixels that are thin and lighter, or darker, than both sides.
        ink: (c,), the colour.
        sign: 1 where they are lighter, -1 where darker.
        sigma: standard deviation of the noise in grey levels.
    """
    near = np.abs(levels - ink[:, None, None]).max(0) < NEAR + 2 * sigma
    own = thin & near
    h, w = plane.shape
    labels, count = components(widened(own, JOINED))
    rows, columns = np.nonzero(own)
    parts = labels[rows, columns]
    order = np.argsort(parts, kind="stable")
    starts = np.searchsorted(parts[order], np.arange(count + 1))
    kept = np.zeros((h, w), dtype=bool)
    specks = lines = 0
    grounds: list[np.ndarray] = []
    short = min(h, w)
    for k in range(count):
        mine = order[starts[k] : starts[k + 1]]
        if len(mine) < 3:
            continue
        r, c = rows[mine], columns[mine]
        length = int(max(np.ptp(r), np.ptp(c))) + 1  # not numpy's: counts end in a JSON record
        line = length >= max(LONG, SHARE_LONG * short) and _strokes(r, c, len(mine), short)
        speck = length <= max(SMALL, SHARE_SMALL * short)
        if not (line or speck):
            continue
        around = _around(plane, near, r, c)
        if around is None:
            continue
        brightness, like = around
        deep = sign * (plane[r, c].mean() - np.median(brightness)) > max(DEPTH, 6 * sigma)
        if not deep or like > LIKE:
            continue
        kept[r, c] = True
        lines += line
        specks += speck
        grounds.append(brightness if line else np.array([np.median(brightness)]))
    plain = ink.min() > SURE_WHITE if sign > 0 else ink.max() < SURE_BLACK
    plain = plain and np.ptp(ink) < SURE_GREY and CLIPPED < ink.mean() < 255 - CLIPPED
    return Marks(
        kept, specks, lines, float(kept.sum()) / max(int(own.sum()), 1),
        float(np.concatenate(grounds).std()) if grounds else 0.0,
        bool(plain),
    )  # fmt: skip


def _strokes(rows: np.ndarray, columns: np.ndarray, total: int, short: int) -> bool:
    """Return True if a few long, thin strokes hold nearly all of some pixels.

    The strip that holds most pixels is taken out, up to `STROKES` times.

    Args:
        rows, columns: of the pixels.
        total: how many there are.
        short: the picture's shorter side.
    """
    r, c = rows.astype(float), columns.astype(float)
    held = 0
    for _ in range(STROKES):
        if len(r) < 0.2 * LONG:
            break
        best, most = 0.0, np.zeros(0, dtype=int)
        for angle in np.radians(np.arange(0, 180, 5)):
            offset = r * np.cos(angle) - c * np.sin(angle)
            places, counts = np.unique(np.floor(offset / STRIP), return_counts=True)
            middle = (places[counts.argmax()] + 0.5) * STRIP
            there = np.flatnonzero(np.abs(offset - middle) < STRIP)
            if len(there) > len(most):
                best, most = angle, there
        along = r[most] * np.sin(best) + c[most] * np.cos(best)
        across = r[most] * np.cos(best) - c[most] * np.sin(best)
        length = np.ptp(along)
        if length < max(LONG, SHARE_LONG * short):
            break
        bent = across - np.polyval(np.polyfit(along, across, 3), along)
        on = np.abs(bent) < 2.0
        filled = len(np.unique((along[on] / 2).astype(int))) / (length / 2)
        if filled < SOLID or on.sum() / length > THICK:
            break
        held += int(on.sum())
        left = np.ones(len(r), dtype=bool)
        left[most[on]] = False
        r, c = r[left], c[left]
    return held > STRAIGHT * total


def _around(
    plane: np.ndarray, near: np.ndarray, r: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """Return the brightness around a part, and the share there that has the part's colour.

    Args:
        plane: brightness in grey levels.
        near: pixels of that colour.
        r, c: rows and columns of the part.
    """
    top, left = max(r.min() - RIM, 0), max(c.min() - RIM, 0)
    window = (slice(top, r.max() + RIM + 1), slice(left, c.max() + RIM + 1))
    mask = np.zeros(plane[window].shape, dtype=bool)
    mask[r - top, c - left] = True
    close, wide = widened(mask, 5), widened(mask, 2 * RIM - 1)
    ring = wide & ~close
    if ring.sum() < 20:
        return None
    return plane[window][ring], float(near[window][ring].mean())
