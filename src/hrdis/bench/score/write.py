"""Computation of all scores of a run, and the files that keep them."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ...files import lock, write_text
from ..records import json_safe
from ..results import SEEDS_FILE, SETS_FILE, Results, group_by_method, read_sets
from .networks import MetricUnavailable, Scoring
from .per_picture import Record, class_records, lpips_records, pixel_records
from .samples import sample_records
from .sets import set_records

#: Called with the metric, the number of pictures or methods that are done, and of all.
Progress = Callable[[str, int, int], object]

#: (metric, name of its file, records of all pictures).
PER_PICTURE = (
    ("PSNR", "pixels", pixel_records),
    ("LPIPS", "lpips", lpips_records),
    ("CA", "classes", class_records),
)


def score(
    run: Results, options: Scoring, into: Path, progress: Progress | None = None
) -> list[Record]:
    """Score the pictures of a run and write the scores.

    Args:
        run: the rows, and the places of their pictures.
        options: networks and weights.
        into: the folder that gets ``scores/``: the run's own, or that of a report on several.
        progress: called with the metric, the number that is done, and of all.

    Returns:
        The records of ``scores/sets.json``, with the metrics that are missing.
    """
    rows = []
    for row in run.rows:
        if row["status"] == "ok" and run.picture(row) and run.picture(row, "truth"):
            rows.append(row)
    report = progress or (lambda *_: None)
    folder = into / "scores"
    # Two that score at once would each write what the other has just found over with its own.
    with lock(folder / ".lock"):
        missing: list[Record] = []
        for metric, name, records in PER_PICTURE:
            path = folder / f"{name}.jsonl"
            try:
                scored = []
                for record in records(run, rows, options):
                    scored.append(record)
                    report(metric, len(scored), len(rows))
                _write_lines(path, scored)
            except MetricUnavailable as reason:
                # Scores of an earlier time stay: they were computed with weights not given now.
                if not path.is_file():
                    missing.append({"metric": metric, "status": "missing", "reason": str(reason)})
        methods = group_by_method(rows)
        _write_lines(folder / SEEDS_FILE, sample_records(run, methods))
        found = [*missing, *set_records(run, methods, options, report)]
        merged = merge_with_older(read_sets(folder / SETS_FILE), found)
        write_text(folder / SETS_FILE, json.dumps(json_safe(merged), indent=1))
        return merged


def merge_with_older(older: Sequence[Record], found: Sequence[Record]) -> list[Record]:
    """Merge new scores with older ones that could not be recomputed.

    An older score stays unless there is a new one of the same method and selection. A reason why a
    metric is missing as a whole is dropped if the metric has a score after all.
    """

    def place(record: Record) -> tuple[object, ...]:
        return record["metric"], record.get("variant"), record.get("selection")

    new_places = {place(record) for record in found if record["status"] == "ok"}
    merged = []
    for record in older:
        if record["status"] == "ok" and place(record) not in new_places:
            merged.append(record)
    scored = {record["metric"] for record in (*merged, *found) if record["status"] == "ok"}
    for record in found:
        if record["status"] == "ok" or "variant" in record or record["metric"] not in scored:
            merged.append(record)
    return merged


def _write_lines(path: Path, records: Iterable[Record]) -> None:
    """Write records, one per line; nothing is written if they cannot all be made."""
    lines = []
    for record in records:
        lines.append(json.dumps(json_safe(record), allow_nan=False) + "\n")
    write_text(path, "".join(lines))
