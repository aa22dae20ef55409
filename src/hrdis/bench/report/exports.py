"""Tables as files for other programs: CSV, tidy, one number a row; LaTeX with booktabs."""

import csv
import io
import re
from collections.abc import Iterator

from .layout import Entry, Line, Table
from .metrics import METRICS

FIELDS = (
    "table", "dataset", "task", "method", "selection", "metric", "ours", "low", "high", "images",
    "seeds", "failed",
    "mark", "paper", "difference", "reason",
)  # fmt: skip


def csv_of(table: Table) -> str:
    """One row per number: ours as printed, its 95 % interval, best or second, the paper's, and why
    one is missing.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, FIELDS, lineterminator="\n")
    writer.writeheader()
    for line in table.lines:
        for (i, metric), entry in line.entries.items():
            low, high = (entry.ours.low, entry.ours.high) if entry.ours else (None, None)
            writer.writerow(
                {
                    "table": table.name,
                    "dataset": table.heads[i].dataset,
                    "task": table.heads[i].name,
                    "method": line.label,
                    "selection": line.chosen,
                    "metric": metric,
                    "ours": entry.text,
                    "low": "" if low is None else f"{low:.6g}",
                    "high": "" if high is None else f"{high:.6g}",
                    "images": entry.ours.n if entry.ours else "",
                    "seeds": line.seeds,
                    "failed": line.failed,
                    "mark": entry.mark,
                    "paper": entry.paper,
                    "difference": entry.difference,
                    "reason": entry.reason,
                }
            )
    return buffer.getvalue()


def latex_of(table: Table, ours: str) -> str:
    """A table environment for booktabs: our values, the paper's in parentheses; best bold, second
    underlined.

    Args:
        table: what to set.
        ours: one sentence for the caption on what our numbers are of.
    """
    columns = [(i, metric) for i, head in enumerate(table.heads) for metric in head.metrics]
    groups = " & ".join(
        rf"\multicolumn{{{len(h.metrics)}}}{{c}}{{{escape(h.title)}}}" for h in table.heads
    )
    arrows = {True: r" $\downarrow$", False: r" $\uparrow$", None: ""}
    names = " & ".join(escape(METRICS[m].title) + arrows[METRICS[m].lower] for _, m in columns)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.caption)}. {escape(ours)} In parentheses: the paper's. --: "
        rf"missing.}}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        rf" & {groups} \\",
        *_rules(table),
        rf"Method & {names} \\",
        r"\midrule",
        *(rf"{_label(line)} & {' & '.join(_cells(line, columns))} \\" for line in table.lines),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _rules(table: Table) -> Iterator[str]:
    """A rule under each group of columns."""
    start = 2
    for head in table.heads:
        yield rf"\cmidrule(lr){{{start}-{start + len(head.metrics) - 1}}}"
        start += len(head.metrics)


def _label(line: Line) -> str:
    return escape(f"{line.label}, {line.chosen}" if line.chosen else line.label)


def _cells(line: Line, columns: list[tuple[int, str]]) -> Iterator[str]:
    for where in columns:
        entry = line.entries.get(where)
        yield "" if entry is None else _cell(entry)


def _cell(entry: Entry) -> str:
    text = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "": "%s"}[entry.mark] % (
        entry.text or "--"
    )
    return f"{text} ({entry.paper})" if entry.paper else text


def escape(text: str) -> str:
    """Text as LaTeX has it."""
    return re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", "/")).replace(
        "~", r"\textasciitilde{}"
    )
