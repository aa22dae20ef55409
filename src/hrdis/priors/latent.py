"""Latent diffusion: a prior of an autoencoder's latents, and measurements of decoded latents."""

from typing import Any

import torch
from torch import Tensor, nn

from ..operators.base import BlindOperator, Operator, Shape
from ..operators.composition import Composition
from ..problem import Problem
from ..schedule import Schedule
from .base import Prediction, Prior
from .networks import config_of, uncopied
from .unet import pad


class LatentPrior(Prior):
    r"""Prior of latents z, with the autoencoder that decodes them to images x = D(z).

    Solvers work on u = z / bound and compare A(D(bound u)) with y. The driver converts every
    problem by ``pull``, and results by ``picture``. Solvers treat their variable as an image: they
    clamp it to [-1, 1], and their step lengths are in these units. Latents of unit variance reach
    4, hence ``bound``. The noisy latent z_t = a_t z + b_t n is, up to a factor, u with the same n
    on a schedule of less noise,

        sigma'_t = sigma_t / bound,    u_t = a'_t u + b'_t n = a'_t / (a_t bound) z_t,

    so that the network is an exact prior of u on that schedule, which is ``schedule`` here; times
    keep their meaning.

    A measurement that is linear in the image is not linear in the latent. So solvers that need an
    adjoint, a pseudo-inverse or singular values are refused, and those that need only a gradient
    run (docs/how-to/latent.md).

    Images may have any size. Sides that the autoencoder cannot halve evenly are padded by
    reflection, and the decoded image is cropped before it is measured.

    Args:
        prior: of the latents as the network was trained on them (scaled and shifted), e.g.
            ``UNetPrior(unet, schedule, "v_prediction")``; for large latents `Tiled` around it.
        vae: diffusers' ``AutoencoderKL``, ``VQModel`` or ``AutoencoderTiny``, or a module with
            ``encode`` and ``decode``. Frozen; runs in its own precision. Its configuration names
            the scale and the shift of latents.
        bound: magnitude that entries of the latents hardly exceed; 1 leaves them as they are.
        factor: pixels along the side of a latent; by default from the configuration.
        checkpoint: keep less of the decoder's graph and compute it twice (diffusers' gradient
            checkpointing).
        name: for records and messages.

    Raises:
        TypeError: if prior is not a prior, or vae not an autoencoder.
        ValueError: if the prior takes other channels than the latents have, or the bound is not
            positive.

    Cost:
        the network's call, on the latent; per gradient of the data term one call and one backward
        pass of the decoder, whose activations are kept; a call of it for the result, and for every
        `Step` whose picture is looked at.

    Example:
        >>> from torch import nn
        >>> class Same(nn.Module):
        ...     def encode(self, x): return x
        ...     def decode(self, z): return z
        >>> import hrdis
        >>> latents = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 1.0)
        >>> x = torch.ones(1, 1, 8, 8) / 2
        >>> problem = hrdis.measure(hrdis.operators.SuperResolution(2), x, seeds=[0])
        >>> prior = LatentPrior(latents, Same())
        >>> hrdis.solve(hrdis.HRDIS(steps=20), prior, problem, seeds=[0]).x.shape
        torch.Size([1, 1, 8, 8])
    """

    latent = True

    def __init__(
        self,
        prior: Prior,
        vae: nn.Module,
        bound: float = 4.0,
        factor: int | None = None,
        checkpoint: bool = False,
        name: str | None = None,
    ):
        super().__init__()
        if not isinstance(prior, Prior):
            raise TypeError(
                f"prior is a {type(prior).__name__}. A prior of the latents is expected: "
                "LatentPrior(hrdis.priors.UNetPrior(unet, schedule), vae)."
            )
        vae = uncopied(vae)
        if not (callable(getattr(vae, "encode", None)) and callable(getattr(vae, "decode", None))):
            raise TypeError(
                f"vae is a {type(vae).__name__}, without encode or decode. An autoencoder is "
                "expected: diffusers.AutoencoderKL.from_pretrained(folder, subfolder='vae')."
            )
        if not bound > 0:
            raise ValueError(
                f"bound is {bound}. A positive number that latents hardly exceed is expected: "
                "bound=4."
            )
        channels = config_of(vae).get("latent_channels")
        if channels is not None and prior.channels is not None and channels not in prior.channels:
            taken = " or ".join(map(str, prior.channels))
            raise ValueError(
                f"The latents have {channels} channels, but the prior {prior.name!r} takes {taken}."
                " A network and an autoencoder of one model are expected."
            )
        self.prior, self.vae = prior, vae.eval().requires_grad_(False)
        self.bound, self.factor = bound, factor
        if checkpoint:
            vae.enable_gradient_checkpointing()  # type: ignore[operator]
        self.overwrites = prior.overwrites
        self.schedule = prior.schedule
        if bound != 1:  # sigma / bound at every time
            signal = prior.schedule.alpha_bar * bound**2
            self.schedule = Schedule(signal / (signal + 1 - prior.schedule.alpha_bar))
        decoded = config_of(vae).get("out_channels")
        if decoded == 3:
            self.channels = (1, 3)
        elif decoded is not None:
            self.channels = (decoded,)
        self.name, self.multiple = name or prior.name, prior.multiple

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        """Estimate latents divided by ``bound``, on ``schedule``.

        A learned variance belongs to the network's own schedule, and is left out where the bound is
        not 1.
        """
        if self.bound == 1:
            return self.prior(x_t, t)
        factor = self.prior.schedule.signal(t) * self.bound / self.schedule.signal(t)
        found = self.prior(factor * x_t, t)
        return Prediction(found.x0_hat / self.bound, found.eps)

    def pull(self, problem: Problem) -> Problem:
        decoder, A = self.decoder(problem.image_shape), problem.A
        if isinstance(A, BlindOperator):
            return Problem(problem.y, DecodedBlindOperator(decoder, A), problem.sigma_y)
        return Problem(problem.y, Composition(decoder, A), problem.sigma_y)

    @torch.no_grad()
    def picture(self, x: Tensor, shape: Shape) -> Tensor:
        return self.decoder(shape)(x)

    @torch.no_grad()
    def latents(self, x: Tensor) -> Tensor:
        """Encode images to the latents that solvers see; they should hardly leave [-1, 1]."""
        return self.decoder(tuple(x.shape)).pinv(x)

    def decoder(self, shape: Shape) -> "LatentDecoder":
        """Return the decoder to images of a shape (b, c, h, w)."""
        return LatentDecoder(self.vae, (shape[1], shape[2], shape[3]), self.bound, self.factor)


class LatentDecoder(Operator):
    """Nonlinear operator x = D(bound u / scale + shift), cropped to the image.

    ``pinv`` encodes, which gives a starting latent rather than an inverse. Where the encoder gives
    a distribution, its mode is taken.

    Args:
        vae: as for `LatentPrior`.
        shape: (c, h, w) of the images; one channel is the mean of the decoder's three.
        bound: units of the latents.
        factor: pixels along the side of a latent.
    """

    def __init__(
        self,
        vae: nn.Module,
        shape: tuple[int, int, int],
        bound: float = 1.0,
        factor: int | None = None,
    ):
        super().__init__()
        config = config_of(vae)
        widths = config.get("block_out_channels") or config.get("encoder_block_out_channels")
        levels = len(widths or (1,))
        self.factor = factor or 2 ** (levels - 1)  # every level but the last halves
        self.vae, self.shape = vae, shape
        self.latent_channels = config.get("latent_channels", shape[0])
        self.grey = shape[0] == 1 and config.get("out_channels", 1) == 3
        self.shift = _each(config.get("shift_factor") or 0.0)
        self.scale = _each((config.get("scaling_factor") or 1.0) / bound)
        if config.get("latents_mean") is not None and config.get("latents_std") is not None:
            self.shift = _each(config["latents_mean"])
            self.scale = self.scale / _each(config["latents_std"])

    def forward(self, x: Tensor) -> Tensor:
        _, h, w = self.shape
        z = x / self.scale.to(x) + self.shift.to(x)
        out = self.vae.decode(z.to(self._dtype(x)))  # type: ignore[operator]
        picture = getattr(out, "sample", out)[..., :h, :w].to(x.dtype)
        return picture.mean(1, keepdim=True) if self.grey else picture

    def pinv(self, y: Tensor) -> Tensor:
        """Encode an image, padded by reflection to a size that the encoder can halve."""
        x = y.expand(-1, 3, -1, -1) if self.grey else y
        x = pad(x, -x.shape[-2] % self.factor, -x.shape[-1] % self.factor)
        z: Any = self.vae.encode(x.to(self._dtype(y)))  # type: ignore[operator]
        if hasattr(z, "latent_dist"):
            z = z.latent_dist.mode()
        z = getattr(z, "latents", z)
        return (z.to(y.dtype) - self.shift.to(y)) * self.scale.to(y)

    def image_shape(self, y_shape: Shape) -> Shape:
        h, w = (-(-side // self.factor) for side in y_shape[-2:])
        return (y_shape[0], self.latent_channels, h, w)

    def _dtype(self, x: Tensor) -> torch.dtype:
        """Return the precision of the autoencoder; that of x for one without parameters."""
        for parameter in self.vae.parameters():
            return parameter.dtype
        return x.dtype


class DecodedBlindOperator(BlindOperator):
    """Blind operator of decoded latents."""

    def __init__(self, decoder: LatentDecoder, A: BlindOperator):
        super().__init__()
        self.decoder, self.A, self.rates = decoder, A, A.rates
        self.picture = A.picture

    def forward(self, x: Tensor) -> Tensor:
        return self.A(self.decoder(x))

    def at(self, x: Tensor, theta: dict[str, Tensor]) -> Tensor:
        return self.A.at(self.decoder(x), theta)

    def start(self, y: Tensor) -> dict[str, Tensor]:
        return self.A.start(y)

    def valid(self, theta: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.A.valid(theta)

    def pinv(self, y: Tensor) -> Tensor:
        """Encode the blind operator's starting image."""
        return self.decoder.pinv(self.A.pinv(y))

    def smooth(self, y: Tensor) -> Tensor:
        return self.decoder.pinv(self.A.smooth(y))

    def image_shape(self, y_shape: Shape) -> Shape:
        return self.decoder.image_shape(self.A.image_shape(y_shape))

    def for_image(self, i: int) -> "DecodedBlindOperator":
        own = self.A.for_image(i)
        return self if own is self.A else DecodedBlindOperator(self.decoder, own)  # type: ignore[arg-type]


def _each(values: float | list[float]) -> Tensor:
    """Shape a number for all channels, or one for each, to broadcast over latents."""
    return torch.as_tensor(values, dtype=torch.float64, device="cpu").reshape(-1, 1, 1)
