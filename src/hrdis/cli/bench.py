"""``hrdis bench``: rerun the paper's tables and figures, or a plan."""

import platform
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

import hrdis
from hrdis.bench import data, planfile
from hrdis.bench.config import CONFIG
from hrdis.bench.config import read as read_config
from hrdis.bench.engines import Engine, part, read_shard, run_units
from hrdis.bench.figures import FIGURES
from hrdis.bench.methods import Feasible, Network, Options, fitted
from hrdis.bench.plan import Plan, expand, file_sha256, model_cell, narrowed, wanted
from hrdis.bench.problems import Poser
from hrdis.bench.run import Work, blank
from hrdis.bench.store import Store
from hrdis.bench.tables import TABLES, Table
from hrdis.checkpoints import identity, load_prior, scheme_of, weights_sha256
from hrdis.devices import DTYPES, pick_device
from hrdis.priors import Prior
from hrdis.solvers import SOLVERS
from hrdis.tasks import TASKS

from .bench_estimate import show
from .parsing import BadInput, checking, choose, fail, parse
from .progress import bar, say

HELP = """\
Rerun tables and figures of the paper, or a plan of your own, on the photographs that come with the
package or yours.

Examples:
  hrdis bench --table 9 --limit 1 -o runs/table-9
  hrdis bench --table 1..12 --figure 5 9 17 21 --dry-run
  hrdis bench --table 1 9 --data imagenet/val --list dgp_top1k.txt --dataset imagenet \\
      --prior PRIOR -o runs/imagenet
  hrdis bench --table 2 10 --data ffhq256 --size 0 --dataset ffhq --prior PRIOR --device cuda \\
      --batch 8 -o runs/ffhq
  hrdis bench examples/plan.yaml -o runs/plan
  hrdis bench report runs/plan             (a page, CSV and LaTeX; see hrdis bench report --help)
  hrdis bench score runs/plan              (scores again; see hrdis bench score --help)

Without --data the photographs of the package are restored, without --prior by the embedded prior:
nothing that can be compared with the paper one to one. The folder RUN receives a line per
restoration and its picture; the same command continues what was stopped, by Ctrl-C or a kill, and
repeats nothing.
"""

SMALL = 64  # the side that small priors know


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Options of ``hrdis bench``."""

    plan: tyro.conf.Positional[Path | None] = None
    """A plan (YAML) instead of tables; see examples/plan.yaml."""
    table: tuple[str, ...] = ()
    """Tables of the paper: 1 to 12, or 1..12."""
    figure: tuple[str, ...] = ()
    """Figures of the paper: 5, 9, 17, 21."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The folder of the run."""
    prior: str | None = None
    """The prior; by default the embedded one."""
    data: Path | None = None
    """A folder of pictures, taken in the order of their paths; by default those of the package."""
    list: Path | None = None
    """Which pictures of it, in ImageNet's form: lines `wnid/file label`."""
    dataset: Literal["imagenet", "ffhq", "lol"] | None = None
    """Which of the paper's data sets the pictures are: columns of others are left out."""
    limit: int | None = None
    """Take so many pictures."""
    size: int | None = None
    """Scale and crop pictures to this side as the papers do (256); 0 takes them as they are."""
    crop: int | None = None
    """Use the centre of this side only: 0 is all of it, the default; 64 for priors that know small
    patches.
    """
    presets: Literal["auto", "paper", "default"] | None = None
    """Whose settings: paper: the papers', default: those for small priors, auto: those that fit the
    prior.
    """
    precision: Literal["fp32", "bf16", "fp16"] | None = None
    """What the network runs in (fp32)."""
    seeds: int | None = None
    """Samples per picture."""
    batch: int | None = None
    """Pictures per network call."""
    tasks: tuple[str, ...] = ()
    """Only these tasks of what was asked for."""
    solvers: tuple[str, ...] = ()
    """Only these solvers, or rows by their label."""
    bkse: Path | None = None
    """Weights of the nonlinear blur (GOPRO_wVAE.pth); without them its cells are reported as
    missing.
    """
    device: str = "auto"
    """cpu, cuda, or auto."""
    retry_failed: bool = False
    """Do again what failed."""
    dry_run: bool = False
    """Say what would be done and what it costs; nothing is written."""


@dataclass(frozen=True)
class Prepared:
    """A run that has been checked."""

    plan: Plan
    prior: Prior
    work: Work
    shape: tuple[int, int, int]


def main(argv: Sequence[str]) -> int:
    if argv and argv[0] in ("report", "score"):
        from . import bench_report

        return bench_report.main(argv)
    args: Any = parse(Bench, argv, "bench", HELP, where=Engine())
    asked, args = gather(args)
    with checking():
        args.where.resolved()
        read_shard(args.where.shard)
        if args.output is None and not args.dry_run:
            raise ValueError(
                "No folder for the run was given. One is expected: -o runs/mine (or --dry-run)"
            )
        ready = prepare(args, asked)
        for text in dict.fromkeys(
            f"left out: {m['column']}, {m['row']}: {m['reason']}"
            for m in ready.plan.config["missing"]
        ):
            say(text)
        if args.dry_run:
            show(ready.plan.units, ready.prior, ready.shape)
            if args.output is not None and (args.output / "config.json").is_file():
                done = Store.open(args.output).finished(args.retry_failed)
                count = sum(cell.key in done for unit in ready.plan.units for cell in unit.cells)
                say(f"{count} of these cells are in {args.output} already, and are not done again.")
            return 0
        config = ready.plan.config | {"threads": args.where.threads}
        config |= {"provenance": provenance(args, argv, ready.work)}
        store = Store.create(args.output, config)
    return run(args, ready, store)


def gather(args: Any) -> tuple[list[tuple[Table, str]], Any]:
    """The tables that are asked for, and the options with what a plan file adds to them."""
    numbers = [int(n) for n in _numbers(args.table, "table", TABLES)]
    drawn = [int(n) for n in _numbers(args.figure, "figure", FIGURES)]
    asked = wanted(numbers, drawn)
    own: dict[str, Any] = {}
    if args.plan is not None:
        with checking():
            said = planfile.read(args.plan)
        asked.append((said.table, ""))
        own = {
            "data": said.folder,
            "list": said.listed,
            "limit": said.limit,
            "bkse": said.bkse,
            "prior": said.prior,
        }
        own |= said.options
    with checking():
        if not asked:
            raise ValueError(
                "Nothing was asked for. A table, a figure or a plan is expected: --table 9, or "
                "PLAN.yaml"
            )
    names = {*TASKS, *(c.name for table, _ in asked for c in table.columns)}
    labels = {*SOLVERS, *(m.label for table, _ in asked for m in table.methods)}
    for kind, given, valid in (("task", args.tasks, names), ("solver", args.solvers, labels)):
        for name in given:
            choose(kind, name, sorted(valid))
    chosen = {
        name: value
        for name, value in own.items()
        if getattr(args, name) is None and value is not None
    }
    return asked, replace(args, **chosen)


def prepare(args: Any, asked: Sequence[tuple[Table, str]]) -> Prepared:
    """Load and check everything; raises ValueError or TypeError before any work."""
    name = args.prior or "default"
    device = pick_device(args.device)
    prior = load_prior(name, dtype=DTYPES[args.precision or "fp32"], device=device)
    network = Network(
        prior.name,
        weights_sha256(name),
        prior.presets,
        prior.schedule,
        _identity(name, args.output),
    )
    given = {
        f.name: getattr(args, f.name) for f in fields(Options) if getattr(args, f.name) is not None
    }
    if "crop" not in given and prior.presets == "default":
        given["crop"] = SMALL
    options = Options(**given)
    pictures = data.find(args.data, args.list, args.limit)
    model = model_cell(options, network, pictures[0])
    truth = fitted(data.prepare(pictures[0].path, options.size, options.crop), prior)
    tables = [
        (narrowed(table, args.tasks, args.solvers, options.dataset), note) for table, note in asked
    ]
    feasible = Feasible(truth.to(device), prior, Poser(args.bkse), model)
    plan = expand(tables, pictures, options, network, feasible, file_sha256(args.bkse))
    if not plan.units and any(table.columns for table, _ in asked):
        left = (
            "; ".join(dict.fromkeys(m["reason"] for m in plan.config["missing"]))
            or "no task and solver are left"
        )
        raise ValueError(
            f"Nothing can be run: {left}. Drop --tasks, --solvers or --dataset, or give what is "
            "missing."
        )
    plan.config["shipped"] = {"data": args.data is None, "prior": name == "default"}
    files = {p.sha256: str(p.path) for p in pictures}
    work = Work(name, options.precision, str(device), files,
        None if args.bkse is None else str(args.bkse),
                plan.config["timed"])  # fmt: skip
    return Prepared(plan, prior, work, (truth.shape[1], truth.shape[2], truth.shape[3]))


def _identity(name: str, folder: Path | None) -> str:
    """Return what names the cells of a prior; "" for its weights alone, in a run folder of hrdis
    0.1.

    That is continued if the prior was read then by the scheme of now; its configurations were not
    noted.
    """
    if folder is not None and (folder / CONFIG).is_file():
        there = read_config(folder)
        prior, before = there.get("prior"), there.get("provenance", {}).get("prior")
        if (
            isinstance(prior, dict)
            and "identity" not in prior
            and before
            and scheme_of(before) == scheme_of(name)
        ):
            return ""
    return identity(name)


def run(args: Any, ready: Prepared, store: Store) -> int:
    """Do what is left to do, where the engine says."""
    units, finished = (
        part(ready.plan.units, read_shard(args.where.shard)),
        store.finished(args.retry_failed),
    )
    cells = sum(len(unit.cells) for unit in units)
    todo = sum(cell.key not in finished for unit in units for cell in unit.cells)
    say(f"{cells} cells, {todo} to do, in {args.output}")
    with bar(cells, "restorations") as advance:
        shown = 0

        def progress(done: int, _: int) -> None:
            nonlocal shown
            for _step in range(done - shown):
                advance()
            shown = done

        try:
            summary = run_units(
                ready.plan.units, store, partial(ready.work.open, store), args.where,
                retry_failed=args.retry_failed,
                gpu=ready.work.device.startswith("cuda"), progress=progress, blank=blank,
            )  # fmt: skip
        except ValueError as error:
            raise BadInput(str(error)) from error
        except RuntimeError as error:
            return fail("bench", f"{error} The same command continues the run.", 1)
    failed = sum(n for status, n in summary.statuses.items() if status != "ok")
    lost = f", {summary.replaced} workers replaced" if summary.replaced else ""
    say(
        f"Done: {summary.cells} cells"
        + (f", {failed} of them failed: see the report" if failed else "")
        + lost
    )
    return 0


def provenance(args: Any, argv: Sequence[str], work: Work) -> dict[str, Any]:
    """Where and by what a run was made; may differ when it is continued."""
    return {
        "command": "hrdis bench " + shlex.join(argv), "hrdis": hrdis.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(), "platform": platform.platform(), "device": work.device,
        "prior": work.prior, "data": None if args.data is None else str(args.data),
        "list": None if args.list is None else str(args.list), "bkse": work.bkse,
    }  # fmt: skip


def _numbers(words: Sequence[str], kind: str, valid: "dict[int, Table]") -> list[str]:
    """Numbers and ranges a..b, each once and in order."""
    found = []
    for word in words:
        span = re.fullmatch(r"(\d+)(?:\.\.|-)(\d+)", word)
        found += [str(n) for n in valid if int(span[1]) <= n <= int(span[2])] if span else [word]
    return [choose(kind, n, map(str, valid)) for n in dict.fromkeys(found)]
