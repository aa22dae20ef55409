"""Parsing that the commands share, with suggestions for names and one message per error.

Options are made from dataclasses.
"""

import errno
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import field, make_dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, TypeVar

from hrdis.messages import for_command, unknown

T = TypeVar("T")


#: Messages of tyro's that speak Python, each with the sentence that leads to the help at its end.
CHOICE = re.compile(
    r"invalid choice '(?P<value>.*)' for argument '(?P<option>.*?)'\. "
    r"Expected one of \((?P<names>.*?)\)\.(?P<more>.*)"
)
SETTING = re.compile(r"Error parsing \w+: \w+: (?P<name>\w+) is (?P<rest>.*, but input should .*)")
VALUE = re.compile(
    r"Error parsing (?P<option>\S+): (?P<problem>.*?) Argument helptext: .*?"
    r"(?P<more> For full helptext.*)"
)


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
    import tyro

    for word in argv:
        if len(word) > 2 and word.startswith("-") and "=" not in word and _is_name(word):
            raise BadInput(
                f"{word} is a file, but reads as an option. Its name with a folder is expected: "
                f"./{word}"
            )
    groups = []
    for name, value in defaults.items():
        about = f"{type(value).__name__}: {(type(value).__doc__ or '').splitlines()[0]}"
        groups.append(
            (name, Annotated[type(value), tyro.conf.arg(help=about)], field(default=value))
        )
    combined = make_dataclass(cls.__name__, groups, bases=(cls,), frozen=True, kw_only=True)
    combined.__doc__ = description
    told = StringIO()
    try:
        with redirect_stderr(told):
            return tyro.cli(
                combined,
                args=list(argv),
                prog=f"hrdis {command}",
                description=description,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as end:
        if not told.getvalue():  # --help
            raise
        raise BadInput(_one_line(told.getvalue())) from end


def _is_name(word: str) -> bool:
    """Return True for the name of a file that is there, or that may be written."""
    from hrdis.images import SUFFIXES

    return Path(word).is_file() or Path(word).suffix.lower() in (*SUFFIXES, ".npy", ".json")


def _one_line(box: str) -> str:
    """Return tyro's message without its box and title; a rule in the box ends a sentence."""
    parts: list[list[str]] = [[]]
    for line in box.splitlines()[1:-1]:
        text = line.strip("│| ")
        if text.strip("─-"):
            parts[-1].append(text)
        else:
            parts.append([])
    said = (" ".join(" ".join(part).split()) for part in parts if part)
    sentences = (text if text.endswith((".", ")", "help")) else f"{text}." for text in said)
    return in_words(" ".join(sentences))


def in_words(said: str) -> str:
    """Return a message of tyro's about a value without its Python: types, tuples, calls."""
    if found := CHOICE.match(said):
        names = ", ".join(re.findall(r"'([^']*)'", found["names"]))
        return (
            f"{found['option']} is {found['value']!r}. One of {names} is expected.{found['more']}"
        )
    if found := SETTING.match(said):
        option = found["name"].replace("_", "-")
        rest = re.sub(r" The default is \w+\(.*?\)\.", "", found["rest"])
        return f"--{option} is {rest}"
    if not (found := VALUE.match(said)):
        return said
    option, problem, more = found["option"], found["problem"], found["more"]
    value = re.search(r"(?:base 10: |to float: |from \[)('[^']*')", problem)
    if value is None:  # written by hrdis, and names the option
        return problem + more
    whole = "int()" in problem or "'int'" in problem
    kind = "A whole number" if whole else "A number"
    return f"{option} is {value[1]}. {kind} is expected.{more}"


def _first_line(value: object) -> str:
    name = type(value).__name__
    return f"{name}: {(type(value).__doc__ or '').splitlines()[0]}"
