"""Networks of the original DDPM, in the names that pytorch_diffusion gave them, as diffusers'
`UNet2DModel`.

The CelebA-HQ and LSUN files of DDRM, DDNM, DDIM and SDEdit. Shapes tell everything about them: one
attention head, one order of rows, noise predicted, linear betas.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..priors.base import Prior
from ..priors.unet import UNetPrior
from .unet import convert
from .weights import Shape, fetching, layout, recognised, stream

RES = {
    "norm1": "norm1",
    "conv1": "conv1",
    "temb_proj": "time_emb_proj",
    "norm2": "norm2",
    "conv2": "conv2",
    "nin_shortcut": "conv_shortcut",
}
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What the shapes in a file tell: all there is to know.

    Args:
        widths: channels of each level.
        blocks: residual blocks per level.
        attention: levels with attention, counted from 0 at full size.
        channels: of the image.
    """

    widths: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    channels: int = 3


_256 = Structure(widths=(128, 128, 256, 256, 512, 512), blocks=2, attention=(4,))
_HEIDELBERG = "https://heibox.uni-heidelberg.de/f/{}/?dl=1"

LICENCE = "not stated with the files, ask the authors"

#: Name before the colon of `hrdis.load_prior`: structure, and where the file is.
PRESETS: dict[str, tuple[Structure, str]] = {
    "ddpm-celebahq256": (
        _256,
        "https://image-editing-test-12345.s3-us-west-2.amazonaws.com/checkpoints/celeba_hq.ckpt",
    ),
    "ddpm-lsun-bedroom256": (_256, _HEIDELBERG.format("b95206528f384185889b")),
    "ddpm-lsun-cat256": (_256, _HEIDELBERG.format("0701aac3aa69457bbe34")),
    "ddpm-lsun-church256": (_256, _HEIDELBERG.format("44ccb50ef3c6436db52e")),
}


def load(
    file: str | Path,
    dtype: torch.dtype = torch.float32,
    *,
    structure: Structure | None = None,
    name: str = "",
    url: str = "",
) -> Prior:
    """Read a .ckpt, .pt or .safetensors file of such a network as a prior.

    Args:
        file: a flat dictionary of tensors.
        dtype: precision the network runs in.
        structure: what it must hold; by default whatever its shapes say.
        name: for records; the file's stem by default.
        url: where the file can be had, for the message if it is missing.

    Raises:
        ValueError: if the file is missing, damaged or needs code, or is another network, with the
            differences.

    Cost:
        1.0 times the file's size of memory at its peak, the network included.
    """
    found = layout(file, fetching(url, "0.45 GB", LICENCE, file) if url else ".")
    read = structure_of(found, file)
    net = convert(
        unet_config(structure or read),
        names(structure or read),
        found,
        stream(file),
        what=f"the network of {name!r}" if name else "such a network",
        where=file,
        dtype=dtype,
    )
    return as_prior(net, structure or read, name or Path(file).stem)


def as_prior(net: nn.Module, structure: Structure, name: str) -> Prior:
    """A converted network with the schedule that all of them have."""
    return UNetPrior(net, multiple=2 ** (len(structure.widths) - 1), name=name)


def structure_of(found: Mapping[str, Shape], where: object = "The state dict") -> Structure:
    """Read the structure of such a network from the shapes of its tensors.

    Raises:
        ValueError: if they are no such network.
    """
    levels = _count(found, "down.{}.block.0.norm1.weight")
    blocks = _count(found, "down.0.block.{}.norm1.weight")
    conv = "down.{}.block.0.conv1.weight"
    needed = ["temb.dense.0.weight", "conv_in.weight", *(conv.format(i) for i in range(levels))]
    if not (levels and blocks and all(len(found.get(key, ())) > 1 for key in needed)):
        reason = recognised(found, where) or f"Its first keys are {list(found)[:3]}."
        raise ValueError(
            f"{where} is no network of the original DDPM (pytorch_diffusion's names). {reason}"
        )
    return Structure(
        widths=tuple(found[conv.format(i)][0] for i in range(levels)),
        blocks=blocks,
        attention=tuple(i for i in range(levels) if f"down.{i}.attn.0.q.weight" in found),
        channels=found["conv_in.weight"][1],
    )


def _count(found: Mapping[str, Shape], key: str) -> int:
    n = 0
    while key.format(n) in found:
        n += 1
    return n


def unet_config(s: Structure) -> dict[str, object]:
    """The options of `UNet2DModel` that make such a network."""
    attends = [i in s.attention for i in range(len(s.widths))]
    return {
        "in_channels": s.channels,
        "out_channels": s.channels,
        "block_out_channels": s.widths,
        "layers_per_block": s.blocks,
        "down_block_types": tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attends),
        "up_block_types": tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
        "downsample_padding": 0,  # one row and column of zeros, below and right only
        "attention_head_dim": None,
        "norm_num_groups": 32,
        "norm_eps": 1e-6,
        "act_fn": "silu",
        "dropout": 0.0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
    }


def names(s: Structure) -> dict[str, tuple[str, ...]]:
    """Modules of such a network, and those of `UNet2DModel` that they become; ones that a network
    lacks too.
    """
    out = {
        "temb.dense.0": "time_embedding.linear_1",
        "temb.dense.1": "time_embedding.linear_2",
        "conv_in": "conv_in",
        "norm_out": "conv_norm_out",
        "conv_out": "conv_out",
    }
    for theirs, ours in _blocks(s):
        parts = (
            ATTENTION
            if ".attentions." in ours
            else {"conv": "conv"}
            if "samplers." in ours
            else RES
        )
        out |= {f"{theirs}.{a}": f"{ours}.{b}" for a, b in parts.items()}
    return {theirs: (ours,) for theirs, ours in out.items()}


def _blocks(s: Structure) -> Iterator[tuple[str, str]]:
    """Residual blocks, attention and changes of size: (theirs, ours)."""
    levels = len(s.widths)
    for i in range(levels):
        u = (
            levels - 1 - i
        )  # theirs go up by the index of the level, ours by the order of the stages
        down, up = (
            (f"down.{i}", f"down_blocks.{i}", s.blocks),
            (f"up.{i}", f"up_blocks.{u}", s.blocks + 1),
        )
        for theirs, ours, count in (down, up):
            for j in range(count):
                yield f"{theirs}.block.{j}", f"{ours}.resnets.{j}"
                if i in s.attention:
                    yield f"{theirs}.attn.{j}", f"{ours}.attentions.{j}"
        if i < levels - 1:
            yield f"down.{i}.downsample", f"down_blocks.{i}.downsamplers.0"
        if i > 0:
            yield f"up.{i}.upsample", f"up_blocks.{u}.upsamplers.0"
    yield "mid.block_1", "mid_block.resnets.0"
    yield "mid.attn_1", "mid_block.attentions.0"
    yield "mid.block_2", "mid_block.resnets.1"


#: What may stand before the colon of a prior's name: a preset, or "ddpm" for whatever the shapes
#: say.
LOADERS: dict[str, Callable[[str, torch.dtype], Prior]] = {
    "ddpm": load,
    **{
        name: partial(load, structure=structure, name=name, url=url)
        for name, (structure, url) in PRESETS.items()
    },
}
