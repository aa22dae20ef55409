"""Fill a diffusers `UNet2DModel` with weights that go by other names, all of them and nothing
else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..files import read_json
from ..priors.networks import check_conditions
from .weights import DIFFUSERS, Shape, differences, layout, recognised, stream

#: What diffusers' `EMAModel` writes into the configuration of the network it averages.
EMA_SETTINGS = (
    "decay", "min_decay", "optimization_step", "update_after_step", "use_ema_warmup", "inv_gamma",
    "power",
)  # fmt: skip


#: A module's name in the file, and what it becomes: one module, or three (q, k, v) that are stacked
#: in the file.
Names = Mapping[str, tuple[str, ...]]


def build_unet(config: dict[str, Any], kinds: Sequence[str] = ("UNet2DModel",)) -> nn.Module:
    """Make a diffusers network from its configuration (imports diffusers, seconds).

    Args:
        config: what its config.json holds; without ``_class_name``, the first of the kinds.
        kinds: classes that are expected.
    """
    import diffusers

    config = {name: value for name, value in config.items() if name not in EMA_SETTINGS}
    kind = config.get("_class_name", kinds[0])
    if kind not in kinds:
        text = kind == "UNet2DConditionModel"
        wants = (
            " It wants a text, which is told once, beside its autoencoder: "
            "hrdis.load_prior('latent:FOLDER')."
        )
        raise ValueError(
            f"The folder holds a {kind}. A {' or '.join(kinds)} is expected.{wants if text else ''}"
        )
    if kind in ("UNet2DModel", "UNet2DConditionModel"):
        check_conditions(config, "The folder's config.json")
    try:
        with torch.random.fork_rng(
            devices=[]
        ):  # its random weights are about to be replaced: leave no trace
            net: Any = getattr(diffusers, kind)(
                **{k: v for k, v in config.items() if not k.startswith("_")}
            )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The folder's config.json describes no network that diffusers can make ({error})."
        ) from None
    return cast(nn.Module, net)


def read_config(file: Path) -> dict[str, Any]:
    """Read a configuration file of a prior's folder.

    Raises:
        ValueError: if it is missing, or is not a JSON object.
    """
    return read_json(
        file,
        "A prior's folder holds config.json, scheduler_config.json and "
        "diffusion_pytorch_model.safetensors, as `hrdis train` writes them.",
    )


def load_weights(net: nn.Module, file: Path) -> None:
    """Give a network the weights of a .safetensors, .bin or .pt file, every name and shape checked;
    no code is run.

    Names of attention in diffusers' early files (query, key, value, proj_attn) become those of
    today, as its own loader renames them. The tensors are fresh copies: ones mapped from a file are
    not aligned, and change the last bits of a convolution.

    Raises:
        ValueError: if the file is missing, damaged, needs code, or does not fit.
    """
    found = layout(file, " beside its config.json, as `hrdis train` and diffusers write it.")
    names = {old: old for old in found}
    if hasattr(net, "_fix_state_dict_keys_on_load"):
        net._fix_state_dict_keys_on_load(names)  # type: ignore[operator]
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    if wrong := differences({new: found[old] for new, old in names.items()}, own):
        raise ValueError(
            f"{file} does not fit its config.json: {wrong}. "
            f"{recognised(found, file, DIFFUSERS)}".rstrip()
        )
    renamed = {old: new for new, old in names.items()}
    net.load_state_dict(
        {renamed[old]: tensor for old, tensor in stream(file)}, strict=True, assign=True
    )


def convert(
    config: dict[str, Any],
    names: Names,
    found: Mapping[str, Shape],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    what: str,
    where: object = "The state dict",
    dtype: torch.dtype = torch.float32,
    split: Callable[[Tensor], tuple[Tensor, ...]] = lambda tensor: (tensor,),
) -> nn.Module:
    """Make the network of ``config`` from tensors that are named as the keys of ``names``.

    The network has no weights of its own until every one is assigned, so that none can stay random.
    Shapes may end in more ones than the network's (a linear layer written as a convolution).

    Args:
        found: names and shapes of the tensors; compared before the first is read.
        tensors: fresh ones, which the network keeps.
        what: the network that is expected, for the message.
        split: takes a stacked tensor apart.

    Raises:
        ValueError: if names or shapes differ, with the differences.
    """
    odd = [width for width in config["block_out_channels"] if width % 32]
    if odd:
        raise ValueError(
            f"{where} has a level of {odd[0]} channels. Multiples of 32, the groups of its norms, "
            "are expected."
        )
    net, targets, expected = blank(config, names)
    own = net.state_dict()
    if wrong := differences(
        {key: _trimmed(shape, expected.get(key)) for key, shape in found.items()}, expected
    ):
        raise ValueError(f"{where} is not {what}: {wrong}. {recognised(found, where)}".rstrip())
    state = {}
    for key, tensor in tensors:
        parts = split(tensor) if len(targets[key]) > 1 else (tensor,)
        for target, part in zip(targets[key], parts, strict=True):
            state[target] = part.reshape(own[target].shape).to(dtype)
        del tensor, parts, part
    net.load_state_dict(state, strict=True, assign=True)
    return net


def blank(
    config: dict[str, Any], names: Names
) -> tuple[nn.Module, dict[str, tuple[str, ...]], dict[str, Shape]]:
    """A network without memory, which of its tensors those of a file become, and the layout of the
    file.
    """
    with torch.device("meta"):
        net = build_unet(config)
    own = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
    targets = {
        f"{name}.{kind}": tuple(f"{module}.{kind}" for module in modules)
        for name, modules in names.items()
        for kind in ("weight", "bias")
        if f"{modules[0]}.{kind}" in own
    }
    return (
        net,
        targets,
        {
            key: (len(parts) * own[parts[0]][0], *own[parts[0]][1:])
            for key, parts in targets.items()
        },
    )


def _trimmed(shape: Shape, like: Shape | None) -> Shape:
    """A shape without the ones at its end that ``like`` does not have."""
    if like is None or set(shape[len(like) :]) - {1}:
        return shape
    return shape[: len(like)]
