"""Sections of the report beside its tables: pictures, ablations, cost, samples, and what went
wrong.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..results import Variant, shared
from ..run.collect import Gathered
from .gallery import Album, Grid, Strip
from .layout import Table
from .metrics import METRICS, seeds_of, value
from .plots import Plot, Point, curves, pareto, scatter
from .statistics import Estimate, estimate


@dataclass(frozen=True)
class Samples:
    """One method's samples of the same pictures: as they are, and their mean."""

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


def swept(table: Table) -> str:
    """The setting in which the methods of a table differ, if they are one solver with one number
    each; else "".
    """
    methods = list(table.settings.values())
    names = {tuple(name for name in method if name != "solver") for method in methods}
    if len(methods) < 2 or len({m["solver"] for m in methods}) > 1 or len(names) > 1:
        return ""
    varied = [n for n in names.pop() if len({str(m[n]) for m in methods}) > 1]
    one = varied[0] if len(varied) == 1 else ""
    return one if one and all(isinstance(m[one], int | float) for m in methods) else ""


def methods_by_task(tables: Sequence[Table]) -> dict[str, list[tuple[str, Variant]]]:
    """The methods that were tried on each task, each once; by the title of the task."""
    found: dict[tuple[str, str], dict[str, tuple[str, Variant]]] = {}
    titles: dict[tuple[str, str], str] = {}
    for table in tables:
        if not swept(table):
            for (label, i), member in table.variants.items():
                where = table.heads[i].task, table.heads[i].noise
                titles.setdefault(where, table.heads[i].title)
                found.setdefault(where, {}).setdefault(member.id, (label, member))
    return {titles[where]: list(members.values()) for where, members in found.items()}


def pictures(tables: Sequence[Table], album: Album) -> list[Grid]:
    """One grid per task, with every method."""
    found = [album.grid(title, methods) for title, methods in methods_by_task(tables).items()]
    return [grid for grid in found if grid.strips]


def ablations(
    tables: Sequence[Table], run: Gathered, album: Album
) -> list[tuple[Table, str, list[Plot], list[Grid]]]:
    """Every table that varies one setting, as plots of its metrics and as pictures."""
    found = []
    for table in tables:
        setting = swept(table)
        if not setting:
            continue
        plots = []
        metrics = dict.fromkeys(metric for head in table.heads for metric in head.metrics)
        comparable = _comparable(table)
        for metric in metrics:
            lines: dict[str, dict[float, Estimate]] = {}
            for (label, i), member in comparable.items():
                got = (
                    value(member, member.selections[0], metric, run)
                    if metric in table.heads[i].metrics
                    else ""
                )
                if isinstance(got, Estimate):
                    lines.setdefault(table.heads[i].title, {})[
                        float(table.settings[label][setting])
                    ] = got
            what = METRICS[metric]
            if any(len(line) > 1 for line in lines.values()) and what.lower is not None:
                plots.append(
                    curves(
                        f"{table.name} {metric}", what.title, setting, what.title, what.lower, lines
                    )
                )
        grids = []
        for i, head in enumerate(table.heads):
            members = [(label, member) for (label, j), member in table.variants.items() if j == i]
            if members:
                grids.append(album.grid(head.title, members, pictures=2))
        grids = [grid for grid in grids if grid.strips]
        if plots or grids:
            found.append((table, setting, plots, grids))
    return found


def _comparable(table: Table) -> dict[tuple[str, int], Variant]:
    """The methods of each task on the pictures that all of them have finished."""
    found: dict[tuple[str, int], Variant] = {}
    for i in range(len(table.heads)):
        members = {label: member for (label, j), member in table.variants.items() if j == i}
        kept = {member.id: member for member in shared(list(members.values()))}
        found |= {
            (label, i): kept[member.id] for label, member in members.items() if member.id in kept
        }
    return found


def costs(tables: Sequence[Table], run: Gathered) -> list[Plot]:
    """Quality against seconds per image, one plot per task with two methods or more."""
    found = []
    for title, methods in methods_by_task(tables).items():
        kept = {member.id: member for member in shared([member for _, member in methods])}
        for metric in ("LPIPS", "PSNR"):
            points = []
            for label, member in (
                (label, kept[member.id]) for label, member in methods if member.id in kept
            ):
                seconds, quality = (
                    value(member, member.selections[0], m, run) for m in ("time_s_per_img", metric)
                )
                if (
                    isinstance(seconds, Estimate)
                    and isinstance(quality, Estimate)
                    and seconds.value > 0
                ):
                    points.append(Point(label, seconds.value, quality))
            if len(points) > 1:
                lower = bool(METRICS[metric].lower)
                front = pareto([(p.seconds, p.quality.value) for p in points], lower)
                marked = [
                    Point(p.label, p.seconds, p.quality, on)
                    for p, on in zip(points, front, strict=True)
                ]
                found.append(
                    scatter(f"cost {title} {metric}", title, METRICS[metric].title, lower, marked)
                )
                break
    return found


def evolution(tables: Sequence[Table], album: Album) -> list[Grid]:
    """The course of runs of which frames were kept, the first picture of each task."""
    found = []
    for title, methods in methods_by_task(tables).items():
        strips: list[Strip] = []
        for label, member in methods:
            row = next((row for row in member.finished if row.get("frames")), None)
            if row is not None:
                strips += album.course(label, row)
        if strips:
            found.append(Grid(title, tuple(strips)))
    return found


def samples(tables: Sequence[Table], run: Gathered) -> list[Samples]:
    """Of every method with several seeds: the scores of one sample, of the mean of all, and how far
    apart they are.
    """
    found = []
    for title, methods in methods_by_task(tables).items():
        for label, member in methods:
            records = seeds_of(member, run)
            one = value(member, "each", "PSNR", run)
            if not records or not isinstance(one, Estimate):
                continue
            ssim = value(member, "each", "SSIM", run)
            means = [r["ssim_of_mean"] for r in records if r["ssim_of_mean"] is not None]
            found.append(
                Samples(
                    label,
                    title,
                    max(r["samples"] for r in records),
                    len(records),
                    one,
                    estimate([r["psnr_of_mean"] for r in records]),
                    ssim if isinstance(ssim, Estimate) else None,
                    estimate(means) if means else None,
                    estimate([r["pairwise"] for r in records]),
                    estimate([r["std"] for r in records]),
                )
            )
    return found


def diversity(tables: Sequence[Table], album: Album) -> list[Grid]:
    """All samples of the first pictures, side by side."""
    found = []
    for title, methods in methods_by_task(tables).items():
        several = [(label, member) for label, member in methods if len(member.seeds) > 1]
        for image in several[0][1].images[:1] if several else []:
            strips = [
                album.samples(label, member, image)
                for label, member in several
                if image in member.by_image
            ]
            found.append(Grid(title, tuple(strips)))
    return found


def failures(run: Gathered) -> list[dict[str, Any]]:
    """Every cell that failed or ran out of time, equal errors of one method together."""
    count: Counter[tuple[str, ...]] = Counter()
    example: dict[tuple[str, ...], str] = {}
    for row in run.rows:
        if row["status"] != "ok":
            cell = row["cell"]
            what = (
                cell["task"],
                cell["noise"],
                cell["group"] or cell["solver"],
                row["status"],
                str(row.get("error")),
            )
            count[what] += 1
            example.setdefault(what, row["key"])
    names = ("task", "noise", "method", "status", "error")
    return [
        dict(zip(names, what, strict=True)) | {"cells": n, "key": example[what]}
        for what, n in count.most_common()
    ]


def missing(tables: Sequence[Table]) -> Iterator[dict[str, Any]]:
    """Methods that could not be run, with the reason; one per reason and task."""
    found: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        for line in table.lines:
            for (i, _), entry in line.entries.items():
                if entry.reason and (line.label, i) not in table.variants:
                    found.setdefault((table.heads[i].title, entry.reason), []).append(line.label)
    for (task, reason), labels in found.items():
        yield {"task": task, "reason": reason, "methods": ", ".join(dict.fromkeys(labels))}
