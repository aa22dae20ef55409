"""What the page says: the tasks in plain words, and what to expect of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """A task as the page offers it.

    Args:
        label: the line to choose.
        hint: what to do, and what to expect with the model inside the package.
        noise: the strength of the noise to start from, in [0, 1].
    """

    label: str
    hint: str
    noise: float = 0.0


#: The tasks that damage a picture and leave a picture, the ones people ask for first.
WORDS: dict[str, Words] = {
    "inpaint": Words(
        "Fill scratches, stains and holes",
        "Paint over what is to be filled. Thin damage comes out best; a large hole is filled with "
        "a plausible blur.",
    ),
    "denoise": Words(
        "Remove noise or grain",
        "Say how strong the noise is: 0.1 is 25 grey levels of 255. Too high a value smooths, too "
        "low leaves grain.",
        0.1,
    ),
    "sr2": Words(
        "Enlarge 2 times", "For a small picture that is sharp. Raise the noise if it is grainy."
    ),
    "sr4": Words(
        "Enlarge 4 times", "For a small picture that is sharp. Raise the noise if it is grainy."
    ),
    "sr8": Words(
        "Enlarge 8 times", "Soft: the model inside the package knows textures, not faces or text."
    ),
    "deblur-gauss": Words(
        "Sharpen a soft blur",
        "For a Gaussian blur of 3 pixels. A little noise, 0.01 say, keeps grain from growing.",
    ),
    "deblur-motion": Words(
        "Sharpen a blur whose kernel is known",
        "Give the kernel: an array (.npy), or a small picture of it, bright where it is heavy, of "
        "odd sides.",
    ),
    "jpeg10": Words(
        "Soften JPEG blocks",
        "For heavy compression (quality 10). The sides have to be multiples of 16 pixels.",
    ),
    "quantize": Words("Smooth banding", "For a picture left with 8 levels a colour."),
    "lowlight": Words(
        "Brighten a picture taken in too little light",
        "The exposure is estimated from the brightest part of the picture, taken to be white.",
    ),
    "hdr": Words(
        "Recover clipped highlights and shadows",
        "For a picture whose contrast was doubled and clipped.",
    ),
    "colorize": Words(
        "Give a grey picture colours",
        "Faint colours at best: the model inside the package knows few of them.",
    ),
    "deblur-uniform": Words(
        "Sharpen a mean over 9 x 9 pixels", "For a picture blurred by a moving mean."
    ),
    "deblur-aniso": Words(
        "Sharpen a blur along rows", "For a blur of 9 pixels along rows and 1 down columns."
    ),
}
