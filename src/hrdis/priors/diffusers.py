"""diffusers' objects in memory as priors: noise predictors, EDM and consistency networks."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from ..messages import one_line
from ..schedule import Schedule
from .base import ADAPTERS, Prior
from .denoiser import DenoiserPrior, consistency, edm
from .networks import unwrapped
from .small_unet import SmallUNet
from .unet import AnySizeNetwork, UNetPrior

Kind = Literal["edm", "consistency"]

#: Most training times that are believed: the schedule is a table. Published models have up to 4000.
MOST_TIMES = 100_000


def from_diffusers(
    unet: nn.Module, scheduler: Any, name: str = "custom", kind: Kind | None = None
) -> Prior:
    """Convert a ``UNet2DModel`` with its scheduler to a prior; the network is frozen and shared,
    not copied.

    The network is taken out of DataParallel, DistributedDataParallel and torch.compile; compile it
    again by ``prior.net.compile()``.

    The scheduler's class and configuration say what the network predicts. With
    ``EDMEulerScheduler`` and ``EDMDPMSolverMultistepScheduler`` it is a raw EDM network, and with
    ``CMStochasticIterativeScheduler`` a consistency model. With all that have betas it is a
    predictor of noise, v or the image. Clipping and thresholding of the scheduler's sampling are
    not done here.

    Args:
        unet: a diffusers ``UNet2DModel``.
        scheduler: a diffusers scheduler, or its configuration.
        name: name for records and messages.
        kind: the preconditioning of the network, where the scheduler does not tell it.

    Raises:
        TypeError: if unet is not such a network, or scheduler not a scheduler.
        ValueError: for other schedulers without betas, and for networks that cannot be priors.

    Example:
        >>> from_diffusers("unet", None)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        TypeError: unet is a str. A diffusers UNet2DModel is expected: ...
    """
    if isinstance(unet, nn.Module):
        unet = unwrapped(unet)
    if not is_unet(unet):
        text = ""
        if _is_of_diffusers(unet, "UNet2DConditionModel"):
            text = "It wants a text, which is told once: hrdis.load_prior('latent:FOLDER'). "
        raise TypeError(
            f"unet is a {type(unet).__name__}. {text}"
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
    return isinstance(value, nn.Module) and _is_of_diffusers(unwrapped(value), "UNet2DModel")


def _is_of_diffusers(value: object, name: str) -> bool:
    """Return True if a value's class, or one it derives from, is diffusers' class of that name."""
    for base in type(value).__mro__:
        if base.__name__ == name and base.__module__.startswith("diffusers."):
            return True
    return False


def prior_of(
    net: nn.Module, config: Mapping[str, Any], where: str, name: str, kind: Kind | None
) -> Prior:
    """Make the prior of a network and the configuration of its scheduler.

    Args:
        net: a ``UNet2DModel`` or `SmallUNet`, wrapped or not.
        config: configuration of the scheduler.
        where: origin of the configuration, for messages.
        name: name for records and messages.
        kind: the preconditioning of the network, where the scheduler does not tell it.

    Raises:
        ValueError: if the configuration is not understood.
    """
    scheduler = str(config.get("_class_name", ""))
    inner: Any = unwrapped(net)
    if isinstance(inner, SmallUNet):
        multiple = inner.multiple
    else:
        multiple = 2 ** (len(inner.config["block_out_channels"]) - 1)
    predicts = config.get("prediction_type", "epsilon")
    of_consistency = scheduler == "CMStochasticIterativeScheduler"
    if kind is None and of_consistency:
        kind = "consistency"
    elif kind is None and scheduler.startswith("EDM"):
        kind = "edm"
    if kind is None:
        betas = {"beta_schedule", "beta_start", "trained_betas"}
        if scheduler and not betas & config.keys():
            raise ValueError(
                f"{where} is a {scheduler}, which has no betas. A scheduler of DDPM's kind, EDM's "
                "or that of consistency models is expected; flow matching and score models in "
                "continuous time are not priors here."
            )
        return UNetPrior(net, schedule_of(config, where), predicts, multiple, name)
    if predicts != "epsilon":
        raise ValueError(
            f"{where} has prediction_type {predicts!r}. 'epsilon' is expected of an EDM network."
        )
    network = AnySizeNetwork(net, multiple)
    # Networks of consistency_models, EDM ones too, are given 1000 ln(s) / 4, others ln(s) / 4.
    log_scale = 250.0 if of_consistency or kind == "consistency" else 0.25
    low = _number(config, "sigma_min", 0.002, where)
    high = _number(config, "sigma_max", 80.0, where)
    data = _number(config, "sigma_data", 0.5, where)
    if kind == "edm":
        denoiser = edm(network, data, log_scale)
    else:
        denoiser = consistency(network, data, low, log_scale)
    prior = DenoiserPrior(
        denoiser,
        sigma_min=low,
        sigma_max=high,
        channels=network.channels,
        classes=network.classes,
        name=name,
    )
    prior.multiple, prior.of_consistency = multiple, kind != "edm"
    return prior


def schedule_of(config: Mapping[str, Any], where: object = "the scheduler") -> Schedule:
    """Return the `Schedule` of a diffusers scheduler configuration: linear, scaled-linear or cosine
    betas.

    Settings of diffusers' own sampling are not used: ``clip_sample``, ``thresholding``,
    ``variance_type``, ``timestep_spacing``.

    Args:
        config: the configuration.
        where: its origin, for messages.

    Raises:
        ValueError: for other betas, for values that are not betas, or if all signal is gone at the
            last time (``rescale_betas_zero_snr``).
    """
    length, kind = config.get("num_train_timesteps", 1000), config.get("beta_schedule", "linear")
    if type(length) is not int or not 1 <= length <= MOST_TIMES:
        raise ValueError(
            f"{where} has num_train_timesteps {length!r}. A whole number from 1 to {MOST_TIMES} is "
            "expected."
        )
    if config.get("rescale_betas_zero_snr"):
        raise ValueError(
            f"{where} has rescale_betas_zero_snr: at the last time nothing of the image is left, "
            "which no schedule here can say. A network trained without it is expected."
        )
    first, last = 0.0, 0.0
    if kind in ("linear", "scaled_linear") and not config.get("trained_betas"):
        first = _number(config, "beta_start", 1e-4, where)
        last = _number(config, "beta_end", 0.02, where)
    try:
        if config.get("trained_betas"):
            beta = torch.tensor(config["trained_betas"], dtype=torch.float64, device="cpu")
            return Schedule((1 - beta).cumprod(0))
        if kind == "linear":
            return Schedule.linear(length, first, last)
        if kind == "scaled_linear":
            root = torch.linspace(first**0.5, last**0.5, length, dtype=torch.float64, device="cpu")
            return Schedule((1 - root**2).cumprod(0))
        if kind == "squaredcos_cap_v2":
            return Schedule.cosine(length)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        reason = one_line(error)[:200]
        raise ValueError(
            f"{where} makes no noise schedule ({reason}). Betas between 0 and 1 are expected."
        ) from None
    raise ValueError(
        f"{where} has beta_schedule {kind!r}. 'linear', 'scaled_linear' or 'squaredcos_cap_v2' is "
        "expected."
    )


def _number(config: Mapping[str, Any], key: str, default: float, where: object) -> float:
    """Return a positive number of a configuration.

    Raises:
        ValueError: if the entry is anything else.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{where} has {key} {value!r}. A positive number is expected.")
    return float(value)


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
