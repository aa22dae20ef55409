"""Phase retrieval: the magnitude of the Fourier transform is known, its phase is lost."""

import warnings
from collections.abc import Callable
from math import ceil, floor, isfinite
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Operator, Shape, at_least_float32


class PhaseRetrieval(Operator):
    """The operator ``A x = |F pad(x)|`` per channel, F the orthonormal 2-D Fourier transform.

    Zero frequency lies in the middle.

    Zeros go on all four sides, p = int(oversample / 8 * n) for a side of n. An oversampling of
    "2.0" makes 1.5 n samples per axis and 2.25 times as many in all. Energy is kept, ||A x|| =
    ||x||, for ``data_range="[-1,1]"``. Where F pad(x) is 0 the magnitude has a kink, and the
    gradient is taken as 0.

    y does not change when an image of [-1, 1] is negated or turned by 180 degrees, each channel on
    its own. For [0, 1] only the turn is left. `hrdis.metrics.align` undoes both. Images with wide
    grey margins may be shifted, too.

    Args:
        oversample: > 0; padding in eighths of each side.
        padding: zeros on each side in pixels instead, an integer >= 0 or (vertical, horizontal).
        data_range: ``"[-1,1]"`` transforms x itself, as published (zeros are mid-grey); ``"[0,1]"``
            transforms (x + 1) / 2, whose sign is known.

    Raises:
        ValueError: for an oversample that is not positive, a negative padding, another range, or,
            on use, a y whose sides no image has.
        TypeError: on use, for a complex image.

    Warns:
        UserWarning: where nothing is padded, so that there are fewer equations than unknowns.

    Cost:
        one Fourier transform of the padded image.

    Reference:
        Chung et al., Diffusion Posterior Sampling, ICLR 2023, arXiv 2209.14687, appendix C.2 (there
        n = 256 always).

    Example:
        >>> A = PhaseRetrieval(oversample=2.0)
        >>> A(torch.zeros(1, 3, 64, 64)).shape, A.image_shape((1, 3, 96, 96))
        (torch.Size([1, 3, 96, 96]), (1, 3, 64, 64))
    """

    families = ("phase",)

    picture = False

    def __init__(
        self,
        oversample: float = 2.0,
        padding: int | tuple[int, int] | None = None,
        data_range: Literal["[-1,1]", "[0,1]"] = "[-1,1]",
    ):
        super().__init__()
        if not (isfinite(oversample) and oversample > 0):
            raise ValueError(
                f"oversample is {oversample}. A number > 0 is expected: "
                "PhaseRetrieval(oversample=2.0). To measure without padding, ask for it: "
                "PhaseRetrieval(padding=0)."
            )
        sides = (padding, padding) if isinstance(padding, int) else padding
        if sides is not None and (
            len(sides) != 2 or not all(isinstance(p, int) and p >= 0 for p in sides)
        ):
            raise ValueError(
                f"padding is {padding!r}. An integer >= 0, or two, is expected: "
                "PhaseRetrieval(padding=64)."
            )
        if data_range not in ("[-1,1]", "[0,1]"):
            raise ValueError(f"data_range is {data_range!r}. '[-1,1]' or '[0,1]' is expected.")
        if sides is not None and min(sides) == 0:
            _warn_of_no_padding(f"padding is {padding!r}")
        self.oversample, self.padding, self.data_range = oversample, sides, data_range

    def extra_repr(self) -> str:
        if self.padding is None:
            return f"oversample={self.oversample}, data_range={self.data_range!r}"
        return f"padding={self.padding}, data_range={self.data_range!r}"

    def forward(self, x: Tensor) -> Tensor:
        if x.is_complex():
            raise TypeError(
                f"The image is {x.dtype}. Real values in [-1, 1] are expected. Measure the real "
                "part: A(x.real)."
            )
        h, w = x.shape[-2:]
        top, left = self._zeros_beside(h, 0), self._zeros_beside(w, 1)
        if self.padding is None and min(top, left) == 0:
            _warn_of_no_padding(f"oversample = {self.oversample:g} of {h} x {w} pads nothing")
        u = at_least_float32(x)
        if self.data_range == "[0,1]":
            u = (u + 1) / 2
        u = F.pad(u, (left, left, top, top))
        return _centred(torch.fft.fft2, u).abs().to(x.dtype)

    def pinv(self, y: Tensor) -> Tensor:
        """Return a starting image, abs(F^-1 y), the inverse transform with zero phase, cropped.

        It has a sharp spike in the middle, and its measurement is not y. Noise makes some entries
        of y negative; they are transformed as they are, as in the official code.
        """
        h, w = self.image_shape(tuple(y.shape))[-2:]
        top, left = (y.shape[-2] - h) // 2, (y.shape[-1] - w) // 2
        u = _centred(torch.fft.ifft2, at_least_float32(y)).abs()
        u = u[..., top : top + h, left : left + w]
        if self.data_range == "[0,1]":
            u = 2 * u - 1
        return u.to(y.dtype)

    def image_shape(self, y_shape: Shape) -> Shape:
        """Return the shape of x; n + 2 p grows with n, so that a side of y has one n at most."""
        return (*y_shape[:-2], self._side(y_shape[-2], 0), self._side(y_shape[-1], 1))

    def _zeros_beside(self, n: int, axis: int) -> int:
        """Return p, how many zeros go on either side of n pixels along an axis (0 or 1)."""
        return int(self.oversample / 8 * n) if self.padding is None else self.padding[axis]

    def _side(self, m: int, axis: int) -> int:
        """Return the n with n + 2 p = m.

        Raises:
            ValueError: if there is none.
        """
        if self.padding is None:
            # p is rounded down, so that n lies between m and m + 2 over 1 + oversample / 4.
            growth = 1 + self.oversample / 4
            candidates = range(max(floor(m / growth), 1), ceil((m + 2) / growth) + 1)
            example = 1
        else:
            n = m - 2 * self.padding[axis]
            candidates = range(max(n, 1), n + 1)
            example = max(n, 1)
        for n in candidates:
            if n + 2 * self._zeros_beside(n, axis) == m:
                return n
        raise ValueError(
            f"y has a side of {m}, which no image padded by {self!r} has. A side n + 2 p is "
            f"expected, e.g. {example + 2 * self._zeros_beside(example, axis)}. Was y made with "
            "another padding? Name it: PhaseRetrieval(padding=p)."
        )


def _centred(transform: Callable[..., Tensor], u: Tensor) -> Tensor:
    """Transform with zero frequency and zero position in the middle, for odd sides too."""
    axes = (-2, -1)
    return torch.fft.fftshift(transform(torch.fft.ifftshift(u, dim=axes), norm="ortho"), dim=axes)


def _warn_of_no_padding(reason: str) -> None:
    warnings.warn(
        f"Nothing is oversampled: {reason}. Padding is expected, since magnitudes of as many "
        "samples as pixels leave many images: PhaseRetrieval(oversample=2.0).",
        stacklevel=3,
    )
