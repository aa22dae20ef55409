"""The top of the report, with prior, data and tables of the run, and the run in a few figures."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from ..results import Results
from .layout import ReportTable

NOT_COMPARABLE = (
    "Its numbers cannot be compared with the paper's one to one: the paper's come from networks of "
    "94 and 553 million parameters on 1000 faces or ImageNet pictures of 256 x 256."
)


def first_line(run: Results) -> str:
    """Return a sentence on priors and pictures; and, where they are those of the package, that the
    paper's are others.
    """
    priors, data = set(), set()
    for config in run.configs.values():
        name = config.get("prior", {}).get("name", "?")
        if name == "default":
            priors.add("the embedded prior")
        else:
            priors.add(f"the prior {name}")
        # The number, origin and size of its pictures.
        options, count = config.get("options", {}), len(config.get("images", []))
        pictures = f"{count} {'picture' if count == 1 else 'pictures'}"
        folder = (config.get("provenance") or {}).get("data")
        if config.get("shipped", {}).get("data"):
            which = "photograph that comes" if count == 1 else "photographs that come"
            pictures = f"{count} {which} with the package"
        elif folder:
            pictures += f" of {Path(folder).name}"
        side = options.get("crop") or options.get("size")
        if side:  # without, every picture has its own
            pictures += f" at {side} x {side}"
        data.add(pictures)
    line = f"Made with {' and '.join(sorted(priors))} on {' and '.join(sorted(data))}."
    if not run.comparable:
        line += f" {NOT_COMPARABLE}"
    return line


def title_of(tables: Sequence[ReportTable]) -> str:
    """Return the title: numbers of tables and figures, captions of plans.

    Example:
        >>> title_of([ReportTable(f"table {n}", "", "", ()) for n in (1, 2, 3, 9)])
        'Tables 1-3, 9'
    """
    parts = []
    for kind in ("table", "figure"):
        numbers = set()
        for table in tables:
            if table.name.startswith(f"{kind} "):
                numbers.add(int(table.name.split()[1]))
        if numbers:
            plural = "s" if len(numbers) > 1 else ""
            parts.append(f"{kind.capitalize()}{plural} {_ranges(sorted(numbers))}")
    for table in tables:
        if not table.name.startswith(("table ", "figure ")):
            parts.append(table.caption)
    return "; ".join(parts)


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers in order, three or more in a row as a range: "1-3, 9"."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    texts: list[str] = []
    for span in spans:
        if len(span) > 2:
            texts.append(f"{span[0]}-{span[-1]}")
        else:
            texts += map(str, span)
    return ", ".join(texts)


def totals(run: Results) -> list[tuple[str, str]]:
    """Return the run in a few figures, each with its name."""
    status: Counter[str] = Counter()
    pictures, tasks, solvers = set(), set(), set()
    seconds = 0.0
    for row in run.rows:
        cell = row["cell"]
        status[row["status"]] += 1
        pictures.add(cell["image_sha256"])
        tasks.add((cell["task"], cell["noise"]))
        solvers.add(cell["solver"])
        seconds += row.get("seconds") or 0
    done = len(run.rows)
    restorations = str(done)
    # Plans of several folders may overlap: their numbers do not add up.
    if len(run.configs) == 1:
        (config,) = run.configs.values()
        if config.get("cells", 0) > done:
            restorations = f"{done} of {config['cells']}"
    return [
        ("restorations", restorations),
        ("failed", str(status["failed"] + status["timeout"])),
        ("pictures", str(len(pictures))),
        ("tasks", str(len(tasks))),
        ("solvers", str(len(solvers))),
        ("time in solvers", str(timedelta(seconds=round(seconds)))),
    ]
