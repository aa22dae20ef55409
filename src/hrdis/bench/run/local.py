"""The local engine: units are worked off in this process, one after the other."""

from collections.abc import Iterable

import torch

from .engine import OpenWork, PendingUnit, Report
from .store import Store
from .worker import WorkerProcess


def work_off(
    pending: Iterable[PendingUnit], store: Store, open_work: OpenWork, threads: int, report: Report
) -> None:
    """Work on all units in this process.

    Args:
        pending: the units to be worked on.
        store: place of rows and pictures.
        open_work: loads the prior.
        threads: threads of torch, while it works.
        report: called with the statuses of rows as they are written.
    """
    before = torch.get_num_threads()
    try:
        worker = WorkerProcess()
        worker.open(store, open_work, threads)
        for waiting in pending:
            report(worker.work(waiting.unit, waiting.missing))
    finally:
        # The caller's own computations go on as fast as before.
        torch.set_num_threads(before)
