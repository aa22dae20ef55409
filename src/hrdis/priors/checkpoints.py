"""Priors by name: the one inside the package, and folders made by `hrdis train` or diffusers."""

from collections.abc import Callable
from hashlib import sha256
from importlib import resources
from pathlib import Path

import torch

from .base import Prior
from .latent_files import load_latent, weight_files
from .unet import UNetPrior


def embedded_folder() -> Path:
    """Where the embedded prior's files lie."""
    return Path(str(resources.files("hrdis") / "weights" / "default"))


#: What may stand before the colon of a prior's name, and what reads the rest: (rest, dtype) to a prior on the CPU.
LOADERS: dict[str, Callable[[str, torch.dtype], Prior]] = {
    "diffusers": UNetPrior.load,
    "latent": load_latent,
}


def load_prior(
    name: str | Path = "default", *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Prior:
    """Load a prior, frozen and in eval mode.

    Args:
        name: ``"default"``, the small model inside the package; a folder made by `hrdis train` or
            diffusers; or the same folder behind ``"diffusers:"``; or ``"latent:"`` and the folder of a diffusers
            pipeline of latent diffusion, with unet/, vae/ and scheduler/ in it.
        dtype: precision the network runs in; what it returns has the caller's.
        device: where it runs.

    Raises:
        ValueError: if there is no such prior, or its files are damaged; random weights are never returned.

    Example:
        >>> load_prior("default").name
        'default'
    """
    scheme, _, rest = str(name).partition(":")
    if rest and scheme in LOADERS:
        prior = LOADERS[scheme](rest, dtype)
    else:
        folder = _folder(name)
        if not folder.is_dir():
            raise ValueError(
                f"There is no prior {str(name)!r}. 'default' or a folder with config.json, scheduler_config.json and "
                "diffusion_pytorch_model.safetensors is expected: hrdis.load_prior('default')."
            )
        prior = UNetPrior.load(folder, dtype, name="default" if str(name) == "default" else folder.name)
    prior.presets = presets_of(name)
    return prior.to(device)


def presets_of(name: str | Path) -> str:
    """Which presets fit a prior, without loading it: "default" for those `hrdis train` made, else "".

    They know patches rather than whole scenes, as the embedded one does; `hrdis train` leaves a settings.json.
    """
    return "default" if (_folder(name) / "settings.json").is_file() else ""


def weights_sha256(name: str | Path = "default") -> str:
    """The SHA-256 of a prior's weights file, for records; where there are several, of their hashes in order."""
    if str(name).startswith("latent:"):
        each = [sha256(file.read_bytes()).digest() for file in weight_files(str(name).removeprefix("latent:"))]
        return sha256(b"".join(each)).hexdigest()
    return sha256((_folder(name) / "diffusion_pytorch_model.safetensors").read_bytes()).hexdigest()


def _folder(name: str | Path) -> Path:
    return embedded_folder() if str(name) == "default" else Path(str(name).removeprefix("diffusers:")).expanduser()


def card(name: str | Path = "default") -> str:
    """The model card of a prior, Markdown.

    Raises:
        ValueError: if the prior has none.
    """
    folder = _folder(name)
    for file in ("MODEL_CARD.md", "README.md"):
        if (folder / file).is_file():
            return (folder / file).read_text(encoding="utf-8")
    raise ValueError(f"There is no model card in {folder}. MODEL_CARD.md is expected, as `hrdis train` writes it.")
