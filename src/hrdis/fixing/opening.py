"""A picture of `hrdis.fix` from whatever holds it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import images

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor


def opened(
    picture: "str | Path | Image.Image | np.ndarray | Tensor | images.Picture",
) -> tuple[images.Picture, Sequence[int] | None]:
    """Return a picture and the steps of its brightness, if it came out of a JPEG file.

    Raises:
        ValueError, TypeError: if it is none that can be read.
    """
    if isinstance(picture, str | Path):
        with images.open_image(picture) as image:
            turned = images.upright(image)
            tables = getattr(image, "quantization", None) or {}
            straight = turned is image
            if not straight:
                try:
                    straight = image.getexif().get(0x0112, 1) == 1
                except Exception:  # malformed notes ask for no rotation
                    straight = True
            # turned pictures have their blocks elsewhere: their pixels tell
            return images.from_pil(turned), tables.get(0) if straight else None
    return images.from_python(picture), None
