"""Many pictures: which there are in folders, and where the result of each goes."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .opening import ALSO_READ
from .writing import SUFFIXES, check_folder


@dataclass(frozen=True)
class Errand:
    """A picture to work on, and where the result goes."""

    source: Path
    output: Path

    def keep_date(self) -> None:
        """Give the result the date of its source, where the file system takes one."""
        with suppress(OSError):
            told = self.source.stat()
            os.utime(self.output, ns=(told.st_atime_ns, told.st_mtime_ns))


def written_as(source: Path) -> str:
    """Return the suffix of a result, that of its source if that format can be written."""
    return source.suffix if source.suffix.lower() in SUFFIXES else ".png"


def pictures_in(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Return the pictures in a folder and its sub-folders, by the ends of their names, in order.

    Left out are names that begin with a dot, such as the ``._photo.jpg`` that macOS puts beside
    ``photo.jpg`` on other systems' disks. Links to folders are not followed.

    Args:
        folder: where to look.
        suffixes: how pictures end, in small letters.

    Raises:
        ValueError: for a folder that cannot be listed, because its pictures would be missing
            without a word.
    """

    def refuse(error: OSError) -> NoReturn:
        raise ValueError(
            f"{error.filename} cannot be listed ({error.strerror}). A folder you may read is "
            "expected."
        )

    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if name.startswith(".") or path.suffix.lower() not in suffixes:
                continue
            if path.is_file():
                found.append(path)
    return sorted(found)


def named_pictures(sources: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return all pictures in files and folders, each with its place among the results.

    Left out are hidden files in folders, and masks that this program proposed. A file that is
    given twice is worked on once.

    Args:
        sources: files and folders. Of a folder the sub-folders are kept.

    Raises:
        ValueError: for what does not exist, a folder that cannot be listed, or no picture at all.
    """
    found = []
    for source in sources:
        if source.is_dir():
            for path in pictures_in(source, (*SUFFIXES, *ALSO_READ)):
                if path.name.endswith(".mask.png"):
                    continue
                place = path.relative_to(source)
                if path.suffix.lower() in ALSO_READ:  # a.heic and a.png may lie there
                    place = place.with_name(f"{path.name}.png")
                found.append((path, place))
        elif source.is_file():
            found.append((source, Path(source.with_suffix(written_as(source)).name)))
        else:
            raise ValueError(f"{source} does not exist. A picture or a folder is expected.")
    if not found:
        raise ValueError(f"There is no picture in {sources[0]}. PNG, JPEG, WebP, TIFF or BMP files "
                         "are expected.")  # fmt: skip
    once: dict[tuple[Path, Path], tuple[Path, Path]] = {}
    for path, place in found:
        once.setdefault((path.resolve(), place), (path, place))
    return list(once.values())


def into_folder(sources: Sequence[Path], folder: Path) -> list[Errand]:
    """Return what `named_pictures` finds as errands; nothing is read but the names.

    Left out are results of an earlier run in ``folder``.

    Args:
        sources: files and folders.
        folder: where the results go.

    Raises:
        ValueError: as `named_pictures`; for a folder that is a file, no place for results, or that
            of the pictures; for two pictures that would become one.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file. A folder for the results is expected: -o FOLDER")
    if folder.suffix.lower() in SUFFIXES and not folder.is_dir():
        raise ValueError(
            f"-o {folder} names a picture. For several pictures, and for a folder, a folder for "
            "the results is expected: -o results"
        )
    if any(source.resolve() == folder.resolve() for source in sources):
        raise ValueError(
            f"{folder} is the folder of the pictures themselves. Another one is expected: "
            "-o results"
        )
    check_folder(folder)
    found = []
    for path, place in named_pictures(sources):
        # results of an earlier run, in a folder among the pictures
        own = path not in sources and folder.resolve() in path.resolve().parents
        if not own:
            found.append(Errand(path, folder / place))
    check_distinct(found, lambda errand: [errand.output])
    return found


def check_distinct(errands: Sequence[Errand], files: Callable[[Errand], Sequence[Path]]) -> None:
    """Raise if two errands would write one file.

    Args:
        errands: all of them.
        files: returns what an errand writes.

    Raises:
        ValueError: naming both sources and the file.
    """
    taken: dict[Path, Path] = {}
    for errand in errands:
        for path in files(errand):
            if path in taken:
                beside = errand.source.parent == taken[path].parent
                way = "Rename one" if beside else "Give them other names, or the folder they lie in"
                raise ValueError(
                    f"{taken[path]} and {errand.source} would both become {path}. {way}."
                )
            taken[path] = errand.source
