"""A run without a network: run tasks, rows and pictures that cost nothing, for the tests of
`hrdis.bench`.
"""

import os
import signal
import time
from dataclasses import dataclass

import torch

import hrdis
from hrdis.bench.run import Store

PLAN = {"tasks": ["sr4"], "solver": {"name": "hrdis", "steps": 3}, "seeds": [0, 1]}


def image(seed: int = 0) -> torch.Tensor:
    return (
        torch.from_numpy(hrdis.rng.stream(seed, "toy").random((3, 8, 8), dtype="float32")) * 2 - 1
    )


def row(key: str, status: str = "ok", **more: object) -> dict[str, object]:
    return {
        "key": key,
        "cell": {"seed": 0},
        "status": status,
        "psnr": 20.0,
        "seconds": 1.0,
        "worker": "w",
        **more,
    }


def finish(store: Store, key: str, seed: int = 0, **more: object) -> None:
    """Do what a worker does for one run task."""
    store.append(row(key, picture=store.write_picture(f"images/{key}.png", image(seed)), **more))


# ---- units and their work -----------------------------------------------------------------------


@dataclass(frozen=True)
class ToyTask:
    key: str
    seed: int

    def record(self) -> dict[str, object]:
        return {"seed": self.seed}


@dataclass(frozen=True)
class ToyUnit:
    tasks: tuple[ToyTask, ...]

    @property
    def key(self) -> str:
        return "-".join(task.key for task in self.tasks)


def units(count: int, batch: int = 1) -> list[ToyUnit]:
    tasks = [ToyTask(f"cell{i:03d}", i) for i in range(count)]
    return [ToyUnit(tuple(tasks[i : i + batch])) for i in range(0, count, batch)]


@dataclass(frozen=True)
class Work:
    """What the tests have done: pictures of noise, and on some seeds an accident.

    Args:
        folder: of the store.
        seconds: that a unit takes.
        die: seeds whose worker is killed after its pictures are written, before their rows are ...
        once: ... and not a second time, which a file per seed in the folder remembers.
        hang: seeds whose worker is stopped, so that it answers nothing any more.
        fail: seeds whose row says "failed".
        crash: seeds whose work raises.
    """

    folder: str
    seconds: float = 0.0
    die: tuple[int, ...] = ()
    once: bool = True
    hang: tuple[int, ...] = ()
    fail: tuple[int, ...] = ()
    crash: tuple[int, ...] = ()
    open_fails: bool = False

    def __call__(self) -> "Opened":
        if self.open_fails:
            raise ValueError("No weights at nowhere.pt")
        return Opened(self, Store.open(self.folder))


class Opened:
    def __init__(self, work: Work, store: Store):
        self.work, self.store = work, store

    def __call__(self, unit: ToyUnit) -> list[dict[str, object]]:
        time.sleep(self.work.seconds)
        rows = []
        for task in unit.tasks:
            picture = self.store.write_picture(f"images/{task.key}.png", image(task.seed))
            status = "failed" if task.seed in self.work.fail else "ok"
            rows.append(
                row(
                    task.key,
                    status,
                    picture=picture,
                    threads=torch.get_num_threads(),
                    worker=os.getpid(),
                )
            )
        for task in unit.tasks:
            self.accident(task.seed)
        return rows

    def accident(self, seed: int) -> None:
        if seed in self.work.crash:
            raise OSError(28, "No space left on device")
        if seed in self.work.die and self.first_time(f"die{seed}"):
            os.kill(os.getpid(), signal.SIGKILL)
        if seed in self.work.hang and self.first_time(f"hang{seed}"):
            os.kill(os.getpid(), signal.SIGSTOP)

    def first_time(self, name: str) -> bool:
        if not self.work.once:
            return True
        try:
            (self.store.folder / "locks" / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
