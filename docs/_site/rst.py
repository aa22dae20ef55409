"""Pieces of reStructuredText, as lists of lines."""

import textwrap
from collections.abc import Iterable, Sequence


def heading(text: str, mark: str = "=") -> list[str]:
    return [text, mark * len(text), ""]


def indented(lines: Iterable[str], by: int = 3) -> list[str]:
    return [" " * by + line if line.strip() else "" for line in lines]


def directive(name: str, argument: str, lines: Iterable[str], **options: str) -> list[str]:
    said = [f":{key.replace('_', '-')}: {value}".rstrip() for key, value in options.items()]
    return [f".. {name}:: {argument}".rstrip(), *indented(said), "", *indented(lines), ""]


def table(rows: Sequence[Sequence[str]], header: bool = True, kind: str = "") -> list[str]:
    lines = []
    for row in rows:
        for i, cell in enumerate(row):
            first, *rest = cell.splitlines() or [""]
            lines += [f"{'* -' if i == 0 else '  -'} {first}".rstrip(), *indented(rest, 4)]
    options = {"header_rows": "1"} if header else {}
    return directive("list-table", "", lines, **options, **({"class": kind} if kind else {}))


def code(source: str, language: str = "python") -> list[str]:
    return directive("code-block", language, textwrap.dedent(source).splitlines())
