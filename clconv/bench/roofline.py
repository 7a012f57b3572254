"""The roofline plot (Williams et al. 2009): attained speed over arithmetic intensity, under the device's two measured ceilings."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from clconv.bench.figures import ceilings_of, flops_per_second, intensity
from clconv.bench.looks import FAINT, INK, RULE, Look, empty, looks, styled
from clconv.bench.record import Key, Report, Row
from clconv.bench.words import described, digits, system

_MARKERS = {"forward": "o", "backward": "s", "backward_data": "^", "backward_weight": "D"}
_TITLE = "Attained speed under the device's ceilings"
_WIDTH, _HEIGHT = 9.4, 5.4

_LETTER, _LINE = 0.0135, 0.014
"""Room of a layer's name, in parts of the panel: of a letter upwards, of a line across."""


def roofline_figure(report: Report) -> Figure:
    """A panel for each device and setting; the marker's shape is the pass, its colour and its filled part the system."""
    panels: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in report.rows:
        if flops_per_second(row) and intensity(row):
            panels[replace(row.key, layer="", which="", system="", variant="")].append(row)
    names = looks(dict.fromkeys(system(row.key) for rows in panels.values() for row in rows))
    with styled():
        return _figure(panels, names, report) if panels else empty(_TITLE, "no row has a time")


def _figure(panels: Mapping[Key, Sequence[Row]], names: Mapping[str, Look], report: Report) -> Figure:
    shared, own = described(list(panels))
    figure = Figure(figsize=(_WIDTH, 1 + _HEIGHT * len(panels)), layout="constrained")
    figure.suptitle(f"{_TITLE}\n{shared}", x=0.01, ha="left", fontsize=11)
    for (key, rows), axes in zip(panels.items(), figure.subplots(len(panels), 1, squeeze=False)[:, 0], strict=True):
        axes.set_title(own[key], loc="left", fontsize=10, weight="bold")
        _points(axes, rows, names)
        _roof(axes, ceilings_of(report.devices.get(key.device, {}), key.dtype))
        _layers(axes, rows)
        _scales(axes)
    _legend(figure, dict.fromkeys(row.key.which for rows in panels.values() for row in rows), names)
    return figure


def _points(axes: Axes, rows: Sequence[Row], names: Mapping[str, Look]) -> None:
    axes.set(xscale="log", yscale="log")
    for row in rows:
        axes.add_line(_marker(names[system(row.key)], row.key.which, *_place(row)))
    axes.autoscale()
    axes.margins(0.1)


def _place(row: Row) -> tuple[float, float]:
    """Operations a byte, and GFLOP/s."""
    return intensity(row) or 0.0, (flops_per_second(row) or 0.0) / 1e9


def _marker(look: Look, which: str, x: float = 0.0, y: float = 0.0, label: str = "") -> Line2D:
    edge = look.colour if look.fill == "none" else INK
    return Line2D(
        [x], [y], linestyle="", marker=_MARKERS.get(which, "o"), color=look.colour, label=label, zorder=3,
        fillstyle=look.fill, markerfacecoloralt="white", markeredgecolor=edge, markersize=8, markeredgewidth=1.6 if edge != INK else 0.8,
    )  # fmt: skip


def _roof(axes: Axes, ceilings: tuple[float, float] | None) -> None:
    """The two ceilings, and where they meet."""
    if ceilings is None:
        return
    flops, moved = (value / 1e9 for value in ceilings)
    ridge, (low, high) = flops / moved, axes.get_xlim()
    low, high = min(low, ridge / 4), max(high, 4 * ridge)
    axes.plot([low, ridge, high], [moved * low, flops, flops], color=INK, linewidth=1.6, zorder=2)
    axes.set_xlim(low, high)
    axes.set_ylim(top=max(axes.get_ylim()[1], 2 * flops))
    axes.annotate(f"{digits(flops)} GFLOP/s", (high, flops), (-4, 5), textcoords="offset points", ha="right", fontsize=9)
    axes.annotate(f"{digits(moved)} GB/s", (ridge / 2, flops / 2), (8, -6), textcoords="offset points", va="top", fontsize=9)


def _layers(axes: Axes, rows: Sequence[Row]) -> None:
    """Names of the layers at the foot, apart from each other, with lines up to their points."""
    named = sorted({(_place(row)[0], row.key.layer) for row in rows})
    foot = 0.04 + _LETTER * max(len(name) for _, name in named)
    (low, high), (left, right) = axes.get_ylim(), axes.get_xlim()
    axes.set_ylim(low * (low / high) ** (foot / (1 - foot)), high)
    places = _apart([x for x, _ in named], (right / left) ** min(_LINE, 0.9 / len(named)))
    for (x, name), place in zip(named, places, strict=True):
        axes.plot([place, x, x], [foot - 0.03, foot, 1], color=RULE, linewidth=0.6, zorder=0, transform=axes.get_xaxis_transform())
        axes.annotate(name, (place, foot - 0.04), xycoords=axes.get_xaxis_transform(), rotation=90, fontsize=7.5, ha="center", va="top")


def _apart(places: Sequence[float], factor: float) -> list[float]:
    """Rising places, moved to the right until each is this many times the one before."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] * factor) if moved else place)
    return moved


def _scales(axes: Axes) -> None:
    axes.set_xlabel("arithmetic intensity: flop / byte of operands and results")
    axes.set_ylabel("GFLOP/s")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(color=RULE, linewidth=0.5, axis="y")


def _legend(figure: Figure, passes: Iterable[str], names: Mapping[str, Look]) -> None:
    shapes = [_marker(Look(FAINT, "", "full"), which, label=which) for which in passes]
    systems = [_marker(look, "forward", label=name) for name, look in names.items()]
    figure.legend(handles=[*shapes, *systems], loc="outside lower left", ncols=6, frameon=False)
