"""The tasks as the page offers them: their names in plain words, and a hint for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..repairs import resolve
from ..tasks import Task

#: The status of the tab that fixes, before there is a picture.
FIX_START = "Drop a photograph: the page says what is wrong with it. Then press Fix."


@dataclass(frozen=True)
class TaskLabel:
    """A task as the page offers it.

    Args:
        title: its name in the list.
        hint: what to do, and what to expect of the model inside the package.
        noise: noise level the slider starts from, in grey levels of 255.
        task: the repair that it stands for; "" if it is called like its key.
        options: those of the repair, by name.
    """

    title: str
    hint: str
    noise: float = 0.0
    task: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


#: Tasks whose measurement is itself a picture, the ones people ask for first at the top.
LABELS: dict[str, TaskLabel] = {
    "inpaint": TaskLabel(
        "Fill scratches, stains and holes",
        "Paint over the damage. Thin damage comes out best; a large hole is filled with a "
        "plausible blur.",
    ),
    "denoise": TaskLabel(
        "Remove noise or grain",
        "Say how strong the noise is: 10 is slight grain, 25 strong grain. Too high a value "
        "smooths, too low a value leaves grain.",
        25.0,
    ),
    "sr2": TaskLabel(
        "Enlarge 2 times",
        "For a small, sharp picture. Raise the noise if it is grainy.",
        task="upscale",
        options={"scale": 2},
    ),
    "sr4": TaskLabel(
        "Enlarge 4 times",
        "For a small, sharp picture. Raise the noise if it is grainy.",
        task="upscale",
        options={"scale": 4},
    ),
    "sr8": TaskLabel(
        "Enlarge 8 times",
        "The result is soft: the model inside the package knows textures, not faces or text.",
        task="upscale",
        options={"scale": 8},
    ),
    "deblur-gauss": TaskLabel(
        "Sharpen a soft blur",
        "For a Gaussian blur of 3 pixels. A little noise, such as 3, keeps grain from growing.",
        task="deblur",
        options={"kernel": "gaussian:3"},
    ),
    "deblur-auto": TaskLabel(
        "Sharpen a blur that is looked for",
        "Finds a soft blur or a straight motion in the picture. Where it is not sure, it says what "
        "it saw, and leaves the picture as it is.",
        task="deblur",
        options={"kernel": "auto"},
    ),
    "deblur-motion": TaskLabel(
        "Sharpen a blur whose kernel is known",
        "Choose the kernel: an array (.npy), or a small picture with an odd number of pixels on "
        "each side, bright where the weight is large.",
        task="deblur",
    ),
    "jpeg-auto": TaskLabel(
        "Soften JPEG blocks",
        "Finds the quality in the file, or in the pixels if it was saved again.",
        task="dejpeg",
        options={"quality": "auto"},
    ),
    "jpeg10": TaskLabel(
        "Soften JPEG blocks of heavy compression",
        "For quality 10.",
        task="dejpeg",
        options={"quality": 10},
    ),
    "quantize": TaskLabel(
        "Smooth banding",
        "For a picture with only 8 levels per colour.",
        task="deband",
        options={"bits": 3},
    ),
    "lowlight": TaskLabel(
        "Brighten a picture taken in too little light",
        "The exposure is estimated from the brightest part of the picture, which is taken to be "
        "white.",
        task="brighten",
    ),
    "hdr": TaskLabel(
        "Recover clipped highlights and shadows",
        "For a picture whose contrast was doubled and clipped.",
        task="declip",
    ),
    "colorize": TaskLabel(
        "Colour a grey picture",
        "Expect faint colours: the model inside the package knows few of them.",
    ),
    "deblur-uniform": TaskLabel(
        "Sharpen a mean over 9 x 9 pixels",
        "For a picture blurred by a moving mean.",
        task="deblur",
        options={"kernel": "box:9"},
    ),
    "deblur-aniso": TaskLabel(
        "Sharpen a blur along rows", "For a blur of 9 pixels along rows and 1 pixel down columns."
    ),
}


def looked_for(name: str) -> list[str]:
    """Return the options of an entry that are found in the picture."""
    label = LABELS.get(name)
    found = []
    for option, value in (label.options if label else {}).items():
        if value == "auto":
            found.append(option)
    return found


def asked_for(name: str, found: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return the task of an entry and its options, as `FileOptions` takes them.

    Args:
        name: a key of `LABELS`, or any other name of a task, which programs may send.
        found: options that were found in the picture; `PROVISIONAL` stands for others.
    """
    from ..restoration import PROVISIONAL  # a chain of imports that this table is at the end of

    label = LABELS.get(name)
    if label is None:
        return {"task": name}
    options = dict(label.options)
    for option in looked_for(name):
        options[option] = found.get(option, PROVISIONAL[option])
    return {"task": label.task or name, **options}


def task_of(name: str, found: Mapping[str, Any] = MappingProxyType({})) -> Task:
    """Return the task of an entry with its options, those that were found among them.

    Raises:
        ValueError: for a name that nobody knows.
    """
    options = asked_for(name, found)
    return resolve(options.pop("task"), **options)
