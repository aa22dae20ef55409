"""Plots of the report: SVG that takes its colours from the page, light or dark."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Stand-ins for colours of the page: ink, soft ink, grid, and the series.
INK, SOFT, GRID = "#010203", "#010204", "#010205"
SERIES = tuple(f"#0102{16 + n:02x}" for n in range(8))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    GRID: "--line",
    **{c: f"--s{n + 1}" for n, c in enumerate(SERIES)},
}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "text.color": INK,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT, "ytick.color": SOFT, "axes.edgecolor": GRID, "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "axes.titlesize": 9,
    "axes.titlecolor": INK, "xtick.major.size": 0, "ytick.major.size": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A plot and what it shows, for those who do not see it."""

    title: str
    svg: str
    words: str


@dataclass(frozen=True)
class Point:
    """A method among others: what it costs and what it gives."""

    label: str
    seconds: float
    quality: Estimate
    front: bool = False


def pareto(points: Sequence[tuple[float, float]], lower: bool) -> list[bool]:
    """Which (cost, quality) no other point beats in both: at most its cost and at least as good,
    one of them better.

    Example:
        >>> pareto([(1, 20.0), (2, 30.0), (3, 25.0)], lower=False)
        [True, True, False]
    """
    good = [(cost, quality if lower else -quality) for cost, quality in points]
    return [not any(a <= c and b <= q and (a, b) != (c, q) for a, b in good) for c, q in good]


def scatter(name: str, title: str, metric: str, lower: bool, points: Sequence[Point]) -> Plot:
    """Quality against seconds per image, the Pareto front joined."""
    ordered = sorted(points, key=lambda p: p.seconds)
    front = [p for p in ordered if p.front]

    def draw(axes: "Axes") -> None:
        axes.set_xscale("log")
        axes.step(
            [p.seconds for p in front],
            [p.quality.value for p in front],
            where="post",
            color=SOFT,
            lw=1,
            ls="--",
        )
        for p in ordered:
            color = SERIES[0] if p.front else SOFT
            axes.errorbar([p.seconds], [p.quality.value], yerr=_bars([p.quality]), fmt="o", ms=6,
                color=color, lw=1,
                          mfc=color if p.front else "none")  # fmt: skip
        axes.margins(0.2, 0.2)
        _label(axes, ordered)
        axes.set_xlabel("seconds per image")
        axes.set_ylabel(metric)
        _plain_log(axes)

    words = "; ".join(
        f"{p.label} {p.quality.value:.4g} in {p.seconds:.3g} s{', on the front' if p.front else ''}"
        for p in ordered
    )
    return Plot(
        title, _svg(name, draw), f"{metric} against seconds per image, {_way(lower)}. {words}."
    )


def curves(
    name: str,
    title: str,
    setting: str,
    metric: str,
    lower: bool,
    lines: Mapping[str, Mapping[float, Estimate]],
) -> Plot:
    """A metric over the values of a setting, evenly spaced, with intervals; a ring marks the best
    of each line.
    """
    at = sorted({value for line in lines.values() for value in line})

    def draw(axes: "Axes") -> None:
        for n, (label, line) in enumerate(lines.items()):
            xs = [at.index(value) for value in sorted(line)]
            found = [line[value] for value in sorted(line)]
            axes.errorbar(xs, [e.value for e in found], yerr=_bars(found), color=SERIES[n % 8],
                marker=MARKERS[n % 8],
                          ms=5, lw=1.5, capsize=2, elinewidth=1, label=label)  # fmt: skip
            best = _best(found, lower)
            axes.plot(
                [xs[best]], [found[best].value], "o", ms=13, mfc="none", mec=SERIES[n % 8], mew=1.2
            )
        axes.set_xticks(range(len(at)), [f"{value:g}" for value in at])
        axes.margins(0.08, 0.15)
        axes.set_xlabel(setting)
        axes.set_ylabel(metric)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=8)

    words = "; ".join(
        f"{label}: "
        + ", ".join(f"{setting} {value:g}: {line[value].value:.4g}" for value in sorted(line))
        for label, line in lines.items()
    )
    return Plot(title, _svg(name, draw), f"{metric}, {_way(lower)}. {words}.")


def _label(axes: "Axes", points: Sequence[Point]) -> None:
    """Write the names beside the points, each where none lies yet."""
    at = [
        axes.transData.transform((p.seconds, p.quality.value)) * 72 / axes.figure.dpi
        for p in points
    ]  # in points
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in at]
    for p, (x, y) in zip(points, at, strict=True):
        width = 5.2 * len(p.label)
        for dx, dy in [
            (side, level)
            for level in (3, -10, 14, -21, 25, -32, 36, -43)
            for side in (5, -5 - width)
        ]:
            box = (x + dx, y + dy, x + dx + width, y + dy + 8)
            if all(box[0] > b[2] or box[2] < b[0] or box[1] > b[3] or box[3] < b[1] for b in taken):
                break
        taken.append(box)
        axes.annotate(
            p.label,
            (p.seconds, p.quality.value),
            (dx, dy),
            textcoords="offset points",
            color=INK,
            fontsize=8,
        )


def _best(found: Sequence[Estimate], lower: bool) -> int:
    return min(range(len(found)), key=lambda n: found[n].value if lower else -found[n].value)


def _way(lower: bool) -> str:
    return "lower is better" if lower else "higher is better"


def _bars(found: Sequence[Estimate]) -> list[list[float]] | None:
    """Lengths below and above; zero where there is no interval."""
    pairs = [
        (e.value - e.low, e.high - e.value) if e.low is not None and e.high is not None else (0, 0)
        for e in found
    ]
    return [[max(0.0, p[0]) for p in pairs], [max(0.0, p[1]) for p in pairs]]


def _plain_log(axes: "Axes") -> None:
    """Decimal numbers on a logarithmic axis, of which it shows a few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = axes.get_xlim()
    few = high / low < 30
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _svg(name: str, draw: Any, width: float = 4.4, height: float = 3.0) -> str:
    """Draw into one pair of axes; the same numbers give the same text."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure((width, height))
        figure.subplots_adjust(0.15, 0.16, 0.97, 0.97)  # a layout engine takes ten times as long
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r'(<svg[^>]*?) width="[^"]*"',
        r"\1",
        re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1),
        count=1,
    )
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return _unique_ids(re.sub(r"font: ([^;']*?)px [^;]*", r"font: \1px var(--font)", svg), name)


def _unique_ids(svg: str, name: str) -> str:
    """Ids that no other plot on the page has."""
    slug = re.sub(r"\W+", "-", name)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{slug}-\1"', svg)
    return re.sub(r"(url\(#|href=\"#)", rf"\g<1>{slug}-", svg)
