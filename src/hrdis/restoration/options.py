"""The options of a restoration: the flags of ``hrdis restore`` and the fields of the web page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from torch import Tensor

from .. import images
from ..devices import Precision
from ..noise import read_level

if TYPE_CHECKING:
    from ..tasks import Task

Hole = Literal["white", "black", "alpha"]

#: What marks a hole, in the words of the command and of the page, and in those of Python.
MARKS: dict[str, Hole] = {"white": "white", "black": "black", "transparent": "alpha"}
_SHOWN_MARKS = {mark: word for word, mark in MARKS.items()}


def read_memory(text: str) -> float:
    """Return gigabytes: of ``4GB``, ``500MB`` or ``4``.

    Raises:
        ValueError: for anything else.
    """
    for unit, share in (("GB", 1.0), ("MB", 1e-3), ("", 1.0)):
        if text.upper().endswith(unit):
            try:
                gigabytes = share * float(text[: len(text) - len(unit)])
            except ValueError:
                break
            if 0 <= gigabytes < float("inf"):
                return gigabytes
            break
    raise ValueError(f"--max-memory is {text!r}. An amount is expected: --max-memory 4GB")


def words(
    metavar: str, read: Callable[[str], Any], show: Callable[[Any], str], *choices: str
) -> Any:
    """Return how tyro reads one word of the command with ``read`` and shows it with ``show``."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1, metavar=metavar, instance_from_str=lambda found: read(found[0]),
        is_instance=lambda _: True, str_from_instance=lambda value: [show(value)],
        choices=choices or None,
    )  # fmt: skip


#: A level of noise as the command takes it.
NoiseLevel = Annotated[
    float, words("0.1|25/255|25|poisson:1|auto", read_level, lambda level: f"{level:g}")
]


#: Samples of one run; each takes a file, and all of them memory.
MOST_SAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """The picture, the task and all options of a restoration but the settings of the solver."""

    image: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PICTURE")]
    """The damaged picture: PNG, JPEG, WebP, TIFF or BMP; any size, grey, colour or transparent. Or
    an array, or a folder of pictures.
    """
    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = ""
    """What to do, such as denoise, inpaint, upscale or deblur; `hrdis list tasks` lists all."""
    scale: int | None = None
    """For upscale: how much larger, 2, 4 or 8; by default 4."""
    quality: int | None = None
    """For dejpeg: the quality of the JPEG compression, from 1 to 100; by default 10. auto finds it
    in the tables of the file, or in the pixels of a picture that was saved again.
    """
    bits: int | None = None
    """For deband: bits per colour, from 1 to 7; by default 3, which is 8 levels."""
    operator: Annotated[str, tyro.conf.arg(metavar="FILE.py:NAME")] = ""
    """An operator of your own instead of a task. The file is executed."""
    size: Annotated[
        tuple[int, int] | None, tyro.conf.arg(name="image-size", metavar="HEIGHT WIDTH")
    ] = None
    """Height and width of the restored picture, for an --operator that asks for them; by default
    those of PICTURE.
    """
    mask: Annotated[Path | None, tyro.conf.arg(metavar="FILE|auto")] = None
    """A picture (or .npy array of 0 and 1) of the same size that shows the holes; needed for
    inpainting. Soft edges belong to the holes. auto searches specks, scratches and a printed date.
    """
    hole: Annotated[
        Hole,
        tyro.conf.arg(name="mask-marks"),
        words("{white,black,transparent}", MARKS.__getitem__, _SHOWN_MARKS.__getitem__, *MARKS),
    ] = "white"
    """How the mask marks the holes. With white, white is filled and black is kept, as in
    other programs; with black it is the other way round. With transparent the picture may be its
    own mask.
    """
    kernel: Annotated[str | None, words("FILE|gaussian:3|auto", str, str)] = None
    """For deblur: how one point of light looks. Either a file, a picture or .npy with odd sides, or
    in pixels gaussian:3 (standard deviation), box:9 (side) or motion:15:30 (length, and angle in
    degrees). auto finds a Gaussian or a straight motion in the picture. For deblur-nonlinear it is
    the latent of the network's blur, a .npy array (1, 512, h / 128, w / 128).
    """
    weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Weights of the network that blurs (.pth, .pt, .safetensors); needed for deblur-nonlinear."""
    noise: NoiseLevel = 0.0
    """Strength of the noise in the picture, its standard deviation. It is a fraction of white (0.1
    or 25/255) or, from 1 on, a number of grey levels of 255 (25). auto measures it. For noise that
    depends on the picture poisson:1 or speckle:0.1, as `hrdis degrade` makes it.
    """
    solver: Annotated[str, tyro.conf.arg(metavar="SOLVER")] = "auto"
    """The algorithm; `hrdis list solvers` lists the names. auto takes the one measured to be the
    best for task, noise and effort, hrdis where none was.
    """
    effort: Literal["low", "normal", "high"] = "normal"
    """How much the solver auto may compute. low is 5 to 10 network calls, normal 1 to 20, high at
    most 100; a few tasks take more.
    """
    prior: Annotated[str, tyro.conf.arg(name="model", metavar="MODEL")] = "default"
    """The diffusion model: a name of `hrdis list models`, a folder, or SCHEME:PATH; by default the
    one inside the package.
    """
    label: Annotated[int | None, tyro.conf.arg(name="class-label")] = None
    """The class of the picture, a number from 0; for class-conditional models only."""
    samples: int = 1
    """How many restorations to draw. Where they differ hrdis is unsure; where they agree it can
    still be wrong.
    """
    seed: int = 0
    """Seed of the first sample; the others take the numbers after it."""
    redraw: Annotated[bool, tyro.conf.arg(name="no-keep-known")] = False
    """Inpainting without noise: also replace the undamaged pixels. By default they stay as they
    are.
    """
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1, mps."""
    precision: Precision = "fp32"
    """How the network runs. bf16 and fp16 are faster on some machines, and change the last digits;
    onnx is fp32 in onnxruntime (pip install 'hrdis[fast]'). The choice auto times them once, keeps
    the answer in the cache, and takes the fastest. That is fp32 unless another gains 5 percent, and
    never a half precision on a CPU.
    """
    tile: int = 512
    """Larger pictures run in equal tiles of at most this side, fitted to the picture."""
    overlap: int = 64
    """How far tiles overlap at least, in pixels."""
    tile_memory: Annotated[
        float,
        tyro.conf.arg(name="max-memory"),
        words("4GB", read_memory, lambda memory: f"{memory:g}GB"),
    ] = 0.0
    """Memory that a network call on tiles may take, such as 4GB or 500MB. By default as much as the
    GPU has free; on a CPU one tile after the other.
    """

    def known_task(self) -> "Task | None":
        """Return the task with its options, or None where an operator is given instead.

        Raises:
            ValueError: as `hrdis.repairs.resolve`.
        """
        if not self.task:
            for name in ("scale", "quality", "bits", "kernel"):
                if getattr(self, name) is not None:
                    raise ValueError(f"--{name} is given, but --operator takes none.")
            return None
        # The options are below the table of repairs, which only this method needs.
        from ..repairs import resolve

        return resolve(
            self.task, scale=self.scale, quality=self.quality, bits=self.bits, kernel=self.kernel
        )

    @property
    def kernel_file(self) -> Path | None:
        """The file of the kernel; None without a kernel, or for one in words."""
        from ..repairs import is_word

        return None if self.kernel is None or is_word(self.kernel) else Path(self.kernel)


@dataclass(frozen=True, kw_only=True)
class FileOptions(Options):
    """The options of ``hrdis restore``, on what to restore, how to do it, and where to write it."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT")]
    """Where the restored picture goes; the suffix chooses the format. For several pictures it is a
    folder.
    """
    overwrite: bool = False
    """Replace files that are in the way, also those that hrdis did not write."""


@dataclass(frozen=True)
class FoundOptions:
    """Values that were found in a picture; None for an option that was not looked for.

    Args:
        noise: standard deviation as a fraction of white. A kernel that was looked for brings one
            along.
        quality: of JPEG, from 1 to 100.
        kernel: of the blur, in words.
        mask: (h, w) bool, True where the picture is to be filled.
        why: for each option that was looked for a sentence on what was seen.
    """

    noise: float | None = None
    quality: int | None = None
    kernel: str | None = None
    mask: Tensor | None = field(default=None, repr=False, compare=False)
    why: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Return the value of each option that was looked for, by name; None for a mask.

        `hrdis.restoration.prepare` takes a mask from here, as it is no value of an option.
        """
        return {name: None if name == "mask" else getattr(self, name) for name in self.why}

    def sentences(self) -> list[str]:
        """Return one line per option that was looked for, with its value and what was seen."""
        lines = []
        for name, why in self.why.items():
            value = getattr(self, name)
            if name == "mask":
                value = f"{100 * float(value.double().mean()):.2g} % of the picture"
            elif name == "noise":
                value = f"{255 * value:.3g} grey levels"
            lines.append(f"--{name} is {value}. {why}")
        return lines


def check_pixels(options: Options, h: int, w: int) -> None:
    """Raise if a restored picture is larger than pictures may be."""
    if h * w > images.MAX_PIXELS:
        raise ValueError(
            f"Restored, {options.image} has {h * w / 1e6:.0f} megapixels. At most "
            f"{images.MAX_PIXELS // 1_000_000} are expected. Crop it, or use a smaller scale: "
            "--task sr2"
        )


def check_numbers(options: Options) -> None:
    """Refuse samples, noise and tiles that no restoration can have."""
    if options.samples < 1:
        raise ValueError(f"--samples is {options.samples}. At least 1 is expected.")
    if options.samples > MOST_SAMPLES:
        raise ValueError(
            f"--samples is {options.samples}. At most {MOST_SAMPLES} are expected; further ones "
            f"come from another run: --seed {options.seed + MOST_SAMPLES}"
        )
    check_level(options.noise)
    if options.task == "denoise" and options.noise == 0:
        raise ValueError(
            "--task denoise needs the strength of the noise: --noise 25 (grey levels of 255)."
        )
    if options.tile < 64:
        raise ValueError(f"--tile is {options.tile}. At least 64 pixels are expected: --tile 512")


def check_hole(hole: str) -> None:
    """Raise unless a word of Python names what marks a hole."""
    if hole not in _SHOWN_MARKS:
        raise ValueError(f"hole is {hole!r}. One of {', '.join(_SHOWN_MARKS)} is expected.")


def check_level(noise: float) -> None:
    """Refuse a level of noise that no picture can have."""
    if not 0 <= noise < 1:
        raise ValueError(
            f"--noise is {noise}. A standard deviation from 0 to 1 is expected, or grey levels "
            "below 255: --noise 0.05"
        )
