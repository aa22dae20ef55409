"""Operators one after the other."""

from torch import Tensor, nn

from .base import LinearOperator, Operator, Shape


def Composition(*operators: Operator) -> "ComposedOperator":
    """Apply operators from left to right, so that ``Composition(A, B)`` measures B(A(x)).

    Args:
        operators: two or more; each takes what the one before it gives.

    Returns:
        `ComposedLinearOperator` if all are linear, else `ComposedOperator`.

    Raises:
        TypeError: if one of them is no operator.
        ValueError: if there are fewer than two.

    Example:
        >>> import torch
        >>> from hrdis.operators import Colorization, SuperResolution
        >>> Composition(Colorization(), SuperResolution(2))(torch.ones(1, 3, 8, 8)).shape
        torch.Size([1, 1, 4, 4])
    """
    for A in operators:
        if not isinstance(A, Operator):
            raise TypeError(
                f"A {type(A).__name__} is to be composed. Operators are expected; a callable "
                "becomes one by hrdis.operators.Function(f, shape=(c, h, w))."
            )
    if len(operators) < 2:
        raise ValueError(
            f"{len(operators)} operators are to be composed. Two or more are expected: "
            "Composition(A, B)."
        )
    if all(isinstance(A, LinearOperator) for A in operators):
        return ComposedLinearOperator(*operators)
    return ComposedOperator(*operators)


class ComposedOperator(Operator):
    """The operator A_n(... A_2(A_1(x))), made by `Composition` if one of them is not linear.

    ``pinv``, ``init`` and ``smooth`` apply those of the parts in reverse order: a starting picture,
    no inverse.

    Cost:
        the sum of the parts'.
    """

    def __init__(self, *operators: Operator):
        super().__init__()
        self.operators = nn.ModuleList(operators)
        self.lossless = all(A.lossless for A in operators)
        self.picture = operators[-1].picture

    @property
    def parts(self) -> list[Operator]:
        """Operators in the order in which they are applied."""
        return [A for A in self.operators if isinstance(A, Operator)]

    @property
    def observed(self) -> Tensor | None:  # type: ignore[override]
        return self.parts[-1].observed

    def for_image(self, i: int) -> "ComposedOperator":
        parts, changed = [], False
        for A in self.parts:
            parts.append(A.for_image(i))
            changed = changed or parts[-1] is not A
        return type(self)(*parts) if changed else self

    def image_shape(self, y_shape: Shape) -> Shape:
        for A in reversed(self.parts):
            y_shape = A.image_shape(y_shape)
        return y_shape

    def forward(self, x: Tensor) -> Tensor:
        for A in self.parts:
            x = A(x)
        return x

    def pinv(self, y: Tensor) -> Tensor:
        """Apply the ``pinv`` of the parts in reverse order."""
        for A in reversed(self.parts):
            y = A.pinv(y)
        return y

    def init(self, y: Tensor) -> Tensor:
        """Apply the ``init`` of the parts in reverse order.

        The measurement of the result need not be y.
        """
        for A in reversed(self.parts):
            y = A.init(y)
        return y

    def smooth(self, y: Tensor) -> Tensor:
        """Apply the ``smooth`` of the parts in reverse order.

        The measurement of the result need not be y.
        """
        for A in reversed(self.parts):
            y = A.smooth(y)
        return y


class ComposedLinearOperator(ComposedOperator, LinearOperator):
    """The operator A_n ... A_2 A_1, made by `Composition` of linear operators.

    The adjoint is A_1* A_2* ... A_n*, exactly. The pseudo-inverse of a product is not the product
    of the pseudo-inverses, so ``pinv`` runs conjugate gradient. ``init`` and ``smooth`` apply the
    parts' in reverse order. That is a cheap approximation, and the better start where the parts
    lose much.

    Cost:
        the sum of the parts'; up to 400 times that for ``pinv``.
    """

    def for_image(self, i: int) -> "ComposedLinearOperator":
        own = super().for_image(i)
        assert isinstance(own, ComposedLinearOperator)
        return own

    def adjoint(self, y: Tensor) -> Tensor:
        for A in reversed(self.parts):
            assert isinstance(A, LinearOperator)
            y = A.adjoint(y)
        return y

    def pinv(self, y: Tensor) -> Tensor:
        return LinearOperator.pinv(self, y)
