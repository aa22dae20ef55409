"""Merging run folders of one plan, such as the shards of several machines, into one folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ...images import open_image
from ..records import Row, picture_names, row_rank
from .store import Store


def merge(folders: Iterable[str | Path], into: str | Path) -> Store:
    """Bring the rows and pictures of runs of one plan into one folder; doing it again, or after a
    kill, does no harm.

    Args:
        folders: runs of one plan, e.g. its shards on several machines.
        into: a new folder, or one of the same plan.

    Raises:
        ValueError: before anything is copied, if a folder has another plan, or if a key has two
            different pictures.
    """
    sources = [Store.open(folder) for folder in folders]
    if not sources:
        raise ValueError(
            "No folders to merge. One or more run folders are expected: merge([RUN, ...], into=ALL)"
        )
    for source in sources:
        sources[0].refuse_other_plan(source.config)
    target = Store.create(into, sources[0].config)
    with target.at_work():
        # All rows are compared before the first is copied, so that a conflict changes nothing.
        chosen: dict[str, tuple[Store, Row]] = {}
        for source in (target, *sources):
            for row in source.rows():
                if source.missing_pictures(row):  # not finished there
                    continue
                store, other = chosen.setdefault(row["key"], (source, row))
                if row["status"] == other["status"] == "ok":
                    _refuse_different_pictures(row["key"], source, row, store, other)
                if row_rank(row) < row_rank(other):
                    chosen[row["key"]] = source, row
        for source, row in chosen.values():
            if source is not target:
                for name in picture_names(row):
                    target.write_picture_bytes(name, source.path(name).read_bytes())
                target.append(row)
    return target


def _refuse_different_pictures(
    key: str, store: Store, row: Row, other_store: Store, other: Row
) -> None:
    for name in {*picture_names(row)} & {*picture_names(other)}:
        one, two = store.path(name), other_store.path(name)
        if one.read_bytes() == two.read_bytes():
            continue
        # Another version of the encoder may have written the same pixels in other bytes.
        if not np.array_equal(pixels_of(one), pixels_of(two)):
            raise ValueError(
                f"The restoration {key} has two pictures: {one} and {two} differ. Runs of one plan "
                "on equal machines are expected to agree bit for bit. Leave one of the two folders "
                "out."
            )


def pixels_of(path: Path) -> np.ndarray[Any, Any]:
    """Return the pixels of a picture as its file holds them."""
    with open_image(path) as image:
        return np.asarray(image)
