"""Diffusion priors."""

from .adopt import adopt as adopt
from .azula import from_azula as from_azula
from .base import Prediction as Prediction
from .base import Prior as Prior
from .checkpoints import load_prior as load_prior
from .denoiser import DenoiserPrior as DenoiserPrior
from .denoiser import consistency as consistency
from .denoiser import edm as edm
from .denoiser import prior_as_denoiser as prior_as_denoiser
from .exact import Gaussian as Gaussian
from .exact import GaussianMixture as GaussianMixture
from .latent import LatentPrior as LatentPrior
from .pipelines import from_diffusers as from_diffusers
from .tiled import Tiled as Tiled
from .unet import UNetPrior as UNetPrior
