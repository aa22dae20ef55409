"""Low light: an unknown exposure and an unknown additive map."""

import warnings
from math import isfinite

import torch
from torch import Tensor

from .base import BlindOperator

# Fitted on 178 training photographs and pieces of them (docs/measurements/tasks.md, "Low light").
WHITE_SHARE = 0.995
WHITE_MISSED = 14.0
WHITE_LEAST = 0.775


class LowLight(BlindOperator):
    """A(x; f, M) = 2 (f (x + 1) / 2 + M) - 1. Light is dimmed by f and lifted by M, both in units
    of a [0, 1] image.

    y is in [-1, 1] like x, so that dark pictures can be read from files. The parameters f (one
    number per image) and M (one value per pixel, shared by the channels) are not identifiable
    together. With f = 0 and M = y they give every grey y. Hence M starts at 0 and moves ten times
    slower than f. Nor are f and the brightness of the picture, because f x is (f / 2) (2 x). Only
    what is known of photographs separates them, above all that they have something white (`start`).

    Estimated along with the image, the parameters are theta = {"f": (b, 1, 1, 1), "M": (b, 1, h,
    w)}. To measure, and for solvers that estimate nothing, ``forward`` uses the f and M given here.
    Where none is given, f = 1 and M = 0, which leave light as it is.

    Args:
        f: exposure, > 0 and finite; a number, or (b,) or (b, 1, 1, 1) with one per image.
        M: additive map in units of a [0, 1] image, (b or 1, 1, h, w).

    Raises:
        ValueError: for an f that is not positive and finite, an M of another shape, or, on use,
            parameters that do not fit the images.

    Warns:
        UserWarning: on `start` and `pinv`, of a y far outside [-1, 1].

    Cost:
        none to speak of.

    Reference:
        Fei et al., Generative Diffusion Prior for Unified Image Restoration and Enhancement, CVPR
        2023, arXiv 2304.01247 (the model); HRDIS, ICLR 2025, appendix C.7. Start, rates and M's one
        channel are ours.

    Example:
        >>> A = LowLight(f=0.25)
        >>> A(torch.ones(1, 3, 2, 2)).max(), A.start(A(torch.ones(1, 3, 300, 400)))["f"].flatten()
        (tensor(-0.5000), tensor([0.2605]))
    """

    families = ("lowlight",)

    #: Adam's step lengths: M moves slowly, which keeps it from absorbing the image.
    rates = {"f": 1e-2, "M": 1e-3}  # noqa: RUF012
    #: f stays within these bounds while it is estimated.
    bounds = (1e-3, 1e3)

    f: float | Tensor | None
    M: Tensor | None

    def __init__(self, f: float | Tensor | None = None, M: Tensor | None = None):
        super().__init__()
        wrong = [v for v in _numbers(f) if not (isfinite(v) and v > 0)]
        if wrong:
            raise ValueError(f"f is {wrong[0]}. A finite number > 0 is expected: LowLight(f=0.25).")
        if isinstance(f, Tensor):
            if tuple(f.shape) not in ((), (f.numel(),), (f.numel(), 1, 1, 1)):
                raise ValueError(
                    f"f has shape {tuple(f.shape)}. One number, or one per image, is expected: "
                    "LowLight(f.reshape(-1))."
                )
            self.register_buffer("f", f.reshape(-1, 1, 1, 1))
        else:
            self.f = f
        if M is not None:
            if not isinstance(M, Tensor) or M.ndim != 4 or M.shape[1] != 1:
                got = f"shape {tuple(M.shape)}" if isinstance(M, Tensor) else type(M).__name__
                raise ValueError(
                    f"M is given as {got}. A map of shape (b, 1, h, w) or (1, 1, h, w) is "
                    "expected: M[:, None]."
                )
            if not bool(torch.isfinite(M).all()):
                raise ValueError(
                    "M holds NaN or infinite values. Finite values in units of [0, 1] are expected."
                )
        self.register_buffer("M", M)

    def extra_repr(self) -> str:
        f = ", ".join(f"{v:g}" for v in _numbers(self.f)[:4]) or "unknown"
        return f"f={f}, M={'none' if self.M is None else tuple(self.M.shape)}"

    def forward(self, x: Tensor) -> Tensor:
        """Return A(x) with the f and M it was built with; f = 1 and M = 0 without them."""
        return self.at(x, self._given(x))

    def at(self, x: Tensor, theta: dict[str, Tensor]) -> Tensor:
        """Return A(x; theta) for theta["f"] (b or 1, 1, 1, 1) and theta["M"] (b or 1, 1, h, w)."""
        f, M = theta["f"], theta["M"]
        if len(f) not in (1, len(x)) or len(M) not in (1, len(x)):
            raise ValueError(
                f"There are {len(f)} exposures f and {len(M)} maps M for {len(x)} images. One for "
                f"all, or one per image, is expected: LowLight(f=f[:{len(x)}])."
            )
        if M.shape[-2:] != (1, 1) and M.shape[-2:] != x.shape[-2:]:
            raise ValueError(
                f"M is {M.shape[-2]} x {M.shape[-1]}, the image {x.shape[-2]} x {x.shape[-1]} "
                "(height x width). Both must agree; nothing is resized in silence."
            )
        return f * (x + 1) + (2 * M - 1)

    def start(self, y: Tensor) -> dict[str, Tensor]:
        """Return M = 0 and f = the white point of y over that of a photograph.

        Both white points are in [0, 1], and f is clipped to [0.02, 1].

        The white point is what 0.5 % of the pixels exceed in their brightest channel. A whole
        photograph has it at 1, nearly. A small piece of one may hold nothing bright. The value 1 -
        14 / sqrt(h w), at least 0.775, fits pieces of training photographs of 64 x 64 to 256 x 256
        pixels, and whole ones.
        """
        if not y.is_meta and float(y.abs().max()) > 1.5:
            warnings.warn(
                f"y reaches {float(y.abs().max()):.3g}; a measurement in [-1, 1], up to noise, is "
                "expected. For values in [0, 1] use 2 * y - 1.",
                stacklevel=2,
            )
        b, _, h, w = y.shape
        brightest = (
            ((y + 1) / 2).amax(1).flatten(1).sort(1).values
        )  # torch.quantile refuses large pictures
        white = brightest[:, min(int(WHITE_SHARE * h * w), h * w - 1)].reshape(-1, 1, 1, 1)
        f = (white / max(1 - WHITE_MISSED / (h * w) ** 0.5, WHITE_LEAST)).clamp(0.02, 1)
        return {"f": f, "M": y.new_zeros(b, 1, h, w)}

    def valid(self, theta: dict[str, Tensor]) -> dict[str, Tensor]:
        """Move f into [1e-3, 1e3]; NaN stays NaN, so that a diverged image is reported as such."""
        return theta | {"f": theta["f"].clamp(*self.bounds)}

    def pinv(self, y: Tensor) -> Tensor:
        """Return the starting image 2 clip((y01 - M) / f, 0, 1) - 1, where f may be `start`'s."""
        theta = self._given(y)
        if self.f is None:
            theta["f"] = self.start(y)["f"]
        return 2 * (((y + 1) / 2 - theta["M"]) / theta["f"]).clamp(0, 1) - 1

    def for_image(self, i: int) -> "LowLight":
        f, M = self.f, self.M
        if isinstance(f, Tensor) and len(f) > 1:
            f = f[i : i + 1]
        if isinstance(M, Tensor) and len(M) > 1:
            M = M[i : i + 1]
        return LowLight(f, M)

    def _given(self, x: Tensor) -> dict[str, Tensor]:
        """Return the parameters the operator was built with, f = 1 and M = 0 without them."""
        f, M = x.new_ones(1, 1, 1, 1), x.new_zeros(1, 1, 1, 1)
        if self.f is not None:
            f = self.f.to(x) if isinstance(self.f, Tensor) else x.new_full((1, 1, 1, 1), self.f)
        if self.M is not None:
            M = self.M.to(x)
        return {"f": f, "M": M}


def _numbers(f: float | Tensor | None) -> list[float]:
    if f is None:
        return []
    return f.flatten().tolist() if isinstance(f, Tensor) else [f]
