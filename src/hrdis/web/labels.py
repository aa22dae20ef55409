"""The tasks as the page offers them: their names in plain words, and a hint for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    "deblur-motion": TaskLabel(
        "Sharpen a blur whose kernel is known",
        "Choose the kernel: an array (.npy), or a small picture with an odd number of pixels on "
        "each side, bright where the weight is large.",
        task="deblur",
    ),
    "jpeg10": TaskLabel(
        "Soften JPEG blocks",
        "For heavy compression (quality 10). The sides have to be multiples of 16 pixels.",
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


def asked_for(name: str) -> dict[str, Any]:
    """Return the task of an entry and its options, as `FileOptions` takes them.

    Args:
        name: a key of `LABELS`, or any other name of a task, which programs may send.
    """
    label = LABELS.get(name)
    if label is None:
        return {"task": name}
    return {"task": label.task or name, **label.options}


def task_of(name: str) -> Task:
    """Return the task of an entry with its options.

    Raises:
        ValueError: for a name that nobody knows.
    """
    asked = asked_for(name)
    return resolve(asked.pop("task"), **asked)
