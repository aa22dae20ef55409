"""Network of the embedded prior, a small U-Net in plain torch for images of any size.

It predicts v.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..schedule import Schedule

FREQUENCIES = 32  # of the time embedding; each gives a sine and a cosine
GROUPS = 8  # of every group norm


class ResidualBlock(nn.Module):
    """Residual block whose features are scaled and shifted by the noise level.

        x + conv2(silu((1 + g) * conv1(norm(x)) + b)),   (g, b) = modulation(embedding)

    Args:
        channels: of its input and output, a multiple of 8.
        embedding: length of the time embedding.
    """

    def __init__(self, channels: int, embedding: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        g, b = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(self.norm(x))
        h = F.silu(torch.addcmul(b, h, 1 + g))
        return x + self.conv2(h)


class Stage(nn.ModuleList):
    """Residual blocks one after the other, at one resolution."""

    def __init__(self, channels: int, count: int, embedding: int):
        super().__init__(ResidualBlock(channels, embedding) for _ in range(count))

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        for block in self:
            h = block(h, embedding)
        return h


class TimeEmbedding(nn.Module):
    """Embedding of a time: sines and cosines of its noise level ln(sigma_t / alpha_t), then two
    linear layers.

    Args:
        length: of the embedding.
    """

    def __init__(self, length: int):
        super().__init__()
        self.linear1 = nn.Linear(2 * FREQUENCIES, length)
        self.linear2 = nn.Linear(length, length)

    def forward(self, t: Tensor) -> Tensor:
        phase = _phases(t.device)[t.long()]
        waves = torch.cat([phase.sin(), phase.cos()], dim=1).to(self.linear1.weight.dtype)
        return F.silu(self.linear2(F.silu(self.linear1(waves))))


def _phase_table() -> Tensor:
    """Return frequency x ln(sigma_t / alpha_t) for every time of the linear schedule: float32
    ``(1000, 32)``.
    """
    alpha_bar = Schedule.linear().alpha_bar
    log_sigma = 0.5 * torch.log((1 - alpha_bar) / alpha_bar)
    frequencies = torch.linspace(-1.5, 2.0, FREQUENCIES, dtype=torch.float64, device="cpu").exp()
    return (log_sigma[:, None] * frequencies).float()


# Not a buffer: it stays float32 when the network is cast to half precision, where a phase of 30 is
# rounded to 0.02.
PHASES = _phase_table()


@lru_cache(maxsize=8)
def _phases(device: torch.device) -> Tensor:
    return PHASES.to(device)


class SmallUNet(nn.Module):
    """Fully convolutional U-Net that predicts v = alpha_t eps - sigma_t x0 for pixels in [-1, 1].

    ``pixel_unshuffle`` turns 3 channels into 12 at half the sides, which spares the costly full
    resolution; every level below halves the sides again. Skips are added. There is no attention, so
    that any image size works.

    Args:
        channels: of each level, the finest first; multiples of 8.
        blocks: residual blocks of each level but the coarsest, on the way down and again on the way
            up.
        middle: residual blocks of the coarsest level.
        embedding: length of the time embedding.

    Cost:
        326 thousand multiplications and additions a pixel with the default settings, 1.98 million
        parameters.
    """

    def __init__(
        self,
        channels: Sequence[int] = (64, 96),
        blocks: int = 2,
        middle: int = 8,
        embedding: int = 128,
    ):
        super().__init__()
        self.channels, self.blocks = tuple(channels), blocks
        self.middle_blocks, self.embedding = middle, embedding
        finer = self.channels[:-1]
        steps = list(pairwise(self.channels))
        self.time = TimeEmbedding(embedding)
        self.conv_in = nn.Conv2d(12, self.channels[0], 3, padding=1)
        self.encoder = nn.ModuleList(Stage(width, blocks, embedding) for width in finer)
        self.downsample = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps
        )
        self.middle = Stage(self.channels[-1], middle, embedding)
        self.upsample = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in steps)
        self.decoder = nn.ModuleList(Stage(width, blocks, embedding) for width in finer)
        self.conv_out = nn.Conv2d(self.channels[0], 12, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Predict v.

        Args:
            x: (b, 3, h, w), images diffused to their times; sides are multiples of `multiple`.
            t: (b,), whole numbers from 0 to 999.

        Returns:
            v, of the shape of x.
        """
        embedding = self.time(t)
        h = self.conv_in(_channels_last(F.pixel_unshuffle(x, 2)))
        skips = []
        for stage, downsample in zip(self.encoder, self.downsample, strict=True):
            h = stage(h, embedding)
            skips.append(h)
            h = downsample(h)
        h = self.middle(h, embedding)
        for level in reversed(range(len(self.decoder))):
            h = _channels_last(F.pixel_shuffle(self.upsample[level](h), 2)) + skips[level]
            h = self.decoder[level](h, embedding)
        # pixel_shuffle in one copy, to a contiguous picture: the function of torch keeps the
        # channels last, which takes twice as long.
        h = self.conv_out(h).permute(0, 2, 3, 1)
        pixels = h.reshape(*h.shape[:3], 3, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return pixels.reshape(x.shape)

    @property
    def multiple(self) -> int:
        """Number that the sides of images must be multiples of."""
        return int(2 ** len(self.channels))

    @property
    def config(self) -> dict[str, Any]:
        """Configuration that `from_config` rebuilds the network from, without its weights."""
        return {
            "_class_name": type(self).__name__,
            "channels": list(self.channels),
            "blocks": self.blocks,
            "middle": self.middle_blocks,
            "embedding": self.embedding,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "SmallUNet":
        """Build the network that a config.json describes.

        Raises:
            ValueError: if it describes no such network.
        """
        channels: Any = config.get("channels")
        found = {name: config.get(name) for name in ("blocks", "middle", "embedding")}
        valid = isinstance(channels, list | tuple) and len(channels) > 0
        if valid:
            for number in (*channels, *found.values()):
                valid = valid and type(number) is int and number > 0
            valid = valid and not any(width % GROUPS for width in channels)
        if not valid:
            raise ValueError(
                f"The folder's config.json describes no SmallUNet: channels {channels!r}, {found}. "
                "Whole numbers above "
                f'0 are expected, and channels that are multiples of {GROUPS}: "channels": [64, '
                '96], "blocks": 2, '
                '"middle": 8, "embedding": 128.'
            )
        return cls(channels, config["blocks"], config["middle"], config["embedding"])


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
