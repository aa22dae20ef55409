"""A restoration that has been checked: run it, write what it found, and say what was done."""

import platform
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

import hrdis
from hrdis import images, uncertainty
from hrdis.driver import solve
from hrdis.operators import Inpainting, Problem
from hrdis.priors import Prior
from hrdis.priors.checkpoints import weights_sha256
from hrdis.solvers import Solver

from . import plugin
from .progress import bar


@dataclass(frozen=True)
class Found:
    """What the runs of a job gave: samples (k, c, h, w) on the CPU, and numbers the solver estimated, per sample."""

    samples: Tensor
    calls: int
    seconds: float
    estimated: dict[str, list[float]]


@dataclass(frozen=True)
class Job:
    """Everything a restoration needs: the options, the picture as a problem, the prior, the solver and its times."""

    args: Any
    picture: images.Picture
    problem: Problem
    prior: Prior
    solver: Solver
    times: list[int]

    def run(self) -> Found:
        """Draw the samples one after the other."""
        samples, nfe, started = [], 0, time.perf_counter()
        estimated: dict[str, list[float]] = {}
        calls = len(self.times) - 1
        with bar(self.args.samples * calls) as advance:
            for k in range(self.args.samples):
                seeds = [self.args.seed + k]
                result = solve(self.solver, self.prior, self.problem, seeds=seeds, on_step=lambda _: advance())
                samples.append(self._finish(result.x).cpu())
                nfe += result.nfe
                for name, value in result.theta.items():
                    if value.numel() == 1:  # a number for the picture; maps would swell the record
                        estimated.setdefault(name, []).append(float(value))
        return Found(torch.cat(samples), nfe, time.perf_counter() - started, estimated)

    def _finish(self, x: Tensor) -> Tensor:
        A = self.problem.A
        if not self.args.redraw and isinstance(A, Inpainting) and self.problem.sigma_y == 0:
            x = A.project(x, self.problem.y)
        return x.mean(1, keepdim=True) if self._grey else x

    @property
    def _grey(self) -> bool:
        """Whether the restored picture is grey: the given one is, and not for want of its colours."""
        return self.picture.x.shape[1] == 1 and self.problem.y.shape[1] == self.problem.image_shape[1]

    def write(self, samples: Tensor) -> list[str]:
        """Write the pictures; returns their names."""
        out, k = self.args.output, len(samples)
        picture = self.picture if self.args.hole != "alpha" else images.Picture(self.picture.x, icc=self.picture.icc)
        named = {out if i == 0 else _beside(out, str(i + 1)): x for i, x in enumerate(samples.split(1))}
        if k > 1:
            summary = uncertainty.summarise(samples)
            named[_beside(out, "mean")] = summary.mean
        for path, x in named.items():
            images.write(path, picture.with_image(x))
        files = [str(path) for path in named]
        if k > 1:
            shown = [self._given(), *samples.split(1), summary.mean]
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

    def _given(self) -> Tensor:
        """The damaged picture at the size of the restored one."""
        y, shape = self.problem.y, self.problem.image_shape
        x = (y.expand(shape) if y.shape[-2:] == shape[-2:] else self.problem.A.pinv(y)).cpu()
        return x.mean(1, keepdim=True) if self._grey else x

    def record(self, key: str | None, files: list[str], found: Found) -> dict[str, Any]:
        """What was done, enough to do it again."""
        args = self.args
        return {
            "hrdis": hrdis.__version__,
            "image": str(args.image),
            "image_sha256": _sha256(args.image),
            "mask": None if args.mask is None else str(args.mask),
            "mask_sha256": _sha256(args.mask),
            "hole": args.hole,
            "task": args.task or None,
            "operator": args.operator or None,
            "operator_sha256": plugin.digest(args.operator),
            "kernel": None if args.kernel is None else str(args.kernel),
            "kernel_sha256": _sha256(args.kernel),
            "weights": None if args.weights is None else str(args.weights),
            "weights_sha256": _sha256(args.weights),
            "noise": {"[0,1]": args.noise, "[-1,1]": self.problem.sigma_y},
            "solver": args.solver,
            "preset": key,
            "settings": TypeAdapter(type(self.solver)).dump_python(self.solver, mode="json"),
            "prior": args.prior,
            "label": args.label,
            "prior_sha256": weights_sha256(args.prior),
            "seeds": list(range(args.seed, args.seed + args.samples)),
            "times": self.times,
            "network_calls": found.calls,
            "seconds": round(found.seconds, 2),
            "estimated": found.estimated,
            "precision": args.precision,
            "device": str(self.problem.y.device),
            "threads": torch.get_num_threads(),
            "tile": args.tile,
            "overlap": args.overlap,
            "tile_memory": args.tile_memory,
            "redraw": args.redraw,
            "files": files,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }


def outputs(output: Path, samples: int) -> list[Path]:
    """Every file a restoration of so many samples writes."""
    several = [str(k + 1) for k in range(1, samples)] + ["mean"] if samples > 1 else []
    charts = [_beside(output, name).with_suffix(".png") for name in ("deviation", "sheet")] if samples > 1 else []
    return [output, *(_beside(output, name) for name in several), *charts, output.with_suffix(".json")]


def _sha256(path: Path | None) -> str | None:
    return None if path is None else sha256(path.read_bytes()).hexdigest()


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}-{name}{path.suffix}")
