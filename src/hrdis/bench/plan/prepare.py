"""Preparation of a run, in which everything is loaded and checked before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ...checkpoints import identity, is_trained_here, load_prior, scheme_of, weights_sha256
from ...devices import DTYPES, pick_device
from ...messages import unknown
from ...priors.base import Prior
from ...solvers import SOLVERS
from ...tasks import TASKS
from ..paper import PaperTable
from .expand import Plan, expand, model_task, paper_tables, select_columns
from .feasibility import FeasibilityCheck
from .given import GivenFiles
from .methods import PlanOptions, PriorIdentity
from .pictures import file_sha256, find_pictures, match_channels, read_sized
from .plan_file import PlanFile
from .problems import ProblemMaker
from .restore_unit import WorkerSpec

#: Side of the patches that small priors know; the default crop for them.
SMALL_PRIOR_CROP = 64


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A benchmark as it is asked for; None where nothing was said.

    Args:
        numbers, figures: tables and figures of the paper, by number.
        plan: a plan of the user's own; what it says stands where nothing else was said.
        prior: name of the prior.
        data, list, limit: pictures, as `find_pictures` takes them.
        bkse: weights of the nonlinear blur.
        masks, measured, mask_offset: masks and measurements of the user's, as `GivenFiles` has
            them.
        device: cpu, cuda, or auto.
        tasks, solvers: only these of what was asked for.
        options: fields of `PlanOptions`.
    """

    numbers: Sequence[int] = ()
    figures: Sequence[int] = ()
    plan: PlanFile | None = None
    prior: str | None = None
    data: Path | None = None
    list: Path | None = None
    limit: int | None = None
    bkse: Path | None = None
    masks: Path | None = None
    measured: Path | None = None
    mask_offset: int | None = None
    device: str = "auto"
    tasks: tuple[str, ...] = ()
    solvers: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def completed(self) -> "RunRequest":
        """Return the request with what the plan says, where nothing else was said, and the default
        prior.
        """
        completed = self
        if self.plan is not None:
            of_plan = {
                "data": self.plan.folder,
                "list": self.plan.listed,
                "limit": self.plan.limit,
                "bkse": self.plan.bkse,
                "masks": self.plan.masks,
                "measured": self.plan.measured,
                "mask_offset": self.plan.mask_offset,
                "prior": self.plan.prior,
            }
            changes = {}
            for name, value in of_plan.items():
                if getattr(self, name) is None:
                    changes[name] = value
            # The command line goes before the file.
            options = {**self.plan.options, **self.options}
            completed = replace(self, options=options, **changes)  # type: ignore[arg-type]
        return replace(completed, prior=completed.prior or "default")

    @property
    def tables(self) -> Sequence[tuple[PaperTable, str]]:
        """Tables, figures and the plan, each with a note on what the paper leaves open."""
        tables = paper_tables(self.numbers, self.figures)
        if self.plan is not None:
            tables.append((self.plan.table, ""))
        return tables


@dataclass(frozen=True)
class PreparedRun:
    """A run that has been checked.

    Args:
        plan: its units and config.
        prior: the prior, loaded.
        spec: what a worker opens.
        shape: (c, h, w) of the first picture.
    """

    plan: Plan
    prior: Prior
    spec: WorkerSpec
    shape: tuple[int, int, int]


def prepare(request: RunRequest, previous_config: Mapping[str, Any] | None = None) -> PreparedRun:
    """Load and check everything that a run needs.

    Args:
        request: what is asked for, `completed`.
        previous_config: config of the run folder that is to be continued, if there is one.

    Raises:
        ValueError, TypeError: before any work, for whatever cannot be read or run.
    """
    tables = request.tables
    if not tables:
        raise ValueError(
            "Nothing was asked for. A table, a figure or a plan is expected: --table 9, or "
            "PLAN.yaml"
        )
    _check_names(request, tables)
    name = request.prior or "default"
    device = pick_device(request.device)
    precision = request.options.get("precision", "fp32")
    prior = load_prior(name, dtype=DTYPES[precision], device=device)
    prior_identity = PriorIdentity(
        prior.name,
        weights_sha256(name),
        prior.presets,
        prior.schedule,
        _identity_of(name, previous_config),
    )
    asked = dict(request.options)
    # A prior of 64 x 64 patches sees nothing it knows in a picture of 256 x 256.
    if "crop" not in asked and is_trained_here(name):
        asked["crop"] = SMALL_PRIOR_CROP
    options = PlanOptions(**asked)

    given = GivenFiles(request.masks, request.measured, request.mask_offset or 0)
    pictures = given.beside(find_pictures(request.data, request.list, request.limit))
    model = model_task(options, prior_identity, pictures[0])
    truth = match_channels(read_sized(pictures[0].path, options.size, options.crop), prior)
    problems = ProblemMaker(request.bkse, given)
    feasibility = FeasibilityCheck(truth.to(device), prior, problems, model, pictures[0])
    selected = []
    for table, note in tables:
        columns = select_columns(table, request.tasks, request.solvers, options.dataset)
        selected.append((columns, note))
    bkse_sha256 = None if request.bkse is None else file_sha256(request.bkse)
    plan = expand(selected, pictures, options, prior_identity, feasibility.why_not, bkse_sha256)
    # Table 5 has no columns: with it alone there is nothing to run, and nothing is wrong.
    if not plan.units and any(table.columns for table, _ in tables):
        reasons = dict.fromkeys(entry["reason"] for entry in plan.config["missing"])
        why = "; ".join(reasons).removesuffix(".") or "no task and solver are left"
        raise ValueError(
            f"Nothing can be run: {why}. Drop --tasks, --solvers or --dataset, or give what is "
            "missing."
        )
    # The report says that numbers of the package's own prior and pictures are not the paper's.
    plan.config["shipped"] = {"data": request.data is None, "prior": name == "default"}
    spec = WorkerSpec(
        name,
        options.precision,
        str(device),
        {picture.sha256: str(picture.path) for picture in pictures},
        None if request.bkse is None else str(request.bkse),
        plan.config["timed"],
        given,
    )
    return PreparedRun(plan, prior, spec, (truth.shape[1], truth.shape[2], truth.shape[3]))


def given_options(source: object) -> dict[str, Any]:
    """Return those fields of `PlanOptions` that an object has and that are not None."""
    given = {}
    for option in fields(PlanOptions):
        value = getattr(source, option.name)
        if value is not None:
            given[option.name] = value
    return given


def _check_names(request: RunRequest, tables: Sequence[tuple[PaperTable, str]]) -> None:
    """Raise for a task or solver that does not exist.

    Raises:
        ValueError: naming the valid ones and the closest.
    """
    tasks, solvers = {*TASKS}, {*SOLVERS}
    for table, _ in tables:
        tasks |= {column.name for column in table.columns}
        solvers |= {method.label for method in table.methods}
    for kind, names, valid in (
        ("task", request.tasks, tasks),
        ("solver", request.solvers, solvers),
    ):
        for name in names:
            if name not in valid:
                raise ValueError(unknown(kind, name, sorted(valid)))


def _identity_of(name: str, previous_config: Mapping[str, Any] | None) -> str:
    """Return the hash that identifies a prior; "" to identify it by its weights alone, in a run
    folder of hrdis 0.1.

    Such a folder is continued if the prior was read then by the scheme of now; its configurations
    were not noted.
    """
    if previous_config is not None:
        prior = previous_config.get("prior")
        before = previous_config.get("provenance", {}).get("prior")
        made_by_0_1 = isinstance(prior, dict) and "identity" not in prior
        if made_by_0_1 and before and scheme_of(before) == scheme_of(name):
            return ""
    return identity(name)
