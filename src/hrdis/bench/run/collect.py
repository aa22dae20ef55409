"""What one or several run folders hold, as one: rows, scores computed from their pictures, and
where these lie.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..rows import Row, comparable
from .store import Store

#: Scores per picture, kept beside the rows: the file's name is the name of the group of columns.
PER_PICTURE = ("pixels", "lpips", "classes")
SETS, SEEDS = "sets.json", "seeds.jsonl"


@dataclass(frozen=True)
class Gathered:
    """Rows of runs, with their scores.

    Args:
        rows: one per key, sorted by key; scores of their pictures are merged in.
        folders: where each key's row comes from.
        configs: of each folder.
        sets: scores of whole sets, and metrics that are missing with their reason.
        seeds: what several samples of one picture show together, one record per picture and method.
    """

    rows: list[Row]
    folders: dict[str, Path]
    configs: dict[Path, dict[str, Any]]
    sets: list[dict[str, Any]] = field(default_factory=list)
    seeds: list[dict[str, Any]] = field(default_factory=list)

    def picture(self, row: Mapping[str, Any], which: str = "picture") -> Path | None:
        """The file of a row's picture, or None if the row names none or it is gone."""
        name = row.get(which)
        return self.file(row["key"], name) if isinstance(name, str) else None

    def file(self, key: str, name: str) -> Path | None:
        """A file that the row of a key names."""
        path = Store(self.folders[key], {}).path(name)
        return path if path.is_file() else None


def gather(folders: Sequence[str | Path], scores: Iterable[str | Path] = ()) -> Gathered:
    """Read run folders as one: a key that several have counts once, and one that succeeded goes
    first.

    Args:
        folders: of runs, of one plan or of several.
        scores: further folders that hold scores of these rows.

    Raises:
        ValueError: for no folder, one that is no run, or a key whose rows disagree.
    """
    if not folders:
        raise ValueError(
            "No folder to read. One or more run folders are expected: hrdis bench report RUN"
        )
    stores = [Store.open(folder) for folder in unique_paths(folders)]
    rows: dict[str, Row] = {}
    home: dict[str, Path] = {}
    for store in stores:
        for row in store.rows():
            key, other = row["key"], rows.get(row["key"])
            if other is not None and row["status"] == other["status"] == "ok":
                _refuse_conflict(row, other, store.folder, home[key])
            if other is None or (other["status"] != "ok" and row["status"] == "ok"):
                rows[key], home[key] = row, store.folder
    sets, seeds = _add_scores(rows, unique_paths([*(s.folder for s in stores), *scores]))
    return Gathered(
        [rows[key] for key in sorted(rows)],
        home,
        {s.folder: s.config for s in stores},
        sets,
        list(seeds.values()),
    )


def unique_paths(folders: Iterable[str | Path]) -> list[Path]:
    """Each folder once, in order."""
    return list(dict.fromkeys(Path(folder) for folder in folders))


def _refuse_conflict(row: Row, other: Row, here: Path, there: Path) -> None:
    one, two = comparable(row), comparable(other)
    for name in ("psnr", "ssim"):
        if one.get(name) != two.get(name):
            raise ValueError(
                f"The cell {row['key']} has {name} {one.get(name)} in {here} and {two.get(name)} "
                f"in {there}. One result per cell is expected. Leave one of the two folders out."
            )


def _add_scores(
    rows: dict[str, Row], folders: Sequence[Path]
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Merge the scores of pictures into the rows; return those of sets and of seeds."""
    sets: list[dict[str, Any]] = []
    seeds: dict[str, dict[str, Any]] = {}
    for folder in folders:
        for name in PER_PICTURE:
            for record in read_lines(folder / "scores" / f"{name}.jsonl"):
                if record.get("key") in rows:
                    rows[record["key"]] = rows[record["key"]] | record
        for record in read_lines(folder / "scores" / SEEDS):
            if set(record["keys"]) <= set(rows):
                seeds[record["id"]] = record
        path = folder / "scores" / SETS
        if path.is_file():
            sets += json.loads(path.read_text(encoding="utf-8"))
    return sets, seeds


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON Lines file; none if it is not there."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
