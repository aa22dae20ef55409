"""The run folder: what was asked for, a line per finished cell, and its pictures; whole after a
kill at any moment.

    config.json                          the plan; a folder belongs to one plan
    results/<host>-<pid>-<random>.jsonl  one file per process, one line per cell: its row
    images/ truth/ given/                pictures: results, originals, measurements
    locks/                               who is at work

A row is appended, in one write, after its pictures are in place, and a picture is written beside
its place and renamed. So a kill leaves a line without its end, which is no row, a picture without a
row, which is made again, or a file that never got its name, which the next run removes. No process
ever appends to the file of another, and a cell's picture depends on the cell alone: two processes
that work on one cell write the same twice, and `Store.rows` returns it once.
"""

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ... import images
from ...images import open_image
from ..rows import PICTURES, RANK, Row, comparable, parse, pictures, plain, rank
from .folder import CONFIG, differences, read, strangers
from .locks import Shard, abandoned, at_work, locked
from .result_file import Results, durable, sync

__all__ = ["Store", "comparable", "merge"]

RESULTS = "results"


class Store:
    """A run folder, opened by `Store.create` or `Store.open`. Pickles as its path.

    Attributes:
        folder: its path.
        config: everything needed to rerun it, as it was when the folder was made.
    """

    folder: Path
    config: dict[str, Any]

    def __init__(self, folder: str | Path, config: dict[str, Any]):
        self.folder, self.config, self._mine = Path(folder), config, None

    _mine: "Results | None"

    def __reduce__(self) -> tuple[Any, ...]:
        return Store.open, (str(self.folder),)

    @classmethod
    def create(cls, folder: str | Path, config: Mapping[str, Any]) -> "Store":
        """Make a run folder, or continue one of the same plan.

        Args:
            folder: new, empty, or a run folder.
            config: the plan, as JSON; "provenance" may differ when a run is continued, and the
                first one stays.

        Raises:
            ValueError: if the folder holds another plan (naming what differs) or no run, or cannot
                be written.
        """
        folder, asked = Path(folder), json.loads(json.dumps(plain(config)))
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file. A folder for the run is expected: -o runs/mine")
        images.check_folder(folder)
        strange = strangers(folder) if folder.is_dir() else []
        if strange and not (folder / CONFIG).exists():
            raise ValueError(
                f"{folder} holds {strange[0]!r} and no {CONFIG}: it is no run folder. A new or "
                "empty folder, or one to continue, is expected: -o runs/mine"
            )
        with locked(folder / "locks" / "config"):
            if not (folder / CONFIG).exists():
                text = json.dumps(asked, indent=2, allow_nan=False) + "\n"
                images.write_atomically(folder / CONFIG, lambda file: durable(file, text.encode()))
        store = cls.open(folder)
        store.refuse_other_plan(asked)
        return store

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Open a run folder as it is.

        Raises:
            ValueError: if it is none.
        """
        return cls(folder, read(Path(folder)))

    def refuse_other_plan(self, config: Mapping[str, Any]) -> None:
        """Raise unless a config describes the plan of this folder.

        Raises:
            ValueError: naming the settings that differ.
        """
        changed = differences(self.config, config)
        if changed:
            more = f"; and {len(changed) - 4} more" if len(changed) > 4 else ""
            raise ValueError(
                f"{self.folder} holds another plan: {'; '.join(changed[:4])}{more}. One plan per "
                "folder is expected. Give another folder (-o), or the same settings to continue "
                "it."
            )

    @contextmanager
    def at_work(self, shard: Shard | None = None) -> Iterator[None]:
        """Around a run: refuse a second one, and remove the pictures that killed ones did not
        finish.

        Raises:
            ValueError: naming the process that is at work in this folder, or on this shard of it.
        """
        with at_work(self.folder, shard):
            self._sweep()
            yield

    def path(self, relative: str) -> Path:
        """Where a picture of a row lies.

        Raises:
            ValueError: for a path that leaves the folder (rows may come from elsewhere).
        """
        parts = Path(relative).parts
        if len(parts) < 2 or parts[0] not in PICTURES or ".." in parts:
            raise ValueError(
                f"{relative!r} is no picture of a run. images/NAME.png, truth/... or given/... is "
                "expected."
            )
        return self.folder / relative

    def rows(self) -> list[Row]:
        """All rows, sorted by key, one per key; lines without their end, or that hold no row, are
        passed over.
        """
        found: dict[str, Row] = {}
        for path in sorted((self.folder / RESULTS).glob("*.jsonl")):
            for line in path.read_bytes().split(b"\n")[:-1]:
                row = parse(line)
                if row is not None and RANK[row["status"]] < rank(found.get(row["key"])):
                    found[row["key"]] = row
        return [found[key] for key in sorted(found)]

    def finished(self, retry_failed: bool = False) -> set[str]:
        """Keys of cells that need no more work: whole with their pictures, or failed unless those
        are to be retried.
        """
        rows = self.rows()
        failed = {row["key"] for row in rows if row["status"] != "ok" and not retry_failed}
        return failed | {
            row["key"] for row in rows if row["status"] == "ok" and not self._missing(row)
        }

    def _missing(self, row: Mapping[str, Any]) -> list[str]:
        return [picture for picture in pictures(row) if not self.path(picture).is_file()]

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row for good: when this returns it survives a kill and a power cut. NaN and
        infinity become null.

        Raises:
            ValueError: if a picture that the row names is not there, or the row has no key or
                status.
            OSError: if the disk is full; nothing of the row stays.
        """
        line = json.dumps(plain(row), allow_nan=False).encode()
        if parse(line) is None:
            raise ValueError(
                f"A row needs a key and a status ({', '.join(RANK)}), but this is "
                f"{str(dict(row))[:200]}."
            )
        for picture in self._missing(row):
            raise ValueError(
                f"The row {row['key']} names {picture}, which is not there. Write the picture "
                "first."
            )
        self._results().append(line + b"\n")

    def write_picture(self, relative: str, image: Tensor) -> str:
        """Write a picture, whole or not at all, for good; again is no harm.

        Args:
            relative: ``images/<key>.png`` and the like.
            image: (c, h, w) or (1, c, h, w) in [-1, 1], one or three channels; clamped, rounded to
                8 bits.

        Returns:
            ``relative``, for the row.
        """
        buffer = io.BytesIO()
        images.to_pil(images.Picture(image.detach().reshape(1, *image.shape[-3:]))).save(
            buffer, format="PNG"
        )
        return self._write(relative, buffer.getvalue())

    def _write(self, relative: str, content: bytes) -> str:
        path = self.path(relative)
        if not (path.is_file() and path.read_bytes() == content):
            images.write_atomically(
                path, lambda file: durable(file, content), owner=self._results().name
            )
            sync(path.parent)
        return relative

    def _results(self) -> "Results":
        """The file of this process, made when it first writes (a forked process is another one)."""
        if self._mine is None or self._mine.pid != os.getpid():
            self._mine = Results(self.folder / RESULTS)
        return self._mine

    def _sweep(self) -> None:
        for folder in PICTURES:
            for path in (self.folder / folder).rglob(".*"):
                owner = path.name.rpartition(".")[2]
                if abandoned(self.folder / RESULTS / f"{owner}.jsonl"):
                    path.unlink(missing_ok=True)


def merge(folders: Iterable[str | Path], into: str | Path) -> Store:
    """Bring the rows and pictures of runs of one plan into one folder; again, or after a kill, is
    no harm.

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
        chosen: dict[str, tuple[Store, Row]] = {}
        for source in (target, *sources):
            for row in source.rows():
                if source._missing(row):  # not finished there
                    continue
                store, other = chosen.setdefault(row["key"], (source, row))
                if row["status"] == other["status"] == "ok":
                    _refuse_conflict(row["key"], source, row, store, other)
                if RANK[row["status"]] < RANK[other["status"]]:
                    chosen[row["key"]] = source, row
        for source, row in chosen.values():
            if source is not target:
                for picture in pictures(row):
                    target._write(picture, source.path(picture).read_bytes())
                target.append(row)
    return target


def _refuse_conflict(key: str, store: Store, row: Row, other_store: Store, other: Row) -> None:
    for picture in {*pictures(row)} & {*pictures(other)}:
        one, two = store.path(picture), other_store.path(picture)
        if one.read_bytes() != two.read_bytes() and not np.array_equal(_pixels(one), _pixels(two)):
            raise ValueError(
                f"The cell {key} has two pictures: {one} and {two} differ. Runs of one plan on "
                "equal machines are expected to agree bit for bit. Leave one of the two folders "
                "out."
            )


def _pixels(path: Path) -> np.ndarray[Any, Any]:
    with open_image(path) as image:
        return np.asarray(image)
