"""SIGKILL, SIGTERM and Ctrl-C at random moments: is anything lost or done twice?

    python studies/interrupts.py                   # 1 350 in all; the tables of reliability.md
    python studies/interrupts.py --only training --count 30 --no-write

Four commands that go on where they were ended, made short: `hrdis bench` (24 restorations of three
steps), `hrdis fix FOLDER` and `hrdis restore FOLDER` (6 pictures of 32 x 32), and `hrdis train` (4
steps of a network of some thousand weights, a state after each). Each is ended by one of the three
signals at a moment drawn from its whole length, again and again until it is done, and then compared
with a run that nobody ended:

    bench       rows but for times, memory and worker; every picture, byte for byte
    folders     every picture byte for byte, the records but for times; a picture that was finished
                is not written again
    training    the weights byte for byte; each step once in the log; no step that a state held is
                trained again

Between two signals nothing half written may stand under its own name, after SIGTERM and Ctrl-C not
even under a hidden one, and the status is 143 or 130, or 0 if the command was faster.
"""

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kills
import numpy as np
import tyro
from common.pages import DOCS, rewrite, table
from fuzz import tiny_model
from PIL import Image

import hrdis
import hrdis.cli.bench
import hrdis.cli.fix
import hrdis.cli.restore_folder
import hrdis.cli.train
from hrdis.rng import stream

PAGE, DATA = DOCS / "measurements" / "reliability.md", DOCS / "data" / "interrupts.csv"
SIGNALS = {signal.SIGKILL: "SIGKILL", signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}
COUNT = {"fix folder": 350, "restore folder": 350, "bench": 350, "training": 300}
TRAIN = (
    "--steps 4 --pixels 512 --patches 8 --channels 8 16 --blocks 1 --middle 1 --procedural-pool 2 "
    "--device cpu --threads 1 --log-every 1 --checkpoint-minutes 0.00001"
)
Contents = dict[str, object]


@dataclass
class Command:
    """A command that is ended and continued.

    Args:
        words: the command.
        out: the folder that it writes.
        outcome: what must be equal in the end.
        finished: what is done for good, by name; it must not be done again.
    """

    words: list[str]
    out: Path
    outcome: Callable[[Path], Contents]
    finished: Callable[[Path], Contents]


@dataclass
class Tally:
    """What happened to one command."""

    ended: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    equal: int = 0
    again: int = 0
    half: int = 0
    hidden: int = 0
    faults: list[str] = field(default_factory=list)


def start(words: list[str], log: Path) -> int:
    """Run a command in a forked process, which spares it the seconds of importing."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        status = hrdis.cli.main(words)
        sys.stderr.flush()
    except KeyboardInterrupt:  # in the instants before and after the command
        status = 130
    finally:
        os._exit(status)


def end_once(command: Command, log: Path, number: int, moment: float) -> int:
    """Start a command, send a signal at a moment, and return its status; -9 after SIGKILL."""
    process = start(command.words, log)
    end = time.monotonic() + moment
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(process, number)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 999  # it hung


def half_written(out: Path) -> tuple[list[str], list[str]]:
    """Return files that are not whole under their own names, and hidden ones."""
    half, hidden = [], []
    for path in out.rglob("*"):
        if not path.is_file():
            continue
        if path.name.startswith("."):
            if path.name not in (".lock", ".gitignore"):
                hidden.append(path.name)
            continue
        try:
            if path.suffix == ".png":
                with Image.open(path) as image:
                    image.load()
            elif path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".safetensors":
                from safetensors import safe_open

                with safe_open(path, "pt") as opened:
                    assert list(opened.keys())
        except Exception as error:
            half.append(f"{path.name}: {error}")
    return half, hidden


# ---- the three commands -------------------------------------------------------------------------


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bench(scratch: Path) -> Command:
    plan = scratch / "plan.yaml"
    plan.write_text(kills.PLAN)
    out = scratch / "bench"

    def outcome(folder: Path) -> Contents:
        rows, pictures = kills.outcome(folder)
        return {"rows": rows, **pictures}

    def finished(folder: Path) -> Contents:
        if not (folder / "config.json").is_file():
            return {}
        return {key: 1 for key in kills.Store.open(folder).finished()}

    return Command(["bench", str(plan), "-o", str(out)], out, outcome, finished)


def photographs(folder: Path, count: int, side: int) -> Path:
    """Write pictures of noise on waves."""
    folder.mkdir(exist_ok=True)
    at = np.linspace(0, 6, side)
    for number in range(count):
        wave = np.sin(at[:, None, None] * (1 + np.arange(3)) + at[None, :, None] * (1 + number))
        noise = stream(number, "interrupts").standard_normal((side, side, 3))
        values = (127 + 90 * wave + 8 * noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{number:02d}.png")
    return folder


def folder(scratch: Path, words: list[str], picture_of: Callable[[Path], Path]) -> Command:
    """A command that works on the pictures of a folder, one after the other.

    ``picture_of`` returns the picture of a record.
    """
    album, out = photographs(scratch / "album", 6, 32), scratch / "results"
    words = [words[0], str(album), "-o", str(out), *words[1:]]
    words += ["--model", tiny_model(scratch / "model")]

    def record(path: Path) -> object:
        values = json.loads(path.read_text())
        values.pop("seconds", None)
        return values

    def outcome(folder: Path) -> Contents:
        found: Contents = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                name = str(path.relative_to(folder))
                found[name] = record(path) if path.suffix == ".json" else digest(path)
        return found

    def finished(folder: Path) -> Contents:
        found: Contents = {}
        for path in folder.glob("*.json"):
            with suppress(ValueError):
                if "unfinished" not in json.loads(path.read_text()):
                    picture = picture_of(path)
                    found[picture.name] = (picture.stat().st_ino, picture.stat().st_mtime_ns)
        return found

    return Command(words, out, outcome, finished)


def fix_folder(scratch: Path) -> Command:
    words = ["fix", "--noise", "8", "--only", "noise"]
    return folder(scratch, words, lambda record: record.with_suffix(""))


def restore_folder(scratch: Path) -> Command:
    words = ["restore", "--task", "upscale", "--scale", "2", "--solver", "ddnm", "--steps", "2"]
    return folder(scratch, words, lambda record: record.with_suffix(".png"))


def training(scratch: Path) -> Command:
    photos, out = photographs(scratch / "photos", 4, 32), scratch / "trained"

    def log_of(folder: Path) -> list[dict[str, Any]]:
        found = []
        for path in folder.glob("*.jsonl"):
            for line in path.read_text().splitlines():
                with suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def outcome(folder: Path) -> Contents:
        steps = [entry["step"] for entry in log_of(folder) if "loss" in entry and "step" in entry]
        weights = {path.name: digest(path) for path in folder.glob("*pytorch_model*")}
        return {"steps": sorted(steps), "each once": len(set(steps)) == len(steps), **weights}

    def finished(folder: Path) -> Contents:
        from hrdis.training import state

        with suppress(ValueError):
            found = state.read(folder)
            return {} if found is None else {"step": found.step}
        return {}

    return Command(["train", str(photos), "-o", str(out), *TRAIN.split()], out, outcome, finished)


COMMANDS = {
    "fix folder": fix_folder, "restore folder": restore_folder, "bench": bench,
    "training": training,
}  # fmt: skip


def redone(name: str, before: Contents, after: Contents) -> int:
    """Return how much of what was finished is gone or was done again."""
    if name == "training":
        return int(int(after.get("step", 0)) < int(before.get("step", 0)))  # type: ignore[call-overload]
    return sum(after.get(key) != value for key, value in before.items())


def measure(name: str, count: int, seed: int) -> Tally:
    """End a command so many times."""
    tally, draw = Tally(), random.Random(f"{name} {seed}")
    with tempfile.TemporaryDirectory(prefix="interrupts-") as place:
        scratch = Path(place)
        command, log = COMMANDS[name](scratch), scratch / "log"
        for _ in range(2):  # the first time imports what was not imported yet
            shutil.rmtree(command.out, ignore_errors=True)
            began = time.monotonic()
            assert end_once(command, log, signal.SIGKILL, 1e9) == 0, log.read_text()
        lasts = time.monotonic() - began
        reference = command.outcome(command.out)
        shutil.rmtree(command.out)
        while tally.ended.total() < count:
            tally.runs += 1
            old_hidden: set[str] = set()
            while True:
                number = draw.choice(list(SIGNALS))
                before = command.finished(command.out)
                status = end_once(command, log, number, draw.uniform(0, 0.8 * lasts))
                half, hidden = half_written(command.out)
                tally.half += len(half)
                tally.again += redone(name, before, command.finished(command.out))
                if half:
                    tally.faults.append(f"{SIGNALS[number]}: {half[0]}")
                if status == 0:
                    break
                expected = (-number, 128 + number)
                if status not in expected:
                    said = log.read_text(errors="replace")[-600:]
                    tally.faults.append(f"{SIGNALS[number]} gave {status}: {said}")
                if hidden and number != signal.SIGKILL and status == 128 + number:
                    fresh = [name for name in hidden if name not in old_hidden]
                    tally.hidden += len(fresh)
                    if fresh:
                        tally.faults.append(f"{SIGNALS[number]} left {fresh[0]}")
                old_hidden = set(hidden)
                tally.ended[SIGNALS[number]] += 1
            outcome = command.outcome(command.out)
            tally.equal += outcome == reference
            for part in sorted({*outcome, *reference}):
                if outcome.get(part) != reference.get(part):
                    tally.faults.append(f"{part} is not that of the undisturbed run")
            if tally.runs % 5 == 0:
                print(f"{name}: {dict(tally.ended)}, {tally.equal} of {tally.runs}", flush=True)
            shutil.rmtree(command.out)
    return tally


def main(
    count: int | None = None, only: tuple[str, ...] = (), seed: int = 0, write: bool = True
) -> None:
    """Measure.

    Args:
        count: signals for each command; by default 350, and 300 for training.
        only: some of the commands.
        seed: of the moments and signals.
        write: rewrite the table of measurements/reliability.md and docs/data/interrupts.csv.
    """
    rows = {}
    if DATA.exists():
        with DATA.open() as file:
            rows = {row["command"]: row for row in csv.DictReader(file)}
    for name in only or COMMANDS:
        tally = measure(name, count or COUNT[name], seed)
        rows[name] = {
            "command": name, **{word: tally.ended[word] for word in SIGNALS.values()},
            "all": tally.ended.total(), "runs": tally.runs, "equal": tally.equal,
            "done_again": tally.again, "half_written": tally.half, "hidden": tally.hidden,
            "faults": len(tally.faults),
        }  # fmt: skip
        print(rows[name], flush=True)
        for fault, times in Counter(tally.faults).items():
            print(f"  {times} times: {fault}", flush=True)
    if not write:
        return
    found = [rows[name] for name in COMMANDS if name in rows]
    with DATA.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    heads = [name.replace("_", " ") for name in found[0]]
    rewrite(PAGE, "interrupts", table(heads, [list(row.values()) for row in found]))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
