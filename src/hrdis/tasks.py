"""The measurement settings the papers name, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .operators import (
    HDR,
    JPEG,
    Identity,
    Inpainting,
    LowLight,
    Operator,
    PhaseRetrieval,
    Quantization,
    SuperResolution,
    masks,
)


@dataclass(frozen=True)
class Task:
    """A measurement setting.

    Args:
        summary: one line for people.
        build: (h, w, seed, index) to the operator for images of that size; seed and index choose a random mask.
        presets: keys of solver presets that fit, the most specific first.
        mask: whether a damaged picture needs a mask beside it.
        scale: how much larger the restored picture is.
        multiple: what the sides of a picture must be multiples of, besides the scale.
        source: who measures like this.
    """

    summary: str
    build: Callable[[int, int, int, int], Operator]
    presets: tuple[str, ...]
    mask: bool = False
    scale: int = 1
    multiple: int = 1
    source: str = ""


def _freeform(h: int, w: int, seed: int, index: int, *, band: tuple[float, float]) -> Operator:
    return Inpainting(masks.freeform(h, w, band, seed, index))


def _scratches(h: int, w: int, seed: int, index: int) -> Operator:
    return Inpainting(masks.scratches(h, w, 0.15, seed, index))


def _box(h: int, w: int, seed: int, index: int) -> Operator:
    return Inpainting(masks.box(h, w))


def _random(h: int, w: int, seed: int, index: int) -> Operator:
    return Inpainting(masks.random_pixels(h, w, 0.5, seed, index))


def _superres(h: int, w: int, seed: int, index: int, *, scale: int, kernel: str) -> Operator:
    return SuperResolution(scale, kernel)  # type: ignore[arg-type]


def _identity(h: int, w: int, seed: int, index: int) -> Operator:
    return Identity()


def _plain(h: int, w: int, seed: int, index: int, *, make: Callable[[], Operator]) -> Operator:
    return make()


def _inpaint(band: tuple[float, float], source: str) -> Task:
    low, high = (f"{100 * b:.0f}" for b in band)
    return Task(
        f"fill free-form holes covering {low}-{high} % of the picture (or those of a mask)",
        partial(_freeform, band=band), (f"inpaint-{low}-{high}", "inpaint"), mask=True, source=source,
    )  # fmt: skip


def _sr(scale: int, kernel: str, source: str) -> Task:
    how = "block means" if kernel == "average" else "bicubic"
    own = [f"sr{scale}"] if kernel == "average" else [f"sr{scale}-bicubic", f"sr{scale}"]
    keys = (*own, "sr4") if scale > 4 else tuple(own)
    return Task(
        f"enlarge {scale} times (the small picture is {how})",
        partial(_superres, scale=scale, kernel=kernel), keys, scale=scale, source=source,
    )  # fmt: skip


TASKS: dict[str, Task] = {
    "denoise": Task("remove noise of known strength", _identity, ("denoise",)),
    "inpaint": _inpaint((0.1, 0.2), "HRDIS, ImageNet"),
    "inpaint-20-30": _inpaint((0.2, 0.3), "HRDIS, ImageNet"),
    "inpaint-30-40": _inpaint((0.3, 0.4), "HRDIS, FFHQ"),
    "inpaint-scratches": Task(
        "fill specks and scratches (15 % of the picture)", _scratches, ("inpaint-scratches", "inpaint"), mask=True
    ),
    "inpaint-box": Task("fill a box in the middle", _box, ("inpaint-box", "inpaint"), mask=True, source="DPS"),
    "inpaint-random": Task(
        "fill half of the pixels, dropped at random", _random, ("inpaint-random", "inpaint"), mask=True, source="DDRM"
    ),
    "sr2": _sr(2, "average", "DDRM"),
    "sr4": _sr(4, "average", "HRDIS, ImageNet"),
    "sr8": _sr(8, "average", "DDRM"),
    "sr16": _sr(16, "average", "HRDIS, FFHQ"),
    "sr2-bicubic": _sr(2, "bicubic", "DPS"),
    "sr4-bicubic": _sr(4, "bicubic", "DPS"),
    "sr8-bicubic": _sr(8, "bicubic", "DPS"),
    "phase": Task(
        "find a picture from the magnitudes of its Fourier transform (from Python only)",
        partial(_plain, make=PhaseRetrieval),
        ("phase",),
        source="HRDIS, FFHQ",
    ),
    "hdr": Task("undo a doubled contrast that clipped", partial(_plain, make=HDR), ("hdr",), source="HRDIS"),
    "jpeg10": Task(
        "undo JPEG compression at quality 10 (sides: multiples of 16)",
        partial(_plain, make=partial(JPEG, 10)),
        ("jpeg10", "jpeg"),
        multiple=16,
        source="RED-diff",
    ),
    "quantize": Task(
        "smooth the steps of 8 levels a channel", partial(_plain, make=partial(Quantization, 3)), ("quantize",)
    ),
    "lowlight": Task(
        "brighten a picture taken with a quarter of the light",
        partial(_plain, make=partial(LowLight, 0.25)),
        ("lowlight",),
    ),
}
