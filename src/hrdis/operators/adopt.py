"""What a user of deepinv has, as a problem of ours: its y, its physics, and the noise level it
keeps.
"""

import warnings
from typing import Any

import torch
from torch import Tensor

from .base import Operator
from .deepinv import Theirs, from_deepinv


def is_physics(A: object) -> bool:
    """Whether A is one of deepinv's operators: the methods A and at least one that goes back."""
    back = ("A_adjoint", "A_dagger", "A_vjp")
    return not isinstance(A, Operator) and all(
        (callable(getattr(A, "A", None)), any(callable(getattr(A, name, None)) for name in back))
    )


def adopt(y: Tensor, physics: Any, sigma: float | None) -> tuple[Tensor, "Theirs", float]:
    """deepinv's y and physics as ours, and sigma as it is; without a sigma, that of its noise
    model.
    """
    A = from_deepinv(physics, image_shape(y, physics))
    return A.from_theirs(y), A, noise_level(physics) if sigma is None else sigma


def image_shape(y: Tensor, physics: Any) -> tuple[int, int, int]:
    """(c, h, w) of the images behind y: what ``A_adjoint`` gives, else ``img_size`` or ``imsize``,
    else that of y.
    """
    found: Any = None
    try:
        with torch.no_grad():
            found = tuple(physics.A_adjoint(y).shape[1:])
    except (AttributeError, TypeError, RuntimeError, ValueError, NotImplementedError):
        found = getattr(physics, "img_size", None) or getattr(physics, "imsize", None)
    if not isinstance(found, tuple | list) or len(found) != 3:
        found = (*y.shape[1:], 1, 1, 1)[:3]
    return int(found[0]), int(found[1]), int(found[2])


def noise_level(physics: Any) -> float:
    """``noise_model.sigma`` as one number; 0 where there is no noise, and with a warning where it
    has no sigma.
    """
    model = getattr(physics, "noise_model", None)
    sigma = getattr(model, "sigma", None)
    name = type(model).__name__
    if model is None or name == "ZeroNoise":
        return 0.0
    if sigma is None or hasattr(model, "gain"):
        warnings.warn(
            f"The noise model {name} is not Gaussian; sigma_y = "
            f"{0 if sigma is None else float(sigma):g} is taken. The noise's standard deviation "
            "is expected: hrdis.Problem(y, physics, sigma_y=0.05).",
            stacklevel=5,
        )
    levels = torch.as_tensor(0.0 if sigma is None else sigma).flatten().unique()
    if len(levels) != 1:
        raise ValueError(
            f"noise_model.sigma differs between images: {[round(float(s), 6) for s in levels]}. "
            "One level is expected. Solve image by image: hrdis.Problem(y[i : i + 1], physics, "
            "sigma_y=float(physics.noise_model.sigma[i]))."
        )
    return float(levels[0])
