"""Results of a study as lines of a CSV file: dataclasses of texts and numbers."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def read(file: Path, kind: type[T]) -> list[T]:
    """Return the rows of a file; none if it is not there."""
    if not file.exists():
        return []
    kinds: dict[str, Any] = {f.name: f.type for f in fields(kind)}  # type: ignore[arg-type]
    with file.open(newline="") as opened:
        return [
            kind(**{k: kinds[k](v) for k, v in line.items()}) for line in csv.DictReader(opened)
        ]


def write(file: Path, kind: type, rows: Iterable[Any]) -> None:
    """Write all rows."""
    with file.open("w", newline="") as opened:
        out = csv.DictWriter(opened, [f.name for f in fields(kind)], lineterminator="\n")
        out.writeheader()
        out.writerows(asdict(row) for row in rows)
