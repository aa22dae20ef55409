"""A linear operator given as a function alone."""

from collections.abc import Callable

import torch
from torch import Tensor

from .base import LinearOperator, Shape


class LinearFunction(LinearOperator):
    """Any linear callable ``x -> y``, with its adjoint by autograd and its pseudo-inverse by
    conjugate gradient.

    The adjoint is the vector-Jacobian product, A* y = d <A x, y> / dx, which does not depend on x
    where A is linear. Whether it is, `hrdis.check_operator` tells; a function with a constant part
    (``x -> x + 1``) is not.

    Args:
        function: maps (b, c, h, w) to measurements with the image axis first, images independent,
            in torch operations that autograd follows.
        shape: (c, h, w) of the images.

    Raises:
        TypeError: on use of the adjoint, if autograd finds no way from the result back to x.

    Cost:
        adjoint: one call of the function and one backward pass through it; pinv: up to 200 of both
            (``linalg.cg``).

    Example:
        >>> A = LinearFunction(lambda x: x.mean((2, 3)), shape=(1, 2, 2))
        >>> A.adjoint(torch.ones(1, 1)).flatten()
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def __init__(self, function: Callable[[Tensor], Tensor], shape: tuple[int, int, int]):
        super().__init__()
        if not callable(function):
            raise TypeError(
                f"function is a {type(function).__name__}. A linear callable x -> y is expected: "
                "LinearFunction(lambda x: x[..., ::2], shape=(3, 64, 64))."
            )
        if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
            raise ValueError(
                f"shape is {shape!r}. The shape (c, h, w) of the images is expected: "
                "LinearFunction(function, shape=(3, 64, 64))."
            )
        self.function, self.shape = function, tuple(shape)

    def extra_repr(self) -> str:
        return f"shape={self.shape}"

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x.clone())  # it may write into what it gets

    def adjoint(self, y: Tensor) -> Tensor:
        further = (
            torch.is_grad_enabled() and y.requires_grad
        )  # somebody differentiates through A* itself
        with torch.inference_mode(False), torch.enable_grad():
            y = y.clone() if y.is_inference() else y
            x = y.new_zeros(self.image_shape(tuple(y.shape)), requires_grad=True)
            Ax = self.forward(x)
            if not Ax.requires_grad:
                raise TypeError(
                    f"The function of {type(self).__name__} has no gradient: autograd finds no way "
                    "from its result back to x (a detach, numpy, or an integer in between). Torch "
                    "operations throughout are expected. Or write the adjoint yourself: class "
                    "MyA(hrdis.operators.LinearOperator) with forward and adjoint."
                )
            (back,) = torch.autograd.grad(Ax, x, y, create_graph=further)
        return back if further else back.detach()

    def image_shape(self, y_shape: Shape) -> Shape:
        return (y_shape[0], *self.shape)
