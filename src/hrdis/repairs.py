"""The nine repairs, named by what a person wants, and how their options become a `Task`.

`TASKS` holds the measurement settings of papers, of which each repair picks or makes one. With
``scale=4``, ``upscale`` is ``sr4``; ``declip`` is ``hdr``. A name of `TASKS` may stand wherever a
repair may.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from .messages import unknown
from .operators import JPEG, Blur, Quantization, kernels
from .tasks import TASKS, Task, fixed

SCALES = (2, 4, 8)
#: The usual scale, JPEG quality and bits per channel: those of the benchmark settings.
SCALE, QUALITY, BITS = 4, 10, 3
#: Longest kernel that a word may ask for, in pixels; a longer one is a slip of the keyboard.
LONGEST_KERNEL = 999

#: A kernel in words, as opposed to a file: ``gaussian:3``.
WORD = re.compile(r"([a-z]{2,}):([^/\\]*)")
#: The kernels in words, as messages show them.
WORDS = "gaussian:3 (standard deviation), box:9 (side) or motion:15:30 (length, angle in degrees)"


@dataclass(frozen=True)
class Repair:
    """A repair as people ask for it.

    Args:
        summary: one plain sentence.
        options: the options of the command that belong to it.
        basis: the key of `TASKS` that it stands for without options.
        takes: which of ``scale``, ``quality``, ``bits`` and ``kernel`` it takes.
    """

    summary: str
    options: str
    basis: str
    takes: str = ""


#: In the order in which people ask for them.
REPAIRS: dict[str, Repair] = {
    "denoise": Repair("Remove noise or film grain.", "--noise 25", "denoise"),
    "inpaint": Repair(
        "Fill the scratches, stains or holes that a mask marks.",
        "--mask FILE, --mask-marks white|black|transparent", "inpaint",
    ),
    "upscale": Repair("Enlarge a small picture.", "--scale 2|4|8 (by default 4)", "sr4", "scale"),
    "deblur": Repair(
        "Sharpen a picture whose blur is known.",
        "--kernel FILE, gaussian:3, box:9, motion:15:30 or auto", "deblur-motion", "kernel",
    ),
    "dejpeg": Repair(
        "Remove the blocks and rings of JPEG compression.",
        "--quality 1 to 100 (by default 10) or auto", "jpeg10", "quality",
    ),
    "deband": Repair(
        "Smooth the bands of a picture with few levels per colour.",
        "--bits 1 to 7 (by default 3, 8 levels)", "quantize", "bits",
    ),
    "declip": Repair("Recover clipped highlights and shadows.", "", "hdr"),
    "brighten": Repair("Brighten a picture taken in too little light.", "", "lowlight"),
    "colorize": Repair(
        "Colour a grey picture (with a model that knows what is in it; the embedded one does not).",
        "", "colorize",
    ),
}  # fmt: skip

#: Every name that a task may have, the repairs first.
NAMES: tuple[str, ...] = tuple(dict.fromkeys((*REPAIRS, *TASKS)))


def resolve(
    name: str,
    *,
    scale: int | None = None,
    quality: int | None = None,
    bits: int | None = None,
    kernel: str | None = None,
) -> Task:
    """Return the task that a name and its options mean, with the preset families that fit.

    Args:
        name: a repair, or a key of `TASKS`.
        scale: of ``upscale``: 2, 4 or 8; by default 4.
        quality: of ``dejpeg``, from 1 to 100; by default 10.
        bits: of ``deband``, per channel, from 1 to 7; by default 3.
        kernel: of ``deblur`` and ``deblur-motion``, in words: ``gaussian:3``, ``box:9``,
            ``motion:15`` or ``motion:15:30``. A file is read elsewhere. The task then has
            ``kernel`` set.

    Raises:
        ValueError: for an unknown name, an option that the task does not take, or one out of
            bounds.

    Example:
        >>> resolve("upscale", scale=2).presets
        ('sr2',)
        >>> resolve("deblur", kernel="gaussian:3").presets
        ('deblur-gauss', 'deblur', 'sr4')
    """
    if name not in NAMES:
        raise ValueError(unknown("task", name, NAMES))
    for option, value in (("scale", scale), ("quality", quality), ("bits", bits)):
        if value is not None and (name not in REPAIRS or REPAIRS[name].takes != option):
            owner = next(n for n, repair in REPAIRS.items() if repair.takes == option)
            raise ValueError(
                f"--{option} is given, but the task {name!r} takes none. Use --task {owner}."
            )
    task = TASKS[REPAIRS[name].basis if name in REPAIRS else name]
    if kernel is not None and is_word(kernel) and not task.kernel:
        raise ValueError(f"--kernel is given, but the task {name!r} takes none. Use --task deblur.")
    if name == "upscale":
        scale = SCALE if scale is None else scale
        if scale not in SCALES:
            raise ValueError(f"--scale is {scale}. 2, 4 or 8 is expected: --scale 4")
        return TASKS[f"sr{scale}"]
    if quality is not None:
        _check_whole("quality", quality, 100, QUALITY)
        keys = tuple(dict.fromkeys((f"jpeg{quality}", *task.presets)))
        return replace(task, build=partial(fixed, make=partial(JPEG, quality)), presets=keys)
    if bits is not None:
        _check_whole("bits", bits, 7, BITS)
        return replace(task, build=partial(fixed, make=partial(Quantization, bits)))
    if kernel is not None and is_word(kernel):
        family, drawn = _kernel_in_words(kernel)
        return replace(
            task, build=partial(fixed, make=partial(Blur, drawn)), kernel=False,
            presets=(family, *task.presets[1:]),
        )  # fmt: skip
    return task


def is_word(kernel: str) -> bool:
    """Return True for a kernel in words, False for the name of a file."""
    found = WORD.fullmatch(kernel)
    return found is not None and (found[1] in _WORDS or not Path(kernel).exists())


def _check_whole(option: str, value: int, most: int, usual: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(
            f"--{option} is {value}. A whole number from 1 to {most} is expected: --{option} "
            f"{usual}"
        )


def _gaussian(std: float) -> Tensor:
    # At least the size of the benchmark's: gaussian:3 is then deblur-gauss, bit by bit.
    return kernels.gaussian(max(61, 2 * int(4 * std + 0.5) + 1), std)


def _box(side: float) -> Tensor:
    if side % 2 != 1:
        raise ValueError("an odd side is expected")
    return kernels.uniform(int(side))


#: For every word: the family of presets, what draws it, how many numbers it takes, the largest
#: first number.
_WORDS: Mapping[str, tuple[str, Callable[..., Tensor], tuple[int, ...], float]] = {
    "gaussian": ("deblur-gauss", _gaussian, (1,), LONGEST_KERNEL // 8),
    "box": ("deblur-uniform", _box, (1,), LONGEST_KERNEL),
    "motion": ("deblur-motion", kernels.line, (1, 2), LONGEST_KERNEL),
}


def _kernel_in_words(word: str) -> tuple[str, Tensor]:
    """Return the family of presets and the kernel that a word means."""
    kind, _, rest = word.partition(":")
    wrong = f"--kernel is {word!r}. A file, or one of {WORDS} is expected, in pixels."
    if kind not in _WORDS:
        raise ValueError(wrong)
    family, draw, counts, most = _WORDS[kind]
    try:
        numbers = [float(text) for text in rest.split(":")]
    except ValueError:
        raise ValueError(wrong) from None
    if len(numbers) not in counts or not all(map(math.isfinite, numbers)):
        raise ValueError(wrong)
    if not 0 < numbers[0] <= most:
        raise ValueError(
            f"--kernel is {word!r}. More than 0 and at most {most:g} pixels are expected."
        )
    try:
        return family, draw(*numbers).to(torch.float64)
    except ValueError:
        raise ValueError(wrong) from None
