"""Latent diffusion models on disk: the folder of a diffusers pipeline with unet/, vae/ (or vqvae/)
and scheduler/.
"""

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..priors.diffusers import schedule_of
from ..priors.latent import LatentPrior
from ..priors.networks import CONDITIONS
from ..priors.unet import UNetPrior
from .diffusers import WEIGHTS, weights_in
from .unet import build_unet, load_weights, read_config
from .weights import shards

NETWORKS = ("UNet2DModel", "UNet2DConditionModel")
AUTOENCODERS = ("AutoencoderKL", "VQModel", "AutoencoderTiny")
PROMPT = "prompt_embeds.safetensors"


class Prompted(nn.Module):
    """A network that is told a text, called without: it is told the same embedding every time.

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
        told = self.embedding.to(x.dtype).expand(len(x), -1, -1)
        return cast(Tensor, self.net(x, t, encoder_hidden_states=told).sample)


def load_latent(folder: str | Path, dtype: torch.dtype = torch.float32) -> LatentPrior:
    """Read a latent diffusion model from the folder of a diffusers pipeline; nothing but
    safetensors and JSON is read.

    A ``UNet2DModel`` is unconditional (CompVis/ldm-celebahq-256, its autoencoder a ``VQModel`` in
    ``vqvae/``). A ``UNet2DConditionModel`` is told one fixed embedding, that of
    ``prompt_embeds.safetensors`` in the folder.

    Args:
        folder: where unet/, vae/ or vqvae/, and scheduler/ lie.
        dtype: precision of both networks; an autoencoder that overflows in float16
            (``force_upcast``) runs in float32.

    Raises:
        ValueError: if a file is missing, damaged or of another model, or the model is of a kind
            that cannot be used here: text without an embedding, a transformer, flow matching, class
            labels, extra channels or conditions.
    """
    folder = Path(folder).expanduser()
    if (folder / "transformer").is_dir():
        raise ValueError(
            f"{folder} holds a transformer. A network of diffusion in unet/ is expected; flow "
            "matching (SD 3, Flux) has no schedule of this kind."
        )
    scheduler = folder / "scheduler" / "scheduler_config.json"
    steps = _noise(read_config(scheduler), scheduler)
    config = read_config(folder / "unet" / "config.json")
    _check_conditions(config, folder)
    vae = _autoencoder(folder, dtype)
    latents = vae.config["latent_channels"]  # type: ignore[index]
    if config.get("in_channels") != latents:
        raise ValueError(
            f"The network in {folder} takes {config.get('in_channels')} channels, but its "
            f"autoencoder makes {latents}. A model without further inputs is expected (an "
            "inpainting or upscaling network has them)."
        )
    net = build_unet(config, NETWORKS)
    load_weights(net, weights_in(folder / "unet", WEIGHTS))
    if config.get("_class_name") == "UNet2DConditionModel":
        net = Prompted(net, _embedding(folder, config))
    prior = UNetPrior(
        nn.Module.to(net, dtype),
        schedule_of(steps, scheduler),
        steps.get("prediction_type", "epsilon"),
        multiple=2 ** (len(config["block_out_channels"]) - 1),
    )
    return LatentPrior(prior, vae, name=folder.name)


def weight_files(folder: str | Path) -> list[Path]:
    """The files whose content decides what a model in a folder computes."""
    folder = Path(folder).expanduser()
    return [
        file
        for place in (folder / "unet", _autoencoder_folder(folder))
        for file in _existing(weights_in(place, WEIGHTS))
    ] + _existing(folder / PROMPT)


def config_files(folder: str | Path) -> list[Path]:
    """The configurations that decide what a model in a folder computes."""
    folder = Path(folder).expanduser()
    places = (folder / "unet", _autoencoder_folder(folder))
    files = [
        *(place / "config.json" for place in places),
        folder / "scheduler" / "scheduler_config.json",
    ]
    return [file for file in files if file.is_file()]


def _existing(file: Path) -> list[Path]:
    return shards(file) if file.is_file() else []


def _noise(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """The scheduler's configuration, if it is one of a discrete variance-preserving diffusion."""
    name = str(config.get("_class_name", ""))
    if name.startswith("Flow") or config.get("rescale_betas_zero_snr"):
        what = (
            f"a {name}"
            if name.startswith("Flow")
            else "rescale_betas_zero_snr, noise without any signal at the top"
        )
        raise ValueError(
            f"{file} has {what}. A schedule of betas that leaves some signal is expected."
        )
    return config


def _check_conditions(config: dict[str, Any], folder: Path) -> None:
    """Raise if a network wants to be told what nobody tells it here."""
    for key in ("num_class_embeds", *CONDITIONS):
        if config.get(key) not in (None, False):
            raise ValueError(
                f"The network in {folder} has {key} = {config[key]!r}. One without labels and "
                "further conditions is expected: unconditional, or told a text alone (Stable "
                "Diffusion 1 and 2)."
            )


def _autoencoder(folder: Path, dtype: torch.dtype) -> nn.Module:
    where = _autoencoder_folder(folder)
    config = read_config(where / "config.json")
    vae = build_unet(config, AUTOENCODERS)
    load_weights(vae, weights_in(where, WEIGHTS))
    full = dtype == torch.float16 and config.get("force_upcast", False)
    return nn.Module.to(vae, torch.float32 if full else dtype)


def _autoencoder_folder(folder: Path) -> Path:
    return folder / "vqvae" if (folder / "vqvae").is_dir() else folder / "vae"


def _embedding(folder: Path, config: dict[str, Any]) -> Tensor:
    """The text every picture is said to have."""
    from safetensors import SafetensorError
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
    try:
        tensors = list(load_file(file).values())
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file} cannot be read ({error}). It is truncated or no safetensors file."
        ) from None
    shapes = [tuple(e.shape) for e in tensors]
    if (
        len(tensors) != 1
        or tensors[0].ndim not in (2, 3)
        or shapes[0][-1] != features
        or shapes[0][:-2] not in ((), (1,))
    ):
        raise ValueError(
            f"{file} holds tensors of shapes {shapes}. One of shape (1, tokens, {features}) is "
            f"expected: {how}"
        )
    return tensors[0].clone().reshape(1, -1, shapes[0][-1])
