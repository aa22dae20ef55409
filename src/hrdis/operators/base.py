"""What a measurement is: y = A(x) + sigma_y z.

Images are (b, c, h, w) in [-1, 1]. Operators are deterministic: whatever is random about one (a
mask, a matrix) is drawn once, from a seed, when it is built. Noise is added elsewhere
(`hrdis.noise`, `hrdis.measure`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..linalg import cg
from . import hints

Shape = tuple[int, ...]

ZERO = 1e-10  # singular values below this share of the largest are 0: a float64 SVD leaves 1e-16
STEPS = 200  # of conjugate gradient, where there is no closed form


class Operator(nn.Module, ABC):
    """A measurement operator, possibly nonlinear.

    ``forward`` must treat images independently and be differentiable by autograd.
    """

    #: What this kind of operator has and others lack, for messages.
    capability: ClassVar[str] = "a forward map"
    #: 1 where an entry of y was observed, 0 where not, broadcastable to y; None means everything
    #: was.
    observed: Tensor | None = None
    #: Whether A only multiplies pictures with `observed`: y is then the picture itself, with holes.
    holes: bool = False
    #: Whether y alone determines x, so that without noise there is nothing to recover.
    lossless: bool = False
    #: Whether y is a picture in [-1, 1]: it can be saved as one, and carry noise that is defined
    #: for pictures.
    picture: bool = True
    #: Families of presets whose settings suit it, the most specific first; by default those for a
    #: coarser picture.
    families: tuple[str, ...] = ("sr4",)

    def __call__(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or not (x.is_floating_point() or x.is_complex()):
            got = str(x.dtype) if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(  # cast to whole numbers, A's own would all be 0
                f"{type(self).__name__} got {got}. A floating tensor of shape (b, c, h, w) in [-1, "
                "1] is expected. Convert a picture of bytes: x / 127.5 - 1."
            )
        return super().__call__(x)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """A(x), for images x of shape (b, c, h, w) in [-1, 1]."""

    @abstractmethod
    def pinv(self, y: Tensor) -> Tensor:
        """The pseudo-inverse of y if A is linear, otherwise a documented starting picture."""

    def init(self, y: Tensor) -> Tensor:
        """Where the papers' optimisation starts: by default ``pinv(y)``, which on some leaves would
        blow noise up.
        """
        return self.pinv(y)

    def smooth(self, y: Tensor) -> Tensor:
        """A smooth picture that explains y, exactly or nearly: the start for priors that know
        little.

        By default ``pinv(y)``; a leaf that stays short of explaining y says so.
        """
        return self.pinv(y)

    def image_shape(self, y_shape: Shape) -> Shape:
        """The shape (b, c, h, w) of the images whose measurements have ``y_shape``."""
        return tuple(y_shape)

    def for_image(self, i: int) -> "Operator":
        """The operator of image i alone, where it differs between images (a mask each); by default
        itself.
        """
        return self

    def check(self, x: Tensor) -> None:
        """Raise unless x can be measured: floating, (b, c, h, w), at least one image, finite."""
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != 4 or x.numel() == 0:
            got = (
                f"{x.dtype} of shape {tuple(x.shape)}"
                if isinstance(x, Tensor)
                else type(x).__name__
            )
            hint = hints.conversion_hint(x, "x")
            hint = hint or "Convert a picture with hrdis.images.load(path)."
            raise TypeError(
                f"{type(self).__name__} got {got}. A floating tensor of shape (b, c, h, w) in [-1, "
                f"1] is expected. {hint}"
            )
        if x.shape[1] > 4 >= x.shape[3]:
            raise ValueError(
                f"{type(self).__name__} got shape {tuple(x.shape)}, with the channels last. (b, c, "
                "h, w) is expected: x.permute(0, 3, 1, 2)."
            )
        if not bool(torch.isfinite(x).all()):
            raise ValueError(
                f"The image given to {type(self).__name__} holds NaN or infinite values. Finite "
                "values in [-1, 1] are expected."
            )


class LinearOperator(Operator):
    """A linear operator: also has its adjoint, and ``pinv`` is the Moore-Penrose inverse."""

    capability: ClassVar[str] = "an adjoint"

    def for_image(self, i: int) -> "LinearOperator":
        return self

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """A* y, with <A x, y> = <x, A* y>."""

    def normal(self, x: Tensor) -> Tensor:
        """A* A x."""
        return self.adjoint(self(x))

    def pinv(self, y: Tensor) -> Tensor:
        """A^+ y by conjugate gradient on A* A x = A* y from 0; leaves override it where a closed
        form exists.

        At most 200 steps: singular values below some 1/100 of the largest are recovered in part
        only, which keeps noise from being blown up.
        """
        b = self.adjoint(at_least_float32(y))
        return cg(self.normal, b, torch.zeros_like(b), STEPS, tolerance(b)).to(y.dtype)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """The point closest to x among those that explain y: x - A^+(A x - y)."""
        return x - self.pinv(self(x) - y)

    def prox(self, x: Tensor, y: Tensor, rho: float | Tensor) -> Tensor:
        """argmin_v ||A v - y||^2 + rho ||v - x||^2, by conjugate gradient from x; rho = 0 is
        `project`.
        """
        if float(rho) == 0:
            return self.project(x, y)
        return cg(
            lambda v: self.normal(v) + rho * v, self.adjoint(y) + rho * x, x, STEPS, tolerance(x)
        )


class SVDOperator(LinearOperator):
    """A linear operator with a singular value decomposition A = U diag(s) V*, whose factors are
    applied, never stored.

    V is unitary on images. The spectrum V* x has one entry per singular value, those that are 0
    included, in whatever shape suits the operator; it may be complex, and real gains on it (the
    same for s and its twin) keep images real.
    """

    capability: ClassVar[str] = "a singular value decomposition"

    @abstractmethod
    def singulars(self, x: Tensor) -> Tensor:
        """s >= 0 for images like x, broadcastable to `Vt` (x); exactly 0 where A is blind. Real, on
        x's device.
        """

    @abstractmethod
    def V(self, spectrum: Tensor) -> Tensor:
        """The image of a spectrum."""

    @abstractmethod
    def Vt(self, x: Tensor) -> Tensor:
        """V* x: the spectrum of images."""

    @abstractmethod
    def U(self, spectrum: Tensor) -> Tensor:
        """The measurement of a spectrum; entries where s = 0 are ignored."""

    @abstractmethod
    def Ut(self, y: Tensor) -> Tensor:
        """U* y: the spectrum of measurements, 0 where s = 0."""

    def filter(self, gain: Tensor, x: Tensor) -> Tensor:
        """V diag(gain) V* x, for a gain that is a function of s: 1 - s^2 gives x - A* A x."""
        return self.V(gain * self.Vt(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.U(self.singulars(x) * self.Vt(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.V(self._like(y) * self.Ut(y))

    def pinv(self, y: Tensor) -> Tensor:
        return self.V(reciprocal(self._like(y)) * self.Ut(y))

    def prox(self, x: Tensor, y: Tensor, rho: float | Tensor) -> Tensor:
        """argmin_v ||A v - y||^2 + rho ||v - x||^2 in closed form; rho = 0 is ``project``."""
        if float(rho) == 0:
            return self.project(x, y)
        s = self.singulars(x)
        return self.V((s * self.Ut(y) + rho * self.Vt(x)) / (s**2 + rho))

    def _like(self, y: Tensor) -> Tensor:
        """The singular values for images whose measurements are like y."""
        dtype = y.real.dtype if y.is_complex() else y.dtype
        return self.singulars(
            torch.empty((), dtype=dtype, device=y.device).expand(self.image_shape(tuple(y.shape)))
        )


class Function(Operator):
    """Any differentiable callable ``x -> y`` as a nonlinear operator.

    Args:
        function: maps (b, c, h, w) to measurements with the image axis first, images independent.
        shape: (c, h, w) of the images; by default that of y.
        start: maps y to a starting picture; by default y itself where shapes agree, else mid-grey.

    Example:
        >>> A = Function(lambda x: x.clamp(-1, 0.2))
        >>> A(torch.ones(1, 3, 8, 8)).max()
        tensor(0.2000)
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        shape: tuple[int, int, int] | None = None,
        start: Callable[[Tensor], Tensor] | None = None,
    ):
        super().__init__()
        self.function, self.shape, self.start = function, shape, start

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x.clone())  # it may write into what it gets

    def pinv(self, y: Tensor) -> Tensor:
        """The starting picture: ``start(y)``, or y itself, or mid-grey when y is no picture of that
        shape.
        """
        if self.start is not None:
            return self.start(y)
        shape = self.image_shape(tuple(y.shape))
        return y if tuple(y.shape) == shape else y.new_zeros(shape)

    def image_shape(self, y_shape: Shape) -> Shape:
        return tuple(y_shape) if self.shape is None else (y_shape[0], *self.shape)


def reciprocal(s: Tensor) -> Tensor:
    """1 / s where s > 0, else 0: the singular values of the pseudo-inverse."""
    return torch.where(s > 0, 1 / s.where(s > 0, torch.ones_like(s)), torch.zeros_like(s))


def at_least_float32(x: Tensor) -> Tensor:
    """x in float32 at least: half precisions have no Fourier transform, and no room for sums."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def tolerance(x: Tensor) -> float:
    """The relative residual at which conjugate gradient has done what the precision of x allows."""
    return 1e-14 if x.dtype == torch.float64 else 1e-6


class BlindOperator(Operator):
    """A family of operators A(x; theta) whose parameters, per image, are estimated along with the
    image.
    """

    capability: ClassVar[str] = "parameters to estimate"

    #: Adam's step length for each parameter.
    rates: dict[str, float]

    @abstractmethod
    def start(self, y: Tensor) -> dict[str, Tensor]:
        """A first guess of every parameter from the measurement, each with the image axis first."""

    @abstractmethod
    def at(self, x: Tensor, theta: dict[str, Tensor]) -> Tensor:
        """A(x; theta)."""

    def valid(self, theta: dict[str, Tensor]) -> dict[str, Tensor]:
        """The nearest parameters that are allowed; by default all are."""
        return theta
