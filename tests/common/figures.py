"""Measured figures in the documentation, and the files that they come from.

``docs/data/figures.toml`` has two lists. A ``[[setting]]`` is a pattern of numbers that nobody
measured (a level of noise, a licence). A ``[[claim]]`` is a pattern with one group per figure, and
one source per group; what its sources share stands in ``base``. Patterns are searched in the text
of every page, so that a sentence may move.
"""

import csv
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "data" / "figures.toml"

#: What counts as a figure: a number with a fraction or an exponent, or one before such a word.
UNITS = (
    r"dB|%|times|kB|MB|GB|MiB|GiB|ms|s|seconds|minutes|hours|days|kills|faults|trials|runs|million"
    r"|thousand|standard deviations?|(?:levels )?of \d+"
)
FIGURE = re.compile(
    r"(?<![\w.,/=-])\d+(?:\.\d+(?!\.?\d)|e-\d+|(?= (?:to|and|or) \d+ (?:dB|%|times))"
    rf"|(?= ?(?:{UNITS})(?!\w)))"
)

#: What becomes of several numbers, in rising order.
TAKE: dict[str, Callable[[list[float]], float]] = {
    "mean": lambda values: sum(values) / len(values),
    "sum": sum,
    "count": len,
    "positive": lambda values: sum(value > 0 for value in values),
    "least": lambda values: values[0],
    "second least": lambda values: values[1],
    "most": lambda values: values[-1],
    "second most": lambda values: values[-2],
}


def prose(text: str) -> str:
    """Return the text of a page on one line, without code, pictures and what a study wrote."""
    text = re.sub(r"^```.*?^```", " ", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!-- ([\w/-]+) -->.*?<!-- /\1 -->", " ", text, flags=re.DOTALL)
    text = re.sub(r"!\[.*?\]\(.*?\)", " ", text, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]+`", "CODE", text)
    return " ".join(text.replace("**", "").split())


def number(text: str) -> float:
    """Return the first number of a cell such as "+0.59 dB"."""
    found = re.search(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text)
    return float(found[0]) if found else float("nan")


def markdown_rows(text: str, block: str) -> Iterator[dict[str, str]]:
    """Yield the rows of every table between the markers of a block."""
    found = re.search(rf"<!-- {block} -->(.*?)<!-- /{block} -->", text, flags=re.DOTALL)
    if not found:
        raise ValueError(f"There is no block {block!r} on the page.")
    head: list[str] = []
    for line in found[1].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            head = []
        elif not head:
            head = cells
        elif not set(cells[0]) <= set("-: "):
            yield dict(zip(head, cells, strict=False))


def selected(source: dict[str, Any]) -> list[dict[str, str]]:
    """Return the rows of a CSV file, or of a page's table, that have the values of ``where``."""
    path = ROOT / source["file"]
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        rows = list(markdown_rows(text, source["block"]))
    else:
        rows = list(csv.DictReader(text.splitlines()))
    where, without = source.get("where", {}), source.get("without", {})
    found = []
    for row in rows:
        wanted = all(row.get(key) in listed(value) for key, value in where.items())
        if wanted and not any(row.get(key) in listed(value) for key, value in without.items()):
            found.append(row)
    return found


def listed(value: str | list[str]) -> list[str]:
    """Return the values of a column that are meant: one or several."""
    return [value] if isinstance(value, str) else value


def measured(source: dict[str, Any]) -> float:
    """Return the number that a source stands for.

    Its keys: ``file``; ``find`` (a pattern in the text, whose first group is the number), or
    ``key`` (of a JSON file; ``*`` is every key), or ``bytes`` (the size of the file), or
    ``lines`` (how many match a pattern), or ``where``, ``without`` and ``column`` (of a table; in a
    page, of those in ``block``). ``minus`` and
    ``over`` name a second column. ``take`` says what becomes of several numbers; ``than`` has what
    is different in a source to subtract; ``scale`` and ``offset`` come last.
    """
    path = ROOT / source["file"]
    text = "" if "bytes" in source else path.read_text(encoding="utf-8")
    if "bytes" in source:
        values = [float(path.stat().st_size)]
    elif "lines" in source:
        values = [float(len(re.findall(source["lines"], text, flags=re.MULTILINE)))]
    elif "find" in source:
        found = re.search(source["find"], " ".join(text.split()))
        values = [float(found[1])] if found else []
    elif "key" in source:
        values = list(picked(json.loads(text), source["key"]))
    else:
        values = []
        for row in selected(source):
            if row.get(source["column"], "") not in ("", "nan"):
                value = number(row[source["column"]])
                if "minus" in source:
                    value -= number(row[source["minus"]])
                if "over" in source:
                    value /= number(row[source["over"]])
                values.append(value)
    if not values:
        raise ValueError(f"Nothing in {source['file']} answers to {source}.")
    value = TAKE[source.get("take", "mean")](sorted(values))
    if "than" in source:
        other = {**source, **source["than"]}
        value -= measured({key: other[key] for key in other if key not in ("than", "scale")})
    return float(value) * source.get("scale", 1) + source.get("offset", 0)


def picked(tree: Any, key: str) -> Iterator[float]:
    """Yield the numbers under a path of keys such as ``*.kills``."""
    head, _, rest = key.partition(".")
    for branch in tree.values() if head == "*" else [tree[head]]:
        if rest:
            yield from picked(branch, rest)
        else:
            yield float(branch)


@dataclass(frozen=True)
class Claim:
    """A pattern of sentences with figures, and where each figure comes from."""

    pattern: str
    sources: list[dict[str, Any]]

    def wrong(self, text: str) -> Iterator[str]:
        """Yield every figure of the text that is not its source's number, rounded as it is."""
        for found in re.finditer(self.pattern, text):
            for said, source in zip(found.groups(), self.sources, strict=True):
                if said is None:  # in the other half of an alternative
                    continue
                # half of the last digit; a source may name a coarser step ("20 to 30 %")
                step = source.get("step", last_digit(said))
                value = measured(source)
                if not abs(float(said) - value) <= step / 2 * (1 + 1e-6) + 1e-12:
                    yield f"{said} is {value:.5g} in {source['file']}: ...{found[0]}..."


def last_digit(said: str) -> float:
    """Return what one in the last digit of a number is worth: 0.01 of 3.14, 1e-06 of 9e-06."""
    mantissa, _, exponent = said.partition("e")
    return float(10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])))


def load() -> tuple[list[Claim], list[str]]:
    """Return the claims and the patterns of settings."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    claims = [Claim(entry["pattern"], whole(entry)) for entry in table["claim"]]
    return claims, [entry["pattern"] for entry in table["setting"]]


def whole(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the sources of a claim, each with what ``base`` says for all of them."""
    base = entry.get("base", {})
    sources = []
    for source in entry["sources"]:
        where = {**base.get("where", {}), **source.get("where", {})}
        sources.append({**base, **source, **({"where": where} if where else {})})
    return sources


def unsourced(text: str, patterns: list[str]) -> list[str]:
    """Return every figure that no pattern covers, with the words before and after it."""
    covered = set()
    for pattern in patterns:
        for found in re.finditer(pattern, text):
            covered |= set(range(*found.span()))
    left = []
    for figure in FIGURE.finditer(text):
        if figure.start() not in covered:
            before = text[: figure.start()].split()[-2:]
            after = text[figure.end() :].split()[:2]
            left.append(" ".join([*before, figure[0], *after]))
    return left
