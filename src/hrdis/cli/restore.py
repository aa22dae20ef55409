"""``hrdis restore``: a picture that is already damaged."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from hrdis import images
from hrdis.checks import check
from hrdis.noise import Gaussian
from hrdis.operators import Inpainting, Operator, Problem, masks
from hrdis.priors import Tiled, load_prior
from hrdis.priors.checkpoints import presets_of
from hrdis.solvers import SOLVERS, preset
from hrdis.tasks import TASKS, Task

from .job import Job, outputs
from .parsing import check_outputs, check_picture, checking, choose, number, parse, peek
from .progress import say

HELP = """\
Restore a damaged picture: fill holes, enlarge, remove noise.

Examples:
  hrdis restore small.jpg --task sr4 -o large.png
  hrdis restore torn.png --task inpaint --mask holes.png -o whole.png --samples 4
  hrdis restore noisy.png --task denoise --noise 0.1 -o clean.png --solver reddiff --steps 60

The mask is a picture of the same size: white where a hole is to be filled (see --hole). --noise is the standard
deviation of the noise for pixel values from 0 to 1 (25 of 255 is 0.1). Beside OUT a record OUT.json says what was
done; with --samples K the other samples, their mean, a map of where they differ, and a contact sheet are written too.
The last group lists the settings of the chosen solver; their defaults fit the task and the prior.
"""

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Options of ``hrdis restore``."""

    image: tyro.conf.Positional[Path]
    """The damaged picture: PNG, JPEG, WebP, TIFF or BMP; any size, grey, colour or transparent."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the restored picture goes; the suffix chooses the format."""
    task: str
    """What is wrong with the picture; `hrdis tasks` lists the names."""
    mask: Path | None = None
    """A picture (or .npy array of 0 and 1) of the same size that shows the holes; needed for inpainting."""
    hole: Literal["white", "black", "alpha"] = "white"
    """What marks a hole in the mask; alpha means transparent, and then the picture may be its own mask."""
    noise: float = 0.0
    """Standard deviation of the noise in the picture, for pixel values from 0 to 1."""
    solver: str = "hrdis"
    """The algorithm; `hrdis solvers` lists the names."""
    prior: str = "default"
    """The diffusion model: 'default', or a folder made by `hrdis train` or diffusers."""
    samples: int = 1
    """How many restorations to draw, to see what is certain and what was invented."""
    seed: int = 0
    """Seed of the first sample; the others take the numbers after it."""
    redraw: bool = False
    """Inpainting without noise: take observed pixels from the solver too, instead of leaving them as they were."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1, mps."""
    precision: Precision = "fp32"
    """Precision of the network; bf16 and fp16 are faster on some machines, and change the last digits."""
    tile: int = 512
    """Larger pictures run in tiles of this side, with --overlap between them."""
    overlap: int = 64
    """How far tiles overlap, in pixels."""


def main(argv: Sequence[str]) -> int:
    wanted = not {"-h", "--help"} & set(argv)
    solver = choose("solver", peek(argv, "--solver", "hrdis"), SOLVERS)
    task = peek(argv, "--task", "inpaint")
    task = choose("task", task, TASKS) if wanted or task in TASKS else "inpaint"
    with checking():
        noise = number(peek(argv, "--noise", "0"), "--noise")
    key, settings = preset(solver, TASKS[task].presets, presets_of(peek(argv, "--prior", "default")), noise)
    args: Any = parse(Restore, argv, "restore", HELP, settings=settings)
    with checking():
        job = prepare(args, TASKS[args.task])
    say(f"{args.task} with {args.solver} (preset {key or 'none'}), {len(job.times) - 1} network calls a sample")
    samples, nfe, seconds = job.run()
    if not bool(torch.isfinite(samples).all()):
        say(
            "hrdis restore: the restoration became NaN or infinite; nothing was written. The steps are too large for "
            "this picture: lower --lr, or leave the settings to their preset."
        )
        return 1
    files = job.write(samples)
    record = job.record(key, files, nfe, seconds)
    images.write_atomically(
        args.output.with_suffix(".json"),
        lambda f: f.write(json.dumps(record, indent=2, allow_nan=False).encode() + b"\n"),
    )
    say(f"{seconds:.1f} s. Wrote " + ", ".join(files))
    return 0


def prepare(args: Any, task: Task) -> Job:
    """Read, check and load everything; raises ValueError or TypeError before any work."""
    if args.samples < 1:
        raise ValueError(f"--samples is {args.samples}. At least 1 is expected.")
    if not 0 <= args.noise < 1:
        raise ValueError(f"--noise is {args.noise}. A standard deviation from 0 to 1 is expected: --noise 0.05")
    if args.task == "denoise" and args.noise == 0:
        raise ValueError("--task denoise needs the strength of the noise: --noise 0.1 (25 of 255).")
    picture = images.read(args.image)
    images.check_output(args.output, transparent=picture.alpha is not None and args.hole != "alpha")
    check_outputs(outputs(args.output, args.samples), [args.image, args.mask])
    h, w = picture.size
    if h * w * task.scale**2 > images.MAX_PIXELS:
        raise ValueError(
            f"Enlarged {task.scale} times, {args.image} has {h * w * task.scale**2 / 1e6:.0f} megapixels. At most "
            f"{images.MAX_PIXELS // 1_000_000} are expected. Crop it, or use a smaller scale: --task sr2"
        )
    operator = _operator(args, task, picture)
    check_picture(args.task, operator)
    prior = load_prior(args.prior, dtype=DTYPES[args.precision], device=_device(args.device))
    if args.tile < 64:
        raise ValueError(f"--tile is {args.tile}. At least 64 pixels are expected: --tile 512")
    # Grey is restored in colour and averaged: the network knows noise that differs between channels.
    y = picture.x if prior.channels is None or picture.x.shape[1] == 3 else picture.x.expand(-1, 3, -1, -1)
    y = y.to(_device(args.device))
    y = operator(y) if isinstance(operator, Inpainting) else y.clone()
    problem = Problem(y, operator.to(y.device), Gaussian(args.noise).sigma_y)
    settings = args.settings
    tiled = Tiled(prior, args.tile, args.overlap)
    check(settings, tiled, problem)
    return Job(args, picture, problem, tiled, settings, settings.times(prior.schedule))


def _operator(args: Any, task: Task, picture: images.Picture) -> Operator:
    h, w = picture.size
    if not task.mask:
        if args.mask is not None:
            raise ValueError(f"--mask is given, but the task {args.task!r} takes none. Use --task inpaint.")
        return task.build(h, w, 0, 0)
    source = args.image if args.mask is None and args.hole == "alpha" else args.mask
    if source is None:
        raise ValueError(
            f"The task {args.task!r} needs a mask: --mask holes.png (white where a hole is to be filled), "
            "or --hole alpha if the holes are transparent."
        )
    if source.suffix != ".npy":
        images.read(source)  # the same checks and messages as for the picture
    mask = masks.from_file(source, args.hole)
    if mask.shape != (h, w):
        raise ValueError(
            f"The mask {source} is {mask.shape[1]} x {mask.shape[0]}, the picture {w} x {h} (width x height). "
            "Both must agree; nothing is resized in silence."
        )
    return Inpainting(mask)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used ({str(error).splitlines()[0]}). Use --device cpu.") from None
    return device
