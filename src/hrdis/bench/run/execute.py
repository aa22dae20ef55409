"""Execution of a run, of the units that are not finished, on the engine that is asked for."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..records import Row
from . import local, ray
from .engine import (
    EmptyRow,
    Engine,
    OpenWork,
    PendingUnit,
    Progress,
    RunSummary,
    UnitLike,
)
from .shards import read_shard, units_of_shard
from .store import Store


def minimal_row(run_task: Any) -> Row:
    """Return the least that a row says of a run task."""
    return {"key": run_task.key, "cell": run_task.record()}


def execute(
    units: Sequence[UnitLike],
    store: Store,
    open_work: OpenWork,
    engine: Engine | None = None,
    *,
    retry_failed: bool = False,
    gpu: bool = True,
    progress: Progress | None = None,
    empty_row: EmptyRow = minimal_row,
) -> RunSummary:
    """Work on all units that are not finished.

    Args:
        units: all of the plan, in any order.
        store: place of rows and pictures.
        open_work: ``open_work()(unit)`` writes pictures and returns rows, one per run task. A run
            task that cannot be done is a row too; an exception ends the run, as a full disk or a
            crashed GPU should.
        engine: where to work; this process if not given.
        retry_failed: do run tasks again whose row says that they failed.
        gpu: let workers have GPUs, if there are any; they share them evenly.
        progress: called with the numbers of finished run tasks and of all.
        empty_row: makes the row of a run task whose workers were all lost, but for its status and
            error.

    Raises:
        ValueError: before any work, if the engine cannot do what is asked or another run is at work
            in the folder.
    """
    engine = engine or Engine()
    kind, shard, start = engine.resolved(), read_shard(engine.shard), time.monotonic()
    mine = units_of_shard(units, shard)
    total = sum(len(unit.tasks) for unit in mine)
    with store.at_work(shard):
        # Read under the lock: a run that has just ended may have finished more.
        finished = store.finished(retry_failed)
        pending = []
        for unit in mine:
            missing = frozenset(run_task.key for run_task in unit.tasks) - finished
            if missing:
                pending.append(PendingUnit(unit, missing))
        skipped = total - sum(len(waiting.missing) for waiting in pending)
        count: Counter[str] = Counter()

        def report(statuses: Iterable[str]) -> None:
            count.update(statuses)
            if progress:
                progress(skipped + count.total(), total)

        report([])
        replaced = 0
        if pending and kind == "local":
            local.work_off(pending, store, open_work, engine.threads, report)
        elif pending:
            replaced = ray.work_off(
                pending,
                store,
                open_work,
                engine,
                report,
                empty_row,
                retry_failed=retry_failed,
                gpu=gpu,
            )
    return RunSummary(total, skipped, dict(count), replaced, time.monotonic() - start)
