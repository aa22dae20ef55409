"""When, with which code and on which machine the tables of docs/measurements were made.

The list is docs/data/measured.csv; every page shows its own rows in its block "measured".
"""

import csv
import datetime
import functools
import hashlib
import os
import platform
import re
import subprocess
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "docs" / "data" / "measured.csv"
WEIGHTS = ROOT / "src" / "hrdis" / "weights" / "default" / "diffusion_pytorch_model.safetensors"
#: Pages whose studies replace the network by a distribution that is known in closed form.
WITHOUT_MODEL = ("latents", "peers", "posterior")
COLUMNS = ("page", "table", "date", "commit", "machine", "torch", "model")


def git(*words: str) -> str:
    """What a git command prints in this repository; empty outside of one."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


@functools.cache
def now() -> dict[str, str]:
    """The state of this machine and of the code, as it was when first asked for."""
    commit = git("rev-parse", "--short=7", "HEAD") or "none"
    changed = git("status", "--porcelain", "--", "src", "studies")
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    processor = found[1] if found else platform.processor()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": f"{commit} and changes" if changed else commit,
        "machine": f"{processor}, {os.cpu_count()} cores".replace("(R)", ""),
        "torch": torch.__version__.partition("+")[0],
        "model": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:8],
    }


def read() -> list[dict[str, str]]:
    """The rows of the list."""
    with LIST.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def shown(page: Path) -> str:
    """The rows of one page as a table in Markdown; a table is named by the heading above it."""
    headings, heading = {}, ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif found := re.fullmatch(r"<!-- (\w[\w/-]*) -->", line):
            headings[found[1]] = heading
    tables: dict[tuple[str, ...], dict[str, None]] = {}
    for row in read():
        if row["page"] == page.stem:
            facts = tuple(row[name] for name in COLUMNS[2:])
            tables.setdefault(facts, {})[headings.get(row["table"], row["table"])] = None
    lines = ["| figures | date | commit | machine | torch | model |", "| --- " * 6 + "|"]
    for facts, names in sorted(tables.items(), key=lambda item: item[0][0], reverse=True):
        lines.append("| " + " | ".join(["; ".join(names), *facts]) + " |")
    return "\n".join(lines)


def stamp(page: str, name: str) -> None:
    """Put a table of a page into the list, with what is true now."""
    rows = [row for row in read() if (row["page"], row["table"]) != (page, name)]
    facts = now() | ({"model": "none"} if page in WITHOUT_MODEL else {})
    rows.append({"page": page, "table": name} | facts)
    rows.sort(key=lambda row: (row["page"], row["table"]))
    with LIST.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
