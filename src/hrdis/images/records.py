"""Files beside a picture: a JSON record names them, nobody else's are replaced, none is lost."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..files import check_name, read_json, shortened, write_atomically

#: Field of a record whose pictures are not all written yet.
UNFINISHED = "unfinished"


def mask_beside(output: Path) -> Path:
    """Return where a mask that was found is written, beside the picture that was made with it."""
    return output.with_name(f"{output.stem}.mask.png")


def record_beside(output: Path) -> Path:
    """Return where the record of a picture or an array is written, NAME.json beside it.

    Raises:
        ValueError: if the output is a folder, or its name too long.
    """
    check_name(output)
    if output.is_dir():
        raise ValueError(
            f"{output} is a folder. The name of a file is expected: -o {output / 'new.png'}"
        )
    return output.with_suffix(".json")


def check(
    outputs: Sequence[Path],
    inputs: Sequence[Path | None],
    *,
    record: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Raise if an output has a name that is too long, or would replace a file that must stay.

    That is an input, a file that no record of this program beside it names, or the record of
    another picture, as a.png and a.jpg would have one record.

    Args:
        outputs: files that will be written.
        inputs: the files that are read; they are never written over.
        record: the record beside them, by default the last of the outputs.
        overwrite: let other files be replaced.

    Raises:
        ValueError: naming the file in the way; nothing has been written.
    """
    taken = [path for path in inputs if path is not None]
    record = record or outputs[-1]
    ours = files_of_record(record)
    for path in outputs:
        check_name(path)
        if any(_is_same_file(path, given) for given in taken):
            raise ValueError(
                f"{path} is an input and would be written over. Another name is expected: "
                "-o new.png"
            )
        if overwrite or not path.exists():
            continue
        if path == record:
            if ours is None:
                raise ValueError(
                    f"{path} exists and is no record of this program. Another name is expected: "
                    "-o new.png"
                )
            kept = [record.parent / name for name in ours if (record.parent / name).exists()]
            # a measurement y.npy that is restored to y.png gives its name away
            given = any(_is_same_file(name, one) for name in kept for one in taken)
            if kept and not given and outputs[0].name not in ours:
                raise ValueError(
                    f"{path} is the record of {kept[0].name}, which would lose it. Another name is "
                    "expected, -o new.png, or --overwrite to replace it."
                )
        elif path.name not in (ours or []):
            raise ValueError(
                f"{path} exists, and no record beside it says that this program wrote it. Another "
                "name is expected, -o new.png, or --overwrite to replace it."
            )


def files_of_record(path: Path) -> list[str] | None:
    """Return the names of the files that a record of this program lists; None if it is none."""
    try:
        said = read_json(path)
    except ValueError:
        return None
    files = said.get("files", [])
    if "hrdis" not in said or not isinstance(files, list):
        return None
    return [Path(str(name)).name for name in files]


def unfinished(path: Path) -> bool:
    """Return True if a record says that the files it names are not all written."""
    try:
        return UNFINISHED in read_json(path)
    except ValueError:
        return False


def write(path: Path, said: Mapping[str, Any], *, unfinished: bool = False) -> None:
    """Write a record, whole or not at all.

    Args:
        path: the record.
        said: values of JSON.
        unfinished: say that the files it names are not all written yet. After a kill no new
            picture must stand beside the record of an old one, nor without any.

    Raises:
        ValueError: for NaN or infinity, which JSON has not.
    """
    mark = {UNFINISHED: True} if unfinished else {}
    text = json.dumps({**said, **mark}, indent=2, allow_nan=False, default=_plain)
    content = text.encode() + b"\n"
    write_atomically(path, lambda file: file.write(content))


def _plain(value: Any) -> Any:
    """Return a number of numpy as Python's, so that its type costs nobody a finished picture."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"A record holds values of JSON, and no {type(value).__name__}.")


def write_files(
    path: Path, said: Mapping[str, Any], files: Mapping[Path, Callable[[Path], object]]
) -> None:
    """Write the files of a record, which says until its own `write` that they are not all there.

    Args:
        path: the record.
        said: values of JSON.
        files: for each file a function that writes what belongs there to the path it is given.

    Raises:
        OSError: if files could not be written; it names where each was kept instead. Where none of
            them could, the record that was there before stays.
    """
    before = path.read_bytes() if path.exists() else None
    failed: dict[Path, Exception] = {}
    try:
        write(path, said, unfinished=True)
    except Exception as error:  # a full disk has no room for the record either
        failed = dict.fromkeys(files, error)
    else:
        for file, write_to in files.items():
            try:
                write_to(file)
            except Exception as error:  # of an encoder, a disk, another program
                failed[file] = error
    if not failed:
        return
    lines = [rescue(file, files[file], error) for file, error in failed.items()]
    if len(failed) == len(files):
        with suppress(OSError):
            if before is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, lambda file: file.write(before))
    raise OSError("; ".join(lines))


def rescue(path: Path, write_to: Callable[[Path], object], error: Exception) -> str:
    """Keep a file that could not be written where it should be; return one line about it.

    Hours of work may be in it. The trouble may be that of a format (an encoder that fails), of a
    file (open in another program) or of a disk (full). Pictures are kept as PNG.
    """
    reason = str(getattr(error, "strerror", None) or error or type(error).__name__).splitlines()[0]
    said = f"{path} could not be written ({reason})"
    suffix = path.suffix if path.suffix == ".npy" else ".png"
    for folder in (path.parent, Path(tempfile.gettempdir())):
        for number in range(1, 100):
            place = folder / f"{shortened(path.stem, 200)}-rescued-{number}{suffix}"
            if place.exists():
                continue
            try:
                write_to(place)
            except Exception:
                break
            return f"{said}; it is kept as {place}"
    return f"{said}, and nowhere else either"


def _is_same_file(path: Path, other: Path) -> bool:
    """Return True if two names are of one file, on systems too that do not tell A from a."""
    try:
        return path.samefile(other)
    except OSError:  # one of them does not exist
        return path.resolve() == other.resolve()
