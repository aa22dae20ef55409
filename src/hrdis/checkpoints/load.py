"""Load priors by name.

A name is that of the prior inside the package, of a card, of a file or folder in a published
layout, or of a model fetched from the hub.
"""

import json
from collections.abc import Callable
from difflib import get_close_matches
from hashlib import sha256 as sha256_of_bytes
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from ..files import sha256
from ..presets import FILE as PRESETS_FILE
from ..presets import Presets, embedded
from ..presets import read as read_presets
from ..priors.base import Prior
from . import adm, ddpm
from .cards import check_listed, find_card, resolve_card
from .diffusers import load_consistency, load_diffusers, load_edm, parts
from .hub import fetched
from .latent import config_files, load_latent, weight_files
from .unet import EMA_SETTINGS, read_config
from .weights import shards, weights_in

#: Schemes that read a folder in diffusers' layout, or a model of the hub.
FOLDERS = ("diffusers", "edm", "consistency")

#: Schemes, which precede the colon in a prior's name, and the function that reads what follows it:
#: (path, dtype) to a prior on the CPU.
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
    """Load a prior, frozen and in eval mode. Nothing is downloaded.

    Args:
        name: ``"default"``, the small model inside the package; a name of ``hrdis list models``
            whose files are on this machine; a folder made by ``hrdis train`` or diffusers; or a
            scheme and a path. ``"diffusers:"`` takes a folder, or the id of a model that ``hrdis
            model download`` fetched from the hub, e.g.
            ``"diffusers:google/ddpm-celebahq-256"``, whose scheduler tells noise predictors, EDM
            networks and consistency models apart; ``"edm:"`` and ``"consistency:"`` tell it where
            the scheduler does not. ``"latent:"`` takes the folder of a latent diffusion pipeline,
            which has unet/, vae/ and scheduler/.
            ``"adm-imagenet256:"`` (or another of ``adm_networks.NETWORKS``) takes a .pt or
            .safetensors file in guided-diffusion's layout, ``"ddpm-celebahq256:"`` one of the
            original DDPM; ``"adm:"`` and ``"ddpm:"`` recognise the network by its shapes.
        label: class of all images, for a class-conditional model; `Prior.labelled` changes it.
        dtype: precision the network runs in; results have the caller's.
        device: device of the network.

    Raises:
        ValueError: if there is no such prior, its files are damaged or not those of its card, or
            the label is missing or unknown; random weights are never returned.

    Example:
        >>> load_prior("default").name
        'default'
    """
    card = find_card(name)
    name = resolve_card(name)
    if card is not None:
        check_listed(card, [*_config_files(name).values(), *_weight_files(name)])
    scheme, _, rest = str(name).partition(":")
    folder = _folder(name)
    if rest and scheme in LOADERS:
        prior = LOADERS[scheme](rest, dtype)
    else:
        if folder.is_file() and (folder.parent / "config.json").is_file():
            folder = folder.parent
        if not folder.is_dir():
            near = get_close_matches(scheme, LOADERS, n=1)
            meant = f" Did you mean {near[0] + ':' + rest!r}?" if rest and near else ""
            raise ValueError(
                f"There is no prior {str(name)!r}. 'default' or a folder with config.json, "
                "scheduler_config.json and diffusion_pytorch_model.safetensors is expected: "
                "hrdis.load_prior('default'); or a file of weights with its layout before it: "
                f"hrdis.load_prior('adm:weights.pt').{meant}"
            )
        own_name = "default" if str(name) == "default" else folder.name
        prior = load_diffusers(folder, dtype, name=own_name)
    prior.presets = presets_of(name)
    prior = prior.labelled(label)
    prior.check_label()
    return prior.to(device)


def embedded_folder() -> Path:
    """Return the folder of the prior inside the package."""
    return Path(str(resources.files("hrdis") / "weights" / "default"))


def presets_of(name: str | Path) -> Presets | None:
    """Return the settings of solvers that were tuned for a prior, without loading it; None without.

    They lie in ``presets.toml`` beside its files, or in ``FILE.presets.toml`` beside a single file.

    Raises:
        ValueError: if the file is malformed.
    """
    if str(name) == "default":
        return embedded()
    place, card = _folder(name), find_card(name)
    candidates = [place / PRESETS_FILE, place.parent / f"{place.name}.{PRESETS_FILE}"]
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
    """Return the SHA-256 of a prior's weights file, for records; of the hashes in order, where
    there are several files.

    Raises:
        ValueError: if they are not there.
    """
    digests = _weight_hashes(name)
    if len(digests) == 1 and scheme_of(name) != "latent":
        return digests[0]
    return sha256_of_bytes(bytes.fromhex("".join(digests))).hexdigest()


def identity(name: str | Path = "default") -> str:
    """Return the SHA-256 of everything that decides what a prior computes: its scheme, its
    configurations, its weights.

    Two priors with the same weights can still differ. Different schemes may have read them (the
    order of attention rows, an EDM network), or their schedulers have different betas or another
    prediction type.

    Raises:
        ValueError: if its files are not there.
    """
    configurations: dict[str, dict[str, Any]] = {}
    for place, file in _config_files(name).items():
        settings = configurations[place] = {}
        for key, value in read_config(file).items():
            # Versions and names are noted there too, and change nothing that is computed.
            noted = key.startswith("_") and key != "_class_name"
            if not noted and key not in EMA_SETTINGS:
                settings[key] = value
    about = {
        "scheme": scheme_of(name),
        "configurations": configurations,
        "weights": _weight_hashes(name),
    }
    return sha256_of_bytes(json.dumps(about, sort_keys=True).encode()).hexdigest()


def scheme_of(name: str | Path) -> str:
    """Return the scheme that reads a prior: a key of ``LOADERS``, "diffusers" for a folder."""
    scheme, _, rest = str(_without_card(name)).partition(":")
    return scheme if rest and scheme in LOADERS else "diffusers"


def model_card(name: str | Path = "default") -> str:
    """Return the model card of a prior's folder, Markdown.

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


def _weight_files(name: str | Path) -> list[Path]:
    """Return the files of weights that the loader of a prior reads."""
    path = _folder(name)
    if scheme_of(name) == "latent":
        return weight_files(path)
    if path.is_file() and scheme_of(name) not in FOLDERS:
        return [path]
    unet, _ = parts(path if path.is_dir() else path.parent)
    return shards(weights_in(unet))


def _weight_hashes(name: str | Path) -> list[str]:
    """Return the SHA-256 of each file of weights."""
    hashes = []
    for file in _weight_files(name):
        try:
            hashes.append(sha256(file))
        except FileNotFoundError:
            raise ValueError(
                f"There is no prior {str(name)!r}: its weights, {file.name}, do not exist. "
                "'default', a known name or a folder is expected."
            ) from None
    return hashes


def _config_files(name: str | Path) -> dict[str, Path]:
    """Return the configurations that the loader of a prior reads, by the part they describe; none
    for a file of weights, whose layout tells everything.
    """
    path, scheme = _folder(name), scheme_of(name)
    if scheme == "latent":
        return {file.parent.name: file for file in config_files(path)}
    if scheme not in FOLDERS:
        return {}
    unet, scheduler = parts(path if path.is_dir() else path.parent)
    files = {"unet": unet / "config.json", "scheduler": scheduler}
    return {place: file for place, file in files.items() if file.is_file()}


def _without_card(name: str | Path) -> str | Path:
    """Return "scheme:path" for the name of a card, and any other name as it is."""
    card = find_card(name)
    return name if card is None else card.target


def _folder(name: str | Path) -> Path:
    """Return the folder or file of a prior; the hub's folder for a model that was fetched.

    Raises:
        ValueError: if the system cannot look for it: a name too long, ``~`` of an unknown user.
    """
    if str(name) == "default":
        return embedded_folder()
    target = str(_without_card(name))
    scheme, _, rest = target.partition(":")
    where = rest if rest and scheme in LOADERS else target
    try:
        place = fetched(where) or Path(where).expanduser()
        place.exists()
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"There is no prior {str(name)[:100]!r} ({reason}). 'default', a known name or a "
            "folder is expected."
        ) from None
    return place
