"""Models of the Hugging Face hub: fetched when their id is named, tensors and JSON only, and kept in its cache."""

import re
from pathlib import Path

ID = re.compile(r"[\w.-]+/[\w.-]+")

#: What is fetched: configurations, and weights that cannot hold code. `OTHERS` only where those are missing; the .bin
#: files among them are read by torch's weights-only reader.
FILES = [
    f"{folder}{name}" for folder in ("", "unet/") for name in ("config.json", "diffusion_pytorch_model.safetensors")
] + ["model_index.json", "scheduler_config.json", "scheduler/scheduler_config.json"]
OTHERS = [f"{folder}diffusion_pytorch_model.{kind}" for folder in ("", "unet/") for kind in ("fp16.safetensors", "bin")]


def folder_of(where: str | Path) -> Path:
    """The folder that a name stands for: itself, or where the hub's model of that id lies, fetched if need be.

    Raises:
        ValueError: if there is no such folder, and no such model can be had.
    """
    folder = Path(where).expanduser()
    if folder.is_dir():
        return folder
    if not ID.fullmatch(str(where)) or str(where).startswith("."):
        raise ValueError(
            f"There is no folder {str(where)!r}. A folder of diffusers or a hub id is expected: "
            "hrdis.load_prior('diffusers:google/ddpm-celebahq-256')."
        )
    fetched = _snapshot(str(where), FILES)
    weights = (f"{unet}diffusion_pytorch_model.safetensors" for unet in ("", "unet/"))
    if not any((fetched / file).exists() for file in weights):
        fetched = _snapshot(str(where), OTHERS)
    return fetched


def fetched(where: str) -> Path | None:
    """The folder of a model of the hub that was fetched before; None where there is none. Nothing is fetched."""
    if Path(where).expanduser().exists() or not ID.fullmatch(where) or where.startswith("."):
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(where, local_files_only=True, allow_patterns=FILES))
    except Exception:  # whatever it is: there is none
        return None


def _snapshot(repo: str, patterns: list[str]) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(repo, allow_patterns=patterns))
    except GatedRepoError:
        reason = "its owners ask for a login and their consent (`hf auth login`)"
    except RepositoryNotFoundError:
        raise ValueError(
            f"There is no folder {repo!r}, and no model of that id on {constants.ENDPOINT}. A folder or an id such as "
            "'google/ddpm-celebahq-256' is expected."
        ) from None
    except Exception as error:  # whatever the network does: the way out is the same
        offline = constants.HF_HUB_OFFLINE or type(error).__name__ in ("OfflineModeIsEnabled",)
        reason = "HF_HUB_OFFLINE is set" if offline else " ".join(str(error).split())[:200] or type(error).__name__
    raise ValueError(
        f"The model {repo!r} is not on this computer and cannot be fetched: {reason}. Where there is a network, run "
        f"`hf download {repo} --local-dir {repo.split('/')[1]}`, copy the folder here, and load that: "
        f"hrdis.load_prior('diffusers:{repo.split('/')[1]}')."
    )
