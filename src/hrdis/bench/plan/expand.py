"""Expansion of tables to units of work, and to the config that describes them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from hashlib import sha256
from itertools import product
from typing import Any

from ...tasks import TASKS
from ..paper import FIGURE_NOTES, FIGURES, TABLE_NOTES, TABLES, Column, Method, PaperTable
from ..records import RunTask, Unit, settings_of
from .methods import PlanOptions, PriorIdentity, choose_settings, table_5
from .pictures import DataPicture
from .problems import NONLINEAR_BLUR, UNBATCHED_TASKS

#: Says what hinders a method on a task, "" if nothing does; see `FeasibilityCheck.why_not`.
WhyNot = Callable[[Column, Method, Any], str]

#: Most restorations of a run. They are listed before the first, 45 us each; those of all tables of
#: the paper, on its 1000 pictures, are 252 000.
MOST_RESTORATIONS = 400_000


@dataclass(frozen=True)
class Plan:
    """Units of work, and the config that describes them."""

    units: tuple[Unit, ...]
    config: dict[str, Any]

    @property
    def tasks(self) -> list[RunTask]:
        """All run tasks, in the order of the units."""
        tasks: list[RunTask] = []
        for unit in self.units:
            tasks += unit.tasks
        return tasks


def paper_tables(numbers: Iterable[int], figures: Iterable[int]) -> list[tuple[PaperTable, str]]:
    """Return tables and figures by number, each with a note on what the paper leaves open."""
    found = []
    for number in numbers:
        found.append((TABLES[number], TABLE_NOTES.get(number, "")))
    for number in figures:
        found.append((FIGURES[number], FIGURE_NOTES.get(number, "")))
    return found


def select_columns(
    table: PaperTable, tasks: Sequence[str], solvers: Sequence[str], dataset: str
) -> PaperTable:
    """Return a table with those columns and methods alone that are asked for; empty means all.

    Args:
        table: the table.
        tasks: names of tasks, ours or the paper's.
        solvers: names of solvers, or labels of methods.
        dataset: start of the data set's name in the paper, in small letters.
    """
    columns = []
    for column in table.columns:
        is_task = not tasks or column.task in tasks or column.name in tasks
        # A plan's columns are of no data set of the paper: they fit any pictures.
        is_data = not column.dataset or column.dataset.lower().startswith(dataset)
        if is_task and is_data:
            columns.append(column)
    methods = []
    for method in table.methods:
        if not solvers or method.solver in solvers or method.label in solvers:
            methods.append(method)
    return replace(table, columns=tuple(columns), methods=tuple(methods))


def expand(
    asked: Sequence[tuple[PaperTable, str]],
    pictures: Sequence[DataPicture],
    options: PlanOptions,
    prior: PriorIdentity,
    why_not: WhyNot,
    operator_sha256: str | None = None,
) -> Plan:
    """Make the run tasks of the tables, each once however many tables show it.

    Args:
        asked: tables, and a note on each.
        pictures: the pictures to restore.
        options: sizes, presets, seeds.
        prior: the prior.
        why_not: says what hinders a method on a task; such entries are left out, with this reason.
        operator_sha256: hash of the weights of the nonlinear blur.

    Raises:
        ValueError: if a table measures time and pictures are to be batched, settings are refused,
            or there are more restorations than `MOST_RESTORATIONS`.
    """
    names = [table.name for table, _ in asked]
    timed = any(table.timed for table, _ in asked)
    if options.batch > 1 and timed:
        raise ValueError(
            f"Table 3 times one picture at a time, but the batch is {options.batch}. Use --batch 1."
        )
    # By variant: a run task of the first picture, and the number of seeds.
    models: dict[str, RunTask] = {}
    seeds: dict[str, int] = {}
    shown, missing = [], []
    for table, note in asked:
        entries = []
        for column, method in product(table.columns, table.methods):
            entry: dict[str, Any] = {
                "row": method.label, "dataset": column.dataset, "column": column.name,
            }  # fmt: skip
            key, solver = choose_settings(column, method, options, prior)
            reason = why_not(column, method, solver)
            if reason:
                entries.append(entry | {"missing": reason})
                missing.append({"table": table.name, **entry, "reason": reason})
                continue
            model = replace(
                model_task(options, prior, pictures[0]),
                **pictures[0].fields(TASKS[column.task].mask),
                task=column.task,
                noise=column.noise,
                solver=method.solver,
                preset=key,
                settings=settings_of(solver),
                group=method.label,
                frames=table.frames,
                operator_sha256=operator_sha256 if column.task == NONLINEAR_BLUR else None,
            )
            count = max(column.seeds, options.seeds)
            # The labels of the first table stay; of frames and seeds all tables get enough.
            known = models.setdefault(model.variant, model)
            models[model.variant] = replace(known, frames=max(known.frames, table.frames))
            seeds[model.variant] = max(seeds.get(model.variant, 0), count)
            entries.append(entry | {"variant": model.variant, "preset": key, "seeds": count})
        shown.append(_described(table, note, entries))
    total = len(pictures) * sum(seeds.values())
    if total > MOST_RESTORATIONS:
        raise ValueError(
            f"{len(models)} methods on tasks, {len(pictures)} pictures and {options.seeds} seeds "
            f"are {total} restorations. At most {MOST_RESTORATIONS} are expected in one run. Ask "
            "for fewer, or for several runs."
        )
    # Keys of this record are a file format: run folders of hrdis 0.1 have them too.
    units = tuple(_units(models, seeds, pictures, options.batch))
    # In the form of hrdis 0.1 where run tasks are named by the weights, as they were then.
    tuned = "" if prior.presets is None else prior.presets.prior
    prior_record = {"name": prior.name, "sha256": prior.sha256, "presets": tuned}
    if prior.identity:
        prior_record["identity"] = prior.identity
    config = {
        "title": ", ".join(names),
        "tables": shown,
        "missing": missing,
        "settings": table_5() if "table 5" in names else [],
        "images": [picture.record() for picture in pictures],
        "prior": prior_record,
        "options": {option.name: getattr(options, option.name) for option in fields_of(options)},
        "operator_sha256": operator_sha256,
        "timed": timed,
        "cells": sum(len(unit.tasks) for unit in units),
        "units_sha256": sha256("".join(sorted(unit.key for unit in units)).encode()).hexdigest(),
    }
    return Plan(units, config)


def model_task(options: PlanOptions, prior: PriorIdentity, picture: DataPicture) -> RunTask:
    """Return a run task of a picture, from which those of a plan are made.

    Its task, noise and solver are examples.
    """
    return RunTask(
        **picture.fields(has_mask=False),
        size=options.size,
        crop=options.crop,
        task="sr4",
        noise="none",
        solver="hrdis",
        preset=None,
        settings={},
        prior=prior.name,
        prior_sha256=prior.identity or prior.sha256,
        precision=options.precision,
        seed=0,
    )


def _described(table: PaperTable, note: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    rows = []
    for method in table.methods:
        rows.append({"label": method.label, "solver": method.solver, "settings": method.settings})
    columns = []
    for column in table.columns:
        record: dict[str, Any] = {
            "dataset": column.dataset, "name": column.name, "task": column.task,
            "noise": column.noise, "metrics": [*column.metrics, *column.beside],
        }  # fmt: skip
        columns.append(record)
    return {
        "name": table.name, "caption": table.caption, "note": note, "rows": rows,
        "columns": columns, "entries": entries,
    }  # fmt: skip


def _units(
    models: dict[str, RunTask], seeds: dict[str, int], pictures: Sequence[DataPicture], batch: int
) -> Iterator[Unit]:
    """Yield units picture by picture, every method in turn, so that a run that is stopped early has
    compared all methods on the pictures it has done.
    """
    for start in range(0, len(pictures), batch):
        for variant, model in models.items():
            for seed in range(seeds[variant]):
                tasks = []
                for picture in pictures[start : start + batch]:
                    fields = picture.fields(TASKS[model.task].mask)
                    at_picture = replace(model, **fields, seed=seed)
                    tasks.append(at_picture)
                # One unit each: operators that differ cannot be stacked.
                if model.task in UNBATCHED_TASKS:
                    for run_task in tasks:
                        yield Unit(tasks=(run_task,))
                else:
                    yield Unit(tasks=tuple(tasks))
