"""``hrdis replay``: run a restoration again from its record, and compare every pixel."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, get_type_hints

import torch
import tyro
from pydantic import TypeAdapter

import hrdis
from hrdis import images
from hrdis.presets import Choice
from hrdis.repairs import is_word
from hrdis.restoration import FileOptions, Job, Restoration, plugin, prepare
from hrdis.restoration.record import Record
from hrdis.solvers import SOLVERS, Solver

from .parsing import BadInput, checking, choose, fail, parse
from .progress import bar, say, waiting

HELP = """\
Run the restoration of a record again, and say whether it is equal, bit for bit.

Examples:
  hrdis replay whole.json
  hrdis replay whole.json --device cpu       (a record made on a GPU)

The record is the .json that `hrdis restore` writes beside a picture. First the files that it names
(picture, mask, kernel, weights, operator, model) must have the hashes it holds. Then the
restoration runs in a temporary folder, with the settings, seeds and number of threads of the
record, and each picture is compared with the one that is there. A record with an --operator
executes its python file: replay none that you do not trust.

Exit status: 0 if every picture is equal, 1 if one differs or is missing, 2 if the record or a file
that it names is not what it was.
"""

#: Fields of a record that name an input, each beside its hash (``image_sha256``).
INPUTS = ("image", "mask", "kernel", "weights")
#: Fields by which a record of `hrdis restore` is told from other files.
MARKS = {"hrdis", "image_sha256", "solver", "settings", "seeds", "files", "threads"}
#: Fields that every version wrote; the younger ones may be missing.
NEEDED = MARKS | {
    *INPUTS, *(f"{name}_sha256" for name in INPUTS), "hole", "task", "operator", "operator_sha256",
    "noise", "prior", "prior_sha256", "label", "times", "precision", "device", "tile", "overlap",
    "tile_memory", "redraw",
}  # fmt: skip
LONGEST_VALUE = 60  # characters of a value in a message
MOST_THREADS = 1024  # a number from a file; each takes memory as soon as it is set
#: Fields that decide the pixels and are known once everything is loaded.
DECIDED = {
    "prior_sha256": "The SHA-256 of the model",
    "settings": "The settings of the solver",
    "times": "The list of network times",
    "noise": "The level of the noise",
    "windows": "The list of windows around holes",
}


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """Options of ``hrdis replay``."""

    record: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORD.json")]
    """The record (.json) of a restoration."""
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = ""
    """Where the network runs; by default where it ran."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(ReplayOptions, argv, "replay", HELP)
    with TemporaryDirectory(prefix="hrdis-replay-") as folder:
        threads = torch.get_num_threads()
        try:
            return _replay(args, Path(folder))
        finally:
            torch.set_num_threads(threads)


def _replay(args: ReplayOptions, folder: Path) -> int:
    """Run the restoration again in a folder; returns the exit status."""
    with checking():
        record = read(args.record)
        inputs = {name: located(record, name, args.record.parent) for name in INPUTS}
        operator = ""
        if record["operator"]:  # its file is executed later, and only if it is unchanged
            file, _, function = record["operator"].rpartition(":")
            named = {"operator": file, "operator_sha256": record["operator_sha256"]}
            operator = f"{located(named, 'operator', args.record.parent)}:{function}"
        cls = SOLVERS[choose("solver", record["solver"], SOLVERS)][0]
        try:
            settings = TypeAdapter(cls).validate_python(record["settings"])
        except ValueError as error:
            raise BadInput(
                f"The settings of the record do not fit the solver {cls.name} of hrdis "
                f"{hrdis.__version__}. Use the version that made it: {record['hrdis']}"
            ) from error
        options = _options(record, inputs, operator, args, folder)
        # Another number of threads adds up in another order, which changes the last bits.
        torch.set_num_threads(record["threads"])
    with checking(), waiting("reading the picture and loading the model"):
        job = prepare(
            options, settings, choice=recorded_choice(record, settings),
            # A record that has no such field is of a version that restored the whole picture.
            in_windows=bool(record.get("windows")),
        )  # fmt: skip
        # What decides the pixels has to be as it was: model, settings, times, noise level.
        now = Restoration(torch.empty(0, 1, 1, 1), 0, 0.0, {}, job).record
        for name in DECIDED:
            # JSON has no tuples, so both sides go through it.
            if json.loads(json.dumps(now[name])) != record.get(name):
                raise BadInput(
                    f"{DECIDED[name]} is {now[name]}, in the record it is {record[name]}. The same "
                    "model and version of hrdis are expected."
                )
    try:
        with bar(job.steps, "steps") as shown:
            job.prior.on_tiles = shown.tiles
            found = job.run(lambda _: shown.advance())
    except Exception as error:
        if not options.operator:
            raise
        return fail("replay", plugin.explain(options.operator, error), 1)
    if [options.seed + k for k in found.kept] != record["seeds"]:
        return fail("replay", "other samples became NaN or infinite this time; it differs.", 1)
    *made, _ = found.save(options.output)
    return _report(record, args.record.parent, made, job)


def read(path: Path) -> dict[str, Any]:
    """Return the record of a restoration.

    Raises:
        BadInput: if the file is no record of ``hrdis restore``.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}). The .json beside a restored picture is "
            "expected."
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{path} cannot be read as JSON. The record beside a restored picture is expected."
        ) from error
    if not isinstance(record, dict) or not set(record) >= MARKS:
        raise BadInput(
            f"{path} is no record of `hrdis restore`. The .json beside a restored picture is "
            "expected."
        )
    if record.get("unfinished"):
        raise BadInput(
            f"{path} is the record of a restoration that ended while its pictures were written. "
            "Run `hrdis restore` again."
        )
    check_fields(record, path)
    return record


def check_fields(record: dict[str, Any], path: Path) -> None:
    """Refuse a record in which a field is missing or is something else than a restoration writes.

    Raises:
        BadInput: naming the field.
    """
    as_written = f"The record as `hrdis restore` wrote it is expected, {path.name}."
    # TypedDict has no check of its own, and pydantic knows that of typing from Python 3.12 on only.
    kinds = get_type_hints(Record) | {"noise": dict[str, float]}
    for name, kind in kinds.items():
        called = name.replace("_sha256", " SHA-256").replace("_", " ")
        if name not in record:
            if name in NEEDED:
                raise BadInput(f"{path} has no field {called}. {as_written}")
            continue
        try:
            TypeAdapter(kind).validate_python(record[name], strict=True)
        except ValueError:
            said = json.dumps(record[name])[:LONGEST_VALUE]
            raise BadInput(f"{called} in {path} is {said}. {as_written}") from None
    for name in ("files", "seeds"):
        if not record[name]:
            raise BadInput(f"{name} in {path} is empty. {as_written}")
    if "[0,1]" not in record["noise"]:
        raise BadInput(f"noise in {path} has no level on [0, 1]. {as_written}")
    if not 1 <= record["threads"] <= MOST_THREADS:
        raise BadInput(
            f"threads in {path} is {record['threads']}. From 1 to {MOST_THREADS} are expected."
        )


def located(record: dict[str, Any], name: str, folder: Path) -> Path | None:
    """Return the input file ``record[name]``, whose content must be what it was.

    It is looked for where the record says, and beside the record, so that a folder can be moved.

    Raises:
        BadInput: if it is not there, or has another hash.
    """
    if record[name] is None or (record[f"{name}_sha256"] is None and is_word(record[name])):
        return None
    for path in (Path(record[name]), folder / Path(record[name]).name):
        if path.is_file():
            if sha256(path.read_bytes()).hexdigest() == record[f"{name}_sha256"]:
                return path
            raise BadInput(
                f"{path} is not the {name} of the record: its SHA-256 differs. The file as it was "
                "then is expected."
            )
    raise BadInput(
        f"The {name} of the record, {record[name]}, does not exist. It is expected there or beside "
        "the record."
    )


def _options(
    record: dict[str, Any],
    inputs: dict[str, Path | None],
    operator: str,
    args: ReplayOptions,
    folder: Path,
) -> FileOptions:
    """Return the options of the recorded restoration, with its output in another folder."""
    first = Path(record["files"][0])
    there = _there(first, args.record.parent)
    if there is None:
        raise BadInput(
            f"{first} of the record does not exist. The restored picture is expected there or "
            "beside the record."
        )
    size = None
    if operator:  # the record holds no --image-size: it is that of the restored picture
        h, w = images.read(there).x.shape[-2:]
        size = (h, w)
    if inputs["image"] is None:
        raise BadInput(
            f"image in {args.record} is no file with a SHA-256. The record as `hrdis restore` "
            f"wrote it is expected, {args.record.name}."
        )
    # Samples that became NaN were drawn beside the others, so they are drawn again.
    seeds = [*record["seeds"], *record.get("lost_seeds", [])]
    return FileOptions(
        image=inputs["image"],
        output=folder / first.name,
        task=record["task"] or "",
        scale=record.get("scale"),
        quality=record.get("quality"),
        bits=record.get("bits"),
        operator=operator,
        size=size,
        mask=inputs["mask"],
        hole=record["hole"],
        kernel=record["kernel"] if inputs["kernel"] is None else str(inputs["kernel"]),
        weights=inputs["weights"],
        noise=record["noise"]["[0,1]"],
        solver=record["solver"],
        prior=record["prior"],
        label=record["label"],
        samples=len(seeds),
        seed=min(seeds),
        redraw=record["redraw"],
        device=args.device or record["device"],
        precision=record["precision"],
        tile=record["tile"],
        overlap=record["overlap"],
        tile_memory=record["tile_memory"],
    )


def recorded_choice(record: dict[str, Any], settings: Solver) -> Choice[Solver] | None:
    """Return the choice of the record where the map of uncertainty follows from it, else None.

    The map shows calibrated intervals, where it has any, for what the solver auto chose alone.
    """
    if not record.get("interval"):
        return None
    row, why = record.get("preset") or "", record.get("preset_reason") or ""
    return Choice(settings, "prior", row, why, record.get("effort") or "")


def _there(recorded: Path, folder: Path) -> Path | None:
    """Return the path of an output of the record, which is where it says or beside the record."""
    for path in (recorded, folder / recorded.name):
        if path.is_file():
            return path
    return None


def _report(record: dict[str, Any], folder: Path, made: list[Path], job: Job) -> int:
    """Print one line per picture; returns the exit status."""
    recorded = [Path(name).name for name in record["files"]]
    if len(record["seeds"]) > 1:
        # Older records hold other names of two files.
        stem = Path(record["files"][0]).stem
        for old, new in (("deviation", "uncertainty"), ("sheet", "overview")):
            if f"{stem}-{old}.png" in recorded:
                recorded[recorded.index(f"{stem}-{old}.png")] = f"{stem}-{new}.png"
    if [path.name for path in made] != recorded:
        return fail("replay", f"other files are written now: {', '.join(map(str, made))}", 1)
    equal = True
    for name, again in zip(record["files"], made, strict=True):
        there = _there(Path(name), folder)
        verdict = "missing" if there is None else difference(there, again)
        equal = equal and verdict == "equal"
        print(f"{name}: {verdict}")
    if equal:
        return 0
    # Say what differs between then and now and can change pixels.
    now = {
        "hrdis": hrdis.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": str(job.problem.y.device),
        "threads": torch.get_num_threads(),
    }
    for name, value in now.items():
        if record[name] != value:
            say(f"{name} was {record[name]}, and is {value}")
    return 1


def difference(old: Path, new: Path) -> str:
    """Return "equal" for two picture files with the same pixels, else how far they differ."""
    a, b = images.read(old), images.read(new)
    if a.x.shape != b.x.shape or (a.alpha is None) != (b.alpha is None):
        return "differs: another size or kind of picture"
    gap = (a.x - b.x).abs().amax(1) / 2
    if a.alpha is not None and b.alpha is not None:
        gap = torch.maximum(gap, (a.alpha - b.alpha).abs().reshape(gap.shape))
    if not bool(gap.any()):
        return "equal"
    share = float((gap > 0).float().mean())
    return f"differs in {share:.1%} of the pixels, by at most {float(gap.max()) * 255:.3g} of 255"
