"""Adapters for operators of the deepinv library, which need not be installed.

They are recognised by their methods alone. Images there are u in [0, 1], here x = 2 u - 1 in
[-1, 1]. For a linear A and y = A u + sigma z

    2 y - A 1 = A x + 2 sigma z,

so their operator serves as it is, once the measurement is shifted and its noise level doubled. A
nonlinear A becomes x -> A((x + 1) / 2), and y and sigma stay as they are. ``hrdis.Problem(y,
physics)`` does all of it.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from .. import _deprecated
from ..messages import level_outside
from ..rng import stream
from .base import ADAPTERS, ZERO, Adapter, LinearOperator, Operator, Shape, SVDOperator

#: Errors by which a method of a Physics says that it cannot do what was asked.
REFUSALS = (AttributeError, TypeError, RuntimeError, ValueError, NotImplementedError)


def from_deepinv(physics: Any, shape: tuple[int, int, int]) -> "DeepinvOperator":
    """Convert a deepinv Physics to an operator for images in [-1, 1].

    A linear one becomes a `LinearOperator`. Its pseudo-inverse is found by conjugate gradient,
    because theirs often stops early or is no pseudo-inverse. One with U, V and mask becomes an
    `SVDOperator` if these are its decomposition. Everything else becomes an `Operator` that starts
    from ``A_dagger``. Linearity is tried out on two images, for an ``A_adjoint`` proves nothing,
    since phase retrieval has one too. A mask per image is kept per image.

    Args:
        physics: has ``A`` and, if linear, ``A_adjoint``; its noise model is not used here.
        shape: (c, h, w) of the images.

    Returns:
        an operator for images in [-1, 1], with ``from_deepinv_range(y)`` and
        ``to_deepinv_range(y)`` between deepinv's y and ours, and ``from_deepinv_sigma(sigma)``.

    Raises:
        TypeError: if there is no method A, or A gives no tensor of real numbers.
        ValueError: for an invalid shape, or one that A refuses.

    Cost:
        up to eight calls of the methods of physics.

    Example:
        A = from_deepinv(physics, (3, 64, 64))
        y = A.from_deepinv_range(y)
        problem = hrdis.Problem(y, A, A.from_deepinv_sigma(0.05))  # or hrdis.Problem(y, physics)
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
    # Noise of the precision and on the device of the physics, with one image per mask.
    like = torch.zeros(())
    if isinstance(physics, nn.Module):
        for tensor in (*physics.parameters(), *physics.buffers()):
            if tensor.is_floating_point() or tensor.is_complex():
                like = tensor.real
                break
    mask: Any = getattr(physics, "mask", None)
    per_image = isinstance(mask, Tensor) and mask.ndim == len(shape) + 1
    size = (len(mask) if per_image else 1, *shape)
    u = torch.from_numpy(stream(0, "deepinv").standard_normal(size)).to(like)
    v = torch.from_numpy(stream(1, "deepinv").standard_normal(size)).to(like)
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
        has_adjoint = callable(getattr(physics, "A_adjoint", None))
        if not (has_adjoint and _near(physics.A(u - 2 * v), Au - 2 * physics.A(v))):
            return DeepinvNonlinear(physics, shape)
        decomposed = DeepinvSVD(physics, shape)
        return decomposed if _is_svd(decomposed, u, v) else DeepinvLinear(physics, shape)


class DeepinvOperator(Operator):
    """Base of the adapters for deepinv operators: images in [-1, 1], measurements of that range."""

    shape_hint = "Problem(y, hrdis.operators.from_deepinv(physics, (c, h, w)))"

    def __init__(self, physics: Any, shape: Shape):
        super().__init__()
        self.physics, self.shape = physics, tuple(shape)
        self.families = families(physics)

    def extra_repr(self) -> str:
        return f"{type(self.physics).__name__}, shape={self.shape}"

    def image_shape(self, y_shape: Shape) -> Shape:
        return (y_shape[0], *self.shape)

    def from_deepinv_range(self, y: Tensor) -> Tensor:
        """Convert deepinv's y to that of images in [-1, 1]: 2 y - A 1."""
        return 2 * y - self._of_ones(y)

    def to_deepinv_range(self, y: Tensor) -> Tensor:
        """Convert a y of images in [-1, 1] to deepinv's: (y + A 1) / 2."""
        return (y + self._of_ones(y)) / 2

    def from_deepinv_sigma(self, sigma: float) -> float:
        """Convert a noise level of deepinv to units of `from_deepinv_range`: 2 sigma."""
        return 2 * sigma

    def from_theirs(self, y: Tensor) -> Tensor:
        """Call `from_deepinv_range`: deprecated."""
        _deprecated.warn("A.from_theirs(y)", "A.from_deepinv_range(y)")
        return self.from_deepinv_range(y)

    def to_theirs(self, y: Tensor) -> Tensor:
        """Call `to_deepinv_range`: deprecated."""
        _deprecated.warn("A.to_theirs(y)", "A.to_deepinv_range(y)")
        return self.to_deepinv_range(y)

    def _of_ones(self, y: Tensor) -> Tensor:
        """Return A 1 for measurements like y: that of a white image in either range."""
        with torch.no_grad():
            return self(y.new_ones(self.image_shape(tuple(y.shape))))


class DeepinvNonlinear(DeepinvOperator):
    """The operator x -> A((x + 1) / 2); y and sigma are deepinv's own."""

    unit_range = True

    def forward(self, x: Tensor) -> Tensor:
        return self.physics.A((x + 1) / 2)

    def pinv(self, y: Tensor) -> Tensor:
        """Return a starting image, ``A_dagger(y)`` if it is real and finite or else mid-grey."""
        grey = y.new_zeros(self.image_shape(tuple(y.shape)))
        try:
            u = self.physics.A_dagger(y)
        except REFUSALS:
            return grey
        if not isinstance(u, Tensor) or not u.is_floating_point() or u.shape != grey.shape:
            return grey
        if not bool(torch.isfinite(u).all()):
            return grey
        return 2 * u.detach() - 1

    def from_deepinv_range(self, y: Tensor) -> Tensor:
        """Return a copy of y.

        A nonlinear A measures the image in [0, 1], in units of its own.
        """
        return y.clone()

    def to_deepinv_range(self, y: Tensor) -> Tensor:
        """Return a copy of y."""
        return y.clone()

    def from_deepinv_sigma(self, sigma: float) -> float:
        """Return sigma, which is in units of y already."""
        return sigma


class DeepinvMatrix(DeepinvOperator, LinearOperator):
    """Base of the linear adapters."""

    def init(self, y: Tensor) -> Tensor:
        """Return `smooth(y)`, as our blurs do."""
        return self.smooth(y)

    def smooth(self, y: Tensor) -> Tensor:
        """Return ``pinv(y)``; for a blur y, or A* y / A* 1 where y has other sides than x."""
        if self.families[0] != "deblur":
            return self.pinv(y)
        if tuple(y.shape) == self.image_shape(tuple(y.shape)):
            return y.clone()
        weight = self.adjoint(torch.ones_like(y))
        # Pixels near a border that y leaves out have little weight, or none.
        return self.adjoint(y) / weight.clamp(min=1e-3 * float(weight.max()))


class DeepinvLinear(DeepinvMatrix):
    """The operator A and its ``A_adjoint``, on images in [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return self.physics.A(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.physics.A_adjoint(y)


class DeepinvSVD(DeepinvMatrix, SVDOperator):
    """The operator A = U diag(mask) V*, where signs and phases of the mask belong to U.

    Args:
        physics: has U, V, their adjoints, and a mask.
        shape: (c, h, w) of the images.
        index: of the image whose mask is used, where each image has its own; None for all.
    """

    holes = True  # `observed` is None for masks that are not of 0 and 1

    def __init__(self, physics: Any, shape: Shape, index: int | None = None):
        super().__init__(physics, shape)
        self.index = index

    @property
    def mask(self) -> Tensor:
        mask = torch.as_tensor(self.physics.mask)
        if not mask.is_floating_point() and not mask.is_complex():
            mask = mask.float()
        if self.index is None:
            return mask
        return mask[self.index : self.index + 1]

    @property
    def observed(self) -> Tensor | None:  # type: ignore[override]
        mask = self.mask
        if mask.is_complex() or not bool(((mask == 0) | (mask == 1)).all()) or bool(mask.all()):
            return None
        # Only where V is the identity does the mask lie on pixels. A ramp along both axes has
        # different pixels everywhere, so any other V changes it.
        batch = max(len(mask), 1) if mask.ndim else 1
        ones = mask.new_ones(batch, *self.shape)
        ramp = ones.cumsum(-1) + ones.cumsum(-2)
        with torch.no_grad():
            spectrum = self.physics.V_adjoint(ramp)
        if spectrum.shape == ramp.shape and torch.equal(spectrum, ramp):
            return mask
        return None

    def for_image(self, i: int) -> "DeepinvSVD":
        mask = self.mask
        if mask.ndim == len(self.shape) + 1 and len(mask) > 1:
            return DeepinvSVD(self.physics, self.shape, i)
        return self

    def singulars(self, x: Tensor) -> Tensor:
        s = self.mask.abs()
        # Masks made by Fourier transforms hold rounding errors of their dtype instead of zeros.
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
        """Return mask / |mask|, and 0 in the null space of A."""
        mask = self.mask.to(spectrum.device)
        if not mask.is_complex():
            mask = mask.to(spectrum.real.dtype)
        return mask.sgn() * (self.singulars(mask.real) > 0)


#: Families of presets by what the name of a class of deepinv contains.
FAMILIES = {
    "Denoising": ("denoise",), "Inpainting": ("inpaint",), "Blur": ("deblur", "sr4"),
    "Demosaicing": ("demosaic", "inpaint-random", "inpaint"), "CompressedSensing": ("cs25", "cs"),
    "Tomography": ("ct",), "MRI": ("mri",), "PhaseRetrieval": ("phase",),
}  # fmt: skip


def families(physics: Any) -> tuple[str, ...]:
    """Return the families of presets that suit a physics, by the names of its classes."""
    names = " ".join(cls.__name__ for cls in type(physics).__mro__)
    for name, found in FAMILIES.items():
        if name in names:
            return found
    return Operator.families


# ---- trying a physics ---------------------------------------------------------------------------


def _near(a: Any, b: Tensor) -> bool:
    """Return True if a is b up to single precision."""
    if not isinstance(a, Tensor) or a.shape != b.shape:
        return False
    error = (a - b).abs().square().sum().sqrt()
    return bool(error <= 1e-4 * b.abs().square().sum().sqrt())


def _is_svd(A: DeepinvSVD, u: Tensor, v: Tensor) -> bool:
    """Return True if U, V and mask are an SVD of A and V spans all images.

    A colour image turned grey, for one, may have a V that spans the range of A only.
    """
    for name in ("U", "V", "U_adjoint", "V_adjoint"):
        if not callable(getattr(A.physics, name, None)):
            return False
    try:
        s = A.singulars(u)
        if not _near(A.V(A.Vt(u)), u):
            return False
        # V diag(s) V* is symmetric only if V is unitary.
        across = A.filter(s, u).flatten() @ v.flatten()
        if not _near(across, u.flatten() @ A.filter(s, v).flatten()):
            return False
        y = A.physics.A(u)
        return _near(A(u), y) and _near(A.adjoint(y), A.physics.A_adjoint(y))
    except REFUSALS:
        return False


# ---- measurements of a physics ------------------------------------------------------------------


def is_physics(A: object) -> bool:
    """Return True if A is a deepinv Physics, which has A, and A_adjoint, A_dagger or A_vjp."""
    if isinstance(A, Operator) or not callable(getattr(A, "A", None)):
        return False
    backwards = ("A_adjoint", "A_dagger", "A_vjp")
    return any(callable(getattr(A, name, None)) for name in backwards)


def image_shape(physics: Any, y: Tensor) -> tuple[int, int, int]:
    """Return (c, h, w) of the images behind y.

    That of ``A_adjoint(y)``; without one ``img_size`` or ``imsize``; without these that of y.
    """
    found: Any = None
    try:
        with torch.no_grad():
            found = tuple(physics.A_adjoint(y).shape[1:])
    except REFUSALS:
        found = getattr(physics, "img_size", None) or getattr(physics, "imsize", None)
    if not isinstance(found, tuple | list) or len(found) != 3:
        found = (*y.shape[1:], 1, 1, 1)[:3]
    return int(found[0]), int(found[1]), int(found[2])


def noise_level(physics: Any) -> float:
    """Return the noise level a deepinv Physics declares, in its units; 0 without a noise model.

    Raises:
        ValueError: if images have different levels.

    Warns:
        UserWarning: of a noise model that is not Gaussian.
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
            stacklevel=level_outside(),
        )
    levels = torch.as_tensor(0.0 if sigma is None else sigma).flatten().unique()
    if len(levels) != 1:
        raise ValueError(
            f"noise_model.sigma differs between images: {[round(float(s), 6) for s in levels]}. "
            "One level is expected. Solve image by image: hrdis.Problem(y[i : i + 1], physics, "
            "sigma_y=float(physics.noise_model.sigma[i]))."
        )
    return float(levels[0])


def measurement(A: DeepinvOperator, y: Tensor, sigma: float) -> tuple[Tensor, float]:
    """Convert a measurement and its noise level from deepinv's units to those of A."""
    return A.from_deepinv_range(y), A.from_deepinv_sigma(sigma)


ADAPTERS.append(Adapter(is_physics, from_deepinv, image_shape, noise_level, measurement))
