"""The plan of a benchmark: which pictures, tasks and methods; and the restoration of one unit.

`prepare` turns options into a `PreparedRun`. It holds the units of work, the config that describes
them, and the `WorkerSpec` that a worker opens.
"""

from .estimate import CallCost, CostLine, cost_lines, time_network
from .expand import Plan, expand, model_task, paper_tables, select_columns
from .feasibility import FeasibilityCheck
from .methods import PlanOptions, PriorIdentity
from .pictures import DataPicture, find_pictures, read_sized
from .plan_file import PlanFile, read_plan
from .prepare import PreparedRun, RunRequest, given_options, prepare
from .problems import ProblemMaker
from .restore_unit import UnitRestorer, WorkerSpec, empty_row

__all__ = [
    "CallCost", "CostLine", "DataPicture", "FeasibilityCheck", "Plan", "PlanFile", "PlanOptions",
    "PreparedRun", "PriorIdentity", "ProblemMaker", "RunRequest", "UnitRestorer", "WorkerSpec",
    "cost_lines", "empty_row", "expand", "find_pictures", "given_options", "model_task",
    "paper_tables", "prepare", "read_plan", "read_sized", "select_columns", "time_network",
]  # fmt: skip
