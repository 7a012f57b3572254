"""Horizontal bars of ratios around 1, in panels: how the plots of speed-ups and of comparisons are drawn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from clconv.bench.looks import FAINT, INK, RULE, Look
from clconv.bench.words import digits

MEAN = "geometric mean"

_BAR, _PANEL_WIDTH, _MARGIN = 0.17, 3.9, 1.6
"""Inches: thickness of a bar, width of a panel, and of the names beside it."""

_FREE = 0.8
"""Thicknesses of a bar between layers."""

_LONG = 80
"""Letters of all names from which a legend has a line for each."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio; or a word in its place. Without a verdict it is drawn hollow."""

    ratio: float | None
    word: str = ""
    sure: bool = True


Panel = Mapping[str, Mapping[str, Bar]]
"""Bars by series, and by the layer or MEAN."""


def draw(rows: Mapping[str, Mapping[str, Panel]], looks: Mapping[str, Look], title: str, axis: str) -> Figure:
    """Draw panels, by the heading of their row and their own, on one common scale."""
    inches = [0.9 + _BAR * max(len(_labels(panel)) * (len(panel) + _FREE) for panel in row.values()) for row in rows.values()]
    width = _MARGIN + _PANEL_WIDTH * max(2, *map(len, rows.values()))
    figure = Figure(figsize=(width, 1 + sum(inches)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    scale = _Scale.of(bar.ratio for row in rows.values() for panel in row.values() for bars in panel.values() for bar in bars.values())
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=inches)[:, 0]
    for (heading, row), part in zip(rows.items(), parts, strict=True):
        part.suptitle(heading, x=0.01, ha="left", fontsize=10)
        for (name, panel), axes in zip(row.items(), part.subplots(1, len(row), squeeze=False)[0], strict=True):
            _draw_panel(axes, panel, looks, scale)
            axes.set_title(name, loc="left", fontsize=10, weight="bold")
            axes.set_xlabel(axis, color=FAINT)
    _legend(figure, looks)
    return figure


def _labels(panel: Panel) -> list[str]:
    """The layers in their order, the mean last."""
    return sorted(dict.fromkeys(label for bars in panel.values() for label in bars), key=lambda label: label == MEAN)


@dataclass(frozen=True, slots=True)
class _Scale:
    """The scale of ratios: logarithmic, with bars from 1, where they span more than ten times; else from 0."""

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, ratios: Iterable[float | None]) -> "_Scale":
        known = [1.0, *(ratio for ratio in ratios if ratio is not None)]
        low, high = min(known), max(known)
        return cls(low / 2, high * 1.9, True) if high > 10 * low else cls(0.0, 1.25 * high, False)

    @property
    def base(self) -> float:
        return 1.0 if self.log else 0.0

    def apply(self, axes: Axes) -> None:
        if self.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(self.low, self.high)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _draw_panel(axes: Axes, panel: Panel, looks: Mapping[str, Look], scale: _Scale) -> None:
    labels, count = _labels(panel), len(panel)
    thick = 1 / (count + _FREE)
    scale.apply(axes)
    for number, (series, bars) in enumerate(panel.items()):
        for place, label in enumerate(labels):
            if label in bars:
                _draw_bar(axes, place + (number - (count - 1) / 2) * thick, thick, bars[label], looks[series], scale)
    axes.axvline(1, color=INK, linewidth=1.2, zorder=3)
    _name(axes, labels)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_bar(axes: Axes, place: float, thick: float, bar: Bar, look: Look, scale: _Scale) -> None:
    """A bar with its number; without a ratio, the word."""
    if bar.ratio is None:
        axes.annotate(bar.word, (1, place), (4, 0), textcoords="offset points", va="center", fontsize=8, style="italic", color=FAINT)
        return
    fill, edge = (look.colour, INK) if bar.sure else ("white", look.colour)
    axes.barh(place, bar.ratio - scale.base, thick, left=scale.base, color=fill, edgecolor=edge, hatch=look.hatch, linewidth=0.7)
    right = bar.ratio >= scale.base
    side: Literal["left", "right"] = "left" if right else "right"
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
    nudge, number = (3 if right else -3, 0), digits(bar.ratio)
    axes.annotate(number, (bar.ratio, place), nudge, textcoords="offset points", fontsize=8, ha=side, va="center", bbox=paper, zorder=4)


def _name(axes: Axes, labels: Sequence[str]) -> None:
    """Names of the layers, from above; the mean stands apart."""
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.45, -0.55)
    if MEAN in labels:
        axes.axhline(len(labels) - 1.5, color=FAINT, linewidth=0.8)
        axes.get_yticklabels()[-1].set_fontweight("bold")


def _legend(figure: Figure, looks: Mapping[str, Look]) -> None:
    patches = [Patch(facecolor=look.colour, edgecolor=INK, hatch=look.hatch, label=name, linewidth=0.7) for name, look in looks.items()]
    columns = len(patches) if sum(map(len, looks)) < _LONG else 1
    figure.legend(handles=patches, loc="outside lower left", ncols=columns, frameon=False, handlelength=2.4, handleheight=1.1)
