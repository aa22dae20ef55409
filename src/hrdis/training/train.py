"""Train a prior on a folder of photographs: `train`."""

import json
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..schedule import Schedule
from . import evaluate, network
from . import state as states
from .batches import Batch, Cropper, batches
from .photographs import Photographs, load
from .settings import TrainSettings, preset


@dataclass(frozen=True)
class Progress:
    """What a run reports every `TrainSettings.log_every` steps.

    Args:
        step: optimiser steps done, of ``total``.
        total: optimiser steps in all.
        images: images seen, counted in small patches.
        loss: mean over the steps since the last report.
        lr: learning rate of the last step.
        images_per_second: since the last report.
        seconds_left: estimated, for all steps that are left.
        psnr: held-out denoising in dB by noise level, when it was just measured.
    """

    step: int
    total: int
    images: int
    loss: float
    lr: float
    images_per_second: float
    seconds_left: float
    psnr: dict[str, float] | None = None


def train(
    folder: str | Path,
    out: str | Path,
    settings: TrainSettings | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    extend: bool = False,
) -> Path:
    """Train a prior on the photographs in a folder, or go on with a training that was stopped.

    Minimises the unweighted mean squared error of v, over noise levels with ln(sigma/alpha) ~ Normal(-1, 1.6), by AdamW with
    warm-up and cosine, and keeps a moving average of the weights. Every few minutes the whole state is written, from
    which the same call goes on bit for bit (on the same device and torch), also after a kill.

    Args:
        folder: photographs, searched with subfolders; a few are held out to measure the prior on.
        out: receives the prior as a diffusers folder, ``settings.json``, ``log.jsonl``, ``curves.png``, ``samples/``,
            ``state.safetensors`` to go on from, and ``MODEL_CARD.md``.
        settings: `preset` for this machine if not given.
        on_progress: called with a `Progress` now and then.
        extend: go on with another number of images than the run in ``out`` was started with.

    Returns:
        the folder ``out``, which `load_prior` reads.

    Raises:
        ValueError: before any work, if folder, out and settings do not fit together.
        RuntimeError: if the loss stops being finite.
    """
    settings, out = settings or preset(), Path(out)
    device = _device(settings)
    photographs = load(
        Path(folder), licences=settings.licences, seed=settings.seed, long_side=settings.long_side
    )
    for side in {settings.stage(0)[0], settings.stage(settings.steps - 1)[0]}:
        Cropper(photographs.training, side)
    states.check_folder(out)
    states.check_settings(out, settings, states.fingerprint(photographs), extend)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    run = _Run(photographs, out, settings, device, on_progress or (lambda progress: None))
    run.go()
    return out


def _device(settings: TrainSettings) -> torch.device:
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise ValueError("device = 'cuda', but torch sees no GPU. Use device='auto' or 'cpu'.")
    return torch.device("cuda" if available and settings.device != "cpu" else "cpu")


class _Run:
    """One run: its network, average, optimiser, and where it stands."""

    def __init__(
        self,
        photographs: Photographs,
        out: Path,
        settings: TrainSettings,
        device: torch.device,
        report: Callable[[Progress], None],
    ):
        self.photographs, self.out, self.settings, self.device = photographs, out, settings, device
        self.report = report
        self.schedule = Schedule.linear()
        self.crops = evaluate.centre_crops(photographs.held_out, 2 ** (len(settings.channels) - 1))
        self.net = network.build(settings.channels, settings.layers, settings.seed)
        if settings.start_from is not None:
            self.net.load_state_dict(network.load(settings.start_from, settings.channels, settings.layers))
        self.net.to(device)
        self.ema = deepcopy(self.net).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=settings.weight_decay,
            fused=device.type == "cuda",
        )  # fmt: skip
        self.first = int(settings.start_at * settings.steps)
        self.step, self.seconds = self.first, 0.0
        stored = states.read(out)
        if stored is not None:
            self.step, self.seconds = stored.step, stored.seconds
            states.restore(stored, self.net, self.ema, self.optimizer, self.step - self.first)
        states.trim_log(out, self.step)
        self.call = torch.compile(self.net, dynamic=False) if settings.compile else self.net

    def go(self) -> None:
        """Train to the end, or until the time is up."""
        started = saved = logged = time.monotonic()
        before, losses, settings = self.seconds, [], self.settings
        source = batches(settings, self.photographs.training, self.step, self.out / ".cache")
        for batch in source:
            losses.append(self.update(batch))
            now = time.monotonic()
            self.seconds = before + now - started
            if len(losses) == settings.log_every or self.step == settings.steps:
                self.log(losses, now - logged)
                logged, losses = now, []
            if settings.max_minutes is not None and now - started > 60 * settings.max_minutes:
                break
            if now - saved > 60 * settings.checkpoint_minutes:
                self.save()
                saved = logged = time.monotonic()
                losses = []
        source.close()
        self.save()

    def update(self, batch: Batch) -> torch.Tensor:
        """Do one optimiser step and return its loss, on the device."""
        settings, lr = self.settings, self.lr()
        x0 = self.on_device(evaluate.to_tensor(batch.x0))
        t, eps = torch.from_numpy(batch.t), self.on_device(torch.from_numpy(batch.eps))
        x_t, v = network.noised(self.schedule, x0, t, eps)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            output = self.call(x_t, t.to(self.device), return_dict=False)[0]
        loss = (output.float() - v).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.step += 1
        self.average()
        return loss.detach()

    def on_device(self, images: torch.Tensor) -> torch.Tensor:
        return images.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)

    def lr(self) -> float:
        """Learning rate of the next step: linear warm-up, cosine to a thousandth."""
        settings = self.settings
        rise = min(1.0, (self.step - self.first + 1) / max(1, settings.warmup))
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / settings.steps))
        return settings.lr * rise * (0.001 + 0.999 * cosine)

    @torch.no_grad()
    def average(self) -> None:
        """Move the average towards the weights; weights that were already good are averaged slowly at once."""
        n, decay = self.step - self.first, self.settings.ema_decay
        if self.settings.start_from is None:
            decay = min(decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.net.parameters()), 1 - decay)

    def log(self, losses: list[torch.Tensor], seconds: float) -> None:
        """Write one line of the log and report it."""
        loss = float(torch.stack(losses).mean())
        if not math.isfinite(loss):
            raise RuntimeError(
                f"The loss became {loss} at step {self.step} of {self.settings.steps}. The last checkpoint in {self.out} is "
                f"intact. Start a new run with a lower learning rate than lr = {self.settings.lr}, or in fp32."
            )
        rate = len(losses) * self.settings.batch / max(seconds, 1e-9)
        left = (self.settings.steps - self.step) * seconds / len(losses)
        images = self.step * self.settings.batch
        progress = Progress(self.step, self.settings.steps, images, loss, self.lr(), rate, left)
        self.write_line(
            step=self.step, images=images, loss=round(loss, 6), lr=round(progress.lr, 8),
            images_per_second=round(rate, 2), seconds=round(self.seconds, 1),
        )  # fmt: skip
        self.last = progress
        self.report(progress)

    def write_line(self, **values: Any) -> None:
        with (self.out / states.LOG).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(values) + "\n")

    def save(self) -> None:
        """Write the state, then the prior as it is now, and what it does on the held-out photographs."""
        tensors = states.collect(self.net, self.ema, self.optimizer)
        states.write(self.out, states.State(self.step, self.seconds, tensors))
        network.export(self.ema, self.out)
        if self.crops:
            psnr, pictures = evaluate.measure(self.ema, self.crops)
            images = self.step * self.settings.batch
            self.write_line(step=self.step, images=images, psnr=psnr, seconds=round(self.seconds, 1))
            evaluate.save_sheet(self.out / "samples" / f"{self.step:08d}.png", self.crops, pictures)
        evaluate.save_curves(self.out / "curves.png", states.read_log(self.out))
