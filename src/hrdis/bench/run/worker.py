"""The worker process: opens the work once, and writes the rows of each unit."""

import os

import torch

from .engine import OpenWork, UnitLike, UnitWorker
from .store import Store


class WorkerProcess:
    """A worker in the process it was made in: this one, or an actor of the Ray engine."""

    _store: Store
    _work: UnitWorker

    def open(self, store: Store, open_work: OpenWork, threads: int) -> int:
        """Load the prior; return the id of the process."""
        torch.set_num_threads(threads)
        self._store, self._work = store, open_work()
        return os.getpid()

    def work(self, unit: UnitLike, missing: frozenset[str]) -> list[str]:
        """Work on a unit and write the rows of its missing run tasks; return their statuses."""
        statuses, left = [], set(missing)
        for row in self._work(unit):
            if row["key"] in left:
                self._store.append(row)
                statuses.append(row["status"])
                left.remove(row["key"])
        assert not left, f"the work returned no row for {sorted(left)}"
        return statuses
