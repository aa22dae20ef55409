"""What a run folder was made for, and in what it differs from what is asked for now."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..rows import PICTURES

CONFIG = "config.json"
OURS = (
    CONFIG,
    "results",
    *PICTURES,
    "scores",
    "locks",
    "tables",
    "report.html",
)  #: what may lie in a run folder
FREE = ("provenance",)  #: parts of a config in which two runs of one plan may differ
MISSING = object()


def read(folder: Path) -> dict[str, Any]:
    """The config of a run folder.

    Raises:
        ValueError: if it is none.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(
            f"{folder} has no {CONFIG}. The folder of a run is expected: hrdis bench ... -o RUN"
        ) from None
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}). It was changed by hand: restore it."
        ) from None
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds no settings. It was changed by hand: restore it.")
    return config


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Each setting in which two plans differ, in words."""
    old, new = (dict(_flat({k: v for k, v in c.items() if k not in FREE})) for c in (there, here))
    changed = [k for k in sorted({*old, *new}) if old.get(k, MISSING) != new.get(k, MISSING)]
    return [f"{k} is {_short(old, k)} there and {_short(new, k)} here" for k in changed]


def strangers(folder: Path) -> list[str]:
    """What lies in a folder that no run put there."""
    return sorted(
        p.name
        for p in folder.iterdir()
        if p.name not in OURS and not p.name.startswith(f".{CONFIG}.")
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings with dotted names."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _short(settings: Mapping[str, Any], name: str) -> str:
    text = json.dumps(settings[name]) if name in settings else "absent"
    return text if len(text) <= 60 else f"{text[:57]}..."
