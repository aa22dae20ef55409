"""The options of a restoration: the flags of ``hrdis restore`` and the fields of the web page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .. import images
from ..devices import Precision


@dataclass(frozen=True, kw_only=True)
class Options:
    """The picture, the task and all options of a restoration but the settings of the solver."""

    image: tyro.conf.Positional[Path]
    """The damaged picture: PNG, JPEG, WebP, TIFF or BMP; any size, grey, colour or transparent. Or
    an array.
    """
    task: str = ""
    """What is wrong with the picture; `hrdis tasks` lists the names."""
    operator: str = ""
    """FILE.py:NAME, an operator of your own instead of a task; the file is executed."""
    size: tuple[int, int] | None = None
    """Height and width of the restored picture, for an --operator that asks for them; by default
    those of IMAGE.
    """
    mask: Path | None = None
    """A picture (or .npy array of 0 and 1) of the same size that shows the holes; needed for
    inpainting. Soft edges belong to the holes.
    """
    hole: Literal["white", "black", "alpha"] = "white"
    """What marks a hole in the mask; alpha means transparent, and then the picture may be its own
    mask.
    """
    kernel: Path | None = None
    """The blur kernel, a .npy array or a picture (bright = heavy) of odd sides; needed for
    deblur-motion. For deblur-nonlinear the latent of the network's blur, a .npy array (1, 512, h /
    128, w / 128).
    """
    weights: Path | None = None
    """Weights of the network that blurs (.pth, .pt, .safetensors); needed for deblur-nonlinear."""
    noise: float = 0.0
    """Standard deviation of the noise in the picture, for pixel values from 0 to 1."""
    solver: str = "auto"
    """The algorithm; `hrdis solvers` lists the names. auto takes the one measured to be the best
    for task, noise and effort, hrdis where none was.
    """
    effort: Literal["low", "normal", "high"] = "normal"
    """Of the solver auto: low is about 5 network calls, normal 20, high 100."""
    prior: str = "default"
    """The diffusion model: 'default', a name of `hrdis prior list`, a folder, or SCHEME:PATH."""
    label: int | None = None
    """The class of the picture, a number from 0; for class-conditional models only."""
    samples: int = 1
    """How many restorations to draw. Where they differ hrdis is unsure; where they agree it can
    still be wrong.
    """
    seed: int = 0
    """Seed of the first sample; the others take the numbers after it."""
    redraw: bool = False
    """Inpainting without noise: take observed pixels from the solver too, instead of leaving them
    as they were.
    """
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1, mps."""
    precision: Precision = "fp32"
    """Precision of the network; bf16 and fp16 are faster on some machines, and change the last
    digits.
    """
    tile: int = 512
    """Larger pictures run in tiles of this side, with --overlap between them."""
    overlap: int = 64
    """How far tiles overlap, in pixels."""
    tile_memory: float = 0.0
    """Gigabytes that a network call on tiles may take; 0: as much as the GPU has free, or one tile
    after the other.
    """


@dataclass(frozen=True, kw_only=True)
class FileOptions(Options):
    """The options of ``hrdis restore``: what to restore, how, and where to."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the restored picture goes; the suffix chooses the format."""


def check_pixels(options: Options, h: int, w: int) -> None:
    """Raise if a restored picture is larger than pictures may be."""
    if h * w > images.MAX_PIXELS:
        raise ValueError(
            f"Restored, {options.image} has {h * w / 1e6:.0f} megapixels. At most "
            f"{images.MAX_PIXELS // 1_000_000} are expected. Crop it, or use a smaller scale: "
            "--task sr2"
        )
