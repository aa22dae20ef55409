"""The same message for three audiences: the library speaks Python; the command and the page speak
their own words.
"""

import difflib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable

#: What the library advises in Python, and the same in the options of the command.
PYTHON_TO_OPTIONS = (
    (r"hrdis\.load_prior\(name, label=(\w+)\), or prior\.labelled\(\w+\)", r"--class-label \1"),
    (r"hrdis\.load_prior\(name\)", "leave --class-label out"),
    (r"hrdis\.load_prior\('([^']*)'\)", r"--model \1"),
    (r"hole='alpha'", "--mask-marks transparent"),
    (r"hole='(\w+)'", r"--mask-marks \1"),
    (r"\bstart_from=", "--start-from "),
    (r"\bresume=", "--resume "),
    (r", or TASKS\['[\w-]+'\]\.with_weights\(FILE\)", ""),
    (r",? or \w*Blur\(kernel, boundary='replicate'\)", ""),
    (r",? or SuperResolution\(\d+, kernel='average'\)", ""),
    (r"write it with 255 \* mask", "multiply its values by 255"),
    # Settings are checked as those of their class: "HRDIS: steps is 0, but input should be ...".
    (r"^[A-Za-z][A-Za-z0-9]*: (\w+ is .*, but input should)", r"\1"),
    (
        r"^sigma is (\S+)\. (.*) is expected: \w+\(([\d.]+)\)\.",
        r"--noise is \1. \2 is expected: --noise \3",
    ),
    (
        r"^overlap is (\S+) and tile is (\S+)\. .*",
        r"--overlap is \1 and --tile is \2. An overlap from 0 to less than the tile is expected.",
    ),
    # What is loaded by load_prior is a model to people who write no Python.
    (r"(?<![\w/.'\"-])prior(s?)(?![\w/-]|\.\w)", r"model\1"),
    (r"(?<![\w/.'\"-])Prior(s?)(?![\w/-]|\.\w)", r"Model\1"),
)
#: A sentence that holds a call, an assignment or a name in Python.
PYTHON = re.compile(
    r"\b(hrdis|torch|np|numpy|prior|kernel|image|kernels|problem)\.\w+[.(\[]|\b[\w.]+\([^()\s]+=[^()]*\)"
)

#: What `hrdis.restore` shares with the command says options; the same as arguments.
OPTIONS_TO_PYTHON = (
    (r"hrdis fix --only (\w+)", r'hrdis.fix(picture, only=["\1"])'),
    (r": -o \S+", ""),
    (r"--image-size (\d+) (\d+)", r"size=(\1, \2)"),
    (r"--mask-marks transparent", 'hole="alpha"'),
    (r"--mask-marks", "--hole"), (r"--model", "--prior"), (r"--class-label", "--label"),
    (r"--image-size", "--size"), (r"--no-keep-known", "redraw=True"),
    (r"--max-memory", "--tile-memory"),
    (r"--(noise|samples|tile|label|seed|overlap|scale|quality|bits) (\d[\d.]*)(?=[\s,;:.)]|$)",
     r"\1=\2"),
    (r"--(task|hole|mask|kernel|prior|solver|operator|weights|device|precision) "
     r"(?!is\b|takes\b|needs\b)([\w-]+(?:\.\w+|(?::\d+(?:\.\d+)?)+)?)", r'\1="\2"'),
    (r"--([a-z][a-z-]*)", lambda found: found[1].replace("-", "_")),
)  # fmt: skip

#: What the command advises, and the same in the words of the page.
OPTIONS_TO_PAGE = (
    (r"hrdis fix --only \w+", 'the tab "Fix a photograph"'),
    (r"(?:A value is expected|To take it all the same): --(?:kernel|quality) [\w:.]+",
     "The picture is left as it is."),
    ((
        r": --mask holes\.png \(white where a hole is to be filled\), or --mask-marks transparent "
        r"if the holes are transparent"
    ),
     ": paint over the holes, or choose a mask from a file"),
    (r"use --mask-marks white or --mask-marks black for a painted mask",
    "choose white or black for a painted mask"),
    (r"with --mask-marks transparent", "where the holes are the transparent parts of the picture"),
    (r"(--mask-marks \w+ or )?--mask-marks transparent",
     'choose "the transparent parts of the picture"'),
    (r"--mask-marks (white|black)", r'choose "\1 in a mask from a file"'),
    (r": --kernel kernel\.npy \(or a picture of it\), or --kernel ([^.]*)",
     r": an array (.npy) or a small picture of it, or in words \1"),
    (r"--kernel is", "The kernel of the blur is"), (r"--scale is", "The scale is"),
    (r"--quality is", "The quality is"), (r"--bits is", "The number of bits is"),
    (r"--kernel FILE\.npy gives another", "a kernel from a file gives another"),
    (r"--task denoise needs the strength of the noise: --noise 25 \(grey levels of 255\)",
     "This task needs the strength of the noise: 25 is strong grain, 10 slight grain"),
    (r"--noise is", "The noise is"), (r": --noise ([\d.]+)", r": \1"),
    (r"--noise", "the noise in the picture"),
    (r"--samples is", "The number of restorations is"),
    (r"--class-label (\w+)", r'set "class of the picture" to \1'),
    (r"leave --class-label out", 'leave "class of the picture" empty'),
    (r"--task (\w[\w-]*)", r"the task \1"),
    (r"--solver (\w+)", r"the algorithm \1"),
    (r"\bsolver(s?)\b", r"algorithm\1"), (r"\bSolver(s?)\b", r"Algorithm\1"),
    (r"--model (\S+)", r"the model \1"),
    (r": -o \S+", ""),
    (r"--(\w[\w-]*)", r"\1"),
)  # fmt: skip


class Message(str):
    """A message in the words of Python that also knows those of the command."""

    command: str = ""


def bilingual(python: str, command: str) -> Message:
    """Return a message for Python that `for_command` and `for_page` put in other words.

    For what a pattern cannot translate, because Python names classes and the command does not.
    """
    message = Message(python)
    message.command = command
    return message


def shell_word(path: object) -> str:
    """Return the name of a file as one word of a command line, which no command takes for an
    option.
    """
    name = str(path)
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """Return the message for an unknown name, with the valid names and the closest of them."""
    by_lower_case = {v.lower(): v for v in valid}
    meant = name.lower().replace("+", "plus")
    hint = ""
    if not name.isdigit():
        for near in difflib.get_close_matches(meant, by_lower_case, n=1, cutoff=0.5):
            hint = f" Did you mean {by_lower_case[near]!r}?"
    return f"unknown {kind} {name!r}. Valid names: {', '.join(by_lower_case.values())}.{hint}"


def shown(value: object) -> str:
    """Return a value as a message shows it, numbers and names as they are, others by their type."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    return f"a {type(value).__name__}"


def level_outside() -> int:
    """Return the ``stacklevel`` of a warning that is to point at the first line outside hrdis."""
    level, frame = 0, sys._getframe(1)
    while frame is not None:
        level += 1
        if not frame.f_globals.get("__name__", "").startswith("hrdis."):
            break
        frame = frame.f_back  # type: ignore[assignment]
    return level


def reason(error: BaseException) -> str:
    """Return what an error of the system or of a library says, in one line without its class."""
    if isinstance(error, OSError) and error.strerror:
        file = "" if error.filename is None else f"{error.filename}: "
        return f"{file}{error.strerror}"
    lines = str(error).strip().splitlines()
    if lines:
        return lines[0]
    return "there is not enough memory" if isinstance(error, MemoryError) else "no reason was given"


def one_line(value: object) -> str:
    """Return what somebody else wrote, such as a name or an error of a library, in one line."""
    return " ".join(str(value).split())


def for_command(message: object) -> str:
    """Return a message, or that of an error, in the words of the command: its options instead of
    Python.
    """
    said = str(message)
    if isinstance(message, BaseException):
        first = message.args[0] if message.args else None
        said = getattr(first, "command", None) or said
    if isinstance(message, OSError) and message.strerror:
        said = reason(message)
    for python, option in PYTHON_TO_OPTIONS:
        said = re.sub(python, option, said)
    return said


def for_python(message: object) -> str:
    """Return a message about options of the command in the words of Python: its arguments."""
    said = str(message)
    for option, argument in OPTIONS_TO_PYTHON:
        said = re.sub(option, argument, said)
    return said


def without_python(message: str) -> str:
    """Return a message without the sentences that show Python; the first one stays, as it says what
    is wrong.
    """
    first, *others = re.split(r"(?<=[.!?]) (?=[A-Z])", message)
    return " ".join([first, *(sentence for sentence in others if not PYTHON.search(sentence))])


def for_page(message: object, folders: Iterable[str | os.PathLike[str]] = ()) -> str:
    """Return a message in the words of the page, without the folders its files lie in, which are
    temporary.
    """
    said = without_python(for_command(message))
    for folder in (*folders, tempfile.gettempdir()):
        inside = re.escape(os.fspath(folder).rstrip(os.sep) + os.sep)
        said = re.sub(rf"{inside}(?:[^\s{re.escape(os.sep)}]+{re.escape(os.sep)})*", "", said)
    for option, words in OPTIONS_TO_PAGE:
        said = re.sub(option, words, said)
    return said
