"""The tasks as the page offers them: their names in plain words, and a hint for each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskLabel:
    """A task as the page offers it.

    Args:
        title: its name in the list.
        hint: what to do, and what to expect of the model inside the package.
        noise: noise level the slider starts from, as a standard deviation in [0, 1].
    """

    title: str
    hint: str
    noise: float = 0.0


#: Tasks whose measurement is itself a picture, the ones people ask for first at the top.
LABELS: dict[str, TaskLabel] = {
    "inpaint": TaskLabel(
        "Fill scratches, stains and holes",
        "Paint over the damage. Thin damage comes out best; a large hole is filled with a "
        "plausible blur.",
    ),
    "denoise": TaskLabel(
        "Remove noise or grain",
        "Say how strong the noise is: 0.1 is 25 grey levels of 255. Too high a value smooths, too "
        "low a value leaves grain.",
        0.1,
    ),
    "sr2": TaskLabel(
        "Enlarge 2 times", "For a small, sharp picture. Raise the noise if it is grainy."
    ),
    "sr4": TaskLabel(
        "Enlarge 4 times", "For a small, sharp picture. Raise the noise if it is grainy."
    ),
    "sr8": TaskLabel(
        "Enlarge 8 times",
        "The result is soft: the model inside the package knows textures, not faces or text.",
    ),
    "deblur-gauss": TaskLabel(
        "Sharpen a soft blur",
        "For a Gaussian blur of 3 pixels. A little noise, such as 0.01, keeps grain from growing.",
    ),
    "deblur-motion": TaskLabel(
        "Sharpen a blur whose kernel is known",
        "Choose the kernel: an array (.npy), or a small picture with an odd number of pixels on "
        "each side, bright where the weight is large.",
    ),
    "jpeg10": TaskLabel(
        "Soften JPEG blocks",
        "For heavy compression (quality 10). The sides have to be multiples of 16 pixels.",
    ),
    "quantize": TaskLabel("Smooth banding", "For a picture with only 8 levels per colour."),
    "lowlight": TaskLabel(
        "Brighten a picture taken in too little light",
        "The exposure is estimated from the brightest part of the picture, which is taken to be "
        "white.",
    ),
    "hdr": TaskLabel(
        "Recover clipped highlights and shadows",
        "For a picture whose contrast was doubled and clipped.",
    ),
    "colorize": TaskLabel(
        "Colour a grey picture",
        "Expect faint colours: the model inside the package knows few of them.",
    ),
    "deblur-uniform": TaskLabel(
        "Sharpen a mean over 9 x 9 pixels", "For a picture blurred by a moving mean."
    ),
    "deblur-aniso": TaskLabel(
        "Sharpen a blur along rows", "For a blur of 9 pixels along rows and 1 pixel down columns."
    ),
}
