"""Pictures of the report: grids of truth, measurement and methods, samples, and the course of a
run.
"""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...images import open_image
from ..results import Variant
from ..rows import Row
from ..run.collect import Gathered

INLINE_BYTES = 8_000_000  # of pictures in one file; the others are linked
SMALL = 128  # pixels a side that are kept as they are; larger ones become JPEG
SIDE = 256  # larger ones are scaled down to this


@dataclass(frozen=True)
class Shot:
    """A picture with what is written under it; ``src`` is empty where there is none."""

    caption: str
    src: str = ""
    note: str = ""
    href: str = ""
    small: bool = True


@dataclass(frozen=True)
class Strip:
    """Pictures side by side, of one original."""

    title: str
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Grid:
    """Strips under one title."""

    title: str
    strips: tuple[Strip, ...]
    note: str = ""


@dataclass
class Album:
    """Turns files into pictures of the page: inlined until the page is large enough, linked after
    that.

    Args:
        run: whose rows name the files.
        beside: the folder of the report, for links; None for a page that links to no file, with
            every picture in it.
    """

    run: Gathered
    beside: Path | None
    inlined: int = 0
    linked: int = 0
    _known: dict[Path, tuple[str, bool]] = field(default_factory=dict)

    def shot(self, caption: str, path: Path | None, note: str = "") -> Shot:
        """A picture from a file."""
        if path is None:
            return Shot(caption, note=note or "no picture")
        href = "" if self.beside is None else Path(os.path.relpath(path, self.beside)).as_posix()
        if path not in self._known:
            self._known[path] = self._encode(path, href)
        src, small = self._known[path]
        return Shot(caption, src, note, href, small)

    def _encode(self, path: Path, href: str) -> tuple[str, bool]:
        with open_image(path) as image:
            small = max(image.size) <= SMALL
            if href and self.inlined >= INLINE_BYTES:
                self.linked += 1
                return href, small
            if small:
                kind, content = "png", path.read_bytes()
            else:
                image.thumbnail((SIDE, SIDE))
                buffer = io.BytesIO()
                image.convert("RGB").save(buffer, format="JPEG", quality=90, subsampling=0)
                kind, content = "jpeg", buffer.getvalue()
        src = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        self.inlined += len(src)
        return src, small

    def grid(
        self, title: str, methods: Sequence[tuple[str, Variant]], pictures: int = 3, note: str = ""
    ) -> Grid:
        """Truth, measurement and every method, for the first pictures that all of them have
        tried.
        """
        strips = []
        for image in _common([member for _, member in methods], pictures):
            one = [
                row
                for _, member in methods
                for row in member.rows
                if row["cell"]["image_sha256"] == image
            ]
            shots = self.first(one) + tuple(
                self.method(label, member, image) for label, member in methods
            )
            strips.append(Strip(one[0]["cell"]["image"], shots))
        return Grid(title, tuple(strips), note)

    def first(self, rows: Sequence[Row]) -> tuple[Shot, ...]:
        """The original and the measurement, as the first row that names them has it."""
        good = next((row for row in rows if row.get("truth")), rows[0])
        given = self.run.picture(good, "measurement")
        return (
            self.shot("original", self.run.picture(good, "truth")),
            self.shot("given", given, "" if given else "is no picture"),
        )

    def method(self, label: str, member: Variant, image: str) -> Shot:
        """What a method made of a picture: the first seed, or the chosen one; or that it failed."""
        chosen = member.selected(member.selections[0]).get(image)
        if not chosen:
            return Shot(label, note="failed")
        note = "" if chosen[0].get("psnr") is None else f"{chosen[0]['psnr']:.2f} dB"
        return self.shot(label, self.run.picture(chosen[0]), note)

    def samples(self, label: str, member: Variant, image: str) -> Strip:
        """All seeds of a picture, and the standard deviation over them."""
        rows = member.by_image.get(image, [])
        shots = [
            self.shot(
                f"seed {row['cell']['seed']}",
                self.run.picture(row),
                f"{row['psnr']:.2f} dB" if row.get("psnr") else "",
            )
            for row in rows
        ]
        files = [path for row in rows if (path := self.run.picture(row))]
        return Strip(
            label,
            (
                *self.first(rows or member.rows),
                *shots,
                *([_spread(files)] if len(files) > 1 else []),
            ),
        )

    def course(self, label: str, row: Row) -> tuple[Strip, ...]:
        """The frames of a run: the answer so far, and the state that the network sees."""
        kinds = {"answer": "the answer so far", "state": "what the network sees"}
        strips = []
        for kind, words in kinds.items():
            names = [name for name in row.get("frames", []) if name.endswith(f"-{kind}.png")]
            shots = [
                self.shot(f"t = {t}", self.run.file(row["key"], name))
                for t, name in zip(row.get("frame_times", []), names, strict=False)
            ]
            if shots:
                strips.append(Strip(f"{label}: {words}", tuple(shots)))
        return tuple(strips)


def _common(members: Sequence[Variant], pictures: int) -> list[str]:
    """The first pictures, in the order of the data, that every method has tried."""
    shared = set.intersection(*(set(member.images) for member in members)) if members else set()
    order: Mapping[str, int] = {
        row["cell"]["image_sha256"]: row["cell"].get("index", 0)
        for member in members
        for row in member.rows
    }
    return sorted(shared, key=lambda image: order[image])[:pictures]


def _spread(files: Sequence[Path]) -> Shot:
    """Standard deviation over samples, of every pixel over colours; white is the largest."""
    from PIL import Image

    shown = []
    for path in files:
        with open_image(path) as opened:
            shown.append(np.asarray(opened.convert("RGB"), dtype=np.float64) / 255)
    samples = np.stack(shown)
    std = np.sqrt(samples.var(axis=0, ddof=1).mean(axis=-1))
    most = float(std.max())
    image = Image.fromarray((255 * std / max(most, 1e-12)).round().astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    src = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Shot("std over seeds", src, f"white: {most:.3f}", "", max(image.size) <= SMALL)
