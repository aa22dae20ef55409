"""``hrdis restore``: a picture that is already damaged."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from torch import Tensor

from hrdis import images
from hrdis.arguments import check
from hrdis.noise import Gaussian
from hrdis.operators import Colorization, Inpainting, Operator, Problem
from hrdis.operators.deepinv import Theirs
from hrdis.priors import Prior, Tiled, load_prior
from hrdis.priors.checkpoints import presets_of
from hrdis.solvers import SOLVERS, preset
from hrdis.tasks import TASKS, Task

from . import plugin
from .job import Job, outputs
from .measured import operator_of
from .parsing import check_outputs, check_picture, checking, choose, fail, number, parse, peek, pick_device
from .progress import say

HELP = """\
Restore a damaged picture: fill holes, enlarge, sharpen, colour, remove noise.

Examples:
  hrdis restore small.jpg --task sr4 -o large.png
  hrdis restore torn.png --task inpaint --mask holes.png -o whole.png --samples 4
  hrdis restore noisy.png --task denoise --noise 0.1 -o clean.png --solver reddiff --steps 60
  hrdis restore blurred.png --task deblur-gauss --noise 0.01 -o sharp.png
  hrdis restore shaken.png --task deblur-motion --kernel shaken-kernel.npy -o sharp.png
  hrdis restore blurred.png --task deblur-nonlinear --weights GOPRO_wVAE.pth --kernel blurred-kernel.npy -o sharp.png
  hrdis restore grey.jpg --task colorize -o coloured.png
  hrdis restore dark.jpg --task lowlight -o bright.png            (OUT.json holds the exposure it found)

  hrdis restore y.npy --operator my.py:make -o whole.png          (your own; see `hrdis check-operator --help`)

The mask is a picture of the same size: white where a hole is to be filled (see --hole). --noise is the standard
deviation of the noise for pixel values from 0 to 1 (25 of 255 is 0.1). Beside OUT a record OUT.json says what was
done; with --samples K the other samples, their mean, a map of where they differ, and a contact sheet are written too.
--operator executes the python file: run none that you do not trust. Its measurement is a picture, or an array (.npy,
.pt, .safetensors) of one measurement with the image axis first, in its own units. The settings start from those of sr4.
The last group lists the settings of the chosen solver; their defaults fit the task and the prior.
"""

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Options of ``hrdis restore``."""

    image: tyro.conf.Positional[Path]
    """The damaged picture: PNG, JPEG, WebP, TIFF or BMP; any size, grey, colour or transparent. Or an array."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the restored picture goes; the suffix chooses the format."""
    task: str = ""
    """What is wrong with the picture; `hrdis tasks` lists the names."""
    operator: str = ""
    """FILE.py:NAME, an operator of your own instead of a task; the file is executed."""
    size: tuple[int, int] | None = None
    """Height and width of the restored picture, for an --operator that asks for them; by default those of IMAGE."""
    mask: Path | None = None
    """A picture (or .npy array of 0 and 1) of the same size that shows the holes; needed for inpainting."""
    hole: Literal["white", "black", "alpha"] = "white"
    """What marks a hole in the mask; alpha means transparent, and then the picture may be its own mask."""
    kernel: Path | None = None
    """The blur kernel, a .npy array or a picture (bright = heavy) of odd sides; needed for deblur-motion. For
    deblur-nonlinear the latent of the network's blur, a .npy array (1, 512, h / 128, w / 128)."""
    weights: Path | None = None
    """Weights of the network that blurs (.pth, .pt, .safetensors); needed for deblur-nonlinear."""
    noise: float = 0.0
    """Standard deviation of the noise in the picture, for pixel values from 0 to 1."""
    solver: str = ""
    """The algorithm; `hrdis solvers` lists the names. By default hrdis, or blindhrdis for the task lowlight."""
    prior: str = "default"
    """The diffusion model: 'default', a name of `hrdis prior list`, a folder, or SCHEME:PATH."""
    label: int | None = None
    """The class of the picture, a number from 0; for class-conditional models only."""
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
    tile_memory: float = 0.0
    """Gigabytes that a network call on tiles may take; 0: as much as the GPU has free, or one tile after the other."""


def main(argv: Sequence[str]) -> int:
    wanted = not {"-h", "--help"} & set(argv)
    task = peek(argv, "--task", "inpaint")
    task = choose("task", task, TASKS) if wanted or task in TASKS else "inpaint"
    task = "sr4" if peek(argv, "--operator", "") else task  # whose presets suit what nobody has tuned for
    solver = choose("solver", peek(argv, "--solver", TASKS[task].solver), SOLVERS)
    with checking():
        noise = number(peek(argv, "--noise", "0"), "--noise")
    key, settings = preset(solver, TASKS[task].presets, presets_of(peek(argv, "--prior", "default")), noise)
    args: Any = replace(parse(Restore, argv, "restore", HELP, settings=settings), solver=solver)
    with checking():
        plugin.task_or_operator(args)
        job = prepare(args, TASKS.get(args.task))
    calls = len(job.times) - 1
    say(f"{args.task or args.operator} with {args.solver} (preset {key or 'none'}), {calls} network calls a sample")
    try:
        found = job.run()
    except Exception as error:
        if not args.operator:
            raise
        return fail("restore", plugin.explain(args.operator, error), 1)
    if not bool(torch.isfinite(found.samples).all()):
        say(
            "hrdis restore: the restoration became NaN or infinite; nothing was written. The steps are too large for "
            "this picture: lower --lr, or leave the settings to their preset."
        )
        return 1
    files = job.write(found.samples)
    record = job.record(key, files, found)
    images.write_atomically(
        args.output.with_suffix(".json"),
        lambda f: f.write(json.dumps(record, indent=2, allow_nan=False).encode() + b"\n"),
    )
    say(f"{found.seconds:.1f} s. Wrote " + ", ".join(files))
    return 0


def prepare(args: Any, task: Task | None) -> Job:
    """Read, check and load everything; raises ValueError or TypeError before any work. Without a task: --operator."""
    if args.samples < 1:
        raise ValueError(f"--samples is {args.samples}. At least 1 is expected.")
    if not 0 <= args.noise < 1:
        raise ValueError(f"--noise is {args.noise}. A standard deviation from 0 to 1 is expected: --noise 0.05")
    if args.task == "denoise" and args.noise == 0:
        raise ValueError("--task denoise needs the strength of the noise: --noise 0.1 (25 of 255).")
    if args.tile < 64:
        raise ValueError(f"--tile is {args.tile}. At least 64 pixels are expected: --tile 512")
    own = task is None and args.image.suffix in plugin.ARRAYS
    picture = None if own else images.read(args.image)
    y = plugin.read_array(args.image) if picture is None else picture.x
    transparent = picture is not None and picture.alpha is not None
    images.check_output(args.output, transparent=transparent and args.hole != "alpha")
    check_outputs(outputs(args.output, args.samples), [args.image, args.mask, args.kernel, args.weights])
    if task is not None:
        _check_pixels(args, y.shape[-2] * task.scale, y.shape[-1] * task.scale)
        operator = operator_of(args, task, y.shape[-2], y.shape[-1])
        check_picture(args.task, operator)
    device = pick_device(args.device)
    prior = load_prior(args.prior, label=args.label, dtype=DTYPES[args.precision], device=device)
    if task is None:
        problem = _own(args, _coloured(y, prior, picture is not None).to(device), picture is not None)
        picture = picture or images.Picture(torch.zeros(problem.image_shape))
    else:
        assert picture is not None
        y, picture = _measurement(picture, operator, prior)
        problem = Problem(y.to(device), operator.float().to(device), Gaussian(args.noise).sigma_y)
    settings = args.settings
    tiled = Tiled(prior, args.tile, args.overlap, memory=args.tile_memory * 1e9 or "free")
    check(settings, tiled, problem)
    return Job(args, picture, problem, tiled, settings, settings.times(prior.schedule))


def _check_pixels(args: Any, h: int, w: int) -> None:
    if h * w > images.MAX_PIXELS:
        raise ValueError(
            f"Restored, {args.image} has {h * w / 1e6:.0f} megapixels. At most {images.MAX_PIXELS // 1_000_000} are "
            "expected. Crop it, or use a smaller scale: --task sr2"
        )


def _own(args: Any, y: Tensor, is_picture: bool) -> Problem:
    """The problem of an operator of the user's own."""
    if args.mask is not None:
        raise ValueError("--mask is given, but --operator takes none. Build the mask into the operator.")
    if args.weights is not None:
        raise ValueError("--weights is given, but --operator takes none. Load them in the file of the operator.")
    if args.size is None and y.ndim != 4:
        raise ValueError(
            f"{args.image} has shape {tuple(y.shape)}, which does not tell the size of the picture. "
            "Height and width are expected: --size 64 64"
        )
    h, w = args.size or y.shape[-2:]
    A = plugin.load(args.operator, (y.shape[1] if y.ndim == 4 and y.shape[1] in (1, 3) else 3, h, w)).to(y.device)
    if isinstance(A, Theirs):
        y = A.from_theirs(images.to_unit(y) if is_picture else y)
    shape = A.image_shape(tuple(y.shape))
    _check_pixels(args, *shape[-2:])
    with plugin.running(args.operator):
        with torch.no_grad():
            measured = tuple(A(y.new_zeros(shape)).shape)
        if measured != tuple(y.shape):
            raise ValueError(
                f"{args.image} has shape {tuple(y.shape)}, but {args.operator} gives {measured} for a picture of "
                f"{shape[-2]} x {shape[-1]}. Height and width of the restored picture are expected: --size 64 64"
            )
        return Problem(y, A, Gaussian(args.noise).sigma_y * (A.scale if isinstance(A, Theirs) else 1))


def _coloured(y: Tensor, prior: Prior, is_picture: bool) -> Tensor:
    """Grey is restored in colour and averaged: the network knows noise that differs between channels."""
    return y.expand(-1, 3, -1, -1) if is_picture and y.shape[1] == 1 and prior.channels is not None else y


def _measurement(picture: images.Picture, A: Operator, prior: Prior) -> tuple[Tensor, images.Picture]:
    """What of the picture is the measurement, and the picture without what the restored one cannot keep."""
    if isinstance(A, Colorization):
        grey = picture.x.shape[1] == 1
        return (picture.x.clone(), replace(picture, icc=None)) if grey else (A(picture.x), picture)
    y = _coloured(picture.x, prior, True)
    return A(y) if isinstance(A, Inpainting) else y.clone(), picture
