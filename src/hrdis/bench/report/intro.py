"""The head of the report: what was used, what was asked for, and the run in a few figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..run.collect import Gathered
from .layout import Table

APART = (
    "Its numbers cannot be compared with the paper's one to one: the paper's come from networks of "
    "94 and 553 million parameters on 1000 faces or ImageNet pictures of 256 x 256."
)


def first_line(run: Gathered) -> str:
    """Which prior and which pictures; and, where they are those of the package, that the paper's
    are others.
    """
    priors = sorted({config.get("prior", {}).get("name", "?") for config in run.configs.values()})
    own = [config.get("shipped", {}) for config in run.configs.values()]
    data = sorted({_data(config) for config in run.configs.values()})
    embedded = any(shipped.get("prior") for shipped in own)
    named = " and ".join(
        "the embedded prior" if p == "default" else f"the prior {p}" for p in priors
    )
    line = f"Made with {named} on {' and '.join(data)}."
    return f"{line} {APART}" if embedded or any(shipped.get("data") for shipped in own) else line


def title_of(tables: Sequence[Table]) -> str:
    """Tables 1-3, 9; Figures 5, 9; and plans by their captions.

    Example:
        >>> title_of([Table(f"table {n}", "", "", ()) for n in (1, 2, 3, 9)])
        'Tables 1-3, 9'
    """
    parts = []
    for kind in ("table", "figure"):
        numbers = sorted({int(t.name.split()[1]) for t in tables if t.name.startswith(f"{kind} ")})
        spans: list[list[int]] = []
        for n in numbers:
            if spans and n == spans[-1][-1] + 1:
                spans[-1].append(n)
            else:
                spans.append([n])
        if spans:
            text = ", ".join(
                f"{s[0]}-{s[-1]}" if len(s) > 2 else ", ".join(map(str, s)) for s in spans
            )
            parts.append(f"{kind.capitalize()}{'s' * (len(numbers) > 1)} {text}")
    parts += [t.caption for t in tables if not t.name.startswith(("table ", "figure "))]
    return "; ".join(parts)


def _data(config: Mapping[str, Any]) -> str:
    options, count = config.get("options", {}), len(config.get("images", []))
    side = options.get("crop") or options.get("size")
    size = f" at {side} x {side}" if side else ""
    if config.get("shipped", {}).get("data"):
        which = "photograph that comes" if count == 1 else "photographs that come"
        return f"{count} {which} with the package{size}"
    folder = (config.get("provenance") or {}).get("data")
    name = f" of {Path(folder).name}" if folder else ""
    return f"{count} picture{'s' * (count != 1)}{name}{size}"


def totals(run: Gathered) -> list[tuple[str, str]]:
    """The run in a few figures."""
    status = Counter(row["status"] for row in run.rows)
    planned = (
        max(sum(c.get("cells", 0) for c in run.configs.values()), len(run.rows))
        if len(run.configs) == 1
        else len(run.rows)
    )
    bad = status["failed"] + status["timeout"]
    seconds = sum(row.get("seconds") or 0 for row in run.rows)
    return [
        (
            "restorations",
            f"{len(run.rows)} of {planned}" if planned > len(run.rows) else str(planned),
        ),
        ("failed", str(bad)),
        ("pictures", str(len({row["cell"]["image_sha256"] for row in run.rows}))),
        ("tasks", str(len({(row["cell"]["task"], row["cell"]["noise"]) for row in run.rows}))),
        ("solvers", str(len({row["cell"]["solver"] for row in run.rows}))),
        ("time in solvers", str(timedelta(seconds=round(seconds)))),
    ]
