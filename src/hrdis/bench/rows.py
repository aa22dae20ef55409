"""Rows: one per finished cell, one line of JSON each."""

import json
import math
from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]

PICTURES = ("images", "truth", "given")  #: the folders of a run that hold pictures
RANK = {"ok": 0, "failed": 1, "timeout": 2}  #: of two rows with one key the lower is kept


def comparable(row: Mapping[str, Any]) -> Row:
    """A row without what differs between two runs of the same: times, memory, and who did it."""
    return {
        k: v for k, v in row.items() if k != "worker" and "seconds" not in k and "memory" not in k
    }


def pictures(row: Mapping[str, Any]) -> list[str]:
    """The pictures a row names, relative to its folder."""
    values = [v for k, v in row.items() if k != "cell" for v in (v if isinstance(v, list) else [v])]
    return [
        v
        for v in values
        if isinstance(v, str) and v.startswith(tuple(f"{folder}/" for folder in PICTURES))
    ]


def parse(line: bytes) -> Row | None:
    """The row in a line; None if the line is damaged."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = (
        isinstance(row, dict)
        and isinstance(row.get("key"), str)
        and row.get("status") in tuple(RANK)
    )
    return row if whole else None


def rank(row: Row | None) -> int:
    return len(RANK) if row is None else RANK[row["status"]]


def plain(value: Any) -> Any:
    """As JSON has it: NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
