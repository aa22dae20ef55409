"""Priors by name: the one inside the package, folders of ``hrdis train`` or diffusers, models
fetched from the hub.
"""

import json
from collections.abc import Callable
from difflib import get_close_matches
from hashlib import file_digest, sha256
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from ..presets import FILE as PRESETS_FILE
from ..presets import Presets, embedded
from ..presets import read as read_presets
from ..priors.base import Prior
from . import adm, cards, ddpm
from .diffusers import load_consistency, load_diffusers, load_edm, parts, weights_in
from .hub import fetched
from .latent import config_files, load_latent, weight_files
from .unet import EMA_SETTINGS, read_config
from .weights import shards


def embedded_folder() -> Path:
    """Where the embedded prior's files lie."""
    return Path(str(resources.files("hrdis") / "weights" / "default"))


#: What may stand before the colon of a prior's name, and what reads the rest: (rest, dtype) to a
#: prior on the CPU.
LOADERS: dict[str, Callable[[str, torch.dtype], Prior]] = {
    "diffusers": load_diffusers,
    "edm": load_edm,
    "consistency": load_consistency,
    "latent": load_latent,
    **adm.LOADERS,
    **ddpm.LOADERS,
}


def load_prior(
    name: str | Path = "default",
    *,
    label: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Prior:
    """Load a prior, frozen and in eval mode.

    Args:
        name: ``"default"``, the small model inside the package; a name of ``hrdis prior list``
            whose files are here (nothing is fetched); a folder made by ``hrdis train`` or
            diffusers; or a scheme and what it reads: ``"diffusers:"`` and a folder, or the id of a
            model that ``hrdis prior get`` fetched from the hub, e.g.
            ``"diffusers:google/ddpm-celebahq-256"``, whose scheduler tells noise predictors, EDM
            networks and consistency models apart; ``"edm:"`` and ``"consistency:"`` say it where
            the scheduler does not. ``"latent:"`` and the folder of a pipeline of latent diffusion,
            with unet/, vae/ and scheduler/ in it. ``"adm-imagenet256:"`` (one of
            ``adm_networks.PRESETS``) and a .pt or .safetensors file in guided-diffusion's layout,
            ``"ddpm-celebahq256:"`` and one of the original DDPM; ``"adm:"`` and ``"ddpm:"`` go by
            the shapes.
        label: the class of all images, for a class-conditional model; `Prior.labelled` changes it.
        dtype: precision the network runs in; what it returns has the caller's.
        device: where it runs.

    Raises:
        ValueError: if there is no such prior, its files are damaged, or the label is missing or
            unknown; random weights are never returned.

    Example:
        >>> load_prior("default").name
        'default'
    """
    name = cards.locate(name)
    scheme, _, rest = str(name).partition(":")
    if rest and scheme in LOADERS:
        prior = LOADERS[scheme](rest, dtype)
    else:
        folder = _folder(name)
        if (
            folder.is_file() and (folder.parent / "config.json").is_file()
        ):  # the weights in a folder of diffusers
            folder = folder.parent
        near = get_close_matches(scheme, LOADERS, n=1) if rest else []
        if not folder.is_dir():
            raise ValueError(
                f"There is no prior {str(name)!r}. 'default' or a folder with config.json, "
                "scheduler_config.json and diffusion_pytorch_model.safetensors is expected: "
                "hrdis.load_prior('default'); or a file of weights with its layout before it: "
                "hrdis.load_prior('adm:weights.pt')."
                + (f" Did you mean {near[0] + ':' + rest!r}?" if near else "")
            )
        prior = load_diffusers(
            folder, dtype, name="default" if str(name) == "default" else folder.name
        )
    prior.presets = presets_of(name)
    prior = prior.labelled(label)
    prior.check_label()
    return prior.to(device)


def presets_of(name: str | Path) -> Presets | None:
    """Return the settings of solvers that were tuned for a prior, without loading it; None without.

    They lie in ``presets.toml`` beside its files, or in ``FILE.presets.toml`` beside a single file.

    Raises:
        ValueError: if the file is malformed.
    """
    if str(name) == "default":
        return embedded()
    place, card = _folder(name), cards.find(name)
    candidates = [place / PRESETS_FILE, place.with_name(f"{place.name}.{PRESETS_FILE}")]
    if place.is_file() and (place.parent / "config.json").is_file():
        candidates.append(place.parent / PRESETS_FILE)
    if card is not None:
        candidates.append(card.folder / PRESETS_FILE)
    for file in candidates:
        if file.is_file():
            return read_presets(file)
    return None


def is_trained_here(name: str | Path) -> bool:
    """Return True for a prior that `hrdis train` made: one of patches rather than of whole scenes.

    Its mark is the settings.json of the training.
    """
    return (_folder(name) / "settings.json").is_file()


def weights_sha256(name: str | Path = "default") -> str:
    """The SHA-256 of a prior's weights file, for records; where there are several, of their hashes
    in order.
    """
    digests = [_digest(file) for file in _weight_files(name)]
    if len(digests) == 1 and not str(_named(name)).startswith("latent:"):
        return digests[0]
    return sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()


def identity(name: str | Path = "default") -> str:
    """Return the SHA-256 of all that decides what a prior computes: its scheme, its configurations,
    its weights.

    Two priors of the same weights differ where they are read by different schemes (the order of
    attention rows, an EDM network), or where the betas or the prediction type of their scheduler
    do.
    """
    about = {
        "scheme": scheme_of(name),
        "configurations": {place: _settings(file) for place, file in _config_files(name).items()},
        "weights": [_digest(file) for file in _weight_files(name)],
    }
    return sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def scheme_of(name: str | Path) -> str:
    """Return what reads a prior: a key of `LOADERS`, "diffusers" for a folder."""
    scheme, _, rest = str(_named(name)).partition(":")
    return scheme if rest and scheme in LOADERS else "diffusers"


def _weight_files(name: str | Path) -> list[Path]:
    path = _folder(name)
    if scheme_of(name) == "latent":
        return weight_files(path)
    if path.is_file() and scheme_of(name) not in ("diffusers", "edm", "consistency"):
        return [path]
    return shards(weights_in(parts(path if path.is_dir() else path.parent)[0]))


def _config_files(name: str | Path) -> dict[str, Path]:
    """The configurations of a prior in a folder, by what they are of; none where a file of weights
    is all.
    """
    path, scheme = _folder(name), scheme_of(name)
    if scheme == "latent":
        return {file.parent.name: file for file in config_files(path)}
    if scheme not in ("diffusers", "edm", "consistency"):
        return {}
    unet, scheduler = parts(path if path.is_dir() else path.parent)
    return {
        place: file
        for place, file in (("unet", unet / "config.json"), ("scheduler", scheduler))
        if file.is_file()
    }


def _settings(file: Path) -> dict[str, Any]:
    """The entries of a configuration that change what is computed: not the versions and names that
    others note in it.
    """
    config = read_config(file)
    return {
        k: v
        for k, v in config.items()
        if (not k.startswith("_") or k == "_class_name") and k not in EMA_SETTINGS
    }


def _digest(file: Path) -> str:
    with open(file, "rb") as content:
        return file_digest(content, "sha256").hexdigest()


def _named(name: str | Path) -> str | Path:
    """What a card's name stands for; any other name itself."""
    found = cards.find(name)
    return name if found is None else found.target


def _folder(name: str | Path) -> Path:
    """Where a prior lies: its folder or file; that of a hub's model once it has been fetched."""
    if str(name) == "default":
        return embedded_folder()
    name = _named(name)
    scheme, _, rest = str(name).partition(":")
    where = rest if rest and scheme in LOADERS else str(name)
    return fetched(where) or Path(where).expanduser()


def card(name: str | Path = "default") -> str:
    """The model card of a prior, Markdown.

    Raises:
        ValueError: if the prior has none.
    """
    folder = _folder(name)
    for file in ("MODEL_CARD.md", "README.md"):
        if (folder / file).is_file():
            return (folder / file).read_text(encoding="utf-8")
    if not folder.is_dir():
        raise ValueError(
            f"There is no prior {str(name)!r}. 'default', a known name or a folder is expected."
        )
    raise ValueError(
        f"There is no model card in {folder}. MODEL_CARD.md is expected, as ``hrdis train`` writes "
        "it."
    )
