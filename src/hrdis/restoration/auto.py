"""Options of a restoration that are found in the picture itself, where they are given as "auto".

The noise, the quality of a JPEG, the kernel of a blur and the mask of specks, scratches and a
printed date come from the diagnosis of `hrdis.fix`. Only an answer that is sure is taken. A mask is
taken in either case, since what it fills can be looked at, and the rest of the picture stays as it
is.
"""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..checkpoints import load_prior
from ..diagnosis import Blurring, Compression, NoiseLevel
from ..noise import Poisson, Speckle, read_model
from ..tasks import Task
from .choosing import AUTO
from .inputs import read_picture
from .options import FoundOptions

if TYPE_CHECKING:
    from ..fixing import Diagnosis

#: Options that may be "auto", each with a value that stands for it until it is found.
PROVISIONAL: dict[str, Any] = {"noise": 0.0, "quality": 10, "kernel": "gaussian:3", "mask": None}


#: Noise that is counted with at least where a kernel was found, 0.5 grey levels as a fraction of
#: white. Undoing a kernel that is a little wrong multiplies what it does not explain. Over the
#: noise of rounding alone it gains 1.0 dB (median) on 18 training crops with a motion. On 17 with a
#: Gaussian it costs 0.2 dB.
INEXACT = 0.00196
INEXACT_WHY = "A kernel that was found is not exact, which counts as a little noise."
#: Frequencies by which a motion has to be fitted. On training crops those with fewer were up to 11
#: degrees off, which costs more than the motion did.
FREQUENCIES = 600


def given_as_auto(given: Mapping[str, Any]) -> list[str]:
    """Return which of the options of ``PROVISIONAL`` are to be found in the picture.

    These are the ones given as "auto", and a noise that depends on the picture.

    Raises:
        ValueError: for such a noise without its number.
    """
    names = [name for name in PROVISIONAL if isinstance(given[name], str) and given[name] == AUTO]
    return names if read_model(given["noise"]) is None else ["noise", *names]


def find_options(
    given: Any,
    names: Collection[str],
    name: str,
    task: Task | None,
    hole: str,
    noise: float = 0,
    model: Poisson | Speckle | None = None,
) -> FoundOptions:
    """Find options of a restoration in the picture.

    The noise is found as 0 where there is none to mend, unless it is what the task removes.

    Args:
        given: a file or a picture, as `hrdis.restore` takes them.
        names: of the options.
        noise: a level that is given by hand, as a fraction of white; 0 without one.
        name, task: the task by name, and with values of ``PROVISIONAL``; "" and None for an
            operator of the user's own.
        hole: what marks holes in a mask.
        model: of a noise that depends on the picture, whose level is computed.

    Raises:
        ValueError, TypeError: for what is no picture, and for an option that the task does not
            take; and where an option is not found, or not for sure. The message says what was
            seen, and which option to give.

    Cost:
        1 to 2 s a megapixel for the quality alone, else that of `hrdis.fixing.diagnose`.
    """
    from .. import fixing  # much to import, for those who give all options by hand

    check_asked(names, task, hole)
    if isinstance(given, Path):
        picture, tables = fixing.opened(given)
        x = picture.without_hidden().x
    else:
        (_, x), tables = read_picture(given, False), None
    image = given if isinstance(given, Path) else "The picture"
    values: dict[str, Any] = {}
    why: dict[str, str] = {}
    try:
        if "noise" in names and model is not None:
            values["noise"], why["noise"] = level_of(model, x)
        # What is known costs nothing, and the quality alone costs less than a whole diagnosis.
        left = set(names) - set(values)
        if left == {"quality"}:
            values["quality"], why["quality"] = quality_of(fixing.former_jpeg(x, tables))
        elif left:
            # The limits of the diagnosis were chosen with the embedded prior.
            found = fixing.diagnose(x, tables, load_prior("default"))
            if "noise" in left:
                values["noise"], why["noise"] = noise_of(found.noise, needed=name == "denoise")
            if "quality" in left:
                values["quality"], why["quality"] = quality_of(found.jpeg)
            if "kernel" in left:
                values["kernel"], why["kernel"] = kernel_of(found.blur)
                if values.get("noise", noise) < INEXACT:
                    values["noise"], why["noise"] = INEXACT, INEXACT_WHY
            if "mask" in left:
                values["mask"], why["mask"] = mask_of(found)
    except NotFoundError as error:
        raise ValueError(f"{image}: {error}") from None
    return FoundOptions(**values, why=why)


def level_of(model: Poisson | Speckle, x: Tensor) -> tuple[float, str]:
    """Return the level of a noise that depends on the picture x, as a fraction of white, and that
    it was computed.
    """
    middle = 255 * model.sigma_y / 2  # x is in [-1, 1]
    why = f"That is its level in this picture, of {middle:.3g} at mid-grey."
    return model.level_in(x) / 2, why


def check_asked(names: Collection[str], task: Task | None, hole: str) -> None:
    """Raise unless a task takes the options that are to be found.

    A quality or a kernel that it does not take is refused where the task is made.
    """
    for name in ("kernel", "mask"):
        if name in names and task is None:
            raise ValueError(f"--{name} is given, but --operator takes none.")
    if "mask" in names and task is not None and not task.mask:
        raise ValueError("--mask auto is given, but the task takes none. Use --task inpaint.")
    if "mask" in names and hole != "white":
        raise ValueError(
            "--mask auto marks holes with white. Leave --mask-marks out, or give a mask of your "
            "own: --mask holes.png"
        )
    if "noise" in names and task is not None and not task.picture:
        raise ValueError(
            "--noise auto, poisson and speckle look at a picture, and the task does not measure "
            "one. A level is expected: --noise 0.05"
        )


class NotFoundError(ValueError):
    """Raised for an option that is not found, or not for sure."""


def noise_of(found: NoiseLevel, *, needed: bool) -> tuple[float, str]:
    """Return the level as a fraction of white, and what was seen."""
    if found.found == "no" and needed:
        raise NotFoundError(f"There is no noise to remove. {found.why} {_force('noise', 5)}")
    if found.found == "no":
        return 0.0, found.why
    if found.found == "unsure":
        if found.value < 0.5 or not math.isfinite(found.high):
            raise NotFoundError(f"{found.why} {_force('noise', 5)}")
        raise NotFoundError(f"{found.why} {_force('noise', f'{found.value:.1f}', found=True)}")
    why = found.why
    if found.alike or found.white is False:
        why += (
            " A restoration takes noise to be independent in every pixel and colour, and leaves "
            "much of this. It is removed by: hrdis fix --only noise"
        )
    return round(found.value / 255, 5), why


def quality_of(found: Compression) -> tuple[int, str]:
    """Return the quality of JPEG, and what was seen."""
    quality = round(found.value)
    if found.offset != (0, 0) and found.steps:
        raise NotFoundError(
            f"{found.why} Its blocks do not begin in the corner, which this task expects. They are "
            "mended by: hrdis fix --only jpeg"
        )
    if found.found == "yes":
        return quality, found.why
    if found.found == "no" and found.steps:  # a JPEG of little damage
        raise NotFoundError(f"{found.why} {_force('quality', quality, found=True)}")
    raise NotFoundError(f"{found.why} {_force('quality', 10)}")


def kernel_of(found: Blurring) -> tuple[str, str]:
    """Return the kernel of the blur in words, and what was seen.

    Of a Gaussian it takes the smaller of the widths by the edges and by the spectrum. A kernel that
    is too wide costs more than the blur did, one that is too narrow leaves some of it.
    """
    width, why = found.value, found.why
    sure = found.found == "yes"
    if found.kind == "motion":
        # The path of a line is a pixel shorter than the strip by whose zeros a motion is found.
        word = f"motion:{found.length + 1:.2f}:{found.angle:.1f}"
        if sure and found.frequencies < FREQUENCIES:
            sure, why = False, f"{why[:-1]}, but few frequencies show it."
        if found.length > 0:
            why += " The length in words counts both ends."
    else:
        if sure and found.source == "edges" and found.width == 0:
            sure, why = False, f"{why[:-1]}, but the spectrum shows none."
        elif found.source == "edges" and 0 < found.width < width:
            width, why = found.width, f"{why[:-1]}, and {found.width:.1f} by its spectrum."
        word = f"gaussian:{width:.2f}"
    if sure:
        return word, why
    if found.found != "no" and width > 0 and (found.kind == "gaussian" or found.length > 0):
        raise NotFoundError(f"{why} {_force('kernel', word, found=True)}")
    raise NotFoundError(f"{why} {_force('kernel', 'gaussian:2')}")


def mask_of(found: "Diagnosis") -> tuple[Tensor, str]:
    """Return the proposed mask of specks, scratches and a date, (h, w) bool, and what was seen."""
    mask = found.mask()
    if mask is None:
        raise NotFoundError(
            f"{found.scratches.why} {found.stamp.why} A mask of your own is expected: --mask "
            "holes.png"
        )
    return mask, " ".join(m.why for m in (found.scratches, found.stamp) if m.mask is not None)


def _force(option: str, value: object, *, found: bool = False) -> str:
    """Return how to give an option by hand."""
    if found:
        return f"To take it all the same: --{option} {value}"
    return f"A value is expected: --{option} {value}"
