"""Run one unit of work: measure, restore, score, and write its pictures."""

import os
import socket
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

import hrdis

from ... import images, metrics
from ...checkpoints import load_prior
from ...devices import DTYPES
from ...driver import Result, solve
from ...operators import PhaseRetrieval
from ...priors import Prior
from ...problem import Problem
from ...restarts import residual
from ...solvers import Solver
from ..records import Cell, Unit
from .memory import Peak
from .methods import fitted
from .pictures import prepare
from .problems import Poser
from .recorder import Film

SMALL = 11  # below this many pixels a side SSIM is not defined

Row = dict[str, Any]


class Pictures(Protocol):
    """What a worker needs of the run folder."""

    def write_picture(self, relative: str, image: Tensor) -> str:
        """Write one image in [-1, 1] as a PNG, whole or not at all."""


@dataclass(frozen=True)
class Work:
    """What a worker must open once: picklable, and the same on every machine that has the files.

    Args:
        prior: name for `hrdis.load_prior`.
        precision: of the network.
        device: where it runs.
        files: SHA-256 of a picture to where it lies.
        bkse: weights of the nonlinear blur.
        timed: warm up before the first picture of every method, and time a bare network call (Table
            3).
    """

    prior: str
    precision: str
    device: str
    files: Mapping[str, str]
    bkse: str | None = None
    timed: bool = False

    def open(self, pictures: Pictures) -> "Worker":
        """Load the prior; one per worker."""
        prior = load_prior(self.prior, dtype=DTYPES[self.precision], device=self.device)
        return Worker(self, pictures, prior, Poser(self.bkse))


class Worker:
    """Does units, one after the other; a unit that fails becomes rows with its error."""

    def __init__(self, work: Work, pictures: Pictures, prior: Prior, poser: Poser):
        self.work, self.pictures, self.prior, self.poser = work, pictures, prior, poser
        self.device = torch.device(work.device)
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._warm: dict[str, float] = {}
        self._truth: dict[tuple[str, int, int], Tensor] = {}
        self._written: set[str] = set()

    def __call__(self, unit: Unit) -> list[Row]:
        """The rows of a unit; its pictures are written before it returns."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", RuntimeWarning
                )  # of images that became non-finite: rows say it
                return self._rows(unit)
        except (
            OSError
        ):  # a full disk is no property of the cell: the run ends, and can be continued
            raise
        except Exception as error:  # whatever it is: the run goes on, and the report counts it
            text = f"{type(error).__name__}: {error}".strip().split("\n")[0]
            return [
                self._row(cell, unit) | {"status": "failed", "error": text} for cell in unit.cells
            ]

    def _rows(self, unit: Unit) -> list[Row]:
        cells = unit.cells
        truth = torch.cat([self._load(cell) for cell in cells])
        problem = self.poser.pose(cells, truth.to(self.device))
        solver, seeds = cells[0].method(), [cell.draw_seed() for cell in cells]
        call = self._warm_up(cells[0], solver, problem, seeds) if self.work.timed else None
        film = Film(cells[0].frames, solver, self.prior)
        with Peak(self.device, host=self.work.timed) as peak:
            started = time.perf_counter()
            result = solve(solver, film.prior, problem, seeds=seeds, on_step=film.watch)
            peak.wait()
            seconds = time.perf_counter() - started
        measured = residual(result, problem)
        rows = []
        for i, cell in enumerate(cells):
            row = self._row(cell, unit) | {
                "seconds": seconds / len(cells), "nfe": result.nfe, "peak_memory": peak.allocated,
                "peak_memory_reserved": peak.reserved, "call_seconds": call,
                "residual": float(measured[i]),
                "finite": bool(result.finite[i]), "estimated": _estimated(result, i),
            }  # fmt: skip
            rows.append(row | self._kept(cell, truth[i : i + 1], result, problem, film, i))
        return rows

    def _kept(
        self, cell: Cell, truth: Tensor, result: Result, problem: Problem, film: Film, i: int
    ) -> Row:
        """Pictures and scores of one image, or why there are none."""
        if not bool(result.finite[i]):
            return {
                "status": "failed",
                "error": "ValueError: the restoration became NaN or infinite",
            }
        write, shot = self._write, f"{cell.image_sha256[:16]}-{cell.size}-{cell.crop}"
        x = eight_bits(result.x[i : i + 1].cpu())
        y = problem.y[i : i + 1]
        shown = y if problem.A.picture and y.shape[1] in (1, 3) else None
        given = f"given/{shot}-{cell.index}-{cell.task}-{cell.noise}.png"
        return {
            "status": "ok", "picture": write(f"images/{cell.key}.png", x),
            "truth": write(f"truth/{shot}.png", truth),
            "measurement": None if shown is None else write(given, shown.cpu()),
            "frames": [write(f"images/{cell.key}-{name}.png", v[i]) for name, v in film.shots],
            "frame_times": film.times, **scores(x, truth, problem),
        }  # fmt: skip

    def _write(self, relative: str, x: Tensor) -> str:
        """A picture; those that many cells share are encoded once."""
        if relative not in self._written:
            self.pictures.write_picture(relative, x)
            if not relative.startswith("images/"):
                self._written.add(relative)
        return relative

    def _row(self, cell: Cell, unit: Unit) -> Row:
        """What every row says."""
        cuda = self.device.type == "cuda"
        return blank(cell) | {
            "worker": self.name,
            "device": torch.cuda.get_device_name(self.device) if cuda else "cpu",
            "threads": torch.get_num_threads(), "batch": len(unit.cells),
        }  # fmt: skip

    def _load(self, cell: Cell) -> Tensor:
        """A picture at its size; the last few are remembered, since every method needs them."""
        where = (cell.image_sha256, cell.size, cell.crop)
        if where not in self._truth:
            if len(self._truth) >= 64:
                self._truth.clear()
            picture = prepare(Path(self.work.files[cell.image_sha256]), cell.size, cell.crop)
            self._truth[where] = fitted(picture, self.prior)
        return self._truth[where]

    def _warm_up(self, cell: Cell, solver: Solver, problem: Problem, seeds: list[int]) -> float:
        """Run the first two steps once per method, and time a bare network call."""
        if cell.variant not in self._warm:
            with suppress(Exception):  # what is wrong with it, the run itself will say
                solve(
                    solver,
                    self.prior,
                    problem,
                    seeds=seeds,
                    times=[*solver.times(self.prior.schedule)[:2], -1],
                )
            self._warm[cell.variant] = time_call(
                self.prior, problem.y.new_zeros(problem.image_shape)
            )
        return self._warm[cell.variant]


def blank(cell: Cell) -> Row:
    """The row of a cell of which nothing is known."""
    return {
        "key": cell.key, "variant": cell.variant, "cell": cell.record(), "status": "failed",
        "error": None,
        "picture": None, "truth": None, "measurement": None, "psnr": None, "ssim": None,
        "residual": None,
        "seconds": None, "nfe": None, "peak_memory": None, "finite": None, "worker": None,
        "device": None,
        "threads": None, "hrdis": hrdis.__version__, "torch": torch.__version__, "batch": None,
    }  # fmt: skip


def eight_bits(x: Tensor) -> Tensor:
    """Clamped to [0, 1] and rounded to the 256 levels of a file, back in [-1, 1]: what is
    scored.
    """
    return images.from_unit((images.to_unit(x) * 255).round() / 255)


def scores(x: Tensor, truth: Tensor, problem: Problem) -> Row:
    """PSNR and SSIM of one image; for phase retrieval also after undoing what magnitudes cannot
    tell.
    """
    small = min(x.shape[-2:]) < SMALL
    row = {
        "psnr": float(metrics.psnr(x, truth)),
        "ssim": None if small else float(metrics.ssim(x, truth)),
    }
    if isinstance(problem.A, PhaseRetrieval):
        aligned = metrics.align(x, truth, "per_channel", problem.A.data_range == "[-1,1]")
        row |= {
            "psnr_aligned": float(metrics.psnr(aligned, truth)),
            "ssim_aligned": None if small else float(metrics.ssim(aligned, truth)),
        }
    return row


def time_call(prior: Prior, x: Tensor, *, backward: bool = False, repeats: int = 3) -> float:
    """Seconds of one network call (and of the way back), the median of a few after a first one."""
    taken = []
    for _ in range(repeats + 1):
        with Peak(x.device) as peak:
            started = time.perf_counter()
            if backward:
                with torch.enable_grad():
                    x = x.detach().requires_grad_()
                    torch.autograd.grad(prior(x, 1).x0_hat.sum(), x)
            else:
                with torch.no_grad():
                    prior(x, 1)
            peak.wait()
            taken.append(time.perf_counter() - started)
    return sorted(taken[1:])[repeats // 2]


def _estimated(result: Result, i: int) -> dict[str, float]:
    """Numbers of the operator that the solver estimated for an image; maps would swell the row."""
    return {name: float(v[i]) for name, v in result.theta.items() if v[i].numel() == 1}
