"""Large images: a prior that runs in overlapping tiles, whose noise estimates are blended."""

import warnings
import weakref
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from ..messages import level_outside
from .base import Prediction, Prior, WrappedPrior
from .unet import pad

SHARE = 0.8  # of the free memory of a device that tiles may take
# what a call takes over its live tensors, for workspaces: 1.4 to 1.65 measured
SCRATCH = 1.8
# Tiles in a call on a GPU, at most: more make it no faster. So the number, on which the last bits
# of a prediction depend, is the same on all GPUs that are not short of memory.
MOST_TILES = 16


class Tiled(WrappedPrior):
    """Prior that runs another one on overlapping tiles and blends the noise estimates; the data
    term stays on the whole image.

    Where tiles overlap, their estimates are averaged with weights that fall linearly to a tile's
    edge, so that no seam is left. Tiles run a few at a time, which bounds the memory of a call.

    Tiles are fitted to the image. A side of n pixels that is longer than a tile takes the fewest
    tiles that overlap enough, k = ceil((n - overlap) / (tile - overlap)). These are as small as the
    overlap allows, (n + (k - 1) overlap) / k pixels. Everything is rounded to multiples of
    ``prior.multiple``, and the image is padded to one by reflection, as the network itself does. A
    network that halves its resolution gives the same estimate for an image moved by such a
    multiple. For an image moved by a pixel it gives another one.

    With ``memory`` the tensors that one tile keeps alive are counted in its first call, and as many
    tiles of all images run at once as fit. Where the caller differentiates, calls are repeated in
    the backward pass, so that only one call's activations are kept.

    Args:
        prior: the prior that runs on a tile.
        tile: largest side of a tile in pixels (of latents, for a prior of these); images up to
            this size run whole.
        overlap: least overlap of neighbouring tiles in pixels, < tile.
        batch: tiles of every image per network call; unused with ``memory``.
        memory: bytes that a call may take beside the weights and the whole images, or "free" for
            0.8 of the free memory of the CUDA device (no effect on other devices). A whole image
            that fits a tile is not split.
        on_tiles: called after every network call on some of the tiles with how many are done, and
            how many there are; not for images that run whole.

    Raises:
        ValueError: if the overlap is not below the tile, a call would hold no tile, or (when
            called) one tile takes more than ``memory``.

    With "free" the number of tiles in a call is a power of two, at most 16, and chosen once for
    each shape: what other processes take meanwhile changes no bit of a run, but where memory has
    run out, which halves the number from then on, with a warning.

    Cost:
        at most 1.35 times the pixels of the image with the default tiles and a multiple of 8 or
        less, 1.31 for large images, (tile / (tile - overlap))^2 for those of other tiles; with
        ``memory`` one call on one tile more, once per shape, and a second forward pass where
        gradients are asked for.
    """

    def __init__(
        self,
        prior: Prior,
        tile: int = 512,
        overlap: int = 64,
        batch: int = 1,
        memory: float | Literal["free"] | None = None,
        on_tiles: Callable[[int, int], object] | None = None,
    ):
        super().__init__(prior)
        if not 0 <= overlap < tile:
            raise ValueError(
                f"overlap is {overlap} and tile is {tile}. 0 <= overlap < tile is expected."
            )
        if batch < 1:
            raise ValueError(f"batch is {batch}. At least one tile per call is expected.")
        if memory is not None and memory != "free" and not memory > 0:
            raise ValueError(
                f"memory is {memory}. A positive number of bytes is expected: Tiled(prior, "
                "memory=2e9)."
            )
        self.tile, self.overlap, self.batch, self.memory = tile, overlap, batch, memory
        self.on_tiles = on_tiles
        self._bytes: dict[tuple[object, ...], int] = {}  # of a call on one tile, by its shape
        self._chosen: dict[tuple[object, ...], int] = {}  # tiles in a call, by the shape of one

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        h, w = x_t.shape[-2:]
        if h <= self.tile and w <= self.tile:
            return self.prior(x_t, t)
        th, tops = self.layout(h)
        tw, lefts = self.layout(w)
        padded = pad(x_t, tops[-1] + th - h, lefts[-1] + tw - w)
        eps, v = torch.zeros_like(padded), None
        total = x_t.new_zeros(padded.shape[-2:])
        window = torch.outer(self._ramp(th, h), self._ramp(tw, w)).to(x_t)
        places = []
        for top in tops:
            for left in lefts:
                rows, columns = slice(top, top + th), slice(left, left + tw)
                total[rows, columns] += window
                for i in range(len(x_t)):
                    places.append((i, rows, columns))
        one = padded[:1, :, :th, :tw]
        n = self._tiles_per_call(one, t, len(x_t))
        done = 0
        while done < len(places):
            group = places[done : done + n]
            tiles = torch.stack([padded[i, :, rows, columns] for i, rows, columns in group])
            try:
                if self.memory is None or not (torch.is_grad_enabled() and tiles.requires_grad):
                    answer = self.prior(tiles, t)
                else:  # activations are computed again for gradients
                    answer = checkpoint(
                        self.prior, tiles, t, use_reentrant=False, preserve_rng_state=False
                    )
            except torch.OutOfMemoryError:
                if len(group) == 1 or self.memory != "free":
                    raise
                n = self._chosen[self._key(one)] = len(group) // 2
                warnings.warn(
                    f"{len(group)} tiles at once take more memory than is free now; going on with "
                    f"{n} at once.",
                    stacklevel=level_outside(),
                )
                continue
            found = Prediction.of(answer, self.name)
            done += len(group)
            for j, (i, rows, columns) in enumerate(group):
                eps[i, :, rows, columns] += window * found.eps[j]
                if found.v is not None:
                    v = torch.zeros_like(padded) if v is None else v
                    v[i, :, rows, columns] += window * found.v[j]
            if self.on_tiles is not None:
                self.on_tiles(done, len(places))
        # In place, since a large picture has room for few copies of itself.
        eps = eps.div_(total)[..., :h, :w]
        v = None if v is None else v.div_(total)[..., :h, :w]
        return Prediction(self.schedule.denoised(x_t, t, eps), eps, v)

    # ---- how many tiles at once -----------------------------------------------------------------

    def _tiles_per_call(self, tile: Tensor, t: int, images: int) -> int:
        """Return the number of tiles in one call, counted over all images."""
        if self.memory is None or (self.memory == "free" and tile.device.type != "cuda"):
            return self.batch * images
        key = self._key(tile)
        if key in self._chosen:
            return self._chosen[key]
        if key not in self._bytes:
            peak = self._peak_bytes(tile, t, differentiate=bool(key[-1]))
            self._bytes[key] = max(1, int(SCRATCH * peak))
        allowed = free_memory(tile.device) if self.memory == "free" else self.memory
        if self._bytes[key] > allowed:
            h, w = tile.shape[-2:]
            raise ValueError(
                f"A tile of {h} x {w} takes about {self._bytes[key] / 1e6:.0f} MB, but "
                f"{allowed / 1e6:.0f} MB are allowed. Smaller tiles or more memory are expected: "
                f"Tiled(prior, tile={self.tile // 2}, memory={self._bytes[key]:.2g})"
            )
        number = int(allowed // self._bytes[key])
        if self.memory == "free":
            number = self._chosen[key] = 1 << (min(number, MOST_TILES).bit_length() - 1)
        return number

    def _key(self, tile: Tensor) -> tuple[object, ...]:
        """Return what the memory of a call on one tile depends on; whether it is differentiated
        comes last.
        """
        differentiate = torch.is_grad_enabled() and tile.requires_grad
        return (*tile.shape, tile.dtype, tile.device, differentiate)

    def _peak_bytes(self, tile: Tensor, t: int, differentiate: bool) -> int:
        """Measure the peak bytes of live tensors in one call on one tile, with its backward pass if
        asked for.
        """
        x = tile.detach().clone().requires_grad_(differentiate)
        with LiveBytes() as live:
            found = self.prior(x, t)
            if differentiate:
                torch.autograd.grad(found[1].sum(), x)
        return live.most

    def layout(self, n: int) -> tuple[int, list[int]]:
        """Return the side of the tiles along a side of n pixels, and the first pixel of each.

        All tiles have the same side, are evenly spread, and overlap by at least ``overlap``. The
        last one ends at n, or behind it, where n is no multiple of ``prior.multiple``.
        """
        if n <= self.tile:
            return n, [0]
        # From here on everything is counted in cells of the network's grid.
        cell = self.multiple
        most, overlap = self.tile // cell, -(-self.overlap // cell)
        if most <= overlap:  # so small a tile cannot keep to the grid
            cell, most, overlap = 1, self.tile, self.overlap
        cells = -(-n // cell)
        count = -(-(cells - overlap) // (most - overlap))
        side = -(-(cells + (count - 1) * overlap) // count)
        starts = [k * (cells - side) // (count - 1) * cell for k in range(count)]
        return side * cell, starts

    def _ramp(self, size: int, n: int) -> Tensor:
        """Return weights along a tile's side, 1 in the middle and almost 0 at its ends."""
        if n <= self.tile or self.overlap == 0:
            return torch.ones(size, device="cpu")
        distance = torch.arange(1, size + 1, device="cpu").float()
        distance = distance.minimum(distance.flip(0))
        return (distance / (self.overlap + 1)).clamp(max=1)


def free_memory(device: torch.device) -> float:
    """Return the bytes of a CUDA device that tiles may take now."""
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return SHARE * (torch.cuda.mem_get_info(device)[0] + cached)


class LiveBytes(TorchDispatchMode):
    """Counter of the bytes of the tensors that operations make and that are not freed yet.

    Args:
        now: bytes at the moment.
        most: the largest value of ``now``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        # Views and results in place have the storage of an argument: no new memory.
        known = set(self._seen)
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor):
                known.add(value.untyped_storage()._cdata)
        for value in tree_leaves(out):
            if isinstance(value, Tensor) and value.untyped_storage()._cdata not in known:
                storage = value.untyped_storage()
                known.add(storage._cdata)
                self._seen.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        self.most = max(self.most, self.now)
        return out

    def _freed(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size
