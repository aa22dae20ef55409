"""Every random number of the library: one stream per image, named, and replayable.

A stream is a function of what names it, ``(seed, *names)``, and of nothing else. It does not depend
on the batch an image sits in, the worker that runs it, the device, or the draws of other streams.
Numbers are drawn on the CPU by numpy's PCG64, whose state is seeded with all bits of a SHA-256
digest. (torch's CPU generator keeps 32 bits of a seed, so that a hundred thousand images would
share streams.) They are drawn in float32 and cast afterwards, so that a float64 run sees the same
noise as a float32 run.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: Numbers that are drawn ahead at a time, over the whole batch, for an accelerator: 64 MB.
PIECE = 2**24
#: The same on a CPU, where they save no upload, but the warming up of caches for a small picture:
#: 1 MB.
SMALL_PIECE = 2**18


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator named ``(seed, *names)``, freshly started.

    Args:
        seed: any integer; 0 is a seed like every other.
        names: what the numbers are for, e.g. ``"measure"`` or ``("mask", 7)``.
    """
    name = (int(seed), *(n if isinstance(n, str) else int(n) for n in names))  # numpy's 7 is 7
    digest = hashlib.sha256(repr(name).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


class ImageRNG:
    """Standard normal (or uniform) noise for a batch of images, each from a stream of its own.

    Args:
        seeds: one integer per image; image i's numbers depend on ``(seeds[i], name)`` only.
        name: who draws, e.g. ``"measure"`` or ``"solve"``; differently named streams are
            independent.
        device: ``"cpu"`` (the default) gives the same numbers for every device. Another device
            draws there, faster and with other numbers, which is to be recorded with the result.

    Every upload to an accelerator makes the host wait. A source that was told how many draws to
    `expect` therefore draws ahead: the first draw alone, then the rest in pieces of 64 MB at most.
    On a CPU a piece is 1 MB at most, and pictures that fill one are drawn as they are asked for.
    The numbers are the same, since each stream is read in order.

    Example:
        >>> ImageRNG([0, 1], "doc").randn((3, 8, 8)).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self, seeds: Sequence[int], name: str, device: str | torch.device = "cpu"):
        self.seeds = tuple(int(seed) for seed in seeds)
        self.device = torch.device(device)
        self._streams = [stream(seed, name) for seed in self.seeds]
        self._expected = self._made = 0  # draws of the run: in all, and so far
        self._ahead: Tensor | None = None  # (b, n) numbers of the streams, on the batch's device
        self._taken = 0  # how many of them were handed out
        self._before: list[Any] = []  # states of the streams from which they can be drawn again
        if self.device.type != "cpu":
            self._generators = [
                torch.Generator(self.device).manual_seed(int(s.integers(2**63)))
                for s in self._streams
            ]

    def expect(self, draws: int) -> None:
        """Allow drawing ahead for a run that will make about so many draws of one shape.

        A run that makes more gets pieces as long as all it has used; one that makes a single draw
        costs no other.
        """
        self._expected, self._made = draws, 0

    def randn(self, shape: Sequence[int], like: Tensor | None = None) -> Tensor:
        """Draw N(0, 1) of shape ``(b, *shape)``, with dtype and device of ``like`` if it is
        given.
        """
        shape = tuple(shape)
        self._check(like)
        if self.device.type != "cpu":
            z = torch.stack(
                [torch.randn(shape, generator=g, device=self.device) for g in self._generators]
            )
            return z if like is None else z.to(like)
        numbers = math.prod(shape)
        if like is not None and self._expected:
            pays = like.device.type != "cpu" or self._affordable(numbers, like.device) > 1
            if pays:
                return self._from_ahead(shape, like)
        self._rewind()
        z = torch.from_numpy(self._normal(numbers)).reshape(-1, *shape)
        return z if like is None else z.to(like)

    def _affordable(self, numbers: int, device: torch.device) -> int:
        """Return how many draws of a batch fit into a piece."""
        room = SMALL_PIECE if device.type == "cpu" else PIECE
        return room // max(1, len(self.seeds) * numbers)

    def _normal(self, numbers: int) -> np.ndarray:
        """Draw (b, numbers) from the streams."""
        draws = np.empty((len(self.seeds), numbers), dtype=np.float32)
        for i, images_stream in enumerate(self._streams):
            images_stream.standard_normal(dtype=np.float32, out=draws[i])
        return draws

    def _from_ahead(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Hand out a draw of the piece that lies on the device of ``like``."""
        numbers = math.prod(shape)
        if self._ahead is not None and self._ahead.device != like.device:
            self._rewind()
        self._made += 1
        left = 0 if self._ahead is None else self._ahead.shape[1] - self._taken
        if left < numbers:
            self._rewind()  # a remainder, where draws differ in shape, is drawn anew
            draws = 1
            if 1 < self._made <= self._expected:
                draws = self._expected - self._made + 1
            elif self._made > self._expected:
                draws = self._made - 1
            draws = max(1, min(draws, self._affordable(numbers, like.device)))
            self._before = [s.bit_generator.state for s in self._streams]
            piece = self._normal(draws * numbers)
            self._ahead = torch.from_numpy(piece).to(like.device)
        assert self._ahead is not None
        z = self._ahead[:, self._taken : self._taken + numbers]
        self._taken += numbers
        # A clone: what the solver writes into must be laid out as any other tensor, and must not
        # keep the whole piece.
        return z.clone(memory_format=torch.contiguous_format).reshape(-1, *shape).to(like)

    def _rewind(self) -> None:
        """Forget what was drawn ahead and not handed out; the streams go on from there."""
        if self._ahead is None:
            return
        if self._taken < self._ahead.shape[1]:
            for images_stream, state in zip(self._streams, self._before, strict=True):
                images_stream.bit_generator.state = state
            self._normal(self._taken)
        self._ahead, self._taken = None, 0

    def randn_like(self, x: Tensor) -> Tensor:
        """Draw N(0, 1) of the shape, dtype and device of ``x``, whose first axis is the image."""
        return self.randn(x.shape[1:], like=x)

    def rand(self, shape: Sequence[int], like: Tensor | None = None) -> Tensor:
        """Draw U[0, 1) of shape ``(b, *shape)`` for the batch ``like``.

        It is float64 with 53 random bits, left on the CPU. It is neither cast nor moved, because a
        float32 of 1 - 1e-9 is 1, which no quantile function takes, and not every device knows
        float64. A source that draws on another device leaves them there.
        """
        self._check(like)
        if self._ahead is not None:
            # Uniform numbers come between the normal ones of the same stream: whoever asks for
            # both cannot have the normal ones ahead.
            self._rewind()
            self._expected = 0
        if self.device.type == "cpu":
            return torch.stack([torch.from_numpy(s.random(tuple(shape))) for s in self._streams])
        where = self.device
        return torch.stack(
            [
                torch.rand(tuple(shape), generator=g, dtype=torch.float64, device=where)
                for g in self._generators
            ]
        )

    def _check(self, like: Tensor | None) -> None:
        if like is not None and len(like) != len(self.seeds):
            raise ValueError(
                f"The batch holds {len(like)} images, but this generator has {len(self.seeds)} "
                f"seeds. One seed per image is expected: ImageRNG(seeds=range({len(like)}), "
                "name=...)."
            )


class Replay:
    """Recorded draws handed out in order, to compare two implementations on the same noise.

    Args:
        draws: tensors (or arrays) in the order in which the solver asks for them, the image axis
            first.

    Raises:
        ValueError: when a draw of another shape is asked for, when none is left, and from ``close``
            when draws are left over.
    """

    def __init__(self, draws: Iterable[Tensor | np.ndarray]):
        self._draws = [torch.as_tensor(z) for z in draws]
        self._used = 0

    def randn(self, shape: Sequence[int], like: Tensor | None = None) -> Tensor:
        """Hand out the next recorded draw, which must have the shape ``(b, *shape)``."""
        z = self._next(shape, like)
        return z if like is None else z.to(like)

    def rand(self, shape: Sequence[int], like: Tensor | None = None) -> Tensor:
        """Hand out the next recorded draw, in [0, 1), in float64 and where it was recorded."""
        return self._next(shape, like).double()

    def _next(self, shape: Sequence[int], like: Tensor | None) -> Tensor:
        if self._used == len(self._draws):
            raise ValueError(
                f"The solver asked for draw {self._used + 1}, but only {len(self._draws)} were "
                "recorded. Record one tensor per draw, in the order the solver's docstring gives."
            )
        z = self._draws[self._used]
        batch = len(z) if like is None else len(like)
        if tuple(z.shape) != (batch, *shape):
            raise ValueError(
                f"Draw {self._used + 1} has shape {tuple(z.shape)}, but the solver asked for "
                f"{(batch, *shape)}. Check the order of the recorded draws."
            )
        self._used += 1
        return z

    def randn_like(self, x: Tensor) -> Tensor:
        """Hand out the next recorded draw, which must have the shape of ``x``."""
        return self.randn(x.shape[1:], like=x)

    def close(self) -> None:
        """Raise unless every recorded draw was used."""
        if self._used != len(self._draws):
            raise ValueError(
                f"{len(self._draws) - self._used} of {len(self._draws)} recorded draws were never "
                "used. The solver makes fewer draws with these settings: check steps= and times=."
            )


def noise_source(
    seeds: Sequence[int] | None, rng: ImageRNG | Replay | None, batch: int, name: str
) -> ImageRNG | Replay:
    """Return the noise source of a run, which is a source as it is, or one stream per seed.

    Raises:
        TypeError, ValueError: unless there is one seed per image, or a source instead.
    """
    if rng is not None and seeds is None:
        if not hasattr(rng, "randn_like"):
            raise TypeError(
                f"rng is of type {type(rng).__name__}. A source of noise is expected: "
                "rng=hrdis.rng.Replay([...])."
            )
        return rng
    if seeds is None or rng is not None:
        raise ValueError(
            f"Either seeds or rng is expected, and {'none' if seeds is None else 'both'} was "
            f"given. Give one seed per image: seeds=range({batch})."
        )
    if (
        not hasattr(seeds, "__getitem__")
        or isinstance(seeds, str)
        or getattr(seeds, "ndim", 1) == 0
    ):
        raise TypeError(
            f"seeds is {seeds!r}. One seed per image is expected: seeds=range({batch})."
        )
    # The length first: every number of a range of a million million would be looked at.
    if len(seeds) != batch:
        raise ValueError(
            f"seeds has {len(seeds)} entries for a batch of {batch}. Give one seed per image: "
            f"seeds=range({batch})."
        )
    if not all(hasattr(seed, "__index__") for seed in seeds):
        raise TypeError(
            f"seeds is {seeds!r}. Whole numbers are expected, one per image: seeds=range({batch})."
        )
    return ImageRNG(seeds, name)
