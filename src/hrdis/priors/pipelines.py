"""diffusers' models as priors, from folders or from objects: noise predictors, EDM and
consistency.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from .base import Prior
from .denoiser import DenoiserPrior, consistency, edm
from .hub import folder_of
from .small_unet import SmallUNet
from .unet import Network, UNetPrior, build_unet, load_weights, read_json, schedule_of
from .wrappers import unwrapped

Kind = Literal["edm", "consistency"]

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
    config = read_json(scheduler)
    options = read_json(unet / "config.json")
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
    return _prior(net, config, str(scheduler), name or Path(str(where)).name, kind)


def load_edm(where: str, dtype: torch.dtype = torch.float32) -> Prior:
    """`load_diffusers` for a raw EDM network, whatever its scheduler."""
    return load_diffusers(where, dtype, kind="edm")


def load_consistency(where: str, dtype: torch.dtype = torch.float32) -> Prior:
    """`load_diffusers` for a consistency model, whatever its scheduler."""
    return load_diffusers(where, dtype, kind="consistency")


def from_diffusers(
    unet: nn.Module, scheduler: Any, name: str = "custom", kind: Kind | None = None
) -> Prior:
    """A live ``UNet2DModel`` with its scheduler as a prior; the network is frozen and shared, not
    copied.

    Of DataParallel, DistributedDataParallel and torch.compile the network inside is taken; it is
    compiled where it is used, by ``prior.net.compile()``.

    The scheduler's class and configuration say what the network is: ``EDMEulerScheduler`` and
    ``EDMDPMSolverMultistepScheduler`` a raw EDM network, ``CMStochasticIterativeScheduler`` a
    consistency model, all that have betas a predictor of noise, v or image. What they clip or
    threshold while sampling is not done here.

    Args:
        unet: a diffusers ``UNet2DModel``.
        scheduler: a diffusers scheduler, or its configuration.
        name: for records and messages.
        kind: the preconditioning of the network, where the scheduler does not say.

    Raises:
        TypeError: if unet is no such network, or scheduler no scheduler.
        ValueError: for a scheduler without betas that is none of these, or what else cannot be a
            prior.

    Example:
        >>> from_diffusers("unet", None)
        Traceback (most recent call last):
        TypeError: unet is a str. A diffusers UNet2DModel is expected: from_diffusers(unet,
            scheduler).
    """
    unet = unwrapped(unet) if isinstance(unet, nn.Module) else unet
    if not is_unet(unet):
        text = "It wants a text, which is told once: hrdis.load_prior('latent:FOLDER'). "
        raise TypeError(
            f"unet is a {type(unet).__name__}. "
            f"{text if _named(unet, 'UNet2DConditionModel') else ''}"
            "A diffusers UNet2DModel is expected: from_diffusers(unet, scheduler)."
        )
    config = scheduler if isinstance(scheduler, Mapping) else getattr(scheduler, "config", None)
    if not isinstance(config, Mapping):
        raise TypeError(
            f"scheduler is a {type(scheduler).__name__}. The diffusers scheduler that the network "
            "was trained with is expected: from_diffusers(unet, scheduler)."
        )
    config = dict(config)
    if not isinstance(scheduler, Mapping):
        config["_class_name"] = type(scheduler).__name__
    return _prior(unet, config, "The scheduler", name, kind)


def is_unet(value: object) -> bool:
    """Return True for diffusers' ``UNet2DModel``, wrapped or not, without importing diffusers."""
    return isinstance(value, nn.Module) and _named(unwrapped(value), "UNet2DModel")


def _named(value: object, name: str) -> bool:
    return any(
        c.__name__ == name and c.__module__.startswith("diffusers.") for c in type(value).__mro__
    )


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


def _prior(
    net: nn.Module, config: Mapping[str, Any], where: str, name: str, kind: Kind | None
) -> Prior:
    """The prior that a scheduler's configuration makes of a network."""
    scheduler = str(config.get("_class_name", ""))
    inner: Any = unwrapped(net)
    multiple = (
        inner.multiple
        if isinstance(inner, SmallUNet)
        else 2 ** (len(inner.config["block_out_channels"]) - 1)
    )
    predicts = config.get("prediction_type", "epsilon")
    cm = scheduler == "CMStochasticIterativeScheduler"
    if kind is None and (cm or scheduler.startswith("EDM")):
        kind = "consistency" if cm else "edm"
    if kind is None:
        if scheduler and not any(
            key in config for key in ("beta_schedule", "beta_start", "trained_betas")
        ):
            raise ValueError(
                f"{where} is a {scheduler}, which has no betas. A scheduler of DDPM's kind, EDM's "
                "or that of consistency models is expected; flow matching and score models in "
                "continuous time are not priors here."
            )
        return UNetPrior(net, schedule_of(dict(config), where), predicts, multiple, name)
    if predicts != "epsilon":
        raise ValueError(
            f"{where} has prediction_type {predicts!r}. 'epsilon' is expected of an EDM network."
        )
    network = Network(net, multiple)
    told = 250.0 if cm or kind == "consistency" else 0.25
    low, high, data = (
        float(config.get(f"sigma_{k}", v)) for k, v in (("min", 0.002), ("max", 80), ("data", 0.5))
    )
    D = edm(network, data, told) if kind == "edm" else consistency(network, data, low, told)
    return DenoiserPrior(
        D,
        sigma_min=low,
        sigma_max=high,
        channels=network.channels,
        classes=network.classes,
        name=name,
    )
