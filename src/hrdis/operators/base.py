"""Base classes of measurement operators, y = A(x) + sigma_y z.

Images are (b, c, h, w) in [-1, 1]. Operators are deterministic. Whatever is random about one (a
mask, a matrix) is drawn once, from a seed, when it is built. Noise is added elsewhere
(`hrdis.noise`, `hrdis.measure`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ..linalg import cg, reciprocal, tolerance
from . import hints

Shape = tuple[int, ...]

ZERO = 1e-10  # singular values below this share of the largest are 0: a float64 SVD leaves 1e-16
STEPS = 200  # of conjugate gradient, where there is no closed form


class Operator(nn.Module, ABC):
    """A measurement operator, possibly nonlinear.

    ``forward`` must treat images independently and be differentiable by autograd.
    """

    #: Ability that sets this kind of operator apart from more general ones, for messages.
    capability: ClassVar[str] = "a forward map"
    #: Mask broadcastable to y, 1 where an entry was observed and 0 where not; None if all were.
    observed: Tensor | None = None
    #: True if A only multiplies images with `observed`: y is then the image itself, with holes.
    holes: bool = False
    #: True if y alone determines x, so that without noise there is nothing to recover.
    lossless: bool = False
    #: True if y is an image in [-1, 1]: it can be saved as one, and carry noise that is defined
    #: for images.
    picture: bool = True
    #: True if y is grey and the image has colours: a picture file of colours is measured first.
    to_grey: bool = False
    #: Families of presets whose settings suit it, the most specific first; by default those for a
    #: coarser image.
    families: tuple[str, ...] = ("sr4",)
    #: True if A takes its image to [0, 1] first, so that y and its noise are in units of that
    #: range.
    unit_range: bool = False
    #: The Python that tells this kind of operator the shape of its images, for messages.
    shape_hint: ClassVar[str] = "def image_shape(self, y_shape): return (y_shape[0], c, h, w)"

    def __call__(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or not (x.is_floating_point() or x.is_complex()):
            got = str(x.dtype) if isinstance(x, Tensor) else type(x).__name__
            # The constants of A are cast to the dtype of x: as integers most of them would be 0.
            raise TypeError(
                f"{type(self).__name__} got {got}. A floating tensor of shape (b, c, h, w) in [-1, "
                "1] is expected. Convert a picture of bytes: x / 127.5 - 1."
            )
        return super().__call__(x)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return A(x), for images x of shape (b, c, h, w) in [-1, 1]."""

    @abstractmethod
    def pinv(self, y: Tensor) -> Tensor:
        """Return the pseudo-inverse of y if A is linear, otherwise a documented starting image."""

    def init(self, y: Tensor) -> Tensor:
        """Return the image at which the papers start to optimise.

        By default ``pinv(y)``; operators whose pseudo-inverse amplifies noise override it.
        """
        return self.pinv(y)

    def smooth(self, y: Tensor) -> Tensor:
        """Return a smooth image with A x = y, exactly or nearly, as a start for weak priors.

        By default ``pinv(y)``; an operator whose image has A x = y only nearly says so.
        """
        return self.pinv(y)

    def image_shape(self, y_shape: Shape) -> Shape:
        """Return the shape (b, c, h, w) of the images whose measurements have ``y_shape``."""
        return tuple(y_shape)

    def for_image(self, i: int) -> "Operator":
        """Return the operator of image i alone; itself, unless each image has parameters."""
        return self

    def check(self, x: Tensor) -> None:
        """Raise unless x can be measured: floating, (b, c, h, w), at least one image, finite.

        Raises:
            TypeError: for another type, dtype or number of axes.
            ValueError: for channels in the last axis, NaN or infinite values.
        """
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != 4 or x.numel() == 0:
            got = type(x).__name__
            if isinstance(x, Tensor):
                got = f"{x.dtype} of shape {tuple(x.shape)}"
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


class ProximalOperator(Operator):
    """An operator that finds the image closest to a given one that is consistent with y.

    All linear operators are of this kind, and so are rounding and clipping.
    """

    capability: ClassVar[str] = "a projection onto the images that are consistent with y"

    @abstractmethod
    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the image closest to x among those consistent with y, P(x)."""

    def prox(self, x: Tensor, y: Tensor, rho: float | Tensor) -> Tensor:
        """Return argmin_v ||v - P(v)||^2 + rho ||v - x||^2 = x + (P(x) - x) / (1 + rho)."""
        return x + (self.project(x, y) - x) / (1 + rho)


class LinearOperator(ProximalOperator):
    """A linear operator: it also has an adjoint, and ``pinv`` is the Moore-Penrose inverse."""

    capability: ClassVar[str] = "an adjoint"

    def for_image(self, i: int) -> "LinearOperator":
        return self

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Return A* y, with <A x, y> = <x, A* y>."""

    def normal(self, x: Tensor) -> Tensor:
        """Return A* A x."""
        return self.adjoint(self(x))

    def pinv(self, y: Tensor) -> Tensor:
        """Return A^+ y by conjugate gradient on A* A x = A* y from 0.

        At most 200 steps: singular values below some 1/100 of the largest are recovered in part
        only, which keeps noise from being amplified. Operators with a closed form override it.
        """
        b = self.adjoint(at_least_float32(y))
        return cg(self.normal, b, torch.zeros_like(b), STEPS, tolerance(b)).to(y.dtype)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the image closest to x among those with A x = y, x - A^+(A x - y)."""
        return x - self.pinv(self(x) - y)

    def prox(self, x: Tensor, y: Tensor, rho: float | Tensor) -> Tensor:
        """Return argmin_v ||A v - y||^2 + rho ||v - x||^2, by conjugate gradient from x.

        With rho = 0 it is ``project``.
        """
        if float(rho) == 0:
            return self.project(x, y)
        return cg(
            lambda v: self.normal(v) + rho * v, self.adjoint(y) + rho * x, x, STEPS, tolerance(x)
        )


class SVDOperator(LinearOperator):
    """A linear operator with a singular value decomposition A = U diag(s) V*.

    The factors are applied, never stored. V is unitary on images. The spectrum V* x has one entry
    per singular value, those that are 0 included, in whatever shape suits the operator. It may be
    complex, and real gains on it (the same for s and its twin) keep images real.
    """

    capability: ClassVar[str] = "a singular value decomposition"

    @abstractmethod
    def singulars(self, x: Tensor) -> Tensor:
        """Return s >= 0 for images like x, real, broadcastable to ``Vt(x)``, on the device of x.

        They are exactly 0 in the null space of A.
        """

    @abstractmethod
    def V(self, spectrum: Tensor) -> Tensor:
        """Return the image of a spectrum."""

    @abstractmethod
    def Vt(self, x: Tensor) -> Tensor:
        """Return V* x, the spectrum of images."""

    @abstractmethod
    def U(self, spectrum: Tensor) -> Tensor:
        """Return the measurement of a spectrum; entries where s = 0 are ignored."""

    @abstractmethod
    def Ut(self, y: Tensor) -> Tensor:
        """Return U* y, the spectrum of measurements, 0 where s = 0."""

    def filter(self, gain: Tensor, x: Tensor) -> Tensor:
        """Return V diag(gain) V* x, for a gain that is a function of s.

        A gain of 1 - s^2, for example, gives x - A* A x.
        """
        return self.V(gain * self.Vt(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.U(self.singulars(x) * self.Vt(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.V(self._singulars_for(y) * self.Ut(y))

    def pinv(self, y: Tensor) -> Tensor:
        return self.V(reciprocal(self._singulars_for(y)) * self.Ut(y))

    def prox(self, x: Tensor, y: Tensor, rho: float | Tensor) -> Tensor:
        """Return argmin_v ||A v - y||^2 + rho ||v - x||^2 in closed form; rho 0 is ``project``."""
        if float(rho) == 0:
            return self.project(x, y)
        s = self.singulars(x)
        return self.V((s * self.Ut(y) + rho * self.Vt(x)) / (s**2 + rho))

    def _singulars_for(self, y: Tensor) -> Tensor:
        """Return the singular values for images whose measurements have the shape of y."""
        dtype = y.real.dtype if y.is_complex() else y.dtype
        # `expand` gives an image of the right shape, dtype and device without its memory.
        image = torch.empty((), dtype=dtype, device=y.device)
        return self.singulars(image.expand(self.image_shape(tuple(y.shape))))


class BlindOperator(Operator):
    """A family of operators A(x; theta) whose parameters are estimated along with the image."""

    capability: ClassVar[str] = "parameters to estimate"

    #: Adam's step length for each parameter.
    rates: dict[str, float]

    @abstractmethod
    def start(self, y: Tensor) -> dict[str, Tensor]:
        """Return a first guess of every parameter from y, each with the image axis first."""

    @abstractmethod
    def at(self, x: Tensor, theta: dict[str, Tensor]) -> Tensor:
        """Return A(x; theta)."""

    def valid(self, theta: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the nearest parameters that are allowed; by default all are."""
        return theta


class Function(Operator):
    """An operator made of any differentiable callable ``x -> y``, taken for nonlinear.

    Args:
        function: maps (b, c, h, w) to measurements with the image axis first, images independent.
        shape: (c, h, w) of the images; by default that of y.
        start: maps y to a starting image; by default y itself where shapes agree, else mid-grey.

    Example:
        >>> A = Function(lambda x: x.clamp(-1, 0.2))
        >>> A(torch.ones(1, 3, 8, 8)).max()
        tensor(0.2000)
    """

    shape_hint = "Problem(y, hrdis.operators.Function(A, shape=(c, h, w)))"

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        shape: tuple[int, int, int] | None = None,
        start: Callable[[Tensor], Tensor] | None = None,
    ):
        super().__init__()
        self.function, self.shape, self.start = function, shape, start

    def forward(self, x: Tensor) -> Tensor:
        # A copy, because the function may write into its argument.
        return self.function(x.clone())

    def pinv(self, y: Tensor) -> Tensor:
        """Return the starting image, ``start(y)`` or else y if its shape is right or else grey."""
        if self.start is not None:
            return self.start(y)
        shape = self.image_shape(tuple(y.shape))
        return y if tuple(y.shape) == shape else y.new_zeros(shape)

    def image_shape(self, y_shape: Shape) -> Shape:
        return tuple(y_shape) if self.shape is None else (y_shape[0], *self.shape)


# ---- operators of other libraries ---------------------------------------------------------------


class Adapter(NamedTuple):
    """A row of `ADAPTERS`: how the operators of another library become operators of hrdis."""

    #: True for an object of that library.
    recognise: Callable[[object], bool]
    #: Convert (object, (c, h, w)) to an operator for images in [-1, 1].
    convert: Callable[[Any, tuple[int, int, int]], Operator]
    #: Return (c, h, w) of the images behind a measurement (object, y).
    image_shape: Callable[[Any, Tensor], tuple[int, int, int]]
    #: Return the noise level that the object declares, in its own units.
    noise_level: Callable[[Any], float]
    #: Convert (operator, y, sigma) from the units of that library to those of the operator.
    measurement: Callable[[Any, Tensor, float], tuple[Tensor, float]]


#: Adapters of other libraries, asked in this order.
ADAPTERS: list[Adapter] = []


def find_adapter(A: object) -> Adapter | None:
    """Return the adapter that recognises A; None for an `Operator` or a plain callable."""
    if isinstance(A, Operator):
        return None
    for adapter in ADAPTERS:
        if adapter.recognise(A):
            return adapter
    return None


def as_operator(A: Any, shape: tuple[int, int, int] | None = None) -> Operator:
    """Return A as an `Operator`: itself, an adapted foreign one, or a `Function` of a callable.

    Args:
        A: an `Operator`, an object that one of `ADAPTERS` recognises, or a callable ``x -> y``.
        shape: (c, h, w) of the images; needed for foreign objects.

    Raises:
        TypeError: if A is none of these.
        ValueError: if A needs a shape, or refuses images of this one.
    """
    if isinstance(A, Operator):
        return A
    adapter = find_adapter(A)
    if adapter is not None:
        if shape is None:
            raise ValueError(
                f"A is a {type(A).__name__}, which does not know the size of its images. Their "
                "shape (c, h, w) is expected: as_operator(A, (3, 64, 64))."
            )
        return adapter.convert(A, shape)
    if not callable(A):
        raise TypeError(
            f"A is a {type(A).__name__}. A hrdis Operator or a callable x -> y is expected, e.g. "
            "hrdis.operators.SuperResolution(scale=4)."
        )
    return Function(A, shape)


# ---- constants and numbers ----------------------------------------------------------------------


class Copies:
    """A constant with its copies for other devices and dtypes, each made when first asked for.

    For matrices that are made on the CPU in float64, which not every device knows. Sent with every
    product, they would make the host wait for an accelerator each time.
    """

    def __init__(self, value: Tensor):
        self.value = value
        self._made: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def like(self, x: Tensor) -> Tensor:
        """Return the constant on the device, and with the dtype, of x."""
        found = self._made.get((x.device, x.dtype))
        if found is None:
            with torch.inference_mode(False):  # kept for later callers, who may want a gradient
                found = self._made[x.device, x.dtype] = self.value.to(x)
        return found

    def on(self, device: torch.device) -> Tensor:
        """Return the constant on a device, with its own dtype."""
        return self.like(torch.empty(0, dtype=self.value.dtype, device=device))

    def __reduce__(self) -> tuple[type["Copies"], tuple[Tensor]]:
        return Copies, (self.value,)  # another process may not have these devices


def at_least_float32(x: Tensor) -> Tensor:
    """Convert half precision to float32; leave other dtypes.

    Half precisions have no Fourier transform on most devices, and too few bits for sums.
    """
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
