"""guided-diffusion (ADM) networks as diffusers' `UNet2DModel`: exact, but for what
`adm_networks.REFUSED` names.

Two things set them apart. The modules go by other names (`names`), and attention keeps q, k and v
in one matrix whose rows come in an order that a file does not tell (`split_qkv`): the wrong one
loads and gives wrong images, so a network is loaded by a preset that knows it, or by a guess that
only one order fits.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ..priors.base import Prior
from ..priors.denoiser import DenoiserPrior, consistency, edm
from ..priors.unet import Network, UNetPrior
from ..schedule import Schedule
from .adm_networks import PRESETS, REFUSED, Preset, QKVOrder, Structure
from .adm_shapes import guess, structure_of
from .unet import convert
from .weights import Shape, fetching, layout, stream

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
    preset: Preset | None = None,
    name: str = "",
) -> Prior:
    """Read a .pt or .safetensors file of an ADM network as a prior.

    Args:
        file: a flat dictionary of tensors in guided-diffusion's layout.
        dtype: precision the network runs in.
        preset: what it holds, e.g. one of `PRESETS`; by default `guess` decides.
        name: for records; the file's stem by default.

    Raises:
        ValueError: if the file is missing, damaged or needs code, or contradicts the preset, with
            the differences.

    Cost:
        1.0 times the file's size of memory at its peak, the network included.
    """
    found = layout(
        file,
        fetching(preset.url, preset.size, preset.licence, file) if preset and preset.url else ".",
    )
    preset = preset or guess(found, file)
    net = _converted(
        found,
        stream(file),
        preset,
        dtype,
        file,
        f"the network of {name!r}" if name else "its preset",
    )
    return as_prior(net, preset, name or Path(file).stem)


def adm_to_unet2d(
    state_dict: Mapping[str, Tensor], preset: Preset, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Convert an ADM state dict in memory, which is left as it is.

    Raises:
        ValueError: if it contradicts the preset, with the differences.
    """
    found = {key: tuple(tensor.shape) for key, tensor in state_dict.items()}
    copies = ((key, tensor.detach().clone()) for key, tensor in state_dict.items())
    return _converted(found, copies, preset, dtype, "The state dict", "the network of its preset")


def as_prior(net: nn.Module, preset: Preset, name: str) -> Prior:
    """A converted network as its preset reads it: a predictor of noise, or a denoiser behind the
    bridge.
    """
    multiple = 2 ** (len(preset.structure.mult) - 1)
    if preset.predicts == "noise":
        schedule = Schedule.linear() if preset.schedule == "linear" else Schedule.cosine()
        return UNetPrior(net, schedule, multiple=multiple, name=name)
    network = Network(net, multiple)
    D = edm(network, log_scale=250.0) if preset.predicts == "edm" else consistency(network)
    return DenoiserPrior(D, channels=network.channels, classes=network.classes, name=name)


def unet_config(preset: Preset) -> dict[str, object]:
    """The options of `UNet2DModel` that make the network of a preset."""
    s = preset.structure
    plain = (
        ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D")
        if s.resblock_updown
        else ("DownBlock2D", "UpBlock2D")
    )
    attends = [i in s.attention for i in range(len(s.mult))]
    return {
        "sample_size": preset.image_size,
        "in_channels": s.in_channels,
        "out_channels": s.out_channels,
        "block_out_channels": s.widths,
        "layers_per_block": s.blocks,
        "down_block_types": tuple("AttnDownBlock2D" if a else plain[0] for a in attends),
        "up_block_types": tuple("AttnUpBlock2D" if a else plain[1] for a in reversed(attends)),
        "downsample_type": "resnet" if s.resblock_updown else "conv",
        "upsample_type": "resnet" if s.resblock_updown else "conv",
        "downsample_padding": 1,
        "attention_head_dim": preset.head_channels,
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


def names(s: Structure) -> dict[str, tuple[str, ...]]:
    """Modules of an ADM network, and those of `UNet2DModel` that they become; ones that a network
    lacks too.
    """
    pairs = {
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
    }
    if s.classes:
        pairs["label_emb"] = "class_embedding"
    out: dict[str, tuple[str, ...]] = {adm: (unet,) for adm, unet in pairs.items()}
    for adm, unet in _blocks(s):
        if ".attentions." in unet:
            out[f"{adm}.norm"], out[f"{adm}.proj_out"] = (
                (f"{unet}.group_norm",),
                (f"{unet}.to_out.0",),
            )
            out[f"{adm}.qkv"] = (f"{unet}.to_q", f"{unet}.to_k", f"{unet}.to_v")
        elif "samplers." in unet and not s.resblock_updown:
            out[f"{adm}.{'op' if unet.startswith('down') else 'conv'}"] = (f"{unet}.conv",)
        else:
            out |= {f"{adm}.{theirs}": (f"{unet}.{ours}",) for theirs, ours in RES.items()}
    return out


def _blocks(s: Structure) -> Iterator[tuple[str, str]]:
    """Residual blocks, attention and changes of size: (theirs, ours)."""
    levels, R = len(s.mult), s.blocks
    for i in range(levels):
        for j in range(R):
            block = f"input_blocks.{1 + i * (R + 1) + j}"
            yield f"{block}.0", f"down_blocks.{i}.resnets.{j}"
            if i in s.attention:
                yield f"{block}.1", f"down_blocks.{i}.attentions.{j}"
        if i < levels - 1:
            yield f"input_blocks.{(i + 1) * (R + 1)}.0", f"down_blocks.{i}.downsamplers.0"
    yield "middle_block.0", "mid_block.resnets.0"
    yield "middle_block.1", "mid_block.attentions.0"
    yield "middle_block.2", "mid_block.resnets.1"
    for u in range(levels):
        attends = levels - 1 - u in s.attention
        for j in range(R + 1):
            block = f"output_blocks.{u * (R + 1) + j}"
            yield f"{block}.0", f"up_blocks.{u}.resnets.{j}"
            if attends:
                yield f"{block}.1", f"up_blocks.{u}.attentions.{j}"
        if u < levels - 1:
            yield f"output_blocks.{u * (R + 1) + R}.{1 + attends}", f"up_blocks.{u}.upsamplers.0"


def split_qkv(rows: Tensor, order: QKVOrder, head_channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Take a stacked (3 C, ...) weight or bias apart, each part with rows in the order (head,
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
    preset: Preset,
    dtype: torch.dtype,
    where: object,
    what: str,
) -> nn.Module:
    structure_of(found, where)  # says what cannot be expressed, or is another model
    return convert(
        unet_config(preset),
        names(preset.structure),
        found,
        tensors,
        what=what,
        where=where,
        dtype=dtype,
        split=lambda rows: split_qkv(rows, preset.qkv_order, preset.head_channels),
    )


def _load_ordered(order: QKVOrder) -> Callable[[str, torch.dtype], Prior]:
    def load_any(file: str, dtype: torch.dtype) -> Prior:
        return load(
            file, dtype, preset=Preset(structure=structure_of(layout(file), file), qkv_order=order)
        )

    return load_any


def _refuse(name: str) -> Callable[[str, torch.dtype], Prior]:
    def refuse(file: str, dtype: torch.dtype) -> Prior:
        raise ValueError(
            f"{name} cannot be loaded: {REFUSED[name]}. Networks that can: {', '.join(PRESETS)}."
        )

    return refuse


#: What may stand before the colon of a prior's name: a preset, "adm" to guess it by the shapes, or
#: the order of the attention rows of a network that is not known by name (64 channels per head,
#: linear betas, noise predicted).
LOADERS: dict[str, Callable[[str, torch.dtype], Prior]] = {
    "adm": load,
    "adm-legacy": _load_ordered("legacy"),
    "adm-new": _load_ordered("new"),
    **{name: partial(load, preset=preset, name=name) for name, preset in PRESETS.items()},
    **{name: _refuse(name) for name in REFUSED},
}
