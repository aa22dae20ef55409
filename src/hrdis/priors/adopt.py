"""What a user of diffusers or azula has, as a prior of ours, wherever a prior is expected."""

from typing import Any

from .azula import from_azula, is_azula
from .base import Prior
from .pipelines import from_diffusers, is_unet


def adopt(value: object) -> object:
    """A prior of ours for a pair (UNet2DModel, scheduler), a diffusers pipeline of both, or an azula denoiser.

    All else comes back as it is, for the caller to judge.
    """
    if isinstance(value, Prior):
        return value
    if isinstance(value, tuple | list) and len(value) == 2 and is_unet(value[0]):
        return from_diffusers(value[0], value[1])
    unet: Any = getattr(value, "unet", None)
    scheduler = getattr(value, "scheduler", None)
    if is_unet(unet) and scheduler is not None and getattr(value, "vae", None) is None:
        return from_diffusers(unet, scheduler)
    if is_azula(value):
        return from_azula(value)
    return value
