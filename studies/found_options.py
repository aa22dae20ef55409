"""How well `hrdis restore` does with ``--quality auto`` and ``--kernel auto``.

    python studies/found_options.py --photos PHOTOS --rows docs/data/fix-auto.csv

The photographs are those of studies/fix.py, reduced, cropped, and compressed or blurred. Each is
restored with the option found and with the true one, by the solver that the command takes. The
section of docs/measurements/fix.md is written by studies/fix.py --page.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from fix import blurred, keep, line, motion_of, photograph, psnr, read, stored
from PIL import Image

import hrdis
from hrdis.operators import kernels


@dataclass(frozen=True)
class Options:
    """What is measured, on which photographs."""

    photos: Path
    """Folder of photographs."""
    count: int = 15
    """How many of them, evenly spread over their names."""
    side: int = 128
    """Side of the crops in pixels, a multiple of 16."""
    shrink: int = 2
    """How much the photographs are reduced before."""
    rows: Path | None = None
    """A CSV file for the rows, one after the other; what is there already is not measured again."""


@dataclass(frozen=True)
class Case:
    """One kind of damage, and the option that is looked for.

    Args:
        name: of the damage.
        option: "quality" or "kernel".
        quality: of the JPEG; 0 for none.
        again: whether the JPEG is saved as PNG.
        width: of a Gaussian blur in pixels; 0 for none.
        motion: whether it is a motion, whose length and angle depend on the photograph.
    """

    name: str
    option: str
    quality: int = 0
    again: bool = False
    width: float = 0.0
    motion: bool = False

    @property
    def task(self) -> str:
        """The task of `hrdis restore`."""
        return "dejpeg" if self.option == "quality" else "deblur"

    def truth(self, k: int) -> Any:
        """Return the true option on photograph k; None where there is no damage."""
        if self.motion:
            return line(*motion_of(k)).numpy()
        return self.quality or (f"gaussian:{self.width:g}" if self.width else None)

    def write(self, pixels: np.ndarray, k: int, folder: Path) -> Path:
        """Damage a photograph (3, h, w) from 0 to 255, and return the file."""
        if self.width:
            pixels = blurred(pixels, kernels.gaussian(25, self.width))
        elif self.motion:
            pixels = blurred(pixels, line(*motion_of(k)))
        whole = np.clip(np.round(pixels), 0, 255).astype(np.uint8).transpose(1, 2, 0)
        file = folder / ("given.jpg" if self.quality else "given.png")
        Image.fromarray(whole).save(file, **({"quality": self.quality} if self.quality else {}))
        if self.again:
            with Image.open(file) as image:
                image.save(folder / "again.png")
            return folder / "again.png"
        return file


CASES = (
    Case("nothing", "quality"),
    Case("JPEG 95", "quality", 95),
    Case("JPEG 20", "quality", 20),
    Case("JPEG 50", "quality", 50),
    Case("JPEG 75", "quality", 75),
    Case("JPEG 50, saved again", "quality", 50, again=True),
    Case("nothing", "kernel"),
    Case("blur 1.8", "kernel", width=1.8),
    Case("blur 2.5", "kernel", width=2.5),
    Case("motion", "kernel", motion=True),
)


def measured(case: Case, pixels: np.ndarray, k: int, prior: hrdis.Prior) -> dict[str, Any]:
    """Return what is found on a photograph, and what it gains beside the truth."""
    x = stored(pixels)
    with tempfile.TemporaryDirectory() as folder:
        file = case.write(pixels, k, Path(folder))
        before = psnr(hrdis.images.read(file).x, x)
        truth, told = case.truth(k), ""
        if truth is not None:
            known = {case.option: truth}
            told = round(psnr(hrdis.restore(file, case.task, **known, prior=prior).samples, x), 2)
        try:
            found = hrdis.restore(file, case.task, **{case.option: "auto"}, prior=prior)
        except ValueError as error:
            said = str(error).partition(": ")[2]
            return {"found": "", "before": round(before, 2), "told": told, "after": "",
                    "said": said}  # fmt: skip
        after = round(psnr(found.samples, x), 2)
        return {
            "found": found.record[case.option], "before": round(before, 2), "told": told,
            "after": after, "said": found.record["found"][case.option],
        }  # fmt: skip


def main() -> None:
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    names = sorted(options.photos.glob("*.jpg"))
    there = {(row["damage"], row["option"], row["photograph"]) for row in read(options.rows)}
    prior = hrdis.load_prior("default")
    chosen = np.linspace(0, len(names) - 1, min(options.count, len(names))).astype(int)
    for k, i in enumerate(chosen):
        pixels = photograph(names[i], options.side, options.shrink)
        for case in CASES:
            if (case.name, case.option, names[i].stem) in there:
                continue
            row = {"damage": case.name, "option": case.option, "photograph": names[i].stem}
            row |= measured(case, pixels, k, prior)
            keep(options.rows, row)
            print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
