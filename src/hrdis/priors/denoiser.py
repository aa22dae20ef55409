"""Conversion between a denoiser D(x, sigma) of images x = x0 + sigma n and a prior with a schedule.

With sigma_t = sqrt((1 - alpha_bar_t) / alpha_bar_t), the noise-to-signal ratio of time t, both get
the same image: x_t / sqrt(alpha_bar_t) = x0 + sigma_t n. EDM and consistency networks are denoisers
(Karras et al. 2022, Song et al. 2023), and so are those of azula and deepinv.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..schedule import Schedule
from .base import Prediction, Prior
from .networks import check_call, uncopied

#: Standard deviation of training images in [-1, 1], as EDM has it.
SIGMA_DATA = 0.5

#: (x, sigma) to the clean image: x (b, c, h, w), sigma (b,) of its dtype on its device, in units of
#: the image. One that knows classes is called with a third argument, their numbers, (b,).
Denoise = Callable[..., Tensor]


class DenoiserPrior(Prior):
    """Prior of a denoiser: with s = sigma_t and x = x_t / sqrt(alpha_bar_t),

        x0_hat = D(x, s),  eps = (x - D(x, s)) / s.

    Levels outside [sigma_min, sigma_max], where the network was trained, are bridged by
    ``clamped``. The linear schedule runs from 0.01 to 157, and ``schedule.nearest(80)`` is 929. So
    a solver that starts there needs no bridge.

    Args:
        denoise: D, see ``Denoise``; a module is frozen and moves with the prior. See `edm` and
            `consistency` for raw networks.
        schedule: the noise levels of the times; any schedule, since a denoiser has none. Linear by
            default.
        sigma_min, sigma_max: range of levels D was trained on.
        channels: image channels D accepts; None for any.
        classes: number of classes D was trained on; None for one without labels, see
            `Prior.labelled`.
        name: name for records and messages.

    Raises:
        ValueError: unless 0 <= sigma_min < sigma_max.

    Cost:
        one call of D.

    Example:
        >>> # the denoiser of x0 ~ N(0, I)
        >>> prior = DenoiserPrior(lambda x, sigma: x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2))
        >>> x_t = torch.ones(1, 3, 8, 8)
        >>> torch.allclose(prior(x_t, 500).eps, prior.schedule.noise(500).float() * x_t)
        True
    """

    overwrites = False  # D gets x, which is made for it

    def __init__(
        self,
        denoise: Denoise,
        schedule: Schedule | None = None,
        *,
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        channels: tuple[int, ...] | None = None,
        classes: int | None = None,
        name: str = "custom",
    ):
        super().__init__()
        if not 0 <= sigma_min < sigma_max:
            raise ValueError(
                f"sigma_min is {sigma_min} and sigma_max is {sigma_max}. 0 <= sigma_min < "
                "sigma_max is expected: DenoiserPrior(denoise, sigma_min=0.002, sigma_max=80)."
            )
        denoise = uncopied(denoise)
        if classes is None:
            check_call(denoise, 2, "picture and level", "The denoiser")
        else:
            check_call(denoise, 3, "picture, level and class", "The denoiser")
        if isinstance(denoise, nn.Module):
            denoise.eval().requires_grad_(False)
        self.denoise = denoise
        self.schedule = schedule or Schedule.linear()
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        self.channels, self.classes, self.name = channels, classes, name

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        s = self.schedule.sigma(t)
        x = x_t / self.schedule.signal(t)

        def denoise(x: Tensor, sigma: float) -> Tensor:
            levels, label = x.new_full((len(x),), sigma), self.labels_of(x)
            return self.denoise(x, levels) if label is None else self.denoise(x, levels, label)

        x0_hat = clamped(denoise, x, float(s), self.sigma_min, self.sigma_max).to(x_t.dtype)
        return Prediction(x0_hat, (x - x0_hat) / s)


def clamped(
    denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float, low: float, high: float
) -> Tensor:
    """Evaluate D(x, sigma) by a denoiser that was trained only on levels from ``low`` to ``high``.

    Above, the image is scaled so that its noise has the level ``high``, D(x high / sigma, high), so
    that the input has the strength of the training's. For a Gaussian of variance C the gain becomes
    (high / sigma) C / (C + high^2) instead of C / (C + sigma^2). Both are equal at C = sigma high
    (coarse structure, the little that such an image still shows). Below it the gain is too large by
    at most sigma / high, where both are near 0.

    Below, the score (D - x) / sigma^2 is held: x + (sigma / low)^2 (D(x, low) - x). For the
    Gaussian it is off by the factor (C + sigma^2) / (C + low^2), which is 1 to within low^2 / C.
    """
    if sigma > high:
        return denoise(x * (high / sigma), high)
    if sigma < low:
        return x + (sigma / low) ** 2 * (denoise(x, low) - x)
    return denoise(x, sigma)


# ---- raw networks to denoisers ------------------------------------------------------------------


class Preconditioned(nn.Module):
    """Denoiser D(x; s) = c_skip x + c_out F(c_in x; c_noise) of a raw network F.

    Args:
        F: the network.
        coefficients: (c_skip, c_out, c_in, c_noise) as functions of s, (b,).
        clamp: True to clamp D to [-1, 1].
    """

    def __init__(
        self,
        F: Denoise,
        coefficients: Callable[[Tensor], tuple[Tensor, Tensor, Tensor, Tensor]],
        clamp: bool = False,
    ):
        super().__init__()
        self.F, self.coefficients, self.clamp = F, coefficients, clamp

    def forward(self, x: Tensor, sigma: Tensor, *label: Tensor) -> Tensor:
        c_skip, c_out, c_in, c_noise = self.coefficients(sigma)
        per_image = (-1, *[1] * (x.ndim - 1))
        out = self.F(c_in.reshape(per_image) * x, c_noise, *label)
        clean = c_skip.reshape(per_image) * x + c_out.reshape(per_image) * out
        return clean.clamp(-1, 1) if self.clamp else clean


def edm(F: Denoise, sigma_data: float = SIGMA_DATA, log_scale: float = 0.25) -> Preconditioned:
    """Make the denoiser of a raw EDM network F(c_in x, c_noise) (Karras et al. 2022, Table 1), with
    d = sigma_data:

        c_skip = d^2 / (s^2 + d^2),  c_out = s d / sqrt(s^2 + d^2),  c_in = 1 / sqrt(s^2 + d^2),
        c_noise = ln(s) / 4

    Args:
        F: called with (b, c, h, w) and c_noise (b,), and labels (b,) where it knows classes.
        sigma_data: standard deviation of the training images.
        log_scale: c_noise over ln(s); 250 in the networks of OpenAI's consistency_models.
    """

    def coefficients(s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        total = (s**2 + sigma_data**2).sqrt()
        return (sigma_data / total) ** 2, s * sigma_data / total, 1 / total, log_scale * s.log()

    return Preconditioned(F, coefficients)


def consistency(
    F: Denoise,
    sigma_data: float = SIGMA_DATA,
    sigma_min: float = 0.002,
    log_scale: float = 250.0,
    clamp: bool = True,
) -> Preconditioned:
    """Make the denoiser of a raw consistency network (Song et al. 2023, Section 3 and C), which is
    exactly x at s = sigma_min, as long as x is in [-1, 1].

        c_skip = d^2 / ((s - sigma_min)^2 + d^2),  c_out = (s - sigma_min) d / sqrt(s^2 + d^2),
        c_noise = 250 ln(s)

    and c_in as in `edm`. The result is one clean image that fits x, sharper than the mean of all
    such images. It is clamped to [-1, 1], as openai/consistency_models does.

    Args:
        F: called with (b, c, h, w) and c_noise (b,), and labels (b,) where it knows classes.
        sigma_data: standard deviation of the training images.
        sigma_min: the level at which the network is the identity.
        log_scale: c_noise over ln(s).
        clamp: False for what is not an image, as a latent.
    """

    def coefficients(s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        total, above = (s**2 + sigma_data**2).sqrt(), s - sigma_min
        c_skip = sigma_data**2 / (above**2 + sigma_data**2)
        return c_skip, above * sigma_data / total, 1 / total, log_scale * s.log()

    return Preconditioned(F, coefficients, clamp)


# ---- a prior as a denoiser ----------------------------------------------------------------------


def prior_as_denoiser(
    prior: Prior, interpolate: bool = True
) -> Callable[[Tensor, float | Tensor], Tensor]:
    """Make the denoiser of a prior.

    ``denoise(x, sigma)`` is the mean of the clean image given x = x0 + sigma n.

    At a level of the schedule it is x0_hat(sqrt(alpha_bar_t) x, t). Between two levels their
    results are interpolated linearly in sigma^2 / (sigma^2 + 0.25), which is exact for white images
    of variance 0.25 and takes two calls. Or the nearest time is taken. Levels beyond the schedule's
    first and last are bridged by ``clamped``.

    Args:
        prior: see `hrdis.load_prior`.
        interpolate: between neighbouring times. On Gaussians of variance 0.1 to 1 and the linear
            schedule the error is below 1e-5 of the standard deviation of x then, and below 1e-2
            without.

    Returns:
        a function of x (b, c, h, w), in [-1, 1] where clean, and sigma, one number or one per
        image, >= 0 (0 returns x); differentiable, not clipped. It raises ValueError for a sigma
        that is negative, not finite, or neither one number nor one per image.

    Cost:
        one or two calls of the network per distinct level among the images.

    Example:
        >>> from hrdis.priors import Gaussian
        >>> denoise = prior_as_denoiser(Gaussian(torch.zeros(3, 8, 8), 0.25))
        >>> round(float(denoise(torch.ones(1, 3, 8, 8), 0.5).mean()), 6)
        0.5
    """
    q, last = prior.schedule, len(prior.schedule) - 1

    def at(x: Tensor, t: int) -> Tensor:
        return prior(q.signal(t) * x, t).x0_hat

    def inside(x: Tensor, sigma: float) -> Tensor:
        t = q.nearest(sigma)
        here = float(q.sigma(t))
        other = t + 1 if sigma > here else t - 1
        if not interpolate or not 0 <= other <= last or math.isclose(sigma, here, rel_tol=1e-6):
            return at(x, t)
        a, b, c = (s**2 / (s**2 + SIGMA_DATA**2) for s in (here, sigma, float(q.sigma(other))))
        return at(x, t).lerp(at(x, other), (b - a) / (c - a))

    def denoise(x: Tensor, sigma: float | Tensor) -> Tensor:
        asked, out = levels_of(sigma, len(x)), x.clone()
        for level in sorted(set(asked) - {0.0}):
            here = torch.tensor([i for i, s in enumerate(asked) if s == level], device=x.device)
            out = out.index_copy(
                0, here, clamped(inside, x[here], level, float(q.sigma(0)), float(q.sigma(last)))
            )
        return out

    return denoise


def levels_of(
    sigma: float | Tensor, batch: int, units: str = "in units of x", call: str = "denoise(x, 0.05)"
) -> list[float]:
    """Return one noise level per image, >= 0, from one number or one per image.

    Args:
        sigma: the level or levels.
        batch: number of images.
        units: units of the levels, for the message.
        call: a correct call as code, for the message.

    Raises:
        ValueError: for another number of levels, or one that is negative or not finite.
    """
    levels = torch.as_tensor(sigma, dtype=torch.float64, device="cpu").flatten().tolist()
    if len(levels) not in (1, batch):
        raise ValueError(
            f"sigma holds {len(levels)} levels for {batch} images. One number, or one per image, "
            f"is expected: {call}."
        )
    if not all(0 <= s < math.inf for s in levels):
        raise ValueError(f"sigma is {levels}. Noise levels >= 0 {units} are expected: {call}.")
    return levels * batch if len(levels) == 1 else levels
