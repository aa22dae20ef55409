"""The training loop: optimiser steps, with a log, checkpoints and a measurement now and then."""

import json
import math
import os
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor

from ..schedule import Schedule
from . import evaluate, guards, network
from . import state as states
from .batches import Batch, batches
from .model_card import card_fits, write_card
from .muon import MuonAdamW
from .photographs import Photographs
from .settings import TrainSettings


@dataclass(frozen=True)
class Progress:
    """The report of a run, every ``TrainSettings.log_every`` steps.

    Args:
        step: optimiser steps done, those of the runs it was resumed from included.
        share: of this run that is done, 0 to 1.
        pixels: seen, likewise.
        loss: mean over the steps since the last report.
        lr: learning rate of Muon at the last step.
        pixels_per_second: since the last report.
        seconds_left: estimated, for the rest of the run.
        psnr: held-out denoising in dB by noise level, when it was just measured.
    """

    step: int
    share: float
    pixels: int
    loss: float
    lr: float
    pixels_per_second: float
    seconds_left: float
    psnr: dict[str, float] | None = None


class TrainingRun:
    """One run: its network, average, optimiser and progress.

    Args:
        folder: the photographs, for their manifest.
        photographs: what was read of them.
        out: the run folder; a state in it is gone on from.
        settings: of the run.
        device: where to train.
        weights: what to start from, if not from random weights.
        before: the state of another run to go on from.
        on_progress: called with a `Progress` now and then.
        stop: set by whoever wants the run to end after its present step, with everything saved.
    """

    def __init__(
        self,
        folder: Path,
        photographs: Photographs,
        out: Path,
        settings: TrainSettings,
        device: torch.device,
        weights: dict[str, Tensor] | None,
        before: states.State | None,
        on_progress: Callable[[Progress], None] | None,
        stop: Event | None = None,
    ):
        self.folder, self.photographs, self.out, self.settings = folder, photographs, out, settings
        self.device, self.report = device, on_progress or (lambda progress: None)
        self.stop = stop or Event()
        self.schedule = Schedule.linear()
        self.crops = evaluate.centre_crops(photographs.held_out, settings.multiple)
        self.net = network.build(settings)
        if weights is not None:
            self.net.load_state_dict(weights)
        self.net.to(device)
        self.ema = deepcopy(self.net).eval().requires_grad_(False)
        self.optimizer = MuonAdamW(self.net.named_parameters())
        self.step = self.first = self.pixels = 0
        self.seconds = 0.0
        # The folder's own state is read after that of another run, so that a continued run does not
        # begin with the other one again.
        if before is not None:
            states.restore(before, self.net, self.ema, self.optimizer)
            self.step = self.first = before.step
            self.pixels = before.pixels
        stored = states.read(out)
        if stored is not None:
            states.restore(stored, self.net, self.ema, self.optimizer)
            self.step, self.first, self.pixels = stored.step, stored.first, stored.pixels
            self.seconds = stored.seconds
        # Steps between the last checkpoint and a kill are done again, and logged again.
        states.trim_log(out, self.step)
        self.forward: Callable[[Tensor, Tensor], Tensor] | None = None
        self.movement: guards.Movement | None = None
        self.last: Progress | None = None
        self.losses: list[Tensor] = []
        self.logged = time.monotonic()
        self.logged_pixels = self.pixels

    def train_to_end(self) -> None:
        """Train to the end, or until the time is up."""
        settings, before = self.settings, self.seconds
        if self.share() < 1:
            self.prepare()
        self.movement, begun = guards.Movement(self.net), self.step
        started = saved = self.logged = time.monotonic()
        source = batches(settings, self.photographs.training, self.step, self.stage, self.out)
        try:
            while self.share() < 1:
                if (
                    self.falling()
                    and not (self.out / states.BEFORE_DECAY).is_file()
                    and settings.decay < 1
                ):
                    states.write(self.out, self.state(), states.BEFORE_DECAY)
                self.losses.append(self.update(next(source)))
                now = time.monotonic()
                self.seconds = before + now - started
                # Soon after every start: a compiler that loses gradients would waste hours.
                if self.step - begun == guards.STEPS:
                    self.movement.check(self.net, guards.STEPS)
                if len(self.losses) == settings.log_every:
                    self.log()
                late = (
                    settings.max_minutes is not None and now - started > 60 * settings.max_minutes
                )
                if late or self.stop.is_set():
                    break
                if now - saved > 60 * settings.checkpoint_minutes and self.share() < 1:
                    self.save()
                    saved = time.monotonic()
        finally:
            source.close()
        self.save()

    def prepare(self) -> None:
        """Choose how the network is run and with how many threads, by trying one batch."""
        settings = self.settings
        # Without workers: starting processes for one batch takes longer than making it.
        first = batches(
            replace(settings, workers=0), self.photographs.training, self.step, self.stage, self.out
        )
        x_t, t, v = self.noised(next(first))
        first.close()
        asked = guards.Execution(settings.compile, settings.precision == "bf16", channels_last=True)
        execution = guards.checked(self.net, asked, x_t, t, v)
        self.forward = execution.prepare(self.net)
        self.ema.to(
            memory_format=torch.channels_last
            if execution.channels_last
            else torch.contiguous_format
        )
        if self.device.type == "cpu" and settings.threads == 0:
            torch.set_num_threads(self.fastest(x_t, t, v))

    def fastest(self, x_t: Tensor, t: Tensor, v: Tensor) -> int:
        """Return the number of threads, of one, half and all cores, with which a step takes the
        least time.
        """
        cores = os.cpu_count() or 1
        times: dict[int, float] = {}
        for threads in sorted({1, max(1, cores // 2), cores}):
            torch.set_num_threads(threads)
            self.backward(x_t, t, v)  # the first call prepares
            started = time.monotonic()
            self.backward(x_t, t, v)
            times[threads] = time.monotonic() - started
        self.optimizer.zero_grad()
        return min(times, key=lambda threads: times[threads])

    def share(self) -> float:
        """Return the share of this run that is done, 0 to 1.

        It is a share of its steps where these are given, else of its time.
        """
        if self.settings.steps is not None:
            return min(1.0, (self.step - self.first) / self.settings.steps)
        return min(1.0, self.seconds / (3600 * self.settings.hours))

    def stage(self, step: int) -> tuple[int, int]:
        """Return side and number of the patches of a step."""
        if self.settings.steps is not None:
            return self.settings.stage((step - self.first) / self.settings.steps)
        return self.settings.stage(self.share())

    def falling(self) -> bool:
        """Return True if the learning rate has begun to fall."""
        return self.settings.decay > 0 and self.share() >= 1 - self.settings.decay

    def rates(self) -> tuple[float, float]:
        """Return the learning rates of Muon and AdamW for the next step.

        Both rise in the warm-up and fall to zero over the decay. Muon's also falls from lr_first to
        lr, exponentially, where the network starts from random weights.
        """
        settings, done = self.settings, self.step - self.first
        factor = min(1.0, (done + 1) / max(1, settings.warmup))
        if settings.decay > 0:
            factor *= min(1.0, (1 - self.share()) / settings.decay)
        fresh = settings.start_from is None and self.first == 0
        settling = max(0.0, 1 - done / settings.settle) if fresh else 0.0
        lr = settings.lr * (settings.lr_first / settings.lr) ** settling
        return factor * lr, factor * settings.adam_lr

    def noised(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return x_t, t and the target v of a batch, on the device."""
        x0 = self.on_device(evaluate.to_tensor(batch.x0))
        t, eps = torch.from_numpy(batch.t), self.on_device(torch.from_numpy(batch.eps))
        x_t, v = network.noised(self.schedule, x0, t, eps)
        return x_t, t.to(self.device), v

    @torch.enable_grad()
    def backward(self, x_t: Tensor, t: Tensor, v: Tensor) -> Tensor:
        """Compute the gradients of a batch and return its loss."""
        assert self.forward is not None
        loss: Tensor = (self.forward(x_t, t) - v).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        return loss.detach()

    def update(self, batch: Batch) -> Tensor:
        """Do one optimiser step and return its loss, on the device."""
        # The loss stays on the device: reading it would wait for a GPU at every step.
        loss = self.backward(*self.noised(batch))
        self.optimizer.step(*self.rates())
        self.step += 1
        self.pixels += batch.x0[..., 0].size
        self.average()
        return loss

    def on_device(self, images: Tensor) -> Tensor:
        return images.to(self.device, non_blocking=True)

    @torch.no_grad()
    def average(self) -> None:
        """Move the average towards the weights; weights that were already good are averaged slowly
        at once.
        """
        decay = self.settings.ema_decay
        if self.settings.start_from is None:
            decay = min(decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.net.parameters()), 1 - decay)

    def log(self) -> None:
        """Write one line of the log and report it."""
        loss = float(torch.stack(self.losses).mean())
        now = time.monotonic()
        if not math.isfinite(loss):
            raise RuntimeError(
                f"The loss became {loss} at step {self.step}. The last checkpoint in {self.out} is "
                f"intact. Start a new run with a lower learning rate than lr = {self.settings.lr}, "
                "or in fp32."
            )
        share, speed = (
            self.share(),
            (self.pixels - self.logged_pixels) / max(now - self.logged, 1e-9),
        )
        left = self.seconds * (1 - share) / max(share, 1e-9)
        self.last = Progress(self.step, share, self.pixels, loss, self.rates()[0], speed, left)
        self.write_line(
            step=self.step, pixels=self.pixels, share=round(share, 4), loss=round(loss, 6),
            lr=round(self.last.lr, 8), pixels_per_second=round(speed),
            seconds=round(self.seconds, 1),
        )  # fmt: skip
        self.losses, self.logged, self.logged_pixels = [], now, self.pixels
        self.report(self.last)

    def write_line(self, **values: Any) -> None:
        with (self.out / states.LOG).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(values) + "\n")

    def state(self) -> states.State:
        """Return where the run stands."""
        tensors = states.collect(self.net, self.ema, self.optimizer)
        return states.State(
            self.step, self.first, self.pixels, self.seconds, self.optimizer.updates, tensors
        )

    def save(self) -> None:
        """Write the state, then the prior as it is now, and what it does on the held-out
        photographs.

        Nothing is done when a finished run is started again and everything is there.
        """
        if self.saved():
            return
        if self.losses:
            self.log()
        # The state first: whatever a kill leaves out below is made again from it.
        states.write(self.out, self.state())
        network.export(self.ema, self.out)
        psnr = self.measure()
        evaluate.save_curves(self.out / "curves.png", states.read_log(self.out))
        # The card last: one that names these weights says that all the rest is there.
        write_card(
            self.out, self.folder, self.photographs, self.settings,
            step=self.step, pixels=self.pixels, seconds=self.seconds, finished=self.share() == 1,
            psnr=psnr,
        )  # fmt: skip
        if self.last is not None:
            self.report(replace(self.last, psnr=psnr))
        # A measurement is no training: its seconds do not count in the speed.
        self.logged = time.monotonic()

    def saved(self) -> bool:
        """Return True if the folder holds this very step.

        That is its state, its weights, and a card of them.
        """
        stored, weights = states.read(self.out), self.out / network.WEIGHTS
        if stored is None or stored.step != self.step or not weights.is_file():
            return False
        # A kill after the state leaves the weights of the checkpoint before, with their card.
        return weights.read_bytes() == network.weights_file(self.ema) and card_fits(self.out)

    def measure(self) -> dict[str, float]:
        """Denoise the held-out photographs, and log and draw the outcome; {} where all of them are
        too small.
        """
        if not self.crops:
            return {}
        psnr, pictures = evaluate.measure(self.ema, self.crops)
        self.write_line(
            step=self.step, pixels=self.pixels, psnr=psnr, seconds=round(self.seconds, 1)
        )
        evaluate.save_sheet(self.out / "samples" / f"{self.step:08d}.png", self.crops, pictures)
        return psnr
