"""Many files: which there are, where each goes, and going on after one that fails or a kill."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import images
from ..ending import raise_if_asked
from ..files import check_name, sha256
from ..images import Errand, into_folder, named_pictures, written_as
from ..messages import reason
from .outputs import check_files, check_mask, record_of
from .picture import Fixed, fix


@dataclass(frozen=True)
class Outcome:
    """The end of one errand.

    Args:
        errand: which.
        fixed: the result; None if it failed or was there already.
        files: the names of what was written.
        error: one line, if it failed.
    """

    errand: Errand
    fixed: Fixed | None = None
    files: tuple[str, ...] = ()
    error: str = ""


def errands(
    sources: Sequence[Path],
    output: Path | None,
    *,
    overwrite: bool = False,
    written: bool = True,
) -> list[Errand]:
    """Return what is to be done for files and folders; nothing is read but their names.

    A folder gives all pictures in it, its sub-folders kept. One file goes to ``output``, or beside
    itself as NAME-fixed; several, or a folder, go into the folder ``output``, or into FOLDER-fixed.

    Args:
        sources: files and folders.
        output: where the results go.
        overwrite: let results replace files that no record of this program beside them names.
        written: whether results are written at all. If not, they need no place.

    Raises:
        ValueError: for what does not exist, an output that is in the way, or two files that would
            become one.
    """
    many = len(sources) > 1 or any(source.is_dir() for source in sources)
    if not many:
        source = sources[0]
        if not source.is_file():
            raise ValueError(f"{source} does not exist. A picture or a folder is expected.")
        if not written:
            return [Errand(source, source)]
        path = output or source.with_name(f"{source.stem}-fixed{written_as(source)}")
        check_name(path)
        if path.is_dir():
            path = path / source.with_suffix(written_as(source)).name
        _check(source, images.check_output(path), overwrite)
        return [Errand(source, path)]
    if not written:
        return [Errand(path, path) for path, _ in named_pictures(sources)]
    if output is None and len(sources) > 1:
        raise ValueError("Several files need a folder for the results: -o FOLDER")
    found = into_folder(sources, folder_of(sources, output))
    for errand in found:
        _check(errand.source, errand.output, overwrite)
    return found


def folder_of(sources: Sequence[Path], output: Path | None) -> Path:
    """Return the folder that the results of several files, or of a folder, go to."""
    if output is not None:
        return output
    source = sources[0]
    if source.name in ("", ".."):  # the folder of the shell, or one above it
        source = source.resolve()
    if not source.name:
        raise ValueError(f"{source} is the root of all folders. A place is expected: -o FOLDER")
    return source.with_name(f"{source.resolve().name}-fixed")


def _check(source: Path, output: Path, overwrite: bool) -> None:
    if source.resolve() == output.resolve():
        raise ValueError(f"{output} is the picture itself. Another name is expected: -o OUT")
    check_files(output, source, overwrite=overwrite)


def check_picture(errand: Errand, picture: images.Picture, upscale: int = 1) -> None:
    """Raise if a picture has transparency, or when it is enlarged a side, that its output cannot
    hold.

    Raises:
        ValueError: naming a format that can.
    """
    h, w = picture.size
    transparent = picture.alpha is not None
    images.check_output(errand.output, transparent=transparent, size=(upscale * h, upscale * w))


def is_done(errand: Errand, options: dict[str, Any]) -> bool:
    """Return True if an earlier run finished this file, with these options and this content.

    The record is written last, and names the content it was made from.
    """
    try:
        record = json.loads(record_of(errand.output).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(record, dict) or images.records.UNFINISHED in record:
        return False
    same = record.get("options") == options and errand.output.is_file()
    return same and record.get("image_sha256") == sha256(errand.source)


def mended(
    errand: Errand,
    options: dict[str, Any],
    mend: Callable[..., Fixed] = fix,
    *,
    overwrite: bool = False,
    **extra: Any,
) -> Outcome:
    """Mend one file, unless an earlier run did; a failure is an outcome.

    Args:
        errand: what is to be done.
        options: what `fix` is told, as its record has it.
        mend: `fix`, or what stands for it.
        overwrite: as in `errands`.
        extra: further arguments of ``mend``: the prior, what is told of the progress.
    """
    try:
        if is_done(errand, options):
            return Outcome(errand)
        if not overwrite:
            check_mask(errand.output, errand.source)
        check_picture(errand, images.read(errand.source), options.get("upscale", 1))
        fixed = mend(errand.source, **options, **extra)
        fixed.record["image_sha256"] = sha256(errand.source)
        files = fixed.save(errand.output, errand.source, overwrite=overwrite)
        return Outcome(errand, fixed, tuple(files))
    except (ValueError, TypeError, OSError, RuntimeError, EOFError) as error:
        raise_if_asked(error)
        return Outcome(errand, error=reason(error))
