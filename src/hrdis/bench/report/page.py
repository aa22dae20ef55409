"""The report of a run: one HTML file that needs nothing else, and its tables as CSV and LaTeX."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ... import images
from ..run.collect import Gathered, gather, unique_paths
from . import sections
from .exports import csv_of, latex_of
from .gallery import Album
from .intro import first_line, title_of, totals
from .layout import Table
from .metrics import METRICS
from .summary import settings_table, summarize

#: What the browser of rows shows.
COLUMNS = (
    "picture", "image", "task", "noise", "method", "preset", "seed", "status", "PSNR", "SSIM",
    "LPIPS", "residual",
    "seconds", "calls", "error",
)  # fmt: skip


def report(
    folders: Sequence[str | Path], out: str | Path | None = None, *, alone: bool = False
) -> Path:
    """Write the report of one or several run folders, as one.

    Scores that ``score`` left in the folders, or beside the report, are shown; nothing is computed
    from pictures here.

    Args:
        folders: run folders: shards of one plan, or runs of several.
        out: the HTML file; by default ``report.html`` in the first folder. Tables go to ``tables/``
            beside it.
        alone: link to no file of the run folders, for a page that goes where they do not.

    Returns:
        The HTML file.

    Raises:
        ValueError: if a folder is no run, if two disagree about a cell, or nothing can be written
            there.
    """
    places = unique_paths(folders)
    out = (
        Path(out)
        if out is not None
        else places[0] / "report.html"
        if places
        else Path("report.html")
    )
    check_page(out)
    run = gather(places, [out.parent])
    tables = summarize(run)
    extra = settings_table(run)
    tables = sorted([*tables, extra], key=_place) if extra else tables
    lead = first_line(run)
    for table in tables:
        stem = out.parent / "tables" / table.name.replace(" ", "-").replace("/", "-")
        _write(stem.with_name(stem.name + ".csv"), csv_of(table))
        _write(stem.with_name(stem.name + ".tex"), latex_of(table, lead))
    _write(out, render(run, tables, None if alone else out.parent))
    return out


def check_page(out: Path) -> None:
    """Raise unless a page of that name can be written.

    Raises:
        ValueError: naming what is in the way.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(
            f"{out} is no name of a page. A name that ends in .html is expected: -o report.html"
        )
    images.check_folder(out.parent)


def _place(table: Table) -> tuple[bool, int]:
    return not table.number, table.number


def render(run: Gathered, tables: Sequence[Table], beside: Path | None) -> str:
    """The page, in that folder; None for one that links to no file."""
    import jinja2
    from markupsafe import Markup

    album = Album(run, beside)
    folder = files(__package__) / "templates"

    def own(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(own),
    )  # fmt: skip
    environment.filters |= {"number": _number, "interval": _interval, "slug": _slug}
    data = json.dumps(browser(run, beside), separators=(",", ":"), allow_nan=False)
    return environment.get_template("report.html").render(
        lead=first_line(run), title=title_of(tables),
        totals=totals(run), tables=[{"table": t, "notes": notes(t)} for t in tables],
        metrics=METRICS,
        pictures=sections.pictures(tables, album), ablations=sections.ablations(tables, run, album),
        costs=sections.costs(tables, run), evolution=sections.evolution(tables, album),
        samples=sections.samples(tables, run), diversity=sections.diversity(tables, album),
        failures=sections.failures(run), missing=list(sections.missing(tables)),
        provenance=provenance(run),
        linked=album.linked, css=Markup(own("report.css")), js=Markup(own("report.js")),
        rows=Markup(data.replace("<", "\\u003c")), svg=Markup,
    )  # fmt: skip


def notes(table: Table) -> dict[str, int]:
    """The footnotes of a table: each reason once, numbered in the order in which a reader meets
    them.
    """
    reasons = dict.fromkeys(
        line.entries[where].reason
        for line in table.lines
        for where in line.entries
        if line.entries[where].reason
    )  # fmt: skip
    return {reason: n for n, reason in enumerate(reasons, 1)}


def browser(run: Gathered, beside: Path | None) -> dict[str, Any]:
    """All rows, for the browser of rows: names of columns, folders, and values."""
    homes = {
        folder: Path(os.path.relpath(folder, beside)).as_posix()
        for folder in run.configs
        if beside is not None
    }
    rows = []
    for row in run.rows:
        cell, home = row["cell"], homes.get(run.folders[row["key"]])
        picture = row.get("picture")
        rows.append(
            [
                f"{home}/{picture}" if home is not None and picture else "",
                cell["image"],
                cell["task"],
                cell["noise"],
                cell["group"] or cell["solver"],
                cell["preset"] or "",
                cell["seed"],
                row["status"],
                _short(row.get("psnr"), 3),
                _short(row.get("ssim"), 4),
                _short(row.get("lpips"), 4),
                _short(row.get("residual"), 5),
                _short(row.get("seconds"), 3),
                row.get("nfe"),
                row.get("error") or "",
            ]
        )
    return {"columns": COLUMNS, "rows": rows}


def _short(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)


def provenance(run: Gathered) -> list[dict[str, Any]]:
    """Of every folder: the command, hashes, versions, and the whole config."""
    found = []
    for folder, config in run.configs.items():
        rows = [row for row in run.rows if run.folders[row["key"]] == folder]
        text = json.dumps(config, indent=2, ensure_ascii=False)
        made, prior = config.get("provenance") or {}, config.get("prior", {})
        facts = {
            "prior": f"{prior.get('name', '?')}, SHA-256 {prior.get('sha256', '?')}",
            "config, SHA-256": hashlib.sha256(text.encode()).hexdigest(),
            "units, SHA-256": config.get("units_sha256", "?"),
            "hrdis": ", ".join(sorted({str(row.get("hrdis")) for row in rows})),
            "torch": ", ".join(sorted({str(row.get("torch")) for row in rows})),
            "python": made.get("python", "?"), "platform": made.get("platform", "?"),
            "devices": ", ".join(sorted({str(row.get("device")) for row in rows})),
            "workers": str(len({row.get("worker") for row in rows})),
        }  # fmt: skip
        found.append({
            "folder": folder.name, "command": made.get("command", ""), "facts": facts,
            "config": text,
            "images": config.get("images", []),
        })  # fmt: skip
    return found


def _number(value: Any, decimals: int = 2) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _interval(entry: Any, decimals: int = 2) -> str:
    return (
        ""
        if entry is None or entry.low is None
        else f"{entry.low:.{decimals}f} – {entry.high:.{decimals}f}"
    )


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-")


def _write(path: Path, text: str) -> None:
    write: Callable[..., object] = lambda file: file.write(text.encode())  # noqa: E731
    images.write_atomically(path, write)
