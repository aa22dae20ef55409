"""The tables of docs/measurements/paper.md, from the CSV files that `hrdis bench report` left in
docs/results/tables. The page names the runs.

    hrdis bench report RUN [RUN ...] --alone -o docs/results/report.html
    python studies/results.py
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import tyro
from common.pages import DOCS, rewrite, table

RESULTS = DOCS / "results"


def cell(row: dict[str, str], paper: str) -> str:
    """Ours, marked, and the paper's number in brackets; a dash where there is none."""
    ours = row["ours"] or "-"
    marked = {"best": f"**{ours}**", "second": f"<u>{ours}</u>"}.get(row["mark"], ours)
    return f"{marked} ({paper})" if paper else marked


def markdown(rows: Iterable[dict[str, str]], metrics: tuple[str, ...]) -> str:
    """Methods by columns; only these metrics. Beside the distance stands the paper's LPIPS, whose
    order compares, and whose size does not.
    """
    known = list(rows)
    lpips = {
        (r["method"], r["selection"], r["task"]): r["paper"]
        for r in known
        if r["metric"] == "LPIPS"
    }
    kept = [r for r in known if r["metric"] in metrics]
    columns = list(dict.fromkeys((r["task"], r["metric"]) for r in kept))
    methods = list(dict.fromkeys((r["method"], r["selection"]) for r in kept))
    found = {}
    for r in kept:
        place = r["method"], r["selection"], r["task"]
        paper = lpips.get(place, "") if r["metric"] == "distance" else r["paper"]
        found[*place, r["metric"]] = cell(r, paper)
    heads = ["method", *(f"{task} {metric}" for task, metric in columns)]
    body = [
        [" ".join(filter(None, m)), *(found.get((*m, *c), "-") for c in columns)] for m in methods
    ]
    return table(heads, body)


def main(
    page: Path = DOCS / "measurements" / "paper.md",
    metrics: tuple[str, ...] = ("distance", "PSNR", "SSIM", "diversity"),
) -> None:
    """Rewrite every marked table of the page: `table-9` is docs/results/tables/table-9.csv.

    `paper/figure-9` is that of another run, docs/results/paper/tables/figure-9.csv.
    """
    for name in re.findall(r"<!-- ([\w/-]+) -->", page.read_text(encoding="utf-8")):
        file = RESULTS / Path(name).parent / "tables" / f"{Path(name).name}.csv"
        if file.is_file():
            with file.open(newline="") as rows:
                rewrite(page, name, markdown(list(csv.DictReader(rows)), metrics))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
