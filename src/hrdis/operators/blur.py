"""Blur: convolution with a point spread function, the image continued beyond its border or
periodic.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import LinearOperator, SVDOperator, at_least_float32
from .kernels import checked

Boundary = Literal["reflect", "replicate", "zero"]
MODES = {"reflect": "reflect", "replicate": "replicate", "zero": "constant"}


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
        K = self._response(padded)
        # The transform is periodic; what it wraps around ends up in the padding, which is cut off.
        y = torch.fft.irfft2(K * torch.fft.rfft2(padded), s=padded.shape[-2:])
        return y[..., p : p + h, q : q + w].to(x.dtype)

    def adjoint(self, y: Tensor) -> Tensor:
        p, q = self._reach()
        padded = F.pad(at_least_float32(y), (q, q, p, p))
        K = self._response(padded)
        x = torch.fft.irfft2(K.conj() * torch.fft.rfft2(padded), s=padded.shape[-2:])
        return _folded(_folded(x, p, self.boundary).mT, q, self.boundary).mT.to(y.dtype)

    def init(self, y: Tensor) -> Tensor:
        """Return y itself, as ``smooth``."""
        return self.smooth(y)

    def smooth(self, y: Tensor) -> Tensor:
        """Return y, which is close to x and whose noise no small singular value has divided."""
        return y.clone()

    def _reach(self) -> tuple[int, int]:
        return self.kernel.shape[0] // 2, self.kernel.shape[1] // 2

    def _response(self, padded: Tensor) -> Tensor:
        return torch.fft.rfft2(_centred(self.kernel.to(padded), *padded.shape[-2:]))


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
        K = torch.fft.fft2(_centred(self.kernel.to(x.device), h, w))
        s = K.abs()
        seen = (s > 0) & (s >= self.tolerance * s.max())
        s = torch.where(seen, s, torch.zeros_like(s))
        phase = torch.where(seen, K / s.where(seen, torch.ones_like(s)), torch.zeros_like(K))
        return s.to(x.dtype), phase.to(x.dtype.to_complex())


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
