"""The config of a run folder: reading it, and the differences between two plans."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ... import images
from ..records import PICTURE_FOLDERS

CONFIG = "config.json"
#: Names that a run, its scores and its report put into a run folder.
OWN_NAMES = (CONFIG, "results", *PICTURE_FOLDERS, "scores", "locks", "tables", "report.html")
#: Parts of a config in which two runs of one plan may differ: where and by whom it was made; and
#: the reasons why methods are left out, which the tables name too, in the words of a version.
FREE_PARTS = ("provenance", "missing")
_ABSENT = object()


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config of a run folder.

    Raises:
        ValueError: if the folder has no config, or one that cannot be read.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(
            f"{folder} has no {CONFIG}. The folder of a run is expected: hrdis bench ... -o RUN"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}). It was changed by hand: restore it."
        ) from None
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds no settings. It was changed by hand: restore it.")
    return config


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return each setting in which two configs differ, as a clause of a message."""
    old, new = _flat_without_free_parts(there), _flat_without_free_parts(here)
    changed = []
    for name in sorted({*old, *new}):
        if old.get(name, _ABSENT) == new.get(name, _ABSENT):
            continue
        if name.endswith("_sha256"):  # two hashes tell a person nothing but that they differ
            changed.append(f"{name.removesuffix('_sha256')} has another content")
        else:
            changed.append(f"{name} is {_short(old, name)} there and {_short(new, name)} here")
    return changed


def check_run_folder(folder: Path) -> None:
    """Raise unless a run can be made or continued in a folder.

    Raises:
        ValueError: if it is a file, cannot be written, or holds what no run put there.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file. A folder for the run is expected: -o runs/mine")
    images.check_folder(folder)
    foreign = foreign_files(folder) if folder.is_dir() else []
    if foreign and not (folder / CONFIG).exists():
        raise ValueError(
            f"{folder} holds {foreign[0]!r} and no {CONFIG}: it is not a run folder. A new or "
            "empty folder, or one to continue, is expected: -o runs/mine"
        )


def foreign_files(folder: Path) -> list[str]:
    """Return the names in a folder that no run put there, sorted."""
    names = []
    for path in folder.iterdir():
        # A killed process may have left its config beside the place, under a hidden name.
        if path.name not in OWN_NAMES and not path.name.startswith(f".{CONFIG}."):
            names.append(path.name)
    return sorted(names)


def _flat_without_free_parts(config: Mapping[str, Any]) -> dict[str, Any]:
    fixed = {name: value for name, value in config.items() if name not in FREE_PARTS}
    if isinstance(fixed.get("tables"), list):
        # Notes and reasons are left out too: another version may have written them in other words.
        tables = []
        for table in fixed["tables"]:
            if isinstance(table, Mapping):
                plain = {name: table[name] for name in table if name not in ("caption", "note")}
                plain["entries"] = []
                for entry in table.get("entries", []):
                    if "missing" in entry:
                        entry = {**entry, "missing": True}
                    plain["entries"].append(entry)
                table = plain
            tables.append(table)
        fixed["tables"] = tables
    return dict(_flat(fixed))


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings with dotted names."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _short(settings: Mapping[str, Any], name: str) -> str:
    if name not in settings:
        return "absent"
    text = json.dumps(settings[name])
    if len(text) > 60:  # a list of a thousand pictures would hide the message
        return f"{text[:57]}..."
    return text
