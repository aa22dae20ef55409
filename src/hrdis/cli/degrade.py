"""``hrdis degrade``: damage a good picture, to have something to restore."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

import hrdis
from hrdis import images
from hrdis.driver import measure
from hrdis.noise import Gaussian
from hrdis.operators import Blur, Inpainting
from hrdis.tasks import TASKS

from .parsing import check_outputs, check_picture, checking, choose, parse, peek
from .progress import say

HELP = """\
Damage a good picture: cut holes, shrink, blur, take the colours, add noise.

Examples:
  hrdis degrade photo.jpg --task sr4 -o small.png
  hrdis degrade photo.jpg --task inpaint-20-30 --seed 3 -o torn.png      (writes torn-mask.png too)
  hrdis degrade photo.jpg --task denoise --noise 0.1 -o noisy.png
  hrdis degrade photo.jpg --task deblur-motion -o shaken.png             (writes shaken-kernel.npy too)

Holes are painted grey, and the mask is written beside OUT, white where a hole is. A picture whose sides are no
multiples of the scale is cropped at the right and the bottom, and the command says so. A record OUT.json is written.
"""


@dataclass(frozen=True, kw_only=True)
class Degrade:
    """Options of ``hrdis degrade``."""

    image: tyro.conf.Positional[Path]
    """The good picture."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the damaged picture goes."""
    task: str
    """How to damage it; `hrdis tasks` lists the names."""
    noise: float = 0.0
    """Standard deviation of the noise to add, for pixel values from 0 to 1."""
    seed: int = 0
    """Seed of the mask, the kernel and the noise."""


def main(argv: Sequence[str]) -> int:
    name = peek(argv, "--task", "sr4")
    choose("task", name, TASKS)
    args: Any = parse(Degrade, argv, "degrade", HELP)
    with checking():
        picture = images.read(args.image)
        images.check_output(args.output, transparent=picture.alpha is not None)
        task = TASKS[args.task]
        check_picture(args.task, task)
        mask_file, kernel_file = (
            args.output.with_name(f"{args.output.stem}-{end}") for end in ("mask.png", "kernel.npy")
        )
        extra = [mask_file] if task.mask else [kernel_file] if task.kernel else []
        check_outputs([args.output, *extra, args.output.with_suffix(".json")], [args.image])
        h, w = (n - n % task.scale for n in picture.size)
        if min(h, w) == 0:
            raise ValueError(f"{args.image} is smaller than {task.scale} pixels. A larger picture is expected.")
        A = (task.photo or task.build)(h, w, args.seed, 0)
        noise = Gaussian(args.noise) if args.noise != 0 else None
        x = picture.x[..., :h, :w]
        problem = measure(A, x, noise, seeds=[args.seed])
    if (h, w) != picture.size:
        say(f"cropped to {w} x {h}, multiples of {task.scale}")
    icc = picture.icc if problem.y.shape[1] == x.shape[1] else None  # a profile of colours does not fit grey
    alpha = None if picture.alpha is None else picture.alpha[:h, :w]
    images.write(args.output, images.Picture(x, alpha, picture.bits, icc).with_image(problem.y))
    files = [str(args.output)]
    if isinstance(A, Inpainting):
        images.save(mask_file, images.from_unit(1 - A.mask))
        files.append(str(mask_file))
    if task.kernel and isinstance(A, Blur):
        kernel = A.kernel.numpy()
        images.write_atomically(kernel_file, lambda f: np.save(f, kernel))
        files.append(str(kernel_file))
    record = {
        "hrdis": hrdis.__version__,
        "image": str(args.image),
        "task": args.task,
        "noise": {"[0,1]": args.noise, "[-1,1]": problem.sigma_y},
        "seed": args.seed,
        "files": files,
    }
    images.write_atomically(
        args.output.with_suffix(".json"), lambda f: f.write(json.dumps(record, indent=2).encode() + b"\n")
    )
    say("Wrote " + ", ".join(files))
    return 0
