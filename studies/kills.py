"""SIGKILL at random moments: does `hrdis bench`, started again, end with the rows and pixels of an
undisturbed run?

    python studies/kills.py  # the table of measurements/reliability.md; 30 minutes
    python studies/kills.py --only local --kills 10 --no-write

Real cells, made short: two tasks, two solvers of three steps, three pictures of 32 x 32, two seeds.
A folder is killed a few times, then left alone to its end and compared with a run that nobody
killed: rows but for times, memory and worker (`records.comparable`), and every picture byte for
byte. Five ways to be killed:

    writer      a process that only writes pictures and rows of noise, 300 of them, no network
    local       the one process of the run
    shards      both of two processes that share a folder, --shard 0/2 and --shard 1/2
    ray worker  one of two workers, again and again, while the run goes on
    ray driver  the command itself, with a Ray cluster of its own and two workers

A quarter of the kills come at any moment from the start of the process on, loading included; the
others while it works. What the killed one was doing is read from what it left: a line without its
end, a picture without its name, a picture without its row.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
import tyro
from common.pages import DOCS, rewrite, table

import hrdis
import hrdis.cli.bench
from hrdis.bench.records import comparable
from hrdis.bench.run import Store

PAGE, DATA = DOCS / "measurements" / "reliability.md", DOCS / "data" / "kills.json"
PLAN = """
title: short cells
tasks: [inpaint-20-30, sr4]
noise: [none]
solvers: [{solver: hrdis, settings: {steps: 3}}, {solver: ddnm, settings: {steps: 3}}]
images: {limit: 3}
crop: 32
seeds: 2
"""
CELLS = 24
PER_FOLDER = 6  #: kills before a folder is left alone
PHASES = ("loading", "restoring", "writing a picture", "between picture and row", "writing a row")
COUNT = {"writer": 200, "local": 60, "shards": 60, "ray worker": 40, "ray driver": 10}

Kill = Callable[["Folder"], list[str]]


class Folder:
    """A run folder that is being killed."""

    def __init__(self, plan: Path, folder: Path, moments: random.Random):
        self.plan, self.folder, self.moments = plan, folder, moments

    def words(self, *more: str) -> list[str]:
        return [str(self.plan), "-o", str(self.folder), *more]

    def rows(self) -> list[dict[str, object]]:
        with suppress(ValueError):
            return Store.open(self.folder).rows()
        return []

    def fork(self, *more: str) -> int:
        """The command in a forked process, which spares it the seconds that Python takes to
        import.
        """
        import diffusers  # noqa: F401

        process = os.fork()
        if process == 0:
            status = 1
            try:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 2)
                status = hrdis.cli.main(["bench", *self.words(*more)])
            finally:
                os._exit(status)
        return process

    def write(self, count: int = 300) -> int:
        """A forked process that only writes."""
        process = os.fork()
        if process == 0:
            status = 1
            try:
                store = Store.create(self.folder, {"plan": "noise"})
                with store.at_work():
                    done = store.finished()
                    for i in range(count):
                        if f"{i:03d}" not in done:
                            noise = hrdis.rng.stream(i, "kills").random(
                                (3, 32, 32), dtype="float32"
                            )
                            picture = store.write_picture(
                                f"images/{i:03d}.png", torch.from_numpy(noise)
                            )
                            store.append(
                                {
                                    "key": f"{i:03d}",
                                    "status": "ok",
                                    "picture": picture,
                                    "psnr": float(i),
                                }
                            )
                status = 0
            finally:
                os._exit(status)
        return process

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("results/*.jsonl"))

    def wait(self, alive: Callable[[], bool], loading: float) -> bool:
        """Let a moment pass: any of the whole time in a quarter of the cases, else one while it
        works.

        Returns:
            whether there is still something to kill.
        """
        end, before = time.monotonic() + self.moments.uniform(0, 1.5 * loading), self.size()
        if self.moments.random() < 0.75:
            while alive() and self.size() == before:
                time.sleep(0.01)
            end = time.monotonic() + self.moments.uniform(0, 0.3)
        while (lives := alive()) and time.monotonic() < end:
            time.sleep(0.001)
        return lives

    def left_by(self, process: int, before: int) -> str:
        """What a killed process was doing."""
        results = list((self.folder / "results").glob(f"*-{process}-*.jsonl"))
        content = results[0].read_bytes() if results else b""
        if content and not content.endswith(b"\n"):
            return "writing a row"
        if any(f"-{process}-" in path.name for path in self.folder.glob("*/.*.png.*")):
            return "writing a picture"
        rows = self.rows()
        if len(list((self.folder / "images").glob("[!.]*.png"))) > len(rows):
            return "between picture and row"
        return "restoring" if content or len(rows) > before else "loading"


def reap(process: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(process, 0)


def running(process: int) -> bool:
    with suppress(ChildProcessError):
        return os.waitpid(process, os.WNOHANG) == (0, 0)
    return False


def kill_local(folder: Folder, shards: Sequence[tuple[str, ...]] = ((),)) -> list[str]:
    """Start the run, or its shards, and kill all of it once."""
    before, processes = len(folder.rows()), [folder.fork(*words) for words in shards]
    living = dict.fromkeys(processes, True)

    def alive() -> bool:
        for process in [p for p, lives in living.items() if lives]:
            living[process] = running(process)
        return any(living.values())

    folder.wait(alive, loading=1.0)
    killed = [p for p, lives in living.items() if lives]
    for process in killed:
        os.kill(process, signal.SIGKILL)
        reap(process)
    return [folder.left_by(process, before) for process in killed]


def kill_writer(folder: Folder) -> list[str]:
    """Kill a process that only writes."""
    before, process = len(folder.rows()), folder.write()
    if not folder.wait(lambda: running(process), loading=0.1):
        return []
    os.kill(process, signal.SIGKILL)
    reap(process)
    return [folder.left_by(process, before)]


def kill_shards(folder: Folder) -> list[str]:
    return kill_local(folder, [("--shard", "0/2"), ("--shard", "1/2")])


def start_ray(folder: Folder) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "hrdis",
        "bench",
        *folder.words("--workers", "2", "--retries", "50"),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def descendants(process: int) -> dict[int, str]:
    """The processes below one, with what they call themselves."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(entry.name)] = int(parent)
                names[int(entry.name)] = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                )
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {p: names[p] for p in found - {process}}


def kill_workers(folder: Folder) -> list[str]:
    """Kill one worker after the other of one run."""
    driver, phases = start_ray(folder), []
    while driver.poll() is None and len(phases) < PER_FOLDER:
        workers = [
            p for p, name in descendants(driver.pid).items() if name.startswith("ray::Worker")
        ]
        if not workers:
            time.sleep(0.5)
            continue
        victim, before = folder.moments.choice(workers), len(folder.rows())
        folder.wait(lambda driver=driver: driver.poll() is None, loading=3.0)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            time.sleep(0.05)
            phases.append(
                folder.left_by(victim, before) if list(folder.folder.glob("results")) else "loading"
            )
    driver.wait()
    return phases


def kill_driver(folder: Folder) -> list[str]:
    """Kill the command; its workers have to end by themselves."""
    before, driver = len(folder.rows()), start_ray(folder)
    lives = folder.wait(lambda: driver.poll() is None, loading=10.0)
    left = [p for p, name in descendants(driver.pid).items() if name.startswith("ray::Worker")]
    if not lives:
        return []
    driver.kill()
    driver.wait()
    end = time.monotonic() + 60
    while any(
        Path(f"/proc/{p}/cmdline").exists() and Path(f"/proc/{p}/cmdline").read_bytes()
        for p in left
    ):
        if time.monotonic() > end:
            raise SystemExit(f"workers outlived their driver by a minute: {left}")
        time.sleep(0.1)
    return ["restoring" if len(folder.rows()) > before else "loading"]


KILLS: dict[str, Kill] = {
    "writer": kill_writer,
    "local": kill_local,
    "shards": kill_shards,
    "ray worker": kill_workers,
    "ray driver": kill_driver,
}


def outcome(folder: Path) -> tuple[list[dict[str, object]], dict[str, bytes]]:
    """What must be equal."""
    pictures = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.png*"))}
    return [comparable(row) for row in Store.open(folder).rows()], pictures


def finish(way: str, folder: Folder) -> tuple[list[dict[str, object]], dict[str, bytes]]:
    """Leave a folder alone until its end."""
    if way == "writer":
        processes = [folder.write()]
    elif way == "shards":
        processes = [folder.fork("--shard", f"{i}/2") for i in range(2)]
    else:
        processes = [folder.fork()]
    for process in processes:
        reap(process)
    return outcome(folder.folder)


def measure(way: str, kills: int, plan: Path, scratch: Path, seed: int) -> dict[str, object]:
    """Kill in one way, folder after folder, and compare each."""
    reference = finish(
        "writer" if way == "writer" else "local",
        Folder(plan, scratch / "undisturbed", random.Random(0)),
    )
    cells = len(reference[0])
    assert cells == (300 if way == "writer" else CELLS) and all(
        row["status"] == "ok" for row in reference[0]
    )
    moments, phases, folders, equal = random.Random(f"{way} {seed}"), Counter[str](), 0, 0
    while phases.total() < kills:
        folder = Folder(plan, scratch / f"{way.replace(' ', '-')}-{folders}", moments)
        here = 0
        while here < PER_FOLDER and len(folder.rows()) < cells:
            killed = KILLS[way](folder)
            phases.update(killed)
            here += len(killed)
        end = finish(way, folder)
        folders += 1
        equal += end == reference
        print(
            f"{way}: {phases.total()} kills, {equal} of {folders} folders equal, {dict(phases)}",
            flush=True,
        )
        if equal < folders:
            raise SystemExit(f"{folder.folder} differs from the undisturbed run")
        shutil.rmtree(folder.folder)
    return {"kills": phases.total(), "folders": folders, "equal": equal, "phases": dict(phases)}


def main(
    kills: int | None = None, only: str | None = None, seed: int = 0, write: bool = True
) -> None:
    """Measure.

    Args:
        kills: in each way; by default 200 + 60 + 60 + 40 + 10.
        only: one of the ways.
        seed: of the moments.
        write: rewrite the table of docs/cluster.md and docs/data/kills.json.
    """
    scratch = Path(tempfile.mkdtemp(prefix="kills-"))
    plan = scratch / "plan.yaml"
    plan.write_text(PLAN)
    found: dict[str, dict[str, object]] = {}
    for way, count in COUNT.items():
        if only in (None, way):
            found[way] = measure(way, kills or count, plan, scratch, seed)
            shutil.rmtree(scratch / "undisturbed")
    shutil.rmtree(scratch)
    if write:
        before = json.loads(DATA.read_text()) if DATA.exists() else {}
        found = {way: r for way in COUNT if (r := found.get(way) or before.get(way))}
        DATA.write_text(json.dumps(found, indent=1) + "\n")
    rows = [
        [
            way,
            r["kills"],
            *(r["phases"].get(phase, 0) for phase in PHASES),
            f"{r['equal']} of {r['folders']}",
        ]
        for way, r in found.items()
    ]
    sums = [sum(int(row[i]) for row in rows) for i in range(1, len(PHASES) + 2)]
    equal, folders = (sum(r[name] for r in found.values()) for name in ("equal", "folders"))
    text = table(
        ["killed", "kills", *PHASES, "folders equal"],
        [*rows, ["all", *sums, f"{equal} of {folders}"]],
    )
    print(text)
    if write:
        rewrite(PAGE, "kills", text)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
