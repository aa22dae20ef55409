"""Linear algebra per image: the first axis is the image, and no reduction crosses it."""

from collections.abc import Callable

import torch
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product of each image with its counterpart, shape (b,)."""
    return (a * b).flatten(1).sum(1)


def norm(a: Tensor) -> Tensor:
    """Return the Euclidean norm of each image, shape (b,)."""
    return a.flatten(1).norm(dim=1)


def rms(a: Tensor) -> Tensor:
    """Return the root mean square of each image, shape (b,)."""
    return a.flatten(1).square().mean(1).sqrt()


def per_image(scalars: Tensor, like: Tensor) -> Tensor:
    """Reshape (b,) to (b, 1, ..., 1), to be multiplied with ``like``."""
    return scalars.reshape(-1, *[1] * (like.ndim - 1))


def cg(
    apply: Callable[[Tensor], Tensor], b: Tensor, x: Tensor, steps: int, tolerance: float = 1e-6
) -> Tensor:
    """Solve ``apply(x) = b`` for a symmetric positive semidefinite map, each image on its own.

    Textbook conjugate gradient with step sizes per image. An image stops moving once its residual
    is below ``tolerance`` times the norm of its b, or its search direction has no curvature; the
    others go on.

    Args:
        apply: the map; must treat images independently.
        b: right-hand side, (b, ...).
        x: starting point.
        steps: the largest number of applications beyond the first.
        tolerance: relative residual at which an image is finished.
    """
    r = b - apply(x)
    p, rr = r, dot(r, r)
    enough = tolerance**2 * dot(b, b)
    one, zero = torch.ones_like(rr), torch.zeros_like(rr)
    # Whether all have finished is a read that waits for an accelerator. What has finished stays
    # where it is, so that asking less often changes no result.
    patience = 1 if b.device.type == "cpu" else 8
    for k in range(steps):
        active = rr > enough
        if k % patience == 0 and not active.any():
            break
        Ap = apply(p)
        curvature = dot(p, Ap)
        active = active & (curvature > 0)
        step = torch.where(active, rr / curvature.where(active, one), zero)
        x = x + per_image(step, x) * p
        r = r - per_image(step, r) * Ap
        rr_new = dot(r, r)
        turn = torch.where(active, rr_new / rr.where(active, one), zero)
        p = r + per_image(turn, p) * p
        rr = torch.where(active, rr_new, rr)
        rr = torch.where(curvature > 0, rr, zero)
    return x


def matrix(
    apply: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return the matrix of a linear map of images of ``shape`` (no image axis).

    Its columns are the images of the unit vectors. For small problems: it applies the map to a
    batch of prod(shape) images.
    """
    n = torch.Size(shape).numel()
    columns = apply(torch.eye(n, dtype=dtype).reshape(n, *shape))
    return columns.flatten(1).T.contiguous()
