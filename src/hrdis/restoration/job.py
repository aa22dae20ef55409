"""A restoration that has been checked: run it, write what it found, and say what was done."""

import json
import platform
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

import hrdis

from .. import images, uncertainty
from ..checkpoints import weights_sha256
from ..driver import iterate
from ..operators import (
    JPEG,
    Blur,
    Colorization,
    Inpainting,
    Operator,
    Problem,
    Quantization,
    SuperResolution,
)
from ..priors import Prior
from ..solvers import Solver
from ..solvers.base import Step
from . import plugin
from .options import Options

#: Operators whose measurement is the picture, pixel by pixel: where it is white, so is the picture.
AT_ENDS = (Blur, Colorization, JPEG, Quantization)
REACH = 4  # pixels all around that must be white, too, for those that round


def keep_ends(x: Tensor, y: Tensor, A: Operator) -> Tensor:
    """Return x, white where y says so, and black where y says so.

    What a solver leaves there is its own error: a saturated sky or the paper of a drawing would
    turn a little grey. A mean over pixels is white if all of them are; what was rounded is white if
    all around is.

    Args:
        x: (b, c, h, w) in [-1, 1].
        y: of the size of x, with one channel or as many.
        A: one of `AT_ENDS`.
    """
    for end in (-1.0, 1.0):
        there = ((y - end).abs() < 1e-4).float()
        if isinstance(A, Blur):
            if float(A.kernel.min()) < 0:
                break
            sure = A.adjoint(there) > 0.5 * A.adjoint(
                torch.ones_like(there)
            )  # most of its light went there
        else:
            reach = 0 if isinstance(A, Colorization) else REACH
            sure = (
                torch.nn.functional.max_pool2d(1 - there, 2 * reach + 1, stride=1, padding=reach)
                == 0
            )
        x = torch.where(sure, end, x)
    return x


@dataclass(frozen=True)
class Found:
    """What the runs of a job gave: samples (k, c, h, w) on the CPU, and numbers the solver
    estimated, per sample.
    """

    samples: Tensor
    calls: int
    seconds: float
    estimated: dict[str, list[float]]

    @property
    def finite(self) -> bool:
        """Whether no sample became NaN or infinite."""
        return bool(torch.isfinite(self.samples).all())


@dataclass(frozen=True)
class Job:
    """Everything a restoration needs: the options, the picture as a problem, the prior, the solver
    and its times.
    """

    options: Options
    picture: images.Picture
    problem: Problem
    prior: Prior
    solver: Solver
    times: list[int]

    @property
    def calls(self) -> int:
        """Network calls of one sample."""
        return self.solver.calls(self.times, self.prior.schedule)

    @property
    def steps(self) -> int:
        """How many steps `iterate` yields: one per move down the times, per sample."""
        return self.options.samples * sum(s < t for t, s in pairwise(self.times))

    def iterate(self) -> Generator[tuple[int, Step], None, Found]:
        """Draw the samples one after the other: yields (sample, step) as it goes; closing it
        cancels.
        """
        samples, calls, started = [], 0, time.perf_counter()
        estimated: dict[str, list[float]] = {}
        for k in range(self.options.samples):
            run = iterate(self.solver, self.prior, self.problem, seeds=[self.options.seed + k])
            while True:
                try:
                    step = next(run)
                except StopIteration as end:
                    result = end.value
                    break
                yield k, step
            samples.append(self.finish(result.x))
            calls += result.nfe
            for name, value in result.theta.items():
                if value.numel() == 1:  # a number for the picture; maps would swell the record
                    estimated.setdefault(name, []).append(float(value))
        return Found(torch.cat(samples), calls, time.perf_counter() - started, estimated)

    def run(self, on_step: Callable[[Step], object]) -> Found:
        """`iterate`, drained."""
        run = self.iterate()
        while True:
            try:
                _, step = next(run)
            except StopIteration as end:
                return end.value
            on_step(step)

    def finish(self, x: Tensor) -> Tensor:
        """Convert a solution to the picture that is shown: what y decides as it was, grey for a
        grey picture.
        """
        A = self.problem.A
        if not self.options.redraw and self.problem.sigma_y == 0:
            if isinstance(A, Inpainting):
                x = A.project(x, self.problem.y)
            elif isinstance(A, SuperResolution):
                x = A.keep_ends(x, self.problem.y)
            elif isinstance(A, AT_ENDS):
                x = keep_ends(x, self.problem.y, A)
        return self._as_stored(x).cpu()

    def _as_stored(self, x: Tensor) -> Tensor:
        """Return a picture without colours if the given one has none, with as many channels as that
        is stored with.
        """
        if not self._grey:
            return x
        return x.mean(1, keepdim=True).expand(-1, self.picture.x.shape[1], -1, -1).contiguous()

    @cached_property
    def _grey(self) -> bool:
        """Whether the restored picture is grey: the given one is, and not for want of its colours.

        One that is stored as colour is grey if its channels are equal wherever it was observed.
        """
        y = self.problem.y
        if y.ndim != 4 or y.shape[1] != self.problem.image_shape[1]:
            return False
        if self.picture.x.shape[1] == 1 or not self.options.task:
            return self.picture.x.shape[1] == 1
        return bool((y == y[:, :1]).all())

    def write(self, found: Found, preset: str | None) -> list[str]:
        """Write the pictures and the record; returns the names of the pictures.

        Args:
            found: what `iterate` returned, finite.
            preset: the key of the preset the settings started from, for the record.
        """
        files = self._write_pictures(found.samples)
        record = (
            json.dumps(self.record(preset, files, found), indent=2, allow_nan=False).encode()
            + b"\n"
        )
        images.write_atomically(self.options.output.with_suffix(".json"), lambda f: f.write(record))
        return files

    def _write_pictures(self, samples: Tensor) -> list[str]:
        out, k = self.options.output, len(samples)
        picture = (
            self.picture if self.options.hole != "alpha" else replace(self.picture, alpha=None)
        )
        named = {
            out if i == 0 else _beside(out, str(i + 1)): x for i, x in enumerate(samples.split(1))
        }
        if k > 1:
            summary = uncertainty.summarise(samples)
            named[_beside(out, "mean")] = summary.mean
        for path, x in named.items():
            images.write(path, picture.with_image(x))
        files = [str(path) for path in named]
        if k > 1:
            shown = [self.given(), *samples.split(1), summary.mean]
            titles = ["given", *(f"sample {i + 1}" for i in range(k)), "mean"]
            charts = {
                "deviation": uncertainty.deviation_map(summary.deviation),
                "sheet": uncertainty.sheet(shown, titles, columns=min(k + 2, 4)),
            }
            for name, chart in charts.items():
                path = _beside(out, name).with_suffix(".png")
                images.write_pil(path, chart)
                files.append(str(path))
        return files

    def given(self) -> Tensor:
        """The damaged picture at the size of the restored one."""
        y, shape = self.problem.y, self.problem.image_shape
        x = (y.expand(shape) if y.shape[-2:] == shape[-2:] else self.problem.A.pinv(y)).cpu()
        return self._as_stored(x)

    def record(self, key: str | None, files: list[str], found: Found) -> dict[str, Any]:
        """What was done, enough to do it again."""
        options = self.options
        return {
            "hrdis": hrdis.__version__,
            "image": str(options.image),
            "image_sha256": _sha256(options.image),
            "mask": None if options.mask is None else str(options.mask),
            "mask_sha256": _sha256(options.mask),
            "hole": options.hole,
            "task": options.task or None,
            "operator": options.operator or None,
            "operator_sha256": plugin.digest(options.operator),
            "kernel": None if options.kernel is None else str(options.kernel),
            "kernel_sha256": _sha256(options.kernel),
            "weights": None if options.weights is None else str(options.weights),
            "weights_sha256": _sha256(options.weights),
            "noise": {"[0,1]": options.noise, "[-1,1]": self.problem.sigma_y},
            "solver": options.solver,
            "preset": key,
            "settings": TypeAdapter(type(self.solver)).dump_python(self.solver, mode="json"),
            "prior": options.prior,
            "label": options.label,
            "prior_sha256": weights_sha256(options.prior),
            "seeds": list(range(options.seed, options.seed + options.samples)),
            "times": self.times,
            "network_calls": found.calls,
            "seconds": round(found.seconds, 2),
            "estimated": found.estimated,
            "precision": options.precision,
            "device": str(self.problem.y.device),
            "threads": torch.get_num_threads(),
            "tile": options.tile,
            "overlap": options.overlap,
            "tile_memory": options.tile_memory,
            "redraw": options.redraw,
            "files": files,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }


def outputs(output: Path, samples: int) -> list[Path]:
    """Every file a restoration of so many samples writes."""
    several = [str(k + 1) for k in range(1, samples)] + ["mean"] if samples > 1 else []
    charts = (
        [_beside(output, name).with_suffix(".png") for name in ("deviation", "sheet")]
        if samples > 1
        else []
    )
    return [
        output,
        *(_beside(output, name) for name in several),
        *charts,
        output.with_suffix(".json"),
    ]


def _sha256(path: Path | None) -> str | None:
    return None if path is None else sha256(path.read_bytes()).hexdigest()


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}-{name}{path.suffix}")
