"""From the options of a restoration to one that can run: read, check, load."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from .. import images
from ..arguments import check
from ..checkpoints import load_prior
from ..devices import DTYPES, pick_device
from ..noise import Gaussian
from ..operators import Colorization, Inpainting, Operator, Problem
from ..operators.deepinv import Theirs
from ..priors import Prior, Tiled
from ..solvers import Solver
from ..tasks import TASKS
from . import plugin
from .checks import check_outputs, check_picture
from .job import Job, outputs
from .operators import operator_of
from .options import Options


def prepare(options: Options, settings: Solver, load: Callable[..., Prior] = load_prior) -> Job:
    """Read, check and load everything for one restoration.

    Args:
        options: what to restore and how.
        settings: the solver that `Options.solver` names.
        load: what loads the prior.

    Raises:
        ValueError, TypeError: for whatever cannot run or be written, before any work.
    """
    plugin.task_or_operator(options)
    task = TASKS.get(options.task)
    if options.samples < 1:
        raise ValueError(f"--samples is {options.samples}. At least 1 is expected.")
    if not 0 <= options.noise < 1:
        raise ValueError(
            f"--noise is {options.noise}. A standard deviation from 0 to 1 is expected: --noise "
            "0.05"
        )
    if options.task == "denoise" and options.noise == 0:
        raise ValueError("--task denoise needs the strength of the noise: --noise 0.1 (25 of 255).")
    if options.tile < 64:
        raise ValueError(f"--tile is {options.tile}. At least 64 pixels are expected: --tile 512")
    own = task is None and options.image.suffix in plugin.ARRAYS
    picture = None if own else images.read(options.image)
    if picture is not None:
        picture = picture.without_hidden()
    y = plugin.read_array(options.image) if picture is None else picture.x
    transparent = picture is not None and picture.alpha is not None
    images.check_output(options.output, transparent=transparent and options.hole != "alpha")
    check_outputs(
        outputs(options.output, options.samples),
        [options.image, options.mask, options.kernel, options.weights],
    )
    if task is not None:
        h, w = y.shape[-2] * task.scale, y.shape[-1] * task.scale
        _check_pixels(options, h, w)
        images.check_output(options.output, size=(h, w))
        operator = operator_of(options, task, y.shape[-2], y.shape[-1])
        check_picture(options.task, operator)
        if isinstance(operator, Inpainting) and picture is not None:
            _doubt(options, picture, operator.mask[0, 0] == 0)
    device = pick_device(options.device)
    prior = load(options.prior, label=options.label, dtype=DTYPES[options.precision], device=device)
    if task is None:
        problem = _own(
            options, _coloured(y, prior, picture is not None).to(device), picture is not None
        )
        picture = picture or images.Picture(torch.zeros(problem.image_shape))
    else:
        assert picture is not None
        y, picture = _measurement(picture, operator, prior)
        problem = Problem(
            y.to(device), operator.float().to(device), Gaussian(options.noise).sigma_y
        )
    tiled = Tiled(prior, options.tile, options.overlap, memory=options.tile_memory * 1e9 or "free")
    check(settings, tiled, problem)
    return Job(options, picture, problem, tiled, settings, settings.times(prior.schedule))


def _doubt(options: Options, picture: images.Picture, holes: Tensor) -> None:
    """Warn of holes that are likely the rest of the picture, or stay transparent once they are
    filled.
    """
    share = float(holes.float().mean())
    if share > 0.6:
        other = "white" if options.hole == "black" else "black"
        said = (
            f"The holes cover {share:.0%} of the picture. If it is the other way round: --hole "
            f"{other}"
        )
        warnings.warn(said, stacklevel=3)
    if (
        picture.alpha is not None
        and options.hole != "alpha"
        and float(picture.alpha[holes].mean()) < 0.5
    ):
        said = (
            f"{options.image} is transparent in the holes and stays so. To make them opaque: "
            "--hole alpha"
        )
        warnings.warn(said, stacklevel=3)


def _check_pixels(options: Options, h: int, w: int) -> None:
    if h * w > images.MAX_PIXELS:
        raise ValueError(
            f"Restored, {options.image} has {h * w / 1e6:.0f} megapixels. At most "
            f"{images.MAX_PIXELS // 1_000_000} are expected. Crop it, or use a smaller scale: "
            "--task sr2"
        )


def _own(options: Options, y: Tensor, is_picture: bool) -> Problem:
    """The problem of an operator of the user's own."""
    if options.mask is not None:
        raise ValueError(
            "--mask is given, but --operator takes none. Build the mask into the operator."
        )
    if options.weights is not None:
        raise ValueError(
            "--weights is given, but --operator takes none. Load them in the file of the operator."
        )
    if options.size is None and y.ndim != 4:
        raise ValueError(
            f"{options.image} has shape {tuple(y.shape)}, which does not tell the size of the "
            "picture. Height and width are expected: --size 64 64"
        )
    h, w = options.size or y.shape[-2:]
    A = plugin.load(
        options.operator, (y.shape[1] if y.ndim == 4 and y.shape[1] in (1, 3) else 3, h, w)
    ).to(y.device)
    if isinstance(A, Theirs):
        y = A.from_theirs(images.to_unit(y) if is_picture else y)
    shape = A.image_shape(tuple(y.shape))
    _check_pixels(options, *shape[-2:])
    images.check_output(options.output, size=(shape[-2], shape[-1]))
    with plugin.running(options.operator):
        with torch.no_grad():
            measured = tuple(A(y.new_zeros(shape)).shape)
        if measured != tuple(y.shape):
            raise ValueError(
                f"{options.image} has shape {tuple(y.shape)}, but {options.operator} gives "
                f"{measured} for a picture of {shape[-2]} x {shape[-1]}. Height and width of the "
                "restored picture are expected: --size 64 64"
            )
        return Problem(
            y, A, Gaussian(options.noise).sigma_y * (A.scale if isinstance(A, Theirs) else 1)
        )


def _coloured(y: Tensor, prior: Prior, is_picture: bool) -> Tensor:
    """Repeat a grey picture to three channels for a prior of colours, which knows noise that
    differs between them.

    For a prior of grey pictures alone, a picture whose three channels are equal becomes grey.

    Raises:
        ValueError: for a picture of colours and a prior of grey ones.
    """
    if not is_picture or prior.channels is None:
        return y
    if y.shape[1] == 1 and 3 in prior.channels:
        return y.expand(-1, 3, -1, -1)
    if y.shape[1] == 3 and prior.channels == (1,):
        if bool((y == y[:, :1]).all()):
            return y[:, :1]
        raise ValueError(
            f"The picture has colours, but the prior {prior.name!r} knows grey ones alone. A grey "
            "picture is expected, or another prior: hrdis.load_prior('default')."
        )
    return y


def _measurement(
    picture: images.Picture, A: Operator, prior: Prior
) -> tuple[Tensor, images.Picture]:
    """What of the picture is the measurement, and the picture without what the restored one cannot
    keep.
    """
    if isinstance(A, Colorization):
        grey = picture.x.shape[1] == 1
        return (picture.x.clone(), replace(picture, icc=None)) if grey else (A(picture.x), picture)
    y = (
        A(picture.x) if isinstance(A, Inpainting) else picture.x
    )  # the colours in holes, of a brush, say, do not count
    return _coloured(y, prior, True).clone(), picture
