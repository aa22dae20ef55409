"""What ``hrdis bench --dry-run`` says."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from hrdis.bench.plan import estimate
from hrdis.bench.records import Unit
from hrdis.priors import Prior


def show(units: Sequence[Unit], prior: Prior, shape: tuple[int, int, int]) -> None:
    """The table of a dry run."""
    cost = estimate.time_network(units, prior, shape)
    rows = estimate.lines(units, prior, cost)
    grid = Table(box=None, pad_edge=False)
    for name in ("task", "row", "preset"):
        grid.add_column(name, no_wrap=True)
    for name in ("cells", "calls", "time"):
        grid.add_column(name, justify="right", no_wrap=True)
    for r in rows:
        task = r.task if r.noise == "none" else f"{r.task}, {r.noise}"
        grid.add_row(
            task, r.group, r.preset or "none", str(r.cells), str(r.calls), duration(r.seconds)
        )
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 100)
    console.print(grid)
    size = " x ".join(map(str, shape[1:]))
    memory = "" if cost.memory is None else f", needs {cost.memory / 2**20:.0f} MiB"
    console.print(
        f"\n{sum(r.cells for r in rows)} cells, {sum(r.calls for r in rows)} network calls of "
        f"{1000 * cost.forward:.1f} ms ({size}{memory}): about "
        f"{duration(sum(r.seconds for r in rows))}.",
        markup=False,
    )


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
