"""A restoration that somebody watches: frames while it runs, files when it is done."""

import json
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import images
from ..checkpoints import load_prior
from ..messages import for_page
from ..priors import Prior
from ..restoration import Job, prepare
from .form import Form, command, options
from .limits import Limits

if TYPE_CHECKING:
    from PIL import Image

EVERY = 0.3  # seconds between frames
FRAME, SHOWN = (
    640,
    2048,
)  # the longest side of a frame, and of what is compared in the end, in pixels


@dataclass(frozen=True)
class Frame:
    """Where a run is: steps done of all, seconds left, and the picture so far."""

    done: int
    total: int
    left: float
    picture: "Image.Image"


@dataclass(frozen=True)
class Restored:
    """What a run found. Files are there until the next value is asked for.

    Args:
        given: the damaged picture at the size of the restored one.
        first: the first restoration, to compare with it.
        gallery: pictures that stand beside each other, with their titles.
        files: everything that can be taken home, the record among them.
        command: the same from a shell.
        about: a line of figures.
    """

    given: "Image.Image"
    first: "Image.Image"
    gallery: list[tuple[Path, str]]
    files: list[Path]
    command: str
    about: str


@dataclass(frozen=True)
class Workshop:
    """Where restorations run: one at a time, on one device. Keeps the prior it used last."""

    device: str = "auto"
    precision: str = "fp32"
    limits: Limits = field(default_factory=Limits)

    def restore(self, form: Form) -> Iterator[Frame | Restored]:
        """Restore a picture; closing the iterator cancels the run, and its files are gone.

        Raises:
            ValueError, TypeError: for whatever cannot run or would take too much, before any work;
                a run that lasts too long ends with the step it is in.
            ArithmeticError: if the restoration became NaN or infinite.
        """
        self.limits.check_samples(form.samples)
        with tempfile.TemporaryDirectory(prefix="hrdis-") as folder:
            given = options(form, Path(folder), self.device, self.precision)
            with warnings.catch_warnings(record=True) as doubts:
                warnings.simplefilter("always", UserWarning)
                job = prepare(given, form.settings, _loaded, choice=form.choice)
            _check_room(job)
            self.limits.check(job)
            said = [
                for_page(doubt.message, [folder])
                for doubt in doubts
                if doubt.category is UserWarning
            ]
            run, began, last = job.iterate(), time.perf_counter(), 0.0
            for done, (_, step) in enumerate(run, 1):
                took = time.perf_counter() - began
                self.limits.check_time(took, took / done * (job.steps - done))
                if (now := time.perf_counter()) - last > EVERY:
                    yield Frame(
                        done,
                        job.steps,
                        (now - began) / done * (job.steps - done),
                        shown(job, step.x, FRAME),
                    )
                    last = time.perf_counter()
            found = run.result
            if not found.finite:
                raise ArithmeticError(
                    "The restoration became NaN or infinite. Lower the step size (lr, zeta, scale)."
                )
            *pictures, record = found.save(given.output)
            _forget(record, folder)
            yield Restored(
                shown(job, job.given(), SHOWN), shown(job, found.samples[:1], SHOWN),
                _gallery(pictures),
                _files(Path(folder), given.image), command(form, given),
                " ".join([f"{found.calls} network calls in {found.seconds:.1f} s", *said]),
            )  # fmt: skip


def _check_room(job: Job) -> None:
    """Raise if the samples of a job, which are all kept until the end, are too many pixels."""
    h, w = job.problem.image_shape[-2:]
    pixels = h * w * job.options.samples
    if pixels > images.MAX_PIXELS:
        raise ValueError(
            f"{job.options.samples} restorations of {w} x {h} pixels are {pixels / 1e6:.0f} "
            f"megapixels. At most {images.MAX_PIXELS // 1_000_000} are expected. Take fewer "
            "restorations, or a smaller picture."
        )


@lru_cache(maxsize=1)
def _loaded(name: str, **how: Any) -> Prior:
    return load_prior(name, **how)


def shown(job: Job, x: Tensor, side: int) -> "Image.Image":
    """A picture for the screen, at most so many pixels a side."""
    with torch.inference_mode():
        picture = images.to_pil(replace(job.picture, x=job.finish(x), alpha=None, bits=8))
    picture.thumbnail((side, side))
    return picture


def _forget(record: Path, folder: str) -> None:
    """Take the folder's name out of the record: what is taken home lies elsewhere."""
    inside = json.dumps(folder + os.sep)[1:-1]
    record.write_text(record.read_text(encoding="utf-8").replace(inside, ""), encoding="utf-8")


def _gallery(pictures: list[Path]) -> list[tuple[Path, str]]:
    """Samples, their mean and where they differ; nothing for a single sample."""
    titles = {"mean": "mean of the samples", "deviation": "where they differ"}
    files = [path for path in pictures if not path.stem.endswith("-sheet")]
    ends = [path.stem.rpartition("restored")[2].lstrip("-") for path in files]
    return (
        [(p, titles.get(e, f"sample {e or 1}")) for p, e in zip(files, ends, strict=True)]
        if len(files) > 1
        else []
    )


def _files(folder: Path, picture: Path) -> list[Path]:
    """What was written and what it was made from, but for the picture, which is at home already."""
    return sorted(
        (path for path in folder.iterdir() if path != picture),
        key=lambda path: (len(path.name), path.name),
    )
