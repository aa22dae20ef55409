"""One setting tried on photographs, with its scores, its rank, and the file that keeps trials."""

import csv
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import Tensor

from ..driver import solve
from ..metrics import psnr, ssim
from ..priors.base import Prior
from ..problem import Problem
from ..solvers.base import Solver

BATCH = 16  # crops per network call


@dataclass(frozen=True)
class TuneTrial:
    """One setting tried on one measurement: a line of the CSV file, in dB.

    ``crops`` names the weights, the crops and their measurement; results of other ones are not
    comparable.
    """

    crops: str
    task: str
    noise: float
    solver: str
    settings: str
    psnr_one: float
    psnr_mean_of_8: float
    pooled_one: float
    pooled_mean_of_8: float
    ssim_one: float
    base_psnr: float
    base_pooled: float
    gain: float
    seconds: float


@dataclass
class TrialFile:
    """The CSV file of all trials, read at the start and appended to after each."""

    file: Path
    on_trial: Callable[[TuneTrial], object] | None = None
    known: dict[tuple[object, ...], TuneTrial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.file.exists():
            return
        kinds = get_type_hints(TuneTrial)
        text = self.file.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a kill may have cut the last line
        if whole != text:
            self.file.write_text(whole, encoding="utf-8")
        for line in csv.DictReader(whole.splitlines()):
            try:
                trial = TuneTrial(**{name: kinds[name](line[name]) for name in kinds})
            except (KeyError, TypeError, ValueError):
                raise ValueError(
                    f"{self.file} is not a file of trials. Move it away, or name another -o FILE."
                ) from None
            self.known[self.key(trial)] = trial

    @staticmethod
    def key(trial: TuneTrial) -> tuple[object, ...]:
        """Return what tells a trial from others."""
        return trial.crops, trial.task, trial.noise, trial.solver, trial.settings

    def add(self, trial: TuneTrial) -> None:
        """Keep a trial, on the disk before this returns."""
        new = not self.file.exists() or self.file.stat().st_size == 0
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", newline="", encoding="utf-8") as opened:
            out = csv.DictWriter(opened, [f.name for f in fields(TuneTrial)])
            if new:
                out.writeheader()
            out.writerow(asdict(trial))
            opened.flush()
            os.fsync(opened.fileno())
        self.known[self.key(trial)] = trial
        if self.on_trial is not None:
            self.on_trial(trial)


def try_out(solver: Solver, prior: Prior, problem: Problem, truth: Tensor) -> dict[str, float]:
    """Return the PSNR of one sample, and of the mean of 8 as two samples foretell it, in dB.

    The mean of k samples has the squared error of the posterior mean plus 1 / k of one sample's
    variance, so two samples give both parts:

        error(8) = error(2) - (error(1) - error(2)) * 3 / 4

    The PSNR called "pooled" is that of the error's mean over the images. The others are means of
    each image's PSNR.
    """
    samples = []
    for sample in range(2):
        pieces = []
        for start in range(0, len(problem.y), BATCH):
            y = problem.y[start : start + BATCH]
            seeds = range(1000 * sample + start, 1000 * sample + start + len(y))
            piece = Problem(y, problem.A, problem.sigma_y)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # bad settings may diverge
                pieces.append(solve(solver, prior, piece, seeds=seeds).x)
        samples.append(torch.cat(pieces))
    one = (squared_error(samples[0], truth) + squared_error(samples[1], truth)) / 2
    two = squared_error((samples[0] + samples[1]) / 2, truth)
    eight = (two - 0.75 * (one - two)).clamp(min=0.3 * two.clamp(min=1e-12))
    return {
        "psnr_one": float(decibels(one).mean()),
        "psnr_mean_of_8": float(decibels(eight).mean()),
        "pooled_one": float(decibels(one.mean())),
        "pooled_mean_of_8": float(decibels(eight.mean())),
        "ssim_one": float((ssim(samples[0], truth) + ssim(samples[1], truth)).mean()) / 2,
    }


def gain(scores: Mapping[str, float], base: float, noisy: bool) -> float:
    """Return dB over the baseline by which settings are ranked; PSNR and pooled PSNR averaged.

    A criterion of one sample alone rewards doing nothing: the smooth start is hard to beat by
    anything sharp. So without noise it is the gain of the mean of 8, less what one sample loses.
    Under noise the start is easily beaten, and both gains are averaged.

    Args:
        scores: of `try_out`.
        base: PSNR plus pooled PSNR of the smooth start.
        noisy: True if the measurement has noise.
    """
    one = (scores["psnr_one"] + scores["pooled_one"] - base) / 2
    mean = (scores["psnr_mean_of_8"] + scores["pooled_mean_of_8"] - base) / 2
    return (one + mean) / 2 if noisy else mean + min(0.0, one)


def brief(solver: Solver) -> str:
    """Return the solver as Python, without settings left at their defaults."""
    given = ", ".join(f"{name}={value!r}" for name, value in changed(solver).items())
    return f"{type(solver).__name__}({given})"


def changed(solver: Solver) -> dict[str, Any]:
    """Return the settings that differ from the defaults of their class, by name."""
    usual, found = type(solver)(), {}
    for setting in fields(solver):  # type: ignore[arg-type]
        value = getattr(solver, setting.name)
        if value != getattr(usual, setting.name):
            found[setting.name] = value
    return found


def squared_error(x: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error of each image, for images in [0, 1]."""
    return 10 ** (-psnr(x, truth) / 10)


def decibels(error: Tensor) -> Tensor:
    """Return the PSNR of squared errors."""
    return -10 * error.log10()
