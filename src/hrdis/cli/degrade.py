"""``hrdis degrade``: damage a good picture, to have something to restore."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import hrdis
from hrdis import images
from hrdis.driver import measure
from hrdis.noise import Gaussian, Poisson, Speckle
from hrdis.operators import Inpainting
from hrdis.tasks import TASKS

from .parsing import check_outputs, check_picture, checking, choose, parse, peek
from .progress import say

HELP = """\
Damage a good picture: cut holes, shrink, add noise.

Examples:
  hrdis degrade photo.jpg --task sr4 -o small.png
  hrdis degrade photo.jpg --task inpaint-20-30 --seed 3 -o torn.png      (writes torn-mask.png too)
  hrdis degrade photo.jpg --task denoise --noise 0.1 -o noisy.png
  hrdis degrade photo.jpg --task denoise --noise-kind poisson --noise 1 -o grainy.png

Holes are painted grey, and the mask is written beside OUT, white where a hole is. A picture whose sides are no
multiples of what the task needs is cropped at the right and the bottom, and the command says so. A record OUT.json
is written.
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
    """Level of the noise to add: its standard deviation for pixel values from 0 to 1 (gaussian), as a share of the
    pixel value (speckle), or the rate of the photons (poisson: 1 counts 255 at white, and more is less noise)."""
    noise_kind: Literal["gaussian", "poisson", "speckle"] = "gaussian"
    """What kind of noise to add."""
    seed: int = 0
    """Seed of the mask and the noise."""


def main(argv: Sequence[str]) -> int:
    name = peek(argv, "--task", "sr4")
    choose("task", name, TASKS)
    args: Any = parse(Degrade, argv, "degrade", HELP)
    with checking():
        picture = images.read(args.image)
        images.check_output(args.output, transparent=picture.alpha is not None)
        task = TASKS[args.task]
        mask_file = args.output.with_name(f"{args.output.stem}-mask.png")
        extra = [mask_file] if task.mask else []
        check_outputs([args.output, *extra, args.output.with_suffix(".json")], [args.image])
        side = max(task.scale, task.multiple)
        h, w = (n - n % side for n in picture.size)
        if min(h, w) == 0:
            raise ValueError(f"{args.image} is smaller than {side} pixels. A larger picture is expected.")
        A = task.build(h, w, args.seed, 0)
        check_picture(args.task, A)
        noise = _noise(args.noise_kind, args.noise)
    x = picture.x[..., :h, :w]
    if (h, w) != picture.size:
        say(f"cropped to {w} x {h}, multiples of {side}")
    problem = measure(A, x, noise, seeds=[args.seed])
    cropped = picture if picture.alpha is None else images.Picture(x, picture.alpha[:h, :w], picture.bits, picture.icc)
    images.write(args.output, cropped.with_image(problem.y))
    files = [str(args.output)]
    if isinstance(A, Inpainting):
        images.save(mask_file, images.from_unit(1 - A.mask))
        files.append(str(mask_file))
    record = {
        "hrdis": hrdis.__version__,
        "image": str(args.image),
        "task": args.task,
        "noise": {
            "kind": args.noise_kind,
            "level": args.noise,
            "[0,1]": problem.sigma_y / 2,
            "[-1,1]": problem.sigma_y,
        },
        "seed": args.seed,
        "files": files,
    }
    images.write_atomically(
        args.output.with_suffix(".json"), lambda f: f.write(json.dumps(record, indent=2).encode() + b"\n")
    )
    say((f"{noise.describe()}. " if noise is not None else "") + "Wrote " + ", ".join(files))
    return 0


def _noise(kind: str, level: float) -> Gaussian | Poisson | Speckle | None:
    if kind == "gaussian":
        return Gaussian(level) if level != 0 else None
    if level == 0:
        usual = "1" if kind == "poisson" else "0.1"
        raise ValueError(f"--noise-kind {kind} needs its level. A number > 0 is expected: --noise {usual}")
    return Poisson(level) if kind == "poisson" else Speckle(level)
