"""Sections of the report beside its tables, on pictures, ablations, cost, samples and failures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..results import MethodResults, Results, on_common_images, psnr_of
from .gallery import Gallery, ImageGrid, ImageRow
from .layout import ReportTable
from .metrics import METRICS, sample_records_of, value
from .plots import Plot, Point, curves, pareto, scatter
from .statistics import Estimate, estimate


@dataclass(frozen=True)
class SampleScores:
    """Scores of one method's samples of the same pictures: of single samples, and of their mean."""

    label: str
    task: str
    count: int
    images: int
    psnr: Estimate
    psnr_of_mean: Estimate
    ssim: Estimate | None
    ssim_of_mean: Estimate | None
    pairwise: Estimate
    std: Estimate


@dataclass(frozen=True)
class Ablation:
    """A table whose methods differ in one setting, as plots of its metrics and as pictures."""

    table: ReportTable
    setting: str
    plots: list[Plot]
    grids: list[ImageGrid]


def varied_setting(table: ReportTable) -> str:
    """Return the setting in which the methods of a table differ, if they are one solver with one
    number each; else "".
    """
    methods = list(table.settings.values())
    if len(methods) < 2:
        return ""
    first = methods[0]
    for method in methods:
        if method["solver"] != first["solver"] or [*method] != [*first]:
            return ""
    varied = []
    for name in first:
        if len({str(method[name]) for method in methods}) > 1:
            varied.append(name)
    if len(varied) != 1:
        return ""
    for method in methods:
        # Names, such as those of an initialisation, have no place on an axis.
        if not isinstance(method[varied[0]], int | float):
            return ""
    return varied[0]


def methods_by_task(
    tables: Sequence[ReportTable],
) -> dict[str, list[tuple[str, MethodResults]]]:
    """Return the methods that were tried on each task, each once; by the title of the task.

    Tables that vary a setting are left out, because their methods are shown as ablations.
    """
    found: dict[tuple[str, str], dict[str, tuple[str, MethodResults]]] = {}
    titles: dict[tuple[str, str], str] = {}
    for table in tables:
        if varied_setting(table):
            continue
        for (label, i), method in table.methods.items():
            place = table.groups[i].task, table.groups[i].noise
            titles.setdefault(place, table.groups[i].title)
            found.setdefault(place, {}).setdefault(method.id, (label, method))
    return {titles[place]: list(methods.values()) for place, methods in found.items()}


def picture_grids(tables: Sequence[ReportTable], gallery: Gallery) -> list[ImageGrid]:
    """Return one grid per task, with every method."""
    grids = []
    for title, methods in methods_by_task(tables).items():
        grid = gallery.grid(title, methods)
        if grid.rows:
            grids.append(grid)
    return grids


def ablations(tables: Sequence[ReportTable], run: Results, gallery: Gallery) -> list[Ablation]:
    """Return every table that varies one setting, as plots and as pictures."""
    found = []
    for table in tables:
        setting = varied_setting(table)
        if not setting:
            continue
        plots = _ablation_plots(table, setting, run)
        grids = []
        for i, group in enumerate(table.groups):
            grid = gallery.grid(group.title, list(table.methods_of(i).items()), pictures=2)
            if grid.rows:
                grids.append(grid)
        if plots or grids:
            found.append(Ablation(table, setting, plots, grids))
    return found


def _ablation_plots(table: ReportTable, setting: str, run: Results) -> list[Plot]:
    """Return a plot per metric: a line per task, over the values of the setting."""
    lines_of: dict[str, dict[str, dict[float, Estimate]]] = {}
    for group in table.groups:
        for metric in group.metrics:
            lines_of.setdefault(metric, {})
    for i, group in enumerate(table.groups):
        methods = table.methods_of(i)
        comparable = _by_id(on_common_images(list(methods.values())))
        for label, method in methods.items():
            if method.id not in comparable:
                continue
            at = float(table.settings[label][setting])
            for metric in group.metrics:
                shared = comparable[method.id]
                found = value(shared, shared.selections[0], metric, run)
                if isinstance(found, Estimate):  # else it is the reason why there is none
                    lines_of[metric].setdefault(group.title, {})[at] = found
    plots = []
    for metric, lines in lines_of.items():
        column = METRICS[metric]
        # A line of one point shows nothing.
        if column.lower is not None and any(len(line) > 1 for line in lines.values()):
            name = f"{table.name} {metric}"
            plots.append(curves(name, column.title, setting, column.title, column.lower, lines))
    return plots


def _by_id(methods: Sequence[MethodResults]) -> dict[str, MethodResults]:
    return {method.id: method for method in methods}


def costs(tables: Sequence[ReportTable], run: Results) -> list[Plot]:
    """Return quality against seconds per image, one plot per task with two methods or more."""
    plots = []
    for title, methods in methods_by_task(tables).items():
        comparable = _by_id(on_common_images([method for _, method in methods]))
        # LPIPS is the paper's measure of quality; others stand in where it was not computed.
        for metric in ("LPIPS", "distance", "PSNR"):
            points = []
            for label, method in methods:
                if method.id not in comparable:
                    continue
                shared = comparable[method.id]
                seconds = value(shared, shared.selections[0], "time_s_per_img", run)
                quality = value(shared, shared.selections[0], metric, run)
                if isinstance(seconds, str) or isinstance(quality, str):
                    continue  # the reason why it is not known
                if seconds.value > 0:
                    points.append(Point(label, seconds.value, quality))
            if len(points) > 1:
                column = METRICS[metric]
                lower = bool(column.lower)
                front = pareto([(p.seconds, p.quality.value) for p in points], lower)
                plots.append(
                    scatter(f"cost {title} {metric}", title, column.title, lower, points, front)
                )
                break
    return plots


def evolution(tables: Sequence[ReportTable], gallery: Gallery) -> list[ImageGrid]:
    """Return the recorded steps of runs, of the first picture of each task."""
    grids = []
    for title, methods in methods_by_task(tables).items():
        rows: list[ImageRow] = []
        for label, method in methods:
            for row in method.finished:
                if row.get("frames"):
                    rows += gallery.steps(label, row)
                    break
        if rows:
            grids.append(ImageGrid(title, tuple(rows)))
    return grids


def sample_scores(tables: Sequence[ReportTable], run: Results) -> list[SampleScores]:
    """Return the scores of every method with several seeds.

    They are those of one sample and of the mean of all, and the distances between samples.
    """
    found = []
    for title, methods in methods_by_task(tables).items():
        for label, method in methods:
            records = sample_records_of(method, run)
            psnr = value(method, "each", "PSNR", run)
            ssim = value(method, "each", "SSIM", run)
            if not records or isinstance(psnr, str):
                continue
            psnr_of_means, ssim_of_means = [], []
            for record in records:
                psnr_of_mean = psnr_of(record, "psnr_of_mean")
                if psnr_of_mean is not None:
                    psnr_of_means.append(psnr_of_mean)
                if record["ssim_of_mean"] is not None:
                    ssim_of_means.append(record["ssim_of_mean"])
            scores = SampleScores(
                label=label,
                task=title,
                count=max(record["samples"] for record in records),
                images=len(records),
                psnr=psnr,
                psnr_of_mean=estimate(psnr_of_means),
                ssim=None if isinstance(ssim, str) else ssim,
                ssim_of_mean=estimate(ssim_of_means) if ssim_of_means else None,
                pairwise=estimate([record["pairwise"] for record in records]),
                std=estimate([record["std"] for record in records]),
            )
            found.append(scores)
    return found


def diversity(tables: Sequence[ReportTable], gallery: Gallery) -> list[ImageGrid]:
    """Return all samples of the first picture of each task, side by side."""
    grids = []
    for title, methods in methods_by_task(tables).items():
        several = [(label, method) for label, method in methods if len(method.seeds) > 1]
        if not several:
            continue
        image = several[0][1].images[0]
        rows = []
        for label, method in several:
            if image in method.by_image:
                rows.append(gallery.samples(label, method, image))
        grids.append(ImageGrid(title, tuple(rows)))
    return grids


def failures(run: Results) -> list[dict[str, Any]]:
    """Return every restoration that failed or ran out of time, equal errors of one method together,
    the most frequent first.
    """
    names = ("task", "noise", "method", "status", "error")
    count: Counter[tuple[str, ...]] = Counter()
    example: dict[tuple[str, ...], str] = {}
    for row in run.rows:
        if row["status"] == "ok":
            continue
        cell = row["cell"]
        method = cell["group"] or cell["solver"]
        error = str(row.get("error"))
        kind: tuple[str, ...] = (cell["task"], cell["noise"], method, row["status"], error)
        count[kind] += 1
        example.setdefault(kind, row["key"])
    found = []
    for kind, number in count.most_common():
        record = dict(zip(names, kind, strict=True))
        found.append(record | {"count": number, "key": example[kind]})
    return found


def not_run(tables: Sequence[ReportTable]) -> list[dict[str, str]]:
    """Return the methods that could not be run, with the reason; one record per reason and task."""
    found: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        for row in table.rows:
            for (i, _), cell in row.cells.items():
                if cell.reason and (row.label, i) not in table.methods:
                    found.setdefault((table.groups[i].title, cell.reason), []).append(row.label)
    records = []
    for (task, reason), labels in found.items():
        methods = ", ".join(dict.fromkeys(labels))
        records.append({"task": task, "reason": reason, "methods": methods})
    return records
