"""What measured a damaged picture: the operator of a task, with what the user gave beside the picture."""

from pathlib import Path
from typing import Any

import torch

from hrdis import images
from hrdis.operators import Blur, Inpainting, NonlinearBlur, Operator, kernels, masks
from hrdis.tasks import Task

from . import plugin
from .progress import say


def with_weights(name: str, task: Task, weights: Path | None) -> Task:
    """The task with the weights of its network, where it has one.

    Raises:
        ValueError: if they are missing, not asked for, or do not fit.
    """
    if weights is None and task.weights:
        task.build(128, 128, 0, 0)  # says which are expected
    if weights is not None and not task.weights:
        raise ValueError(f"--weights is given, but the task {name!r} has no network. Use --task deblur-nonlinear.")
    return task if weights is None else task.with_weights(weights)


def operator_of(args: Any, task: Task, h: int, w: int) -> Operator:
    """The operator of a task for a damaged picture of h x w pixels.

    Raises:
        ValueError: for a mask, a kernel or weights that are missing, not asked for, or do not fit.
    """
    task = with_weights(args.task, task, args.weights)
    if args.kernel is not None and not (task.kernel or task.weights):
        raise ValueError(f"--kernel is given, but the task {args.task!r} takes none. Use --task deblur-motion.")
    if task.mask:
        return Inpainting(_mask(args, h, w))
    if args.mask is not None:
        raise ValueError(f"--mask is given, but the task {args.task!r} takes none. Use --task inpaint.")
    if task.kernel:
        if args.kernel is None:
            raise ValueError(
                f"The task {args.task!r} needs the kernel of the blur: --kernel kernel.npy (or a picture of it)."
            )
        return Blur(kernels.from_file(args.kernel))
    if task.weights:
        return _nonlinear(args, task, h, w)
    if task.blind is not None and args.solver == task.solver:  # any other is told what `build` knows
        return task.blind(h, w, 0, 0)
    return (task.photo or task.build)(h, w, 0, 0)


def _nonlinear(args: Any, task: Task, h: int, w: int) -> Operator:
    A = task.build(h, w, 0, 0)
    assert isinstance(A, NonlinearBlur)
    if args.kernel is None:
        say("the blur's latent is taken to be that of seed 0; --kernel FILE.npy gives another")
        return A
    return NonlinearBlur(A.network, latent=plugin.read_array(args.kernel))


def _mask(args: Any, h: int, w: int) -> torch.Tensor:
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
    return mask
