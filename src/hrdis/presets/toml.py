"""TOML files of a prior: reading with every check, and writing."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any


@dataclass
class Reader:
    """Takes the values of one table of a file, and names file and row where one is wrong."""

    path: Path
    where: str
    table: Mapping[str, Any]
    writer: str = "hrdis tune"
    taken: set[str] = field(default_factory=set)

    def take(self, name: str, kind: type | tuple[type, ...], expected: str, default: Any) -> Any:
        """Return a value of the table; without a default (None) it has to be there."""
        self.taken.add(name)
        value = self.table.get(name, default)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.refuse(f"{name} is {value!r}; {expected} is expected")
        return value

    def finish(self) -> None:
        """Refuse names that nobody took."""
        for name in self.table:
            if name not in self.taken:
                known = ", ".join(sorted(self.taken))
                self.refuse(f"{name} is unknown; one of {known} is expected")

    def refuse(self, wrong: str) -> None:
        raise ValueError(f"{self.path}, {self.where}: {wrong}. `{self.writer}` writes such a file.")


def open_toml(path: Path, writer: str) -> Reader:
    """Open a file whose values are then taken one by one.

    Args:
        path: the file.
        writer: the command that writes such files, for messages.

    Raises:
        ValueError: if the file cannot be read, or is not TOML.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}. `{writer}` writes such a file.") from None
    return Reader(path, "top level", content, writer)


def name_in_toml(name: str) -> str:
    """Return a name in TOML, in quotes where it has other characters than plain names may."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else to_toml(name)


def to_toml(value: Any) -> str:
    """Return a value in TOML: text, number, switch, or a table of them in one line."""
    if isinstance(value, Mapping):
        entries = [f"{name_in_toml(name)} = {to_toml(entry)}" for name, entry in value.items()]
        return "{ " + ", ".join(entries) + " }" if entries else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_toml(entry) for entry in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and isfinite(value):
        return repr(value)
    raise ValueError(f"{value!r} cannot be written to TOML. A text, number or switch is expected.")
