"""Restorations that somebody watches: pictures while they run, files when they are done."""

import json
import os
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import images
from ..checkpoints import identity, load_prior
from ..messages import for_page
from ..priors.base import Prior
from ..restoration import FileOptions, FoundOptions, Job, Restoration, find_options, prepare
from .form import Form
from .labels import looked_for, task_of
from .limits import Limits
from .outcomes import Cancelled, FinishedJob, ProgressFrame, RepairStage, Waiting
from .request import command, copy_into, options

if TYPE_CHECKING:
    from PIL import Image

EVERY = 0.3  # seconds between two pictures of a run
PATIENCE = 0.5  # seconds after which a watcher looks again whether its turn has come
SIDE_RUNNING, SIDE_DONE = 640, 2048  # longest side of what is shown, in pixels


@dataclass(eq=False)
class _Run:
    """A piece of work between its watcher and the worker that computes it."""

    folder: Path
    compute: Callable[["_Run"], Any]
    cancelled: threading.Event = field(default_factory=threading.Event)
    news: threading.Event = field(default_factory=threading.Event)
    frame: ProgressFrame | RepairStage | None = None


class JobRunner:
    """Runs restorations one after the other, on one device, in the order they were asked for.

    One worker thread computes them. gradio gives up waiting for a generator that is cancelled in
    the middle of a step. The worker is what keeps a second one from starting beside it.

    Args:
        device: where the network runs, as for ``--device``.
        precision: of the network, as for ``--precision``.
        limits: what one restoration may take.
        queue: how many restorations may wait behind the one that runs.
    """

    def __init__(
        self,
        device: str = "auto",
        precision: str = "fp32",
        limits: Limits | None = None,
        queue: int = 16,
    ):
        self.device, self.precision, self.queue = device, precision, queue
        self.limits = limits or Limits()
        #: Where each restoration gets a folder; None for the system's temporary folder.
        self.folder: Path | None = None
        self._worker = ThreadPoolExecutor(1, "hrdis-job")
        self._line: list[_Run] = []  # the first is the one that runs
        self._line_lock = threading.Lock()
        self._running: _Run | None = None
        self._prior: tuple[Any, Prior] | None = None

    def restore(self, form: Form) -> Iterator[Waiting | ProgressFrame | FinishedJob]:
        """Restore a picture; closing the iterator cancels the run and removes its files.

        Raises:
            ValueError, TypeError: for whatever cannot run or would take too much, before any work;
                for a full queue; and for a run that lasts too long, after the step it is in.
            ArithmeticError: if the restoration became NaN or infinite.
        """
        self.limits.check_samples(form.samples)

        def prepared(folder: Path) -> Callable[[_Run], FinishedJob]:
            given = options(form, folder, self.device, self.precision)
            return lambda run: self._restored(run, form, given)

        yield from self._queued(prepared)

    def run(
        self, compute: Callable[[Path, Callable[[str], None]], Any], file: Path
    ) -> Iterator[Any]:
        """Compute something else in the same line, with a copy of a file in a folder of its own.

        Args:
            compute: gets the copy, and a function that it calls with what it does now and then, in
                the worker's thread. That raises `Cancelled` where nobody watches any more.
            file: what is copied.
        """

        def prepared(folder: Path) -> Callable[[_Run], Any]:
            copy = copy_into(folder, file)

            def work(run: _Run) -> Any:
                def tell(what: str) -> None:
                    self._check_cancelled()
                    run.frame = RepairStage(what)
                    run.news.set()

                return compute(copy, tell)

            return work

        yield from self._queued(prepared)

    def _queued(self, prepared: Callable[[Path], Callable[[_Run], Any]]) -> Iterator[Any]:
        """Yield what a watcher sees of a piece of work, from the end of the line on."""
        run = self._line_up(prepared)
        future = self._worker.submit(self._compute, run)
        future.add_done_callback(lambda _: run.news.set())
        told = 0
        try:
            while not future.done():
                with self._line_lock:
                    before = self._line.index(run)
                if before and before != told:
                    told = before
                    yield Waiting(before)
                run.news.wait(PATIENCE)
                run.news.clear()
                frame, run.frame = run.frame, None
                if frame is not None:
                    yield frame
            yield future.result()
        finally:

            def leave(_: object) -> None:
                with self._line_lock:
                    self._line.remove(run)
                shutil.rmtree(run.folder, ignore_errors=True)

            run.cancelled.set()
            future.cancel()  # if it is still waiting
            # Called at once if the run has ended, else by the worker: a run that was stopped goes
            # on writing until its step is over.
            future.add_done_callback(leave)

    def close(self) -> None:
        """Cancel all runs; the one that is computed ends with its next network call."""
        with self._line_lock:
            for run in self._line:
                run.cancelled.set()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _line_up(self, prepared: Callable[[Path], Callable[[_Run], Any]]) -> _Run:
        """Make a folder, check and copy files into it, and go to the end of the line."""
        with self._line_lock:
            if len(self._line) > self.queue:
                raise ValueError(
                    f"The page is busy: {self.queue} restorations are waiting, and no more can. "
                    "Try again in some minutes."
                )
        folder = Path(tempfile.mkdtemp(prefix="hrdis-job-", dir=self.folder))
        try:
            run = _Run(folder, prepared(folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self._line_lock:
            self._line.append(run)
        return run

    # ---- in the worker's thread -----------------------------------------------------------------

    def _compute(self, run: _Run) -> Any:
        self._running = run
        try:
            self._check_cancelled()
            return run.compute(run)
        finally:
            self._running = None

    def _restored(self, run: _Run, form: Form, given: FileOptions) -> FinishedJob:
        found_options = FoundOptions()
        if names := looked_for(form.task):
            task = task_of(form.task)
            found_options = find_options(
                given.image, names, given.task, task, given.hole, given.noise
            )
            form = replace(form, found=found_options.values())
            given = replace(given, solver=form.choice.settings.name, **form.found)
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always", UserWarning)
            job = prepare(given, form.settings, self.load, choice=form.choice, found=found_options)
        h, w = job.problem.image_shape[-2:]
        pixels = h * w * given.samples
        if pixels > images.MAX_PIXELS:  # all samples are kept until the end
            raise ValueError(
                f"{given.samples} restorations of {w} x {h} pixels are {pixels / 1e6:.0f} "
                f"megapixels. At most {images.MAX_PIXELS // 1_000_000} are expected. Take fewer "
                "restorations, or a smaller picture."
            )
        self.limits.check(job)
        notes = [for_page(sentence) for sentence in found_options.sentences()]
        for warning in raised:
            if warning.category is UserWarning:
                notes.append(for_page(warning.message, [run.folder]))
        found = self._watched(run, job)
        if not found.kept:
            raise ArithmeticError(
                "The restoration became NaN or infinite. Lower the step size (lr, zeta, scale)."
            )
        if not found.finite:
            lost = len(found.samples) - len(found.kept)
            notes.append(f"{lost} of {len(found.samples)} became invalid and were left out.")
        *pictures, record = found.save(given.output)
        leave_out(run.folder, record)
        kinds = {"": "sample 1", "mean": "mean of the samples", "uncertainty": "where they differ"}
        gallery = []
        for path in pictures:
            kind = path.stem.rpartition("restored")[2].lstrip("-")
            if kind != "overview":
                gallery.append((path, kinds.get(kind, f"sample {kind}")))
        # The restored picture first, then the mask or kernel it was made with. The given picture is
        # left out: whoever downloads the others has it.
        files = []
        for path in given.output.parent.iterdir():
            if path != given.image:
                written = path.stem.startswith(given.output.stem)
                files.append((not written, len(path.name), path.name, path))
        return FinishedJob(
            given=shown(job, job.given(), SIDE_DONE),
            first=shown(job, found.samples[found.kept[:1]], SIDE_DONE),
            gallery=gallery if len(gallery) > 1 else [],  # a single sample is shown already
            files=[path for *_, path in sorted(files)],
            command=command(form, given),
            summary=" ".join([f"{found.calls} network calls in {found.seconds:.1f} s.", *notes]),
        )

    def _watched(self, run: _Run, job: Job) -> Restoration:
        """Run a job to its end, and leave a picture for the watcher now and then."""
        steps, began, last = job.iterate(), time.perf_counter(), 0.0
        for done, (_, step) in enumerate(steps, 1):
            self._check_cancelled()
            now = time.perf_counter()
            left = (now - began) / done * (job.steps - done)
            self.limits.check_time(now - began, left)
            if now - last > EVERY:
                picture = shown(job, step.x, SIDE_RUNNING)
                run.frame = ProgressFrame(done, job.steps, left, picture)
                run.news.set()
                last = time.perf_counter()
        return steps.result

    def load(self, name: str, **how: Any) -> Prior:
        """Load a prior, or return the one used last if its files and options are the same."""
        # The hash is part of the record: it has to be that of the weights which are used, also
        # where their files were replaced since.
        key = (identity(name), name, tuple(sorted(how.items(), key=str)))
        if self._prior is None or self._prior[0] != key:
            prior = load_prior(name, **how)
            # A step on a large picture is hundreds of calls, and Stop should not wait for them.
            prior.register_forward_pre_hook(lambda *_: self._check_cancelled())
            self._prior = (key, prior)
        return self._prior[1]

    def _check_cancelled(self) -> None:
        if self._running is not None and self._running.cancelled.is_set():
            raise Cancelled


def shown(job: Job, x: Tensor, side: int) -> "Image.Image":
    """Convert a solution to a picture for the screen, at most so many pixels a side."""
    with torch.inference_mode():
        return thumbnail(replace(job.picture, x=job.finish(x)), side)


def thumbnail(picture: images.Picture, side: int = SIDE_DONE) -> "Image.Image":
    """Convert a picture for the screen: opaque, 8 bits, at most so many pixels a side."""
    small = images.to_pil(replace(picture, alpha=None, bits=8))
    small.thumbnail((side, side))
    return small


def leave_out(folder: Path, record: Path) -> None:
    """Take the name of a folder of the server out of a record that is downloaded."""
    escaped = json.dumps(str(folder) + os.sep)[1:-1]
    text = record.read_text(encoding="utf-8")
    record.write_text(text.replace(escaped, ""), encoding="utf-8")
