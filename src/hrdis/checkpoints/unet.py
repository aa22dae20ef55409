"""Build diffusers networks from their configurations, and fill them with weights: all of them and
nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..files import read_json
from ..messages import one_line
from ..priors.networks import check_conditions
from .layouts import DIFFUSERS, Shape, differences, identify_checkpoint
from .weights import iterate_tensors, tensor_shapes

#: Settings that diffusers' `EMAModel` adds to the configuration of the network it averages.
EMA_SETTINGS = (
    "decay", "min_decay", "optimization_step", "update_after_step", "use_ema_warmup", "inv_gamma",
    "power",
)  # fmt: skip

#: Largest numbers that are believed of the entries of a configuration, which else could cost hours
#: before the first weight is compared. The largest published networks have 10 blocks in a level of
#: 2560 channels.
MOST_BLOCKS, MOST_CHANNELS, MOST = 200, 1 << 15, 1 << 20
LIMITS = {
    "layers_per_block": MOST_BLOCKS,
    "transformer_layers_per_block": MOST_BLOCKS,
    "reverse_transformer_layers_per_block": MOST_BLOCKS,
    "num_encoder_blocks": MOST_BLOCKS,
    "num_decoder_blocks": MOST_BLOCKS,
    "blocks": MOST_BLOCKS,
    "middle": MOST_BLOCKS,
    "block_out_channels": MOST_CHANNELS,
    "encoder_block_out_channels": MOST_CHANNELS,
    "decoder_block_out_channels": MOST_CHANNELS,
    "channels": MOST_CHANNELS,
    "embedding": MOST_CHANNELS,
}
#: Most entries of a list in a configuration; lists have one for each level or latent channel.
MOST_ENTRIES = 1024

#: Module names in a file, and the modules of the network that each becomes: one, or three (q, k, v)
#: that are stacked in the file.
Names = Mapping[str, tuple[str, ...]]


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


def check_size(config: Mapping[str, Any]) -> None:
    """Raise if a configuration describes a network of absurd size, which would be built for hours.

    Raises:
        ValueError: naming the entry.
    """
    for key, value in config.items():
        numbers, most = _numbers(value), LIMITS.get(key, MOST)
        if len(numbers) > MOST_ENTRIES:
            raise ValueError(
                f"The folder's config.json has {len(numbers)} numbers in {key}. One for each level "
                "is expected."
            )
        for number in numbers:
            if number > most:
                raise ValueError(
                    f"The folder's config.json has {number} in {key}. At most {most} is expected."
                )


def _numbers(value: Any) -> list[int | float]:
    """Return the numbers in nested lists; anything that is not a number is left to the network."""
    if isinstance(value, int | float):
        return [value]
    numbers = []
    if isinstance(value, list | tuple):
        for entry in value:
            numbers += _numbers(entry)
    return numbers


def build_unet(config: dict[str, Any], kinds: Sequence[str] = ("UNet2DModel",)) -> nn.Module:
    """Make a diffusers network from its configuration, on the default device ("meta" for a network
    without memory, whose weights are all assigned afterwards).

    Args:
        config: the content of its config.json; without ``_class_name``, the first of the kinds.
        kinds: classes that are expected.

    Raises:
        ValueError: if it describes another class, or no network that diffusers can make.

    Cost:
        the import of diffusers, seconds.
    """
    kind = config.get("_class_name", kinds[0])
    if kind not in kinds:
        kind, wants = one_line(kind), ""
        if kind == "UNet2DConditionModel":
            wants = (
                " It wants a text, which is told once, beside its autoencoder: "
                "hrdis.load_prior('latent:FOLDER')."
            )
        raise ValueError(f"The folder holds a {kind}. A {' or '.join(kinds)} is expected.{wants}")
    if kind in ("UNet2DModel", "UNet2DConditionModel"):
        check_conditions(config, "The folder's config.json")
    check_size(config)
    options = {}
    for name, value in config.items():
        if name not in EMA_SETTINGS and not name.startswith("_"):
            options[name] = value
    # The import reads numbers off tensors, which torch 2.6 refuses on the device "meta".
    with torch.device("cpu"):
        import diffusers

        network = getattr(diffusers, kind)
    try:
        # The weights drawn here are replaced: the global generator must not notice.
        with torch.random.fork_rng(devices=[]):
            net: nn.Module = network(**options)
    except Exception as error:  # a constructor fails in as many ways as there are odd values
        reason = one_line(error)[:300] or type(error).__name__
        raise ValueError(
            f"The folder's config.json describes no network that diffusers can make ({reason})."
        ) from None
    return net


def load_weights(net: nn.Module, file: Path) -> None:
    """Give a network the weights of a .safetensors, .bin or .pt file, every name and shape checked;
    no code is run.

    Names of attention in diffusers' early files (query, key, value, proj_attn) are translated, as
    diffusers' own loader does. The tensors are fresh copies, because those mapped from a file are
    not aligned and change the last bits of a convolution.

    Raises:
        ValueError: if the file is missing, damaged, needs code, or does not fit.
    """
    found = tensor_shapes(file, " beside its config.json, as `hrdis train` and diffusers write it.")
    translated = {old: old for old in found}
    if hasattr(net, "_fix_state_dict_keys_on_load"):
        net._fix_state_dict_keys_on_load(translated)  # type: ignore[operator]
    # It renames keys of the dictionary, whose values are still the names in the file.
    names = {old: new for new, old in translated.items()}
    shapes = {new: found[old] for old, new in names.items()}
    if wrong := differences(shapes, _shapes_of(net)):
        raise ValueError(
            f"{file} does not fit its config.json: {wrong}. "
            f"{identify_checkpoint(found, file, DIFFUSERS)}".rstrip()
        )
    state = {}
    for old, tensor in iterate_tensors(file):
        state[names[old]] = tensor
    net.load_state_dict(state, strict=True, assign=True)
    for name, buffer in net.named_buffers():
        if buffer.is_meta:  # diffusers' K blocks compute a buffer that no file holds
            raise ValueError(
                f"{file} does not hold {name}, which such a network has. No prior here."
            )


def convert(
    config: dict[str, Any],
    names: Names,
    found: Mapping[str, Shape],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    expected: str,
    where: object = "The state dict",
    dtype: torch.dtype = torch.float32,
    split: Callable[[Tensor], tuple[Tensor, ...]] = lambda tensor: (tensor,),
) -> nn.Module:
    """Make a `UNet2DModel` from tensors that have other names.

    The network has no weights of its own until every one is assigned, so that none can stay random.
    A shape may end in more ones than the network's (a linear layer written as a convolution).

    Args:
        config: options of the network.
        names: see `Names`.
        found: names and shapes of the tensors; compared before the first is read.
        tensors: fresh tensors, which the network keeps.
        expected: the network that is expected, for the message.
        where: the file of the tensors, for the message.
        dtype: precision of the network.
        split: takes a stacked tensor apart.

    Raises:
        ValueError: if names or shapes differ, with the differences.
    """
    for width in config["block_out_channels"]:
        if width % 32:
            raise ValueError(
                f"{where} has a level of {width} channels. Multiples of 32, the groups of its "
                "norms, are expected."
            )
    net, targets, layout = unfilled_network(config, names)
    own = net.state_dict()
    trimmed = {}
    for key, shape in found.items():
        rank = len(layout.get(key, shape))
        only_ones = set(shape[rank:]) <= {1}
        trimmed[key] = shape[:rank] if only_ones else shape
    if wrong := differences(trimmed, layout):
        raise ValueError(
            f"{where} is not {expected}: {wrong}. {identify_checkpoint(found, where)}".rstrip()
        )
    state = {}
    for key, tensor in tensors:
        stacked = len(targets[key]) > 1
        parts = split(tensor) if stacked else (tensor,)
        for target, part in zip(targets[key], parts, strict=True):
            state[target] = part.reshape(own[target].shape).to(dtype)
        del tensor, parts, part  # the next tensor is read before these names are used again
    net.load_state_dict(state, strict=True, assign=True)
    return net


def unfilled_network(
    config: dict[str, Any], names: Names
) -> tuple[nn.Module, dict[str, tuple[str, ...]], dict[str, Shape]]:
    """Make a network without memory for its weights.

    Returns:
        the network; the names of its tensors that each tensor of the file becomes; and the layout
        that the file must have.
    """
    with torch.device("meta"):
        net = build_unet(config)
    own = _shapes_of(net)
    targets: dict[str, tuple[str, ...]] = {}
    layout: dict[str, Shape] = {}
    for name, modules in names.items():
        for kind in ("weight", "bias"):
            if f"{modules[0]}.{kind}" not in own:
                continue
            key = f"{name}.{kind}"
            targets[key] = tuple(f"{module}.{kind}" for module in modules)
            rows, *rest = own[targets[key][0]]
            layout[key] = (len(modules) * rows, *rest)
    return net, targets, layout


def _shapes_of(net: nn.Module) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
