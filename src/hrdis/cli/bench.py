"""``hrdis bench``: rerun the paper's tables and figures, or a plan."""

import platform
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

import hrdis
from hrdis.bench.paper import FIGURES, TABLES
from hrdis.bench.plan import (
    PreparedRun,
    RunRequest,
    WorkerSpec,
    cost_lines,
    empty_row,
    given_options,
    prepare,
    read_plan,
    select_columns,
    time_network,
)
from hrdis.bench.run import (
    CONFIG,
    Engine,
    Store,
    check_run_folder,
    execute,
    read_config,
    read_shard,
    units_of_shard,
)
from hrdis.tasks import TASKS

from .parsing import BadInput, checking, choose, fail, parse
from .progress import bar, say
from .unused import refuse

HELP = """\
Rerun tables and figures of the paper, or a plan of your own, on the photographs that come with the
package or yours.

Examples:
  hrdis bench --table 9 --limit 1 -o runs/table-9
  hrdis bench --table 1..12 --figure 5 9 17 21 --dry-run
  hrdis bench --table 1 9 --data imagenet/val --list dgp_top1k.txt --dataset imagenet \\
      --model MODEL -o runs/imagenet
  hrdis bench --table 2 10 --data ffhq256 --size 0 --dataset ffhq --model MODEL --device cuda \\
      --batch 8 -o runs/ffhq
  hrdis bench --table 1 --masks imagenet_freeform_masks.npz --mask-offset 3 --size 256 \\
      --data imagenet/val --list dgp_top1k.txt --dataset imagenet --model MODEL -o runs/palette
  hrdis bench --table 12 --data LOL/high --measured LOL/low --size 0 -o runs/lol
  hrdis bench examples/plan.yaml -o runs/plan
  hrdis bench report runs/plan             (a page, CSV and LaTeX; see hrdis bench report --help)
  hrdis bench score runs/plan              (scores again; see hrdis bench score --help)

Without --data the photographs of the package are restored, without --model by the embedded model.
These results cannot be compared with the paper one to one. The folder RUN receives a line per
restoration and its picture; the same command continues what was stopped, by Ctrl-C or a kill, and
repeats nothing. The exit status is 1 if a restoration failed, and 0 if none did.
"""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Options of ``hrdis bench``."""

    plan: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="PLAN.yaml")] = None
    """A plan of your own instead of tables; see examples/plan.yaml."""
    table: Annotated[tuple[str, ...], tyro.conf.arg(metavar="N")] = ()
    """Tables of the paper: 1 to 12, or 1..12."""
    figure: Annotated[tuple[str, ...], tyro.conf.arg(metavar="N")] = ()
    """Figures of the paper: 5, 9, 17, 21."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="RUN")] = None
    """The folder of the run."""
    prior: Annotated[str | None, tyro.conf.arg(name="model", metavar="MODEL")] = None
    """The diffusion model, as for `hrdis restore`; by default the embedded one."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """A folder of pictures, taken in the order of their paths; by default those of the package."""
    list: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """List of pictures in the folder, in ImageNet's form: lines `wnid/file label`."""
    dataset: Literal["imagenet", "ffhq", "lol"] | None = None
    """The paper's data set that the pictures are of. Columns of others are left out."""
    limit: int | None = None
    """Take only the first so many pictures."""
    masks: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER|FILE")] = None
    """Masks instead of drawn ones, for tasks with holes. Either a folder of pictures that are white
    where a hole is, each with the name of its picture (or NAME-mask), or Palette's file,
    imagenet_freeform_masks.npz, for inpaint, inpaint-20-30 and inpaint-30-40.
    """
    mask_offset: int | None = None
    """Which mask of Palette's file the first picture takes: 0, or 3 as the official code."""
    measured: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """A folder of damaged pictures or arrays, each with the name of its picture in --data. They are
    restored instead of measurements made here; the noise of a task says what is in them.
    """
    size: int | None = None
    """Scale and crop pictures to this side as the papers do (256); 0 takes them as they are."""
    crop: int | None = None
    """Use the centre of this side only. The default, 0, is all of it; 64 suits models that know
    small patches.
    """
    presets: Literal["auto", "paper", "default"] | None = None
    """Settings of the solvers. paper: those of the papers; default: those of small models; auto:
    those that fit the task and the model.
    """
    precision: Literal["fp32", "bf16", "fp16"] | None = None
    """Precision of the network; by default fp32."""
    seeds: int | None = None
    """Samples per picture."""
    batch: int | None = None
    """Pictures per network call."""
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TASK")] = ()
    """Only these tasks of what was asked for."""
    solvers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SOLVER")] = ()
    """Only these solvers, or rows by their label."""
    bkse: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Weights of the nonlinear blur (GOPRO_wVAE.pth); without them its task is reported as
    missing.
    """
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    """Where the network runs: auto, cpu, cuda."""
    retry_failed: bool = False
    """Try those restorations again that failed."""
    dry_run: bool = False
    """Show what would be done and what it costs; write nothing."""


def main(argv: Sequence[str]) -> int:
    """Run the command; return the exit status, 1 if a restoration failed."""
    if argv and argv[0] in ("report", "score"):
        from . import bench_report

        return bench_report.main(argv)
    args: Any = parse(Bench, argv, "bench", HELP, where=Engine())
    with checking():
        args.where.resolved()
        read_shard(args.where.shard)
        refuse(argv, _unused(args))
        if args.output is None and not args.dry_run:
            raise ValueError(
                "No folder for the run was given. One is expected: -o runs/mine (or --dry-run)"
            )
        if args.output is not None:
            check_run_folder(args.output)
        continued = args.output is not None and (args.output / CONFIG).is_file()
        previous_config = read_config(args.output) if continued else None
        request = RunRequest(
            numbers=_numbers(args.table, "table", TABLES),
            figures=_numbers(args.figure, "figure", FIGURES),
            plan=None if args.plan is None else read_plan(args.plan),
            prior=args.prior,
            data=args.data,
            list=args.list,
            limit=args.limit,
            bkse=args.bkse,
            masks=args.masks,
            measured=args.measured,
            mask_offset=args.mask_offset,
            device=args.device,
            tasks=args.tasks,
            solvers=args.solvers,
            options=given_options(args),
        ).completed()
        refuse(argv, _unused_files(request))
        ready = prepare(request, previous_config)
        left_out = set()
        for entry in ready.plan.config["missing"]:
            column = entry["column"].replace("_", " ")
            text = f"left out: {column}, {entry['row']}: {entry['reason']}"
            if text not in left_out:  # several tables may leave out the same
                left_out.add(text)
                say(text)
        if args.dry_run:
            show_costs(ready)
            if continued:
                done = Store.open(args.output).finished(args.retry_failed)
                here = [task for task in ready.plan.tasks if task.key in done]
                say(
                    f"{len(here)} of these restorations are in {args.output} already, and are not "
                    "done again."
                )
            return 0
        config = ready.plan.config | {"threads": args.where.threads}
        config["provenance"] = provenance(request, argv, ready.spec)
        store = Store.create(args.output, config)
    return run(args, ready, store)


def _unused(args: Any) -> dict[str, str]:
    """Return the options that change nothing, whatever is restored, each with the reason."""
    unused = {}
    if args.where.resolved() == "local":
        unused["retries"] = "this process has no worker to try again with. Use --engine ray."
    if args.plan is None and (args.masks is None or args.masks.suffix != ".npz"):
        unused["mask-offset"] = (
            "no file of many masks is. One is expected: --masks imagenet_freeform_masks.npz"
        )
    return unused


def _unused_files(request: RunRequest) -> dict[str, str]:
    """Return the options for files that no task reads, each with the reason."""
    tasks = []
    for table, _ in request.tables:
        for column in select_columns(table, request.tasks, request.solvers, "").columns:
            tasks.append(TASKS[column.task])
    unused: dict[str, str] = {}
    if not tasks:  # of which `prepare` says more
        return unused
    if not any(task.mask for task in tasks):
        unused["masks"] = "no task of this run has holes. One is expected: --tasks inpaint"
    if not any(task.weights for task in tasks):
        unused["bkse"] = "no task of this run has its network. One is: --tasks deblur-nonlinear"
    return unused


def run(args: Any, ready: PreparedRun, store: Store) -> int:
    """Do what is left to do, on the engine that is asked for; return the exit status."""
    shard = read_shard(args.where.shard)
    units = units_of_shard(ready.plan.units, shard)
    keys = {task.key for unit in units for task in unit.tasks}
    left = keys - store.finished(args.retry_failed)
    part = ""
    if shard is not None:
        part = f"part {shard[0]}/{shard[1]} of the plan, "
        if args.where.shard is None:  # a launcher may have left them there
            part = f"{part[:-2]} by RANK and WORLD_SIZE of the environment, "
    say(f"{part}{len(keys)} restorations, {len(left)} to do, in {args.output}")
    with bar(len(keys), "restorations") as restorations:
        shown = 0

        def progress(done: int, _: int) -> None:
            nonlocal shown
            while shown < done:
                restorations.advance()
                shown += 1

        try:
            summary = execute(
                ready.plan.units,
                store,
                partial(ready.spec.open, store),
                args.where,
                retry_failed=args.retry_failed,
                gpu=ready.spec.device.startswith("cuda"),
                progress=progress,
                empty_row=empty_row,
            )
        except ValueError as error:
            raise BadInput(str(error)) from error
        except RuntimeError as error:
            return fail("bench", f"{error} The same command continues the run.", 1)
    # Those of earlier runs count too: a run with failures does not become whole by being repeated.
    failed = 0
    for row in store.rows():
        if row["key"] in keys and row["status"] != "ok":
            failed += 1
    text = f"Done: {part}{summary.tasks} restorations"
    if failed:
        text += f", {failed} of them failed: see the report, or do them again: --retry-failed"
    if summary.replaced:
        text += f", {summary.replaced} workers replaced"
    say(text)
    return 1 if failed else 0


def provenance(request: RunRequest, argv: Sequence[str], spec: WorkerSpec) -> dict[str, Any]:
    """Return the place and the tools of a run; they may differ when it is continued."""

    def text(path: Path | None) -> str | None:
        return None if path is None else str(path)

    return {
        "command": "hrdis bench " + shlex.join(argv),
        "hrdis": hrdis.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": spec.device,
        "prior": spec.prior,
        "data": text(request.data),
        "list": text(request.list),
        "bkse": spec.bkse,
        "masks": text(request.masks),
        "measured": text(request.measured),
    }


def _numbers(words: Sequence[str], kind: str, valid: Iterable[int]) -> list[int]:
    """Return the numbers of words and of ranges a..b, each once and in order."""
    found: list[str] = []
    for word in words:
        span = re.fullmatch(r"(\d+)(?:\.\.|-)(\d+)", word)
        if span is None:
            found.append(word)
            continue
        first, last = int(span[1]), int(span[2])
        found += [str(number) for number in valid if first <= number <= last]
    names = [str(number) for number in valid]
    return [int(choose(kind, number, names)) for number in dict.fromkeys(found)]


def show_costs(ready: PreparedRun) -> None:
    """Print the table of a dry run, with the cost of each method and of all together."""
    cost = time_network(ready.plan.units, ready.prior, ready.shape)
    lines = cost_lines(ready.plan.units, ready.prior, cost)
    grid = Table(box=None, pad_edge=False)
    for name in ("task", "row", "preset"):
        grid.add_column(name, no_wrap=True)
    for name in ("restorations", "calls", "time"):
        grid.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        grid.add_row(
            line.task if line.noise == "none" else f"{line.task}, {line.noise}",
            line.group,
            line.preset or "none",
            str(line.restorations),
            str(line.calls),
            duration(line.seconds),
        )
    console = Console(highlight=False, soft_wrap=True)
    # No cell is cut, however long its names are: a narrower terminal wraps the lines.
    measured = Measurement.get(console, console.options.update(width=10_000), grid)
    console.width = max(console.width, measured.maximum)
    console.print(grid)
    size = " x ".join(map(str, ready.shape[1:]))
    memory = "" if cost.memory is None else f", needs {cost.memory / 2**20:.0f} MiB"
    restorations = sum(line.restorations for line in lines)
    calls = sum(line.calls for line in lines)
    seconds = sum(line.seconds for line in lines)
    console.print(
        f"\n{restorations} restorations, {calls} network calls of {1000 * cost.forward:.1f} ms "
        f"({size}{memory}): about {duration(seconds)}.",
        markup=False,
    )


def duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
