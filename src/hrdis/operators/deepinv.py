"""Operators of the deepinv library as ours, known by their methods alone: deepinv itself is not
needed.

Images there are u in [0, 1], here x = 2 u - 1 in [-1, 1]. For a linear A and y = A u + sigma z

    y - A 1 / 2 = (A / 2) x + sigma z,

so A / 2 serves once y is moved: ``from_theirs`` (y) = y - A 1 / 2, and sigma stays theirs. A
nonlinear A becomes x -> A((x + 1) / 2), and y and sigma stay as they are. ``hrdis.Problem(y,
physics)`` does all of it.

Settings of solvers weigh measurements of images in [-1, 1]: there a half of A would count as a
quarter of the data. The operator knows its ``scale``, and `Problem.rescaled`, which the driver asks
for, is 2 y - A 1 = A x + 2 sigma z.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ..rng import stream
from .base import ZERO, LinearOperator, Operator, Shape, SVDOperator


def from_deepinv(physics: Any, shape: tuple[int, int, int]) -> "Theirs":
    """An operator of deepinv as ours.

    A linear one becomes a `LinearOperator` (pseudo-inverse by conjugate gradient: theirs often
    stops early or is no pseudo-inverse), one with U, V and mask an `SVDOperator` if these are its
    decomposition, everything else an `Operator` that starts from ``A_dagger``. Whether it is linear
    is tried out on two images, for an ``A_adjoint`` does not tell: phase retrieval has one. A mask
    per image is kept per image.

    Args:
        physics: has ``A`` and, if linear, ``A_adjoint``; its noise model is not used here.
        shape: (c, h, w) of the images.

    Returns:
        an operator for images in [-1, 1], with ``from_theirs(y)`` and ``to_theirs(y)`` between
        deepinv's y and ours. The standard deviation of the noise is the same for both.

    Raises:
        TypeError: if there is no method A, or A gives no tensor of real numbers.
        ValueError: for a shape that is none, or one that A refuses.

    Example:
        A = from_deepinv(physics, (3, 64, 64))
        problem = hrdis.Problem(A.from_theirs(y), A, sigma_y=0.05)  # or hrdis.Problem(y, physics)
    """
    if not callable(getattr(physics, "A", None)):
        raise TypeError(
            f"physics is a {type(physics).__name__} without a method A. A deepinv Physics is "
            "expected: from_deepinv(deepinv.physics.Downsampling(img_size=(3, 64, 64), factor=2), "
            "(3, 64, 64))."
        )
    if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(
            f"shape is {tuple(shape)}. The shape (c, h, w) of the images is expected: "
            "from_deepinv(physics, (3, 64, 64))."
        )
    u, v = _probes(physics, shape)
    with torch.no_grad():
        try:
            Au = physics.A(u)
        except (RuntimeError, ValueError, IndexError, AssertionError) as error:
            raise ValueError(
                f"{type(physics).__name__}.A refuses images of shape {tuple(u.shape)} "
                f"({str(error).splitlines()[0]}). The shape (c, h, w) of its images is expected: "
                "from_deepinv(physics, (c, h, w))."
            ) from error
        if not isinstance(Au, Tensor) or not Au.is_floating_point():
            got = f"{Au.dtype} numbers" if isinstance(Au, Tensor) else f"a {type(Au).__name__}"
            raise TypeError(
                f"{type(physics).__name__}.A gives {got}. One tensor of real numbers is expected. "
                "Join the parts: hrdis.operators.LinearFunction(lambda x: torch.cat([p.flatten(1) "
                "for p in physics.A(x)], 1), shape)."
            )
        linear = callable(getattr(physics, "A_adjoint", None)) and _near(
            physics.A(u - 2 * v), Au - 2 * physics.A(v)
        )
        if not linear:
            return Nonlinear(physics, shape)
        decomposed = Decomposed(physics, shape)
        return decomposed if _is_svd(decomposed, u, v) else Linear(physics, shape)


class Theirs(Operator):
    """What the three kinds share: where images and measurements lie.

    ``scale`` is 1/2 for what is linear: y = scale A x + noise of their sigma.
    """

    def __init__(self, physics: Any, shape: Shape, scale: float = 0.5):
        super().__init__()
        self.physics, self.shape, self.scale = physics, tuple(shape), scale

    def whole(self) -> "Theirs":
        """A itself, not its half: what measures images in [-1, 1] as one of ours does."""
        return type(self)(self.physics, self.shape, 1.0)

    def extra_repr(self) -> str:
        return f"{type(self.physics).__name__}, shape={self.shape}"

    def image_shape(self, y_shape: Shape) -> Shape:
        return (y_shape[0], *self.shape)

    def from_theirs(self, y: Tensor) -> Tensor:
        """Our y of deepinv's: y - A 1 / 2."""
        return 2 * self.scale * y - self._white(y)

    def to_theirs(self, y: Tensor) -> Tensor:
        """deepinv's y of ours: y + A 1 / 2."""
        return (y + self._white(y)) / (2 * self.scale)

    def _white(self, y: Tensor) -> Tensor:
        with torch.no_grad():
            return self(y.new_ones(self.image_shape(tuple(y.shape))))


class Nonlinear(Theirs):
    """x -> A((x + 1) / 2); y and sigma are deepinv's own."""

    def __init__(self, physics: Any, shape: Shape, scale: float = 1.0):
        super().__init__(physics, shape, scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.physics.A((x + 1) / 2)

    def pinv(self, y: Tensor) -> Tensor:
        """The starting picture: ``A_dagger(y)`` where it gives a finite real one, else mid-grey."""
        shape = self.image_shape(tuple(y.shape))
        try:
            u = self.physics.A_dagger(y)
        except (AttributeError, NotImplementedError, RuntimeError, ValueError, TypeError):
            u = None
        real = isinstance(u, Tensor) and u.is_floating_point() and tuple(u.shape) == shape
        return 2 * u.detach() - 1 if real and bool(torch.isfinite(u).all()) else y.new_zeros(shape)

    def from_theirs(self, y: Tensor) -> Tensor:
        return y.clone()

    def to_theirs(self, y: Tensor) -> Tensor:
        return y.clone()


class Linear(Theirs, LinearOperator):
    """A / 2 and ``A_adjoint`` / 2, on images in [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.physics.A(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.scale * self.physics.A_adjoint(y)


class Decomposed(Theirs, SVDOperator):
    """A / 2 = U diag(mask / 2) V*, where signs and phases of the mask go to U."""

    holes = True  # `observed` is None for any other mask

    def __init__(self, physics: Any, shape: Shape, scale: float = 0.5, only: int | None = None):
        super().__init__(physics, shape, scale)
        self.only = only  # the image whose mask this is, where each has its own

    def whole(self) -> "Decomposed":
        return Decomposed(self.physics, self.shape, 1.0, self.only)

    @property
    def mask(self) -> Tensor:
        mask = torch.as_tensor(self.physics.mask)
        mask = mask if mask.is_floating_point() or mask.is_complex() else mask.float()
        return mask if self.only is None else mask[self.only : self.only + 1]

    @property
    def observed(self) -> Tensor | None:  # type: ignore[override]
        mask = self.mask
        if mask.is_complex() or not bool(((mask == 0) | (mask == 1)).all()) or bool(mask.all()):
            return None
        one = mask.new_ones(max(len(mask), 1) if mask.ndim else 1, *self.shape)
        with torch.no_grad():  # a picture with holes: U and V change nothing
            image = one.cumsum(-1) + one.cumsum(-2)
            same = self.physics.V_adjoint(image)
            return mask if same.shape == image.shape and torch.equal(same, image) else None

    def for_image(self, i: int) -> "Decomposed":
        mask = self.mask
        own = mask.ndim == len(self.shape) + 1 and len(mask) > 1
        return Decomposed(self.physics, self.shape, self.scale, i) if own else self

    def singulars(self, x: Tensor) -> Tensor:
        s = self.scale * self.mask.abs()
        rounding = max(ZERO, 10 * torch.finfo(s.dtype).eps)
        return s.where(s > rounding * s.max(), torch.zeros_like(s)).to(x)

    def V(self, spectrum: Tensor) -> Tensor:
        return self.physics.V(spectrum)

    def Vt(self, x: Tensor) -> Tensor:
        return self.physics.V_adjoint(x)

    def U(self, spectrum: Tensor) -> Tensor:
        return self.physics.U(self._phase(spectrum) * spectrum)

    def Ut(self, y: Tensor) -> Tensor:
        spectrum = self.physics.U_adjoint(y)
        return self._phase(spectrum).conj() * spectrum

    def _phase(self, spectrum: Tensor) -> Tensor:
        """mask / |mask|, and 0 where A is blind."""
        mask = self.mask.to(spectrum.device)
        mask = mask if mask.is_complex() else mask.to(spectrum.real.dtype)
        return mask.sgn() * (self.singulars(mask.real) > 0)


def _probes(physics: Any, shape: Shape) -> list[Tensor]:
    """Two batches of noise where the parameters of the physics are, one image per mask."""
    held: list[Tensor] = []
    if isinstance(physics, nn.Module):
        held = [
            t
            for t in (*physics.parameters(), *physics.buffers())
            if t.is_floating_point() or t.is_complex()
        ]
    like = held[0].real if held else torch.zeros(())
    mask = getattr(physics, "mask", None)
    batch = len(mask) if isinstance(mask, Tensor) and mask.ndim == len(shape) + 1 else 1
    draws = (stream(k, "deepinv").standard_normal((batch, *shape)) for k in range(2))
    return [torch.from_numpy(z).to(like) for z in draws]


def _near(a: Any, b: Tensor) -> bool:
    """Whether a is b up to single precision."""
    same = isinstance(a, Tensor) and a.shape == b.shape
    return same and bool(
        (a - b).abs().square().sum().sqrt() <= 1e-4 * b.abs().square().sum().sqrt()
    )


def _is_svd(A: Decomposed, u: Tensor, v: Tensor) -> bool:
    """Whether U, V and mask decompose A, with all of the image in V: grey from colours has only the
    range there.
    """
    if not all(
        callable(getattr(A.physics, name, None)) for name in ("U", "V", "U_adjoint", "V_adjoint")
    ):
        return False
    try:
        s = A.singulars(u)
        symmetric = _near(
            A.filter(s, u).flatten() @ v.flatten(), u.flatten() @ A.filter(s, v).flatten()
        )
        whole = _near(A.V(A.Vt(u)), u)
        y = A.physics.A(u)
        return (
            whole
            and symmetric
            and _near(A(u), A.scale * y)
            and _near(A.adjoint(y), A.scale * A.physics.A_adjoint(y))
        )
    except (AttributeError, TypeError, RuntimeError, ValueError, NotImplementedError):
        return False


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
