"""What a user of diffusers or azula has, as a prior of ours, wherever a prior is expected."""

from typing import Any

from torch import nn

from .azula import from_azula, is_azula
from .base import Prior
from .pipelines import from_diffusers, is_unet
from .wrappers import unwrapped


def adopt(value: object) -> object:
    """A prior of ours for a pair (UNet2DModel, scheduler), a diffusers pipeline of both, or an
    azula denoiser.

    All else comes back as it is, for the caller to judge.
    """
    if isinstance(value, Prior):
        return value
    if isinstance(value, tuple | list) and len(value) == 2 and is_unet(value[0]):
        return from_diffusers(value[0], value[1])
    unet: Any = getattr(value, "unet", None)
    scheduler = getattr(value, "scheduler", None)
    latent = any(getattr(value, name, None) is not None for name in ("vae", "vqvae"))
    if is_unet(unet) and scheduler is not None and not latent:
        return from_diffusers(unet, scheduler)
    inner = unwrapped(value) if isinstance(value, nn.Module) else value
    if is_azula(inner):
        return from_azula(inner)
    return value
