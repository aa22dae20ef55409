"""Magnetic resonance imaging: some of the Fourier coefficients of a complex image, seen by one coil
or several.
"""

import warnings

import torch
from torch import Tensor

from .base import LinearOperator, Shape, SVDOperator, at_least_float32


def MRI(mask: Tensor, coils: Tensor | None = None) -> "SingleCoilMRI | MultiCoilMRI":
    """Sample k-space with one coil, or with several whose sensitivities are known.

    Args:
        mask: 1 where k-space is sampled, low frequencies in the middle; (w,) for whole columns as
            `kspace.columns` makes them, (h, w), or (b, 1, h, w) with one mask per image.
        coils: complex sensitivities, (n, h, w) or (b, n, h, w).

    Returns:
        `SingleCoilMRI`, which has an SVD, without coils; else `MultiCoilMRI`.

    Example:
        >>> from hrdis.operators import kspace
        >>> A = MRI(kspace.columns(32, acceleration=4))
        >>> A(torch.zeros(1, 2, 32, 32)).shape
        torch.Size([1, 2, 32, 32])
    """
    return SingleCoilMRI(mask) if coils is None else MultiCoilMRI(mask, coils)


class SingleCoilMRI(SVDOperator):
    """y = M F x: the centred unitary Fourier transform of a complex image, 0 where it was not
    sampled.

    Images are (b, 2, h, w), real and imaginary part; so is y, which `hrdis.Problem` wants real. A*
    = A^+ = F* M; V = F*, U = M, and the singular values are the mask. `hrdis.measure` puts no noise
    where nothing was sampled.

    Args:
        mask: as in `MRI`.

    Raises:
        TypeError: if the mask is no tensor of numbers.
        ValueError: for entries other than 0 and 1, a mask that samples nothing, or, on use, another
            size or an image that has not 2 channels.

    Cost:
        one Fourier transform.

    Reference:
        Chung, Lee, Ye, Decomposed Diffusion Sampler, ICLR 2024; Zheng et al., InverseBench, ICLR
        2025.
    """

    families = ("mri",)

    picture = False

    mask: Tensor

    def __init__(self, mask: Tensor):
        super().__init__()
        self.register_buffer("mask", _checked(mask))

    @property
    def observed(self) -> Tensor:  # type: ignore[override]
        return self.mask

    def extra_repr(self) -> str:
        return f"mask={tuple(self.mask.shape)}, sampled={float(self.mask.mean()):.1%}"

    def for_image(self, i: int) -> "SingleCoilMRI":
        return self if len(self.mask) == 1 else SingleCoilMRI(self.mask[i : i + 1])

    def singulars(self, x: Tensor) -> Tensor:
        return self.mask.to(x)

    def V(self, spectrum: Tensor) -> Tensor:
        return _parts(_inverse(_complex(spectrum))).to(spectrum.dtype)

    def Vt(self, x: Tensor) -> Tensor:
        _fits(self.mask, x)
        return _parts(_transform(_complex(x))).to(x.dtype)

    def U(self, spectrum: Tensor) -> Tensor:
        return self.mask.to(spectrum) * spectrum

    def Ut(self, y: Tensor) -> Tensor:
        return self.mask.to(y) * y


class MultiCoilMRI(LinearOperator):
    """y_i = M F (S_i x): what coil i of sensitivity S_i receives of a complex image.

    Images are (b, 2, h, w), real and imaginary part; y is (b, n, 2, h, w). A* y = sum_i conj(S_i)
    F* M y_i. There is no SVD in closed form, so ``pinv`` runs conjugate gradient. ``smooth`` is
    ``A* y / sum_i |S_i|^2``, the picture of least variance if everything had been sampled.

    Args:
        mask, coils: as in `MRI`.

    Raises:
        TypeError: if the mask is no tensor of numbers, or the coils are no complex tensor.
        ValueError: as `SingleCoilMRI`; for coils of another size or number, or not finite.

    Warns:
        UserWarning: of pixels that no coil sees.

    Cost:
        one Fourier transform per coil; up to 400 times that for ``pinv``.

    Reference:
        Zheng et al., InverseBench, ICLR 2025; Chung, Lee, Ye, Decomposed Diffusion Sampler, ICLR
        2024.
    """

    families = ("mri",)

    picture = False

    mask: Tensor
    coils: Tensor

    def __init__(self, mask: Tensor, coils: Tensor):
        super().__init__()
        self.register_buffer("mask", _checked(mask))
        if not isinstance(coils, Tensor) or not coils.is_complex():
            got = str(coils.dtype) if isinstance(coils, Tensor) else type(coils).__name__
            raise TypeError(
                f"The coil sensitivities are {got}. A complex tensor of shape (n, h, w) is "
                "expected: torch.complex(real, imaginary)."
            )
        size = tuple(self.mask.shape[-2:])
        if (
            coils.ndim not in (3, 4)
            or coils.shape[-1] != size[1]
            or size[0] not in (1, coils.shape[-2])
        ):
            raise ValueError(
                f"The coil sensitivities have shape {tuple(coils.shape)}, the mask "
                f"{tuple(mask.shape)}. (n, h, w) or (b, n, h, w) of the mask's size is expected."
            )
        if not bool(torch.isfinite(torch.view_as_real(coils)).all()):
            raise ValueError(
                "The coil sensitivities hold NaN or infinite values. Finite ones are expected."
            )
        coils = coils.reshape(*[1] * (4 - coils.ndim), *coils.shape)
        blind = int((coils.abs().amax(1) == 0).sum())
        if blind:
            warnings.warn(
                f"No coil sees {blind} pixels: every sensitivity is 0 there. y says nothing about "
                "them; the prior alone fills them.",
                stacklevel=3,
            )
        self.register_buffer("coils", coils)

    @property
    def observed(self) -> Tensor:  # type: ignore[override]
        return self.mask[:, None]

    def extra_repr(self) -> str:
        return (
            f"{self.coils.shape[1]} coils, mask={tuple(self.mask.shape)}, "
            f"sampled={float(self.mask.mean()):.1%}"
        )

    def for_image(self, i: int) -> "MultiCoilMRI":
        if len(self.mask) == len(self.coils) == 1:
            return self
        own = [t if len(t) == 1 else t[i : i + 1] for t in (self.mask, self.coils)]
        return MultiCoilMRI(*own)

    def image_shape(self, y_shape: Shape) -> Shape:
        return (y_shape[0], *y_shape[2:])

    def forward(self, x: Tensor) -> Tensor:
        _fits(self.mask, x)
        if self.coils.shape[-2:] != x.shape[-2:] or len(self.coils) not in (1, len(x)):
            raise ValueError(
                f"The coil sensitivities have shape {tuple(self.coils.shape)}, the images "
                f"{tuple(x.shape)}. The same size, and one set for all images or one per image, "
                "are expected."
            )
        z = _complex(x)
        k = _transform(self.coils.to(z) * z[:, None])
        return (self.mask[:, :, None].to(x) * torch.stack([k.real, k.imag], 2)).to(x.dtype)

    def adjoint(self, y: Tensor) -> Tensor:
        k = _complex((self.mask[:, :, None].to(y) * y).transpose(1, 2))
        return _parts((self.coils.to(k).conj() * _inverse(k)).sum(1)).to(y.dtype)

    def init(self, y: Tensor) -> Tensor:
        """Return ``A* y / sum_i |S_i|^2``, as ``smooth``."""
        return self.smooth(y)

    def smooth(self, y: Tensor) -> Tensor:
        """Return ``A* y / sum_i |S_i|^2``, 0 where no coil sees.

        Its measurement is y only if everything was sampled.
        """
        power = self.coils.abs().square().sum(1, keepdim=True)
        return self.adjoint(y) / power.where(power > 0, torch.ones_like(power)).to(y)


def _checked(mask: Tensor) -> Tensor:
    if not isinstance(mask, Tensor) or mask.is_complex() or mask.ndim not in (1, 2, 4):
        got = f"shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(
            f"The mask is given as {got}. A tensor of shape (w,), (h, w) or (b, 1, h, w) is "
            "expected."
        )
    if not bool(((mask == 0) | (mask == 1)).all()) or (mask.ndim == 4 and mask.shape[1] != 1):
        raise ValueError(
            f"The mask has shape {tuple(mask.shape)} and values from {float(mask.min()):g} to "
            f"{float(mask.max()):g}. 1 (sampled) and 0 (not sampled), the same for both parts, are "
            "expected: kspace.columns(320, 4)."
        )
    if not bool(mask.any()):
        raise ValueError(
            "The mask samples nothing. At least one coefficient is expected: kspace.columns(320, "
            "4)."
        )
    return mask.reshape(*[1] * (4 - mask.ndim), *mask.shape).float()


def _fits(mask: Tensor, x: Tensor) -> None:
    if x.shape[1] != 2:
        z = "z[:, 0]" if x.is_complex() and x.shape[1] == 1 else "z"
        raise ValueError(
            f"MRI got images of {x.shape[1]} channels. 2 are expected, the real and the imaginary "
            f"part: torch.view_as_real({z}).movedim(-1, 1)."
        )
    h, w = mask.shape[-2:]
    if w != x.shape[-1] or h not in (1, x.shape[-2]) or len(mask) not in (1, len(x)):
        raise ValueError(
            f"The mask has shape {tuple(mask.shape)}, the images {tuple(x.shape)}. The same size, "
            "and one mask for all images or one per image, are expected: "
            f"kspace.columns({x.shape[-1]}, acceleration=4)."
        )


def _complex(x: Tensor) -> Tensor:
    if x.is_complex() or x.shape[1] != 2:
        got = f"{str(x.dtype).removeprefix('torch.')} of shape {tuple(x.shape)}"
        raise TypeError(
            f"MRI got {got}. A real tensor is expected, whose two channels are the real and the "
            "imaginary part: torch.view_as_real(y).movedim(-1, 1), or .movedim(-1, 2) with "
            "several coils."
        )
    return torch.complex(*at_least_float32(x).unbind(1))


def _parts(z: Tensor) -> Tensor:
    return torch.stack([z.real, z.imag], 1)


def _transform(z: Tensor) -> Tensor:
    """Apply the unitary Fourier transform with its origin in the middle, in image and k-space."""
    z = torch.fft.fft2(torch.fft.ifftshift(z, dim=(-2, -1)), norm="ortho")
    return torch.fft.fftshift(z, dim=(-2, -1))


def _inverse(z: Tensor) -> Tensor:
    z = torch.fft.ifft2(torch.fft.ifftshift(z, dim=(-2, -1)), norm="ortho")
    return torch.fft.fftshift(z, dim=(-2, -1))
