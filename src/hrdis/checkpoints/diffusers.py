"""Folders in diffusers' layout, of diffusers or of ``hrdis train``: noise predictors, EDM networks
and consistency models.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..priors.base import Prior
from ..priors.diffusers import Kind, prior_of
from ..priors.small_unet import SmallUNet
from .hub import check_pinned, folder_of
from .unet import build_unet, check_size, load_weights, read_config
from .weights import shards, weights_in


def load_diffusers(
    where: str | Path,
    dtype: torch.dtype = torch.float32,
    name: str | None = None,
    kind: Kind | None = None,
) -> Prior:
    """Read a network and its scheduler from a folder; no code is run, and no weight stays random.

    The folder holds config.json, the weights and scheduler_config.json, or is that of a pipeline
    with unet/ and scheduler/. The network is a `SmallUNet`, which needs no diffusers, or diffusers'
    ``UNet2DModel``; the scheduler tells what it predicts, see `from_diffusers`. Images may have any
    size; attention runs at sizes it was not trained for.

    Args:
        where: a folder, or the id of a model of the hub that ``hrdis model download`` fetched.
        dtype: precision the network runs in.
        name: name for records; the folder's by default.
        kind: the preconditioning of the network, where the scheduler does not tell it.

    Raises:
        ValueError: if a file is missing, damaged, needs code or is of another model, or no such
            model was fetched.
    """
    folder = folder_of(where, kind or "diffusers")
    unet, scheduler = parts(folder)
    config_file, weights = unet / "config.json", weights_in(unet)
    check_pinned(where, [config_file, scheduler, *shards(weights)])
    config = read_config(scheduler)
    net = make_network(read_config(config_file))
    load_weights(net, weights)
    # diffusers' own .to warns about precisions that do not concern this network.
    net = nn.Module.to(net, dtype)
    return prior_of(net, config, str(scheduler), name or Path(str(where)).name, kind)


def load_edm(where: str, dtype: torch.dtype = torch.float32) -> Prior:
    """`load_diffusers` for a raw EDM network, whatever its scheduler."""
    return load_diffusers(where, dtype, kind="edm")


def load_consistency(where: str, dtype: torch.dtype = torch.float32) -> Prior:
    """`load_diffusers` for a consistency model, whatever its scheduler."""
    return load_diffusers(where, dtype, kind="consistency")


def make_network(config: dict[str, Any]) -> nn.Module:
    """Make the network of a config.json, without memory for its weights.

    So no weight can stay random.

    Raises:
        ValueError: if there is no such network.
    """
    check_size(config)
    with torch.device("meta"):
        if config.get("_class_name") == "SmallUNet":
            return SmallUNet.from_config(config)
        return build_unet(config)


def parts(folder: Path) -> tuple[Path, Path]:
    """Return the folder of the network and the file of its scheduler.

    They are beside each other, or in the unet/ and scheduler/ of a pipeline. The folder may also be
    the network's own, inside of a pipeline or of the output of a training.
    """
    unet = folder
    for name in ("unet_ema", "unet"):
        if (folder / name).is_dir():
            unet = folder / name
    above: list[Path] = []
    if unet != folder:
        above = [folder, folder.parent]
    elif folder.name.startswith("unet"):
        above = [folder.parent, folder.parent.parent]
    places = [folder / "scheduler", folder]
    for parent in above:
        places += [parent / "scheduler", parent]
    for place in places:
        if (place / "scheduler_config.json").is_file():
            return unet, place / "scheduler_config.json"
    expected = places[0] if places[0].is_dir() else places[1]
    return unet, expected / "scheduler_config.json"
