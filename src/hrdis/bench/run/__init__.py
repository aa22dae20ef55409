"""The run folder, and the engines that work off the units of a plan.

`Store` keeps rows and pictures, ``execute`` works off units on an ``Engine``, `merge` and `collect`
bring several run folders together. Nothing here knows a network, a picture size or a task, because
the work itself is handed in as a callable.
"""

from .collect import collect, unique_paths
from .engine import Engine, OpenWork, RunSummary, UnitWorker
from .execute import execute
from .folder import CONFIG, check_run_folder, read_config
from .frame import rows
from .merge import merge
from .ray import cluster, gpu_share
from .shards import Shard, read_shard, units_of_shard
from .store import Store

__all__ = [
    "CONFIG", "Engine", "OpenWork", "RunSummary", "Shard", "Store", "UnitWorker",
    "check_run_folder", "cluster", "collect", "execute", "gpu_share", "merge", "read_config",
    "read_shard", "rows", "unique_paths", "units_of_shard",
]  # fmt: skip
