"""The measurement settings the papers name, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from operator import itemgetter
from pathlib import Path
from typing import Literal

from torch import Tensor

from .operators import (
    CT,
    HDR,
    JPEG,
    MRI,
    Blur,
    Channelwise,
    Colorization,
    CompressedSensing,
    Identity,
    Inpainting,
    LowLight,
    Mosaic,
    NonlinearBlur,
    Operator,
    PhaseRetrieval,
    Quantization,
    SeparableBlur,
    SuperResolution,
    WalshHadamard,
    kernels,
    kspace,
    masks,
)  # fmt: skip
from .operators.base import Shape
from .operators.nonlinear_blur import BKSE, ORIGIN

#: (h, w, seed, index) to an operator for images of that size.
Build = Callable[[int, int, int, int], Operator]


@dataclass(frozen=True)
class Task:
    """A measurement setting.

    Args:
        summary: one line for people.
        build: (h, w, seed, index) to the operator for images of that size; seed and index choose a
            random mask.
        presets: keys of solver presets that fit, the most specific first.
        mask: whether a damaged picture needs a mask beside it.
        band: the least and the largest share of the picture that drawn holes cover, where there are
            such bounds.
        scale: how much larger the restored picture is.
        multiple: what the sides of a picture must be multiples of, besides the scale.
        source: who measures like this.
        kernel: whether a damaged picture needs its blur kernel beside it.
        photo: like ``build``, for somebody's photograph where that differs. It goes on beyond its
            borders, and programs that turn photographs grey weigh the colours.
        blind: like ``build``, without the parameters that solvers for unknown ones estimate.
        weights: whether the operator is a network whose weights somebody has to give: see
            `with_weights`.
        size: returns (h, w) of the image behind a measurement, by the measurement's shape; for
            measurements that are no pictures, and kept in arrays.
        drawn: True if such a measurement can only be restored with the seed it was made with.
    """

    summary: str
    build: Build
    presets: tuple[str, ...]
    mask: bool = False
    scale: int = 1
    multiple: int = 1
    source: str = ""
    kernel: bool = False
    photo: Build | None = None
    blind: Build | None = None
    weights: bool = False
    size: Callable[[Shape], tuple[int, int]] | None = None
    drawn: bool = False
    band: tuple[float, float] | None = None

    @property
    def picture(self) -> bool:
        """True if what is measured is a picture, which an image file can hold."""
        return self.size is None

    def size_of(self, y_shape: Shape) -> tuple[int, int]:
        """Return (h, w) of the image behind a measurement that has the shape ``y_shape``."""
        if self.size is None:
            return y_shape[-2] * self.scale, y_shape[-1] * self.scale
        return self.size(y_shape)

    def with_weights(self, weights: str | Path | Mapping[str, Tensor]) -> "Task":
        """Return the same task with the weights of its network.

        They are read once for all its operators, from a file or a state dict.

        Raises:
            ValueError: for a task without a network, or as `NonlinearBlur` for weights that do not
                fit.
        """
        if not self.weights:
            raise ValueError(
                "This task takes no weights. Only deblur-nonlinear measures by a network."
            )
        build: Callable[..., Operator] = self.build
        return replace(self, build=partial(build, network=NonlinearBlur(weights).network))

    @property
    def solver(self) -> str:
        """Name of the solver that ``hrdis restore`` takes unless another is named."""
        return "blindhrdis" if self.blind else "hrdis"


# Builds are functions of the module and `partial` of them: tasks go to other processes.


def fixed(h: int, w: int, seed: int, index: int, *, make: Callable[[], Operator]) -> Operator:
    """Return the same operator for every size, seed and index."""
    return make()


def _seeded(h: int, w: int, seed: int, index: int, *, make: Callable[..., Operator]) -> Operator:
    """Return an operator that a seed decides, the same for every image."""
    return make(seed=seed)


def _holes(h: int, w: int, seed: int, index: int, *, draw: Callable[..., Tensor]) -> Operator:
    """Return an inpainting with a mask of `hrdis.operators.masks`."""
    return Inpainting(draw(h, w, seed=seed, index=index))


def _motion(h: int, w: int, seed: int, index: int) -> Operator:
    return Blur(kernels.motion(61, 0.5, seed, index))


def _separable(h: int, w: int, seed: int, index: int, *, name: str, mirrored: bool) -> Operator:
    kernel_h, kernel_w = kernels.separable(name)
    return Blur(kernel_h[:, None] * kernel_w) if mirrored else SeparableBlur(kernel_h, kernel_w)


def _nonlinear(h: int, w: int, seed: int, index: int, *, network: BKSE | None = None) -> Operator:
    if network is None:
        how = "--weights FILE, or TASKS['deblur-nonlinear'].with_weights(FILE)"
        raise ValueError(
            f"The task 'deblur-nonlinear' needs the weights of its network: {how}. {ORIGIN}."
        )
    return NonlinearBlur(network, seed, index=index)


def _mri(h: int, w: int, seed: int, index: int) -> Operator:
    return Channelwise(MRI(kspace.columns(w, 4, seed=seed)), channels=2)


def _size_by(make: Callable[[], Operator], y_shape: Shape) -> tuple[int, int]:
    """Return (h, w) as an operator tells it from the shape of its measurement."""
    h, w = make().image_shape(y_shape)[-2:]
    return h, w


def _ct_size(y_shape: Shape) -> tuple[int, int]:
    """Return the side n of the square that ceil(sqrt(2) n) detectors see."""
    side = int(y_shape[-2] / sqrt(2))
    return side, side


def _ct(h: int, w: int, seed: int, index: int) -> Operator:
    return Channelwise(CT(60, size=h))


def _inpaint(band: tuple[float, float], source: str) -> Task:
    low, high = (f"{100 * b:.0f}" for b in band)
    return Task(
        f"fill the holes marked in a mask; drawn ones cover {low}-{high} % of the picture",
        partial(_holes, draw=partial(masks.freeform, band=band)),
        (f"inpaint-{low}-{high}", "inpaint"), mask=True, source=source, band=band,
    )  # fmt: skip


def _sr(scale: int, kernel: Literal["average", "bicubic"], source: str) -> Task:
    how = "by averaging blocks" if kernel == "average" else "with bicubic filtering"
    own = [f"sr{scale}"] if kernel == "average" else [f"sr{scale}-bicubic", f"sr{scale}"]
    keys = (*own, "sr4") if scale > 4 else tuple(own)
    return Task(
        f"enlarge {scale} times (made small {how})",
        partial(fixed, make=partial(SuperResolution, scale, kernel)), keys, scale=scale,
        source=source,
    )  # fmt: skip


def _cs(rate: float, source: str) -> Task:
    name = f"cs{100 * rate:.0f}"
    make = partial(CompressedSensing, rate)
    return Task(
        f"recover blocks from {100 * rate:.0f} % random combinations of their pixels",
        partial(_seeded, make=make), (name, "cs"), multiple=32, source=source,
        size=partial(_size_by, make), drawn=True,
    )  # fmt: skip


def _deblur(
    what: str, build: Build, key: str, source: str, photo: Build | None = None, kernel: bool = False
) -> Task:
    # "sr4" last: of the presets there are, those for a measurement that is a coarser picture
    return Task(
        f"undo {what}", build, (key, "deblur", "sr4"), source=source, photo=photo, kernel=kernel
    )


TASKS: dict[str, Task] = {
    "denoise": Task("remove noise of known strength", partial(fixed, make=Identity), ("denoise",)),
    "inpaint": _inpaint((0.1, 0.2), "HRDIS, ImageNet"),
    "inpaint-20-30": _inpaint((0.2, 0.3), "HRDIS, ImageNet"),
    "inpaint-30-40": _inpaint((0.3, 0.4), "HRDIS, FFHQ"),
    "inpaint-scratches": Task(
        "fill specks and scratches (15 % of the picture)",
        partial(_holes, draw=partial(masks.scratches, hole=0.15)),
        ("inpaint-scratches", "inpaint"), mask=True
    ),
    "inpaint-box": Task(
        "fill a box in the middle", partial(_holes, draw=masks.box), ("inpaint-box", "inpaint"),
        mask=True, source="DPS"
    ),
    "inpaint-random": Task(
        "fill half of the pixels, dropped at random",
        partial(_holes, draw=partial(masks.random_pixels, hole=0.5)),
        ("inpaint-random", "inpaint"), mask=True, source="DDRM"
    ),
    "sr2": _sr(2, "average", "DDRM"),
    "sr4": _sr(4, "average", "HRDIS, ImageNet"),
    "sr8": _sr(8, "average", "DDRM"),
    "sr16": _sr(16, "average", "HRDIS, FFHQ"),
    "sr2-bicubic": _sr(2, "bicubic", "DPS"),
    "sr4-bicubic": _sr(4, "bicubic", "DPS"),
    "sr8-bicubic": _sr(8, "bicubic", "DPS"),
    "phase": Task(
        "find a picture from the magnitudes of its Fourier transform",
        partial(fixed, make=PhaseRetrieval), ("phase",), source="HRDIS, FFHQ",
        size=partial(_size_by, PhaseRetrieval),
    ),
    "hdr": Task("recover clipped highlights and shadows (a doubled contrast)",
    partial(fixed, make=HDR), ("hdr",), source="HRDIS"),
    "jpeg10": Task(
        "undo JPEG compression at quality 10",
        partial(fixed, make=partial(JPEG, 10)),
        ("jpeg10", "jpeg"), multiple=16, source="RED-diff",
    ),
    "quantize": Task(
        "smooth the steps of 8 levels a channel", partial(fixed, make=partial(Quantization, 3)),
        ("quantize",)
    ),
    "lowlight": Task(
        "brighten a picture taken with too little light (simulated: a quarter of it)",
        partial(fixed, make=partial(LowLight, 0.25)), ("lowlight",),
        blind=partial(fixed, make=LowLight),
    ),
    "deblur-nonlinear": Task(
        "undo a blur that a network makes, its latent kernel known (sides: multiples of 128)",
        _nonlinear,
        ("deblur-nonlinear", "deblur", "sr4"), multiple=128, source="HRDIS, FFHQ", weights=True,
    ),
    "mri4": Task(
        "reconstruct a scan from a quarter of the columns of its Fourier transform",
        _mri, ("mri4", "mri"), source="InverseBench",
        size=itemgetter(-2, -1), drawn=True,  # a number per pixel, in the last two axes
    ),
    "ct60": Task(
        "reconstruct a square picture from X-rays along 60 directions",
        _ct, ("ct60", "ct"), source="DDS", size=_ct_size,
    ),
    "cs25": _cs(0.25, "HRDIS, ImageNet"),
    "cs10": _cs(0.1, "HRDIS, FFHQ"),
    "cs-walsh4": Task(
        "recover a square from a quarter of its Walsh-Hadamard coefficients",
        partial(_seeded, make=partial(WalshHadamard, 4)),
        ("cs-walsh4", "cs25", "cs"), source="DDRM",
        size=partial(_size_by, partial(WalshHadamard, 4)), drawn=True,
    ),
    "colorize": Task(
        "give a grey picture its colours", partial(fixed, make=partial(Colorization, "mean")),
        ("colorize",), source="DDRM", photo=partial(fixed, make=partial(Colorization, "bt601")),
    ),
    "demosaic": Task(
        "give all three colours to the pixels of a camera's sensor (RGGB)",
        partial(fixed, make=Mosaic), ("demosaic", "inpaint-random", "inpaint"),
    ),
    "deblur-gauss": _deblur(
        "a Gaussian blur of 3 pixels",
        partial(fixed, make=partial(Blur, kernels.gaussian(61, 3.0))), "deblur-gauss", "DPS",
    ),
    "deblur-motion": _deblur(
        "a camera's shake (or any blur) whose kernel is known", _motion, "deblur-motion", "DPS",
        kernel=True
    ),
    "deblur-uniform": _deblur(
        "a 9 x 9 box blur", partial(_separable, name="uniform9", mirrored=False),
        "deblur-uniform", "DDRM",
        photo=partial(_separable, name="uniform9", mirrored=True),
    ),
    "deblur-aniso": _deblur(
        "a blur of 9 pixels along rows, 1 down columns",
        partial(_separable, name="aniso", mirrored=False),
        "deblur-aniso", "DDRM", photo=partial(_separable, name="aniso", mirrored=True),
    ),
}  # fmt: skip
