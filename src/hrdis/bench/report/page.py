"""The page of the report, an HTML file that needs no other, and its tables as CSV and LaTeX."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ... import images
from ...files import write_text
from ..records import Row
from ..results import Results
from . import sections
from .exports import csv_of, latex_of
from .gallery import Gallery
from .intro import first_line, title_of, totals
from .layout import ReportTable
from .metrics import METRICS, field_of
from .statistics import Estimate
from .summary import settings_table, summarize

#: Columns of the browser of rows.
COLUMNS = (
    "picture", "image", "task", "noise", "method", "preset", "seed", "status", "PSNR", "SSIM",
    "LPIPS", "residual", "seconds", "calls", "error",
)  # fmt: skip


def report(run: Results, out: str | Path, *, alone: bool = False) -> Path:
    """Write the report of the results of one or several run folders.

    Scores that are among the results are shown; nothing is computed from pictures here.

    Args:
        run: the results, as `hrdis.bench.run.collect` reads them.
        out: the HTML file. Tables go to ``tables/`` beside it.
        alone: link to no file of the run folders, for a page that goes where they do not.

    Returns:
        The HTML file.

    Raises:
        ValueError: if nothing can be written there.
    """
    out = Path(out)
    check_page(out)
    tables = summarize(run)
    table_5 = settings_table(run)
    if table_5 is not None:
        # Tables of the paper by number, then figures and plans as they are.
        tables = sorted([*tables, table_5], key=lambda table: (not table.number, table.number))
    for table in tables:
        stem = out.parent / "tables" / table.file_stem
        write_text(stem.with_name(f"{stem.name}.csv"), csv_of(table))
        write_text(stem.with_name(f"{stem.name}.tex"), latex_of(table, first_line(run)))
    write_text(out, render(run, tables, None if alone else out.parent))
    return out


def check_page(out: Path) -> None:
    """Raise unless a page of that name can be written.

    Raises:
        ValueError: naming the obstacle.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(
            f"{out} is not the name of a page. A name that ends in .html is expected: -o "
            "report.html"
        )
    images.check_folder(out.parent)


def render(run: Results, tables: Sequence[ReportTable], beside: Path | None) -> str:
    """Return the HTML of the page.

    Args:
        run: the results.
        tables: its tables.
        beside: folder of the page; None for a page that links to no file.
    """
    import jinja2
    from markupsafe import Markup

    gallery = Gallery(run, beside)
    folder = files(__package__) / "templates"

    def template(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(template),
    )
    environment.filters |= {"number": _number, "interval": _interval, "slug": _slug}
    # "<" is escaped, so that no text of a row can end the script element that holds the rows.
    rows = json.dumps(browser_rows(run, beside), separators=(",", ":"), allow_nan=False)
    return environment.get_template("report.html").render(
        lead=first_line(run),
        title=title_of(tables),
        totals=totals(run),
        tables=[{"table": table, "notes": footnotes(table)} for table in tables],
        metrics=METRICS,
        pictures=sections.picture_grids(tables, gallery),
        ablations=sections.ablations(tables, run, gallery),
        costs=sections.costs(tables, run),
        evolution=sections.evolution(tables, gallery),
        samples=sections.sample_scores(tables, run),
        diversity=sections.diversity(tables, gallery),
        failures=sections.failures(run),
        missing=sections.not_run(tables),
        provenance=provenance(run),
        linked=gallery.linked,
        css=Markup(template("report.css")),
        js=Markup(template("report.js")),
        rows=Markup(rows.replace("<", "\\u003c")),
        svg=Markup,
    )


def footnotes(table: ReportTable) -> dict[str, int]:
    """Return the footnotes of a table.

    Each reason appears once, numbered in the order in which a reader meets them.
    """
    numbers: dict[str, int] = {}
    for row in table.rows:
        for cell in row.cells.values():
            if cell.reason:
                numbers.setdefault(cell.reason, len(numbers) + 1)
    return numbers


def browser_rows(run: Results, beside: Path | None) -> dict[str, Any]:
    """Return all rows for the browser of rows, as names of columns and values."""
    homes: dict[Path, str] = {}
    if beside is not None:
        for folder in run.configs:
            homes[folder] = Path(os.path.relpath(folder, beside)).as_posix()
    rows = []
    for row in run.rows:
        home, cell, picture = homes.get(run.folders[row["key"]]), row["cell"], row.get("picture")
        values = [
            f"{home}/{picture}" if home is not None and picture else "",
            cell["image"],
            cell["task"],
            cell["noise"],
            cell["group"] or cell["solver"],
            cell["preset"] or "",
            cell["seed"],
            row["status"],
            _rounded(row, "psnr", 3),
            _rounded(row, "ssim", 4),
            _rounded(row, "lpips", 4),
            _rounded(row, "residual", 5),
            _rounded(row, "seconds", 3),
            row.get("nfe"),
            row.get("error") or "",
        ]
        rows.append(values)
    return {"columns": COLUMNS, "rows": rows}


def _rounded(row: Row, field: str, decimals: int) -> float | None:
    value = field_of(row, field)
    return None if value is None else round(value, decimals)


def provenance(run: Results) -> list[dict[str, Any]]:
    """Return the provenance of each run folder, its command, hashes, versions and config."""
    found = []
    for folder, config in run.configs.items():
        rows = [row for row in run.rows if run.folders[row["key"]] == folder]
        text = json.dumps(config, indent=2, ensure_ascii=False)
        made, prior = config.get("provenance") or {}, config.get("prior", {})
        facts = {
            "prior": f"{prior.get('name', '?')}, SHA-256 {prior.get('sha256', '?')}",
            "config, SHA-256": hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest(),
            "units, SHA-256": config.get("units_sha256", "?"),
            "hrdis": _values(rows, "hrdis"),
            "torch": _values(rows, "torch"),
            "python": made.get("python", "?"),
            "platform": made.get("platform", "?"),
            "devices": _values(rows, "device"),
            "workers": str(len({row.get("worker") for row in rows})),
        }
        record = {
            "folder": folder.name,
            "command": made.get("command", ""),
            "facts": facts,
            "config": text,
            "images": config.get("images", []),
        }
        found.append(record)
    return found


def _values(rows: Sequence[Row], field: str) -> str:
    return ", ".join(sorted({str(row.get(field)) for row in rows}))


def _number(value: float | None, decimals: int = 2) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _interval(found: Estimate | None, decimals: int = 2) -> str:
    if found is None or found.low is None:
        return ""
    return f"{found.low:.{decimals}f} – {found.high:.{decimals}f}"


def _slug(text: str) -> str:
    return re.sub(r"[\W_]", "-", text.lower()).strip("-")
