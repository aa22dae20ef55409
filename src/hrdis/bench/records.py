"""Restorations and their outcomes: run tasks, units of them, and rows.

A `RunTask` is one restoration and a `Unit` those that share a network call. A row is the outcome of
one run task, a line of JSON in the run folder. Field names are part of file formats and are hashed,
so they never change. The same holds for ``"cell"``, the key under which a row holds its run task.
"""

import json
import math
from collections.abc import Mapping
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import TypeAdapter

from ..messages import shown
from ..solvers.base import Solver, settings

Row = dict[str, Any]

#: Fields of a run task that are labels: they change no pixel of its result.
LABELS = ("image", "prior", "preset", "group", "frames")
#: Fields in which the run tasks of one method on one task differ.
INSTANCE_FIELDS = ("image_sha256", "index", "seed", "mask_sha256", "mask_number", "measured_sha256")
#: Fields that hrdis 0.2 did not have. Where they are None they are left out of records, so that run
#: folders of earlier versions keep their keys.
ADDED = ("mask_sha256", "mask_number", "measured_sha256")
#: Folders of a run that hold pictures.
PICTURE_FOLDERS = ("images", "truth", "given")
#: Statuses of a row, the best first: of two rows with one key the better is kept.
STATUS_RANK = {"ok": 0, "failed": 1, "timeout": 2}


@settings
class RunTask:
    """One restoration: everything its pixels depend on, and its labels.

    Its `key` names it. Labels are left out of the key. They are the name of the picture and of the
    prior's file, the preset's key, the row of a table and the number of frames that are kept. Two
    run tasks with one key have the same result.
    """

    image: str
    """Name of the picture, for people."""
    image_sha256: str
    """SHA-256 of the picture's file."""
    index: int
    """Place of the picture in the whole list of data, which chooses a random mask."""
    size: int
    """Side to which the picture was scaled and cropped, or 0 if it was left as it was."""
    crop: int
    """Side of the centre that is used; 0: all of it."""
    task: str
    noise: str
    """none, gaussian0.05, poisson1.0 or speckle0.1."""
    solver: str
    preset: str | None
    """Key of the preset its settings were taken from."""
    settings: dict[str, Any]
    """All settings of the solver."""
    prior: str
    prior_sha256: str
    """Hash that identifies the prior: of its scheme, its configurations and its weights; of the
    weights alone in run folders of hrdis 0.1.
    """
    precision: str
    seed: int
    """Seed of the solver's noise; the measurement does not depend on it."""
    operator_sha256: str | None = None
    """SHA-256 of the operator's weights, for operators with weights (nonlinear blur)."""
    mask_sha256: str | None = None
    """SHA-256 of the file of its mask; None if the mask is drawn, or there is none."""
    mask_number: int | None = None
    """Number of its mask in that file, if many are packed there."""
    measured_sha256: str | None = None
    """SHA-256 of the file of its measurement; None if the picture is measured here."""
    group: str = ""
    """Label of the method: the row of a table."""
    frames: int = 0
    """Number of intermediate steps whose pictures are kept."""

    @cached_property
    def key(self) -> str:
        """Name of the result, 16 hex digits of a SHA-256 of everything that it depends on."""
        return _digest(_without(self.record(), LABELS))[:16]

    @cached_property
    def variant(self) -> str:
        """Hash shared by all images and seeds of one method on one task."""
        return variant_of(self.record())

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        record = {}
        for name in FIELDS:
            value = getattr(self, name)
            if value is not None or name not in ADDED:
                record[name] = value
        return record

    def method(self) -> Solver:
        """Return the solver with its settings."""
        # Records are read where nothing is solved: reports do not wait for twenty solvers.
        from ..solvers import SOLVERS

        return SOLVERS[self.solver][0](**self.settings)

    def draw_seed(self, name: str = "solve") -> int:
        """Return an integer that seeds a random stream of this picture.

        Args:
            name: "solve" for the solver's stream, which depends on picture and seed; "measure" for
                the noise of y, which depends on the picture alone, so that every solver and seed
                faces the same measurement.
        """
        text = self.image_sha256
        if name == "solve":
            text += f" {self.seed}"
        return int.from_bytes(sha256(f"{name} {text}".encode()).digest()[:7], "big")


FIELDS = tuple(RunTask.__dataclass_fields__)

#: Types of what scores and reports read of a cell, and of the rest of a row, which may be null.
KINDS_OF_CELL: dict[str, tuple[type, ...]] = {
    "image": (str,), "image_sha256": (str,), "task": (str,), "noise": (str,), "solver": (str,),
    "seed": (int,), "settings": (dict,), "group": (str,), "index": (int,),
    "preset": (str, NoneType),
}  # fmt: skip
KINDS_OF_ROW: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        ("key", "variant", "picture", "truth", "measurement", "error", "worker", "device", "hrdis",
         "torch"), (str,),
    ),
    **dict.fromkeys(
        ("psnr", "ssim", "psnr_aligned", "ssim_aligned", "lpips", "distance", "ca", "ca_clean",
         "accuracy", "accuracy_clean", "residual", "seconds", "call_seconds", "overhead",
         "peak_memory", "nfe"), (int, float),
    ),
    "frames": (list,), "frame_times": (list,),
}  # fmt: skip
#: No number of a row is larger: the age of the world is 4e17 s.
LARGEST = 1e18


@settings
class Unit:
    """Run tasks that differ in picture and seed only, restored in one batch.

    After a kill the whole unit is done again, since a batch of another size could change the last
    bits of a picture.
    """

    tasks: tuple[RunTask, ...]

    @cached_property
    def key(self) -> str:
        """Name of the unit, which does not depend on its place in a plan."""
        keys = [run_task.key for run_task in self.tasks]
        return _digest(keys)[:16]


def variant_of(record: Mapping[str, Any]) -> str:
    """Return `RunTask.variant` of a run task as it stands in a row."""
    kept = _without(record, (*LABELS, *INSTANCE_FIELDS))
    for name in ADDED:  # a method on given masks is not the one on drawn masks
        if record.get(name) is not None:
            kept[name] = "given"
    return _digest(kept)[:12]


def settings_of(solver: Solver) -> dict[str, Any]:
    """Return all settings of a solver as JSON values."""
    return _adapter_of(type(solver)).dump_python(solver, mode="json")


@cache
def _adapter_of(kind: type[Solver]) -> TypeAdapter[Solver]:
    return TypeAdapter(kind)


def _without(record: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()


class RunInterrupted(RuntimeError):
    """A trouble that is not the fault of the unit it struck.

    Examples are a crashed GPU, memory that other processes took, or a picture that cannot be read
    any more.

    The work on a unit raises it instead of returning rows. It ends the run, which leaves no row for
    the unit and can be continued.
    """


# ---- rows ---------------------------------------------------------------------------------------


def comparable(row: Mapping[str, Any]) -> Row:
    """Return a row without the fields in which two runs of the same plan differ.

    These are times, memory and the worker's name.
    """
    kept = {}
    for name, value in row.items():
        if name != "worker" and "seconds" not in name and "memory" not in name:
            kept[name] = value
    return kept


def picture_names(row: Mapping[str, Any]) -> list[str]:
    """Return the pictures that a row names, relative to its run folder."""
    starts = tuple(f"{folder}/" for folder in PICTURE_FOLDERS)
    names: list[str] = []
    for field, value in row.items():
        if field == "cell":  # the name of the user's picture may start like one of ours
            continue
        entries = value if isinstance(value, list) else [value]
        for entry in entries:
            if isinstance(entry, str) and entry.startswith(starts):
                names.append(entry)
    return names


def picture_path(folder: Path, relative: str) -> Path:
    """Return the path of a picture named in a row.

    Raises:
        ValueError: for a path outside the picture folders. Rows may come from strangers.
    """
    parts = Path(relative).parts
    if len(parts) < 2 or parts[0] not in PICTURE_FOLDERS or ".." in parts:
        raise ValueError(
            f"{relative!r} is not a picture of a run. images/NAME.png, truth/... or given/... is "
            "expected."
        )
    path = folder / relative
    # A link in a stranger's folder would put a file of this machine into a report or a copy.
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"{path} is a link out of the run folder. A picture in the folder is expected: put a "
            "copy there."
        )
    return path


def parse_row(line: bytes) -> Row | None:
    """Return the row in a line of a results file; None if the line is damaged."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("key"), str):
        return None
    # A tuple, since a damaged status may be a list, which cannot be hashed.
    if row.get("status") not in tuple(STATUS_RANK):
        return None
    return row


def wrong_field(record: Mapping[str, Any]) -> str:
    """Return the first field of a row, or of its scores, that holds something else than it must;
    "" if none does.
    """
    for name, kinds in KINDS_OF_ROW.items():
        value = record.get(name)
        if value is not None and not isinstance(value, kinds):
            return name
        if isinstance(value, int | float) and not abs(value) <= LARGEST:
            return name
    return ""


def check_row(row: Mapping[str, Any], folder: Path) -> None:
    """Raise unless a row holds what scores and reports read, of the right kinds.

    Args:
        row: from a results file, which may be damaged or a stranger's.
        folder: the run folder, for the message.

    Raises:
        ValueError: naming the row and the field.
    """
    cell = row.get("cell")
    wrong = wrong_field(row)
    if isinstance(cell, Mapping):
        for name, kinds in KINDS_OF_CELL.items():
            if name not in cell or not isinstance(cell[name], kinds):
                wrong = f"cell.{name}"
    else:
        wrong = "cell"
    if wrong:
        raise ValueError(
            f"The row {shown(row.get('key'))} in {folder / 'results'} is damaged: {wrong} is "
            "missing or of another kind. Delete that line, and run the same command of the "
            "benchmark again."
        )


def row_rank(row: Row | None) -> int:
    """Return the rank of a row's status, 0 for the best; no row ranks last."""
    if row is None:
        return len(STATUS_RANK)
    return STATUS_RANK[row["status"]]


def json_safe(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by None, at any depth."""
    if isinstance(value, Mapping):
        return {str(name): json_safe(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
