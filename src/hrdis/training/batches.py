"""The batches of a run, each a pure function of the settings, the step number and the side of its
patches.

Therefore a resumed run sees the batches an uninterrupted one would have seen, and any number of
processes may prepare batches in any order. Noise levels follow ln(sigma_t / alpha_t) ~ Normal(-1.2,
1.5). Half of them lie within a factor of 2.8 of 0.30, where the quality of a restoration is
decided. One time in twenty is drawn evenly from all. Otherwise the highest levels, where runs from
pure noise begin, would hardly ever be seen.
"""

import itertools
import shutil
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import NormalDist
from zlib import crc32

import numpy as np

from ..rng import stream
from ..schedule import Schedule
from .crops import Cropper, Pyramid, cut, random_flip
from .procedural import paint
from .settings import TrainSettings

CACHE = ".cache"  # folder in which processes share photographs and procedural images
LOG_SIGMA = NormalDist(mu=-1.2, sigma=1.5)
EVENLY = 0.05  # share of the times drawn evenly from all of them


def time_probabilities(schedule: Schedule) -> np.ndarray:
    """Return the probability of each time t.

    It is the mass of `LOG_SIGMA` that lies nearest to ln(sigma_t / alpha_t), and a share `EVENLY`
    of all times alike.
    """
    alpha_bar = schedule.alpha_bar.numpy()
    log_sigma = 0.5 * np.log((1 - alpha_bar) / alpha_bar)
    # Halfway between neighbours: what lies beyond the first and last time falls to these.
    borders = 0.5 * (log_sigma[1:] + log_sigma[:-1])
    nearest = np.diff([0.0, *(LOG_SIGMA.cdf(border) for border in borders), 1.0])
    return (1 - EVENLY) * nearest + EVENLY / len(nearest)


def draw_times(rng: np.random.Generator, count: int, probabilities: np.ndarray) -> np.ndarray:
    """Draw times from these probabilities, one from each of ``count`` equally likely strata, in
    random order.

    Each time has the right distribution; together they are spread evenly, which steadies the loss.
    """
    quantiles = (np.arange(count) + rng.random(count)) / count
    times = np.searchsorted(np.cumsum(probabilities), quantiles, side="right")
    return rng.permutation(np.minimum(times, len(probabilities) - 1)).astype(np.int64)


@dataclass(frozen=True)
class Batch:
    """One batch.

    Args:
        x0: uint8 ``(b, h, w, 3)``, the clean images.
        t: int64 ``(b,)``, their noise levels as times.
        eps: float32 ``(b, 3, h, w)``, unit noise.
    """

    x0: np.ndarray
    t: np.ndarray
    eps: np.ndarray


class ProceduralPool:
    """Procedural images, painted on first use and kept; image i is a function of the seed and of i.

    Args:
        pyramid: photographs whose colours are used.
        side: side of the images in pixels.
        seed: the run's.
        images: uint8 ``(count, side, side, 3)`` to keep them in.
        painted: int64 ``(count,)``, 0 for what is not there yet, else `checksum` of the image.
            Processes may share both arrays, because two that paint the same image write the same
            bytes.
    """

    def __init__(
        self, pyramid: Pyramid, side: int, seed: int, images: np.ndarray, painted: np.ndarray
    ):
        self._pyramid, self._side, self._seed = pyramid, side, seed
        self._images, self._painted = images, painted

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> np.ndarray:
        # No flag, but a sum: a processor may show what another process wrote last before what it
        # wrote first (ARM does), and an image that is not whole must not be trained on.
        image = np.array(self._images[i])
        if self._painted[i] != checksum(image):
            rng = stream(self._seed, "procedural", i)
            image = paint(rng, self._side, self._pyramid.palette(rng))
            self._images[i] = image
            self._painted[i] = checksum(image)
        return image


def checksum(image: np.ndarray) -> int:
    """Return a number above 0 by which an image that is not whole is known."""
    return 1 + crc32(np.ascontiguousarray(image).data)


class BatchMaker:
    """Maker of the batch of any step.

    Args:
        settings: of the run.
        pyramid: the photographs to train on.
        pool: where procedural images are kept: arrays as in `ProceduralPool`; in memory if not
            given.
    """

    def __init__(
        self,
        settings: TrainSettings,
        pyramid: Pyramid,
        pool: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        self._settings = settings
        self._croppers = {side: Cropper(pyramid, side) for side in settings.patches}
        side, size = max(settings.patches), settings.procedural_pool
        images, painted = pool or (
            np.zeros((size, side, side, 3), np.uint8),
            np.zeros(size, np.int64),
        )
        self._pool = ProceduralPool(pyramid, side, settings.seed, images, painted)
        self._probabilities = time_probabilities(Schedule.linear())

    def __call__(self, step: int, patch: int, count: int) -> Batch:
        """Return the batch of a step, ``count`` images of ``patch`` x ``patch`` pixels."""
        rng = stream(self._settings.seed, "batch", step)
        x0 = []
        for procedural in rng.random(count) < self._settings.procedural:
            if procedural:
                picture = self._pool[int(rng.integers(len(self._pool)))]
                x0.append(random_flip(rng, cut(rng, picture, patch)))
            else:
                x0.append(self._croppers[patch](rng))
        return Batch(
            x0=np.ascontiguousarray(np.stack(x0)),
            t=draw_times(rng, count, self._probabilities),
            eps=rng.standard_normal((count, 3, patch, patch), dtype=np.float32),
        )


Stage = Callable[[int], tuple[int, int]]


def batches(
    settings: TrainSettings, pyramid: Pyramid, first: int, stage: Stage, out: Path
) -> Generator[Batch, None, None]:
    """Yield the batches from step ``first`` on without end, prepared ahead by ``settings.workers``
    processes.

    Without workers a thread prepares them while the network computes.

    Args:
        settings: of the run.
        pyramid: the photographs to train on.
        first: the first step.
        stage: says side and number of the patches of a step.
        out: the run folder; what the processes share is kept in it while they run.

    Raises:
        RuntimeError: if a process is killed.
    """
    if settings.workers == 0:
        with ThreadPoolExecutor(1) as thread:
            yield from _ahead(thread, BatchMaker(settings, pyramid), 1, first, stage)
    cache = out / CACHE
    cache.mkdir()
    try:
        # Photographs, and room for procedural images, in files that processes map into memory.
        np.save(cache / "pixels.npy", pyramid.pixels)
        side = max(settings.patches)
        shape = (settings.procedural_pool, side, side, 3)
        for name, dtype, sizes in (("images", np.uint8, shape), ("painted", np.int64, shape[:1])):
            file = cache / f"{name}.npy"
            np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=sizes).flush()
        table = (pyramid.sizes, pyramid.sources, pyramid.weights)
        with ProcessPoolExecutor(
            settings.workers,
            get_context("spawn"),  # a forked process would inherit CUDA and torch's threads
            initializer=_start,
            initargs=(settings, table, cache),
        ) as processes:
            yield from _ahead(processes, _make, 2 * settings.workers, first, stage)
    except BrokenProcessPool as error:
        raise RuntimeError(
            "A process that prepares batches was killed, perhaps for lack of memory, or could not "
            "start because the calling script has no `if __name__ == '__main__':`. The last "
            "checkpoint is intact: run the same command again, with fewer than workers = "
            f"{settings.workers} if it happens again."
        ) from error
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def _ahead(
    executor: Executor, make: Callable[[int, int, int], Batch], count: int, first: int, stage: Stage
) -> Generator[Batch, None, None]:
    """Yield what ``make`` makes of each step, while ``count`` further batches are being made."""
    pending: deque[Future[Batch]] = deque()
    try:
        for step in itertools.count(first):
            pending.append(executor.submit(make, step, *stage(step)))
            if len(pending) > count:
                yield pending.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


_maker: BatchMaker | None = None  # of a process that prepares batches


def _start(
    settings: TrainSettings, table: tuple[np.ndarray, np.ndarray, np.ndarray], cache: Path
) -> None:
    global _maker
    pyramid = Pyramid(np.load(cache / "pixels.npy", mmap_mode="r"), *table)
    pool = (
        np.load(cache / "images.npy", mmap_mode="r+"),
        np.load(cache / "painted.npy", mmap_mode="r+"),
    )
    _maker = BatchMaker(settings, pyramid, pool)


def _make(step: int, patch: int, count: int) -> Batch:
    assert _maker is not None
    return _maker(step, patch, count)
