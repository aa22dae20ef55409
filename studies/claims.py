"""Which of the paper's comparisons hold here: HRDIS against every other method, task by task.

    hrdis bench ... -o RUN; hrdis bench score RUN --distance studies/common/efficientnet.py:distance
    python studies/claims.py RUN [RUN ...]  # rewrites measurements/paper.md

Wherever the paper prints a number of HRDIS and one of another method, it says which is better. Here
the same difference is taken picture by picture, and its mean has a 95 % interval of the bootstrap
over pictures. The order holds if the whole interval lies on the paper's side, it is reversed if
the whole interval lies on the other, and otherwise it is open. LPIPS, whose network cannot be had
here, is replaced by the distance of EfficientNet-Lite0.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Literal

import tyro
from common.pages import DOCS, rewrite, table

from hrdis.bench import paper
from hrdis.bench.report.layout import ColumnGroup, ReportTable
from hrdis.bench.report.metrics import METRICS, field_of
from hrdis.bench.report.statistics import estimate
from hrdis.bench.report.summary import summarize
from hrdis.bench.results import MethodResults, on_common_images
from hrdis.bench.run import collect

PAGE, CSV = DOCS / "measurements" / "paper.md", DOCS / "data" / "claims.csv"
OURS = "HRDIS"
RIVAL = "RED-diff"
#: The paper's metric, and what stands for it here.
MEASURED = {"LPIPS": "distance", "PSNR": "PSNR", "SSIM": "SSIM"}
#: Columns with rules of their own for the choice among seeds.
LEFT_OUT = ("phase",)
Verdict = Literal["holds", "open", "reversed"]


@dataclass(frozen=True)
class Claim:
    """One order of the paper, and what was measured.

    Args:
        table, dataset, task, metric: of the paper.
        other: the method that HRDIS is compared with.
        paper: difference of the paper's numbers, positive where HRDIS is better.
        here, low, high: ours, with the ends of its interval; in the units of the metric.
        pictures: number of pictures.
        verdict: "holds", "open" or "reversed".
    """

    table: int
    dataset: str
    task: str
    metric: str
    other: str
    paper: float
    here: float
    low: float
    high: float
    pictures: int
    verdict: Verdict


def claims_of(report: ReportTable) -> Iterator[Claim]:
    """Yield the orders of one of the paper's tables that were measured."""
    for i, group in enumerate(report.groups):
        methods = report.methods_of(i)
        if group.task in LEFT_OUT or OURS not in methods:
            continue
        for label, other in methods.items():
            if label == OURS:
                continue
            for metric in MEASURED:
                claim = compared(report.number, group, metric, methods[OURS], label, other)
                if claim is not None:
                    yield claim


def compared(
    number: int,
    group: ColumnGroup,
    metric: str,
    ours: MethodResults,
    label: str,
    other: MethodResults,
) -> Claim | None:
    """Return an order of the paper, or None where it has none, or there is nothing to compare."""
    place = number, group.dataset, group.name
    printed = [paper.printed(*place, name, metric) for name in (OURS, label)]
    if not all(printed):
        return None
    column = METRICS[MEASURED[metric]]
    sign = -1 if column.lower else 1
    in_paper = sign * float(Decimal(printed[0] or "") - Decimal(printed[1] or ""))
    differences = []
    common = on_common_images([ours, other])
    for image, rows in common[0].by_image.items():
        a, b = mean(rows, column.field), mean(common[1].by_image[image], column.field)
        if a is None or b is None:
            return None
        differences.append(sign * (a - b))
    if not in_paper or len(differences) < 2:
        return None
    found = estimate(differences)
    assert found.low is not None and found.high is not None  # there are two pictures
    verdict: Verdict = "open"
    if found.low > 0 or found.high < 0:
        verdict = "holds" if (found.value > 0) == (in_paper > 0) else "reversed"
    return Claim(
        *place, metric, label, in_paper, found.value, found.low, found.high, found.n, verdict
    )


def mean(rows: Sequence[dict[str, object]], field: str) -> float | None:
    """Return the mean of a score over the seeds of a picture; None if one lacks it."""
    scores = [field_of(row, field) for row in rows]
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def counts(claims: Iterable[Claim]) -> str:
    """Return how many orders hold, by metric and by who is ahead in the paper."""
    lines = []
    known = list(claims)
    for metric, stand_in in MEASURED.items():
        name = metric if stand_in == metric else f"{metric} there, {stand_in} here"
        for ahead, says in ((True, f"{OURS} is better"), (False, f"{OURS} is worse")):
            mine = [c for c in known if c.metric == metric and (c.paper > 0) == ahead]
            if mine:
                of = [sum(c.verdict == v for c in mine) for v in ("holds", "open", "reversed")]
                lines.append([name, says, len(mine), *of])
    return table(
        ["metric", "the paper says", "comparisons", "hold here", "open", "reversed"], lines
    )


def against(claims: Iterable[Claim], other: str) -> str:
    """Return the differences to one method, each task with its three metrics in a row."""
    lines: dict[tuple[int, str, str], dict[str, Claim]] = {}
    for claim in claims:
        if claim.other == other:
            lines.setdefault((claim.table, claim.dataset, claim.task), {})[claim.metric] = claim
    # Quality and pixels of a task stand in different tables of the paper.
    rows: dict[str, dict[str, Claim]] = {}
    for (_, dataset, task), found in lines.items():
        rows.setdefault(f"{paper.TITLES[task]}, {dataset.split('-')[0]}", {}).update(found)
    body = []
    for title, found in rows.items():
        cells = [shown(found.get(metric)) for metric in MEASURED]
        some = next(iter(found.values()))
        body.append([title, some.pictures, *cells])
    return table(["task", "pictures", "distance", "PSNR, dB", "SSIM"], body)


def shown(claim: Claim | None) -> str:
    """Return "+0.31 (0.12 to 0.50), holds", or "-" where the paper has no order."""
    if claim is None:
        return "-"
    digits = METRICS[MEASURED[claim.metric]].decimals
    ends = f"{claim.low:+.{digits}f} to {claim.high:+.{digits}f}"
    return f"{claim.here:+.{digits}f} ({ends}), {claim.verdict}"


def main(runs: tyro.conf.Positional[list[Path]], page: Path = PAGE, file: Path = CSV) -> None:
    """Compare HRDIS with every other method in these run folders.

    Args:
        runs: folders of ``hrdis bench``, scored with ``--distance``.
        page: whose tables "claims" and "against-red-diff" are rewritten.
        file: takes every comparison.
    """
    claims: list[Claim] = []
    for report in summarize(collect(runs)):
        if report.number:
            claims += claims_of(report)
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, [f.name for f in fields(Claim)], lineterminator="\n")
        writer.writeheader()
        for claim in claims:
            line = asdict(claim)
            for name in ("paper", "here", "low", "high"):
                line[name] = f"{line[name]:.4g}"
            writer.writerow(line)
    rewrite(page, "claims", counts(claims))
    rewrite(page, "against-red-diff", against(claims, RIVAL))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
