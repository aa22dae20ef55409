"""Models of the Hugging Face hub on this machine: found by their id, compared with their pins,
never downloaded.

``hrdis model download diffusers:OWNER/NAME`` downloads one (`fetch`), and notes its revision and
the hashes of its files. The files in the hub's cache under that id must have these hashes then.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..files import cache_folder
from .cards import Card, File, check_listed, pins, verify

ID = re.compile(r"[\w.-]+/[\w.-]+")

#: What is fetched: configurations, and weights that cannot hold code. `OTHERS` only where those are
#: missing; the .bin files among them are read by torch's weights-only reader.
FILES = [
    "config.json",
    "diffusion_pytorch_model.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "model_index.json",
    "scheduler_config.json",
    "scheduler/scheduler_config.json",
]
SHARDS = [
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model-*.safetensors",
    "unet/diffusion_pytorch_model.safetensors.index.json",
    "unet/diffusion_pytorch_model-*.safetensors",
]
OTHERS = [
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.bin",
]


def folder_of(where: str | Path, scheme: str = "diffusers") -> Path:
    """Return the folder of a network.

    It is the folder that is named, or that of the hub's model of this id on this machine.

    Args:
        where: a folder, the file of weights in one, or the id of a model of the hub.
        scheme: the scheme it is loaded by, for the messages.

    Raises:
        ValueError: if there is no such folder, no such model was fetched, or its files are not
            those that were pinned.
    """
    folder = Path(where).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        if (folder.parent / "config.json").is_file():
            return folder.parent
        raise ValueError(
            f"{folder} is a file. The folder of a network with its config.json and "
            "scheduler_config.json is expected; a file alone is loaded by its layout: "
            f"hrdis.load_prior('adm:{folder}')."
        )
    if not is_id(where):
        raise ValueError(
            f"There is no folder {str(where)!r}. A folder of diffusers is expected, or the id of a "
            "model of the hub that was fetched: hrdis model download "
            "diffusers:google/ddpm-celebahq-256"
        )
    found = fetched(str(where))
    if found is None:
        raise ValueError(
            f"There is no folder {str(where)!r}, and no model of that id was fetched. Nothing is "
            "loaded from the network unasked. If the model of the hub is meant: hrdis model "
            f"download {scheme}:{where}"
        )
    verify(_pinned_card(str(where), found))
    return found


def check_pinned(where: str | Path, read: Iterable[Path]) -> None:
    """Raise if a loader would read a file of a hub's model that was not pinned with the others.

    Other programs add files to the hub's cache, and one of a better form is read first.

    Args:
        where: what `folder_of` was given; a folder of the user's own has no pins.
        read: the files that the loader reads.

    Raises:
        ValueError: naming the file.
    """
    found = fetched(str(where))
    if found is not None:
        check_listed(_pinned_card(str(where), found), read)


def is_id(where: str | Path) -> bool:
    """Return True if a name has the form of an id, OWNER/NAME."""
    return ID.fullmatch(str(where)) is not None and not str(where).startswith(".")


def fetched(where: str) -> Path | None:
    """Return the folder of a model of the hub that was fetched before, or None. The network is not
    used.
    """
    if not is_id(where) or Path(where).expanduser().exists():
        return None
    from huggingface_hub import snapshot_download

    commit = revision(where)
    try:
        found = Path(
            snapshot_download(where, revision=commit, local_files_only=True, allow_patterns=FILES)
        )
    except Exception:  # the hub has many errors for a model that is not in its cache
        return None
    for file in found.rglob("config.json"):
        if file.is_file():
            return found
    return None


def revision(repo: str) -> str | None:
    """Return the commit of a model that `hrdis model download` fetched, or None."""
    file = revision_file(repo)
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def revision_file(repo: str) -> Path:
    """Return the file in which the commit of a fetched model is noted."""
    return cache_folder() / "pins" / f"{repo}.revision"


def card_of(repo: str, folder: Path) -> Card:
    """Return a card of all files of a model in the hub's cache that may decide what it computes."""
    files = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.endswith((".json", ".safetensors", ".bin")) and path.is_file():
            files.append(File(name=name))
    return Card(name=repo, scheme="diffusers", files=tuple(files), path=str(folder))


def _pinned_card(repo: str, folder: Path) -> Card:
    """Return the card of those files that were pinned; of all files if none was."""
    card = card_of(repo, folder)
    pinned = pins(card)
    if not pinned:
        return card
    return replace(card, files=tuple(file for file in card.files if file.name in pinned))
