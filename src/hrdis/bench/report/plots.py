"""Plots of the report, in SVG that takes its colours from the page, light or dark."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from .statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Stand-ins for colours of the page: ink, soft ink, grid, and the series.
INK, SOFT, GRID = "#010203", "#010204", "#010205"
SERIES = tuple(f"#0102{16 + n:02x}" for n in range(8))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_VARIABLES = {INK: "--ink", SOFT: "--soft", GRID: "--line"}
for _n, _color in enumerate(SERIES):
    _VARIABLES[_color] = f"--s{_n + 1}"

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}

#: Heights above a point, in points, at which its name is tried; the nearest first.
LABEL_HEIGHTS = (3, -10, 14, -21, 25, -32, 36, -43)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Plot:
    """A plot, and its content in words for those who do not see it."""

    title: str
    svg: str
    words: str


@dataclass(frozen=True)
class Point:
    """A method among others: its seconds per image, and its quality."""

    label: str
    seconds: float
    quality: Estimate


def pareto(points: Sequence[tuple[float, float]], lower: bool) -> list[bool]:
    """Return True for each (cost, quality) that no other point beats.

    A point beats another if it costs at most as much and is at least as good, and one of them is
    better.

    Args:
        points: (cost, quality) of each.
        lower: True if small values of the quality are good.

    Example:
        >>> pareto([(1, 20.0), (2, 30.0), (3, 25.0)], lower=False)
        [True, True, False]
    """
    sign = 1 if lower else -1
    badness = [(cost, sign * quality) for cost, quality in points]
    front = []
    for point in badness:
        beaten = False
        for other in badness:
            if other != point and other[0] <= point[0] and other[1] <= point[1]:
                beaten = True
        front.append(not beaten)
    return front


def scatter(
    name: str,
    title: str,
    metric: str,
    lower: bool,
    points: Sequence[Point],
    front: Sequence[bool],
) -> Plot:
    """Plot quality against seconds per image, the Pareto front joined.

    Args:
        name: name of the plot, for its ids.
        title: its title.
        metric: title of the quality.
        lower: True if small values of it are good.
        points: one per method.
        front: True for each point on the Pareto front.
    """
    ordered = sorted(zip(points, front, strict=True), key=lambda pair: pair[0].seconds)

    def draw(axes: "Axes") -> None:
        axes.set_xscale("log")
        seconds_on_front, values_on_front, labelled = [], [], []
        for point, on in ordered:
            labelled.append(point)
            color, fill = SOFT, "none"
            if on:
                color = fill = SERIES[0]
                seconds_on_front.append(point.seconds)
                values_on_front.append(point.quality.value)
            axes.errorbar(
                [point.seconds],
                [point.quality.value],
                yerr=_error_bars([point.quality]),
                fmt="o",
                ms=6,
                color=color,
                lw=1,
                mfc=fill,
            )
        # A step and no slanted line: between two methods there is none that is both.
        axes.step(
            seconds_on_front, values_on_front, where="post", color=SOFT, lw=1, ls="--", zorder=1.9
        )
        axes.margins(0.2, 0.2)
        _write_labels(axes, labelled)
        axes.set_xlabel("seconds per image")
        axes.set_ylabel(metric)
        _decimal_ticks(axes)

    words = []
    for point, on in ordered:
        text = f"{point.label} {point.quality.value:.4g} in {point.seconds:.3g} s"
        if on:
            text += ", on the front"
        words.append(text)
    description = f"{metric} against seconds per image, {_direction(lower)}. {'; '.join(words)}."
    return Plot(title, _svg(name, draw), description)


def curves(
    name: str,
    title: str,
    setting: str,
    metric: str,
    lower: bool,
    lines: Mapping[str, Mapping[float, Estimate]],
) -> Plot:
    """Plot a metric over the values of a setting, evenly spaced, with intervals; a ring marks the
    best of each line.

    Args:
        name: name of the plot, for its ids.
        title: its title.
        setting: name of the setting.
        metric: title of the metric.
        lower: True if small values of it are good.
        lines: estimates by value of the setting, by title of the task.
    """
    values = sorted({value for line in lines.values() for value in line})

    def draw(axes: "Axes") -> None:
        for n, (label, line) in enumerate(lines.items()):
            xs, found, heights = [], [], []
            for value in sorted(line):
                # Evenly spaced, since values like 0.001 and 0.1 would crowd on a true scale.
                xs.append(values.index(value))
                found.append(line[value])
                heights.append(line[value].value)
            color = SERIES[n % 8]
            axes.errorbar(
                xs,
                heights,
                yerr=_error_bars(found),
                color=color,
                marker=MARKERS[n % 8],
                ms=5,
                lw=1.5,
                capsize=2,
                elinewidth=1,
                label=label,
            )
            best = heights.index(min(heights) if lower else max(heights))
            axes.plot([xs[best]], [heights[best]], "o", ms=13, mfc="none", mec=color, mew=1.2)
        axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
        axes.margins(0.08, 0.15)
        axes.set_xlabel(setting)
        axes.set_ylabel(metric)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=8)

    words = []
    for label, line in lines.items():
        points = [f"{setting} {value:g}: {line[value].value:.4g}" for value in sorted(line)]
        words.append(f"{label}: {', '.join(points)}")
    return Plot(title, _svg(name, draw), f"{metric}, {_direction(lower)}. {'; '.join(words)}.")


def _write_labels(axes: "Axes", points: Sequence[Point]) -> None:
    """Write the names beside the points, each where no other name lies yet."""
    taken: list[Box] = []
    centres: list[tuple[float, float]] = []
    for point in points:
        pixels = axes.transData.transform((point.seconds, point.quality.value))
        x, y = pixels * 72 / axes.figure.dpi  # in points
        centres.append((x, y))
        taken.append((x - 3, y - 3, x + 3, y + 3))
    for point, (x, y) in zip(points, centres, strict=True):
        width = 5.2 * len(point.label)
        for dy, dx in product(LABEL_HEIGHTS, (5.0, -5.0 - width)):
            low_x, low_y, high_x, high_y = x + dx, y + dy, x + dx + width, y + dy + 8
            is_free = True
            for left, bottom, right, top in taken:
                if low_x <= right and high_x >= left and low_y <= top and high_y >= bottom:
                    is_free = False
            if is_free:
                break
        # At the last place if none is free.
        taken.append((low_x, low_y, high_x, high_y))
        axes.annotate(
            point.label,
            (point.seconds, point.quality.value),
            (dx, dy),
            textcoords="offset points",
            color=INK,
            fontsize=8,
        )


def _direction(lower: bool) -> str:
    return "lower is better" if lower else "higher is better"


def _error_bars(found: Sequence[Estimate]) -> list[list[float]]:
    """Return lengths below and above; zero where there is no interval."""
    below, above = [], []
    for estimate in found:
        if estimate.low is None or estimate.high is None:
            below.append(0.0)
            above.append(0.0)
        else:
            # The mean may lie outside the percentiles of its own resamples, if only just.
            below.append(max(0.0, estimate.value - estimate.low))
            above.append(max(0.0, estimate.high - estimate.value))
    return [below, above]


def _decimal_ticks(axes: "Axes") -> None:
    """Put decimal numbers on a logarithmic axis, instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = axes.get_xlim()
    few = high / low < 30  # powers of ten alone would give one tick or none
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _svg(name: str, draw: Callable[["Axes"], None], width: float = 4.4, height: float = 3.0) -> str:
    """Draw into one pair of axes; the same numbers give the same text."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # matplotlib salts the ids of an SVG with a random number, if not told otherwise.
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
    # Without a size of its own the plot takes that of its place on the page.
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    svg = re.sub(r"font: ([^;']*?)px [^;]*", r"font: \1px var(--font)", svg)
    # No other plot on the page shall have the same ids.
    slug = re.sub(r"\W+", "-", name)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{slug}-\1"', svg)
    return re.sub(r"(url\(#|href=\"#)", rf"\g<1>{slug}-", svg)
