"""Dust, specks and scratches: a mask that is proposed, to be looked at before it is filled.

A defect is much lighter or darker than both sides of it, thin, and sharper than its surroundings
are lively. Wires, twigs and letters are all that too. Where there are many candidates, or many
alike, none is proposed.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Finding, grey_levels, luma

DEPTH = 7.0  # local standard deviations that a defect stands out
LEVELS = 22.0  # grey levels that it stands out at least
WIDTHS = (7, 13)  # pixels; a defect is thinner than the window
LIVELY = 31  # window in which liveliness is measured
RIM = 8  # pixels around a defect that are compared with it
DEEP = 40.0  # grey levels between a defect and what is around it
#: The same in robust standard deviations of what is around: of a speck, of a scratch.
ALONE, LINE = 14.0, 10.0
#: Specks below which none is proposed, and from which on they are sure to be dust, if their
#: brightness differs by less than that: dust is of one kind, details of a scene are not.
FEW, LEAST, ALIKE = 3, 4, 50.0
EVEN = 0.35  # standard deviation inside a defect, over its depth
CROWD = 0.02  # share of the surroundings that other candidates may take
COVERAGE = 0.02  # of the picture; more is the picture itself
CANDIDATES = 150  # of a megapixel; more are foliage, stars or writing


@dataclass(frozen=True)
class Specks(Finding):
    """Specks and scratches; value, low and high are shares of the picture in per cent.

    Args:
        mask: (h, w) bool, True where the picture should be filled; None without a proposal.
        count: of defects.
    """

    mask: Tensor | None = field(default=None, repr=False, compare=False)
    count: int = 0


def find_specks(x: Tensor, sigma: float = 0.0) -> Specks:
    """Return a mask of what looks like dust and scratches.

    Args:
        x: (1, c, h, w) in [-1, 1].
        sigma: standard deviation of its noise in grey levels.

    Cost:
        a dozen windowed extremes of the picture: under a second a megapixel.
    """
    plane = torch.from_numpy(luma(grey_levels(x)))[None, None]
    h, w = plane.shape[-2:]
    if min(h, w) < 96:
        return Specks("unsure", 0, 0, 100, "The picture is too small to tell defects from detail.")
    strong = torch.zeros(h, w, dtype=torch.bool)
    for window in WIDTHS:
        strong |= _thin(plane, window, sigma)
    labels, boxes = _components(strong)
    kept = torch.zeros(h, w, dtype=torch.bool)
    count, scratches, short = 0, 0, min(h, w)
    values: list[float] = []  # brightness of each
    for label, (top, left, bottom, right, area) in boxes.items():
        length = max(bottom - top, right - left)
        width = area / length
        dust = area >= 3 and length <= max(9, 0.016 * short)
        scratch = length > max(40, 0.04 * short) and width <= max(3.5, 0.004 * short)
        if not (dust or scratch):
            continue
        rows = slice(max(top - RIM, 0), bottom + RIM)
        columns = slice(max(left - RIM, 0), right + RIM)
        own = labels[rows, columns] == label
        if _alone(plane[0, 0, rows, columns], own, strong[rows, columns], sigma, scratch):
            kept[rows, columns] |= own
            count += 1
            scratches += scratch
            values.append(float(plane[0, 0, rows, columns][own].mean()))
    most = max(12, CANDIDATES * h * w / 1e6)
    if count == 0:
        return Specks("no", 0, 0, 0, "No specks or scratches stand out.")
    grown = F.max_pool2d(kept[None, None].double(), 5, 1, 2)[0, 0] > 0
    share = 100 * float(grown.double().mean())
    if scratches == 0 and count < FEW:
        return Specks("no", 0, 0, share, f"{count} small details stand out, which may be anything.")
    if count > most or share > 100 * COVERAGE:
        why = f"{count} small details stand out, too many to be defects."
        return Specks("no", 0, 0, share, why)
    # light points on a dark ground may be stars or lamps, and a line alone a wire or a rim
    alike = max(values) - min(values) < ALIKE
    sure = count >= LEAST and alike and float(plane.median()) > 60
    found = "yes" if sure else "unsure"
    why = f"{count} specks or scratches on {share:.2f} % of the picture; look at the mask first."
    return Specks(found, share, share / 2, share * 2, why, grown, count)  # type: ignore[arg-type]


def _alone(plane: Tensor, own: Tensor, strong: Tensor, sigma: float, scratch: bool) -> bool:
    """Return True if a part stands out of what is around it, and nothing else there does.

    Args:
        plane: a window of the picture, `RIM` pixels larger than the part.
        own: the part's pixels.
        strong: all candidates' pixels.
    """
    near = F.max_pool2d(own[None, None].double(), 5, 1, 2)[0, 0] > 0
    around = plane[~near]
    if scratch:  # its box holds much else: only what is near it tells
        close = F.max_pool2d(own[None, None].double(), 13, 1, 6)[0, 0] > 0
        around = plane[close & ~near]
    if len(around) < 30:
        return False
    middle = around.median()
    spread = max(1.4826 * float((around - middle).abs().median()), sigma, 1.0)
    inside = plane[own]
    depth = float((inside.mean() - middle).abs())
    even = float(inside.std()) < EVEN * depth
    others = float((strong & ~near).double().mean())
    return depth > max(DEEP, (LINE if scratch else ALONE) * spread) and even and others < CROWD


def _thin(plane: Tensor, window: int, sigma: float) -> Tensor:
    """Return where a plane is much lighter, or much darker, than what is thicker than a window."""
    reach = window // 2
    padded = F.pad(plane, (2 * reach,) * 4, mode="replicate")
    opened = F.max_pool2d(-F.max_pool2d(-padded, window, 1), window, 1)
    closed = -F.max_pool2d(-F.max_pool2d(padded, window, 1), window, 1)
    # Liveliness of the surroundings, a robust one: the median over windows of how far the plane
    # departs from its opening and closing, which a single defect does not move.
    both = torch.maximum(plane - opened, closed - plane)
    blocks = F.avg_pool2d(F.pad(both, (LIVELY // 2,) * 4, mode="reflect"), 7, 7)
    local = -F.max_pool2d(-F.avg_pool2d(blocks, 3, 1, 1), 1)
    lively = F.interpolate(local, size=plane.shape[-2:], mode="bilinear", align_corners=False)
    scale = torch.clamp(lively, min=max(sigma, 1.0))
    light = (plane - opened > LEVELS) & (plane - opened > 0.5 * DEPTH * scale)
    dark = (closed - plane > LEVELS) & (closed - plane > 0.5 * DEPTH * scale)
    return (light | dark)[0, 0]


def _components(there: Tensor) -> tuple[Tensor, dict[int, tuple[int, int, int, int, int]]]:
    """Return labels of 8-connected parts, and (top, left, bottom, right, area) of each.

    By runs along rows that touch runs of the row before.
    """
    pixels = there.numpy()
    parent: list[int] = []
    labels = np.full(pixels.shape, -1, dtype=np.int64)

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for row in range(pixels.shape[0]):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], pixels[row].astype(np.int8), [0]])))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            label = len(parent)
            parent.append(label)
            if row:
                above = labels[row - 1, max(start - 1, 0) : end + 1]
                for other in np.unique(above[above >= 0]):
                    parent[root(int(other))] = root(label)
            labels[row, start:end] = label
    boxes: dict[int, tuple[int, int, int, int, int]] = {}
    rows, columns = np.nonzero(pixels)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        label = root(int(labels[row, column]))
        labels[row, column] = label
        top, left, bottom, right, area = boxes.get(label, (row, column, row, column, 0))
        boxes[label] = (
            min(top, row), min(left, column), max(bottom, row + 1), max(right, column + 1), area + 1
        )  # fmt: skip
    return torch.from_numpy(labels), boxes
