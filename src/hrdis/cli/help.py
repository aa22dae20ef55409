"""Help texts of the commands, in plain words, from the classes of their options."""

import ast
import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

#: What stands for a value whose option names none of its own.
PLACES = {"Path": "PATH", "str": "TEXT", "int": "N", "float": "NUMBER"}
#: Lines are at most so wide, whatever the terminal is.
WIDEST = 100
#: Options whose words take more columns have their meaning below them.
COLUMN = 24


@dataclass(frozen=True)
class Option:
    """One option of a command, or one of the words behind its name.

    Args:
        words: what is typed, such as ``-o, --output``; the place of a word behind the command.
        positional: True for such a word.
        several: True if more than one may be given.
        needed: True if the command does not run without it.
        value: what stands for its value, such as ``FILE``; "" for a switch.
        default: the value without it; "" where there is none to show.
        meaning: the string below the field of the class.
        kind: its type, without None and without annotations.
        how: what its annotations hold.
    """

    words: str
    positional: bool
    several: bool
    needed: bool
    value: str
    default: str
    meaning: str
    kind: Any
    how: Sequence[Any]


def strings_of(cls: type) -> dict[str, str]:
    """Return the string below each field of a class, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def options_of(cls: type, defaults: Any = None) -> Iterator[Option]:
    """Yield the options of a class, the words behind the command first.

    Args:
        defaults: an instance whose values are the defaults; None for those of the class.
    """
    hints = get_type_hints(cls, include_extras=True)
    strings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("hrdis."):
            strings |= strings_of(base)
    positional: list[Option] = []
    named: list[Option] = []
    for field in fields(cls):
        default = field.default if defaults is None else getattr(defaults, field.name)
        if default is MISSING and field.default_factory is not MISSING:
            default = field.default_factory()
        kind, how = unpacked(hints[field.name])
        behind = any("Positional" in repr(one) for one in how)
        value = value_of(kind, how)
        meaning = strings[field.name].replace("``", "")
        if kind is bool and default is True:
            meaning = f"Turn this off: {meaning[0].lower()}{meaning[1:]}"
        option = Option(
            words=value if behind else words_of(field.name, kind, default, how),
            positional=behind,
            several=get_origin(kind) is list or ... in get_args(kind),
            needed=default is MISSING,
            value=value,
            default=default_of(default, how),
            meaning=meaning,
            kind=kind,
            how=how,
        )
        (positional if behind else named).append(option)
    yield from positional
    yield from named


def unpacked(hint: Any) -> tuple[Any, list[Any]]:
    """Return a type without None and without what Annotated adds, and the latter."""
    how: list[Any] = []
    while get_origin(hint) in (Annotated, Union, UnionType):
        if get_origin(hint) is Annotated:
            how += get_args(hint)[1:]
            hint = get_args(hint)[0]
            continue
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        if len(kinds) > 1:
            break
        hint = kinds[0]
    return hint, how


def metavar(how: Sequence[Any]) -> str:
    """Return what an option itself says of its value; "" if it says nothing."""
    for one in how:
        if getattr(one, "metavar", None):
            return str(one.metavar).strip("{}").replace(",", "|")
    return ""


def value_of(kind: Any, how: Sequence[Any]) -> str:
    """Return what stands for the value of an option."""
    if kind is bool:
        return ""
    if own := metavar(how):
        return own
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if get_origin(kind) in (tuple, list):
        parts = [unpacked(part) for part in get_args(kind) if part is not ...]
        return " ".join(value_of(*part) for part in parts)
    return PLACES[kind.__name__]


def words_of(field: str, kind: Any, default: Any, how: Sequence[Any]) -> str:
    """Return the words of an option, the short one first."""
    option, short = field.replace("_", "-"), ()
    for one in how:
        option = getattr(one, "name", None) or option
        short = getattr(one, "aliases", None) or short
    if kind is bool and default is True:
        option = f"no-{option}"
    return ", ".join((*short, f"--{option}"))


def default_of(default: Any, how: Sequence[Any]) -> str:
    if default is MISSING or default is None or isinstance(default, bool) or default in ("", ()):
        return ""
    for one in how:
        if getattr(one, "str_from_instance", None):
            return str(one.str_from_instance(default)[0])
    if isinstance(default, tuple | list):
        return " ".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


# ---- the page -----------------------------------------------------------------------------------


def help_text(command: str, text: str, cls: type, groups: Mapping[str, Any]) -> str:
    """Return the help of a command, as wide as the terminal.

    Args:
        command: its name.
        text: what it does, examples, and what else there is to know, with blank lines between.
        cls: its own options.
        groups: further groups of options, each an instance with its defaults.
    """
    width = min(shutil.get_terminal_size().columns, WIDEST)
    own = list(options_of(cls))
    parts = [usage(command, own, width), *paragraphs(text, width)]
    if behind := [option for option in own if option.positional]:
        parts.append("\n".join(lines_of(behind, width)))
    named = [option for option in own if not option.positional]
    helped = Option("-h, --help", False, False, False, "", "", "Show this help.", bool, ())
    parts.append("\n".join(["Options:", *lines_of([helped, *named], width)]))
    for values in groups.values():
        above = textwrap.fill(f"{title(values)}:", width)
        parts.append("\n".join([above, *lines_of(list(options_of(type(values), values)), width)]))
    return "\n\n".join(parts)


def title(values: Any) -> str:
    """Return what a group of options is: a solver, or the first line of its class's docstring."""
    said = (type(values).__doc__ or "").split("\n\n")[0]
    said = " ".join(said.split()).rstrip(".")
    if summary := getattr(values, "summary", ""):
        return f"Settings of the solver {values.name} ({summary})"
    return said


def usage(command: str, options: Sequence[Option], width: int) -> str:
    words = []
    for option in options:
        if option.positional:
            again = f"[{option.value} ...]" if option.several else ""
            if option.needed:
                words.append(f"{option.value} {again}".rstrip())
            else:
                words.append(again or f"[{option.value}]")
    for option in options:
        if option.needed and not option.positional:
            words.append(f"{option.words.split(', ')[0]} {option.value}")
    line = " ".join(["usage: hrdis", command, *words, "[options]"])
    return textwrap.fill(line, width, subsequent_indent=" " * 7, break_on_hyphens=False)


def paragraphs(text: str, width: int) -> Iterator[str]:
    """Yield the paragraphs of a text, each filled to the width; examples stay as they are."""
    for block in text.strip().split("\n\n"):
        if re.search(r"^ ", block, re.M):
            yield block
        else:
            yield textwrap.fill(" ".join(block.split()), width, break_on_hyphens=False)


def lines_of(options: Sequence[Option], width: int) -> Iterator[str]:
    """Yield the lines of options, with their meanings in a column.

    A default that the meaning tells is not said again.
    """
    for option in options:
        shown = option.words
        if option.value and not option.positional:
            shown += f" {option.value}" + (" ..." if option.several else "")
        meaning = option.meaning
        if option.needed and not option.positional:
            meaning += " (needed)"
        elif option.default and "by default" not in meaning.lower():
            meaning += f" (default: {option.default})"
        room = width - COLUMN
        filled = textwrap.wrap(meaning, room, break_on_hyphens=False, break_long_words=False)
        if len(shown) > COLUMN - 4:  # two columns before it, two behind
            yield f"  {shown}"
        else:
            yield f"  {shown:<{COLUMN - 2}}{filled.pop(0)}"
        for line in filled:
            yield " " * COLUMN + line
