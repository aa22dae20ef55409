"""Networks of the original DDPM, with the names that pytorch_diffusion gave their weights, as
diffusers' `UNet2DModel`.

These are the CelebA-HQ and LSUN files of DDRM, DDNM, DDIM and SDEdit. Their shapes say everything
about them, because all have one attention head and linear betas, and predict noise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ..priors.base import Prior
from ..priors.unet import UNetPrior
from .layouts import Shape, identify_checkpoint
from .unet import convert
from .weights import download_hint, iterate_tensors, tensor_shapes

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
class DDPMStructure:
    """Architecture of such a network; the shapes in a file tell all of it.

    Args:
        widths: channels of each level.
        blocks: residual blocks per level.
        attention: levels with attention, counted from 0 at full size.
        channels: channels of the image.
    """

    widths: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    channels: int = 3


_256 = DDPMStructure(widths=(128, 128, 256, 256, 512, 512), blocks=2, attention=(4,))
_HEIDELBERG = "https://heibox.uni-heidelberg.de/f/{}/?dl=1"

LICENCE = "not stated with the files, ask the authors"

#: Architecture and address of the networks, by the scheme that precedes the colon in
#: `hrdis.load_prior`.
NETWORKS: dict[str, tuple[DDPMStructure, str]] = {
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
    structure: DDPMStructure | None = None,
    name: str = "",
    url: str = "",
) -> Prior:
    """Read a .ckpt, .pt or .safetensors file of such a network as a prior.

    Args:
        file: a flat dictionary of tensors.
        dtype: precision the network runs in.
        structure: the architecture that is expected; by default the one that its shapes tell.
        name: name for records; the file's stem by default.
        url: address of the file, for the message if it is missing.

    Raises:
        ValueError: if the file is missing, damaged or needs code, or is another network, with the
            differences.

    Cost:
        1.0 times the file's size of memory at its peak, the network included.
    """
    hint = download_hint(url, "0.45 GB", LICENCE, file) if url else "."
    found = tensor_shapes(file, hint)
    by_shapes = structure_of(found, file)
    structure = structure or by_shapes
    net = convert(
        unet_config(structure),
        module_names(structure),
        found,
        iterate_tensors(file),
        expected=f"the network of {name!r}" if name else "such a network",
        where=file,
        dtype=dtype,
    )
    multiple = 2 ** (len(structure.widths) - 1)
    return UNetPrior(net, multiple=multiple, name=name or Path(file).stem)


def structure_of(found: Mapping[str, Shape], where: object = "The state dict") -> DDPMStructure:
    """Read the structure of such a network from the shapes of its tensors.

    Raises:
        ValueError: if they are no such network.
    """
    levels = _count(found, "down.{}.block.0.norm1.weight")
    blocks = _count(found, "down.0.block.{}.norm1.weight")
    widths, attention = [], []
    try:
        if not blocks or len(found["temb.dense.0.weight"]) < 2:
            raise KeyError("temb.dense.0.weight")
        for level in range(levels):
            widths.append(found[f"down.{level}.block.0.conv1.weight"][0])
            if f"down.{level}.attn.0.q.weight" in found:
                attention.append(level)
        channels = found["conv_in.weight"][1]
    except (KeyError, IndexError):
        reason = identify_checkpoint(found, where) or f"Its first keys are {list(found)[:3]}."
        raise ValueError(
            f"{where} is no network of the original DDPM (pytorch_diffusion's names). {reason}"
        ) from None
    return DDPMStructure(
        widths=tuple(widths), blocks=blocks, attention=tuple(attention), channels=channels
    )


def _count(found: Mapping[str, Shape], key: str) -> int:
    """Count the modules 0, 1, 2, ... that a file has."""
    n = 0
    while key.format(n) in found:
        n += 1
    return n


def unet_config(s: DDPMStructure) -> dict[str, object]:
    """Return the options of `UNet2DModel` that make such a network."""
    down: list[str] = []
    up: list[str] = []
    for level in range(len(s.widths)):
        attends = level in s.attention
        down.append("AttnDownBlock2D" if attends else "DownBlock2D")
        up.insert(0, "AttnUpBlock2D" if attends else "UpBlock2D")
    return {
        "in_channels": s.channels,
        "out_channels": s.channels,
        "block_out_channels": s.widths,
        "layers_per_block": s.blocks,
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
        "downsample_padding": 0,  # one row and column of zeros, below and right only
        "attention_head_dim": None,
        "norm_num_groups": 32,
        "norm_eps": 1e-6,
        "act_fn": "silu",
        "dropout": 0.0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
    }


def module_names(s: DDPMStructure) -> dict[str, tuple[str, ...]]:
    """Map the modules of such a network to those of `UNet2DModel` that they become.

    Some names are of modules that a network of this kind may lack, such as a shortcut.
    """
    names: dict[str, tuple[str, ...]] = {
        "temb.dense.0": ("time_embedding.linear_1",),
        "temb.dense.1": ("time_embedding.linear_2",),
        "conv_in": ("conv_in",),
        "norm_out": ("conv_norm_out",),
        "conv_out": ("conv_out",),
    }
    blocks = []  # residual blocks, attention and resampling, in DDPM and in diffusers
    levels = len(s.widths)
    for i in range(levels):
        # On the way up DDPM counts levels from the finest, diffusers stages from the coarsest.
        u = levels - 1 - i
        sides = (
            (f"down.{i}", f"down_blocks.{i}", s.blocks),
            (f"up.{i}", f"up_blocks.{u}", s.blocks + 1),
        )
        for ddpm, unet, count in sides:
            for j in range(count):
                blocks.append((f"{ddpm}.block.{j}", f"{unet}.resnets.{j}"))
                if i in s.attention:
                    blocks.append((f"{ddpm}.attn.{j}", f"{unet}.attentions.{j}"))
        if i < levels - 1:
            blocks.append((f"down.{i}.downsample", f"down_blocks.{i}.downsamplers.0"))
        if i > 0:
            blocks.append((f"up.{i}.upsample", f"up_blocks.{u}.upsamplers.0"))
    blocks.append(("mid.block_1", "mid_block.resnets.0"))
    blocks.append(("mid.attn_1", "mid_block.attentions.0"))
    blocks.append(("mid.block_2", "mid_block.resnets.1"))
    for ddpm, unet in blocks:
        parts = RES
        if ".attentions." in unet:
            parts = ATTENTION
        elif "samplers." in unet:
            parts = {"conv": "conv"}
        for part, unet_part in parts.items():
            names[f"{ddpm}.{part}"] = (f"{unet}.{unet_part}",)
    return names


#: Loaders by scheme: the name of a network, or "ddpm" to go by the shapes.
LOADERS: dict[str, Callable[[str, torch.dtype], Prior]] = {"ddpm": load}
for _name, (_structure, _url) in NETWORKS.items():
    LOADERS[_name] = partial(load, structure=_structure, name=_name, url=_url)
