"""Diffusion priors: networks, closed forms, tiles, latents, and adapters of other libraries."""

import warnings
from importlib import import_module

from .azula import from_azula as from_azula
from .base import Prediction as Prediction
from .base import Prior as Prior
from .base import as_prior as as_prior
from .denoiser import DenoiserPrior as DenoiserPrior
from .denoiser import consistency as consistency
from .denoiser import edm as edm
from .denoiser import levels_of as levels_of
from .denoiser import prior_as_denoiser as prior_as_denoiser
from .diffusers import from_diffusers as from_diffusers
from .diffusers import is_unet as is_unet
from .exact import GaussianMixture as GaussianMixture
from .exact import GaussianPrior as GaussianPrior
from .latent import LatentPrior as LatentPrior
from .onnx import has_onnxruntime as has_onnxruntime
from .onnx import with_onnxruntime as with_onnxruntime
from .small_unet import SmallUNet as SmallUNet
from .tiled import Tiled as Tiled
from .unet import UNetPrior as UNetPrior

#: The name that scripts use; the class has another than the noise, `hrdis.noise.Gaussian`.
Gaussian = GaussianPrior

#: Names that moved, and their new places. They keep working for one minor version.
_MOVED = {
    "adopt": "hrdis.priors.as_prior",
    "load_prior": "hrdis.load_prior",
    "adm": "hrdis.checkpoints.adm",
    "cards": "hrdis.checkpoints.cards",
    "checkpoints": "hrdis.checkpoints",
}


def __getattr__(name: str) -> object:
    new = _MOVED.get(name)
    if new is None:
        raise AttributeError(f"module 'hrdis.priors' has no attribute {name!r}", name=name)
    warnings.warn(f"hrdis.priors.{name} is now {new}", DeprecationWarning, stacklevel=2)
    module, _, attribute = new.rpartition(".")
    import_module("hrdis.checkpoints.load")  # makes its modules attributes of the room
    return getattr(import_module(module), attribute)
