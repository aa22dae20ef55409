"""From rows to tables: for every method, task and metric our value, the paper's, and the
difference.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ..paper import numbers as paper
from ..results import Selection, Variant, variants
from ..run.collect import Gathered
from .layout import Entry, Head, Line, Table
from .metrics import METRICS, printed, value
from .statistics import Estimate, estimate, marks

LABELS: dict[Selection, str] = {
    "oracle": "best of {k} by PSNR (oracle)",
    "residual": "best of {k} by residual",
    "each": "mean over {k} seeds",
}


def summarize(run: Gathered) -> list[Table]:
    """All tables that the runs were made for, in the order of their numbers.

    A table that several folders have (its shards, or the columns of two data sets) appears once.
    """
    found = {member.id: member for member in variants(_with_overhead(run.rows))}
    described: dict[str, dict[str, Any]] = {}
    for config in run.configs.values():
        for table in config.get("tables", []):
            _merge(described, table, config)
    order = {"table": 0, "figure": 1}

    def place(name: str) -> tuple[int, int, str]:
        kind, _, number = name.partition(" ")
        return order.get(kind, 2), int(number.split()[0]) if kind in order else 0, name

    tables = [_table(described[name], found, run) for name in sorted(described, key=place)]
    return [table for table in tables if table.lines]


def _with_overhead(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows, with the ratio of their time to that of their network calls alone where both were
    measured.
    """
    timed = ("seconds", "nfe", "call_seconds")
    return [
        row | {"overhead": row["seconds"] / (row["nfe"] * row["call_seconds"])}
        if all(map(row.get, timed))
        else row
        for row in rows
    ]


def _merge(
    described: dict[str, dict[str, Any]], table: Mapping[str, Any], config: Mapping[str, Any]
) -> None:
    """Add a table of a config to those there are: to one of the same name unless they disagree
    about a cell.
    """
    prior = config.get("prior", {}).get("name", "?")
    for name in (
        table["name"],
        f"{table['name']} ({prior})",
        *(f"{table['name']} ({prior}, {n})" for n in range(2, 99)),
    ):
        old = described.get(name)
        if old is None:
            described[name] = {**table, "name": name}
            return
        known = {_where(entry): entry for entry in old["entries"]}
        new = {_where(entry): entry for entry in table["entries"]}
        if all(
            known[where].get("variant") == new[where].get("variant") for where in {*known} & {*new}
        ):
            old["entries"] = list((known | new).values())
            for part in ("rows", "columns"):
                old[part] = [*old[part], *(item for item in table[part] if item not in old[part])]
            return


def _where(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return entry["row"], entry["dataset"], entry["column"]


def _table(described: Mapping[str, Any], found: Mapping[str, Variant], run: Gathered) -> Table:
    heads = tuple(_head(column) for column in described["columns"])
    entries = {_where(entry): entry for entry in described["entries"]}
    table = Table(described["name"], described["caption"], described.get("note", ""), heads)
    grid: dict[tuple[str, int], Variant | str] = {}
    for row in described["rows"]:
        for i, head in enumerate(heads):
            entry = entries.get((row["label"], head.dataset, head.name), {})
            grid[row["label"], i] = (
                found.get(entry.get("variant", "")) or entry.get("missing") or "not run yet"
            )
    members = {where: member for where, member in grid.items() if isinstance(member, Variant)}
    pictures = [
        {p for (_, j), m in members.items() if j == i for p in m.images} for i in range(len(heads))
    ]
    lines = [
        line
        for row in described["rows"]
        for line in _lines(
            row["label"], [grid[row["label"], i] for i in range(len(heads))], table, run, pictures
        )
    ]
    lines += _originals(heads, members)
    settings: dict[str, Mapping[str, Any]] = {
        row["label"]: {"solver": row["solver"], **row["settings"]} for row in described["rows"]
    }
    return replace(table, lines=tuple(_marked(lines)), variants=members, settings=settings)


def _head(column: Mapping[str, Any]) -> Head:
    metrics = [*column["metrics"]]
    if column["task"] == "phase":
        metrics += [f"{m} aligned" for m in ("PSNR", "SSIM") if m in metrics]
    metrics += ["calls", "overhead"] if "time_s_per_img" in metrics else []
    name, task, noise = column["name"], column["task"], column["noise"]
    return Head(column["dataset"], name, paper.TITLES.get(name, name), task, noise, tuple(metrics))


def _originals(heads: Sequence[Head], members: Mapping[tuple[str, int], Variant]) -> list[Line]:
    """A line of the accuracy on the undamaged originals, where it is known: what CA can reach."""
    entries: dict[tuple[int, str], Entry] = {}
    counts = set()
    for i, head in enumerate(heads):
        rows = {
            r["truth"]: r["ca_clean"]
            for (_, j), m in members.items()
            if j == i
            for r in m.finished
            if "ca_clean" in r
        }
        if "CA" in head.metrics and rows:
            found = estimate(list(rows.values()))
            entries[i, "CA"] = Entry(found, printed(found.value, "CA"))
            counts.add(found.n)
    return [Line("originals", "not restored", 0, entries, _span(counts), "", 0)] if entries else []


def _lines(
    label: str,
    mine: Sequence[Variant | str],
    table: Table,
    run: Gathered,
    pictures: Sequence[set[str]],
) -> list[Line]:
    """The line of a method, and one for each further way to choose among its seeds (phase
    retrieval).
    """
    ways = max((m.selections for m in mine if isinstance(m, Variant)), key=len, default=("each",))
    k = max(
        (len(m.seeds) for m in mine if isinstance(m, Variant) and m.selections == ways), default=1
    )
    lines = []
    for place, how in enumerate(ways):
        entries: dict[tuple[int, str], Entry] = {}
        shown = []
        for i, member in enumerate(mine):
            if isinstance(member, Variant):
                if place >= len(member.selections):
                    continue
                shown.append(member)
            for metric in table.heads[i].metrics:
                found = (
                    value(member, member.selections[place], metric, run)
                    if isinstance(member, Variant)
                    else member
                )
                if place == 0 or isinstance(member, Variant):
                    entries[i, metric] = _entry(
                        found, member, pictures[i], metric, _paper(table, i, label, metric, place)
                    )
        lines.append(
            Line(
                label,
                LABELS[how].format(k=k) if len(ways) > 1 else "",
                place,
                entries,
                _span(len(m.images) for m in shown),
                _span(len(m.seeds) for m in shown),
                sum(m.failed for m in shown),
            )
        )
    return lines


def _paper(table: Table, i: int, label: str, metric: str, place: int) -> str:
    """The paper's number, beside the first line of a method."""
    head = table.heads[i]
    return (
        (paper.printed(table.number, head.dataset, head.name, label, metric) or "")
        if place == 0
        else ""
    )


def _entry(
    found: Estimate | str, member: Variant | str, pictures: set[str], metric: str, theirs: str
) -> Entry:
    if isinstance(found, str) or isinstance(member, str):
        return Entry(paper=theirs, reason=str(found))
    text = printed(found.value, metric)
    whole = found.n == len(pictures) and not member.failed
    what = METRICS[metric]
    difference = difference_of(text, theirs)
    better = (
        None if not difference or what.lower is None else (Decimal(difference) < 0) == what.lower
    )
    limits = (
        ""
        if whole
        else (
            f"over {found.n} of the column's {len(pictures)} pictures, {member.failed} cells "
            "failed; not ranked"
        )
    )
    if difference and Decimal(difference) == 0:
        better = None
    return Entry(
        found, text, theirs, difference, better, "", limits, whole and what.lower is not None
    )


def difference_of(ours: str, theirs: str) -> str:
    """Ours minus theirs, both as printed, with as many decimals as the one that has more; ""
    without one of them.

    Example:
        >>> difference_of("26.5", "26.79"), difference_of("0.12", ""), difference_of("1.0", "1.0")
        ('-0.29', '', '0.0')
    """
    if not ours or not theirs:
        return ""
    difference = Decimal(ours) - Decimal(theirs)
    return f"{difference:+}" if difference else f"{abs(difference)}"


def _marked(lines: Sequence[Line]) -> list[Line]:
    """Best and second of every column, first lines among each other."""
    entries = [dict(line.entries) for line in lines]
    for place, where in {(line.place, where) for line in lines for where in line.entries}:
        chosen = [
            n for n, line in enumerate(lines) if line.place == place and where in line.entries
        ]
        ranked = [entries[n][where].text if entries[n][where].ranked else None for n in chosen]
        for n, mark in zip(chosen, marks(ranked, bool(METRICS[where[1]].lower)), strict=True):
            entries[n][where] = replace(entries[n][where], mark=mark)
    return [replace(line, entries=mine) for line, mine in zip(lines, entries, strict=True)]


def _span(counts: Iterable[int]) -> str:
    """10, or 8-10 where tasks differ."""
    found = sorted(set(counts))
    return "" if not found else str(found[0]) if len(found) == 1 else f"{found[0]}-{found[-1]}"


def settings_table(run: Gathered) -> Table | None:
    """Table 5: the settings of HRDIS, the paper's beside those of our presets of that name."""
    ours = {
        (r["task"], r["parameter"]): r["value"]
        for c in run.configs.values()
        for r in c.get("settings", [])
    }
    if not ours:
        return None
    tasks = list(dict.fromkeys(number.task for number in paper.numbers(5)))
    parameters = tuple(dict.fromkeys(number.metric for number in paper.numbers(5)))
    heads = tuple(
        Head("", task, paper.TITLES.get(task, task), task, "none", parameters) for task in tasks
    )
    entries = {}
    for i, task in enumerate(tasks):
        for name in parameters:
            found, theirs = ours.get((task, name)), paper.printed(5, "", task, "HRDIS", name) or ""
            text = "" if found is None else f"{found:g}"
            entries[i, name] = Entry(
                None, text, theirs, difference_of(text, theirs), reason="" if text else "no preset"
            )
    line = Line("HRDIS", "", 0, entries, "", "", 0)
    return Table(
        "table 5", "Settings of HRDIS: the paper's and our presets of its tasks", "", heads, (line,)
    )
