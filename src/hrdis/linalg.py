"""Linear algebra per image: the first axis is the image, and no reduction crosses it."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Steps of conjugate gradient between two looks, on an accelerator, at whether all have finished.
PATIENCE = 8


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
    apply: Callable[[Tensor], Tensor],
    b: Tensor,
    x: Tensor,
    steps: int,
    tolerance: float = 1e-6,
    flat: float = 0.0,
    nearly_inverse: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Solve ``apply(x) = b`` for a symmetric positive semidefinite map, each image on its own.

    Textbook conjugate gradient with step sizes per image. An image stops moving once its residual
    is below ``tolerance`` times the norm of its b, or its search direction p has no curvature; the
    others go on.

    Args:
        apply: the map; must treat images independently.
        b: right-hand side, (b, ...).
        x: starting point.
        steps: the largest number of applications beyond the first.
        tolerance: relative residual at which an image is finished.
        flat: cosine of p and ``apply(p)`` up to which the curvature counts as none; for maps whose
            rounding would decide it.
        nearly_inverse: a preconditioner, a symmetric positive definite map close to the inverse of
            ``apply``; the closer, the fewer steps.
    """
    r = b - apply(x)
    rr = dot(r, r)
    p = r if nearly_inverse is None else nearly_inverse(r)
    rz = rr if nearly_inverse is None else dot(r, p)
    enough = tolerance**2 * dot(b, b)
    one, zero = torch.ones_like(rr), torch.zeros_like(rr)
    # Whether all have finished is a read that waits for an accelerator, and hardly ever true at the
    # start. What has finished stays where it is, so that asking less often changes no result.
    on_cpu = b.device.type == "cpu"
    for k in range(steps):
        active = rr > enough
        if (on_cpu or (k and k % PATIENCE == 0)) and not active.any():
            break
        Ap = apply(p)
        curvature = dot(p, Ap)
        curved = curvature > (flat * norm(p) * norm(Ap) if flat > 0 else 0)
        active = active & curved
        step = torch.where(active, rz / curvature.where(active, one), zero)
        x = torch.addcmul(x, per_image(step, x), p)
        r = torch.addcmul(r, per_image(step, r), Ap, value=-1)
        rr_new = dot(r, r)
        z = r if nearly_inverse is None else nearly_inverse(r)
        rz_new = rr_new if nearly_inverse is None else dot(r, z)
        turn = torch.where(active, rz_new / rz.where(active, one), zero)
        p = torch.addcmul(z, per_image(turn, p), p)
        rr = torch.where(active, rr_new, rr)
        rz = torch.where(active, rz_new, rz)
        rr = torch.where(curved, rr, zero)
    return x


def largest_eigenvalue(apply: Callable[[Tensor], Tensor], x: Tensor, steps: int = 30) -> Tensor:
    """Return the largest eigenvalue of a symmetric positive semidefinite map, (b,), from below.

    Power iteration from x, each image on its own; 0 where ``apply(x)`` is 0.

    Args:
        apply: the map; must treat images independently.
        x: (b, ...), with a share of the leading eigenvector, such as random numbers have.
        steps: applications of the map.
    """
    value = torch.zeros_like(norm(x))
    for _ in range(steps):
        length = norm(x)
        x = apply(x / per_image(length.where(length > 0, torch.ones_like(length)), x))
        value = norm(x)
    return value


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


def linearise(
    A: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Tensor, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return A(x), v -> J v and w -> J^T w for the Jacobian J of A at x, by autograd.

    J v is the derivative of J^T w in w, so that A needs no forward mode; it must be twice
    differentiable. The graph lives as long as the functions. The caller may be in inference mode.
    """
    with torch.inference_mode(False), torch.enable_grad():
        at = x.detach().clone().requires_grad_()
        value = A(at)
        weights = torch.zeros_like(value).requires_grad_()
        (pulled,) = torch.autograd.grad(value, at, weights, create_graph=True)

    def push(v: Tensor) -> Tensor:
        if not pulled.requires_grad:  # the derivative is 0 everywhere, as that of rounding
            return torch.zeros_like(value).detach()
        with torch.inference_mode(False), torch.enable_grad():
            # Or 0 because nothing of w is left in it, as behind the padding of what is rounded.
            return torch.autograd.grad(
                pulled, weights, v.clone(), retain_graph=True, materialize_grads=True
            )[0]

    def pull(w: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            return torch.autograd.grad(value, at, w.clone(), retain_graph=True)[0]

    return value.detach(), push, pull


def gauss_newton(
    A: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, rho: float, steps: int, products: int = 20
) -> Tensor:
    """Approach argmin_v ||A(v) - y||^2 + rho ||v - x||^2 from x by Gauss-Newton steps.

    Each step linearises A at v and solves (J^T J + rho I) d = -J^T (A(v) - y) - rho (v - x) by
    conjugate gradient. An image whose objective would rise has its move halved, eight times at
    most, and stays where it is if that does not help.

    Args:
        A: must treat images independently and be twice differentiable by autograd.
        x: (b, ...), where it begins, and what it stays close to.
        y: what A(v) should be.
        rho: weight of the distance, above 0.
        steps: how often A is linearised.
        products: products with J and J^T per step, at most.
    """

    def objective(v: Tensor) -> Tensor:
        return norm(A(v) - y) ** 2 + rho * norm(v - x) ** 2

    v, lowest, on_cpu = x, objective(x), x.device.type == "cpu"
    for _ in range(steps):
        value, push, pull = linearise(A, v)
        downhill = -pull(value - y) - rho * (v - x)

        def normal(
            d: Tensor,
            push: Callable[[Tensor], Tensor] = push,
            pull: Callable[[Tensor], Tensor] = pull,
        ) -> Tensor:
            return pull(push(d)) + rho * d

        move = cg(normal, downhill, torch.zeros_like(v), products)
        here, falls = v, torch.zeros_like(lowest, dtype=torch.bool)
        for k in range(9):
            tried = here + 0.5**k * move
            found = objective(tried)
            takes = ~falls & (found < lowest)
            v = torch.where(per_image(takes, v), tried, v)
            lowest, falls = torch.where(takes, found, lowest), falls | takes
            # On an accelerator one look only, where it pays most: the first move nearly always
            # falls. Images that have moved stay where they are.
            if (on_cpu or k == 0) and falls.all():
                break
    return v


def reciprocal(s: Tensor) -> Tensor:
    """Return 1 / s where s > 0, else 0: the singular values of the pseudo-inverse."""
    # The inner `where` keeps 1 / 0 out of the graph: its gradient would be NaN.
    return torch.where(s > 0, 1 / s.where(s > 0, torch.ones_like(s)), torch.zeros_like(s))


def tolerance(x: Tensor) -> float:
    """Return the relative residual at which conjugate gradient may stop, for the dtype of x."""
    return 1e-14 if x.dtype == torch.float64 else 1e-6
