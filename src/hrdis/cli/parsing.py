"""Parsing that the commands share, with suggestions for names and one message per error.

Options are made from dataclasses.
"""

import errno
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import field, make_dataclass
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import tyro

from hrdis.messages import for_command, unknown

from .help import help_text, options_of

T = TypeVar("T")


#: Messages of tyro's that speak Python.
CHOICE = re.compile(
    r"invalid choice '(?P<value>.*)' for argument '(?P<option>.*?)'\. "
    r"Expected one of \((?P<names>.*?)\)\."
)
SETTING = re.compile(r"Error parsing \w+: \w+: (?P<name>\w+) is (?P<rest>.*, but input should .*)")
VALUE = re.compile(r"Error parsing (?P<option>\S+): (?P<problem>.*?) Argument helptext: .*")
UNKNOWN = re.compile(
    r"Unrecognized options: (?P<words>.*?)\.(?: Perhaps you meant: (?P<near>--[\w-]+).*)?$"
)
NO_VALUE = re.compile(r"Missing value for argument '(?P<option>.*?)'\. Expected .* values?\.")
#: The sentence of tyro's that leads to the help.
HELPTEXT = re.compile(r" For full helptext, (?:run:?|see) (?P<command>.*?) --help$")

#: A group's options have its fields' names alone, and a switch has no opposite.
CONFIG = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)


class BadInput(Exception):
    """Something the user gave is wrong: one message, exit status 2, no traceback."""


def about_file(file: Path, said: str) -> str:
    """Return what is said about a file, with its name in front where it does not begin with it."""
    return said if said.startswith(str(file)) else f"{file}: {said}"


def fail(command: str, message: object, status: int) -> int:
    """Print one message, in one line whatever a file in it is called; return the exit status."""
    said = for_command(message).replace("\r", "\\r").replace("\n", "\\n")
    print(f"hrdis {command}: {said}", file=sys.stderr)
    return status


#: Errors of what was given to a command, before its work has begun.
REFUSALS = (ValueError, TypeError, OSError, RuntimeError, EOFError)
#: Errors of the system that say nothing of what was given: a disk that is full or broken.
TROUBLES = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


@contextmanager
def checking(*, work: bool = False) -> Iterator[None]:
    """Turn what the library refuses in the checks of a command, before any work, into `BadInput`.

    Args:
        work: the library does its work in here, too. Then a full disk or lack of memory is no bad
            input, and comes out as it is.
    """
    refusals = (ValueError, TypeError) if work else REFUSALS
    try:
        yield
    except refusals as error:
        if getattr(error, "errno", None) in TROUBLES:
            raise
        raise BadInput(for_command(error).split("\n")[0]) from error


def number(text: str, option: str) -> float:
    """Read a number given to an option."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option} is {text!r}. A number is expected: {option} 0.05") from None


def choose(kind: str, name: str, valid: Iterable[str]) -> str:
    """Return ``name`` if it is valid, else raise `BadInput` with the valid names and the likeliest
    one.
    """
    valid = list(valid)
    if name in valid:
        return name
    raise BadInput(unknown(kind, name, valid))


def part(
    command: str, argv: Sequence[str], parts: Sequence[str], description: str
) -> tuple[str, list[str]]:
    """Return which part of a command is meant, and the words after it.

    Raises:
        BadInput: for none, or one that does not exist.
        SystemExit: after the help, as from `parse`.
    """
    words = list(argv)
    if words and words[0] in ("-h", "--help"):
        print(description)
        raise SystemExit(0)
    example = f"hrdis {command} {parts[0]}"
    if not words:
        raise BadInput(f"One of {', '.join(parts)} is expected: {example}")
    return choose("word", words[0], parts), words[1:]


def peek(argv: Sequence[str], option: str, default: str) -> str:
    """Return an option's value before the others can be parsed; given twice, the last counts."""
    found = default
    for i, word in enumerate(argv):
        if word == option and i + 1 < len(argv):
            found = argv[i + 1]
        elif word.startswith(f"{option}="):
            found = word.split("=", 1)[1]
    return found


def parse(cls: type[T], argv: Sequence[str], command: str, description: str, **defaults: Any) -> T:
    """Read the options of a command from a dataclass, each field of ``defaults`` added as flat
    flags.

    Args:
        cls: the command's own options.
        defaults: further groups, e.g. ``settings=HRDIS()``; their fields become options without
            prefix.
    """
    if {"-h", "--help"} & set(argv):
        print(help_text(command, description, cls, defaults))
        raise SystemExit(0)
    for word in argv:
        if len(word) > 2 and word.startswith("-") and "=" not in word and _is_name(word):
            raise BadInput(
                f"{word} is a file, but reads as an option. Its name with a folder is expected: "
                f"./{word}"
            )
        if word.endswith("=") and word.startswith("-"):
            raise BadInput(empty(word.removesuffix("=")))
    for before, word in pairwise(["", *argv]):
        if not word:
            raise BadInput(empty(before if before.startswith("-") else "A word"))
    told = StringIO()
    try:
        with redirect_stderr(told):
            return tyro.cli(
                combined(cls, defaults),
                args=list(argv),
                prog=f"hrdis {command}",
                add_help=False,
                config=CONFIG,
            )
    except SystemExit as end:
        raise BadInput(_one_line(told.getvalue(), command, cls)) from end


def empty(name: str) -> str:
    """Return the message for an option or a word without any text."""
    return f"{name} is empty. A value is expected: does a variable of the shell have none?"


def combined(cls: type[T], groups: Mapping[str, Any]) -> type[T]:
    """Return a command's own options with further groups as fields, as tyro reads them."""
    added = [(name, type(value), field(default=value)) for name, value in groups.items()]
    return make_dataclass(cls.__name__, added, bases=(cls,), frozen=True, kw_only=True)


def _is_name(word: str) -> bool:
    """Return True for the name of a file that is there, or that may be written."""
    from hrdis.images import SUFFIXES

    return Path(word).is_file() or Path(word).suffix.lower() in (*SUFFIXES, ".npy", ".json")


def _one_line(box: str, command: str, cls: type) -> str:
    """Return tyro's message without its box and title; a rule in the box ends a sentence."""
    title, *inside = box.splitlines()
    more = f"`hrdis {command} --help` shows all options."
    parts: list[list[str]] = [[]]
    for line in inside[:-1]:
        text = line.strip("│| ")
        if text.strip("─-"):
            parts[-1].append(text)
        else:
            parts.append([])
    if "Required options" in title:
        lines = [text for part in parts for text in part]
        return f"{missing_options(lines, command, cls)} {more}"
    said = (" ".join(" ".join(part).split()) for part in parts if part)
    sentences = (text if text.endswith((".", ")", "help")) else f"{text}." for text in said)
    return f"{in_words(HELPTEXT.sub('', ' '.join(sentences)))} {more}"


def missing_options(lines: Sequence[str], command: str, cls: type) -> str:
    """Return a sentence that names the options of which tyro says that they are missing."""
    names, line = [], [f"hrdis {command}"]
    for option in options_of(cls):
        if not option.needed:
            continue
        short = option.words.split(", ")[0]
        shown = option.value if option.positional else f"{short} {option.value}"
        line.append(shown)
        if any(f"{text} ".startswith(f"{shown},") or text == shown for text in lines):
            names.append(shown)
    verb = "is" if len(names) == 1 else "are"
    return f"{' and '.join(names)} {verb} missing: {' '.join(line)}."


def in_words(said: str) -> str:
    """Return a message of tyro's about a value without its Python: types, tuples, calls."""
    if found := CHOICE.match(said):
        names = ", ".join(re.findall(r"'([^']*)'", found["names"]))
        return f"{_shown(found['option'])} is {found['value']!r}. One of {names} is expected."
    if found := SETTING.match(said):
        option = found["name"].replace("_", "-")
        rest = re.sub(r" The default is \w+\(.*?\)\.", "", found["rest"])
        return f"--{option} is {rest}"
    if found := UNKNOWN.match(said):
        words = found["words"].replace(", ", " ")
        if not words.startswith("-"):
            return f"There is no place for {words!r}. A name with spaces needs quotes around it."
        near = f" Did you mean {found['near']}?" if found["near"] else ""
        return f"There is no option {words!r}.{near}"
    if found := NO_VALUE.match(said):
        return f"{_shown(found['option'])} has no value behind it."
    if not (found := VALUE.match(said)):
        return said
    option, problem = _shown(found["option"]), found["problem"]
    value = re.search(r"(?:base 10: |to float: |from \[)('[^']*')", problem)
    if value is None:  # written by hrdis, and names the option
        return problem
    whole = "int()" in problem or "'int'" in problem
    kind = "A whole number" if whole else "A number"
    return f"{option} is {value[1]}. {kind} is expected."


def _shown(option: str) -> str:
    """Return an option as it is typed: the long one of two words, a place in capitals."""
    return option.split("/")[-1] if option.startswith("-") else option.upper()
