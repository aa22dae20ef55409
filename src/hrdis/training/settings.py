"""The settings of a training run, `TrainSettings`, and a preset each for a CPU and a GPU."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

# These may differ when a run is continued: they change when and how fast it is computed.
FREE = ("max_minutes", "checkpoint_minutes", "log_every", "threads", "workers")
# These too, until the learning rate begins to fall: they change how long the run is.
LENGTH = ("hours", "steps", "decay")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainSettings:
    """Everything that decides a training run.

    The learning rate rises in ``warmup`` steps, stays, and falls linearly to zero over the last
    ``decay`` of the run. Patches grow while it goes on; every step sees about the same number of
    pixels.
    """

    hours: Annotated[float, Field(gt=0)] = 5.0
    """Length of this run, counted while it is computing; not used where steps are given."""

    steps: Annotated[int | None, Field(ge=1, le=10**9)] = None
    """Length of this run in optimiser steps instead, which makes it repeatable bit for bit."""

    decay: Annotated[float, Field(ge=0, le=1)] = 0.45
    """Share of the run, at its end, over which the learning rate falls linearly to zero; 1: all of
    it.
    """

    resume: Path | None = None
    """Folder of an earlier run to go on from: weights, average and optimiser. That folder stays as
    it is.
    """

    start_from: Path | None = None
    """Model whose weights to start from: default, a name of `hrdis list models`, or a folder. The
    optimiser starts anew.
    """

    pixels: Annotated[int, Field(ge=256, le=10**9)] = 36_864
    """Pixels per optimiser step, such as 16 patches of 48 x 48."""

    patches: Annotated[tuple[Annotated[int, Field(ge=8, le=1024)], ...], Field(min_length=1)] = (
        48,
        64,
        96,
        128,
    )
    """Sides of the patches in pixels, each for an equal share of the run."""

    lr: Annotated[float, Field(gt=0, le=0.1)] = 0.006
    """Learning rate of Muon, for the weights of all layers but the first and the last."""

    lr_first: Annotated[float, Field(gt=0, le=0.1)] = 0.02
    """Muon's rate at the first step, where the network starts from random weights."""

    settle: Annotated[int, Field(ge=1, le=10**9)] = 4000
    """Steps over which Muon's rate falls from its first value to the later one."""

    adam_lr: Annotated[float, Field(gt=0, le=0.1)] = 1e-3
    """Learning rate of AdamW, for all other parameters."""

    warmup: Annotated[int, Field(ge=0, le=10**9)] = 50
    """Steps over which the learning rates rise from zero."""

    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay per step of the moving average of the weights, which is what is evaluated and kept."""

    procedural: Annotated[float, Field(ge=0, le=1)] = 0.04
    """Share of procedural images; the rest are photographs."""

    procedural_pool: Annotated[int, Field(ge=1, le=1_000_000)] = 1500
    """Number of different procedural images; each is painted once, on first use."""

    network: Literal["small", "unet2d"] = "small"
    """The network: our small U-Net, or diffusers' UNet2DModel (twice as slow)."""

    channels: Annotated[tuple[int, ...], Field(min_length=2, max_length=6)] = (64, 96)
    """Channels of the network at each resolution, multiples of 8."""

    blocks: Annotated[int, Field(ge=1, le=8)] = 2
    """Residual blocks per resolution, on the way down and again on the way up."""

    middle: Annotated[int, Field(ge=1, le=16)] = 8
    """Residual blocks at the coarsest resolution; diffusers' network has its own."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes in bfloat16 over float32 weights: faster on a GPU, slower on most CPUs."""

    compile: bool = False
    """Compile the network first (needs a C++ compiler); dropped if its gradients are not those of
    the plain network.
    """

    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """CPU threads; 0 times a step with one, half and all cores and takes the fastest."""

    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that prepare batches; 0 prepares them in between."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the training runs; auto takes a GPU if there is one."""

    seed: int = 0
    """Decides everything random: weights at the start, held-out photographs, every batch."""

    licences: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LICENCE")] = ()
    """Train only on photographs with these licences, as named in the folder's manifest.csv; empty
    takes all.
    """

    long_side: Annotated[int, Field(ge=64, le=8192)] = 960
    """Photographs are first reduced to this long side in pixels."""

    memory: Annotated[float, Field(gt=0)] = 16.0
    """Gigabytes that the photographs may take in memory; no more are read than fit."""

    checkpoint_minutes: Annotated[float, Field(gt=0)] = 10.0
    """Minutes between checkpoints, each with a measurement on the held-out photographs."""

    max_minutes: Annotated[float | None, Field(gt=0)] = None
    """Stop cleanly after so many minutes; the same command later goes on."""

    log_every: Annotated[int, Field(ge=1, le=10**9)] = 100
    """Steps between lines of the log."""

    @model_validator(mode="after")
    def _consistent(self) -> "TrainSettings":
        # Each resolution halves the image: an odd side would not come back to its size.
        cell = self.multiple
        for patch in self.patches:
            if patch % cell:
                raise ValueError(
                    f"patches has {patch}, which is not a multiple of {cell}, as "
                    f"{len(self.channels)} resolutions of the network {self.network!r} need. Use "
                    f"{max(cell, patch // cell * cell)}."
                )
        if any(c % 8 or c <= 0 for c in self.channels):
            raise ValueError(
                f"channels = {self.channels} must be positive multiples of 8, e.g. (64, 96)."
            )
        if self.resume is not None and self.start_from is not None:
            raise ValueError(
                f"resume = {self.resume} and start_from = {self.start_from} exclude each other. "
                "Use resume to go on with a run's optimiser, start_from to begin a new run with "
                "the weights of a prior."
            )
        return self

    @property
    def multiple(self) -> int:
        """Sides of images are multiples of this; the small network halves them once more at its
        input.
        """
        return int(2 ** (len(self.channels) - (self.network == "unet2d")))

    def stage(self, share: float) -> tuple[int, int]:
        """Return the side of the patches and their number when this share of the run is done."""
        # At the very end the share is 1, whose stage would be one too many.
        patch = self.patches[min(int(share * len(self.patches)), len(self.patches) - 1)]
        return patch, max(1, -(-self.pixels // patch**2))

    def as_record(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        record = asdict(self)
        for name in ("channels", "patches", "licences"):
            record[name] = list(record[name])
        for name in ("start_from", "resume"):
            if record[name] is not None:
                record[name] = str(record[name])
        return record


CPU = TrainSettings()
GPU = TrainSettings(
    hours=0.5, pixels=1_000_000, lr=0.012, lr_first=0.04, adam_lr=2e-3, settle=1000,
    precision="bf16",
    procedural_pool=16_384, workers=8, checkpoint_minutes=2, log_every=20,
)  # fmt: skip


def preset(device: Literal["auto", "cpu", "cuda"] = "auto") -> TrainSettings:
    """Return the preset for this machine, or for the device named."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return replace(GPU if device == "cuda" else CPU, device=device)
