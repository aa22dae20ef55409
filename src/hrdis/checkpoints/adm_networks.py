"""The guided-diffusion (ADM) networks that are known by name: their architecture, and the address
of their files.

Configurations are those of the README files of openai/guided-diffusion and
openai/consistency_models.
"""

from dataclasses import dataclass, replace
from typing import Literal

QKVOrder = Literal["legacy", "new", "edm"]
Predicts = Literal["noise", "edm", "consistency"]


@dataclass(frozen=True, kw_only=True)
class ADMStructure:
    """The part of an ADM network's architecture that the shapes in its file tell.

    Args:
        channels: width of the first level, guided-diffusion's ``num_channels``.
        mult: width of each level over ``channels``, its ``channel_mult``.
        blocks: residual blocks per level, its ``num_res_blocks``.
        attention: levels with attention, counted from 0 at full size. Attention at size s of n x n
            images is level log2(n / s).
        scale_shift: time scales and shifts the second norm (``use_scale_shift_norm``), instead of
            being added.
        resblock_updown: residual blocks change the size, instead of convolutions.
        in_channels, out_channels: 6 out of 3 where the variance was learned.
        classes: how many classes it was trained with; None without.
    """

    channels: int
    mult: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    scale_shift: bool = True
    resblock_updown: bool = True
    in_channels: int = 3
    out_channels: int = 6
    classes: int | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.channels * m for m in self.mult)


@dataclass(frozen=True, kw_only=True)
class ADMNetwork:
    """A network: the architecture that shapes tell, and what its file cannot tell.

    Args:
        structure: the architecture that the shapes must tell.
        qkv_order: how the rows of ``qkv`` are stacked, (head, part, channel) "legacy", (part, head,
            channel) "new", (head, channel, part) "edm"; guided-diffusion's
            ``use_new_attention_order`` says which. The wrong one loads and gives wrong images.
        head_channels: channels per attention head, its ``num_head_channels``.
        schedule: schedule of the betas it was trained with, "linear" or "cosine".
        predicts: "noise", or a raw network behind the preconditioning of "edm" or "consistency",
            which takes 250 ln(sigma).
        image_size: side of its training pictures.
        url, size, licence: address, size and licence of its file, for messages.

    Raises:
        ValueError: if an attention level cannot be cut into heads of ``head_channels``, or the
            channels are no known combination.
    """

    structure: ADMStructure
    qkv_order: QKVOrder
    head_channels: int = 64
    schedule: Literal["linear", "cosine"] = "linear"
    predicts: Predicts = "noise"
    image_size: int | None = None
    url: str = ""
    size: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        s = self.structure
        if self.qkv_order not in ("legacy", "new", "edm"):
            raise ValueError(
                f"qkv_order is {self.qkv_order!r}. 'legacy', 'new' or 'edm' is expected."
            )
        for level in (*s.attention, -1):  # the middle attends too, at the width of the last level
            if s.widths[level] % self.head_channels:
                raise ValueError(
                    f"Attention over {s.widths[level]} channels has no heads of "
                    f"{self.head_channels}. UNet2DModel has one number of channels per head for "
                    "all levels: ADMNetwork(..., head_channels=...). A network with a fixed number "
                    "of heads at every width (num_heads=4 without num_head_channels) cannot be "
                    "expressed."
                )
        allowed = [s.in_channels]
        if self.predicts == "noise":
            allowed.append(2 * s.in_channels)
        if s.out_channels not in allowed:
            raise ValueError(
                f"The network has {s.in_channels} channels in and {s.out_channels} out. As many "
                "out as in is expected, or twice as many where a noise-predicting network learned "
                "the variance."
            )


_GUIDED = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/"
_CONSISTENCY = "https://openaipublic.blob.core.windows.net/consistency/"
_MIT = "MIT, for research by its model card"

_ADM256 = ADMStructure(channels=256, mult=(1, 1, 2, 2, 4, 4), blocks=2, attention=(3, 4, 5))
_FFHQ256 = ADMStructure(channels=128, mult=(1, 1, 2, 2, 4, 4), blocks=1, attention=(4,))
_ADM64 = ADMStructure(channels=192, mult=(1, 2, 3, 4), blocks=3, attention=(1, 2, 3), classes=1000)
_LSUN256 = replace(_ADM256, out_channels=3, scale_shift=False)


def _guided(file: str, structure: ADMStructure = _ADM256, size: str = "2.21 GB") -> ADMNetwork:
    return ADMNetwork(
        structure=structure,
        qkv_order="legacy",
        image_size=256,
        url=_GUIDED + file,
        size=size,
        licence=_MIT,
    )


def _karras(file: str, predicts: Predicts) -> ADMNetwork:
    """Describe a network of consistency_models."""
    if "imagenet64" in file:
        structure, size, side = replace(_ADM64, out_channels=3), "1.18 GB", 64
    else:
        structure, size, side = _LSUN256, "2.11 GB", 256
    return ADMNetwork(
        structure=structure,
        qkv_order="new",
        predicts=predicts,
        image_size=side,
        url=_CONSISTENCY + file,
        size=size,
        licence=_MIT,
    )


#: The networks by the scheme that loads them, which precedes the colon in `hrdis.load_prior`.
NETWORKS: dict[str, ADMNetwork] = {
    "adm-imagenet256": _guided("256x256_diffusion_uncond.pt"),
    "adm-imagenet256-cond": _guided(
        "256x256_diffusion.pt", replace(_ADM256, classes=1000), "2.22 GB"
    ),
    "adm-imagenet64-cond": ADMNetwork(
        structure=_ADM64,
        qkv_order="new",
        schedule="cosine",
        image_size=64,
        url=_GUIDED + "64x64_diffusion.pt",
        size="1.18 GB",
        licence=_MIT,
    ),
    "adm-ffhq256": ADMNetwork(
        structure=_FFHQ256,
        qkv_order="legacy",
        image_size=256,
        url="https://drive.google.com/uc?id=1BGwhRWUoguF-D8wlZ65tf227gp3cDUDh",
        size="0.37 GB",
        licence="not stated, ask the authors of DPS and ILVR",
    ),
    "adm-lsun-bedroom256": _guided("lsun_bedroom.pt"),
    "adm-lsun-cat256": _guided("lsun_cat.pt"),
    "adm-lsun-horse256": _guided("lsun_horse.pt"),
    "adm-edm-bedroom256": _karras("edm_bedroom256_ema.pt", "edm"),
    "adm-cd-bedroom256": _karras("cd_bedroom256_lpips.pt", "consistency"),
    "adm-ct-bedroom256": _karras("ct_bedroom256.pt", "consistency"),
    "adm-edm-cat256": _karras("edm_cat256_ema.pt", "edm"),
    "adm-cd-cat256": _karras("cd_cat256_lpips.pt", "consistency"),
    "adm-ct-cat256": _karras("ct_cat256.pt", "consistency"),
    "adm-edm-imagenet64-cond": _karras("edm_imagenet64_ema.pt", "edm"),
    "adm-cd-imagenet64-cond": _karras("cd_imagenet64_lpips.pt", "consistency"),
    "adm-ct-imagenet64-cond": _karras("ct_imagenet64.pt", "consistency"),
}

_HEADS = (
    "it has 4 attention heads at every width, and diffusers' UNet2DModel has one width of a head "
    "for all levels"
)
_LOW = "it sees a small picture as three further channels, and is no prior by itself"

#: Networks that `UNet2DModel` cannot express, and why.
REFUSED: dict[str, str] = {
    "adm-imagenet128-cond": _HEADS,
    "adm-imagenet512-cond": (
        "its first level is half as wide as its time embedding (0.5 x 256 beside 256), and "
        "diffusers' UNet2DModel ties the two"
    ),
    "adm-upsampler-64-256": f"{_LOW}; besides, {_HEADS}",
    "adm-upsampler-128-512": _LOW,
}
