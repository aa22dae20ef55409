"""What measured a damaged picture: the operator of a task, with what the user gave beside the
picture.
"""

import warnings
from pathlib import Path

import torch

from .. import images
from ..operators import Blur, Inpainting, NonlinearBlur, Operator
from ..tasks import Task
from . import plugin
from .options import Options


def with_weights(name: str, task: Task, weights: Path | None) -> Task:
    """The task with the weights of its network, where it has one.

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


def operator_of(options: Options, task: Task, h: int, w: int) -> Operator:
    """The operator of a task for a damaged picture of h x w pixels.

    Raises:
        ValueError: for a mask, a kernel or weights that are missing, not asked for, or do not fit.
    """
    task = with_weights(options.task, task, options.weights)
    if options.kernel is not None and not (task.kernel or task.weights):
        raise ValueError(
            f"--kernel is given, but the task {options.task!r} takes none. Use --task "
            "deblur-motion."
        )
    if task.mask:
        return Inpainting(_mask(options, h, w))
    if options.mask is not None:
        raise ValueError(
            f"--mask is given, but the task {options.task!r} takes none. Use --task inpaint."
        )
    if task.kernel:
        if options.kernel is None:
            raise ValueError(
                f"The task {options.task!r} needs the kernel of the blur: --kernel kernel.npy (or "
                "a picture of it)."
            )
        return Blur(images.read_kernel(options.kernel))
    if task.weights:
        return _nonlinear(options, task, h, w)
    if (
        task.blind is not None and options.solver == task.solver
    ):  # any other is told what `build` knows
        return task.blind(h, w, 0, 0)
    return (task.photo or task.build)(h, w, 0, 0)


def _nonlinear(options: Options, task: Task, h: int, w: int) -> Operator:
    A = task.build(h, w, 0, 0)
    assert isinstance(A, NonlinearBlur)
    if options.kernel is None:
        warnings.warn(
            "The blur's latent is taken to be that of seed 0; --kernel FILE.npy gives another.",
            stacklevel=2,
        )
        return A
    return NonlinearBlur(A.network, latent=plugin.read_array(options.kernel))


def _mask(options: Options, h: int, w: int) -> torch.Tensor:
    source = options.image if options.mask is None and options.hole == "alpha" else options.mask
    if source is None:
        raise ValueError(
            f"The task {options.task!r} needs a mask: --mask holes.png (white where a hole is to "
            "be filled), or --hole alpha if the holes are transparent."
        )
    mask = images.read_mask(source, options.hole)
    if mask.shape != (h, w):
        raise ValueError(
            f"The mask {source} is {mask.shape[1]} x {mask.shape[0]}, the picture {w} x {h} (width "
            "x height). Both must agree; nothing is resized in silence."
        )
    return mask
