"""Something to try the page on: a photograph that comes with the package, damaged as a task
says.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from .. import images
from ..noise import Gaussian
from ..operators import Blur, Inpainting
from ..problem import measure
from ..tasks import TASKS
from .words import WORDS


@dataclass(frozen=True)
class Example:
    """A damaged picture, and what belongs to it: the mask, white in the holes; the kernel; the
    noise in [0, 1].
    """

    picture: Path
    mask: Path | None
    kernel: Path | None
    noise: float


def example(task: str, folder: Path) -> Example:
    """Damage a photograph as ``hrdis degrade`` would, and write it into a folder."""
    x = images.load(Path(str(resources.files("hrdis") / "pictures" / "chelsea.png")))
    known = TASKS["inpaint-scratches" if task == "inpaint" else task]
    A = (known.photo or known.build)(x.shape[-2], x.shape[-1], 0, 0)
    noise = WORDS[task].noise
    y = measure(A, x, Gaussian(noise) if noise else None, seeds=[0]).y
    picture, mask, kernel = folder / f"example-{task}.png", None, None
    images.save(picture, y)
    if isinstance(A, Inpainting):
        mask = folder / f"example-{task}-mask.png"
        images.save(mask, images.from_unit(1 - A.mask[:, :1]))
    if known.kernel and isinstance(A, Blur):
        kernel = folder / f"example-{task}-kernel.npy"
        np.save(kernel, A.kernel.numpy())
    return Example(picture, mask, kernel, noise)
