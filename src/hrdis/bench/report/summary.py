"""Tables of the report from rows: for every method, task and metric our value, the paper's, and the
difference.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from .. import paper
from ..results import MethodResults, Results, Selection, group_by_method
from .layout import ColumnGroup, ReportTable, TableCell, TableRow
from .metrics import METRICS, printed, value, with_own
from .statistics import estimate, marks

SELECTION_TITLES: dict[Selection, str] = {
    "oracle": "best of {k} by PSNR (oracle)",
    "residual": "best of {k} by residual",
    "each": "mean over {k} seeds",
}


def summarize(run: Results) -> list[ReportTable]:
    """Return all tables that the runs were made for, in the order of their numbers.

    A table that several folders have (its shards, or the columns of two data sets) appears once.
    """
    rows = []
    for row in run.rows:
        seconds, calls, each = row.get("seconds"), row.get("nfe"), row.get("call_seconds")
        if seconds and calls and each:  # its time over that of its network calls alone
            row = row | {"overhead": seconds / (calls * each)}
        rows.append(row)
    by_id = {method.id: method for method in group_by_method(rows)}
    described: dict[str, dict[str, Any]] = {}
    for config in run.configs.values():
        for table in config.get("tables", []):
            _merge(described, table, config)
    tables = []
    for name in sorted(described, key=_order):
        table = _table(described[name], by_id, run)
        if table.rows:
            tables.append(table)
    return tables


def _order(name: str) -> tuple[int, int, str]:
    """Return the sorting key of a table's name: tables, figures, plans; by number."""
    kind, _, number = name.partition(" ")
    if kind not in ("table", "figure"):
        return 2, 0, name
    return int(kind == "figure"), int(number.split()[0]), name


def _merge(
    described: dict[str, dict[str, Any]], table: Mapping[str, Any], config: Mapping[str, Any]
) -> None:
    """Add a table of a config to those there are.

    It joins one of the same name. If the two disagree about an entry, it appears under its prior's
    name instead.
    """
    prior = config.get("prior", {}).get("name", "?")
    names = [table["name"], f"{table['name']} ({prior})"]
    for n in range(2, 99):
        names.append(f"{table['name']} ({prior}, {n})")
    for name in names:
        old = described.get(name)
        if old is None:
            described[name] = {**table, "name": name}
            return
        known, new = _by_place(old["entries"]), _by_place(table["entries"])
        both = known.keys() & new.keys()
        if any(known[place].get("variant") != new[place].get("variant") for place in both):
            continue
        old["entries"] = list((known | new).values())
        for part in ("rows", "columns"):
            old[part] = list(old[part])  # not the list of the config itself
            for item in table[part]:
                if item not in old[part]:
                    old[part].append(item)
        return


def _by_place(entries: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str], Any]:
    """Return the entries of a table by their rows and columns."""
    found = {}
    for entry in entries:
        found[entry["row"], entry["dataset"], entry["column"]] = entry
    return found


def _table(
    described: Mapping[str, Any], by_id: Mapping[str, MethodResults], run: Results
) -> ReportTable:
    groups = []
    for column in described["columns"]:
        metrics = []
        for metric in with_own(column["metrics"], run, beside=_order(described["name"])[0] < 2):
            # A config of another version, or one that was changed, may name others.
            if metric in METRICS:
                metrics.append(metric)
        if column["task"] == "phase":
            # Magnitudes cannot tell a picture from its flipped or shifted copies.
            for metric in ("PSNR", "SSIM"):
                if metric in metrics:
                    metrics.append(f"{metric} aligned")
        if "time_s_per_img" in metrics:
            metrics += ["calls", "overhead"]
        name = column["name"]
        group = ColumnGroup(
            column["dataset"], name, paper.TITLES.get(name, name), column["task"],
            column["noise"], tuple(metrics),
        )  # fmt: skip
        groups.append(group)
    entries = _by_place(described["entries"])
    # The results of each method in each group, or the reason why there are none.
    found: dict[str, list[MethodResults | str]] = {}
    methods: dict[tuple[str, int], MethodResults] = {}
    settings: dict[str, Mapping[str, Any]] = {}
    pictures: list[set[str]] = [set() for _ in groups]
    for row in described["rows"]:
        label = row["label"]
        settings[label] = {"solver": row["solver"], **row["settings"]}
        found[label] = []
        for i, group in enumerate(groups):
            entry = entries.get((label, group.dataset, group.name), {})
            method = by_id.get(entry.get("variant", ""))
            if method is None:
                found[label].append(entry.get("missing") or "not run yet")
            else:
                found[label].append(method)
                methods[label, i] = method
                pictures[i] |= set(method.images)
    table = ReportTable(
        described["name"], described["caption"], described.get("note", ""), tuple(groups),
        methods=methods, settings=settings,
    )  # fmt: skip
    rows: list[TableRow] = []
    for label, of_groups in found.items():
        rows += _rows(label, of_groups, table, run, pictures)
    rows += _rows_of_originals(table)
    return replace(table, rows=tuple(_with_marks(rows)))


def _rows_of_originals(table: ReportTable) -> list[TableRow]:
    """Return a row of the accuracy on the undamaged originals, where it is known.

    It is the highest that CA can reach.
    """
    cells: dict[tuple[int, str], TableCell] = {}
    counts = []
    for i, group in enumerate(table.groups):
        for metric, field in (("CA", "ca_clean"), ("accuracy", "accuracy_clean")):
            if metric not in group.metrics:
                continue
            accuracy: dict[str, float] = {}
            for method in table.methods_of(i).values():
                for row in method.finished:
                    if field in row:
                        accuracy[row["truth"]] = row[field]
            if accuracy:
                found = estimate(list(accuracy.values()))
                cells[i, metric] = TableCell(found, printed(found.value, metric))
                counts.append(found.n)
    if not cells:
        return []
    return [TableRow("originals", "not restored", 0, cells, _span(counts), "", 0)]


def _rows(
    label: str,
    of_groups: Sequence[MethodResults | str],
    table: ReportTable,
    run: Results,
    pictures: Sequence[set[str]],
) -> list[TableRow]:
    """Return the row of a method, and one for each further selection among its seeds (phase
    retrieval).
    """
    selections: tuple[Selection, ...] = ("each",)
    seeds = 1
    for method in of_groups:
        if isinstance(method, MethodResults):
            if len(method.selections) > len(selections):
                selections, seeds = method.selections, len(method.seeds)
            elif method.selections == selections:
                seeds = max(seeds, len(method.seeds))
    # Tasks whose cells stand in the first row although nothing was chosen there.
    others = []
    for i, method in enumerate(of_groups):
        if isinstance(method, MethodResults) and len(method.selections) < len(selections):
            others.append(table.groups[i].name)
    rows = []
    for place, selection in enumerate(selections):
        cells: dict[tuple[int, str], TableCell] = {}
        image_counts, seed_counts, failed = [], [], 0
        for i, method in enumerate(of_groups):
            if isinstance(method, MethodResults):
                if place >= len(method.selections):
                    continue  # one sample per picture here: its numbers stand in the first row
                image_counts.append(len(method.images))
                seed_counts.append(len(method.seeds))
                failed += method.failed
            elif place > 0:
                continue  # a reason is given once
            group = table.groups[i]
            for metric in group.metrics:
                printed_there = None
                if place == 0:  # the paper has one number, which stands beside the first row
                    printed_there = paper.printed(
                        table.number, group.dataset, group.name, label, metric
                    )
                cells[i, metric] = _cell(
                    method, place, metric, run, pictures[i], printed_there or ""
                )
        title = ""
        if len(selections) > 1:
            title = SELECTION_TITLES[selection].format(k=seeds)
            if others and place == 0:
                title += f"; {', '.join(others)}: not chosen"
        images, of_seeds = _span(image_counts), _span(seed_counts)
        rows.append(TableRow(label, title, place, cells, images, of_seeds, failed))
    return rows


def _cell(
    method: MethodResults | str,
    place: int,
    metric: str,
    run: Results,
    pictures: set[str],
    paper_value: str,
) -> TableCell:
    """Return the entry of a method and a metric.

    Args:
        method: its results, or the reason why there are none.
        place: number of the selection among its seeds.
        metric: key of `METRICS`.
        run: all results.
        pictures: hashes of the pictures that any method of the column has tried.
        paper_value: the paper's number as printed, "" without one.
    """
    if isinstance(method, str):
        return TableCell(paper=paper_value, reason=method)
    found = value(method, method.selections[place], metric, run)
    if isinstance(found, str):
        return TableCell(paper=paper_value, reason=found)
    text, column = printed(found.value, metric), METRICS[metric]
    difference = difference_of(text, paper_value)
    better = None
    # With another prior or other pictures than the paper's a difference is neither good nor bad.
    if difference and Decimal(difference) and column.lower is not None and run.comparable:
        better = (Decimal(difference) < 0) == column.lower
    # A method that failed on the hard pictures must not win by its mean over the easy ones.
    whole = found.n == len(pictures) and not method.failed
    limit = ""
    if not whole:
        limit = (
            f"over {found.n} of the column's {len(pictures)} pictures, {method.failed} "
            "restorations failed; not ranked"
        )
    ranked = whole and column.lower is not None
    return TableCell(found, text, paper_value, difference, better, "", limit, ranked)


def difference_of(ours: str, paper_value: str) -> str:
    """Return ours minus the paper's, both as printed, with as many decimals as the one that has
    more; "" without one of them.

    Example:
        >>> difference_of("26.5", "26.79"), difference_of("0.12", ""), difference_of("1.0", "1.0")
        ('-0.29', '', '0.0')
    """
    if not ours or not paper_value:
        return ""
    difference = Decimal(ours) - Decimal(paper_value)
    return f"{difference:+}" if difference else f"{abs(difference)}"


def _with_marks(rows: Sequence[TableRow]) -> list[TableRow]:
    """Mark best and second of every column, among rows of the same place."""
    marked = [dict(row.cells) for row in rows]
    columns = {(row.place, column) for row in rows for column in row.cells}
    for place, column in columns:
        chosen, texts = [], []
        for n, row in enumerate(rows):
            if row.place == place and column in row.cells:
                cell = row.cells[column]
                chosen.append(n)
                texts.append(cell.text if cell.ranked else None)  # None takes part in no order
        lower = bool(METRICS[column[1]].lower)
        for n, mark in zip(chosen, marks(texts, lower), strict=True):
            marked[n][column] = replace(marked[n][column], mark=mark)
    found = []
    for row, cells in zip(rows, marked, strict=True):
        found.append(replace(row, cells=cells))
    return found


def _span(counts: Iterable[int]) -> str:
    """Return "10", or "8-10" where tasks differ; "" for no counts."""
    found = sorted(set(counts))
    if not found:
        return ""
    if len(found) == 1:
        return str(found[0])
    return f"{found[0]}-{found[-1]}"


def settings_table(run: Results) -> ReportTable | None:
    """Return Table 5, or None if it was not asked for.

    It shows the paper's settings of HRDIS beside those of our presets.
    """
    ours: dict[tuple[str, str], float] = {}
    for config in run.configs.values():
        for record in config.get("settings", []):
            ours[record["task"], record["parameter"]] = record["value"]
    if not ours:
        return None
    numbers = paper.numbers(5)
    tasks = list(dict.fromkeys(number.task for number in numbers))
    parameters = tuple(dict.fromkeys(number.metric for number in numbers))
    groups, cells = [], {}
    for i, task in enumerate(tasks):
        title = paper.TITLES.get(task, task)
        groups.append(ColumnGroup("", task, title, task, "none", parameters))
        for name in parameters:
            found = ours.get((task, name))
            paper_value = paper.printed(5, "", task, "HRDIS", name) or ""
            text, reason = "", "no preset"
            if found is not None:
                text, reason = f"{found:g}", ""
            difference = difference_of(text, paper_value)
            cells[i, name] = TableCell(None, text, paper_value, difference, reason=reason)
    row = TableRow("HRDIS", "", 0, cells, "", "", 0)
    caption = "Settings of HRDIS: the paper's and our presets of its tasks"
    return ReportTable("table 5", caption, "", tuple(groups), (row,))
