"""Blur: convolution with a point spread function, the image continued beyond its border or
periodic.
"""

from collections.abc import Callable
from math import pi
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..linalg import cg, tolerance
from .base import STEPS, Copies, LinearOperator, SVDOperator, at_least_float32
from .derived import Derived
from .kernels import checked

Boundary = Literal["reflect", "replicate", "zero"]
MODES = {"reflect": "reflect", "replicate": "replicate", "zero": "constant"}
#: Share of a kernel that may differ from its mirror image, in one that counts as its own.
MIRRORED = 1e-3


class Blur(LinearOperator):
    """Depth-wise convolution, y[i] = sum_t k[t] x[i - t], with the image continued beyond its
    border.

    The kernel is a point spread function: what a point of light becomes.

    y has the size of x. ``boundary="reflect"`` mirrors without repeating the edge pixel (as DPS),
    ``"replicate"`` repeats the edge pixel, ``"zero"`` is mid-grey outside. The adjoint is exact. It
    is the correlation, then the border folded back. There is no SVD in closed form; `CircularBlur`
    and `SeparableBlur` have one.

    ``pinv`` runs conjugate gradient, at most 200 steps. A blur has singular values near 0, and what
    it recovers of those is what noise and rounding left there. Unless y is exact, start from
    ``smooth``, which is y itself.

    Args:
        kernel: (kh, kw) with odd sides, e.g. ``kernels.gaussian(61, 3.0)``; zero borders cost
            nothing.
        boundary: what lies beyond the border.

    Raises:
        TypeError: if the kernel is no tensor of two axes.
        ValueError: for a kernel of even sides, not finite, or whose sum is 0; another boundary; or,
            on use, an image too small to be mirrored (kh // 2 >= h, kw // 2 >= w).

    Warns:
        UserWarning: of a kernel whose sum is not 1, with which y is brighter or darker than x.

    Cost:
        two Fourier transforms of the padded image, whatever the size of the kernel; 400 times that
        for ``pinv``.

    Reference:
        Chung, Kim, Mccann, Klasky, Ye, Diffusion Posterior Sampling, ICLR 2023 (Gaussian and motion
        blur).

    Example:
        >>> A = Blur(torch.ones(3, 3) / 9)
        >>> float(A(torch.ones(1, 1, 8, 8)).mean().round(decimals=4))
        1.0
    """

    families = ("deblur", "sr4")

    kernel: Tensor

    def __init__(self, kernel: Tensor, boundary: Boundary = "reflect"):
        super().__init__()
        if boundary not in MODES:
            raise ValueError(
                f"boundary is {boundary!r}. 'reflect', 'replicate' or 'zero' is expected. For a "
                "periodic image: CircularBlur(kernel)."
            )
        self.boundary: Boundary = boundary
        self.register_buffer("kernel", _trimmed(checked(kernel)))
        self._of_kernel = Derived()

    def extra_repr(self) -> str:
        return f"kernel={tuple(self.kernel.shape)}, boundary={self.boundary!r}"

    def forward(self, x: Tensor) -> Tensor:
        (h, w), (p, q) = x.shape[-2:], self._reach()
        if self.boundary == "reflect" and (p >= h or q >= w):
            raise ValueError(
                f"The image is {h} x {w}, too small to be mirrored by a kernel of {2 * p + 1} x "
                f"{2 * q + 1}: its sides must exceed {p} and {q}. Use a larger image, a smaller "
                "kernel, or Blur(kernel, boundary='replicate')."
            )
        padded = F.pad(at_least_float32(x), (q, q, p, p), mode=MODES[self.boundary])
        # The transform is periodic; what it wraps around ends up in the padding, which is cut off.
        sides = _fast(h + 2 * p), _fast(w + 2 * q)
        K = self._response(padded, sides)
        y = torch.fft.irfft2(K * torch.fft.rfft2(padded, s=sides), s=sides)
        return y[..., p : p + h, q : q + w].to(x.dtype)

    def adjoint(self, y: Tensor) -> Tensor:
        (h, w), (p, q) = y.shape[-2:], self._reach()
        padded = F.pad(at_least_float32(y), (q, q, p, p))
        sides = _fast(h + 2 * p), _fast(w + 2 * q)
        K = self._response(padded, sides)
        x = torch.fft.irfft2(K.conj() * torch.fft.rfft2(padded, s=sides), s=sides)
        x = x[..., : h + 2 * p, : w + 2 * q]
        return _folded(_folded(x, p, self.boundary).mT, q, self.boundary).mT.to(y.dtype)

    def prox(self, x: Tensor, y: Tensor, rho: float | Tensor) -> Tensor:
        """Return argmin_v ||A v - y||^2 + rho ||v - x||^2 by conjugate gradient from x.

        With rho = 0 it is ``project``. Where the border is mirrored and the kernel its own mirror
        image in both axes, cosines nearly diagonalise A* A. That leaves a condition number of 4 at
        most, whatever rho is, and some eight steps in float32.
        """
        nearly_inverse = self._nearly_inverse(x, float(rho)) if float(rho) > 0 else None
        if nearly_inverse is None:
            return super().prox(x, y, rho)
        # The move from x, not the image: what rounding leaves is a share of the residual.
        b = self.adjoint(y - self(x))
        return x + cg(
            lambda v: self.normal(v) + rho * v,
            b,
            torch.zeros_like(b),
            STEPS,
            tolerance(b),
            nearly_inverse=nearly_inverse,
        )

    def init(self, y: Tensor) -> Tensor:
        """Return y itself, as ``smooth``."""
        return self.smooth(y)

    def smooth(self, y: Tensor) -> Tensor:
        """Return y, which is close to x and whose noise no small singular value has divided."""
        return y.clone()

    def _reach(self) -> tuple[int, int]:
        return self.kernel.shape[0] // 2, self.kernel.shape[1] // 2

    def _response(self, padded: Tensor, sides: tuple[int, int]) -> Tensor:
        """Return the transform of the kernel, for images like the padded one, of these sides."""
        return self._of_kernel.find(
            self.kernel,
            (padded.dtype, padded.device, sides),
            lambda: torch.fft.rfft2(_centred(self.kernel.to(padded), *sides)),
        )

    def _nearly_inverse(self, x: Tensor, rho: float) -> Callable[[Tensor], Tensor] | None:
        """Return a map close to (A* A + rho I)^-1 on images like x; None where none is known.

        Mirrored without its edge repeated, an image is a sum of cosines cos(pi j i / (n - 1)). A
        kernel that is its own mirror image only scales them, by K_j. Let C be the matrix of these
        cosines, i = 0 ... n - 1, and W = diag(1/2, 1, ..., 1, 1/2). Then C W C is (n - 1) / 2 W^-1
        along each axis, and in the unknowns W^(1/2) v

            W^(-1/2) (A* A + rho I) W^(-1/2) = S W^-1 S + rho W^-1

        with the symmetric S = 2 / (n - 1) W^(1/2) C W^(1/2) K W^(1/2) C W^(1/2). As W lies between
        1/4 and 1 in two dimensions, that is S^2 + rho I up to a factor between 1 and 4, whose
        inverse is taken.
        """
        h, w = x.shape[-2:]
        if self.boundary != "reflect" or min(h, w) < 2:
            return None

        def constants() -> tuple[Copies, ...] | None:
            """Return K, 4 W W / ((h - 1) (w - 1)), and C of either axis."""
            kernel = self.kernel.detach().to("cpu", torch.float64)
            mirrored = (kernel + kernel.flip(0) + kernel.flip(1) + kernel.flip(0, 1)) / 4
            if float((kernel - mirrored).abs().sum()) > MIRRORED * float(kernel.abs().sum()):
                return None
            p, q = self._reach()
            K = _cosine(h, range(-p, p + 1)) @ mirrored @ _cosine(w, range(-q, q + 1)).T
            weights = torch.ones(h, w, dtype=torch.float64, device="cpu") * 4 / ((h - 1) * (w - 1))
            weights[[0, -1]] /= 2
            weights[:, [0, -1]] /= 2
            made = (K, weights, _cosine(h, range(h)), _cosine(w, range(w)))
            return tuple(Copies(constant) for constant in made)

        found = self._of_kernel.find(self.kernel, ("cosines", h, w), constants)
        if found is None:
            return None
        K, weights, down, along = (constant.like(x) for constant in found)
        gain = weights / (K.square() + rho)
        return lambda r: down @ (gain * (down @ r @ along)) @ along


def _cosine(n: int, places: range) -> Tensor:
    """Return cos(pi j i / (n - 1)) for j = 0 ... n - 1 and the places i, float64."""
    j = torch.arange(n, dtype=torch.float64, device="cpu")
    i = torch.arange(places.start, places.stop, dtype=torch.float64, device="cpu")
    return (pi / (n - 1) * torch.outer(j, i)).cos()


class CircularBlur(SVDOperator):
    """Depth-wise convolution with the image continued periodically; the Fourier transform
    diagonalises it.

    With F the unitary transform and K the transform of the kernel, A = F* diag(K) F: V = F*, ``s =
    |K|``, and U carries the phase. The spectrum V* x is complex, (b, c, h, w). A real photograph is
    not periodic, so that its opposite borders bleed into each other. Use it where a solver needs an
    SVD, or for measurements simulated with it.

    Args:
        kernel: (kh, kw) with odd sides, no larger than the image.
        tolerance: ``|K|`` below this share of its largest counts as 0, in A too: A is the blur to
            that relative error.

    Raises:
        TypeError, ValueError: for a kernel as in `Blur`; a tolerance outside [0, 1); or, on use, an
            image smaller than the kernel.

    Cost:
        two Fourier transforms of the image.

    Reference:
        Kawar, Elad, Ermon, Song, Denoising Diffusion Restoration Models, NeurIPS 2022.
    """

    families = ("deblur", "sr4")

    kernel: Tensor

    def __init__(self, kernel: Tensor, tolerance: float = 1e-4):
        super().__init__()
        if not 0 <= tolerance < 1:
            raise ValueError(
                f"tolerance is {tolerance}. A share in [0, 1) of the largest |K| is expected: 1e-4."
            )
        self.tolerance = tolerance
        self.register_buffer("kernel", _trimmed(checked(kernel)))
        self._of_kernel = Derived()

    def extra_repr(self) -> str:
        return f"kernel={tuple(self.kernel.shape)}, tolerance={self.tolerance:g}"

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(at_least_float32(x)).to(x.dtype)

    def adjoint(self, y: Tensor) -> Tensor:
        return super().adjoint(at_least_float32(y)).to(y.dtype)

    def pinv(self, y: Tensor) -> Tensor:
        return super().pinv(at_least_float32(y)).to(y.dtype)

    def init(self, y: Tensor) -> Tensor:
        """Return y itself, as ``smooth``."""
        return self.smooth(y)

    def smooth(self, y: Tensor) -> Tensor:
        """Return y, which is close to x and whose noise no small singular value has divided."""
        return y.clone()

    def singulars(self, x: Tensor) -> Tensor:
        return self._response(at_least_float32(x))[0].to(x.dtype)

    def V(self, spectrum: Tensor) -> Tensor:
        return torch.fft.ifft2(spectrum, norm="ortho").real

    def Vt(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(at_least_float32(x), norm="ortho")

    def U(self, spectrum: Tensor) -> Tensor:
        return torch.fft.ifft2(self._response(spectrum.real)[1] * spectrum, norm="ortho").real

    def Ut(self, y: Tensor) -> Tensor:
        return self._response(at_least_float32(y))[1].conj() * torch.fft.fft2(
            at_least_float32(y), norm="ortho"
        )

    def _response(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return |K| and the phase of K for images like x, both 0 where |K| counts as 0."""
        (h, w), (kh, kw) = x.shape[-2:], self.kernel.shape
        if kh > h or kw > w:
            raise ValueError(
                f"The image is {h} x {w}, smaller than the kernel of {kh} x {kw}. A periodic image "
                "at least as large is expected. Use a smaller kernel, or Blur(kernel, "
                "boundary='replicate')."
            )

        def decomposed() -> tuple[Tensor, Tensor]:
            K = torch.fft.fft2(_centred(self.kernel.to(x.device), h, w))
            s = K.abs()
            seen = (s > 0) & (s >= self.tolerance * s.max())
            s = torch.where(seen, s, torch.zeros_like(s))
            phase = torch.where(seen, K / s.where(seen, torch.ones_like(s)), torch.zeros_like(K))
            return s.to(x.dtype), phase.to(x.dtype.to_complex())

        return self._of_kernel.find(self.kernel, (x.dtype, x.device, h, w), decomposed)


def _fast(n: int) -> int:
    """Return the least number from n on with no prime factor above 5, of which transforms are
    fast: up to 8 times as fast as with a large one.
    """
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _trimmed(kernel: Tensor) -> Tensor:
    """Cut the zeros around a kernel; its centre stays the centre."""
    for _ in range(2):
        r = len(kernel) // 2
        seen = (kernel != 0).any(1).nonzero().flatten() - r
        reach = int(seen.abs().max())
        kernel = kernel[r - reach : r + reach + 1].T
    return kernel.contiguous()


def _centred(kernel: Tensor, h: int, w: int) -> Tensor:
    """Put the kernel on an (h, w) grid with its centre at (0, 0), wrapped around."""
    kh, kw = kernel.shape
    return F.pad(kernel, (0, w - kw, 0, h - kh)).roll((-(kh // 2), -(kw // 2)), (0, 1))


def _folded(x: Tensor, p: int, boundary: Boundary) -> Tensor:
    """Apply the transpose of padding axis -2 by p on either side."""
    n = x.shape[-2] - 2 * p
    middle = x[..., p : p + n, :].clone()
    if p and boundary == "reflect":
        middle[..., 1 : p + 1, :] += x[..., :p, :].flip(-2)
        middle[..., n - 1 - p : n - 1, :] += x[..., p + n :, :].flip(-2)
    elif p and boundary == "replicate":
        middle[..., 0, :] += x[..., :p, :].sum(-2)
        middle[..., n - 1, :] += x[..., p + n :, :].sum(-2)
    return middle
