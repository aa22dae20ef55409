"""Where the units of a run are worked on: in this process, by the workers of a Ray cluster, or one
part of n here.

Whoever works on a unit writes its rows, so that the death of whoever handed it out loses nothing,
and threads are pinned, so that pixels do not depend on how many work.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any, Literal, Protocol, TypeVar

import torch
from pydantic import Field

from ...solvers.base import settings
from ..rows import Row
from .locks import Shard
from .store import Store

AnyUnit = TypeVar("AnyUnit", bound="Unit")
Progress = Callable[[int, int], None]
Statuses = Counter[str]


class Cell(Protocol):
    """What an engine knows of a cell."""

    @property
    def key(self) -> str:
        """The name of its row."""
        ...

    def record(self) -> dict[str, Any]:
        """As JSON."""
        ...


class Unit(Protocol):
    """What an engine knows of a unit: cells that are worked on together."""

    @property
    def key(self) -> str:
        """Its name, which does not depend on its place among the units."""
        ...

    @property
    def cells(self) -> Sequence[Cell]:
        """Its cells."""
        ...


Work = Callable[
    [Any], Iterable[Row]
]  #: restores a unit: its pictures written to the store, its rows returned
Opens = Callable[[], Work]  #: loads the prior, once per worker; travels to it, so it must pickle


@settings
class Engine:
    """Where the work is done."""

    engine: Literal["auto", "local", "ray"] = "auto"
    """local: this process; ray: workers of a Ray cluster; auto: ray if --workers, --address or
    --timeout ask for it.
    """
    workers: Annotated[int, Field(ge=1)] = 1
    """Processes that work at once, each with its own prior."""
    address: str | None = None
    """A running Ray cluster (HOST:PORT, or auto); none starts one on this machine for the time of
    the run.
    """
    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds that a unit may take; a worker that takes longer is killed and replaced."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a unit is tried again whose worker died or took too long."""
    shard: str | None = None
    """i/n: do the i-th of n parts, from 0/n to (n-1)/n; RANK and WORLD_SIZE of the environment if
    not given.
    """
    threads: Annotated[int, Field(ge=1)] = 1
    """Threads per worker; another number may change the last bits of a picture."""

    def resolved(self) -> Literal["local", "ray"]:
        """The engine that is meant.

        Raises:
            ValueError: if the local one is asked for what it cannot do.
        """
        asked = [name for name in ("address", "timeout") if getattr(self, name) is not None]
        asked = ["workers"] * (self.workers > 1) + asked
        if self.engine == "local" and asked:
            raise ValueError(
                f"--engine local works in this process and takes no --{asked[0]}. Use --engine "
                "ray, or leave it out."
            )
        return "ray" if self.engine == "ray" or asked else "local"


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Args:
        cells: how many it was responsible for.
        skipped: were finished before.
        statuses: how many rows of each status it added.
        replaced: workers that died or hung.
        seconds: its duration.
    """

    cells: int
    skipped: int
    statuses: Mapping[str, int]
    replaced: int
    seconds: float


@dataclass
class Job:
    """A unit to be done.

    Args:
        unit: what to hand to the work.
        missing: the keys of its cells that have no row yet; the others are done again with it, and
            not written.
        ends: how its workers ended so far.
    """

    unit: Unit
    missing: frozenset[str]
    ends: list[str] = field(default_factory=list)


def run_units(
    units: Sequence[Unit],
    store: Store,
    opens: Opens,
    engine: Engine | None = None,
    *,
    retry_failed: bool = False,
    gpu: bool = True,
    progress: Progress | None = None,
    blank: Callable[[Any], Row] = lambda cell: {"key": cell.key, "cell": cell.record()},
) -> Summary:
    """Work on all units that are not finished.

    Args:
        units: all of the plan, in any order.
        store: where rows and pictures go.
        opens: ``opens()(unit)`` writes pictures and returns rows, one per cell; failures are rows.
            An exception of it ends the run, as a full disk should.
        engine: where to work; this process if not given.
        retry_failed: do cells again whose row says that they failed.
        gpu: let workers have GPUs, if there are any; they share them evenly.
        progress: called with the numbers of finished cells and of all.
        blank: the row of a cell whose workers were all lost, but for its status and error.

    Raises:
        ValueError: before any work, if the engine cannot do what is asked or another run is at work
            in the folder.
    """
    engine = engine or Engine()
    kind, shard, start = engine.resolved(), read_shard(engine.shard), time.monotonic()
    mine = part(units, shard)
    with store.at_work(shard):
        done = store.finished(retry_failed)
        todo = [
            Job(unit, missing)
            for unit in mine
            if (missing := frozenset(c.key for c in unit.cells) - done)
        ]
        cells = sum(len(unit.cells) for unit in mine)
        skipped = cells - sum(len(job.missing) for job in todo)
        count: Statuses = Counter()

        def report(statuses: Iterable[str]) -> None:
            count.update(statuses)
            if progress:
                progress(skipped + count.total(), cells)

        report([])
        replaced = 0
        if todo and kind == "local":
            _work_here(todo, store, opens, engine.threads, report)
        elif todo:
            from .ray import Crew

            replaced = Crew(
                store, opens, engine, report, blank, retry_failed=retry_failed, gpu=gpu
            ).work(todo)
    return Summary(cells, skipped, dict(count), replaced, time.monotonic() - start)


def _work_here(
    todo: Iterable[Job], store: Store, opens: Opens, threads: int, report: Callable[..., None]
) -> None:
    before = torch.get_num_threads()
    try:
        worker = Worker()
        worker.open(store, opens, threads)
        for job in todo:
            report(worker.work(job.unit, job.missing))
    finally:
        torch.set_num_threads(before)


class Worker:
    """Opens the work once, and writes the rows of each unit it does; an actor of the Ray engine
    too.
    """

    _store: Store
    _work: Work

    def open(self, store: Store, opens: Opens, threads: int) -> int:
        """Load the prior; returns the process."""
        torch.set_num_threads(threads)
        self._store, self._work = store, opens()
        return os.getpid()

    def work(self, unit: Unit, missing: frozenset[str]) -> list[str]:
        """Do a unit and write the rows of its missing cells; returns their statuses."""
        statuses, left = [], set(missing)
        for row in self._work(unit):
            if row["key"] in left:
                self._store.append(row)
                statuses.append(row["status"])
                left.remove(row["key"])
        assert not left, f"the work returned no row for {sorted(left)}"
        return statuses


def read_shard(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """Read ``i/n``; without it what launchers put into the environment; None for all of it.

    Raises:
        ValueError: unless 0 <= i < n.
    """
    if text is None and environment.get("WORLD_SIZE", "1") != "1":
        text = f"{environment.get('RANK', '')}/{environment['WORLD_SIZE']}"
    if text is None:
        return None
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and int(i) < int(n)):
        last = f"{int(n) - 1}/{n}" if n.isdecimal() and int(n) else "3/4"
        raise ValueError(
            f"--shard is {text!r}. Parts count from 0: i/n with i < n is expected, the last is "
            f"{last}."
        )
    return None if int(n) == 1 else (int(i), int(n))


def part(units: Sequence[AnyUnit], shard: Shard | None) -> list[AnyUnit]:
    """The units of a shard, in their order."""
    return [unit for unit in units if owns(shard, unit)]


def owns(shard: Shard | None, unit: Unit) -> bool:
    """Whether a unit belongs to a shard: decided by its name alone, so that nobody need be
    asked.
    """
    if shard is None:
        return True
    i, n = shard
    return int.from_bytes(sha256(unit.key.encode()).digest()[:8], "big") % n == i
