"""The run folder, which is whole after a kill at any moment.

It holds the config of the plan, a line per finished restoration, and its pictures.

    config.json                          the plan; a folder belongs to one plan
    results/<host>-<pid>-<random>.jsonl  one file per process, one line per restoration: its row
    images/ truth/ given/                pictures: results, originals, measurements
    locks/                               files whose locks tell which processes are at work

A row is appended, in one write, after its pictures are in place, and a picture is written beside
its place and renamed. So a kill can leave three things. A line without its end is no row. A picture
without a row is made again. A file that never got its name is removed by the next run. No process
ever appends to the file of another, and a picture depends on its run task alone. Two processes that
work on one run task write the same twice, and `Store.rows` returns it once.
"""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from ... import images
from ...files import write_text
from ..records import (
    PICTURE_FOLDERS,
    STATUS_RANK,
    Row,
    json_safe,
    parse_row,
    picture_names,
    picture_path,
    row_rank,
)
from .folder import CONFIG, check_run_folder, differences, read_config
from .locks import at_work, locked
from .result_file import ResultFile, remove_abandoned_files, write_picture_file
from .shards import Shard

RESULTS = "results"


class Store:
    """A run folder, opened by `Store.create` or `Store.open`. Pickles as its path.

    Args:
        folder: its path.
        config: everything needed to rerun it, as it was when the folder was made.
    """

    folder: Path
    config: dict[str, Any]
    _result_file: ResultFile | None

    def __init__(self, folder: str | Path, config: dict[str, Any]):
        self.folder, self.config, self._result_file = Path(folder), config, None

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker gets the path and opens the folder itself: its results file is its own.
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
        folder, asked = Path(folder), json.loads(json.dumps(json_safe(config)))
        check_run_folder(folder)
        with locked(folder / "locks" / "config"):
            # Of several shards that start at once, the first to hold the lock writes the config.
            if not (folder / CONFIG).exists():
                write_text(folder / CONFIG, json.dumps(asked, indent=2, allow_nan=False) + "\n")
        store = cls.open(folder)
        store.refuse_other_plan(asked)
        return store

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Open a run folder as it is.

        Raises:
            ValueError: if it is not a run folder.
        """
        return cls(folder, read_config(Path(folder)))

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
        """Refuse a second run while this one lasts, and remove the pictures that killed runs did
        not finish.

        Raises:
            ValueError: naming the process that is at work in this folder, or on this shard of it.
        """
        with at_work(self.folder, shard):
            for folder in PICTURE_FOLDERS:
                remove_abandoned_files(self.folder / folder, self.folder / RESULTS)
            yield

    def path(self, relative: str) -> Path:
        """Return the path of a picture named in a row; refuse paths outside the folder.

        Raises:
            ValueError: for a path outside the picture folders.
        """
        return picture_path(self.folder, relative)

    def rows(self) -> list[Row]:
        """Return all rows, sorted by key, one per key. Lines without their end, and lines that hold
        no row, are passed over.
        """
        found: dict[str, Row] = {}
        for path in sorted((self.folder / RESULTS).glob("*.jsonl")):
            # Behind the last line end there is nothing, or a line that a kill cut off.
            for line in path.read_bytes().split(b"\n")[:-1]:
                row = parse_row(line)
                if row is not None and row_rank(row) < row_rank(found.get(row["key"])):
                    found[row["key"]] = row
        return [found[key] for key in sorted(found)]

    def finished(self, retry_failed: bool = False) -> set[str]:
        """Return the keys of run tasks that need no more work.

        They are whole with their pictures, or failed, unless failed ones are to be retried.
        """
        keys = set()
        for row in self.rows():
            if row["status"] != "ok":
                if not retry_failed:
                    keys.add(row["key"])
            elif not self.missing_pictures(row):
                keys.add(row["key"])
        return keys

    def missing_pictures(self, row: Mapping[str, Any]) -> list[str]:
        """Return the pictures that a row names and that are not in the folder."""
        return [name for name in picture_names(row) if not self.path(name).is_file()]

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row for good, so that when this returns it survives a kill and a power cut. NaN and
        infinity become null.

        Raises:
            ValueError: if a picture that the row names is not there, or the row has no key or
                status.
            OSError: if the disk is full; nothing of the row stays.
        """
        line = json.dumps(json_safe(row), allow_nan=False).encode()
        if parse_row(line) is None:
            raise ValueError(
                f"A row needs a key and a status ({', '.join(STATUS_RANK)}), but this is "
                f"{str(dict(row))[:200]}."
            )
        # A row counts as finished work: it must not come before its pictures.
        for picture in self.missing_pictures(row):
            raise ValueError(
                f"The row {row['key']} names {picture}, which is not there. Write the picture "
                "first."
            )
        self._own_results().append(line + b"\n")

    def write_picture(self, relative: str, image: Tensor) -> str:
        """Write a picture, whole or not at all, for good; writing it again does no harm.

        Args:
            relative: ``images/<key>.png`` and the like.
            image: (c, h, w) or (1, c, h, w) in [-1, 1], one or three channels; clamped, rounded to
                8 bits.

        Returns:
            ``relative``, for the row.

        Raises:
            ValueError: for NaN or infinite values.
        """
        images.require_finite(image, relative)
        buffer = io.BytesIO()
        picture = images.Picture(image.detach().reshape(1, *image.shape[-3:]))
        images.to_pil(picture).save(buffer, format="PNG")
        self.write_picture_bytes(relative, buffer.getvalue())
        return relative

    def write_picture_bytes(self, relative: str, content: bytes) -> None:
        """Write the file of a picture, as `write_picture` does."""
        write_picture_file(self.path(relative), content, owner=self._own_results().name)

    def _own_results(self) -> ResultFile:
        """Return the file of this process, made when it first writes (a forked process is another
        one).
        """
        if self._result_file is None or self._result_file.pid != os.getpid():
            self._result_file = ResultFile(self.folder / RESULTS)
        return self._result_file
