"""Tables as files for other programs: CSV, tidy, one number a line; LaTeX with booktabs."""

import csv
import io
import re

from .layout import ReportTable
from .metrics import METRICS

FIELDS = (
    "table", "dataset", "task", "method", "selection", "metric", "ours", "low", "high", "images",
    "seeds", "failed", "mark", "paper", "difference", "reason",
)  # fmt: skip

LATEX_OF_MARK = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "": "%s"}
LATEX_OF_DIRECTION = {True: r" $\downarrow$", False: r" $\uparrow$", None: ""}


def csv_of(table: ReportTable) -> str:
    """Return one line per number.

    It gives ours as printed, its 95 % interval, its mark, the paper's, and the reason if it is
    missing.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        for (i, metric), cell in row.cells.items():
            line = {
                "table": table.name,
                "dataset": table.groups[i].dataset,
                "task": table.groups[i].name,
                "method": row.label,
                "selection": row.chosen,
                "metric": metric,
                "ours": cell.text,
                "seeds": row.seeds,
                "failed": row.failed,
                "mark": cell.mark,
                "paper": cell.paper,
                "difference": cell.difference,
                "reason": cell.reason,
            }
            if cell.ours is not None:
                line["images"] = cell.ours.n
                line["low"], line["high"] = _digits(cell.ours.low), _digits(cell.ours.high)
            writer.writerow(line)
    return buffer.getvalue()


def _digits(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def latex_of(table: ReportTable, ours: str) -> str:
    """Return a table environment for booktabs.

    It shows our values, with the paper's in parentheses. The best is bold and the second
    underlined.

    Args:
        table: the table.
        ours: one sentence for the caption on the origin of our numbers.
    """
    columns, titles, rules, names = [], [], [], []
    start = 2  # the first column holds the methods
    for i, group in enumerate(table.groups):
        width = len(group.metrics)
        titles.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(group.title)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
        for metric in group.metrics:
            columns.append((i, metric))
            title = escape(METRICS[metric].title)
            names.append(title + LATEX_OF_DIRECTION[METRICS[metric].lower])
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.caption)}. {escape(ours)} In parentheses: the paper's. --: "
        rf"missing.}}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        rf" & {' & '.join(titles)} \\",
        *rules,
        rf"Method & {' & '.join(names)} \\",
        r"\midrule",
    ]
    for row in table.rows:
        label = escape(f"{row.label}, {row.chosen}" if row.chosen else row.label)
        texts = []
        for column in columns:
            text = ""
            if column in row.cells:
                cell = row.cells[column]
                text = LATEX_OF_MARK[cell.mark] % (cell.text or "--")
                if cell.paper:
                    text += f" ({cell.paper})"
            texts.append(text)
        lines.append(rf"{label} & {' & '.join(texts)} \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Escape the characters that LaTeX would take for commands."""
    escaped = re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", "/"))
    return escaped.replace("~", r"\textasciitilde{}")
