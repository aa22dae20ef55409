"""What is to be done: the tables that were asked for, expanded to cells, and what of them cannot be
done and why.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

from ..paper import figures, tables
from ..paper.tables import Column, Method, Table
from ..records import Cell, Unit, settings_of
from .methods import Feasible, Network, Options, settle
from .pictures import Picture
from .problems import ALONE, NONLINEAR


@dataclass(frozen=True)
class Plan:
    """Units of work, and the config that describes them."""

    units: tuple[Unit, ...]
    config: dict[str, Any]

    @property
    def cells(self) -> list[Cell]:
        """All cells."""
        return [cell for unit in self.units for cell in unit.cells]


def wanted(numbers: Iterable[int], drawn: Iterable[int]) -> list[tuple[Table, str]]:
    """Tables and figures by number, each with what the paper leaves open."""
    return [(tables.TABLES[n], tables.NOTES.get(n, "")) for n in numbers] + [
        (figures.FIGURES[n], figures.NOTES.get(n, "")) for n in drawn
    ]


def narrowed(table: Table, tasks: Sequence[str], solvers: Sequence[str], dataset: str) -> Table:
    """Those columns and methods of a table that are asked for; empty means all."""
    columns = tuple(
        c for c in table.columns
        if (not tasks or c.task in tasks or c.name in tasks)
        and (not dataset or not c.dataset or c.dataset.lower().startswith(dataset))
    )  # fmt: skip
    methods = tuple(
        m for m in table.methods if not solvers or m.solver in solvers or m.label in solvers
    )
    return replace(table, columns=columns, methods=methods)


def expand(
    asked: Sequence[tuple[Table, str]],
    pictures: Sequence[Picture],
    options: Options,
    network: Network,
    feasible: Feasible,
    operator_sha256: str | None = None,
) -> Plan:
    """Make the cells of the tables, each once however many tables show it.

    Args:
        asked: tables, and a note on each.
        pictures: what to restore.
        options: sizes, presets, seeds.
        network: the prior.
        feasible: decides what is left out, with a reason that the report shows.
        operator_sha256: of the weights of the nonlinear blur.

    Raises:
        ValueError: if a table measures time and pictures are to be batched, or settings are
            refused.
    """
    if options.batch > 1 and any(table.timed for table, _ in asked):
        raise ValueError(
            f"Table 3 times one picture at a time, but the batch is {options.batch}. Use --batch 1."
        )
    if options.batch > 1 and any(table.timed for table, _ in asked):
        raise ValueError(
            f"Table 3 times one picture at a time, but the batch is {options.batch}. Use --batch 1."
        )
    models: dict[str, Cell] = {}
    seeds: dict[str, int] = {}
    shown = []
    for table, note in asked:
        entries = []
        for column, method in product(table.columns, table.methods):
            found = _entry(table, column, method, options, network, feasible, operator_sha256)
            if isinstance(found, Cell):
                count = max(column.seeds, options.seeds)
                old = models.setdefault(found.variant, found)
                models[found.variant] = replace(old, frames=max(old.frames, table.frames))
                seeds[found.variant] = max(seeds.get(found.variant, 0), count)
                entry = {"variant": found.variant, "preset": found.preset, "seeds": count}
            else:
                entry = {"missing": found}
            entries.append(
                {"row": method.label, "dataset": column.dataset, "column": column.name, **entry}
            )
        shown.append(_described(table, note, entries))
    units = tuple(_units(models, seeds, pictures, options.batch))
    return Plan(units, _config(asked, shown, pictures, options, network, operator_sha256, units))


def _entry(
    table: Table, column: Column, method: Method, options: Options, network: Network,
    feasible: Feasible,
    operator_sha256: str | None,
) -> Cell | str:  # fmt: skip
    """A cell of a table as it would be for the first picture, or the reason why there is none."""
    key, solver = settle(column, method, options, network)
    return feasible.why_not(column, method, solver) or replace(
        feasible.cell, task=column.task, noise=column.noise, solver=method.solver, preset=key,
        settings=settings_of(solver), group=method.label, frames=table.frames,
        operator_sha256=operator_sha256 if column.task == NONLINEAR else None,
    )  # fmt: skip


def _config(
    asked: Sequence[tuple[Table, str]], shown: list[dict[str, Any]], pictures: Sequence[Picture],
    options: Options,
    network: Network, operator_sha256: str | None, units: tuple[Unit, ...],
) -> dict[str, Any]:  # fmt: skip
    digest = sha256("".join(sorted(unit.key for unit in units)).encode()).hexdigest()
    names = ("row", "dataset", "column")
    return {
        "title": ", ".join(table.name for table, _ in asked),
        "tables": shown,
        "missing": [
            {"table": table["name"], **{name: e[name] for name in names}, "reason": e["missing"]}
            for table in shown
            for e in table["entries"]
            if "missing" in e
        ],
        "settings": tables.settings() if any(table.name == "table 5" for table, _ in asked) else [],
        "images": [picture.record() for picture in pictures],
        "prior": _prior(network),
        "options": {f.name: getattr(options, f.name) for f in fields(options)},
        "operator_sha256": operator_sha256,
        "timed": any(table.timed for table, _ in asked),
        "cells": sum(len(unit.cells) for unit in units),
        "units_sha256": digest,
    }


def _prior(network: Network) -> dict[str, Any]:
    """The prior in a config; as hrdis 0.1 wrote it where its cells are named by the weights, as
    they were then.
    """
    tuned = "" if network.presets is None else network.presets.prior
    known = {"name": network.name, "sha256": network.sha256, "presets": tuned}
    return known | {"identity": network.identity} if network.identity else known


def _described(table: Table, note: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": table.name, "caption": table.caption, "note": note,
        "rows": [{"label": m.label, "solver": m.solver,
        "settings": m.settings} for m in table.methods],
        "columns": [
            {"dataset": c.dataset, "name": c.name, "task": c.task, "noise": c.noise,
            "metrics": [*c.metrics, *c.beside]}
            for c in table.columns
        ],
        "entries": entries,
    }  # fmt: skip


def _units(
    models: dict[str, Cell], seeds: dict[str, int], pictures: Sequence[Picture], batch: int
) -> Iterator[Unit]:
    """Picture by picture, every method in turn, so that a run that is stopped has compared what it
    has done.
    """
    for i in range(0, len(pictures), batch):
        together = pictures[i : i + batch]
        for variant, model in models.items():
            for seed in range(seeds[variant]):
                cells = [
                    replace(model, image=p.name, image_sha256=p.sha256, index=p.index, seed=seed)
                    for p in together
                ]
                groups = [[cell] for cell in cells] if model.task in ALONE else [cells]
                yield from (Unit(cells=tuple(group)) for group in groups)


def model_cell(options: Options, network: Network, picture: Picture) -> Cell:
    """A cell of the first picture, from which those of a plan are made."""
    return Cell(
        image=picture.name, image_sha256=picture.sha256, index=picture.index, size=options.size,
        crop=options.crop,
        task="sr4", noise="none", solver="hrdis", preset=None, settings={}, prior=network.name,
        prior_sha256=network.identity or network.sha256, precision=options.precision, seed=0,
    )  # fmt: skip


def file_sha256(path: Path | None) -> str | None:
    """Of a file's content."""
    return None if path is None else sha256(path.read_bytes()).hexdigest()
