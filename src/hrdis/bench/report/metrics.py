"""The metrics of the report, each an estimate over a method's pictures or the reason for none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..results import MethodResults, Results, Selection, digest, psnr_of
from .statistics import Estimate, estimate


@dataclass(frozen=True)
class Metric:
    """A column of numbers.

    Args:
        title: with its unit.
        lower: True if small values are good, False if large ones are; None if it is not ranked.
        decimals: number of decimals in print.
        field: field of a row; "" for scores of sets and of several seeds.
        scale: factor of the field.
        statistic: mean or median over images.
        option: option of ``hrdis bench score`` that computes it.
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
    "distance": Metric("own distance", True, 3, "distance"),
    "FD": Metric("FD, own features", True, 2),
    "KD": Metric("KD, own features", True, 4),
    "accuracy": Metric("own accuracy, %", False, 1, "accuracy"),
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
SET_METRICS = ("FID", "KID", "FD", "KD")
#: What a network of the user's own gives in place of a metric of the paper, in a column of its own:
#: its scale is another.
OWN = {"LPIPS": "distance", "FID": "FD", "KID": "KD", "CA": "accuracy"}
#: Fields whose null, in a row that succeeded, stands for infinity: equal pixels.
PSNR_FIELDS = ("psnr", "psnr_aligned")


def value(method: MethodResults, selection: Selection, metric: str, run: Results) -> Estimate | str:
    """Return the estimate of a metric over the pictures of a method, or one line that says why it
    is missing.

    Of several seeds every picture counts once, with the mean of its seeds' scores or the score of
    the chosen one. PSNR counts at most 100 dB, which stands for equal pixels.
    """
    if not method.finished:
        return f"all {len(method.rows)} restorations failed: {method.rows[0].get('error')}"
    if metric in SET_METRICS:
        return _of_set(method, selection, metric, run)
    if metric == "diversity":
        records = sample_records_of(method, run)
        if records:
            return estimate([record["pairwise"] for record in records])
        if len(method.seeds) < 2:
            return "one sample per picture"
        return "not scored: hrdis bench score RUN"
    column = METRICS[metric]
    per_picture = []
    for rows in method.selected(selection).values():
        scores = []
        for row in rows:
            score = field_of(row, column.field)
            if score is not None:
                scores.append(score)
        if len(scores) == len(rows):
            per_picture.append(column.scale * sum(scores) / len(scores))
    pictures = len(method.by_image)
    if not per_picture:
        return _why_missing(metric, run)
    if len(per_picture) < pictures:
        return (
            f"{pictures - len(per_picture)} of {pictures} pictures have no score; score the run "
            "again"
        )
    return estimate(per_picture, column.statistic)


def with_own(metrics: Sequence[str], run: Results, *, beside: bool) -> list[str]:
    """Return metrics, with those of `OWN` that networks of the user's own have made.

    Args:
        beside: let them stand beside the paper's, whose numbers are shown; else in their place.
    """
    made = {record["metric"] for record in run.sets if record["status"] == "ok"}
    for metric in OWN.values():
        field = METRICS[metric].field
        if field and any(field in row for row in run.rows):
            made.add(metric)
    found = []
    for metric in metrics:
        own = OWN.get(metric, "")
        if beside or own not in made:
            found.append(metric)
        if own in made:
            found.append(own)
    return found


def field_of(row: Mapping[str, Any], field: str) -> float | None:
    """Return a score of a row; None if it has none."""
    return psnr_of(row, field) if field in PSNR_FIELDS else row.get(field)


def _why_missing(metric: str, run: Results) -> str:
    for record in run.sets:
        if record["metric"] == metric and record["status"] == "missing":
            return str(record["reason"])
    option = METRICS[metric].option
    return f"not scored: hrdis bench score RUN {option}" if option else "not measured in this run"


def _of_set(
    method: MethodResults, selection: Selection, metric: str, run: Results
) -> Estimate | str:
    keys = []
    for rows in method.selected(selection).values():
        keys += [row["key"] for row in rows]
    of = digest(keys)
    outdated, reason = False, ""
    found: Estimate | None = None
    for record in run.sets:
        place = record["metric"], record.get("variant"), record.get("selection")
        if place != (metric, method.id, selection):
            continue
        if record["of"] != of:
            outdated = True
        elif record["status"] == "ok":  # of several folders the last one counts
            found = Estimate(record["value"], None, None, record["n"])
        else:
            reason = str(record["reason"])
    if found is not None:
        return found
    if reason:
        return reason
    if outdated:
        return "pictures were added after it was computed; score the run again"
    return _why_missing(metric, run)


def sample_records_of(method: MethodResults, run: Results) -> list[Mapping[str, Any]]:
    """Return the scores of the samples of each picture, for the samples that there are now."""
    current = set()
    for rows in method.by_image.values():
        current.add(digest(row["key"] for row in rows))
    records: list[Mapping[str, Any]] = []
    for record in run.seeds:
        if record["variant"] == method.id and record["id"] in current:
            records.append(record)
    return records


def printed(number: float, metric: str) -> str:
    """Return a number as the report prints it."""
    return f"{number:.{METRICS[metric].decimals}f}"
