"""guided-diffusion (ADM) networks as diffusers' `UNet2DModel`: exact, except for those that
`adm_networks.REFUSED` names.

They differ in two ways. The modules have other names (`module_names`), and attention keeps q, k and
v in one matrix. A file does not say in which order its rows are (`split_qkv`), and the wrong order
loads and gives wrong images. So a network is loaded by a name that tells the order, or by its
shapes if only one order fits them.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ..priors.base import Prior
from ..priors.denoiser import DenoiserPrior, consistency, edm
from ..priors.unet import AnySizeNetwork, UNetPrior
from ..schedule import Schedule
from .adm_networks import NETWORKS, REFUSED, ADMNetwork, ADMStructure, QKVOrder
from .adm_shapes import guess_network, structure_of
from .layouts import Shape
from .unet import convert
from .weights import download_hint, iterate_tensors, tensor_shapes

RES = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def load(
    file: str | Path,
    dtype: torch.dtype = torch.float32,
    *,
    network: ADMNetwork | None = None,
    name: str = "",
) -> Prior:
    """Read a .pt or .safetensors file of an ADM network as a prior.

    Args:
        file: a flat dictionary of tensors in guided-diffusion's layout.
        dtype: precision the network runs in.
        network: the network that is expected, e.g. one of `NETWORKS`; by default `guess_network`
            decides.
        name: name for records; the file's stem by default.

    Raises:
        ValueError: if the file is missing, damaged or needs code, or is another network, with the
            differences.

    Cost:
        1.0 times the file's size of memory at its peak, the network included.
    """
    hint = "."
    if network and network.url:
        hint = download_hint(network.url, network.size, network.licence, file)
    found = tensor_shapes(file, hint)
    network = network or guess_network(found, file)
    expected = f"the network of {name!r}" if name else "its preset"
    net = _converted(found, iterate_tensors(file), network, dtype, file, expected)
    return prior_of(net, network, name or Path(file).stem)


def adm_to_unet2d(
    state_dict: Mapping[str, Tensor], network: ADMNetwork, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Convert an ADM state dict in memory, which is left as it is.

    Raises:
        ValueError: if it is another network, with the differences.
    """
    found = {key: tuple(tensor.shape) for key, tensor in state_dict.items()}
    copies = ((key, tensor.detach().clone()) for key, tensor in state_dict.items())
    return _converted(found, copies, network, dtype, "The state dict", "the network of its preset")


def prior_of(net: nn.Module, network: ADMNetwork, name: str) -> Prior:
    """Make the prior of a converted network that predicts noise or is a raw EDM or consistency
    network.
    """
    multiple = 2 ** (len(network.structure.mult) - 1)
    if network.predicts == "noise":
        schedule = Schedule.linear() if network.schedule == "linear" else Schedule.cosine()
        return UNetPrior(net, schedule, multiple=multiple, name=name)
    wrapped = AnySizeNetwork(net, multiple)
    denoiser = consistency(wrapped)
    if network.predicts == "edm":
        denoiser = edm(wrapped, log_scale=250.0)
    prior = DenoiserPrior(denoiser, channels=wrapped.channels, classes=wrapped.classes, name=name)
    prior.multiple, prior.of_consistency = multiple, network.predicts != "edm"
    return prior


def unet_config(network: ADMNetwork) -> dict[str, object]:
    """Return the options of `UNet2DModel` that make a network."""
    s = network.structure
    plain_down, plain_up, resampling = "DownBlock2D", "UpBlock2D", "conv"
    if s.resblock_updown:
        plain_down, plain_up = "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"
        resampling = "resnet"
    down: list[str] = []
    up: list[str] = []
    for level in range(len(s.mult)):
        attends = level in s.attention
        down.append("AttnDownBlock2D" if attends else plain_down)
        up.insert(0, "AttnUpBlock2D" if attends else plain_up)
    return {
        "sample_size": network.image_size,
        "in_channels": s.in_channels,
        "out_channels": s.out_channels,
        "block_out_channels": s.widths,
        "layers_per_block": s.blocks,
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
        "downsample_type": resampling,
        "upsample_type": resampling,
        "downsample_padding": 1,
        "attention_head_dim": network.head_channels,
        "resnet_time_scale_shift": "scale_shift" if s.scale_shift else "default",
        # else, with scale_shift, the middle attention silently has no norm
        "attn_norm_num_groups": 32,
        "norm_num_groups": 32,
        "norm_eps": 1e-5,
        "act_fn": "silu",
        "dropout": 0.0,
        "time_embedding_type": "positional",
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "num_class_embeds": s.classes,
    }


def module_names(s: ADMStructure) -> dict[str, tuple[str, ...]]:
    """Map the modules of an ADM network to those of `UNet2DModel` that they become.

    Some names are of modules that a network of this kind may lack, such as a shortcut.
    """
    names: dict[str, tuple[str, ...]] = {
        "time_embed.0": ("time_embedding.linear_1",),
        "time_embed.2": ("time_embedding.linear_2",),
        "input_blocks.0.0": ("conv_in",),
        "out.0": ("conv_norm_out",),
        "out.2": ("conv_out",),
    }
    if s.classes:
        names["label_emb"] = ("class_embedding",)
    blocks = []  # residual blocks, attention and resampling, in ADM and in diffusers
    levels, R = len(s.mult), s.blocks
    for i in range(levels):
        for j in range(R):
            block = f"input_blocks.{1 + i * (R + 1) + j}"
            blocks.append((f"{block}.0", f"down_blocks.{i}.resnets.{j}"))
            if i in s.attention:
                blocks.append((f"{block}.1", f"down_blocks.{i}.attentions.{j}"))
        if i < levels - 1:
            block = f"input_blocks.{(i + 1) * (R + 1)}"
            blocks.append((f"{block}.0", f"down_blocks.{i}.downsamplers.0"))
    blocks.append(("middle_block.0", "mid_block.resnets.0"))
    blocks.append(("middle_block.1", "mid_block.attentions.0"))
    blocks.append(("middle_block.2", "mid_block.resnets.1"))
    for u in range(levels):
        attends = levels - 1 - u in s.attention
        for j in range(R + 1):
            block = f"output_blocks.{u * (R + 1) + j}"
            blocks.append((f"{block}.0", f"up_blocks.{u}.resnets.{j}"))
            if attends:
                blocks.append((f"{block}.1", f"up_blocks.{u}.attentions.{j}"))
        if u < levels - 1:  # the last module of the last block
            blocks.append((f"{block}.{1 + attends}", f"up_blocks.{u}.upsamplers.0"))
    for adm, unet in blocks:
        if ".attentions." in unet:
            names[f"{adm}.norm"] = (f"{unet}.group_norm",)
            names[f"{adm}.proj_out"] = (f"{unet}.to_out.0",)
            names[f"{adm}.qkv"] = (f"{unet}.to_q", f"{unet}.to_k", f"{unet}.to_v")
        elif "samplers." in unet and not s.resblock_updown:
            convolution = "op" if unet.startswith("down") else "conv"
            names[f"{adm}.{convolution}"] = (f"{unet}.conv",)
        else:
            for part, unet_part in RES.items():
                names[f"{adm}.{part}"] = (f"{unet}.{unet_part}",)
    return names


def split_qkv(rows: Tensor, order: QKVOrder, head_channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split a stacked (3 C, ...) weight or bias into q, k and v, each with rows in the order (head,
    channel).
    """
    heads = len(rows) // (3 * head_channels)
    sizes = {"h": heads, "p": 3, "d": head_channels}
    axes = {"legacy": "hpd", "new": "phd", "edm": "hdp"}[order]
    parts = rows.reshape(*(sizes[a] for a in axes), *rows.shape[1:]).movedim(axes.index("p"), 0)
    q, k, v = (part.reshape(heads * head_channels, *rows.shape[1:]).clone() for part in parts)
    return q, k, v


def _converted(
    found: Mapping[str, Shape],
    tensors: Iterator[tuple[str, Tensor]],
    network: ADMNetwork,
    dtype: torch.dtype,
    where: object,
    expected: str,
) -> nn.Module:
    structure_of(found, where)  # for its message, if this is another model or cannot be expressed
    return convert(
        unet_config(network),
        module_names(network.structure),
        found,
        tensors,
        expected=expected,
        where=where,
        dtype=dtype,
        split=lambda rows: split_qkv(rows, network.qkv_order, network.head_channels),
    )


def load_ordered(file: str, dtype: torch.dtype, *, order: QKVOrder) -> Prior:
    """Read a network that is not known by name: of 64 channels per head and linear betas."""
    structure = structure_of(tensor_shapes(file), file)
    return load(file, dtype, network=ADMNetwork(structure=structure, qkv_order=order))


def refuse(file: str, dtype: torch.dtype, *, name: str) -> Prior:
    """Raise the reason why a published network is not a prior here."""
    raise ValueError(
        f"{name} cannot be loaded: {REFUSED[name]}. Networks that can: {', '.join(NETWORKS)}."
    )


#: Loaders by scheme: the name of a network; "adm" to guess it by the shapes; or the order of the
#: attention rows of a network that is not known by name.
LOADERS: dict[str, Callable[[str, torch.dtype], Prior]] = {
    "adm": load,
    "adm-legacy": partial(load_ordered, order="legacy"),
    "adm-new": partial(load_ordered, order="new"),
}
for _name, _network in NETWORKS.items():
    LOADERS[_name] = partial(load, network=_network, name=_name)
for _name in REFUSED:
    LOADERS[_name] = partial(refuse, name=_name)
