"""Write the reference from the code: ``python docs/_site/reference.py``.

A page per command with its options, and the tables of exit statuses, environment variables, older
names and records. GitHub shows the pages as files, so they are committed, and
`tests/test_reference.py` compares them with what this program makes.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from troubleshooting import TROUBLES, trouble
from variables import VARIABLES

from hrdis import cli
from hrdis.cli import parsing, renamed
from hrdis.cli.help import Option, metavar, options_of, strings_of, title, unpacked
from hrdis.fixing.record import FixRecord
from hrdis.repairs import REPAIRS
from hrdis.restoration.record import DamageRecord, Record
from hrdis.solvers import Solver

DOCS = Path(__file__).resolve().parents[1]

#: Commands whose words have pages of options of their own, and their sections.
PARTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "bench": ((), ("report",), ("score",)),
    "check": (("operator",),),
    "list": (("solvers",),),
}
#: Said below the help of a command that has words, of one that reads no options.
BESIDES = {
    "check": "The options of `hrdis check model` are those of [`hrdis model`](model.md).",
    "list": "`hrdis list tasks` and `hrdis list models` have no options.",
}

#: Files that a command writes. A path OUT is what -o names.
WRITES = {
    "fix": "`OUT`, by default `NAME-fixed` beside the picture; its [record](../record.md), which "
    "has `.json` behind the whole name; `OUT.mask.png` where specks and scratches are proposed; "
    "`OUT.kernel.npy` where a blur was undone",
    "restore": "`OUT`; its [record](../record.md) `OUT.json`; with `--samples K` also `OUT-2` to "
    "`OUT-K`, `OUT-mean`, `OUT-uncertainty.png`, `OUT-overview.png`",
    "serve": "temporary files, removed after a day",
    "demo": "pictures in the folder `OUT`, by default `runs/demo`: damaged, restored, original",
    "list": "nothing",
    "cite": "nothing; BibTeX goes to standard output",
    "model": "`add` and `download`: files in the [cache](../environment.md)",
    "train": "the folder `OUT`: model, card, log, curves, sheets",
    "tune": "`OUT`, the settings; `OUT.trials.csv`, every trial",
    "degrade": "`OUT`; its [record](../record.md) `OUT.json`; where they apply `OUT-mask.png` and "
    "`OUT-kernel.npy`",
    "check": "nothing",
    "replay": "nothing",
    "bench": "the folder `OUT` of the run: plan, pictures, `results/*.jsonl`; `report`: a page in "
    "HTML, tables as CSV and LaTeX; `score`: scores in the folder of the run",
}


SETTINGS = """\
The settings of the solver are options too. `hrdis restore --solver NAME --help` lists them with the
defaults that fit the task, as does the [page of the solver](../../../src/hrdis/solvers)."""


# ---- options of commands ------------------------------------------------------------------------


class Captured(Exception):
    """The options of a command, taken where its help would be shown."""


def read_by(words: Sequence[str]) -> tuple[str, type, Mapping[str, Any]]:
    """Return the help of a command, the class of its own options and further groups of them.

    The command runs as far as the place where its words are read, so that what is shown is what is
    read.
    """

    def capture(_: str, description: str, cls: type, groups: Mapping[str, Any]) -> str:
        raise Captured(description, cls, groups)

    real = parsing.help_text
    parsing.help_text = capture
    try:
        cli.main([*words, "--help"])
    except Captured as found:
        description, cls, groups = found.args
        return description, cls, groups
    finally:
        parsing.help_text = real
    raise AssertionError(f"hrdis {' '.join(words)} reads no options")


def option_rows(options: Iterator[Option]) -> Iterator[tuple[str, ...]]:
    """Yield option, values, default and meaning of each option."""
    for option in options:
        shown = ", ".join(f"`{word}`" for word in option.words.split(", "))
        default = f"`{option.default}`" if option.default else ""
        values = _values(option.kind, option.how)
        yield shown, values, "needed" if option.needed else default, option.meaning


def _values(kind: Any, how: Sequence[Any]) -> str:
    """Return what may follow an option."""
    bounds = []
    for one in how:
        for bound in getattr(one, "metadata", [one]):
            for key, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
                if getattr(bound, key, None) is not None:
                    bounds.append(f"{sign} {getattr(bound, key):g}")
    if own := metavar(how):
        return ", ".join(f"`{word}`" for word in own.split("|"))
    usual = {Path: "path", str: "text", int: "whole number", float: "number", bool: ""}
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) in (tuple, list):
        parts = [part for part in get_args(kind) if part is not ...]
        several = "s" if ... in get_args(kind) or get_origin(kind) is list else ""
        return ", ".join(_values(*unpacked(part)) + several for part in parts)
    return " ".join([usual[kind], ", ".join(bounds)]).strip()


#: The head of a table of options.
OPTION = ("option", "value", "default", "meaning")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a bar in a cell stays in it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def command_page(command: str) -> str:
    """Return the page of a command."""
    text = [
        f"# hrdis {command}",
        "[Documentation](../../index.md) · Reference · [all commands](../commands.md)",
        table(("writes", WRITES[command]), ()),
    ]
    if command in BESIDES:
        module = import_module(f"hrdis.cli.{cli.MODULES.get(command, command)}")
        text += [f"```text\n{module.HELP.strip()}\n```", BESIDES[command]]
    for words in PARTS.get(command, ((),)):
        if words:
            text.append(f"## hrdis {' '.join((command, *words))}")
        said, cls, groups = read_by([command, *words])
        text.append(f"```text\n{said.strip()}\n```")
        rows = list(option_rows(options_of(cls)))
        if rows:
            text.append(table(OPTION, rows))
        for values in groups.values():
            if command == "restore" and isinstance(values, Solver):
                text.append(SETTINGS)
                continue
            text.append(f"{title(values)}:")
            text.append(table(OPTION, list(option_rows(options_of(type(values), values)))))
    statuses = []
    for status, says in cli.STATUS.items():
        meaning = says.get(command) or says.get("")
        if meaning and not (command == "serve" and status == 130):  # Ctrl-C is how it ends
            statuses.append((str(status), meaning))
    text += ["## Exit status", table(("status", "means"), statuses)]
    return "\n\n".join(text) + "\n"


# ---- tables within pages ------------------------------------------------------------------------


def record_table(cls: type) -> str:
    """Return the fields of a record."""
    strings = strings_of(cls)
    rows = []
    for name, hint in get_type_hints(cls).items():
        rows.append((f"`{name}`", _json(hint), strings[name]))
    return table(("field", "type", "holds"), rows)


def _json(hint: Any) -> str:
    """Return a type in the words of JSON."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_json(kind) for kind in get_args(hint))
    if get_origin(hint) is list:
        inner = _json(get_args(hint)[0])
        # "list of lists of numbers"
        return f"list of lists{inner[4:]}" if inner.startswith("list") else f"list of {inner}s"
    words = {str: "string", int: "number", float: "number", bool: "true or false", NoneType: "null"}
    return words.get(hint, "object")


def commands_table() -> str:
    rows = []
    for command, says in cli.COMMANDS.items():
        writes = WRITES[command].replace("](../", "](")
        rows.append((f"[`hrdis {command}`](commands/{command}.md)", says, writes))
    return table(("command", "does", "writes"), rows)


def tasks_table() -> str:
    rows = []
    for name, repair in REPAIRS.items():
        rows.append((f"`{name}`", repair.summary, f"`{repair.options}`" if repair.options else ""))
    return table(("`--task`", "does", "its options"), rows)


def status_table() -> str:
    rows = []
    for status, says in cli.STATUS.items():
        for command, meaning in says.items():
            rows.append((str(status), f"`{command}`" if command else "", meaning))
    return table(("status", "command", "means"), rows)


def older_table() -> str:
    rows = []
    for old, new in renamed.COMMANDS.items():
        rows.append((f"`hrdis {' '.join(old)}`", f"`hrdis {' '.join(new)}`"))
    for command, options in renamed.OPTIONS.items():
        for old_option, found in options.items():
            values = "".join(f", `{was}` is `{now}`" for was, now in found.values)
            rows.append((f"`hrdis {command} {old_option}`", f"`{found.new}`{values}"))
    return table(("older", "now"), rows)


def variables_table() -> str:
    rows = [(f"`{name}`", says) for name, (_, says) in VARIABLES.items()]
    return table(("variable", "effect"), rows)


def troubles_table() -> str:
    rows = [(f"`{message}`", why, todo) for message, why, todo in TROUBLES]
    return table(("message", "why", "what to do"), rows)


def elided(message: str) -> str:
    """Return a message whose list of names is cut after the third."""
    cut = r"((?:Valid names|can be used): (?:[^,.]+, ){3})[^.]*"
    return re.sub(cut, r"\1...", message)


def messages_page() -> str:
    """Return the page of all messages, by what gives them."""
    entries: dict[str, list[tuple[str, str, str]]] = {}
    for entry in json.loads((DOCS / "data" / "messages.json").read_text(encoding="utf-8")):
        status = "" if entry["status"] is None else str(entry["status"])
        message = elided(entry["message"])
        mark = "``" if "`" in message else "`"  # a message that quotes a command holds backticks
        space = " " if "`" in message else ""
        shown = f"{mark}{space}{message}{space}{mark}"
        found = trouble(entry["message"])
        more = "" if found is None else f"{found[0]}: {found[1]}".replace("](", "](../how-to/")
        more = more.replace("../how-to/../", "../")
        entries.setdefault(entry["where"], []).append((shown, status, more))
    text = [
        "# Messages",
        "[Documentation](../index.md) · Reference · [the frequent ones](../how-to/help.md)",
        "The tests provoke these messages, and check that each is one line in plain words. Names "
        "and numbers are those of the tests. The status is the "
        "[exit status](commands.md#exit-status) of the command; a message of status 0 is a hint. "
        "Messages about Python files of your own may show Python.",
    ]
    for where in (*cli.COMMANDS, "page"):
        if where in entries:
            text.append("## The browser page" if where == "page" else f"## hrdis {where}")
            header = ("message", "status", "more")
            text.append(table(header, entries.pop(where)))
    others = [row for rows in entries.values() for row in rows]
    if others:
        text += ["## Of a command that is none", table(("message", "status", "more"), others)]
    return "\n\n".join(text) + "\n"


def between(text: str, section: str, content: str) -> str:
    """Return a page with new content between ``<!-- section -->`` and ``<!-- /section -->``."""
    begin, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    head, rest = text.split(begin)
    return f"{head}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"


#: The tables that stand in pages written by hand: page, mark, and what makes the table.
TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("reference/commands.md", "commands"): commands_table,
    ("reference/commands.md", "tasks"): tasks_table,
    ("reference/commands.md", "older"): older_table,
    ("reference/commands.md", "status"): status_table,
    ("reference/environment.md", "variables"): variables_table,
    ("reference/record.md", "restoration"): partial(record_table, Record),
    ("reference/record.md", "damage"): partial(record_table, DamageRecord),
    ("reference/record.md", "fix"): partial(record_table, FixRecord),
    ("how-to/help.md", "troubles"): troubles_table,
}


def pages() -> dict[Path, str]:
    """Return every page that is made, wholly or in part, by its path."""
    made = {DOCS / "reference" / "messages.md": messages_page()}
    for command in cli.COMMANDS:
        made[DOCS / "reference" / "commands" / f"{command}.md"] = command_page(command)
    for (page, section), content in TABLES.items():
        path = DOCS / page
        text = made.get(path) or path.read_text(encoding="utf-8")
        made[path] = between(text, section, content())
    return made


def main() -> None:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
