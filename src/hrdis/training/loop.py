"""The training loop: batches in, weights out, with a log, checkpoints and a measurement now and then."""

import json
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..schedule import Schedule
from . import evaluate, network
from . import state as states
from .batches import Batch, batches
from .card import CARD, write_card
from .photographs import Photographs
from .settings import TrainSettings


@dataclass(frozen=True)
class Progress:
    """What a run reports every ``TrainSettings.log_every`` steps.

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


class Run:
    """One run: its network, average, optimiser, and where it stands.

    Args:
        folder: the photographs, for their manifest.
        photographs: what was read of them.
        out: the run folder; a state in it is gone on from.
        settings: of the run.
        device: where to train.
        weights: what to start from, if not from random weights.
        on_progress: called with a `Progress` now and then.
    """

    def __init__(
        self,
        folder: Path,
        photographs: Photographs,
        out: Path,
        settings: TrainSettings,
        device: torch.device,
        weights: dict[str, Tensor] | None,
        on_progress: Callable[[Progress], None] | None,
    ):
        self.folder, self.photographs, self.out, self.settings = folder, photographs, out, settings
        self.device, self.report = device, on_progress or (lambda progress: None)
        self.schedule = Schedule.linear()
        self.crops = evaluate.centre_crops(photographs.held_out, 2 ** (len(settings.channels) - 1))
        self.net = network.build(settings.channels, settings.layers, settings.seed)
        if weights is not None:
            self.net.load_state_dict(weights)
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
        self.last: Progress | None = None
        self.losses: list[Tensor] = []
        self.logged = time.monotonic()

    def go(self) -> None:
        """Train to the end, or until the time is up."""
        settings, before = self.settings, self.seconds
        started = saved = self.logged = time.monotonic()
        source = batches(settings, self.photographs.training, self.step, self.out)
        try:
            for batch in source:
                self.losses.append(self.update(batch))
                now = time.monotonic()
                self.seconds = before + now - started
                if len(self.losses) == settings.log_every:
                    self.log()
                if settings.max_minutes is not None and now - started > 60 * settings.max_minutes:
                    break
                if now - saved > 60 * settings.checkpoint_minutes and self.step < settings.steps:
                    self.save()
                    saved = time.monotonic()
        finally:
            source.close()
        self.save()

    @torch.enable_grad()
    def update(self, batch: Batch) -> Tensor:
        """Do one optimiser step and return its loss, on the device."""
        settings, lr = self.settings, self.lr()
        x0 = self.on_device(evaluate.to_tensor(batch.x0))
        t, eps = torch.from_numpy(batch.t), self.on_device(torch.from_numpy(batch.eps))
        x_t, v = network.noised(self.schedule, x0, t, eps)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            output = self.call(x_t, t.to(self.device), return_dict=False)[0]
        loss: Tensor = (output.float() - v).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.step += 1
        self.average()
        return loss.detach()

    def on_device(self, images: Tensor) -> Tensor:
        return images.to(self.device, non_blocking=True, memory_format=torch.channels_last)

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

    def log(self) -> None:
        """Write one line of the log and report it."""
        loss = float(torch.stack(self.losses).mean())
        settings, now = self.settings, time.monotonic()
        if not math.isfinite(loss):
            raise RuntimeError(
                f"The loss became {loss} at step {self.step} of {settings.steps}. The last checkpoint in {self.out} is "
                f"intact. Start a new run with a lower learning rate than lr = {settings.lr}, or in fp32."
            )
        each = (now - self.logged) / len(self.losses)
        images, left = self.step * settings.batch, (settings.steps - self.step) * each
        self.last = Progress(self.step, settings.steps, images, loss, self.lr(), settings.batch / max(each, 1e-9), left)
        self.write_line(
            step=self.step, images=images, loss=round(loss, 6), lr=round(self.last.lr, 8),
            images_per_second=round(self.last.images_per_second, 2), seconds=round(self.seconds, 1),
        )  # fmt: skip
        self.losses, self.logged = [], now
        self.report(self.last)

    def write_line(self, **values: Any) -> None:
        with (self.out / states.LOG).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(values) + "\n")

    def save(self) -> None:
        """Write the state, then the prior as it is now, and what it does on the held-out photographs.

        Nothing is done when a finished run is started again and everything is there.
        """
        done = [line["psnr"] for line in states.read_log(self.out) if line["step"] == self.step and "psnr" in line]
        if done and (self.out / CARD).is_file():
            return
        if self.losses:
            self.log()
        tensors = states.collect(self.net, self.ema, self.optimizer)
        states.write(self.out, states.State(self.step, self.seconds, tensors))
        network.export(self.ema, self.out)
        psnr = self.measure()
        write_card(
            self.out, self.folder, self.photographs, self.settings, step=self.step, seconds=self.seconds, psnr=psnr
        )
        evaluate.save_curves(self.out / "curves.png", states.read_log(self.out))
        if self.last is not None:
            self.report(replace(self.last, psnr=psnr))
        self.logged = time.monotonic()

    def measure(self) -> dict[str, float]:
        """Denoise the held-out photographs, and log and draw the outcome."""
        psnr, pictures = evaluate.measure(self.ema, self.crops)
        images = self.step * self.settings.batch
        self.write_line(step=self.step, images=images, psnr=psnr, seconds=round(self.seconds, 1))
        evaluate.save_sheet(self.out / "samples" / f"{self.step:08d}.png", self.crops, pictures)
        return psnr
