"""Inpainting: some pixels were observed, the others were not."""

import warnings

from torch import Tensor

from .base import SVDOperator
from .biharmonic import biharmonic


class Inpainting(SVDOperator):
    """A x = mask * x: observed pixels are kept, holes are 0 in y.

    The adjoint and the pseudo-inverse are A itself; U = V = I and s = mask. `hrdis.measure` puts no
    noise into holes.

    Args:
        mask: 1 (True) = observed, 0 (False) = hole; (h, w), (c, h, w), or (b, 1 or c, h, w) with
            one mask per image (b = 1 serves every image).

    Raises:
        TypeError: if the mask is no tensor of numbers.
        ValueError: for entries other than 0 and 1, a mask that observes nothing, or, on use, one
            that does not fit the image.

    Warns:
        UserWarning: of a mask that hides nothing.
    """

    families = ("inpaint",)

    holes = True

    mask: Tensor

    def __init__(self, mask: Tensor):
        super().__init__()
        if not isinstance(mask, Tensor) or mask.is_complex() or not 2 <= mask.ndim <= 4:
            got = f"shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
            raise TypeError(
                f"The mask is given as {got}. A tensor of shape (h, w) or (b, 1, h, w) is "
                "expected: torch.from_numpy(mask), or, of a file, "
                "hrdis.images.read_mask(path, hole='white')."
            )
        values = mask.unique()
        if not bool(((values == 0) | (values == 1)).all()):
            raise ValueError(
                f"The mask holds values from {float(values.min()):g} to {float(values.max()):g}. "
                "Only 0 (hole) and 1 (observed) are expected. For a picture of a mask: "
                "hrdis.images.read_mask(path, hole='white')."
            )
        mask = mask.reshape(*[1] * (4 - mask.ndim), *mask.shape).float()
        empty = (mask.flatten(1).sum(1) == 0).nonzero().flatten().tolist()
        if empty:
            raise ValueError(
                f"Nothing is observed: mask {empty} is 0 everywhere. At least one observed pixel "
                "is expected. If 1 marks the hole in your mask, pass 1 - mask."
            )
        if bool(mask.all()):
            warnings.warn(
                "Nothing is hidden: the mask is 1 everywhere. Holes marked by 0 are expected. If "
                "1 marks the hole in your mask, pass 1 - mask.",
                stacklevel=2,
            )
        self.register_buffer("mask", mask)

    @property
    def observed(self) -> Tensor:  # type: ignore[override]
        return self.mask

    def extra_repr(self) -> str:
        return f"mask={tuple(self.mask.shape)}, observed={float(self.mask.mean()):.1%}"

    def forward(self, x: Tensor) -> Tensor:
        m = self.mask
        if m.shape[-2:] != x.shape[-2:]:
            raise ValueError(
                f"The mask is {m.shape[-2]} x {m.shape[-1]}, the image {x.shape[-2]} x "
                f"{x.shape[-1]} (height x width). Both must agree; nothing is resized in silence. "
                "Resize the mask yourself, with nearest neighbours."
            )
        if m.shape[0] not in (1, x.shape[0]) or m.shape[1] not in (1, x.shape[1]):
            raise ValueError(
                f"The mask has shape {tuple(m.shape)}, the images {tuple(x.shape)}. One mask for "
                "all images or one per image is expected, with 1 channel or as many as the image."
            )
        return m.to(x) * x

    def adjoint(self, y: Tensor) -> Tensor:
        return self(y)

    def pinv(self, y: Tensor) -> Tensor:
        return self(y)

    def singulars(self, x: Tensor) -> Tensor:
        return self.mask.to(x)

    def V(self, spectrum: Tensor) -> Tensor:
        return spectrum

    def Vt(self, x: Tensor) -> Tensor:
        return x

    def U(self, spectrum: Tensor) -> Tensor:
        return self(spectrum)

    def Ut(self, y: Tensor) -> Tensor:
        return self(y)

    def for_image(self, i: int) -> "Inpainting":
        return self if len(self.mask) == 1 else Inpainting(self.mask[i : i + 1])

    def smooth(self, y: Tensor) -> Tensor:
        """Return the biharmonic fill, in which holes get the least squared Laplacian.

        Observed pixels stay as measured.
        """
        return biharmonic(self(y), self.mask.to(y).expand_as(y))
