"""The state of a run on disk: one safetensors file, replaced in one go, from which the run goes on bit for bit."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .batches import CACHE
from .network import EXPORT
from .photographs import Photographs
from .settings import FREE, TrainSettings

FORMAT = 1
STATE, SETTINGS, LOG = "state.safetensors", "settings.json", "log.jsonl"


@dataclass(frozen=True)
class State:
    """Where a run stands.

    Args:
        step: optimiser steps done.
        seconds: time spent so far, over all its pieces.
        tensors: weights ``net.*``, their average ``ema.*``, AdamW's moments ``m.*`` and ``v.*``.
    """

    step: int
    seconds: float
    tensors: dict[str, Tensor]


def collect(net: torch.nn.Module, ema: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Gather all tensors of a run under the names of `State`."""
    tensors = {f"net.{name}": p for name, p in net.named_parameters()}
    tensors |= {f"ema.{name}": p for name, p in ema.named_parameters()}
    for name, p in net.named_parameters():
        moments = optimizer.state.get(p)
        if moments:
            tensors[f"m.{name}"], tensors[f"v.{name}"] = moments["exp_avg"], moments["exp_avg_sq"]
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


@torch.no_grad()
def restore(
    state: State, net: torch.nn.Module, ema: torch.nn.Module, optimizer: torch.optim.Optimizer, updates: int
) -> None:
    """Copy a state into network, average and optimiser, keeping their memory formats.

    Args:
        state: as read.
        net: receives the weights.
        ema: receives the average.
        optimizer: AdamW over the parameters of ``net``.
        updates: optimiser steps since the optimiser was started.
    """
    averages = dict(ema.named_parameters())
    for name, p in net.named_parameters():
        p.copy_(state.tensors[f"net.{name}"])
        averages[name].copy_(state.tensors[f"ema.{name}"])
        if f"m.{name}" in state.tensors:
            optimizer.state[p] = {
                "step": torch.tensor(float(updates), device=p.device if optimizer.defaults["fused"] else "cpu"),
                "exp_avg": torch.zeros_like(p).copy_(state.tensors[f"m.{name}"]),
                "exp_avg_sq": torch.zeros_like(p).copy_(state.tensors[f"v.{name}"]),
            }


def write(folder: Path, state: State) -> None:
    """Write the state so that a kill at any moment leaves the old one or the new one."""
    from safetensors.torch import save_file

    notes = {"format": FORMAT, "step": state.step, "seconds": state.seconds}
    temporary = folder / f".{STATE}.tmp"
    save_file(state.tensors, temporary, metadata={"hrdis": json.dumps(notes)})
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.chmod(0o644)
    os.replace(temporary, folder / STATE)


def read(folder: Path) -> State | None:
    """Return the state in a run folder; None if none was written yet."""
    from safetensors import SafetensorError, safe_open

    path = folder / STATE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as opened:
            notes = json.loads((opened.metadata() or {})["hrdis"])
            tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError) as error:
        raise ValueError(
            f"{path} cannot be read as the state of a run ({error}). "
            f"Delete it to start over, or continue from the weights with start_from={folder}."
        ) from error
    return State(notes["step"], notes["seconds"], tensors)


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one go."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def fingerprint(photographs: Photographs) -> str:
    """Return a digest of the pixels a run is trained on, so that it is not continued on others."""
    digest = hashlib.sha256(photographs.training.pixels.data)
    digest.update(photographs.training.sizes.tobytes())
    return digest.hexdigest()


def check_folder(folder: Path, out: Path) -> None:
    """Make the output folder, and refuse one that cannot be written or that holds something else."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"out = {out} is a file. A folder to write the prior to is expected: give another name.")
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"out = {out} lies inside the photographs, {folder}, so that samples would be trained on. "
            "Give a folder outside of it."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"out = {out} cannot be written ({error.strerror}). Give a folder you may write to.") from None
    if any(path.name != ".lock" for path in out.iterdir()) and not (out / SETTINGS).is_file():
        raise ValueError(
            f"out = {out} holds files, but no {SETTINGS}: it is not a run of this trainer. Give a new or empty folder."
        )


def sweep(out: Path) -> None:
    """Remove what a killed run left half written."""
    for path in out.glob(".*"):
        if path.is_dir() and path.name.startswith((EXPORT, CACHE)):
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.endswith(".tmp"):
            path.unlink(missing_ok=True)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a second process from training into the same folder; the lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # Windows: no lock
        yield
        return
    with (out / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(
                f"Another process is training into out = {out}. Wait for it, or give another folder."
            ) from None
        yield


def check_settings(out: Path, settings: TrainSettings, photographs: str, extend: bool = False) -> None:
    """Compare with the settings that a run was started with, and record them if it is a new run.

    Args:
        out: the run folder.
        settings: asked for now.
        photographs: their `fingerprint`.
        extend: allow another number of images; the learning rate and the stages then follow the new number.

    Raises:
        ValueError: naming each difference; fields in `FREE` may differ.
    """
    record: dict[str, Any] = {"settings": settings.as_record(), "photographs": photographs}
    path = out / SETTINGS
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        free = {*FREE, "images"} if extend else set(FREE)
        before, now = stored["settings"], record["settings"]
        defaults: dict[str, Any] = (
            dict.fromkeys(before) | TrainSettings().as_record()
        )  # of fields that a run knew nothing of
        changed = [
            f"{name} was {before.get(name, defaults[name])!r}, now {now.get(name)!r}"
            for name in sorted({*before, *now} - free)
            if before.get(name, defaults[name]) != now.get(name)
        ]
        if stored["photographs"] != photographs:
            changed.append("the photographs are not the same")
        if changed:
            hint = " To train longer, allow it: extend=True." if any(c.startswith("images") for c in changed) else ""
            raise ValueError(
                f"{out} holds a run with other settings: {'; '.join(changed)}. "
                f"Repeat the settings of {path.name} to go on, or give a new folder.{hint}"
            )
    write_text(path, json.dumps(record, indent=2) + "\n")


def read_log(out: Path) -> list[dict[str, Any]]:
    """Return the lines of the log; an unfinished last line is left out."""
    path, lines = out / LOG, []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def trim_log(out: Path, step: int) -> None:
    """Drop the lines after a step: the run goes on from there and writes them again."""
    kept = [line for line in read_log(out) if line["step"] <= step]
    write_text(out / LOG, "".join(json.dumps(line) + "\n" for line in kept))
