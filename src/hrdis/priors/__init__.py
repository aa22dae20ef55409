"""Diffusion priors."""

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
from .exact import Gaussian as Gaussian
from .exact import GaussianMixture as GaussianMixture
from .latent import LatentPrior as LatentPrior
from .small_unet import SmallUNet as SmallUNet
from .tiled import Tiled as Tiled
from .unet import UNetPrior as UNetPrior
