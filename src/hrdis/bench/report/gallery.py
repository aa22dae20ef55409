"""Pictures of the report, with truth, measurement and methods, samples, and the steps of a run."""

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...images import open_image
from ..records import Row
from ..results import MethodResults, Results, psnr_of

INLINE_BYTES = 8_000_000  # of pictures in one file; the others are linked
SMALL_SIDE = 128  # pixels a side up to which pictures stay as they are; larger ones become JPEG
SHOWN_SIDE = 256  # pixels a side to which larger ones are scaled down

FRAME_TITLES = {"answer": "the answer so far", "state": "what the network sees"}


@dataclass(frozen=True)
class Thumbnail:
    """A picture with a caption.

    Args:
        caption: text under it.
        src: its address, or itself as a data URL; "" for a placeholder.
        note: further text under it, or in the placeholder.
        href: address of the file.
        small: True if it is shown larger than life.
    """

    caption: str
    src: str = ""
    note: str = ""
    href: str = ""
    small: bool = True


@dataclass(frozen=True)
class ImageRow:
    """Pictures of one original, side by side."""

    title: str
    images: tuple[Thumbnail, ...]


@dataclass(frozen=True)
class ImageGrid:
    """Rows of pictures under one title."""

    title: str
    rows: tuple[ImageRow, ...]


@dataclass
class Gallery:
    """Pictures of a page: inlined until the page is large enough, linked after that.

    Args:
        run: its rows name the files.
        beside: the folder of the report, for links; None for a page that links to no file, with
            every picture in it.
    """

    run: Results
    beside: Path | None
    inlined: int = 0
    linked: int = 0
    _known: dict[Path, tuple[str, bool]] = field(default_factory=dict)

    def thumbnail(self, caption: str, path: Path | None, note: str = "") -> Thumbnail:
        """Return a picture from a file, or a placeholder without one."""
        if path is None:
            return Thumbnail(caption, note=note or "no picture")
        href = "" if self.beside is None else Path(os.path.relpath(path, self.beside)).as_posix()
        if path not in self._known:
            self._known[path] = self._encode(path, href)
        src, small = self._known[path]
        return Thumbnail(caption, src, note, href, small)

    def _encode(self, path: Path, href: str) -> tuple[str, bool]:
        """Return the address of a picture, and True if it is small."""
        with open_image(path) as image:
            small = max(image.size) <= SMALL_SIDE
            if href and self.inlined >= INLINE_BYTES:
                self.linked += 1
                return href, small
            if small:
                src = data_url("png", path.read_bytes())
            else:
                image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
                buffer = io.BytesIO()
                image.convert("RGB").save(buffer, format="JPEG", quality=90, subsampling=0)
                src = data_url("jpeg", buffer.getvalue())
        self.inlined += len(src)
        return src, small

    def grid(
        self, title: str, methods: Sequence[tuple[str, MethodResults]], pictures: int = 3
    ) -> ImageGrid:
        """Return truth, measurement and every method, for the first pictures that all methods have
        tried.
        """
        if not methods:
            return ImageGrid(title, ())
        common = set(methods[0][1].images)
        order: dict[str, int] = {}  # places in the data
        for _, method in methods:
            common &= set(method.images)
            for row in method.rows:
                order[row["cell"]["image_sha256"]] = row["cell"].get("index", 0)
        rows = []
        for image in sorted(common, key=lambda image: (order[image], image))[:pictures]:
            of_image: list[Row] = []
            for _, method in methods:
                of_image += [row for row in method.rows if row["cell"]["image_sha256"] == image]
            thumbnails = self.inputs(of_image)
            for label, method in methods:
                thumbnails.append(self.result(label, method, image))
            rows.append(ImageRow(of_image[0]["cell"]["image"], tuple(thumbnails)))
        return ImageGrid(title, tuple(rows))

    def inputs(self, rows: Sequence[Row]) -> list[Thumbnail]:
        """Return the original and the measurement of the first row that names them."""
        first = rows[0]
        for row in rows:
            if row.get("truth"):
                first = row
                break
        given = self.run.picture(first, "measurement")
        return [
            self.thumbnail("original", self.run.picture(first, "truth")),
            self.thumbnail("given", given, "" if given else "is no picture"),
        ]

    def result(self, label: str, method: MethodResults, image: str) -> Thumbnail:
        """Return the thumbnail of a method's result, of the first seed or the chosen one, or a
        placeholder if it failed.
        """
        chosen = method.selected(method.selections[0]).get(image)
        if not chosen:
            return Thumbnail(label, note="failed")
        return self.thumbnail(label, self.run.picture(chosen[0]), _decibels(chosen[0]))

    def samples(self, label: str, method: MethodResults, image: str) -> ImageRow:
        """Return all seeds of a picture, and the standard deviation over them."""
        rows = method.by_image.get(image, [])
        thumbnails = self.inputs(rows or method.rows)
        files = []
        for row in rows:
            path = self.run.picture(row)
            caption = f"seed {row['cell']['seed']}"
            thumbnails.append(self.thumbnail(caption, path, _decibels(row)))
            if path is not None:
                files.append(path)
        if len(files) > 1:
            thumbnails.append(_deviation(files))
        return ImageRow(label, tuple(thumbnails))

    def steps(self, label: str, row: Row) -> tuple[ImageRow, ...]:
        """Return the recorded steps of a run, with the answer so far and the state that the network
        sees.
        """
        rows = []
        for kind, title in FRAME_TITLES.items():
            names = [name for name in row.get("frames", []) if name.endswith(f"-{kind}.png")]
            thumbnails = []
            # A state may be missing where a solver takes a step without asking the network.
            for t, name in zip(row.get("frame_times", []), names, strict=False):
                thumbnails.append(self.thumbnail(f"t = {t}", self.run.file(row["key"], name)))
            if thumbnails:
                rows.append(ImageRow(f"{label}: {title}", tuple(thumbnails)))
        return tuple(rows)


def data_url(kind: str, content: bytes) -> str:
    """Return a picture as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _decibels(row: Row) -> str:
    psnr = psnr_of(row)
    if psnr is None:
        return ""
    return "equal" if row["psnr"] is None else f"{psnr:.2f} dB"


def _deviation(files: Sequence[Path]) -> Thumbnail:
    """Return the standard deviation over samples, of every pixel over colours; white is the
    largest.
    """
    from PIL import Image

    samples = []
    for path in files:
        with open_image(path) as opened:
            samples.append(np.asarray(opened.convert("RGB"), dtype=np.float64) / 255)
    deviation = np.sqrt(np.stack(samples).var(axis=0, ddof=1).mean(axis=-1))
    largest = float(deviation.max())
    scaled = 255 * deviation / max(largest, 1e-12)  # equal samples are black, and no division by 0
    image = Image.fromarray(scaled.round().astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    src, small = data_url("png", buffer.getvalue()), max(image.size) <= SMALL_SIDE
    return Thumbnail("std over seeds", src, f"white: {largest:.3f}", "", small)
