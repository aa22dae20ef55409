"""Every message that the command and the page give while the tests run, and the rules for them.

`tests/conftest.py` collects what `hrdis.cli.main` prints to standard error and what the page says,
and after each test checks it. The rules, for people who write no Python:

- No call ``f(...)``, no argument ``x=...``, no name with underscores, no ``module.name``, no words
  of Python such as None, tuple or ``[Errno 2]``, no class and no exception by its name. A method's
  name as its paper writes it (HRDIS, DDRM, DiffPIR) is prose; where names are listed to choose
  from, they are those that are typed (hrdis, ddrm).
- Python that people wrote themselves is theirs: a message about ``FILE.py:NAME`` may speak Python.
- A path lies in a folder that was typed, or that an environment variable names. The page shows
  none, and no ``--option``.
- Errors of the operating system and of libraries are put in a sentence, in one line.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from hrdis import cli, messages

ROOT = Path(__file__).parents[2]
#: The messages that the documentation lists, with a test that provokes each.
LIST = ROOT / "docs" / "data" / "messages.json"
#: The tests whose messages are listed. Others are checked only.
LISTED = ("tests/cli/", "tests/web/", "tests/checkpoints/test_cards.py")
WRITE = "python -m pytest -n 0 --write-messages"

#: Names with capitals inside that are words for everybody.
PROPER = {
    "DiffPIR", "GiB", "GitHub", "HRDIS beta=0", "HRDIS beta=0.2", "HuggingFace", "ImageNet", "NaN",
    "NumPy", "OpenCV", "PostScript", "PyTorch", "TorchScript", "VinAIResearch", "WebP", "dB",
    "macOS",
}  # fmt: skip
SUFFIXES = (
    r"\.(?:avif|bin|bmp|csv|eps|gif|heic|html|jpe?g|json|jsonl|md|npy|npz|pkl|png|pt|pth|"
    r"safetensors|svg|tex|tiff?|toml|txt|webp|ya?ml|zip)\b"
)
#: What is not looked at: what people typed or named, and addresses.
IGNORED = (
    r"https?://\S+",
    r"\b[\w.-]+\.(?:com|co|org|edu|net)\b(?:/\S*)?",
    r"'[^']*'",
    r'"[^"]*"',
    r"`[^`]*`",
    rf"^[^.]*{SUFFIXES}(?= (?:is|has|holds|cannot|marks|does) )",  # a name may have spaces
    rf"[^\s'\",;()]*{SUFFIXES}",
    r"--[\w-]+(=\S+)?",
    r"The system says: .*",
    r"\bResNet-\d+",  # networks have names
    r"Valid names: (?:[a-z]\w*, )*[a-z]\w*",  # of settings, as programs send them to the page
)
PYTHON = {
    "a call": r"\b[A-Za-z_][\w.]*\((?!s\))",
    "an argument": r"(?<![-\w])[A-Za-z_]\w*=(?!=)",
    "a name with underscores": r"(?<![\w-])_*[a-z]+_\w+",
    "module.name": r"\b[A-Za-z_]\w+\.[a-z_]\w+",
    "a word of Python": (
        r"\b(None|True|False|NoneType|tuple|dict|str|int|float|bool|dtype|ndarray|tensor|kwargs|"
        r"pickle|self|has no attribute|argument|callable|iterable)\b|\[Errno|<class"
    ),
    "a class": r"\b(?:[A-Z]+[a-z]+[A-Z]\w*|[A-Z]{2,}[a-z]{2,}\w*|[a-z]+[A-Z]\w*)",
    "an exception": r"\b\w+(?:Error|Exception|Warning)\b",
    "classes to choose from": r"\b(?:HRDIS|DDRM|DDNM|DPS|GDP), (?:[A-Z]\w+, )*[A-Z]{2}\w+",
    "the word prior, which is a model": r"\b[Pp]riors?\b",
}
PATH = r"(?<![\w.~:/>-])/(?:[\w.+~-]+/)+[\w.+~-]*"


@dataclass(frozen=True)
class Said:
    """A line that somebody was told."""

    where: str  # a command, or "page"
    status: int | None
    message: str
    words: tuple[str, ...] = ()
    """The words of the command line."""
    folders: tuple[str, ...] = ()
    """Folders that may be shown: those of the words, and of environment variables."""


#: What was said since the present test began.
heard: list[Said] = []


class Tee:
    """Standard error, and a copy of what is written to it."""

    def __init__(self, to: TextIO):
        self.to, self.parts = to, list[str]()

    def write(self, text: str) -> int:
        self.parts.append(text)
        return self.to.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.to, name)


def collect() -> None:
    """Collect in `heard` what commands print to standard error and what the page says.

    It has to be called before other modules import `main` or `for_page` by name.
    """
    main, for_page = cli.main, messages.for_page

    def recorded_main(argv: Sequence[str] | None = None) -> int:
        tee, status = Tee(sys.stderr), None
        sys.stderr = tee  # type: ignore[assignment]
        try:
            status = main(argv)
        finally:
            if sys.stderr is tee:
                sys.stderr = tee.to
            words = tuple(sys.argv[1:] if argv is None else argv)
            for line in "".join(tee.parts).splitlines():
                if words and line.strip():
                    heard.append(Said(words[0], status, line, words, (*_folders(words),)))
        return status

    def recorded_page(message: object, folders: Any = ()) -> str:
        said = for_page(message, folders)
        heard.append(Said("page", None, said))
        return said

    cli.main, messages.for_page = recorded_main, recorded_page


def breaches(said: Said) -> list[str]:
    """Return the rules that a line breaks, each with the words that break it."""
    text = said.message.removeprefix(f"hrdis {said.where}: ")
    found = []
    for path in re.findall(PATH, text):
        if not any(path.startswith(folder) for folder in said.folders):
            found.append(f"a path that nobody typed: {path}")
    if said.where == "page" and (option := re.search(r"(?<!\w)--\w[\w-]*", text)):
        found.append(f"an option on the page: {option[0]}")
    own = any(re.search(r"\.py\b", word) for word in (text, *said.words))
    for word in sorted(said.words, key=len, reverse=True):
        if len(word) > 2 and not word.startswith("-"):
            text = text.replace(word, "...")
    for ignored in IGNORED:
        text = re.sub(ignored, "...", text)
    text = re.sub(PATH, "...", text)
    for name in PROPER:
        text = re.sub(rf"\b{name}s?\b", "...", text)
    for rule, pattern in PYTHON.items():
        if (match := re.search(pattern, text)) and not own:
            found.append(f"{rule}: {match[0]}")
    return found


def _folders(words: Sequence[str]) -> Iterator[str]:
    """Yield the folders that may be shown: those of typed paths and of environment variables."""
    for word in words:
        if "/" in word:
            yield str(Path(word.split("=")[-1].split(":")[-1]).parent)
    yield str(Path.cwd())
    yield str(Path(sys.prefix))
    for name in ("HRDIS_HOME", "XDG_CACHE_HOME", "HOME", "HF_HOME"):
        if name in os.environ:
            yield os.environ[name]


# ---- the list -----------------------------------------------------------------------------------


def shown(said: Said) -> str:
    """Return a message as it is listed: without the name of the command and folders of a test."""
    text = said.message.removeprefix(f"hrdis {said.where}: ")
    return re.sub(
        r"/\S*/pytest-[^/\s]+/pytest-\d+/(?:popen-gw\d+/)?(?:[^/\s]+/)?|/tmp/(?:[^/\s]+/)*",
        "",
        text,
    )


def shape(message: str) -> str:
    """Return what two messages share that differ in numbers, hashes, quoted names and lists of
    names alone, or in what torch says of a device, which each of its builds says in its own way.
    """
    message = re.sub(r"(--device \S+ cannot be used) \(.*\)\.", r"\1 ().", message)
    message = re.sub(r"'[^']*'", "''", message)
    message = re.sub(r"\b[0-9a-f]{16,}\b", "0", message)
    message = re.sub(r"\d+(?:\.\d+)?(?:e[-+]\d+)?", "0", message)
    return re.sub(r"(Valid names|can be used): [^.]*", r"\1: ...", message)


@cache
def listed() -> list[dict[str, Any]]:
    """Return the messages that the documentation lists."""
    return json.loads(LIST.read_text(encoding="utf-8")) if LIST.exists() else []


def to_list(test: str) -> list[Said]:
    """Return what was said in a test, of what is listed: no signs of progress, and no single words,
    which are errors that a test made up.
    """
    found = []
    for said in heard:
        message = said.where == "page" or said.message.startswith(f"hrdis {said.where}: ")
        if message and " " in shown(said):
            found.append(said)
    return found if test.startswith(LISTED) else []


def check_rules() -> None:
    """Raise AssertionError if a message of the present test broke a rule."""
    for said in heard:
        if said.where == "tune" and " dB in " in said.message:  # a trial, in settings of Python
            continue
        found = breaches(said)
        assert not found, f"{said.message}\nThe rules of tests/common/messages.py: {found}"


def check_list(test: str) -> None:
    """Raise AssertionError if a message that is listed for this test was not given.

    A message that is not listed yet is no fault: `WRITE` adds it.
    """
    if not LIST.exists():  # not a clone of the repository
        return
    given = {(said.where, shape(shown(said))) for said in to_list(test)}
    stands_for = set()
    for entry in listed():
        if entry["test"] == test:
            stands_for.add((entry["where"], shape(entry["message"])))
    command = f"{WRITE} {test.partition('::')[0]}"
    assert stands_for <= given, f"{command} removes {stands_for - given}"


def is_there(test: str) -> bool:
    """Return True if the function of a test is in its file."""
    file, _, name = test.partition("::")
    if not (ROOT / file).exists():
        return False
    text = (ROOT / file).read_text(encoding="utf-8")
    return f"def {name.split('[')[0]}(" in text


class Writer:
    """Writes the list anew: of what is said while tests run, the first of each shape.

    What tests said that do not run this time stays in the list, if they exist.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], dict[str, Any]] = {}
        self.tests: set[str] = set()

    def note(self, test: str) -> None:
        """Take what was said in a test."""
        self.tests.add(test)
        for said in to_list(test):
            key = (said.where, shape(shown(said)))
            if key not in self.found:
                self.found[key] = {
                    "where": said.where,
                    "status": said.status,
                    "message": shown(said),
                    "test": test,
                }

    def write(self) -> None:
        """Write the list; a message whose shape is known keeps its numbers."""
        for entry in listed():
            key = (entry["where"], shape(entry["message"]))
            if key in self.found:
                self.found[key]["message"] = entry["message"]
            elif entry["test"] not in self.tests and is_there(entry["test"]):
                self.found[key] = entry
        order = sorted(self.found.values(), key=lambda entry: (entry["where"], entry["message"]))
        LIST.write_text(json.dumps(order, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
