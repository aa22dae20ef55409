"""diffusers' live objects as priors: noise predictors, EDM and consistency networks."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from ..schedule import Schedule
from .base import ADAPTERS, Prior
from .denoiser import DenoiserPrior, consistency, edm
from .networks import unwrapped
from .small_unet import SmallUNet
from .unet import Network, UNetPrior

Kind = Literal["edm", "consistency"]


def from_diffusers(
    unet: nn.Module, scheduler: Any, name: str = "custom", kind: Kind | None = None
) -> Prior:
    """A live ``UNet2DModel`` with its scheduler as a prior; the network is frozen and shared, not
    copied.

    Of DataParallel, DistributedDataParallel and torch.compile the network inside is taken; it is
    compiled where it is used, by ``prior.net.compile()``.

    The scheduler's class and configuration say what the network is: ``EDMEulerScheduler`` and
    ``EDMDPMSolverMultistepScheduler`` a raw EDM network, ``CMStochasticIterativeScheduler`` a
    consistency model, all that have betas a predictor of noise, v or image. What they clip or
    threshold while sampling is not done here.

    Args:
        unet: a diffusers ``UNet2DModel``.
        scheduler: a diffusers scheduler, or its configuration.
        name: for records and messages.
        kind: the preconditioning of the network, where the scheduler does not say.

    Raises:
        TypeError: if unet is no such network, or scheduler no scheduler.
        ValueError: for a scheduler without betas that is none of these, or what else cannot be a
            prior.

    Example:
        >>> from_diffusers("unet", None)
        Traceback (most recent call last):
        TypeError: unet is a str. A diffusers UNet2DModel is expected: from_diffusers(unet,
            scheduler).
    """
    unet = unwrapped(unet) if isinstance(unet, nn.Module) else unet
    if not is_unet(unet):
        text = "It wants a text, which is told once: hrdis.load_prior('latent:FOLDER'). "
        raise TypeError(
            f"unet is a {type(unet).__name__}. "
            f"{text if _named(unet, 'UNet2DConditionModel') else ''}"
            "A diffusers UNet2DModel is expected: from_diffusers(unet, scheduler)."
        )
    config = scheduler if isinstance(scheduler, Mapping) else getattr(scheduler, "config", None)
    if not isinstance(config, Mapping):
        raise TypeError(
            f"scheduler is a {type(scheduler).__name__}. The diffusers scheduler that the network "
            "was trained with is expected: from_diffusers(unet, scheduler)."
        )
    config = dict(config)
    if not isinstance(scheduler, Mapping):
        config["_class_name"] = type(scheduler).__name__
    return prior_of(unet, config, "The scheduler", name, kind)


def is_unet(value: object) -> bool:
    """Return True for diffusers' ``UNet2DModel``, wrapped or not, without importing diffusers."""
    return isinstance(value, nn.Module) and _named(unwrapped(value), "UNet2DModel")


def _named(value: object, name: str) -> bool:
    return any(
        c.__name__ == name and c.__module__.startswith("diffusers.") for c in type(value).__mro__
    )


def prior_of(
    net: nn.Module, config: Mapping[str, Any], where: str, name: str, kind: Kind | None
) -> Prior:
    """The prior that a scheduler's configuration makes of a network."""
    scheduler = str(config.get("_class_name", ""))
    inner: Any = unwrapped(net)
    multiple = (
        inner.multiple
        if isinstance(inner, SmallUNet)
        else 2 ** (len(inner.config["block_out_channels"]) - 1)
    )
    predicts = config.get("prediction_type", "epsilon")
    cm = scheduler == "CMStochasticIterativeScheduler"
    if kind is None and (cm or scheduler.startswith("EDM")):
        kind = "consistency" if cm else "edm"
    if kind is None:
        if scheduler and not any(
            key in config for key in ("beta_schedule", "beta_start", "trained_betas")
        ):
            raise ValueError(
                f"{where} is a {scheduler}, which has no betas. A scheduler of DDPM's kind, EDM's "
                "or that of consistency models is expected; flow matching and score models in "
                "continuous time are not priors here."
            )
        return UNetPrior(net, schedule_of(dict(config), where), predicts, multiple, name)
    if predicts != "epsilon":
        raise ValueError(
            f"{where} has prediction_type {predicts!r}. 'epsilon' is expected of an EDM network."
        )
    network = Network(net, multiple)
    told = 250.0 if cm or kind == "consistency" else 0.25
    low, high, data = (
        float(config.get(f"sigma_{k}", v)) for k, v in (("min", 0.002), ("max", 80), ("data", 0.5))
    )
    D = edm(network, data, told) if kind == "edm" else consistency(network, data, low, told)
    return DenoiserPrior(
        D,
        sigma_min=low,
        sigma_max=high,
        channels=network.channels,
        classes=network.classes,
        name=name,
    )


def schedule_of(config: dict[str, Any], where: object = "the scheduler") -> Schedule:
    """The `Schedule` of a diffusers scheduler configuration: linear, scaled-linear or cosine betas.

    What concerns only diffusers' own sampling is not used: ``clip_sample``, ``thresholding``,
    ``variance_type``, ``timestep_spacing``.

    Raises:
        ValueError: for other betas, or where all signal is gone at the top
            (``rescale_betas_zero_snr``).
    """
    first, last = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
    length, kind = config.get("num_train_timesteps", 1000), config.get("beta_schedule", "linear")
    if config.get("rescale_betas_zero_snr"):
        raise ValueError(
            f"{where} has rescale_betas_zero_snr: at the last time nothing of the image is left, "
            "which no schedule here can say. A network trained without it is expected."
        )
    if config.get("trained_betas"):
        return Schedule(
            (1 - torch.tensor(config["trained_betas"], dtype=torch.float64, device="cpu")).cumprod(
                0
            )
        )
    if kind == "linear":
        return Schedule.linear(length, first, last)
    if kind == "scaled_linear":
        beta = torch.linspace(first**0.5, last**0.5, length, dtype=torch.float64, device="cpu") ** 2
        return Schedule((1 - beta).cumprod(0))
    if kind == "squaredcos_cap_v2":
        return Schedule.cosine(length)
    raise ValueError(
        f"{where} has beta_schedule {kind!r}. 'linear', 'scaled_linear' or 'squaredcos_cap_v2' is "
        "expected."
    )


def is_pair(value: object) -> bool:
    """Return True for a pair (UNet2DModel, scheduler), and for a pipeline that has both."""
    if isinstance(value, tuple | list):
        return len(value) == 2 and is_unet(value[0])
    if not is_unet(getattr(value, "unet", None)) or getattr(value, "scheduler", None) is None:
        return False
    # The network of a latent pipeline is no prior of images without its autoencoder.
    return getattr(value, "vae", None) is None and getattr(value, "vqvae", None) is None


def from_pair(value: Any) -> Prior:
    """Convert what `is_pair` recognises: see `from_diffusers`."""
    if isinstance(value, tuple | list):
        return from_diffusers(value[0], value[1])
    return from_diffusers(value.unet, value.scheduler)


ADAPTERS.append((is_pair, from_pair))
