"""Computed tomography: sums along parallel rays."""

import math
import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Copies, LinearOperator, Shape, at_least_float32


class CT(LinearOperator):
    """The parallel-beam Radon transform: y[s, v] is the sum of the image, turned by angle v, over
    column s.

    The image (b, 1, size, size), 0 around it, is turned about its pixel (size // 2, size // 2). It
    is resampled bilinearly on a square of d = ceil(sqrt(2) size) pixels. The measurement y is (b,
    1, d, views), in units of the image times pixels (d = 363 for size 256). The adjoint is exact,
    the transpose by automatic differentiation. ``pinv`` runs conjugate gradient, 200 steps at most;
    ``smooth`` is filtered back-projection, close to x, but its measurement is not quite y.

    Args:
        views: how many angles; or the angles themselves, in degrees.
        size: side of the image in pixels.
        limited: angles 0, 1, ..., views - 1 degrees, instead of ``views`` of them spread evenly
            over [0, 180).

    Raises:
        ValueError: for less than one view, a size below 2, or, on use, an image that is not square,
            of another size, or has more than one channel.

    Warns:
        UserWarning: of angles outside [0, 180) degrees, which repeat others.

    Cost:
        one bilinear resampling of d x d pixels per view, twice as much for the adjoint.

    Reference:
        Chung, Lee, Ye, Decomposed Diffusion Sampler, ICLR 2024; Kak, Slaney, Principles of
        Computerized Tomographic Imaging, 1988, chapter 3 (filtered back-projection).

    Differs from the official code:
        HJ-harry/DDS: there un-filtered back-projection stands in for the adjoint, and
        back-projection weighs a limited range of angles as if it were all of them; here by the step
        between angles.

    Example:
        >>> CT(views=8, size=16)(torch.ones(1, 1, 16, 16)).shape
        torch.Size([1, 1, 23, 8])
    """

    families = ("ct",)

    picture = False

    angles: Tensor

    def __init__(self, views: int | Sequence[float] | Tensor, size: int, limited: bool = False):
        super().__init__()
        if isinstance(size, bool) or not isinstance(size, int) or size < 2:
            raise ValueError(
                f"size is {size!r}. The side of the image, an integer >= 2, is expected: size=256."
            )
        if isinstance(views, int):
            if isinstance(views, bool) or views < 1:
                raise ValueError(f"views is {views!r}. At least one view is expected: views=60.")
            self.step = 1.0 if limited else 180 / views
            angles = torch.arange(views, dtype=torch.float64) * self.step
        else:
            angles = torch.as_tensor(views, dtype=torch.float64).flatten()
            if len(angles) < 1 or not bool(torch.isfinite(angles).all()):
                raise ValueError(
                    f"views holds {len(angles)} angles. At least one finite angle is expected: "
                    "views=60."
                )
            self.step = 180 / len(angles)
        if bool(((angles < 0) | (angles >= 180)).any()):
            warnings.warn(
                f"Angles reach from {float(angles.min()):g} to {float(angles.max()):g} degrees. "
                "[0, 180) is expected: the others repeat what those measure.",
                stacklevel=2,
            )
        self.size, self.detectors = size, math.ceil(math.sqrt(2) * size)
        self.register_buffer("angles", angles)
        # The ramp filter's response, from its samples in space.
        samples = max(64, 2 ** math.ceil(math.log2(2 * self.detectors)))
        k = torch.arange(samples, dtype=torch.float64)
        k = torch.minimum(k, samples - k)
        taps = torch.where(k % 2 == 1, -1 / (math.pi * k.clamp(min=1)) ** 2, torch.zeros_like(k))
        taps[0] = 0.25
        self._filter = Copies(2 * torch.fft.fft(taps).real)

    def extra_repr(self) -> str:
        return (
            f"views={len(self.angles)}, size={self.size}, "
            f"angles={self.angles.min():g}..{self.angles.max():g} degrees"
        )

    def image_shape(self, y_shape: Shape) -> Shape:
        return (*y_shape[:2], self.size, self.size)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != (1, self.size, self.size):
            raise ValueError(
                f"CT got images of shape {tuple(x.shape[1:])}. (1, {self.size}, {self.size}) is "
                f"expected. For other squares: CT(views={len(self.angles)}, size={x.shape[-1]})."
            )
        return torch.stack(
            [self._view(at_least_float32(x), v) for v in range(len(self.angles))], -1
        ).to(x.dtype)

    def adjoint(self, y: Tensor) -> Tensor:
        total = torch.zeros(
            self.image_shape(tuple(y.shape)), dtype=at_least_float32(y).dtype, device=y.device
        )
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
        ):  # the transpose of a linear map is its gradient
            x = torch.zeros_like(total).requires_grad_()
            for v in range(len(self.angles)):
                (part,) = torch.autograd.grad(
                    self._view(x, v), x, at_least_float32(y)[..., v].clone()
                )
                total = total + part
        return total.to(y.dtype)

    def init(self, y: Tensor) -> Tensor:
        """Return the filtered back-projection, as ``smooth``."""
        return self.smooth(y)

    def smooth(self, y: Tensor) -> Tensor:
        """Return the filtered back-projection: ramp filter, then linear interpolation."""
        d, n = self.detectors, self.size
        ramp = self._filter.on(y.device)
        spectrum = torch.fft.fft(at_least_float32(y).double(), len(ramp), -2)
        filtered = torch.fft.ifft(ramp[:, None] * spectrum, dim=-2).real[..., :d, :]
        at = torch.arange(n, dtype=torch.float64, device=y.device) - n // 2
        x = torch.zeros(self.image_shape(tuple(y.shape)), dtype=torch.float64, device=y.device)
        for v, angle in enumerate(torch.deg2rad(self.angles)):
            t = (
                at * angle.cos() - at[:, None] * angle.sin() + d // 2
            )  # which detector sees the pixel
            low = t.floor().long().clamp(0, d - 2)
            share, line = t - low, filtered[..., v]
            seen = (t >= 0) & (t <= d - 1)  # corners may fall beside the last detector
            x = x + seen * ((1 - share) * line[..., low] + share * line[..., low + 1])
        return (x * math.radians(self.step) / 2).to(y.dtype)

    def _view(self, x: Tensor, v: int) -> Tensor:
        """Return the sums over columns of the image turned by angle v: (b, 1, d)."""
        n, d = self.size, self.detectors
        angle = torch.deg2rad(self.angles[v])
        at = torch.arange(d, dtype=torch.float64, device=x.device) - d // 2
        column = at * angle.cos() + at[:, None] * angle.sin() + n // 2
        row = at[:, None] * angle.cos() - at * angle.sin() + n // 2
        grid = (2 * torch.stack([column, row], -1) / (n - 1) - 1).to(x)
        turned = F.grid_sample(
            x, grid.expand(len(x), -1, -1, -1), mode="bilinear", align_corners=True
        )
        return turned.sum(-2)
