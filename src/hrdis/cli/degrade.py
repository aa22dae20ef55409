"""``hrdis degrade``: damage a good picture, to have something to restore."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro
from torch import Tensor

import hrdis
from hrdis import images
from hrdis.noise import Gaussian, Poisson, Speckle, read_level
from hrdis.operators import Blur, Inpainting, NonlinearBlur
from hrdis.operators.deepinv import DeepinvOperator
from hrdis.problem import measure
from hrdis.repairs import WORDS, is_word, resolve
from hrdis.restoration import plugin
from hrdis.restoration.inputs import with_weights
from hrdis.restoration.record import DamageRecord
from hrdis.tasks import Task

from .parsing import checking, parse
from .progress import say
from .unused import refuse

HELP = """\
Damage a good picture: cut holes, shrink, blur, take the colours, add noise.

Examples:
  hrdis degrade photo.jpg --task upscale --scale 4 -o small.png
  hrdis degrade photo.jpg --task inpaint-20-30 --seed 3 -o torn.png      (writes torn-mask.png too)
  hrdis degrade photo.jpg --task inpaint --mask holes.png -o torn.png
  hrdis degrade photo.jpg --task inpaint --mask imagenet_freeform_masks.npz --mask-index 3 \\
      -o torn.png
  hrdis degrade photo.jpg --task denoise --noise 25 -o noisy.png
  hrdis degrade photo.jpg --task deblur --kernel gaussian:3 -o soft.png
  hrdis degrade photo.jpg --task deblur-motion -o shaken.png   (and shaken-kernel.npy)
  hrdis degrade photo.jpg --task deblur-nonlinear --weights GOPRO_wVAE.pth -o blurred.png
  hrdis degrade photo.jpg --task denoise --noise-kind poisson --noise 1 -o grainy.png
  hrdis degrade photo.jpg --task cs25 -o cs.npy   (numbers that are no picture, as an array)
  hrdis degrade photo.jpg --operator my.py:make -o y.npy   (see `hrdis check operator --help`)

Holes are painted grey, and the mask is written beside OUT, white where a hole is. A picture whose
sides are no multiples of what the task needs is cropped at the right and the bottom, and the
command says so. A record OUT.json is written. --operator executes the python file: run none that
you do not trust. What its operator gives is written as a picture if it is one, or as it is, the
image axis first, if OUT ends in .npy.
"""


AnyNoise = Gaussian | Poisson | Speckle


@dataclass(frozen=True, kw_only=True)
class Degrade:
    """Options of ``hrdis degrade``."""

    image: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PICTURE")]
    """The good picture."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT")]
    """Where the damaged picture goes."""
    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = ""
    """How to damage it: the task that repairs it; `hrdis list tasks` lists the names."""
    scale: int | None = None
    """For upscale: how much smaller, 2, 4 or 8; by default 4."""
    quality: int | None = None
    """For dejpeg: the quality of the JPEG compression, from 1 to 100; by default 10."""
    bits: int | None = None
    """For deband: bits per colour, from 1 to 7; by default 3."""
    kernel: Annotated[str | None, tyro.conf.arg(metavar="WORD")] = None
    """For deblur: gaussian:3, box:9 or motion:15:30, in pixels; by default a camera's shake."""
    operator: Annotated[str, tyro.conf.arg(metavar="FILE.py:NAME")] = ""
    """An operator of your own instead of a task. The file is executed."""
    weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Weights of the network that blurs (.pth, .pt, .safetensors); needed for deblur-nonlinear."""
    mask: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """For inpaint: a mask instead of a drawn one, white where a hole is, or Palette's file of
    masks, imagenet_freeform_masks.npz, for pictures of 256 x 256.
    """
    mask_index: int = 0
    """Which mask of Palette's file."""
    noise: Annotated[str, tyro.conf.arg(metavar="0.1|25/255|25")] = "0"
    """Level of the noise to add. For gaussian it is the standard deviation, as a fraction of white
    (0.1 or 25/255) or, from 1 on, in grey levels of 255 (25). For speckle it is a share of the
    pixel value. For poisson it is the rate of the photons; 1 counts 255 at white, and more is less
    noise.
    """
    noise_kind: Literal["gaussian", "poisson", "speckle"] = "gaussian"
    """What kind of noise to add."""
    seed: int = 0
    """Seed of the mask, the kernel and the noise."""
    overwrite: bool = False
    """Replace files that are in the way, also those that hrdis did not write."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(Degrade, argv, "degrade", HELP)
    with checking():
        if args.noise_kind == "gaussian":  # a number from 1 on is grey levels
            level = read_level(args.noise)
        else:
            try:
                level = float(args.noise)
            except ValueError:
                raise ValueError(
                    f"--noise is {args.noise!r}. A number is expected: --noise 1"
                ) from None
        args = replace(args, noise=level)
        plugin.task_or_operator(args)
        refuse(argv, _unused(args))
        picture = images.read(args.image).without_hidden()
        noise = _noise(args.noise_kind, level)
        known = None
        if args.task:
            if args.kernel is not None and not is_word(args.kernel):
                raise ValueError(
                    f"--kernel is {args.kernel!r}. One of {WORDS} is expected, in pixels; a file "
                    "is read by hrdis restore."
                )
            known = resolve(
                args.task, scale=args.scale, quality=args.quality, bits=args.bits,
                kernel=args.kernel,
            )  # fmt: skip
        if known is not None and not known.picture and args.output.suffix != ".npy":
            raise ValueError(
                f"The task {args.task!r} does not measure a picture. A .npy file is expected: "
                f"-o {args.output.with_suffix('.npy') if args.output.name else 'y.npy'}"
            )
        record = images.records.record_beside(args.output)
        inputs = [args.image, args.mask, args.weights]
        images.records.check([args.output, record], inputs, overwrite=args.overwrite)
        if args.operator:
            if args.mask is not None:
                raise ValueError("--mask is given, but --operator takes none.")
            if args.weights is not None:
                raise ValueError(
                    "--weights is given, but --operator takes none. Load them in the operator's "
                    "file."
                )
            y = _own(args, picture, noise)
        elif known is not None and known.picture:
            images.check_output(args.output, transparent=picture.alpha is not None)
        else:
            images.check_folder(args.output.parent)
    if args.operator:
        _record(args, noise, [args.output], unfinished=True)
        if args.output.suffix == ".npy":
            plugin.write_array(args.output, y)
        else:
            images.write(args.output, picture.with_image(y))
        return _finish(args, noise, [args.output])
    assert known is not None  # else there is an operator
    return _task(args, known, picture, noise)


def _unused(args: Any) -> dict[str, str]:
    """Return the options that change nothing, each with the reason.

    A seed belongs to every task. Where nothing is drawn, all seeds give the same.
    """
    unused = {}
    if args.operator:
        for name in ("scale", "quality", "bits", "kernel"):
            unused[name] = "--operator takes none."
    if args.mask is None or args.mask.suffix != ".npz":
        unused["mask-index"] = (
            "no file of many masks is. One is expected: --mask imagenet_freeform_masks.npz"
        )
    if args.noise_kind == "gaussian" and args.noise == 0:
        unused["noise-kind"] = "no noise is added. Its strength is expected: --noise 0.1"
    return unused


def _task(args: Any, task: Task, picture: images.Picture, noise: AnyNoise | None) -> int:
    with checking():
        task = with_weights(args.task, task, args.weights)
        mask_file, kernel_file = (
            args.output.with_name(f"{args.output.stem}-{end}") for end in ("mask.png", "kernel.npy")
        )
        extra = [mask_file] if task.mask else [kernel_file] if task.kernel or task.weights else []
        images.records.check(
            extra,
            [args.image, args.weights, args.mask],
            record=images.records.record_beside(args.output),
            overwrite=args.overwrite,
        )
        side = max(task.scale, task.multiple)
        h, w = (n - n % side for n in picture.size)
        if min(h, w) == 0:
            raise ValueError(
                f"{args.image} is smaller than {side} pixels. A larger picture is expected."
            )
        if args.mask is None:
            A = (task.photo or task.build)(h, w, args.seed, 0)
        else:
            A = Inpainting(mask_of_option(args, task, h, w))
        if A.lossless and noise is None:
            raise ValueError(
                f"--task {args.task} adds noise and nothing else. Its strength is expected: "
                "--noise 0.1"
            )
        x = picture.x[..., :h, :w]
        problem = measure(A, x, noise, seeds=[args.seed])
    if (h, w) != picture.size:
        say(f"cropped to {w} x {h}, multiples of {side}")
    _record(args, noise, [args.output, *extra], unfinished=True)
    if not task.picture:
        plugin.write_array(args.output, problem.y)
        return _finish(args, noise, [args.output])
    icc = (
        picture.icc if problem.y.shape[1] == x.shape[1] else None
    )  # a profile of colours does not fit grey
    alpha = None if picture.alpha is None else picture.alpha[:h, :w]
    images.write(args.output, replace(picture, x=x, alpha=alpha, icc=icc).with_image(problem.y))
    files = [args.output]
    if isinstance(A, Inpainting):
        images.save(mask_file, images.from_unit(1 - A.mask))
        files.append(mask_file)
    if isinstance(A, NonlinearBlur) or (task.kernel and isinstance(A, Blur)):
        kernel = (A.latents(1, h, w) if isinstance(A, NonlinearBlur) else A.kernel).numpy()
        images.write_atomically(kernel_file, lambda f: np.save(f, kernel))
        files.append(kernel_file)
    return _finish(args, noise, files)


def mask_of_option(args: Any, task: Task, h: int, w: int) -> Tensor:
    """Return the mask that --mask names, (h, w), 1 = observed.

    Raises:
        ValueError: for a task without holes, or a mask that does not fit.
    """
    if not task.mask:
        raise ValueError(f"--mask is given, but the task {args.task!r} has no holes.")
    if args.mask.suffix != ".npz":
        mask = images.read_mask(args.mask)
    elif task.band is None:
        raise ValueError(
            f"{args.mask} has no masks like those of {args.task!r}. Use --task inpaint, "
            "inpaint-20-30 or inpaint-30-40."
        )
    elif args.mask_index < 0:
        raise ValueError(f"--mask-index is {args.mask_index}. 0 or more is expected.")
    else:
        mask = images.read_palette_mask(args.mask, task.band, args.mask_index)
    if mask.shape != (h, w):
        raise ValueError(
            f"{args.mask} holds a mask of {mask.shape[1]} x {mask.shape[0]} pixels, and "
            f"{args.image} has {w} x {h}. One size is expected: scale or crop the picture first."
        )
    return mask


def _own(args: Any, picture: images.Picture, noise: AnyNoise | None) -> Tensor:
    """Measure with an operator of the user's own; in [-1, 1] where it is written as a picture."""
    array = args.output.suffix == ".npy"
    if array:
        images.check_folder(args.output.parent)
    else:
        images.check_output(args.output, transparent=picture.alpha is not None)
    c, h, w = picture.x.shape[1:]
    A = plugin.load(args.operator, (c, h, w))
    with plugin.running(args.operator), torch.no_grad():
        y, clean = measure(A, picture.x, noise, seeds=[args.seed]).y, A(picture.x)
        if isinstance(A, DeepinvOperator):
            y, clean = A.to_deepinv_range(y), images.from_unit(A.to_deepinv_range(clean))
    if array:
        return y
    if not plugin.is_picture(clean):
        raise ValueError(
            f"{args.operator} gives shape {tuple(clean.shape)}, values from "
            f"{float(clean.min()):.3g} to {float(clean.max()):.3g}, which is no picture. A .npy "
            f"file is expected: -o {args.output.with_suffix('.npy')}"
        )
    return images.from_unit(y) if isinstance(A, DeepinvOperator) else y


def _finish(args: Any, noise: AnyNoise | None, files: list[Path]) -> int:
    """Write the record of files that are there, and name them; returns the exit status."""
    _record(args, noise, files)
    written = ", ".join(map(str, files))
    say((f"{noise.describe()}. " if noise is not None else "") + f"Wrote {written}")
    return 0


def _record(
    args: Any, noise: AnyNoise | None, files: list[Path], *, unfinished: bool = False
) -> None:
    sigma_y = 0.0 if noise is None else noise.sigma_y
    record: DamageRecord = {
        "hrdis": hrdis.__version__,
        "image": str(args.image),
        "task": args.task or None,
        "scale": args.scale,
        "quality": args.quality,
        "bits": args.bits,
        "kernel": args.kernel,
        "mask": None if args.mask is None else str(args.mask),
        "mask_index": args.mask_index if args.mask is not None else None,
        "weights": None if args.weights is None else str(args.weights),
        "operator": args.operator or None,
        "operator_sha256": plugin.digest(args.operator),
        "noise": {
            "kind": args.noise_kind,
            "level": args.noise,
            "[0,1]": sigma_y / 2,
            "[-1,1]": sigma_y,
        },
        "seed": args.seed,
        "files": [str(path) for path in files],
    }
    images.records.write(images.records.record_beside(args.output), record, unfinished=unfinished)


def _noise(kind: str, level: float) -> AnyNoise | None:
    if kind == "gaussian":
        return Gaussian(level) if level != 0 else None
    if level == 0:
        usual = "1" if kind == "poisson" else "0.1"
        raise ValueError(
            f"--noise-kind {kind} needs its level. A number > 0 is expected: --noise {usual}"
        )
    return Poisson(level) if kind == "poisson" else Speckle(level)
