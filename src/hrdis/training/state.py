"""The state of a run on disk, from which the run goes on bit for bit.

It is one safetensors file, replaced in one go.
"""

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints import differences
from ..files import try_lock, write_atomically, write_text
from .batches import CACHE
from .muon import MuonAdamW
from .photographs import Photographs
from .settings import FREE, LENGTH, TrainSettings

FORMAT = 2
STATE, SETTINGS, LOG = "state.safetensors", "settings.json", "log.jsonl"
# where the rate began to fall: `TrainSettings.resume` goes on from here
BEFORE_DECAY = "before-decay.safetensors"


@dataclass(frozen=True)
class State:
    """The state of a run.

    Args:
        step: optimiser steps done, those of the runs it was resumed from included.
        first: the step this run began with.
        pixels: seen so far, likewise.
        seconds: time spent in this run, over all its pieces.
        updates: optimiser steps since the optimiser was started.
        tensors: weights ``net.*``, their average ``ema.*``, averages of the gradients ``m.*`` and
            of their squares ``v.*``.
    """

    step: int
    first: int
    pixels: int
    seconds: float
    updates: int
    tensors: dict[str, Tensor]


def collect(net: nn.Module, ema: nn.Module, optimizer: MuonAdamW) -> dict[str, Tensor]:
    """Return all tensors of a run under the names of `State`, on the CPU."""
    tensors = {}
    for name, tensor in _tensors_of(net, ema, optimizer).items():
        tensors[name] = tensor.detach().cpu().contiguous()
    return tensors


def _tensors_of(net: nn.Module, ema: nn.Module, optimizer: MuonAdamW) -> dict[str, Tensor]:
    """Return the live tensors of a run under the names of `State`."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in net.named_parameters():
        tensors[f"net.{name}"] = parameter
    for name, parameter in ema.named_parameters():
        tensors[f"ema.{name}"] = parameter
    return tensors | optimizer.tensors()


@torch.no_grad()
def restore(state: State, net: nn.Module, ema: nn.Module, optimizer: MuonAdamW) -> None:
    """Copy a state into network, average and optimiser, keeping their memory formats.

    Raises:
        ValueError: if it is the state of another network.
    """
    into = _tensors_of(net, ema, optimizer)
    shapes: list[dict[str, tuple[int, ...]]] = []
    for tensors in (state.tensors, into):
        shapes.append({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if wrong := differences(*shapes):
        raise ValueError(
            f"The state is one of another network than the settings': {wrong}. Use the settings "
            "that the run was made with: network, channels, blocks, middle."
        )
    for name, tensor in into.items():
        tensor.copy_(state.tensors[name])
    optimizer.updates = state.updates


def write(folder: Path, state: State, name: str = STATE) -> None:
    """Write the state so that a kill or a power cut at any moment leaves the old one or the new
    one.

    Raises:
        RuntimeError: if a number in it is not finite; nothing is written.
        OSError: if the disk is full.
    """
    from safetensors.torch import save

    poisoned = []
    for key, tensor in state.tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            poisoned.append(key)
    if poisoned:
        raise RuntimeError(
            f"At step {state.step} {len(poisoned)} tensors of the run are not finite any more, "
            f"{poisoned[0]} among them. They were not saved: the last checkpoint in {folder} is "
            "intact. Begin a new run with a lower learning rate, or in fp32."
        )
    notes: dict[str, Any] = {"format": FORMAT}
    for field in fields(State):
        if field.name != "tensors":
            notes[field.name] = getattr(state, field.name)
    # safetensors checks lengths only: bits that flip would be trained on.
    notes["sha256"] = _digest(state.tensors, notes)
    content = save(state.tensors, metadata={"hrdis": json.dumps(notes)})
    write_atomically(folder / name, lambda file: file.write(content))


def _digest(tensors: dict[str, Tensor], notes: dict[str, Any]) -> str:
    """Return the SHA-256 of notes, names and bytes, by which a damaged file is known."""
    digest = hashlib.sha256()
    if notes:
        digest.update(json.dumps(notes, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().data)
    return digest.hexdigest()


def read(folder: Path, name: str = STATE) -> State | None:
    """Return the state in a run folder; None if none was written yet."""
    from safetensors import SafetensorError, safe_open

    path = folder / name
    if not path.is_file():
        return None
    advice = f"Delete it to start over, or continue from the weights with start_from={folder}."
    try:
        with safe_open(path, "pt") as opened:
            notes = json.loads((opened.metadata() or {})["hrdis"])
            tensors = {}
            for key in opened.keys():  # noqa: SIM118 (safetensors' handle is no mapping)
                tensors[key] = opened.get_tensor(key).clone()
        digest = notes.pop("sha256", None)
        # The first states of this format held the sum of the tensors alone.
        known = (_digest(tensors, notes), _digest(tensors, {}))
        version = notes.pop("format", None)
        if version != FORMAT:
            raise ValueError(
                f"{path} was written by an earlier version, whose networks and optimiser are no "
                "longer trained. Begin in a new folder."
            )
        state = State(**notes, tensors=tensors)
    except (
        SafetensorError, KeyError, TypeError, AttributeError, RecursionError,
        json.JSONDecodeError, UnicodeDecodeError,
    ) as error:  # fmt: skip
        reason = str(error).split("\n")[0]
        raise ValueError(
            f"{path} cannot be read as the state of a run ({reason}). {advice}"
        ) from error
    if digest not in known:
        raise ValueError(
            f"{path} is damaged: its numbers are not those that were written. {advice}"
        )
    return state


def resumed(folder: Path) -> State:
    """Return the state that a new run goes on from.

    It is the one before the decay if that has begun, else the latest.

    Raises:
        ValueError: if the folder holds none.
    """
    state = read(folder, BEFORE_DECAY) or read(folder)
    if state is None:
        raise ValueError(
            f"resume = {folder} holds no {STATE}. The folder of a run of this trainer is expected; "
            f"to begin with the weights of a prior alone: start_from={folder}."
        )
    return state


def fingerprint(photographs: Photographs) -> str:
    """Return a digest of the pixels a run is trained on, so that it is not continued on others."""
    digest = hashlib.sha256(photographs.training.pixels.data)
    digest.update(photographs.training.sizes.tobytes())
    return digest.hexdigest()


def check_folder(folder: Path, out: Path) -> None:
    """Make the output folder, and refuse one that cannot be written or that holds something
    else.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(
            f"out = {out} is a file. A folder to write the prior to is expected: give another name."
        )
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"out = {out} lies inside the photographs, {folder}, so that samples would be trained "
            "on. Give a folder outside of it."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(
            f"out = {out} cannot be written ({error.strerror}). Give a folder you may write to."
        ) from None
    # hidden files are what a first start leaves when it is killed: the lock, files half written
    visible = [path for path in out.iterdir() if not path.name.startswith(".")]
    if visible and not (out / SETTINGS).is_file():
        raise ValueError(
            f"out = {out} holds files, but no {SETTINGS}: it is not a run of this trainer. Give a "
            "new or empty folder."
        )


def remove_leftovers(out: Path) -> None:
    """Remove what a killed run left half written."""
    for path in out.glob(".*"):
        if path.is_dir() and path.name.startswith(CACHE):
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.endswith(".tmp"):
            path.unlink(missing_ok=True)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a second process from training into the same folder; the lock ends with the process."""
    with (out / ".lock").open("a") as handle:
        got = try_lock(handle.fileno())
        if got is False:
            raise ValueError(
                f"Another process is training into out = {out}. Wait for it, or give another "
                "folder."
            )
        if got is None:  # some network file systems; a run alone in its folder needs none
            warnings.warn(
                f"out = {out} lies on a file system without locks: see to it that no second "
                "process trains into it.",
                stacklevel=4,
            )
        yield


def check_settings(out: Path, settings: TrainSettings, photographs: str) -> None:
    """Compare with the settings that a run was started with, and record them if it is a new run.

    Args:
        out: the run folder.
        settings: asked for now.
        photographs: their `fingerprint`.

    Raises:
        ValueError: naming each difference; fields in `FREE` may differ, those in `LENGTH` until the
            rate has begun to fall.
    """
    record: dict[str, Any] = {"settings": settings.as_record(), "photographs": photographs}
    path = out / SETTINGS
    if path.is_file():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            before, now = dict(stored["settings"]), record["settings"]
            digest = stored["photographs"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{path} cannot be read as the settings of a run ({error}). Delete it to go on "
                f"with these settings from {out / STATE}."
            ) from error
        if "images" in before:  # a setting of that version
            raise ValueError(
                f"{out} holds a run of an earlier version, whose networks and optimiser are no "
                "longer trained. Begin in a new folder."
            )
        # Settings that an earlier version did not have are as if it had had their defaults.
        before = TrainSettings().as_record() | before
        falling = (out / BEFORE_DECAY).is_file() or before["decay"] == 1
        free = set(FREE) if falling else {*FREE, *LENGTH}
        changed, longer = [], False
        for name in sorted({*before, *now} - free):
            if before.get(name) != now.get(name):
                changed.append(f"{name} was {before.get(name)!r}, now {now.get(name)!r}")
                longer = longer or name in LENGTH
        if digest != photographs:
            changed.append("the photographs are not the same")
        if changed:
            hint = ""
            if longer:
                hint = (
                    " Its learning rate has begun to fall: to train longer, use a new folder and "
                    f"resume={out}."
                )
            raise ValueError(
                f"{out} holds a run with other settings: {'; '.join(changed)}. Repeat the settings "
                f"of {path.name} to go on, or give a new folder.{hint}"
            )
    write_text(path, json.dumps(record, indent=2) + "\n")


def read_log(out: Path) -> list[dict[str, Any]]:
    """Return the lines of the log; an unfinished last line is left out."""
    path = out / LOG
    lines: list[dict[str, Any]] = []
    if not path.is_file():
        return lines
    for line in path.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):  # a power cut may leave anything there
            break
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
            break
        lines.append(entry)
    return lines


def trim_log(out: Path, step: int) -> None:
    """Drop the lines after a step, because the run goes on from there and writes them again."""
    kept = [line for line in read_log(out) if line["step"] <= step]
    write_text(out / LOG, "".join(json.dumps(line) + "\n" for line in kept))
