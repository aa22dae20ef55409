"""Folders of latent diffusion models: a diffusers pipeline with unet/, vae/ or vqvae/, and
scheduler/.
"""

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..priors.diffusers import schedule_of
from ..priors.latent import LatentPrior
from ..priors.networks import CONDITIONS
from ..priors.unet import UNetPrior
from .unet import build_unet, load_weights, read_config
from .weights import WEIGHTS, reading, shards, weights_in

NETWORKS = ("UNet2DModel", "UNet2DConditionModel")
AUTOENCODERS = ("AutoencoderKL", "VQModel", "AutoencoderTiny")
PROMPT = "prompt_embeds.safetensors"


class FixedPromptNetwork(nn.Module):
    """A text-conditional network that is called without a text and always gets the same embedding.

    Args:
        net: called as ``net(x, t, encoder_hidden_states=...)``.
        embedding: (1, tokens, features), for example of the empty prompt.
    """

    embedding: Tensor

    def __init__(self, net: nn.Module, embedding: Tensor):
        super().__init__()
        self.net, self.config = net, net.config
        self.register_buffer("embedding", embedding)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        embedding = self.embedding.to(x.dtype).expand(len(x), -1, -1)
        return cast(Tensor, self.net(x, t, encoder_hidden_states=embedding).sample)


def load_latent(folder: str | Path, dtype: torch.dtype = torch.float32) -> LatentPrior:
    """Read a latent diffusion model from the folder of a diffusers pipeline, of which only
    safetensors and JSON files are read.

    A ``UNet2DModel`` is unconditional (CompVis/ldm-celebahq-256, its autoencoder a ``VQModel`` in
    ``vqvae/``). A ``UNet2DConditionModel`` always gets one fixed embedding, that of
    ``prompt_embeds.safetensors`` in the folder.

    Args:
        folder: the folder of unet/, vae/ or vqvae/, and scheduler/.
        dtype: precision of both networks; an autoencoder that overflows in float16
            (``force_upcast``) runs in float32.

    Raises:
        ValueError: if a file is missing, damaged or of another model, or the model is of a kind
            that cannot be used here. Such kinds are text without an embedding, a transformer, flow
            matching, class labels, extra channels or conditions.
    """
    folder = Path(folder).expanduser()
    if (folder / "transformer").is_dir():
        raise ValueError(
            f"{folder} holds a transformer. A network of diffusion in unet/ is expected; flow "
            "matching (SD 3, Flux) has no schedule of this kind."
        )
    scheduler = folder / "scheduler" / "scheduler_config.json"
    noise = read_config(scheduler)
    kind, fault = str(noise.get("_class_name", "")), ""
    if kind.startswith("Flow"):
        fault = f"a {kind}"
    elif noise.get("rescale_betas_zero_snr"):
        fault = "rescale_betas_zero_snr, noise without any signal at the top"
    if fault:
        raise ValueError(
            f"{scheduler} has {fault}. A schedule of betas that leaves some signal is expected."
        )
    config = read_config(folder / "unet" / "config.json")
    for key in ("num_class_embeds", *CONDITIONS):  # inputs that a prior does not give
        if config.get(key) not in (None, False):
            raise ValueError(
                f"The network in {folder} has {key} = {config[key]!r}. One without labels and "
                "further conditions is expected: unconditional, or told a text alone (Stable "
                "Diffusion 1 and 2)."
            )
    place = _autoencoder_folder(folder)
    own = read_config(place / "config.json")
    with torch.device("meta"):  # no weight may stay random, nor memory be spent before the check
        vae = build_unet(own, AUTOENCODERS)
    load_weights(vae, weights_in(place, WEIGHTS))
    if dtype == torch.float16 and own.get("force_upcast", False):
        vae = nn.Module.to(vae, torch.float32)
    else:
        vae = nn.Module.to(vae, dtype)
    latents = vae.config["latent_channels"]  # type: ignore[index]
    if config.get("in_channels") != latents:
        raise ValueError(
            f"The network in {folder} takes {config.get('in_channels')} channels, but its "
            f"autoencoder makes {latents}. A model without further inputs is expected (an "
            "inpainting or upscaling network has them)."
        )
    with torch.device("meta"):
        net = build_unet(config, NETWORKS)
    load_weights(net, weights_in(folder / "unet", WEIGHTS))
    levels = len(net.config["block_out_channels"])  # type: ignore[index]
    if config.get("_class_name") == "UNet2DConditionModel":
        net = FixedPromptNetwork(net, _embedding(folder, config))
    prior = UNetPrior(
        nn.Module.to(net, dtype),
        schedule_of(noise, scheduler),
        noise.get("prediction_type", "epsilon"),
        multiple=2 ** (levels - 1),
    )
    return LatentPrior(prior, vae, name=folder.name)


def weight_files(folder: str | Path) -> list[Path]:
    """Return the files of weights that decide what a model in a folder computes."""
    folder = Path(folder).expanduser()
    candidates = [
        weights_in(folder / "unet", WEIGHTS),
        weights_in(_autoencoder_folder(folder), WEIGHTS),
        folder / PROMPT,
    ]
    files = []
    for file in candidates:
        if file.is_file():
            files += shards(file)
    return files


def config_files(folder: str | Path) -> list[Path]:
    """Return the configurations that decide what a model in a folder computes."""
    folder = Path(folder).expanduser()
    candidates = [
        folder / "unet" / "config.json",
        _autoencoder_folder(folder) / "config.json",
        folder / "scheduler" / "scheduler_config.json",
    ]
    return [file for file in candidates if file.is_file()]


def _autoencoder_folder(folder: Path) -> Path:
    return folder / "vqvae" if (folder / "vqvae").is_dir() else folder / "vae"


def _embedding(folder: Path, config: dict[str, Any]) -> Tensor:
    """Read the embedding of the text that every image is said to show."""
    from safetensors.torch import load_file

    features, file = config.get("cross_attention_dim"), folder / PROMPT
    how = (
        "e = pipe.encode_prompt('', 'cpu', 1, False)[0]; "
        f"safetensors.torch.save_file({{'prompt_embeds': e}}, {str(file)!r})"
    )
    if not file.is_file():
        raise ValueError(
            f"The network in {folder} is told a text, and there is no {PROMPT}. The embedding of a "
            "text, such as the empty one, is expected beside unet/, made once with diffusers: "
            f"{how}"
        )
    with reading(file):
        tensors = list(load_file(file).values())
    shapes = [tuple(tensor.shape) for tensor in tensors]
    fits = len(shapes) == 1 and len(shapes[0]) in (2, 3) and shapes[0][-1] == features
    if not fits or shapes[0][:-2] not in ((), (1,)):
        raise ValueError(
            f"{file} holds tensors of shapes {shapes}. One of shape (1, tokens, {features}) is "
            f"expected: {how}"
        )
    return tensors[0].clone().reshape(1, -1, shapes[0][-1])
