"""What is to be done: the tables that were asked for, expanded to cells, and what of them cannot be done and why."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from ..arguments import check
from ..operators.nonlinear_blur import BKSE
from ..priors.base import Prior
from ..schedule import Schedule
from ..solvers import SOLVERS, Solver
from ..solvers.base import settings
from . import figures, tables
from .cells import Cell, Unit, settings_of, variant_of
from .data import Picture
from .problems import ALL, ALONE, NONLINEAR, chosen, pose
from .tables import Column, Method, Table

Presets = Literal["auto", "paper", "default"]


@settings
class Options:
    """What a plan has beside its tables: everything that changes a number."""

    size: Annotated[int, Field(ge=0)] = 256
    """Scale and crop pictures to this side as the papers do; 0 takes them as they are."""
    crop: Annotated[int, Field(ge=0)] = 0
    """Use the centre of this side only; 0: all of it."""
    presets: Presets = "auto"
    """paper: the papers' settings, for the papers' networks; default: those for small priors; auto: what fits."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """What the network runs in."""
    seeds: Annotated[int, Field(ge=1)] = 1
    """Samples per picture, all of one measurement; phase retrieval takes at least 4."""
    batch: Annotated[int, Field(ge=1)] = 1
    """Pictures per network call."""
    dataset: str = ""
    """Which of the papers' data sets the pictures are (imagenet, ffhq, lol); others' columns are left out."""


@dataclass(frozen=True)
class Network:
    """The prior of a plan: its name for people, its hash, and whose presets fit."""

    name: str
    sha256: str
    presets: str
    schedule: Schedule


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
    methods = tuple(m for m in table.methods if not solvers or m.solver in solvers or m.label in solvers)
    return replace(table, columns=columns, methods=methods)


def settle(column: Column, method: Method, options: Options, network: Network) -> tuple[str | None, Solver]:
    """The settings of a method on a task: its preset, and what replaces it; the preset's key goes into the row."""
    prior = {"auto": network.presets, "paper": "", "default": "default"}[options.presets]
    presets = SOLVERS[method.solver][1]
    if method.preset is not None and method.preset not in presets:
        raise ValueError(f"{method.solver} has no preset {method.preset!r}. One of {', '.join(presets)} is expected.")
    key, solver = chosen(method.solver, column.task, column.noise, prior)
    if method.preset is not None:
        key, solver = method.preset, presets[method.preset]
    given = dict(method.settings)
    if "epsilon" in given:
        given |= _spaced(solver, given.pop("epsilon"), len(network.schedule))
    return key, replace(solver, **given)  # type: ignore[type-var]


def _spaced(solver: Solver, epsilon: float, length: int) -> dict[str, Any]:
    """Settings whose times are epsilon apart, on a scale where all times are 1."""
    names = {f.name for f in fields(solver)}  # type: ignore[arg-type]
    if not {"steps", "start"} <= names or not 0 < epsilon <= 1:
        raise ValueError(f"epsilon is {epsilon} for {type(solver).__name__}. A distance of times in (0, 1] is expected, "
                         "for a solver with steps and start.")  # fmt: skip
    start: int | None = solver.start  # type: ignore[attr-defined]
    steps = round(1 / epsilon) if start is None else round(start / (length * epsilon)) + 1
    steps = max(1, min(steps, length if start is None else start + 1))
    return {"steps": steps} | ({"grid": "uniform"} if "grid" in names else {})


class Feasible:
    """Which method can be run on which task, tried on the first picture; the reason where not, else empty."""

    def __init__(self, truth: Tensor, prior: Prior, blur: BKSE | None, cell: Cell):
        self.truth, self.prior, self.blur, self.cell = truth, prior, blur, cell

    def why_not(self, column: Column, method: Method, solver: Solver) -> str:
        """One sentence, or nothing."""
        if column.task == NONLINEAR and self.blur is None:
            return "no weights of the nonlinear blur were given: --bkse GOPRO_wVAE.pth"
        here = replace(self.cell, task=column.task, noise=column.noise, solver=method.solver)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(solver, self.prior, pose([here], self.truth, self.blur))
            solver.times(self.prior.schedule)
        except (ValueError, TypeError) as error:
            return str(error)
        return ""


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
        ValueError: if a table measures time and pictures are to be batched, or settings are refused.
    """
    if options.batch > 1 and any(table.timed for table, _ in asked):
        raise ValueError(f"Table 3 times one picture at a time, but the batch is {options.batch}. Use --batch 1.")
    models: dict[str, Cell] = {}
    seeds: dict[str, int] = {}
    shown, missing = [], []
    for table, note in asked:
        entries = []
        for column in table.columns:
            for method in table.methods:
                where = {"row": method.label, "dataset": column.dataset, "column": column.name}
                key, solver = settle(column, method, options, network)
                reason = feasible.why_not(column, method, solver)
                if reason:
                    entries.append({**where, "missing": reason})
                    missing.append({"table": table.name, **where, "reason": reason})
                    continue
                weights = operator_sha256 if column.task == NONLINEAR else None
                cell = replace(
                    feasible.cell, task=column.task, noise=column.noise, solver=method.solver, preset=key,
                    settings=settings_of(solver), group=method.label, frames=table.frames, operator_sha256=weights,
                )  # fmt: skip
                variant = variant_of(cell.record())
                old = models.setdefault(variant, cell)
                models[variant] = replace(old, frames=max(old.frames, table.frames))
                seeds[variant] = max(seeds.get(variant, 0), column.seeds, options.seeds)
                entries.append({**where, "variant": variant})
        shown.append(_described(table, note, entries))
    units = tuple(_units(models, seeds, pictures, options.batch))
    digest = sha256("".join(sorted(unit.key for unit in units)).encode()).hexdigest()
    config = {
        "title": ", ".join(table.name for table, _ in asked),
        "tables": shown,
        "missing": missing,
        "settings": tables.settings() if any(table.name == "table 5" for table, _ in asked) else [],
        "images": [picture.record() for picture in pictures],
        "prior": {"name": network.name, "sha256": network.sha256, "presets": network.presets},
        "options": {f.name: getattr(options, f.name) for f in fields(options)},  # type: ignore[arg-type]
        "operator_sha256": operator_sha256,
        "timed": any(table.timed for table, _ in asked),
        "cells": sum(len(unit.cells) for unit in units),
        "units_sha256": digest,
    }
    return Plan(units, config)


def _described(table: Table, note: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": table.name, "caption": table.caption, "note": note,
        "rows": [{"label": m.label, "solver": m.solver, "settings": m.settings} for m in table.methods],
        "columns": [
            {"dataset": c.dataset, "name": c.name, "task": c.task, "noise": c.noise, "metrics": list(c.metrics)}
            for c in table.columns
        ],
        "entries": entries,
    }  # fmt: skip


def _units(
    models: dict[str, Cell], seeds: dict[str, int], pictures: Sequence[Picture], batch: int
) -> Iterator[Unit]:
    """Picture by picture, every method in turn, so that a run that is stopped has compared what it has done."""
    for i in range(0, len(pictures), batch):
        together = pictures[i : i + batch]
        for variant, model in models.items():
            for seed in range(seeds[variant]):
                cells = [
                    replace(model, image=p.name, image_sha256=p.sha256, index=p.index, seed=seed) for p in together
                ]
                groups = [[cell] for cell in cells] if model.task in ALONE else [cells]
                yield from (Unit(cells=tuple(group)) for group in groups)


def model_cell(options: Options, network: Network, picture: Picture) -> Cell:
    """A cell of the first picture, from which those of a plan are made."""
    return Cell(
        image=picture.name, image_sha256=picture.sha256, index=picture.index, size=options.size, crop=options.crop,
        task="sr4", noise="none", solver="hrdis", preset=None, settings={}, prior=network.name,
        prior_sha256=network.sha256, precision=options.precision, seed=0,
    )  # fmt: skip


def file_sha256(path: Path | None) -> str | None:
    """Of a file's content."""
    return None if path is None else sha256(path.read_bytes()).hexdigest()


TASKS = tuple(ALL)
