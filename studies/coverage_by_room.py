"""How much of the code do the tests run? Lines and branches, by room.

    pip install coverage
    python studies/coverage_by_room.py                     # runs the default suite first
    python studies/coverage_by_room.py --data /tmp/c       # of a run that is there

The default suite runs under coverage.py, in every process that it starts by itself; commands that
the tests start are counted, too, pages in a browser are not. A branch is a place where the code can
go one of several ways. The heart is operators, priors, solvers and the six files beside them.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import tyro
from common.pages import DOCS, ROOT, rewrite, table

PAGE, DATA = DOCS / "measurements" / "reliability.md", DOCS / "data" / "coverage.csv"
SOURCE = ROOT / "src" / "hrdis"
HEART = ("operators", "priors", "solvers")
BESIDE = ("schedule.py", "driver.py", "linalg.py", "noise.py", "problem.py", "rng.py")
SETTINGS = """\
[run]
branch = True
parallel = True
source_pkgs = hrdis
data_file = {data}
concurrency = multiprocessing,thread
[report]
exclude_also =
    if TYPE_CHECKING:
    \\.\\.\\.$
    raise NotImplementedError
    @overload
"""
COUNTS = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def run_suite(settings: Path) -> None:
    """Run the default suite with the settings of coverage.py, and join what its processes found."""
    environment = {**os.environ, "COVERAGE_PROCESS_START": str(settings)}
    words = [
        "pytest",
        "-n",
        "2",
        "--dist",
        "worksteal",
        "-o",
        "timeout=0",
        "-p",
        "no:cacheprovider",
    ]
    subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=environment, check=True)
    joined = [sys.executable, "-m", "coverage", "combine", f"--rcfile={settings}"]
    subprocess.run(joined, cwd=ROOT, check=True)


def counts(settings: Path) -> dict[str, Counter[str]]:
    """Return the counts of every room, and of the files beside them, by name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        # -i: tests also run copies of files that are gone by now
        words = ["coverage", "json", "-i", "-q", f"--rcfile={settings}", "-o", str(report)]
        subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=True, capture_output=True)
        files = json.loads(report.read_text())["files"]
    found: dict[str, Counter[str]] = {}
    for name, said in sorted(files.items()):
        path = Path(ROOT, name).resolve()
        if not path.is_relative_to(SOURCE):
            continue
        room, *rest = path.relative_to(SOURCE).parts
        if not rest:
            room = "files of the heart" if room in BESIDE else "other files"
        summary = {count: said["summary"][count] for count in COUNTS}
        found.setdefault(room, Counter()).update(summary)
    return found


def main(data: Path | None = None) -> None:
    """Count.

    Args:
        data: the joined data of a run of the suite; by default it is run.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings"
        settings.write_text(SETTINGS.format(data=data.resolve() if data else Path(folder) / "data"))
        if data is None:
            run_suite(settings)
        rooms = counts(settings)
    heart, everything = Counter[str](), Counter[str]()
    for room, found in rooms.items():
        everything.update(found)
        if room in HEART or room == "files of the heart":
            heart.update(found)
    lines, shown = [], []
    for room, found in (*rooms.items(), ("the heart", heart), ("all", everything)):
        covered = found["covered_lines"] + found["covered_branches"]
        share = 100 * covered / (found["num_statements"] + found["num_branches"])
        lines.append({"room": room, **{count: found[count] for count in COUNTS},
                      "percent": f"{share:.1f}"})  # fmt: skip
        shown.append([room, *(found[count] for count in COUNTS), f"{share:.1f} %"])
    with DATA.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    head = ["room", "lines", "run", "branches", "taken", "lines and branches together"]
    rewrite(PAGE, "coverage", table(head, shown))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
