"""From what was given, files or objects, to a picture, its operator and its measurement."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import images
from ..messages import level_outside
from ..noise import Gaussian
from ..operators import Blur, Inpainting, NonlinearBlur, Operator, Quantization
from ..operators.base import as_operator
from ..operators.deepinv import DeepinvOperator
from ..priors.base import Prior
from ..problem import Problem
from ..tasks import Task
from . import plugin
from .options import Options, check_pixels

#: Colours in [-1, 1] that differ by less are the same but for the rounding of a file of 8 bits.
LEVEL = 1.01 / 255


@dataclass(frozen=True)
class Inputs:
    """The files and objects that a restoration was given.

    Args:
        image: a file, or a picture as an object (see `hrdis.restore`).
        mask: a file, an array or tensor of 0 and 1, or None.
        kernel: a file, an array or tensor, or None.
        operator: an operator as an object instead of a task; None where its file is named in the
            options.
        prior: a prior as an object instead of the one that the options name.
        hashes: SHA-256 of every file, by what it is, taken when it was read.
        operator_seed: the seed that the operator of a task was drawn from, where the measurement
            is no picture.
    """

    image: Any
    mask: Any = None
    kernel: Any = None
    operator: Operator | Callable[[Tensor], Tensor] | None = None
    prior: Prior | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    operator_seed: int | None = None

    @property
    def files(self) -> list[Path]:
        """The files among them."""
        return [given for given in (self.image, self.mask, self.kernel) if isinstance(given, Path)]


def of_files(options: Options) -> Inputs:
    """Return the files of a command as inputs, with their hashes.

    Raises:
        ValueError: if one of them cannot be read.
    """
    hashes = {}
    named = {
        "image": options.image, "mask": options.mask, "kernel": options.kernel_file,
        "weights": options.weights,
    }  # fmt: skip
    for name, path in named.items():
        if path is not None and path.is_file():  # their readers say best what is missing
            hashes[name] = sha256(path.read_bytes()).hexdigest()
    if options.operator:
        hashes["operator"] = plugin.digest(options.operator) or ""
    return Inputs(options.image, options.mask, options.kernel_file, hashes=hashes)


def read_picture(given: Any, is_measurement: bool) -> tuple[images.Picture | None, Tensor]:
    """Return a picture, and its pixels as a tensor (1, c, h, w) in [-1, 1].

    Args:
        given: a file, one of Pillow's images, an array or a tensor.
        is_measurement: whether arrays and tensors are measurements of any kind, which are taken as
            they are; then there is no picture.

    Raises:
        ValueError, TypeError: if it is none.
    """
    if isinstance(given, Path):
        if is_measurement and given.suffix in images.ARRAYS:
            return None, images.read_array(given)
        picture = images.read(given).without_hidden()
        return picture, picture.x
    if is_measurement and isinstance(given, Tensor):
        return None, given
    if is_measurement and isinstance(given, np.ndarray):
        return None, torch.from_numpy(images.plain_array(given)).float()
    picture = images.from_python(given).without_hidden()
    return picture, picture.x


def operator_of_task(options: Options, inputs: Inputs, task: Task, h: int, w: int) -> Operator:
    """Return the operator of a task for a damaged picture of h x w pixels.

    Raises:
        ValueError: for a mask, a kernel or weights that are missing, not asked for, or do not fit.
    """
    task = with_weights(options.task, task, options.weights)
    if inputs.kernel is not None and not (task.kernel or task.weights):
        raise ValueError(
            f"--kernel is given, but the task {options.task!r} takes none. Use --task deblur."
        )
    if task.mask:
        return Inpainting(_mask(options, inputs, h, w))
    if inputs.mask is not None:
        raise ValueError(
            f"--mask is given, but the task {options.task!r} takes none. Use --task inpaint."
        )
    if task.kernel:
        if inputs.kernel is None:
            raise ValueError(
                f"The task {options.task!r} needs the kernel of the blur: --kernel kernel.npy (or "
                "a picture of it), or --kernel gaussian:3, box:9 or motion:15:30."
            )
        if isinstance(inputs.kernel, Path):
            return Blur(images.read_kernel(inputs.kernel))
        return Blur(torch.as_tensor(images.plain_array(inputs.kernel), dtype=torch.float32))
    if task.weights:
        A = task.build(h, w, 0, 0)
        assert isinstance(A, NonlinearBlur)
        latent = inputs.kernel
        if latent is None:
            warnings.warn(
                "The blur's latent is taken to be that of seed 0; --kernel FILE.npy gives another.",
                stacklevel=level_outside(),
            )
            return A
        if isinstance(latent, Path):
            latent = images.read_array(latent)
        return NonlinearBlur(A.network, latent=latent)
    if task.blind is not None and options.solver == task.solver:
        return task.blind(h, w, 0, 0)  # any other solver is told what `build` knows
    return (task.photo or task.build)(h, w, 0, 0)


def with_weights(name: str, task: Task, weights: Path | None) -> Task:
    """Return the task with the weights of its network, where it has one.

    Raises:
        ValueError: if they are missing, not asked for, or do not fit.
    """
    if weights is None and task.weights:
        task.build(128, 128, 0, 0)  # says which are expected
    if weights is not None and not task.weights:
        raise ValueError(
            f"--weights is given, but the task {name!r} has no network. Use --task "
            "deblur-nonlinear."
        )
    return task if weights is None else task.with_weights(weights)


def _mask(options: Options, inputs: Inputs, h: int, w: int) -> Tensor:
    """Return the mask of a file or an array, 1 where a pixel is observed."""
    source = inputs.image if inputs.mask is None and options.hole == "alpha" else inputs.mask
    if source is None:
        raise ValueError(
            f"The task {options.task!r} needs a mask: --mask holes.png (white where a hole is to "
            "be filled), or --mask-marks transparent if the holes are transparent."
        )
    if isinstance(source, Path):
        mask, name = images.read_mask(source, options.hole), f"The mask {source}"
    else:
        name = "The mask"
        try:
            values = torch.as_tensor(images.plain_array(source)).squeeze()
        except (TypeError, ValueError, RuntimeError):
            values = torch.zeros(())
        binary = False
        if values.ndim == 2 and values.numel():
            most = 255 if values.max() > 1 else 1  # an array of a picture has 0 and 255
            binary = bool(((values == 0) | (values == most)).all())
        if not binary or options.hole == "alpha":
            raise ValueError(
                f"mask is a {type(source).__name__} of shape {tuple(values.shape)}. An array (h, "
                "w) of 0 and 1 is expected, 1 where a hole is to be filled, or a file."
            )
        holes = values.bool() if options.hole == "white" else ~values.bool()
        if holes.all() or not holes.any():
            raise ValueError("mask marks no pixel, or every pixel, as a hole. Some are expected.")
        mask = (~holes).float()
    if mask.shape != (h, w):
        raise ValueError(
            f"{name} is {mask.shape[1]} x {mask.shape[0]}, the picture {w} x {h} (width "
            "x height). Both must agree; nothing is resized in silence."
        )
    return mask


def warn_about_colours(task: Task, prior: Prior) -> None:
    """Say that the embedded model cannot colour a picture, if it is asked to."""
    if "colorize" in task.presets and prior.name == "default":
        warnings.warn(
            "The embedded model does not know the colours of things: the picture stays almost "
            "grey. A model that has learned what is in pictures is expected.",
            stacklevel=level_outside(),
        )


def warn_about_mask(options: Options, picture: images.Picture, holes: Tensor) -> None:
    """Warn of holes that cover most of the picture, or that stay transparent once filled."""
    share = float(holes.float().mean())
    if share > 0.6:
        other = "white" if options.hole == "black" else "black"
        warnings.warn(
            f"The holes cover {share:.0%} of the picture. If it is the other way round: "
            f"--mask-marks {other}",
            stacklevel=3,
        )
    if picture.alpha is None or options.hole == "alpha":
        return
    if float(picture.alpha[holes].mean()) < 0.5:
        warnings.warn(
            f"{options.image} is transparent in the holes and stays so. To make them opaque: "
            "--mask-marks transparent",
            stacklevel=3,
        )


def problem_of_operator(options: Options, inputs: Inputs, y: Tensor, is_picture: bool) -> Problem:
    """Return the problem of an operator of the user's own.

    Raises:
        ValueError: if it cannot have measured y.
    """
    if inputs.mask is not None:
        raise ValueError(
            "--mask is given, but --operator takes none. Build the mask into the operator."
        )
    if inputs.kernel is not None:
        raise ValueError("--kernel is given, but --operator takes none.")
    if options.weights is not None:
        raise ValueError(
            "--weights is given, but --operator takes none. Load them in the file of the operator."
        )
    name = options.operator or f"operator ({type(inputs.operator).__name__})"
    size_known = inputs.operator is not None and isinstance(inputs.operator, Operator)
    if options.size is None and y.ndim != 4 and not size_known:
        raise ValueError(
            f"{options.image} has shape {tuple(y.shape)}, which does not tell the size of the "
            "picture. Height and width are expected: --image-size 64 64"
        )
    h, w = options.size or y.shape[-2:]
    channels = y.shape[1] if y.ndim == 4 and y.shape[1] in (1, 3) else 3
    if inputs.operator is None:
        A = plugin.load(options.operator, (channels, h, w))
    else:
        A = as_operator(inputs.operator, (channels, h, w))
    A = A.to(y.device)
    level = Gaussian(options.noise).sigma_y
    if isinstance(A, DeepinvOperator):
        # --noise is for pixel values from 0 to 1, which is the range of deepinv.
        level = A.from_deepinv_sigma(options.noise)
        y = A.from_deepinv_range(images.to_unit(y) if is_picture else y)
    shape = A.image_shape(tuple(y.shape))
    check_pixels(options, *shape[-2:])
    if options.size is not None and options.size != tuple(shape[-2:]):
        raise ValueError(
            f"--image-size is {options.size[0]} {options.size[1]}, but {name} knows its size, "
            f"{shape[-2]} x {shape[-1]}. Leave it out."
        )
    with plugin.running(name):
        with torch.no_grad():
            measured = tuple(A(y.new_zeros(shape)).shape)
        if measured != tuple(y.shape):
            raise ValueError(
                f"{options.image} has shape {tuple(y.shape)}, but {name} gives "
                f"{measured} for a picture of {shape[-2]} x {shape[-1]}. Height and width of the "
                "restored picture are expected: --image-size 64 64"
            )
        return Problem(y, A, level)


def fit_channels(y: Tensor, prior: Prior, is_picture: bool) -> Tensor:
    """Return a picture with the channels that a prior takes.

    A grey picture is repeated to three channels for a prior of colours, which knows noise that
    differs between them. For a prior of grey pictures alone, a picture whose three channels are
    equal becomes grey.

    Raises:
        ValueError: for a picture of colours and a prior of grey ones.
    """
    if not is_picture or prior.channels is None:
        return y
    if y.shape[1] == 1 and 3 in prior.channels:
        return y.expand(-1, 3, *y.shape[2:])
    if y.shape[1] == 3 and prior.channels == (1,):
        if bool((y == y[:, :1]).all()):
            return y[:, :1]
        raise ValueError(
            f"The picture has colours, but the prior {prior.name!r} knows grey ones alone. A grey "
            "picture is expected, or another prior: hrdis.load_prior('default')."
        )
    return y


def measurement(
    picture: images.Picture, A: Operator, prior: Prior
) -> tuple[Tensor, images.Picture]:
    """Return the measurement in a picture, and the picture without what the result cannot keep."""
    if A.to_grey:
        if picture.x.shape[1] == 1:  # a profile of grey says nothing of colours
            return picture.x.clone(), replace(picture, icc=None)
        return A(picture.x), picture
    y = picture.x
    if isinstance(A, Inpainting):
        y = A(y)  # the colours in holes, of a brush, say, do not count
    elif isinstance(A, Quantization):
        levels = A(y)
        if float((levels - y).abs().max()) < LEVEL:
            y = levels  # a file of 8 bits has rounded them, and no picture would agree with it
    return fit_channels(y, prior, True).clone(), picture
