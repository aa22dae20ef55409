"""Seeded procedural pictures: dead leaves with textures, writing, line grids and smooth gradients.

They cost nothing to license, never run out, and show edges, occlusions and fine lines that a small
set of photographs shows too seldom. All colours of one picture come from one photograph, which
keeps palettes natural. Everything is painted at twice the size and averaged down.

The pictures are a function of the generator, the size and the palette. `VERSION` counts the changes
to that function, and is recorded with every prior that was trained on them.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from . import texture
from .texture import Floats, Mask

VERSION = 1
SUPERSAMPLING = 2

KINDS = ("disk", "ellipse", "rectangle", "polygon", "blob")
SMOOTH_SHARE, WRITING_SHARE, GRID_SHARE = 0.10, 0.12, 0.10


def paint(rng: np.random.Generator, size: int, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint one picture.

    Args:
        rng: where all choices come from; the same generator state gives the same bytes.
        size: side of the picture in pixels.
        palette: uint8 colours ``(k, 3)``, usually pixels of one photograph.

    Returns:
        uint8 ``(size, size, 3)``.
    """
    colours = palette.astype(np.float32)
    side = size * SUPERSAMPLING
    kind = rng.random()
    if kind < SMOOTH_SHARE:
        canvas = texture.gradient(rng, side, colours)
    else:
        canvas = _leaves(rng, side, colours)
        if kind < SMOOTH_SHARE + WRITING_SHARE:
            canvas = _writing(rng, canvas, colours)
        elif kind < SMOOTH_SHARE + WRITING_SHARE + GRID_SHARE:
            canvas = _grid(rng, canvas, colours)
        if rng.random() < 0.25:
            canvas = _blurred(canvas, rng.uniform(0.7, 2.5))
    small = canvas.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean(axis=(1, 3))
    picture: NDArray[np.uint8] = np.clip(np.rint(small), 0, 255).astype(np.uint8)
    return picture


def _leaves(rng: np.random.Generator, side: int, colours: Floats) -> Floats:
    """Cover a background with opaque shapes from back to front, radius density ~ r^-a."""
    exponent = rng.choice([2.0, 2.5, 3.0])
    r_max = rng.uniform(0.3, 1.0) * side
    density = np.exp(rng.uniform(np.log(8), np.log(350)))  # leaves per 64 x 64 pixels
    # Few leaves must be large ones: lone specks on a flat ground teach a prior to plant specks.
    r_min = max(rng.choice([1.5, 3.0, 8.0, 20.0]), 40 / np.sqrt(density)) * SUPERSAMPLING
    r_min = min(r_min, 0.5 * r_max)
    count = max(1, int(density * (side / (64 * SUPERSAMPLING)) ** 2))
    blur_at = int(rng.integers(count)) if rng.random() < 0.4 else -1
    kinds = rng.choice(KINDS, size=rng.integers(1, 4), replace=False)
    paper = texture.TextureFiller(rng, side, colours)

    canvas = np.empty((side, side, 3), np.float32)
    paper.fill(canvas, np.ones((side, side), bool), 0, 0, 0.5 * side)
    # The inverse of the distribution function of a density ~ r^-a between both radii.
    power = 1 - exponent
    radii = (r_min**power + rng.random(count) * (r_max**power - r_min**power)) ** (1 / power)
    # Beyond the border too, where leaves are cut by it as photographs cut what they show.
    centres = rng.uniform(-0.1 * side, 1.1 * side, (count, 2))
    for i in range(count):
        _leaf(rng, canvas, paper, str(rng.choice(kinds)), radii[i], centres[i])
        if i == blur_at:  # what lies behind is out of focus
            canvas[:] = _blurred(canvas, rng.uniform(1, 6))
    return canvas


def _leaf(
    rng: np.random.Generator,
    canvas: Floats,
    paper: texture.TextureFiller,
    kind: str,
    radius: float,
    centre: NDArray[np.float64],
) -> None:
    """Paint one shape of this radius into the canvas, in place."""
    side = canvas.shape[0]
    reach = 1.6 * radius
    y0, x0 = (max(0, int(c - reach)) for c in centre)
    y1, x1 = (min(side, int(c + reach) + 2) for c in centre)
    if y0 >= y1 or x0 >= x1:
        return
    v = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(centre[0])
    u = np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(centre[1])
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    mask = _shape(rng, kind, (c * u + s * v) / radius, (c * v - s * u) / radius)
    paper.fill(canvas[y0:y1, x0:x1], mask, y0, x0, radius)


def _shape(
    rng: np.random.Generator, kind: str, u: NDArray[np.float64], v: NDArray[np.float64]
) -> Mask:
    """Return the mask of a shape of radius 1 at coordinates u and v."""
    if kind == "disk":
        return u * u + v * v < 1
    if kind == "ellipse":
        return u * u + (v / rng.uniform(0.2, 0.9)) ** 2 < 1
    if kind == "rectangle":  # the thin ones are bars and lines
        aspect = math.exp(rng.uniform(math.log(0.04), 0))
        return (np.abs(u) < 1) & (np.abs(v) < aspect)
    if kind == "polygon":  # convex: the intersection of half-planes
        corners = int(rng.integers(3, 8))
        inside = u * u + v * v < 1.5**2
        for k in range(corners):
            angle = 2 * np.pi * (k + rng.uniform(-0.3, 0.3)) / corners
            inside &= np.cos(angle) * u + np.sin(angle) * v < rng.uniform(0.45, 1)
        return inside
    # A blob: a disk whose radius is modulated by a few harmonics.
    phi = np.arctan2(v, u)
    edge = np.full_like(phi, 0.9)
    for k in range(2, 2 + int(rng.integers(2, 6))):
        edge += rng.uniform(0, 0.45) / k * np.cos(k * phi + rng.uniform(0, 2 * np.pi))
    return u * u + v * v < edge * edge


def _blurred(canvas: Floats, sigma: float) -> Floats:
    """Blur by a Gaussian whose sigma is in pixels of the finished picture."""
    image = Image.fromarray(np.clip(np.rint(canvas), 0, 255).astype(np.uint8))
    blurred = image.filter(ImageFilter.GaussianBlur(sigma * SUPERSAMPLING))
    return np.asarray(blurred, np.float32)


def _frame(
    rng: np.random.Generator, side: int
) -> Callable[[NDArray[np.float64]], list[tuple[float, float]]]:
    """Return a slightly rotated and sheared frame: points ``(k, 2)`` to canvas coordinates."""
    angle = rng.normal(0, 0.15) if rng.random() < 0.7 else rng.uniform(0, 2 * np.pi)
    shear = rng.normal(0, 0.15)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[c, -s], [s, c]]) @ np.array([[1, shear], [0, 1]])
    return lambda points: [
        (float(x), float(y)) for x, y in (points - side / 2) @ matrix.T + side / 2
    ]


def _two_colours(rng: np.random.Generator, colours: Floats) -> tuple[Floats, Floats]:
    """Return two colours of the palette that differ, if it has any."""
    # Of a few: the most distant of all would be black and white in nearly every picture.
    draws = colours[rng.integers(len(colours), size=6)]
    distance = np.abs(draws - draws[0]).sum(axis=1)
    return draws[0], draws[int(distance.argmax())]


def _writing(rng: np.random.Generator, canvas: Floats, colours: Floats) -> Floats:
    """Write rows of made-up glyphs, a few strokes and arcs each, over part of the canvas."""
    side = canvas.shape[0]
    image = Image.fromarray(np.clip(np.rint(canvas), 0, 255).astype(np.uint8))
    draw, place = ImageDraw.Draw(image), _frame(rng, side)
    paper, ink = (tuple(int(c) for c in colour) for colour in _two_colours(rng, colours))
    height = rng.uniform(8, 26) * SUPERSAMPLING
    width, pen = height * rng.uniform(0.45, 0.8), max(1, round(height * rng.uniform(0.06, 0.2)))
    top, bottom = sorted(rng.uniform(-0.3, 1.3, 2) * side)
    left = rng.uniform(-0.3, 0.5) * side
    if rng.random() < 0.6:
        corners = np.array([[left, top], [2 * side, top], [2 * side, bottom], [left, bottom]])
        draw.polygon(place(corners), fill=paper)
    for row in np.arange(top + 0.3 * height, bottom - height, 1.5 * height):
        for column in np.arange(left + width, 1.3 * side, 1.25 * width):
            if rng.random() < 0.85:
                _glyph(
                    rng, draw, place, np.array([column, row]), np.array([width, height]), pen, ink
                )
    return np.asarray(image, np.float32)


def _glyph(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    place: Callable[[NDArray[np.float64]], list[tuple[float, float]]],
    origin: NDArray[np.float64],
    size: NDArray[np.float64],
    pen: int,
    ink: tuple[int, ...],
) -> None:
    """Draw one glyph of strokes between the points of a 3 x 3 grid, and arcs."""
    for _ in range(int(rng.integers(2, 5))):
        ends = rng.integers(0, 3, (2, 2)) / 2
        if rng.random() < 0.35:
            phi = np.linspace(0, rng.uniform(2, 6.3), 10) + rng.uniform(0, 6.3)
            points = 0.5 + 0.5 * np.stack([np.cos(phi), np.sin(phi)], axis=1) * [
                1,
                rng.choice([0.5, 1]),
            ]
        else:
            points = ends
        draw.line(place(origin + points * size), fill=ink, width=pen, joint="curve")


def _grid(rng: np.random.Generator, canvas: Floats, colours: Floats) -> Floats:
    """Draw a grid of lines over the canvas: tiles, masonry, fences, window bars."""
    side = canvas.shape[0]
    image = Image.fromarray(np.clip(np.rint(canvas), 0, 255).astype(np.uint8))
    draw, place = ImageDraw.Draw(image), _frame(rng, side)
    face, joint = _two_colours(rng, colours)
    height = rng.uniform(4, 22) * SUPERSAMPLING
    width = height * rng.choice([1.0, 1.0, 2.0, 2.4, 3.0])
    pen = max(1, round(min(height, width) * rng.uniform(0.04, 0.25)))
    offset = rng.choice([0.0, 0.5])
    faces, spread = rng.random() < 0.6, rng.uniform(2, 18)
    for j, y in enumerate(np.arange(-0.5 * side, 1.5 * side, height)):
        for x in np.arange(-0.5 * side, 1.5 * side, width) + (j % 2) * offset * width:
            box = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
            corners = place(box)
            if faces:
                shade = np.clip(face + rng.normal(0, spread), 0, 255)
                draw.polygon(corners, fill=tuple(int(c) for c in shade))
            line = tuple(int(c) for c in joint)
            draw.line([*corners, corners[0]], fill=line, width=pen)
    return np.asarray(image, np.float32)
