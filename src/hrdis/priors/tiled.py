"""Large images: a prior run in overlapping tiles, blended in the noise estimate."""

import torch
from torch import Tensor

from ..operators.base import Shape
from ..operators.problem import Problem
from .base import Prediction, Prior


class Tiled(Prior):
    """Run ``prior`` on overlapping tiles and blend the noise estimates; the data term stays on the whole image.

    Where tiles overlap, their estimates are averaged with weights that fall linearly to a tile's edge, so that no
    seam is left. Tiles run one after the other (``batch`` at a time), which bounds the memory of a call.

    Args:
        prior: what runs on a tile.
        tile: side of a tile in pixels (of latents, for a prior of these); images up to this size run whole.
        overlap: how far neighbouring tiles overlap, in pixels, < tile.
        batch: tiles per network call.

    Raises:
        ValueError: if the overlap is not below the tile, or a call would hold no tile.

    Cost:
        (tile / (tile - overlap))^2 times the pixels of the image, at worst.
    """

    def __init__(self, prior: Prior, tile: int = 512, overlap: int = 64, batch: int = 1):
        super().__init__()
        if not 0 <= overlap < tile:
            raise ValueError(f"overlap is {overlap} and tile is {tile}. 0 <= overlap < tile is expected.")
        if batch < 1:
            raise ValueError(f"batch is {batch}. At least one tile per call is expected.")
        self.prior, self.tile, self.overlap, self.batch = prior, tile, overlap, batch
        self.schedule, self.channels = prior.schedule, prior.channels
        self.name, self.presets, self.latent = prior.name, prior.presets, prior.latent

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        h, w = x_t.shape[-2:]
        if h <= self.tile and w <= self.tile:
            return self.prior(x_t, t)
        eps, v, total = torch.zeros_like(x_t), torch.zeros_like(x_t), x_t.new_zeros(h, w)
        learned = False
        corners = [(top, left) for top in self._starts(h) for left in self._starts(w)]
        th, tw = min(self.tile, h), min(self.tile, w)
        window = torch.outer(self._ramp(th, h), self._ramp(tw, w)).to(x_t)
        for i in range(0, len(corners), self.batch):
            group = corners[i : i + self.batch]
            tiles = torch.cat([x_t[..., top : top + th, left : left + tw] for top, left in group])
            found = self.prior(tiles, t)
            for i, (top, left) in enumerate(group):
                here = (..., slice(top, top + th), slice(left, left + tw))
                eps[here] += window * found.eps.split(len(x_t))[i]
                total[here] += window
                if found.v is not None:
                    v[here] += window * found.v.split(len(x_t))[i]
                    learned = True
        eps = eps / total
        return Prediction(self.schedule.denoised(x_t, t, eps), eps, v / total if learned else None)

    def pull(self, problem: Problem) -> Problem:
        return self.prior.pull(problem)

    def picture(self, x: Tensor, shape: Shape) -> Tensor:
        return self.prior.picture(x, shape)

    def _starts(self, n: int) -> list[int]:
        """First pixels of the tiles along a side: evenly spread, overlapping by at least ``overlap``."""
        if n <= self.tile:
            return [0]
        count = -(-(n - self.overlap) // (self.tile - self.overlap))
        return [round(k * (n - self.tile) / (count - 1)) for k in range(count)]

    def _ramp(self, size: int, n: int) -> Tensor:
        """Weights along a tile's side: 1 in the middle, falling to nearly 0 over the overlap."""
        if n <= self.tile or self.overlap == 0:
            return torch.ones(size)
        distance = torch.arange(1, size + 1).minimum(torch.arange(size, 0, -1)).float()
        return (distance / (self.overlap + 1)).clamp(max=1)
