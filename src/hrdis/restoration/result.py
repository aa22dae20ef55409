"""The result of a restoration: pictures to look at, to measure and to save."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import images, uncertainty
from ..operators import Inpainting
from ..presets import Interval
from ..solvers.base import Solver
from . import outputs
from .intervals import interval_of

if TYPE_CHECKING:
    from PIL import Image

    from .job import Job


@dataclass(frozen=True, repr=False)
class Restoration:
    """The restored picture, once or several times; it shows itself in a notebook.

    Args:
        samples: (k, c, h, w) in [-1, 1], on the CPU, one for each seed.
        calls: network calls made, of all samples together.
        seconds: wall time.
        estimated: numbers that the solver estimated too, by name, one per sample: the exposure of
            a dark picture, say.
        job: what was restored, and how.
    """

    samples: Tensor
    calls: int
    seconds: float
    estimated: Mapping[str, list[float]]
    job: "Job"

    def __repr__(self) -> str:
        k, _, h, w = self.samples.shape
        several = f"{k} samples of " if k > 1 else ""
        return f"Restoration({several}{w} x {h}, {self.solver!r}, calls={self.calls})"

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.image.save(buffer, format="PNG")
        return buffer.getvalue()

    @property
    def finite(self) -> bool:
        """True if no sample became NaN or infinite."""
        return bool(torch.isfinite(self.samples).all())

    @property
    def kept(self) -> list[int]:
        """The numbers of the samples that are finite, from 0; the others are never written."""
        flags = torch.isfinite(self.samples).flatten(1).all(1)
        return [k for k in range(len(flags)) if flags[k]]

    @property
    def lost_seeds(self) -> list[int]:
        """The seeds of the samples that became NaN or infinite."""
        first, kept = self.job.options.seed, self.kept
        return [first + k for k in range(len(self.samples)) if k not in kept]

    @property
    def mean(self) -> Tensor:
        """The mean of the finite samples, (1, c, h, w): closer to the truth than each, and
        smoother.
        """
        return self.samples[self.kept].mean(0, keepdim=True)

    @property
    def deviation(self) -> Tensor | None:
        """Standard deviation between the finite samples, (h, w), on [0, 1]; None for one.

        All samples can be wrong alike, because what they agree on follows from the measurement, the
        model and the method, not from the measurement alone.
        """
        kept = self.kept
        if len(kept) < 2:
            return None
        return uncertainty.summarise(self.samples[kept]).deviation

    @property
    def interval(self) -> Interval | None:
        """The calibrated interval around the mean; None where none is known, or for one sample."""
        kept = self.kept
        return interval_of(self.job, len(kept))[0] if len(kept) > 1 else None

    @property
    def half_width(self) -> Tensor | None:
        """Half width of the interval around the mean, (h, w), on [0, 1]; None where none is known.

        In photographs nine of ten colour values lay within it (docs/measurements/uncertainty.md).
        It is 0 where a pixel was observed without noise.
        """
        interval, deviation = self.interval, self.deviation
        if interval is None or deviation is None:
            return None
        width = interval.scale * (deviation + interval.floor)
        A = self.job.problem.A
        if isinstance(A, Inpainting) and self.job.keeps_known:
            width = width * (A.mask[0, 0] == 0).cpu()
        return width

    @property
    def image(self) -> "Image.Image":
        """The first sample as one of Pillow's images, as deep and as grey as what was given."""
        return self.images[0]

    @property
    def images(self) -> "list[Image.Image]":
        """All samples as Pillow's images."""
        return [
            images.to_pil(self.job.stored.with_image(sample)) for sample in self.samples.split(1)
        ]

    @property
    def solver(self) -> Solver:
        """The algorithm with all its settings."""
        return self.job.solver

    @property
    def record(self) -> dict[str, Any]:
        """Everything needed to do the restoration again; `save` writes it beside the picture."""
        return dict(outputs.record(self))

    def save(self, path: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Write the picture, and beside it a record of what was done (the same name with .json).

        With several samples also the others (NAME-2, ...), their mean (NAME-mean), a map of where
        they differ (NAME-uncertainty) and all of them side by side (NAME-overview).

        Args:
            path: its suffix chooses the format; a PNG or TIFF keeps what was given best.
            overwrite: replace files that no record of this program beside them names.

        Returns:
            the files written, the record last.

        Raises:
            ValueError: if no such file can be written, or a file that was read or is another's
                would be lost.
            ArithmeticError: if no sample is finite.
            OSError: if a picture could not be written; it names where the picture was kept instead.

        Warns:
            UserWarning: of samples that are not finite and are left out.
        """
        return outputs.write(self, Path(path), overwrite=overwrite)
