"""diffusers' models as priors, from folders or from objects: noise predictors, EDM and
consistency.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ..priors.base import Prior
from ..priors.diffusers import Kind, prior_of
from ..priors.small_unet import SmallUNet
from .hub import folder_of
from .unet import build_unet, load_weights, read_config

#: What a folder's weights may be called, the best first; * is a variant, e.g. fp16 or ema. An index
#: stands for shards.
WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.ema.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.safetensors.index.*.json",
    "diffusion_pytorch_model.*.safetensors",
    "model.safetensors",
)

#: The same in files that torch's reader reads, without running code.
PICKLED = (
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
    "diffusion_pytorch_model.ema.bin",
    "diffusion_pytorch_model.fp16.bin",
    "diffusion_pytorch_model.bin.index.*.json",
    "diffusion_pytorch_model.*.bin",
    "pytorch_model.bin",
)


def load_diffusers(
    where: str | Path,
    dtype: torch.dtype = torch.float32,
    name: str | None = None,
    kind: Kind | None = None,
) -> Prior:
    """Read a network and its scheduler from a folder; no code is run, every weight comes from it.

    The network is a `SmallUNet` of this library, which needs no diffusers, or diffusers'
    ``UNet2DModel``.

    The folder holds config.json, the weights and scheduler_config.json, as `hrdis train` writes
    them, or is that of a pipeline, with unet/ and scheduler/. Its scheduler says what the network
    predicts: see `from_diffusers`. Sides of images may be any; attention at sizes other than the
    training's runs, but was not trained for it.

    Args:
        where: a folder, or the id of a model of the hub that ``hrdis prior get`` fetched.
        dtype: precision the network runs in.
        name: for records; the folder's by default.
        kind: the preconditioning of the network, where the scheduler does not say.

    Raises:
        ValueError: if a file is missing, damaged, needs code or is of another model, or no such
            model was fetched.
    """
    folder = folder_of(where, kind or "diffusers")
    unet, scheduler = parts(folder)
    config = read_config(scheduler)
    options = read_config(unet / "config.json")
    with torch.device("meta"):  # no weights of its own, so that none can stay random
        net = (
            SmallUNet.from_config(options)
            if options.get("_class_name") == "SmallUNet"
            else build_unet(options)
        )
    load_weights(net, weights_in(unet))
    net = nn.Module.to(
        net, dtype
    )  # diffusers' own .to warns about precisions that do not concern this network
    return prior_of(net, config, str(scheduler), name or Path(str(where)).name, kind)


def load_edm(where: str, dtype: torch.dtype = torch.float32) -> Prior:
    """`load_diffusers` for a raw EDM network, whatever its scheduler."""
    return load_diffusers(where, dtype, kind="edm")


def load_consistency(where: str, dtype: torch.dtype = torch.float32) -> Prior:
    """`load_diffusers` for a consistency model, whatever its scheduler."""
    return load_diffusers(where, dtype, kind="consistency")


def parts(folder: Path) -> tuple[Path, Path]:
    """Return where the network lies in a folder, and the file of its scheduler: beside each other,
    or in a pipeline's.

    The folder may be that of the network alone, inside of a pipeline or of a training's output.
    """
    unet = next(
        (folder / name for name in ("unet", "unet_ema") if (folder / name).is_dir()), folder
    )
    places = [folder / "scheduler", folder]
    if unet != folder or folder.name.startswith("unet"):
        above = (folder, folder.parent) if unet != folder else (folder.parent, folder.parent.parent)
        places += [place for parent in above for place in (parent / "scheduler", parent)]
    files = [place / "scheduler_config.json" for place in places]
    expected = files[0] if (folder / "scheduler").is_dir() else files[1]
    return unet, next((file for file in files if file.is_file()), expected)


def weights_in(folder: Path, names: Sequence[str] = WEIGHTS + PICKLED) -> Path:
    """Return the file with a network's weights: the first of the names that is there, an index
    where they are split.
    """
    for name in names:
        found = sorted(
            file for file in folder.glob(name) if file.is_file() and "-of-" not in file.name
        )
        if found:  # of variants, the one that is no raw copy beside an average
            return min(found, key=lambda file: "non_ema" in file.name)
    return folder / WEIGHTS[0]
