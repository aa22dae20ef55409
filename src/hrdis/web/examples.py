"""Examples to try the page on, each a photograph of the package, damaged as a task describes."""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np

from .. import images
from ..files import write_atomically
from ..noise import Gaussian, read_level
from ..operators import Blur, Inpainting
from ..problem import measure
from .labels import LABELS, task_of


@dataclass(frozen=True)
class Example:
    """A damaged picture and the files that belong to it.

    Args:
        picture: the damaged picture.
        mask: for inpainting, white in the holes.
        kernel: for a blur whose kernel has to be given, an array.
        noise: standard deviation of the noise, in grey levels of 255.
    """

    picture: Path
    mask: Path | None
    kernel: Path | None
    noise: float


# Made once for each task: every click of every visitor shows the same files.
@lru_cache
def example(task: str, folder: Path) -> Example:
    """Damage the photograph as ``hrdis degrade`` does, and write the files to a folder."""
    x = images.load(Path(str(resources.files("hrdis") / "pictures" / "chelsea.png")))
    task_settings = task_of("inpaint-scratches" if task == "inpaint" else task)
    build = task_settings.photo or task_settings.build
    A = build(x.shape[-2], x.shape[-1], 0, 0)
    noise = LABELS[task].noise
    y = measure(A, x, Gaussian(read_level(noise)) if noise else None, seeds=[0]).y
    picture, mask, kernel = folder / f"example-{task}.png", None, None
    images.save(picture, y)
    if isinstance(A, Inpainting):
        mask = folder / f"example-{task}-mask.png"
        images.save(mask, images.from_unit(1 - A.mask[:, :1]))
    if task_settings.kernel and isinstance(A, Blur):
        kernel, weights = folder / f"example-{task}-kernel.npy", A.kernel.numpy()
        write_atomically(kernel, lambda file: np.save(file, weights))
    return Example(picture, mask, kernel, noise)
