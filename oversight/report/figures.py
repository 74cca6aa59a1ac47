"""Figures for print: rows of estimates with their intervals, and panels of points, as PNG and SVG.

Colours are Okabe and Ito's (2008), which the colour-blind tell apart, and each has a marker of its own beside it,
for grey print. Text of models and tasks is drawn as it is: no mathematics, and "�" for what the font lacks.
matplotlib is loaded when something is drawn, and takes no settings from the user's own files.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from oversight.report.safe import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, without yellow, which paper swallows; the darkest contrasts first."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One more than colours: together they name 56 series before a pair comes again."""

WIDTH = 6.7
"""Inches: the text of an A4 or letter page."""
DPI = 200
COLUMNS = 3
"""Panels side by side."""
LABEL = 34
"""Characters of a line of a label."""
TITLE = 30
"""Characters of a line of a panel's title."""
LINES = 3

LOOK: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib brings it: the same figure on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,
    "svg.hashsalt": "oversight",  # equal numbers make equal files
}

Unit = Literal["share", "points", "number"]


@dataclass(frozen=True)
class Dot:
    """An estimate in the row `row` with its 95 % interval, in the figure's unit. `outer`: bounds beyond it, drawn
    faintly (worst and best treatment of undecided verdicts)."""

    row: str
    series: str
    value: float
    low: float | None
    high: float | None
    outer: tuple[float, float] | None = None


@dataclass(frozen=True)
class Rows:
    """Estimates one below the other; rows and series in the order in which they first come. `zero`: a line there."""

    dots: tuple[Dot, ...]
    axis: str
    unit: Unit
    zero: bool = False


@dataclass(frozen=True)
class Point:
    """A point of a panel; `low` and `high` bound y, `left` and `right` x, where there is an interval."""

    series: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    left: float | None = None
    right: float | None = None


@dataclass(frozen=True)
class Panel:
    """Points under a title. `steps` are joined as stairs (a frontier), in grey."""

    title: str
    points: tuple[Point, ...]
    steps: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Panels:
    """Panels with equal axes, y being a share. `joined`: a line through each series; `diagonal`: where x = y."""

    panels: tuple[Panel, ...]
    x_axis: str
    y_axis: str
    x_unit: Unit
    joined: bool = False
    diagonal: bool = False


@dataclass(frozen=True)
class Drawn:
    """One figure in both formats; the SVG's letters are outlines, so it needs no font."""

    png: bytes
    svg: bytes


def draw(what: Rows | Panels) -> Drawn:
    """Draw it. Equal input gives equal bytes (with the same matplotlib)."""
    from matplotlib import style

    with style.context(["default", LOOK]):
        figure = _rows(what) if isinstance(what, Rows) else _panels(what)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once for both
        return Drawn(_saved(figure, "png", {"Software": None}), _saved(figure, "svg", {"Date": None}))


def _saved(figure: Figure, format: str, metadata: dict[str, None]) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=format, dpi=DPI, metadata=metadata)
    return out.getvalue()


def _figure(height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def _rows(what: Rows) -> Figure:
    rows = list(dict.fromkeys(dot.row for dot in what.dots))
    series = list(dict.fromkeys(dot.series for dot in what.dots))
    labels = _told_apart(rows)
    step = max(0.17 * len(series) + 0.12, 0.14 * max(label.count("\n") + 1 for label in labels) + 0.1)
    figure = _figure(0.75 + _legend_height(series) + step * len(rows))
    axes = figure.add_subplot()
    for n, name in enumerate(series):
        points = []
        for dot in (dot for dot in what.dots if dot.series == name):
            y = rows.index(dot.row) + (n - (len(series) - 1) / 2) * 0.17 / step
            points.append(Point(name, dot.value, y, left=dot.low, right=dot.high))
            if dot.outer is not None:
                axes.plot(
                    dot.outer, (y, y), color="#999999", linewidth=0.8, linestyle=":", marker="|", zorder=1
                )
        _points(axes, points, n)
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    if what.unit == "share":
        axes.set_xlim(-0.02, 1.02)
    if what.unit == "points" or what.zero:
        axes.axvline(0, color="#666666", linewidth=0.8)
    _unit(axes.xaxis, what.unit)
    axes.set_xlabel(what.axis)
    _legend(figure, series)
    return figure


def _panels(what: Panels) -> Figure:
    series = list(dict.fromkeys(p.series for panel in what.panels for p in panel.points))
    columns = min(COLUMNS, len(what.panels))
    lines = math.ceil(len(what.panels) / columns)
    tall = 3.2 if columns == 1 else 2.4
    figure = _figure(tall * lines + 0.2 + _legend_height(series))
    grid: Any = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(what.panels) :]:
        axes.set_axis_off()
    for n, (axes, panel) in enumerate(zip(grid.flat, what.panels, strict=False)):
        _panel(axes, panel, what, series)
        if n + columns >= len(what.panels):  # nothing stands below it
            axes.xaxis.set_tick_params(labelbottom=True)
            axes.set_xlabel(what.x_axis if columns == 1 else textwrap.fill(what.x_axis, 78 // columns))
        if n % columns == 0:
            axes.set_ylabel(what.y_axis)
    _legend(figure, series)
    return figure


def _panel(axes: Axes, panel: Panel, what: Panels, series: Sequence[str]) -> None:
    axes.set_title(shortened(panel.title, TITLE))
    if what.diagonal:
        axes.plot((0, 1), (0, 1), color="#666666", linewidth=0.8, linestyle="--", zorder=1)
    if panel.steps:
        x, y = zip(*panel.steps, strict=True)
        axes.plot(x, y, color="#999999", linewidth=1, drawstyle="steps-post", zorder=1)
    for n, name in enumerate(series):
        points = [p for p in panel.points if p.series == name]
        if what.joined:
            colour, _ = _style(n)
            axes.plot([p.x for p in points], [p.y for p in points], color=colour, linewidth=1)
        _points(axes, points, n)
    axes.set_ylim(-0.03, 1.03)
    _unit(axes.yaxis, "share")
    _unit(axes.xaxis, what.x_unit, whole=all(p.x == round(p.x) for each in what.panels for p in each.points))
    if what.x_unit == "share":
        axes.set_xlim(-0.03, 1.03)


def _points(axes: Axes, points: Sequence[Point], n: int) -> None:
    """Markers of one series with their bars; hollow where there is no interval."""
    colour, marker = _style(n)
    look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4.5, "zorder": 3}
    bare = [p for p in points if (p.low, p.left) == (None, None)]
    axes.plot([p.x for p in bare], [p.y for p in bare], linestyle="", markerfacecolor="white", **look)
    barred = [p for p in points if p not in bare]
    axes.errorbar(
        [p.x for p in barred],
        [p.y for p in barred],
        xerr=_bars([(p.x, p.left, p.right) for p in barred]),
        yerr=_bars([(p.y, p.low, p.high) for p in barred]),
        linestyle="",
        elinewidth=1.1,
        capsize=1.8,
        **look,
    )


def _bars(bounds: Sequence[tuple[float, float | None, float | None]]) -> list[list[float]]:
    """Lengths below and above each (value, low, high), 0 where there is no bound; rounding may put a bound a hair
    beyond its value."""
    below = [0.0 if low is None else max(0.0, value - low) for value, low, _ in bounds]
    return [below, [0.0 if high is None else max(0.0, high - value) for value, _, high in bounds]]


def _style(n: int) -> tuple[str, str]:
    return COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)]


def _unit(axis: Any, unit: Unit, whole: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(5, integer=unit == "number" and (whole or _whole(axis))))
    if unit == "share":
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    elif unit == "points":
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:+.0f}" if value else "0"))


def _whole(axis: Any) -> bool:
    low, high = axis.get_data_interval()
    return bool(high - low >= 2)


def _legend(figure: Figure, series: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    if series in ([], [""]):
        return
    handles = []
    for n in range(len(series)):
        colour, marker = _style(n)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=4.5, linewidth=1.1))
    figure.legend(handles, _told_apart(series), loc="outside lower center", ncols=_legend_columns(series))


def _legend_columns(series: Sequence[str]) -> int:
    longest = max(len(line) for name in series for line in shortened(name).split("\n"))
    return max(1, min(len(series), 4, 100 // (longest + 8)))


def _legend_height(series: Sequence[str]) -> float:
    """Inches that the legend takes below the axes."""
    if series in ([], [""]):
        return 0.0
    lines = max(shortened(name).count("\n") + 1 for name in series)
    return 0.2 + 0.15 * lines * math.ceil(len(series) / _legend_columns(series))


def shortened(text: str, width: int = LABEL) -> str:
    """A label of at most three lines of `width` characters, the middle of a longer one left out ("…"), in letters that the font has."""
    known = _letters()
    shown = "".join(c if ord(c) in known else "�" for c in one_line(text))
    lines = [""]
    for piece in re.findall(rf"[^, ]{{1,{width}}}[, ]*|[, ]+", shown):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"… {lines[-1]}"]
    return "\n".join(line.rstrip() for line in lines)


def _told_apart(texts: Sequence[str]) -> list[str]:
    """Labels of texts that differ; those that are alike when shortened are numbered."""
    labels = [shortened(text) for text in texts]
    return [
        label if labels.count(label) == 1 else f"{label} ({labels[:n].count(label) + 1})"
        for n, label in enumerate(labels)
    ]


@lru_cache(maxsize=1)
def _letters() -> frozenset[int]:
    """The code points that the figures' font has."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(font_manager.findfont(LOOK["font.family"])).get_charmap())
