"""Collecting the rows and scores of one or several run folders as one set of results."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

from ..records import Row, check_row, comparable, wrong_field
from ..results import (
    KINDS_OF_SAMPLES,
    PER_PICTURE_FILES,
    SEEDS_FILE,
    SETS_FILE,
    Results,
    damaged,
    read_lines,
    read_sets,
)
from .folder import CONFIG
from .store import Store


def collect(folders: Sequence[str | Path], scores: Iterable[str | Path] = ()) -> Results:
    """Read several run folders as one set of results.

    A key that several folders have counts once, and a row that succeeded goes before one that
    failed.

    Args:
        folders: run folders, of one plan or of several.
        scores: further folders that hold scores of these rows.

    Raises:
        ValueError: for no folder, a folder that is not a run folder, or a key whose rows disagree.
    """
    if not folders:
        raise ValueError(
            "No folder to read. One or more run folders are expected: hrdis bench report RUN"
        )
    stores = [Store.open(folder) for folder in unique_paths(folders)]
    rows: dict[str, Row] = {}
    home: dict[str, Path] = {}
    for store in stores:
        wrong = wrong_part(store.config)
        if wrong:
            raise ValueError(
                f"{store.folder / CONFIG}: {wrong} is something else than a run writes. It was "
                "changed by hand: restore it."
            )
        for row in store.rows():
            check_row(row, store.folder)
            key, other = row["key"], rows.get(row["key"])
            if other is not None and row["status"] == other["status"] == "ok":
                _refuse_conflict(row, other, store.folder, home[key])
            # A failure on one machine may have succeeded on another.
            if other is None or (other["status"] != "ok" and row["status"] == "ok"):
                rows[key], home[key] = row, store.folder
    own = [store.folder for store in stores]
    sets, seeds = _add_scores(rows, unique_paths([*own, *scores]))
    configs = {store.folder: store.config for store in stores}
    return Results([rows[key] for key in sorted(rows)], home, configs, sets, seeds)


#: Parts of a config that a report reads, and the fields of the parts of its tables.
PARTS = {"tables": list, "missing": list, "settings": list, "images": list, "prior": dict,
         "options": dict, "provenance": dict, "shipped": dict, "title": str,
         "cells": int}  # fmt: skip
#: What Table 5 has of our own settings.
SETTING = {"task": str, "parameter": str, "value": int | float}
TABLE = {"name": str, "caption": str, "rows": list, "columns": list, "entries": list}
FIELDS: dict[str, dict[str, type]] = {
    "rows": {"label": str, "solver": str, "settings": dict},
    "columns": {"dataset": str, "name": str, "task": str, "noise": str, "metrics": list},
    "entries": {"row": str, "dataset": str, "column": str},
}  # fmt: skip


def wrong_part(config: Mapping[str, Any]) -> str:
    """Return the name of a part of a config that is no such part, "" if there is none."""
    for name, kind in PARTS.items():
        if name in config and not isinstance(config[name], kind):
            return name
    if not all(_has(setting, SETTING) for setting in config.get("settings", [])):
        return "one of the settings"
    for table in config.get("tables", []):
        if not _has(table, TABLE):
            return "a table"
        for part, fields in FIELDS.items():
            for item in table[part]:
                if not _has(item, fields):
                    return f"one of the {part} of a table"
        for column in table["columns"]:
            if not all(isinstance(metric, str) for metric in column["metrics"]):
                return "a metric of a table"
        for entry in table["entries"]:
            if not all(isinstance(entry.get(name, ""), str) for name in ("variant", "missing")):
                return "one of the entries of a table"
    return ""


def _has(item: object, fields: Mapping[str, type | UnionType]) -> bool:
    """Return True for an object of JSON with all of these fields, of these kinds."""
    if not isinstance(item, dict):
        return False
    return all(isinstance(item.get(name), kind) for name, kind in fields.items())


def unique_paths(folders: Iterable[str | Path]) -> list[Path]:
    """Return each folder once, in order."""
    return list(dict.fromkeys(Path(folder) for folder in folders))


def _refuse_conflict(row: Row, other: Row, here: Path, there: Path) -> None:
    one, two = comparable(row), comparable(other)
    for name in ("psnr", "ssim"):
        if one.get(name) != two.get(name):
            raise ValueError(
                f"The restoration {row['key']} has {name} {one.get(name)} in {here} and "
                f"{two.get(name)} in {there}. One result per restoration is expected. Leave one of "
                "the two folders out."
            )


def _add_scores(
    rows: dict[str, Row], folders: Sequence[Path]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Merge the scores of pictures into the rows; return the scores of sets and of seeds."""
    sets: list[dict[str, Any]] = []
    seeds: dict[str, dict[str, Any]] = {}
    for folder in folders:
        for name in PER_PICTURE_FILES:
            path = folder / "scores" / f"{name}.jsonl"
            for record in read_lines(path):
                wrong = wrong_field(record)
                if wrong:
                    raise damaged(path, f"a score whose {wrong} is something else")
                # Scores of a report on several runs lie beside rows that are not read now.
                if record.get("key") in rows:
                    rows[record["key"]] = rows[record["key"]] | record
        path = folder / "scores" / SEEDS_FILE
        for record in read_lines(path):
            for name, kinds in KINDS_OF_SAMPLES.items():
                if not isinstance(record.get(name), kinds):
                    raise damaged(path, f"a record without {name}")
            if set(map(str, record["keys"])) <= set(rows):
                seeds[record["id"]] = record
        sets += read_sets(folder / "scores" / SETS_FILE)
    return sets, list(seeds.values())
