"""Results of a benchmark in memory: the rows of one or several run folders with their scores,
sorted into methods, and the choice among several seeds.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from .records import Row, picture_path, variant_of

#: Result of several seeds of one picture: the mean of their scores; the seed of highest PSNR, which
#: has seen the truth; the seed whose residual of y is smallest.
Selection = Literal["each", "oracle", "residual"]

#: Tasks of which the best of several seeds is reported (`tasks.md` of the paper: "the best results
#: under four seeds").
BEST_OF_SEEDS = ("phase",)

#: dB that a PSNR counts at most. Equal pixels have an infinite PSNR, which no mean can hold and
#: JSON cannot write: it is null in a row. One grey level off in one pixel of a 256 x 256 picture is
#: 101 dB, so that the bound touches no other picture.
HIGHEST_PSNR = 100.0

#: Names of score files in `scores/`: per picture (one record per key), of sets of pictures, and of
#: the samples of one picture.
PER_PICTURE_FILES = ("pixels", "lpips", "classes")
SETS_FILE, SEEDS_FILE = "sets.json", "seeds.jsonl"
#: What a record of the samples of one picture holds, and of which types.
KINDS_OF_SAMPLES: dict[str, Any] = {
    "id": str, "variant": str, "keys": list, "samples": int, "pairwise": int | float,
    "std": int | float, "psnr_of_mean": int | float | None, "ssim_of_mean": int | float | None,
}  # fmt: skip


@dataclass(frozen=True)
class Results:
    """Rows of runs, with their scores.

    Args:
        rows: one per key, sorted by key; scores of their pictures are merged in.
        folders: folder of each key's row.
        configs: config of each folder.
        sets: scores of whole sets, and metrics that are missing with their reason.
        seeds: scores of several samples of one picture, one record per picture and method.
    """

    rows: list[Row]
    folders: dict[str, Path]
    configs: dict[Path, dict[str, Any]]
    sets: list[dict[str, Any]] = field(default_factory=list)
    seeds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def comparable(self) -> bool:
        """False if prior or pictures of a run are those of the package, and not the paper's."""
        for config in self.configs.values():
            shipped = config.get("shipped", {})
            if shipped.get("prior") or shipped.get("data"):
                return False
        return True

    def picture(self, row: Mapping[str, Any], which: str = "picture") -> Path | None:
        """Return the file of a row's picture, or None if the row names none or it is gone."""
        name = row.get(which)
        return self.file(row["key"], name) if isinstance(name, str) else None

    def file(self, key: str, name: str) -> Path | None:
        """Return a file that the row of a key names, or None if it is gone."""
        path = picture_path(self.folders[key], name)
        return path if path.is_file() else None


@dataclass(frozen=True)
class MethodResults:
    """Rows of one method on one task: they differ in picture and seed only.

    Args:
        id: ``RunTask.variant``.
        rows: rows of every status.
    """

    id: str
    rows: tuple[Row, ...]

    @property
    def cell(self) -> Mapping[str, Any]:
        """Run task of the first row, for the fields that all rows share."""
        return self.rows[0]["cell"]

    @cached_property
    def finished(self) -> tuple[Row, ...]:
        """Rows that succeeded."""
        return tuple(row for row in self.rows if row["status"] == "ok")

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Hashes of the pictures that were tried, sorted."""
        return tuple(sorted({row["cell"]["image_sha256"] for row in self.rows}))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that were tried, sorted."""
        return tuple(sorted({row["cell"]["seed"] for row in self.rows}))

    @property
    def failed(self) -> int:
        """Number of restorations that failed or ran out of time."""
        return len(self.rows) - len(self.finished)

    @property
    def selections(self) -> tuple[Selection, ...]:
        """Selections among the seeds that are reported; the first is the paper's."""
        if self.cell["task"] in BEST_OF_SEEDS and len(self.seeds) > 1:
            return ("oracle", "residual", "each")
        return ("each",)

    @cached_property
    def by_image(self) -> dict[str, list[Row]]:
        """Finished rows of each picture, in the order of the seeds."""

        def image_and_seed(row: Row) -> tuple[str, int]:
            return row["cell"]["image_sha256"], row["cell"]["seed"]

        found: dict[str, list[Row]] = {}
        for row in sorted(self.finished, key=image_and_seed):
            found.setdefault(row["cell"]["image_sha256"], []).append(row)
        return found

    def selected(self, selection: Selection) -> dict[str, list[Row]]:
        """Return the rows that count for each picture: all seeds, or the chosen one.

        One seed is chosen for all metrics alike; of equally good ones the first. Pictures none of
        whose rows has the score to choose by are left out.
        """
        if selection == "each":
            return self.by_image
        chosen: dict[str, list[Row]] = {}
        for image, rows in self.by_image.items():
            best: Row | None = None
            for row in rows:  # in the order of the seeds, so that the first of equals stays
                if _badness(row, selection) < _badness(best, selection):
                    best = row
            if best is not None:
                chosen[image] = [best]
        return chosen


def _badness(row: Row | None, selection: Selection) -> float:
    """Return the number by which a selection compares rows.

    Smaller is better. A row without the score gets infinity. A perfect PSNR, which is minus
    infinity here, is better than any other.
    """
    if row is None:
        return math.inf
    if selection == "residual":
        residual = row.get("residual")
        return math.inf if residual is None else float(residual)
    if psnr_of(row) is None:
        return math.inf
    # Not `psnr_of`, whose bound would make a perfect seed and one of 120 dB equally good.
    return -math.inf if row["psnr"] is None else -float(row["psnr"])


def psnr_of(row: Mapping[str, Any], field: str = "psnr") -> float | None:
    """Return the PSNR of a row in dB, at most `HIGHEST_PSNR`; None if it has none.

    Every restoration that succeeds is given its PSNR, so that null in such a row stands for the
    infinity that JSON lacks: equal pixels.

    Args:
        row: a row, or a record of several samples.
        field: the field that holds the PSNR.
    """
    if row.get("status", "ok") != "ok" or field not in row:
        return None
    if row[field] is None:
        return HIGHEST_PSNR
    return min(float(row[field]), HIGHEST_PSNR)


def group_by_method(rows: Iterable[Row]) -> list[MethodResults]:
    """Sort rows into methods, in the order of their first rows."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.get("variant") or variant_of(row["cell"]), []).append(row)

    def order(row: Row) -> tuple[Any, ...]:
        cell = row["cell"]
        return cell.get("index", 0), cell["image_sha256"], cell["seed"], row["key"]

    groups = []
    for id, members in found.items():
        groups.append(MethodResults(id, tuple(sorted(members, key=order))))
    return groups


def on_common_images(methods: Sequence[MethodResults]) -> list[MethodResults]:
    """Return the same methods with only those pictures that all of them have finished.

    Numbers over different pictures cannot be compared. A method without any is left out.
    """
    if not methods:
        return []
    common = set(methods[0].by_image)
    for method in methods[1:]:
        common &= set(method.by_image)
    kept = []
    for method in methods:
        rows = tuple(row for row in method.rows if row["cell"]["image_sha256"] in common)
        if rows:
            kept.append(MethodResults(method.id, rows))
    return kept


def digest(keys: Iterable[str]) -> str:
    """Return a name for a set of results.

    The scores of a set hold for that set and for no other.
    """
    return sha256(" ".join(sorted(keys)).encode()).hexdigest()[:12]


# ---- files of scores ----------------------------------------------------------------------------


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a JSON Lines file; none if it is not there.

    Raises:
        ValueError: naming the file, for a line that holds no record.
    """
    if not path.is_file():
        return []
    records = []
    for line in path.read_bytes().split(b"\n"):
        if not line:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise damaged(path, str(error)) from None
        if not isinstance(record, dict):
            raise damaged(path, "a line that holds no object")
        records.append(record)
    return records


def read_sets(path: Path) -> list[dict[str, Any]]:
    """Return the scores of sets of pictures; none if the file is not there.

    Raises:
        ValueError: naming the file, if it holds none.
    """
    if not path.is_file():
        return []
    try:
        records = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from None
    if not isinstance(records, list):
        raise damaged(path, "no list")
    for record in records:
        if not isinstance(record, dict):
            raise damaged(path, "a score that is no object")
        needed: dict[str, Any] = {"metric": str, "status": str}
        if "variant" in record:
            needed["of"] = str
        if record.get("status") == "ok":
            needed |= {"value": int | float, "n": int}
        else:
            needed["reason"] = str
        for name, kind in needed.items():
            if not isinstance(record.get(name), kind):
                raise damaged(path, f"a score without {name}")
    return records


def damaged(path: Path, what: str) -> ValueError:
    """Return the error about a file of scores."""
    return ValueError(
        f"{path} is damaged ({what.splitlines()[0]}). Delete it, and score again: hrdis bench "
        f"score {path.parent.parent}"
    )
