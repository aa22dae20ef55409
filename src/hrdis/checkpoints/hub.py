"""Models of the Hugging Face hub that are on this machine: found by their id, compared with their
pins, never fetched.

``hrdis prior get diffusers:OWNER/NAME`` fetches one (`fetch`), and notes its revision and the
hashes of its files. Whatever lies in the hub's cache later under that id must be the same.
"""

import re
from pathlib import Path

from . import cards

ID = re.compile(r"[\w.-]+/[\w.-]+")

#: What is fetched: configurations, and weights that cannot hold code. `OTHERS` only where those are
#: missing; the .bin files among them are read by torch's weights-only reader.
FILES = [
    f"{folder}{name}"
    for folder in ("", "unet/")
    for name in ("config.json", "diffusion_pytorch_model.safetensors")
] + ["model_index.json", "scheduler_config.json", "scheduler/scheduler_config.json"]
SHARDS = [
    f"{folder}diffusion_pytorch_model{rest}"
    for folder in ("", "unet/")
    for rest in (".safetensors.index.json", "-*.safetensors")
]
OTHERS = [
    f"{folder}diffusion_pytorch_model.{kind}"
    for folder in ("", "unet/")
    for kind in ("fp16.safetensors", "bin")
]


def folder_of(where: str | Path, scheme: str = "diffusers") -> Path:
    """Return the folder that a name stands for: itself, or where the hub's model of that id lies on
    this machine.

    Raises:
        ValueError: if there is no such folder, no such model was fetched, or its files are not
            those that were pinned.
    """
    folder = Path(where).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        if (
            folder.parent / "config.json"
        ).is_file():  # the weights themselves, in a folder of diffusers
            return folder.parent
        raise ValueError(
            f"{folder} is a file. The folder of a network with its config.json and "
            "scheduler_config.json is expected; a file alone is loaded by its layout: "
            f"hrdis.load_prior('adm:{folder}')."
        )
    if not is_id(where):
        raise ValueError(
            f"There is no folder {str(where)!r}. A folder of diffusers is expected, or the id of a "
            "model of the hub that was fetched: hrdis prior get diffusers:google/ddpm-celebahq-256"
        )
    found = fetched(str(where))
    if found is None:
        raise ValueError(
            f"There is no folder {str(where)!r}, and no model of that id was fetched. Nothing is "
            "loaded from the network unasked. If the model of the hub is meant: hrdis prior get "
            f"{scheme}:{where}"
        )
    cards.verify(card_of(str(where), found))
    return found


def is_id(where: str | Path) -> bool:
    """Return True if a name has the form of an id, OWNER/NAME."""
    return ID.fullmatch(str(where)) is not None and not str(where).startswith(".")


def fetched(where: str) -> Path | None:
    """Return the folder of a model of the hub that was fetched before, or None. The network is not
    used.
    """
    if Path(where).expanduser().exists() or not is_id(where):
        return None
    from huggingface_hub import snapshot_download

    try:
        found = Path(
            snapshot_download(
                where, revision=revision(where), local_files_only=True, allow_patterns=FILES
            )
        )
    except Exception:  # whatever it is: there is none
        return None
    return found if any(file.is_file() for file in found.rglob("config.json")) else None


def revision(repo: str) -> str | None:
    """Return the commit of a model that `hrdis prior get` fetched, or None."""
    file = revision_file(repo)
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def revision_file(repo: str) -> Path:
    """Return where the commit of a fetched model is noted."""
    return cards.home() / "pins" / f"{repo}.revision"


def card_of(repo: str, folder: Path) -> cards.Card:
    """Return a card of a model in the hub's cache, for its pins: every file that decides what it
    computes.
    """
    names = sorted(
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()
    )
    read = [name for name in names if name.endswith((".json", ".safetensors", ".bin"))]
    return cards.Card(
        name=repo,
        scheme="diffusers",
        files=tuple(cards.File(name=name) for name in read),
        path=str(folder),
    )
