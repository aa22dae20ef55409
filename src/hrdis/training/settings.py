"""What a training run is made of: `TrainSettings`, and a preset for a machine with a GPU and one without."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

# These may differ when a run is continued: they change when and how fast it is computed, not what.
FREE = ("max_minutes", "checkpoint_minutes", "log_every", "threads", "workers")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainSettings:
    """Everything that decides a training run.

    Small patches come first and large ones last; every optimiser step sees the same number of pixels,
    ``batch * patch * patch``, so that shares of the steps are shares of the computing.
    """

    images: Annotated[int, Field(ge=1)] = 1_000_000
    """How many images to train on in all, counted in small patches (a large patch counts by its area)."""

    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    """Small patches per optimiser step."""

    patch: Annotated[int, Field(ge=8, le=512)] = 32
    """Side of the small patches in pixels."""

    large_patch: Annotated[int, Field(ge=8, le=1024)] = 64
    """Side of the large patches that end the training."""

    large_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Share of the training, at its end, that is done on large patches."""

    lr: Annotated[float, Field(gt=0, le=0.1)] = 7e-4
    """Highest learning rate; it falls along a cosine to a thousandth of this."""

    warmup: Annotated[int, Field(ge=0)] = 300
    """Steps over which the learning rate rises from zero."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """Weight decay of AdamW."""

    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.9995
    """Decay per step of the moving average of the weights, which is what is evaluated and kept."""

    procedural_first: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Share of procedural images at first; the rest are photographs."""

    procedural_last: Annotated[float, Field(ge=0, le=1)] = 0.03
    """Share of procedural images at the end."""

    procedural_switch: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Share of the training after which the procedural share changes."""

    procedural_pool: Annotated[int, Field(ge=1, le=1_000_000)] = 3000
    """How many different procedural images there are; each is painted once, on first use."""

    channels: Annotated[tuple[int, ...], Field(min_length=2, max_length=6)] = (32, 64, 96, 128)
    """Channels of the network at each resolution, multiples of 8."""

    layers: Annotated[int, Field(ge=1, le=4)] = 1
    """Residual blocks per resolution."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes in bfloat16 over float32 weights: faster on a GPU, and on a CPU that has AVX512-BF16 or AMX."""

    compile: bool = False
    """Compile the network first (needs a C++ compiler): minutes to start, then about a quarter faster."""

    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """CPU threads; 0 leaves it to torch."""

    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that prepare batches; 0 prepares them in between."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU if there is one."""

    seed: int = 0
    """Decides everything random: weights at the start, held-out photographs, every batch."""

    licences: tuple[str, ...] = ()
    """Train only on photographs with these licences, as named in the folder's manifest.csv; empty takes all."""

    long_side: Annotated[int, Field(ge=64, le=8192)] = 960
    """Photographs are first reduced to this long side in pixels."""

    start_from: Path | None = None
    """Folder of an earlier prior whose weights to start from; the optimiser starts anew."""

    start_at: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training that counts as done already; used with start_from."""

    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5.0
    """Minutes between checkpoints, each with a measurement on the held-out photographs."""

    max_minutes: Annotated[float | None, Field(gt=0)] = None
    """Stop cleanly after so many minutes; the same command later goes on."""

    log_every: Annotated[int, Field(ge=1)] = 50
    """Steps between lines of the log."""

    @model_validator(mode="after")
    def _consistent(self) -> "TrainSettings":
        cell = 2 ** (len(self.channels) - 1)
        for name in ("patch", "large_patch"):
            if getattr(self, name) % cell:
                raise ValueError(
                    f"{name} = {getattr(self, name)} is not a multiple of {cell}, which {len(self.channels)} "
                    f"resolutions need. Use {name} = {max(cell, getattr(self, name) // cell * cell)}."
                )
        if any(c % 8 or c <= 0 for c in self.channels):
            raise ValueError(f"channels = {self.channels} must be positive multiples of 8, e.g. (32, 64, 96, 128).")
        if self.large_share > 0 and (self.batch * self.patch**2) % self.large_patch**2:
            raise ValueError(
                f"batch x patch^2 = {self.batch} x {self.patch}^2 is not a multiple of large_patch^2 = "
                f"{self.large_patch}^2, so that no whole number of large patches has as many pixels. "
                f"Change batch, or use large_patch = {2 * self.patch} with a batch that is a multiple of 4."
            )
        if self.start_at > 0 and self.start_from is None:
            raise ValueError(f"start_at = {self.start_at} needs start_from, the folder of the earlier prior.")
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return -(-self.images // self.batch)

    def stage(self, step: int) -> tuple[int, int]:
        """Return the side of the patches and their number at a step."""
        if step < round((1 - self.large_share) * self.steps):
            return self.patch, self.batch
        return self.large_patch, self.batch * self.patch**2 // self.large_patch**2

    @property
    def sides(self) -> list[int]:
        """Sides of all patches that are used, the largest last."""
        return sorted({self.stage(0)[0], self.stage(self.steps - 1)[0]})

    def procedural_share(self, step: int) -> float:
        """Return the share of procedural images at a step."""
        return self.procedural_first if step < self.procedural_switch * self.steps else self.procedural_last

    def as_record(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        record = asdict(self)
        record["channels"], record["licences"] = list(self.channels), list(self.licences)
        record["start_from"] = None if self.start_from is None else str(self.start_from)
        return record


CPU = TrainSettings()  # 1 million images: about 5 core-hours with AVX512-BF16
GPU = TrainSettings(
    images=3_000_000, batch=256, patch=64, large_patch=128, large_share=0.2, lr=1e-3, precision="bf16",
    channels=(48, 72, 120, 144), layers=2, procedural_pool=16_384, workers=8, checkpoint_minutes=2,
)  # fmt: skip


def preset(device: Literal["auto", "cpu", "cuda"] = "auto") -> TrainSettings:
    """Return the preset for this machine, or for the device named."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        return replace(GPU, device=device)
    fast = any(getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in ("avx512_bf16", "amx_tile"))
    return replace(CPU, device=device, precision="bf16" if fast else "fp32")
