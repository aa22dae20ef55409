"""Generated masks for inpainting: free-form strokes, scratches, boxes and random pixels.

Masks in files are read by `hrdis.images.read_mask`.

Every function returns the *observed* mask, (h, w) float, 1 = observed and 0 = hole.
"""

import math

import numpy as np
import torch
from torch import Tensor

from .. import _deprecated
from ..rng import stream


def freeform(
    h: int,
    w: int,
    band: tuple[float, float] = (0.1, 0.2),
    seed: int = 0,
    index: int = 0,
    flip: bool = True,
    attempts: int = 10_000,
) -> Tensor:
    """Draw a free-form mask in the manner of DeepFill v2 and Palette: 1 to 3 zig-zag brush strokes.

    Whole masks are redrawn until the hole fraction lies in ``band``. Mask ``index`` does not depend
    on how many were drawn before it.

    Args:
        h, w: size in pixels; strokes scale with it.
        band: lowest and highest (exclusive) hole fraction; the paper uses (0.1, 0.2), (0.2, 0.3),
            (0.3, 0.4).
        seed, index: which mask.
        flip: mirror at random; without it strokes always run to the right, as in the widely copied
            code.
        attempts: how often to redraw before giving up.

    Raises:
        ValueError: if the band is empty, out of reach (above 0.45), or not met within ``attempts``.

    Reference:
        Yu et al., Free-Form Image Inpainting with Gated Convolution, ICCV 2019; Saharia et al.,
        Palette, 2022.
    """
    low, high = band
    if not 0 <= low < high <= 1:
        raise ValueError(
            f"band is {band}. Two hole fractions 0 <= low < high <= 1 are expected: band=(0.1, "
            "0.2)."
        )
    if low > 0.45:
        raise ValueError(
            f"A hole fraction of {low:.0%} or more is out of reach of free-form strokes (0.3 % "
            "exceed 40 %). Use masks.random_pixels or masks.box for larger holes."
        )
    best = math.inf, 0.0
    for attempt in range(attempts):
        hole = _strokes(h, w, stream(seed, "freeform", index, attempt), flip)
        coverage = float(hole.mean())
        if low <= coverage < high:
            return torch.from_numpy(1 - hole)
        best = min(best, (max(low - coverage, coverage - high), coverage))
    raise ValueError(
        f"No mask with a hole fraction in [{low:g}, {high:g}) in {attempts} attempts at {h} x {w}; "
        f"the closest had {best[1]:.3f}. A wider band is expected: band=({max(low - 0.05, 0):g}, "
        f"{high + 0.05:g})."
    )


def _strokes(h: int, w: int, rng: np.random.Generator, flip: bool) -> np.ndarray:
    """Draw one mask, whatever its coverage: float32 (h, w), 1 = hole."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (w, h))
    draw = ImageDraw.Draw(image)
    reach = math.hypot(h, w) / 8
    side = math.sqrt(h * w) / 256
    for _ in range(rng.integers(1, 4)):
        low = 2 * math.pi / 5 - rng.uniform(0, 2 * math.pi / 15)
        high = 2 * math.pi / 5 + rng.uniform(0, 2 * math.pi / 15)
        points = [(int(rng.integers(w)), int(rng.integers(h)))]
        for i in range(rng.integers(4, 12)):
            angle = rng.uniform(low, high)
            angle = 2 * math.pi - angle if i % 2 == 0 else angle
            r = float(np.clip(rng.normal(reach, reach // 2), 0, 2 * reach))
            x, y = points[-1]
            points.append(
                (
                    int(np.clip(x + r * math.cos(angle), 0, w)),
                    int(np.clip(y + r * math.sin(angle), 0, h)),
                )
            )
        width = max(1, int(rng.uniform(12, 40) * side))
        draw.line(points, fill=1, width=width)
        for x, y in points:
            draw.ellipse([x - width // 2, y - width // 2, x + width // 2, y + width // 2], fill=1)
    hole = np.asarray(image, dtype=np.float32)
    if flip and rng.random() < 0.5:
        hole = hole[:, ::-1]
    if flip and rng.random() < 0.5:
        hole = hole[::-1]
    return np.ascontiguousarray(hole)


def scratches(h: int, w: int, hole: float = 0.15, seed: int = 0, index: int = 0) -> Tensor:
    """Draw small damage until a share is lost: specks and thin scratches.

    Specks are boxes of 3 to 10 % of the shorter side.

    Args:
        hole: hole fraction to reach; the last stroke may exceed it a little.
    """
    if not 0 < hole < 0.9:
        raise ValueError(
            f"hole is {hole}. A hole fraction between 0 and 0.9 is expected: hole=0.15."
        )
    from PIL import Image, ImageDraw

    rng, side, image = stream(seed, "scratches", index), min(h, w), Image.new("1", (w, h))
    draw = ImageDraw.Draw(image)
    while (lost := np.asarray(image)).mean() < hole:
        x, y = int(rng.integers(w)), int(rng.integers(h))
        if rng.random() < 0.5:
            bw, bh = (max(1, round(side * rng.uniform(0.03, 0.1))) for _ in range(2))
            draw.rectangle([x, y, x + bw - 1, y + bh - 1], fill=1)
        else:
            length, angle = side * rng.uniform(0.2, 0.6), rng.uniform(0, math.pi)
            end = (x + length * math.cos(angle), y + length * math.sin(angle))
            draw.line([(x, y), end], fill=1, width=max(1, round(rng.uniform(1, 3) * side / 128)))
    return torch.from_numpy(1 - lost.astype(np.float32))


def box(
    h: int, w: int, size: tuple[int, int] | range | None = None, margin: int | None = None,
    seed: int = 0,
    index: int = 0,
) -> Tensor:  # fmt: skip
    """Return a mask with one rectangular hole.

    Args:
        size: (height, width), or a range to draw both from; by default the centred half, [h/4,
            3h/4) x [w/4, 3w/4).
        margin: least distance to the border for a hole at random (default: h/16); ignored for the
            default box.
    """
    mask = torch.ones(h, w)
    if size is None:
        mask[h // 4 : 3 * h // 4, w // 4 : 3 * w // 4] = 0
        return mask
    margin = min(h, w) // 16 if margin is None else margin
    if isinstance(size, range):
        if not size:
            raise ValueError(
                f"size is {size}, which is empty. A side from low to high is expected: range(16, "
                "33)."
            )
        fits = (
            size[-1] <= min(h, w) - 2 * margin
        )  # else the largest is refused below, whatever would be drawn
        i, j = stream(seed, "box sides", index).integers(len(size), size=2) if fits else (-1, -1)
        size = size[i], size[j]
    room = (h - 2 * margin - size[0], w - 2 * margin - size[1])
    if min(size) < 1 or min(room) < 0:
        raise ValueError(
            f"A hole of {size[0]} x {size[1]} with a margin of {margin} does not fit into {h} x "
            f"{w}. At most {h - 2 * margin} x {w - 2 * margin} is possible."
        )
    place = stream(seed, "box", index)
    top, left = (margin + int(place.integers(r + 1)) for r in room)
    mask[top : top + size[0], left : left + size[1]] = 0
    return mask


def random_pixels(
    h: int, w: int, hole: float | tuple[float, float] = 0.5, seed: int = 0, index: int = 0
) -> Tensor:
    """Drop exactly ``int(hole * h * w)`` pixels, without replacement, the same in all channels; of
    a range, a share.
    """
    low, high = hole if isinstance(hole, tuple) else (hole, hole)
    if not 0 < low <= high < 1:
        raise ValueError(
            f"hole is {hole}. A fraction of dropped pixels between 0 and 1 is expected: hole=0.5."
        )
    mask, rng = torch.ones(h * w), stream(seed, "random_pixels", index)
    hole = float(rng.uniform(low, high)) if low < high else low
    dropped = rng.choice(h * w, int(hole * h * w), replace=False)
    mask[torch.from_numpy(dropped)] = 0
    return mask.reshape(h, w)


def __getattr__(name: str) -> object:
    if name not in ("from_file", "palette"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .. import images

    if name == "from_file":
        _deprecated.warn("masks.from_file", "hrdis.images.read_mask(path, hole)")
        return images.read_mask
    _deprecated.warn("masks.palette", "hrdis.images.read_palette_mask(path, band, index)")
    return images.read_palette_mask
