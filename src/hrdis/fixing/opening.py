"""A picture of `hrdis.fix` from whatever holds it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .. import images

if TYPE_CHECKING:
    from PIL import Image


def opened(
    picture: "str | Path | Image.Image | np.ndarray | Tensor | images.Picture",
) -> tuple[images.Picture, Sequence[int] | None]:
    """Return a picture and the steps of its brightness, if it came out of a JPEG file.

    Raises:
        ValueError, TypeError: if it is none that can be read.
    """
    from PIL import Image

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
    if isinstance(picture, Image.Image):
        return images.from_pil(images.upright(picture)), None
    if isinstance(picture, images.Picture):
        return picture, None
    if isinstance(picture, np.ndarray):
        channels = picture.shape[2] if picture.ndim == 3 else 1
        kind = picture.dtype == np.uint8 and picture.ndim in (2, 3) and 1 <= channels <= 4
        if not kind or picture.size == 0:
            raise TypeError(
                f"The array is of {picture.dtype} and shape {picture.shape}. uint8 of shape (h, w) "
                "or (h, w, c) is expected, with c from 1 to 4."
            )
        one = picture[..., 0] if picture.ndim == 3 and channels == 1 else picture
        return images.from_pil(Image.fromarray(one)), None
    if isinstance(picture, Tensor):
        if picture.ndim != 4 or len(picture) != 1 or picture.shape[1] not in (1, 3):
            raise TypeError(
                f"The tensor has shape {tuple(picture.shape)}. One picture (1, c, h, w) with 1 or "
                "3 channels is expected: x[:1]"
            )
        x = picture.detach().to("cpu", torch.float32)
        images.check_pixels(x)
        return images.Picture(x), None
    raise TypeError(
        f"picture is a {type(picture).__name__}. A file, one of Pillow's images, an array or a "
        "tensor is expected."
    )
