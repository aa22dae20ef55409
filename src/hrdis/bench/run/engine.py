"""Settings and interfaces of the engines, which work off the units of a run.

Workers write the rows of their units themselves, so that the death of the process that hands units
out loses nothing. Their threads are pinned, so that pixels do not depend on their number.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

import tyro
from pydantic import Field

from ...solvers.base import settings
from ..records import Row


class TaskLike(Protocol):
    """A run task, as an engine sees it."""

    @property
    def key(self) -> str:
        """Name of its row."""
        ...

    def record(self) -> dict[str, Any]:
        """Return the run task as JSON values."""
        ...


class UnitLike(Protocol):
    """A unit, as an engine sees it.

    Its run tasks are worked on together.
    """

    @property
    def key(self) -> str:
        """Name of the unit, which does not depend on its place among the units."""
        ...

    @property
    def tasks(self) -> Sequence[TaskLike]:
        """Run tasks of the unit."""
        ...


#: Restores a unit: writes its pictures to the store and returns its rows, one per run task.
UnitWorker = Callable[[Any], Iterable[Row]]
#: Loads the prior, once per worker process; travels there, so it must pickle.
OpenWork = Callable[[], UnitWorker]
#: Called with the numbers of finished run tasks and of all.
Progress = Callable[[int, int], None]
#: Called with the statuses of rows that were just written.
Report = Callable[[Iterable[str]], None]
#: Makes the row of a run task whose workers were all lost, but for its status and error.
EmptyRow = Callable[[Any], Row]


@settings
class Engine:
    """Processes of a run, in this one or on a cluster, and their share of the work."""

    engine: Literal["auto", "local", "ray"] = "auto"
    """local: this process; ray: workers of a Ray cluster; auto: ray if --workers, --address or
    --timeout ask for it.
    """
    workers: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Processes that work at once, each with its own model."""
    address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT|auto")] = None
    """A running Ray cluster (HOST:PORT, or auto). Without it a cluster is started on this machine
    for the time of the run, where one is needed.
    """
    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds that a unit of work (a picture, or --batch of them) may take. A worker that takes
    longer is killed and replaced.
    """
    retries: Annotated[int, Field(ge=0, le=1000)] = 2
    """Number of further tries of a unit whose worker died or took too long."""
    shard: Annotated[str | None, tyro.conf.arg(metavar="K/N")] = None
    """Do one of n parts of the work, from 0/n to (n-1)/n. By default the part is that of RANK and
    WORLD_SIZE in the environment, where they are set.
    """
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads per worker; another number may change the last bits of a picture."""

    def resolved(self) -> Literal["local", "ray"]:
        """Return the engine that is meant.

        Raises:
            ValueError: if the local one is asked for what it cannot do.
        """
        asked = ["workers"] if self.workers > 1 else []
        for name in ("address", "timeout"):
            if getattr(self, name) is not None:
                asked.append(name)
        if self.engine == "local" and asked:
            raise ValueError(
                f"--engine local works in this process and takes no --{asked[0]}. Use --engine "
                "ray, or leave it out."
            )
        return "ray" if self.engine == "ray" or asked else "local"


@dataclass(frozen=True)
class RunSummary:
    """Outcome of a run.

    Args:
        tasks: number of run tasks in the run, or in its shard.
        skipped: number that were finished before.
        statuses: number of rows of each status that it added.
        replaced: number of workers that died or hung.
        seconds: its duration.
    """

    tasks: int
    skipped: int
    statuses: Mapping[str, int]
    replaced: int
    seconds: float


@dataclass
class PendingUnit:
    """A unit to be worked on.

    Args:
        unit: passed to the work.
        missing: keys of its run tasks that have no row yet; the others are done again with it, and
            not written.
        losses: ends of its workers so far, one message each.
    """

    unit: UnitLike
    missing: frozenset[str]
    losses: list[str] = field(default_factory=list)
