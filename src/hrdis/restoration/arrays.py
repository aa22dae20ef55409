"""Measurements that are no pictures, from compressed sensing, phase retrieval or scanners.

They are kept in arrays (.npy, .pt, .safetensors). What was drawn to measure them, such as the
matrix of compressed sensing, is drawn again from the seed in the record that ``hrdis degrade``
writes beside them.
"""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import images
from ..messages import level_outside
from ..operators import Operator
from ..tasks import Task
from .options import Options, check_pixels

if TYPE_CHECKING:
    from .inputs import Inputs

#: Errors of an operator that is asked for a shape of other axes or sides.
REFUSALS = (IndexError, TypeError, ValueError, RuntimeError)
LARGEST_RECORD = 1_000_000  # bytes; records of this program have some thousand


def check_array(options: Options, given: Any) -> None:
    """Raise unless what was given can be a measurement that is no picture.

    Raises:
        ValueError: for a picture, naming the files that are taken.
    """
    if isinstance(given, Tensor) or type(given).__module__ == "numpy":
        return
    if isinstance(given, Path) and given.suffix in images.ARRAYS:
        return
    raise ValueError(
        f"The task {options.task!r} does not measure a picture. An array "
        f"({', '.join(images.ARRAYS)}) with the image axis first is expected, as hrdis degrade "
        "writes it: -o y.npy"
    )


def operator_of_measurement(
    options: Options, inputs: "Inputs", task: Task, y: Tensor
) -> tuple[Operator, int]:
    """Return the operator of a task that measured y, and the seed it was drawn from.

    Args:
        options: name the task.
        inputs: the file of y, beside which a record may lie.
        task: its measurements are no pictures.
        y: (1, ...), the measurement.

    Raises:
        ValueError: for a mask, a kernel or weights, or a y that the task does not measure.

    Warns:
        UserWarning: if the task draws its operator, and no record tells the seed.
    """
    for flag, value in (("mask", inputs.mask), ("kernel", inputs.kernel)):
        if value is not None:
            raise ValueError(f"--{flag} is given, but the task {options.task!r} takes none.")
    if options.weights is not None:
        raise ValueError(f"--weights is given, but the task {options.task!r} has no network.")
    seed = _recorded_seed(options, inputs.image)
    if seed is None:
        seed = 0
        if task.drawn:
            warnings.warn(
                f"No record beside {options.image} tells how it was measured: the task "
                f"{options.task!r} is taken to be drawn from seed 0.",
                stacklevel=level_outside(),
            )
    problem = f"{options.image} has shape {tuple(y.shape)}, which the task {options.task!r} does "
    problem += "not measure. An array that hrdis degrade wrote with this task is expected."
    try:
        h, w = task.size_of(tuple(y.shape))
    except REFUSALS:
        raise ValueError(problem) from None
    check_pixels(options, h, w)  # before memory is spent on an operator of that size
    try:
        A = task.build(h, w, seed, 0)
        shape = A.image_shape(tuple(y.shape))
        with torch.no_grad():
            measured = A(y.new_zeros(shape)).shape
    except REFUSALS:
        raise ValueError(problem) from None
    if measured != y.shape:
        raise ValueError(problem)
    return A, seed


def _recorded_seed(options: Options, image: Any) -> int | None:
    """Return the seed in the record beside an array, "y.json" of "y.npy"; None without one.

    Records of ``hrdis degrade`` and of ``hrdis restore`` count, as the second may have replaced
    the first, if they are of this task.
    """
    if not isinstance(image, Path):
        return None
    path = image.with_suffix(".json")
    try:
        if path.stat().st_size > LARGEST_RECORD:
            return None
        record = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("task") != options.task:
        return None
    seed = record.get("operator_seed", record.get("seed"))
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None
