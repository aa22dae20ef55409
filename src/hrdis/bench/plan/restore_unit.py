"""The work on one unit, which measures, restores, scores, and writes its pictures."""

import os
import socket
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

import hrdis

from ... import images, metrics
from ...checkpoints import load_prior
from ...devices import DTYPES
from ...driver import Result, solve
from ...ending import raise_if_asked
from ...messages import reason
from ...operators import PhaseRetrieval
from ...priors.base import Prior
from ...problem import Problem
from ...restarts import residual
from ..records import Row, RunInterrupted, RunTask, Unit
from .given import GivenFiles
from .pictures import file_sha256, match_channels, read_sized
from .problems import ProblemMaker
from .recorder import StepRecorder
from .timing import PeakMemory, time_call

SMALLEST_FOR_SSIM = 11  # pixels a side, the width of its window
#: Units in a row that fail with one message before the run ends: a cause that all share.
MOST_ALIKE = 20
#: Pictures that a worker keeps in memory, since every method needs them.
KEPT_PICTURES = 64
#: Bytes of pictures that a worker keeps; 64 of 12 megapixels would be 9 GB.
KEPT_BYTES = 1 << 30


class PictureWriter(Protocol):
    """The part of a run folder that a worker needs."""

    def write_picture(self, relative: str, image: Tensor) -> str:
        """Write one image in [-1, 1] as a PNG, whole or not at all."""


@dataclass(frozen=True)
class WorkerSpec:
    """Everything that a worker opens once.

    It is picklable, and the same on every machine that has the files.

    Args:
        prior: name for `hrdis.load_prior`.
        precision: precision of the network.
        device: device of the network.
        files: path of each picture, by its SHA-256.
        bkse: weights of the nonlinear blur.
        timed: warm up before the first picture of every method, and time a bare network call (Table
            3).
        given: masks and measurements that were given.
    """

    prior: str
    precision: str
    device: str
    files: Mapping[str, str]
    bkse: str | None = None
    timed: bool = False
    given: GivenFiles | None = None

    def open(self, pictures: PictureWriter) -> "UnitRestorer":
        """Load the prior, once per worker."""
        prior = load_prior(self.prior, dtype=DTYPES[self.precision], device=self.device)
        return UnitRestorer(self, pictures, prior, ProblemMaker(self.bkse, self.given))


class UnitRestorer:
    """Restorer of units, one after the other; a unit that fails becomes rows with its error.

    Args:
        spec: what the worker opened.
        pictures: the run folder.
        prior: the prior.
        problems: measures the pictures.
    """

    def __init__(
        self, spec: WorkerSpec, pictures: PictureWriter, prior: Prior, problems: ProblemMaker
    ):
        self.spec, self.pictures, self.prior, self.problems = spec, pictures, prior, problems
        self.device = torch.device(spec.device)
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._call_seconds: dict[str, float] = {}
        self._truth: dict[tuple[str, int, int], Tensor] = {}
        self._written: set[str] = set()
        self._last_error, self._alike = "", 0

    def __call__(self, unit: Unit) -> list[Row]:
        """Return the rows of a unit; its pictures are written before it returns.

        Raises:
            OSError: if the run folder cannot be written.
            RunInterrupted: for a trouble that is not the unit's own. Examples are a lack of memory,
                a crashed device, a picture that cannot be read any more, or the same error in 20
                units in a row.
        """
        try:
            with warnings.catch_warnings():
                # Of images that became non-finite; their rows say it.
                warnings.simplefilter("ignore", RuntimeWarning)
                rows = self._rows(unit)
        except (OSError, RunInterrupted):
            # A full disk is no property of a unit: the run ends, and can be continued.
            raise
        except Exception as error:
            raise_if_asked(error)
            text = f"{type(error).__name__}: {error}".strip().split("\n")[0]
            advice = advice_for_machine_trouble(error)
            if advice:
                raise RunInterrupted(f"{_title(unit)}: {reason(error)}. {advice}") from error
            # Anything else is noted, the run goes on, and the report counts it.
            self._alike = self._alike + 1 if text == self._last_error else 1
            self._last_error = text
            if self._alike >= MOST_ALIKE:
                raise RunInterrupted(
                    f"{MOST_ALIKE} units in a row failed alike, the last of them {_title(unit)}: "
                    f"{text}. Mend the cause; with --retry-failed those before are done again."
                ) from error
            failed = {"status": "failed", "error": text}
            return [self._facts(run_task, unit) | failed for run_task in unit.tasks]
        self._last_error, self._alike = "", 0
        return rows

    def _rows(self, unit: Unit) -> list[Row]:
        tasks = unit.tasks
        truth = torch.cat([self._load(run_task) for run_task in tasks])
        problem = self.problems.problem_of(tasks, truth.to(self.device))
        solver, seeds = tasks[0].method(), [run_task.draw_seed() for run_task in tasks]
        call = None  # seconds of a bare network call
        if self.spec.timed:
            # Table 3 compares times: what happens once per method must not be in them.
            variant = tasks[0].variant
            if variant not in self._call_seconds:
                times = [*solver.times(self.prior.schedule)[:2], -1]
                with suppress(Exception):  # what is wrong with the method, the run itself will say
                    solve(solver, self.prior, problem, seeds=seeds, times=times)
                x = problem.y.new_zeros(problem.image_shape)
                self._call_seconds[variant] = time_call(self.prior, x)
            call = self._call_seconds[variant]
        with (
            StepRecorder(tasks[0].frames, solver, self.prior) as recorder,
            PeakMemory(self.device, host=self.spec.timed) as peak,
        ):
            started = time.perf_counter()
            result = solve(solver, self.prior, problem, seeds=seeds, on_step=recorder.record)
            peak.wait()
            seconds = time.perf_counter() - started
        residuals = residual(result, problem)
        rows = []
        for i, run_task in enumerate(tasks):
            estimated = {}  # single numbers only: maps would swell the row
            for name, parameter in result.theta.items():
                if parameter[i].numel() == 1:
                    estimated[name] = float(parameter[i])
            row = self._facts(run_task, unit) | {
                "seconds": seconds / len(tasks),
                "nfe": result.nfe,
                "peak_memory": peak.allocated,
                "peak_memory_reserved": peak.reserved,
                "call_seconds": call,
                "residual": float(residuals[i]),
                "finite": bool(result.finite[i]),
                "estimated": estimated,
            }
            if result.finite[i]:
                row |= self._write_pictures(
                    run_task, truth[i : i + 1], result, problem, recorder, i
                )
            else:
                row["status"] = "failed"
                row["error"] = "ValueError: the restoration became NaN or infinite"
            rows.append(row)
        return rows

    def _write_pictures(
        self,
        run_task: RunTask,
        truth: Tensor,
        result: Result,
        problem: Problem,
        recorder: StepRecorder,
        i: int,
    ) -> Row:
        """Write the pictures of the i-th image; return their names and scores."""
        x = round_to_8_bits(result.x[i : i + 1].cpu())
        y = problem.y[i : i + 1]
        original = f"{run_task.image_sha256[:16]}-{run_task.size}-{run_task.crop}"
        measurement = None
        if problem.A.picture and y.shape[1] in (1, 3):
            measurement = self._write(
                f"given/{original}-{run_task.index}-{run_task.task}-{run_task.noise}.png", y.cpu()
            )
        frames = []
        for name, pictures in recorder.pictures:
            frames.append(self._write(f"images/{run_task.key}-{name}.png", pictures[i]))
        return {
            "status": "ok",
            "picture": self._write(f"images/{run_task.key}.png", x),
            "truth": self._write(f"truth/{original}.png", truth),
            "measurement": measurement,
            "frames": frames,
            "frame_times": recorder.times,
            **pixel_scores(x, truth, problem),
        }

    def _write(self, relative: str, x: Tensor) -> str:
        """Write a picture; encode those that many run tasks share once."""
        if relative not in self._written:
            self.pictures.write_picture(relative, x)
            if not relative.startswith("images/"):
                self._written.add(relative)
        return relative

    def _facts(self, run_task: RunTask, unit: Unit) -> Row:
        """Return the entries that every row has, the run task, the machine and the versions."""
        cuda = self.device.type == "cuda"
        return empty_row(run_task) | {
            "worker": self.name,
            "device": torch.cuda.get_device_name(self.device) if cuda else "cpu",
            "threads": torch.get_num_threads(),
            "batch": len(unit.tasks),
        }

    def _load(self, run_task: RunTask) -> Tensor:
        """Return a picture at its size.

        Raises:
            RunInterrupted: if its file is gone, or is not the one that the plan knows.
        """
        where = (run_task.image_sha256, run_task.size, run_task.crop)
        if where not in self._truth:
            path = Path(self.spec.files[run_task.image_sha256])
            try:
                found = file_sha256(path)
            except OSError as error:
                raise RunInterrupted(
                    f"{path} cannot be read any more ({error.strerror}). Is its disk mounted?"
                ) from error
            # Rows name the picture by its hash: they must not tell of another one.
            if found != run_task.image_sha256:
                raise RunInterrupted(
                    f"{path} is not the file it was when the run began. Put that one back, or "
                    "start another run."
                )
            picture = match_channels(read_sized(path, run_task.size, run_task.crop), self.prior)
            kept = sum(other.nbytes for other in self._truth.values())
            if len(self._truth) >= KEPT_PICTURES or kept + picture.nbytes > KEPT_BYTES:
                self._truth.clear()
            self._truth[where] = picture
        return self._truth[where]


def advice_for_machine_trouble(error: Exception) -> str:
    """Return what to do about an error that comes from the machine and not from the work; "" for
    any other error.

    Such errors are no property of a run task. One is a lack of memory, since other processes take
    it too. Others are errors of the GPU, after which every further call of this process fails.
    """
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in text:
        return "Free memory, or take a smaller --batch or --crop."
    crashed = getattr(torch, "AcceleratorError", None)  # since torch 2.8; before, the text tells
    if (crashed is not None and isinstance(error, crashed)) or "CUDA error" in text:
        return "The GPU has to be started anew by another process."
    return ""


def _title(unit: Unit) -> str:
    first = unit.tasks[0]
    return f"{first.group or first.solver} on {first.task}, {first.image}"


def empty_row(run_task: RunTask) -> Row:
    """Return the row of a run task of which nothing is known but that it failed."""
    row: Row = {
        "key": run_task.key, "variant": run_task.variant, "cell": run_task.record(),
        "status": "failed",
    }  # fmt: skip
    unknown = (
        "error", "picture", "truth", "measurement", "psnr", "ssim", "residual", "seconds", "nfe",
        "peak_memory", "finite", "worker", "device", "threads",
    )  # fmt: skip
    row |= dict.fromkeys(unknown)
    return row | {"hrdis": hrdis.__version__, "torch": torch.__version__, "batch": None}


def round_to_8_bits(x: Tensor) -> Tensor:
    """Clamp to [0, 1] and round to the 256 levels of a file; return [-1, 1]. Scores are those of
    the result, so that they can be computed again from the file.
    """
    return images.from_unit((images.to_unit(x) * 255).round() / 255)


def pixel_scores(x: Tensor, truth: Tensor, problem: Problem) -> Row:
    """Return PSNR and SSIM of one image; for phase retrieval also after undoing the shifts and
    flips that magnitudes cannot tell.
    """
    small = min(x.shape[-2:]) < SMALLEST_FOR_SSIM
    row = {
        "psnr": float(metrics.psnr(x, truth)),
        "ssim": None if small else float(metrics.ssim(x, truth)),
    }
    if isinstance(problem.A, PhaseRetrieval):
        aligned = metrics.align(x, truth, "per_channel", problem.A.data_range == "[-1,1]")
        row["psnr_aligned"] = float(metrics.psnr(aligned, truth))
        row["ssim_aligned"] = None if small else float(metrics.ssim(aligned, truth))
    return row
