"""Measurements in array files, of pictures or of anything else."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: How files end that hold an array.
ARRAYS = (".npy", ".pt", ".safetensors")
#: Values of a picture in [-1, 1] that are taken at most. Noise goes beyond 1, but not so far;
#: values from 0 to 255 do.
FARTHEST = 16.0


def read_array(path: Path) -> Tensor:
    """One measurement from .npy, .pt or .safetensors: float32, the image axis first. No code is
    run.

    Raises:
        ValueError: if the file is missing, no array, complex, or holds other than one measurement.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(
            f"{path} does not exist. A measurement ({', '.join(ARRAYS)}) or a picture is expected."
        )
    try:
        if path.suffix == ".npy":
            y = torch.from_numpy(plain_array(np.load(path, allow_pickle=False)))
        elif path.suffix == ".pt":
            y = torch.load(path, map_location="cpu", weights_only=True)
        elif path.suffix == ".safetensors":
            tensors = load_file(path)
            if len(tensors) != 1:
                raise ValueError(f"one tensor is expected, found {', '.join(tensors) or 'none'}")
            (y,) = tensors.values()
        else:
            raise ValueError(f"{', '.join(ARRAYS)} are read, not {path.suffix!r}")
    except Exception as error:  # each library has its own; all mean that the file is none
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
        raise ValueError(
            f"{path} cannot be read as an array ({said}). numpy.save(path, y) makes one."
        ) from None
    if isinstance(y, Tensor) and y.is_complex():
        raise ValueError(
            f"{path} holds complex numbers. Real ones are expected, with the real and the "
            "imaginary part as two channels: numpy.save(path, numpy.stack([y.real, y.imag], 1))"
        )
    if not isinstance(y, Tensor):
        raise ValueError(
            f"{path} holds no array of real numbers. One measurement is expected: numpy.save(path, "
            "y)"
        )
    if y.ndim < 2 or len(y) != 1:
        raise ValueError(
            f"{path} has shape {tuple(y.shape)}. One measurement with the image axis first, (1, "
            "...), is expected: numpy.save(path, y[None])"
        )
    return y.float()


def plain_array(values: Any) -> np.ndarray:
    """Return an array as torch takes it, which a flipped, mapped or foreign one is not.

    It is of numpy's own class, has its rows in order and its bytes as the machine has them, and is
    writable.

    Args:
        values: an array, or what numpy makes one of.
    """
    plain = np.array(np.asarray(values), order="C")
    return plain.astype(plain.dtype.newbyteorder("="), copy=False)


def check_pixels(x: Tensor) -> None:
    """Raise unless a tensor can hold the pixels of a picture in [-1, 1].

    Args:
        x: of any shape.

    Raises:
        ValueError: if it holds no pixel, NaN, infinity, or values far outside [-1, 1].
    """
    if x.numel() == 0:
        raise ValueError(
            f"picture has shape {tuple(x.shape)}, which holds no pixel. At least one is expected."
        )
    low, high = float(x.min()), float(x.max())
    if not (low >= -FARTHEST and high <= FARTHEST):  # False for NaN, too
        raise ValueError(
            f"picture holds values from {low:g} to {high:g}. Values from -1 to 1 are expected: "
            "x / 127.5 - 1 for grey levels from 0 to 255."
        )
