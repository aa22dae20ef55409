"""Old names of commands and options, which keep working with one line that names the new one."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

#: What replaces a command: words in the place of the old ones, the longest match first.
COMMANDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("check-operator",): ("check", "operator"),
    ("tasks",): ("list", "tasks"),
    ("solvers",): ("list", "solvers"),
    ("prior", "get"): ("model", "download"),
    ("prior", "list"): ("list", "models"),
    ("prior",): ("model",),
}


@dataclass(frozen=True)
class Renamed:
    """The new name of an old option.

    Args:
        new: the option today.
        values: values that have a new name too.
        silent: True for an option that stays, as the name of the same thing in Python.
    """

    new: str
    values: tuple[tuple[str, str], ...] = ()
    silent: bool = False


_MODEL = Renamed("--model", silent=True)
_LABEL = Renamed("--class-label")

#: By command, the old options.
OPTIONS: dict[str, dict[str, Renamed]] = {
    "demo": {"--out": Renamed("--output")},
    "restore": {
        "--hole": Renamed("--mask-marks", (("alpha", "transparent"),)),
        "--redraw": Renamed("--no-keep-known"),
        "--prior": _MODEL,
        "--label": _LABEL,
        "--tile-memory": Renamed("--max-memory"),
        "--size": Renamed("--image-size"),
    },
    "fix": {"--prior": _MODEL},
    "serve": {"--prior": _MODEL},
    "bench": {"--prior": _MODEL},
    "model": {"--label": _LABEL},
    "check": {"--label": _LABEL},
}


def command_today(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with today's names of its command."""
    for count in (2, 1):
        old = tuple(words[:count])
        if old in COMMANDS and len(old) == count:
            new = COMMANDS[old]
            _say(old[0], f"`hrdis {' '.join(old)}` is now `hrdis {' '.join(new)}`.")
            return [*new, *words[count:]]
    return list(words)


def options_today(command: str, words: Sequence[str]) -> list[str]:
    """Return the words after a command with today's names of its options."""
    known = OPTIONS.get(command, {})
    today: list[str] = []
    told: set[str] = set()
    waiting: dict[str, str] = {}  # new names for the value that comes next
    for word in words:
        option, equals, value = word.partition("=")
        old = option.replace("_", "-")
        if not word.startswith("--") or old not in known:
            today.append(waiting.get(word, word))
            waiting = {}
            continue
        renamed = known[old]
        waiting = dict(renamed.values)
        if equals:
            today.append(f"{renamed.new}={waiting.get(value, value)}")
            waiting = {}
        else:
            today.append(renamed.new)
        if not renamed.silent and old not in told:
            told.add(old)
            changed = "".join(f" ({was} is now {now})" for was, now in renamed.values)
            _say(command, f"{old} is now {renamed.new}{changed}.")
    return today


def _say(command: str, text: str) -> None:
    print(f"hrdis {command}: {text}", file=sys.stderr)
