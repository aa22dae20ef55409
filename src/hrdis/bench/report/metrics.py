"""What a metric says about one method on one task: an estimate over pictures, or the reason why
there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..results import Selection, Variant, digest
from ..run.collect import Gathered
from .statistics import Estimate, estimate


@dataclass(frozen=True)
class Metric:
    """A column of numbers.

    Args:
        title: with its unit.
        lower: whether small values are good; None for what is not ranked.
        decimals: how it is printed.
        field: of a row; "" for scores of sets and of several seeds.
        scale: what the field is multiplied by.
        statistic: over images.
        option: of ``hrdis bench score`` that computes it.
    """

    title: str
    lower: bool | None
    decimals: int
    field: str = ""
    scale: float = 1.0
    statistic: Literal["mean", "median"] = "mean"
    option: str = ""


METRICS = {
    "PSNR": Metric("PSNR, dB", False, 2, "psnr"),
    "SSIM": Metric("SSIM", False, 3, "ssim"),
    "PSNR aligned": Metric("PSNR aligned, dB", False, 2, "psnr_aligned"),
    "SSIM aligned": Metric("SSIM aligned", False, 3, "ssim_aligned"),
    "LPIPS": Metric("LPIPS", True, 3, "lpips", option="--lpips FILE"),
    "FID": Metric("FID", True, 2, option="--inception FILE"),
    "KID": Metric("KID", True, 4, option="--inception FILE"),
    "CA": Metric("CA, %", False, 1, "ca", option="--resnet FILE"),
    "time_s_per_img": Metric("s per image", True, 2, "seconds", statistic="median"),
    "memory_GB": Metric("memory, GiB", True, 3, "peak_memory", 2**-30, "median"),
    "calls": Metric("network calls", None, 0, "nfe", statistic="median"),
    "overhead": Metric("time / bare calls", None, 3, "overhead", statistic="median"),
    "residual": Metric("residual of y", None, 4, "residual"),
    "diversity": Metric("rms distance of samples", None, 4),
    "N": Metric("N", None, 0),
    "lambda1": Metric("lambda 1", None, 2),
    "lambda2": Metric("lambda 2", None, 2),
    "learning_rate": Metric("learning rate", None, 2),
}
#: Scores of whole sets of pictures.
OF_SETS = ("FID", "KID")


def value(member: Variant, how: Selection, metric: str, run: Gathered) -> Estimate | str:
    """The estimate of a metric over the pictures of a variant, or one line that says why it is
    missing.

    Of several seeds every picture counts once, with the mean of its seeds' scores or the score of
    the chosen one.
    """
    if not member.finished:
        return f"all {len(member.rows)} cells failed: {member.rows[0].get('error')}"
    if metric in OF_SETS:
        return _of_set(member, how, metric, run)
    if metric == "diversity":
        return _diversity(member, run)
    what = METRICS[metric]
    per_picture = []
    for rows in member.selected(how).values():
        scores = [row[what.field] for row in rows if row.get(what.field) is not None]
        if len(scores) == len(rows):
            per_picture.append(what.scale * sum(scores) / len(scores))
    unscored = len(member.by_image) - len(per_picture)
    if per_picture and not unscored:
        return estimate(per_picture, what.statistic)
    if per_picture:
        return f"{unscored} of {len(member.by_image)} pictures have no score; score the run again"
    return _why(metric, run)


def _why(metric: str, run: Gathered) -> str:
    general = (r["reason"] for r in run.sets if r["metric"] == metric and r["status"] == "missing")
    option = METRICS[metric].option
    return next(
        general,
        f"not scored: hrdis bench score RUN {option}" if option else "not measured in this run",
    )


def _of_set(member: Variant, how: Selection, metric: str, run: Gathered) -> Estimate | str:
    mine = [
        r
        for r in run.sets
        if (r["metric"], r.get("variant"), r.get("selection")) == (metric, member.id, how)
    ]
    of = digest(row["key"] for rows in member.selected(how).values() for row in rows)
    current = [r for r in mine if r["of"] == of]
    good = [r for r in current if r["status"] == "ok"]
    if good:
        return Estimate(good[-1]["value"], None, None, good[-1]["n"])
    if current:
        return str(current[-1]["reason"])
    return (
        "pictures were added after it was computed; score the run again"
        if mine
        else _why(metric, run)
    )


def seeds_of(member: Variant, run: Gathered) -> list[Mapping[str, Any]]:
    """What the samples of each picture show together, for the samples there are now."""
    current = {digest(row["key"] for row in rows) for rows in member.by_image.values()}
    return [
        record for record in run.seeds if record["variant"] == member.id and record["id"] in current
    ]


def _diversity(member: Variant, run: Gathered) -> Estimate | str:
    records = seeds_of(member, run)
    if records:
        return estimate([record["pairwise"] for record in records])
    return (
        "one sample per picture" if len(member.seeds) < 2 else "not scored: hrdis bench score RUN"
    )


def printed(found: float, metric: str) -> str:
    """A number as the report prints it."""
    return f"{found:.{METRICS[metric].decimals}f}"
