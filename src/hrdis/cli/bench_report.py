"""``hrdis bench report`` and ``hrdis bench score``: the report of a run, and its scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from hrdis.bench.report import check_page, report
from hrdis.bench.run import collect
from hrdis.bench.score import Scoring, score
from hrdis.devices import pick_device

from .parsing import checking, parse
from .progress import say
from .unused import refuse

#: Options that name a file, and options that name a function of the user's own.
FILES = ("lpips", "inception", "resnet", "classes")
FUNCTIONS = ("distance", "features", "classifier")

REPORT = """\
Write the report of a run, or of several as one: a page, and its tables as CSV and LaTeX in tables/
beside it.

Examples:
  hrdis bench report runs/table-9
  hrdis bench report runs/shard-0 runs/shard-1 -o all/report.html
  hrdis bench report runs/table-9 --alone -o table-9.html          (one file to send)
  hrdis bench report runs/imagenet --lpips alexnet-owt-7be5be79.pth \\
      --inception pt_inception-2015-12-05-6726825d.pth

Pictures are scored first where weights are given, or where a run has no scores yet; nothing is
restored again. A metric without its weights is shown as missing, with the reason.
"""

SCORE = """\
Score the pictures of a run again, without restoring any: PSNR, SSIM, samples, and what weights are
given for.

Examples:
  hrdis bench score runs/table-9
  hrdis bench score runs/imagenet --lpips alexnet-owt-7be5be79.pth --lpips-preset red-diff
  hrdis bench score runs/imagenet --features my.py:make

my.py is executed, as `python my.py` would: run none that you do not trust.
"""


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Options of ``hrdis bench report``."""

    folders: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Folders of runs."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="PAGE.html")] = None
    """The page; by default report.html in the folder of the run."""
    alone: bool = False
    """Link to no file of the run folder, for a page that goes where the folder does not; all its
    pictures are in it.
    """


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Options of ``hrdis bench score``."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The folder of a run."""


def main(argv: Sequence[str]) -> int:
    """Run ``report ...`` or ``score ...``; return the exit status."""
    return _report(argv[1:]) if argv[0] == "report" else _score(argv[1:])


def _report(argv: Sequence[str]) -> int:
    args: Any = parse(ReportOptions, argv, "bench report", REPORT, scoring=Scoring())
    with checking(work=True):
        refuse(argv, unused_scoring(args.scoring))
        check_scoring(args.scoring)
        if args.output is not None:
            out = args.output
        elif len(args.folders) > 1:
            raise ValueError(
                f"{len(args.folders)} folders, and no name for the page. One is expected: -o "
                "all/report.html"
            )
        else:
            out = args.folders[0] / "report.html" if args.folders else Path("report.html")
        run = collect(args.folders, [out.parent])
        check_page(out)
        given = any(getattr(args.scoring, name) is not None for name in (*FILES, *FUNCTIONS))
        if given or not run.sets:
            score(run, args.scoring, out.parent)
            run = collect(args.folders, [out.parent])  # with the new scores
        say(f"Report: {report(run, out, alone=args.alone)}")
    return 0


def _score(argv: Sequence[str]) -> int:
    args: Any = parse(ScoreOptions, argv, "bench score", SCORE, scoring=Scoring())
    with checking(work=True):
        refuse(argv, unused_scoring(args.scoring))
        check_scoring(args.scoring)
        found = score(collect([args.folder]), args.scoring, args.folder)
    missing = []
    for record in found:
        if record["status"] == "missing":
            missing.append(f"missing: {record['metric']}: {record['reason']}")
    for line in dict.fromkeys(missing):  # a reason that all methods share is told once
        say(line)
    say(f"Scores: {args.folder / 'scores'}")
    return 0


def unused_scoring(options: Scoring) -> dict[str, str]:
    """Return the options that change nothing about the scores, each with the reason."""
    unused = {}
    for name, other in (("lpips", "distance"), ("inception", "features"), ("resnet", "classifier")):
        if getattr(options, other) is not None:
            unused[name] = f"--{other} takes its place. Leave one of them out."
    for name in ("lpips-net", "lpips-range", "lpips-preset"):
        if options.distance is not None:
            unused[name] = "--distance takes the place of LPIPS."
        elif options.lpips is None:
            unused[name] = "LPIPS has no weights. They are expected: --lpips FILE"
        elif options.lpips_preset is not None and name != "lpips-preset":
            unused[name] = "--lpips-preset says it. Leave one of them out."
    if options.resnet is None and options.classifier is None:
        unused["classes"] = "there is nothing to classify with. Weights are expected: --resnet FILE"
    if options.resnet is None or options.classifier is not None:
        unused["crop"] = "it is for ResNet-50. Its weights are expected: --resnet FILE"
    return unused


def check_scoring(options: Scoring) -> None:
    """Raise unless the device and the files that were given are there.

    Raises:
        ValueError: naming the option and the file.
    """
    pick_device(options.device)
    for name in FILES:
        path = getattr(options, name)
        if path is not None and not path.is_file():
            raise ValueError(f"--{name} {path} does not exist. A file is expected.")
    for name in FUNCTIONS:
        spec = getattr(options, name)
        if spec is not None and not Path(spec.rpartition(":")[0]).is_file():
            raise ValueError(
                f"--{name} is {spec!r}. A function in a file that exists is expected: --{name} "
                "my.py:make"
            )
