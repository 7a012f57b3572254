"""Pictures of reports: speed against peers, the roofline, and reports side by side."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import geometric_mean

from matplotlib.figure import Figure

from clconv.bench.bars import MEAN, Bar, draw
from clconv.bench.compare import Comparison
from clconv.bench.figures import CLCONV, geometric_means, peers_of, ratios, speed_ups, task_of
from clconv.bench.looks import FORMATS, empty, looks, save, styled
from clconv.bench.record import Key, Report, Row
from clconv.bench.roofline import roofline_figure
from clconv.bench.words import described

__all__ = ["FORMATS", "compare_figure", "roofline_figure", "save", "speed_up_figure"]


@dataclass(frozen=True, slots=True)
class _Item:
    """A bar and where it belongs: `key` says the panel and the layer, or MEAN for a layer."""

    key: Key
    series: str
    bar: Bar


def speed_up_figure(report: Report) -> Figure:
    """Bars of how many times faster this library is than each peer, by layer; panels by pass, device, type and variant."""
    items = [*_speed_ups(report), *_mean_speed_ups(report)]
    return _figure(items, peers_of(report.rows), "Speed of clconv against other systems", "time of the other / time of clconv")


def compare_figure(comparison: Comparison) -> Figure:
    """Bars of how many times faster each contender is than the first, by layer, of this library's rows; hollow within the spread."""
    items = [*_ratios(comparison), *_lacking(comparison)]
    return _figure(
        [*items, *_means(items)],
        comparison.names[1:],
        f"Speed against {comparison.names[0]}; hollow where spreads overlap",
        "time of the first / time of the other",
    )


def _speed_ups(report: Report) -> Iterator[_Item]:
    found = ratios(report)
    peers = {(task_of(row.key), row.key.system): row for row in report.rows if row.key.system != CLCONV}
    for row in report.rows:
        if row.key.system == CLCONV:
            for name in peers_of([other for other in report.rows if other.key.device == row.key.device]):
                word = _word(row, peers.get((task_of(row.key), name)))
                yield _Item(row.key, name, Bar(found.get((row.key, name)), word))


def _word(row: Row, peer: Row | None) -> str:
    """Why there is no bar."""
    if row.verdict != "ok":
        return f"{CLCONV} {_said(row.verdict)}"
    return "not measured" if peer is None else _said(peer.verdict)


def _said(verdict: str) -> str:
    return "WRONG" if verdict == "wrong" else verdict


def _mean_speed_ups(report: Report) -> Iterator[_Item]:
    for mean in geometric_means(speed_ups(report)):
        yield _Item(replace(mean.key, layer=MEAN, system=CLCONV), mean.key.system, Bar(mean.ratio))


def _ratios(comparison: Comparison) -> Iterator[_Item]:
    for match in comparison.matches:
        if match.key.system == CLCONV:
            yield _Item(match.key, match.other, Bar(match.ratio, sure=match.apart))


def _lacking(comparison: Comparison) -> Iterator[_Item]:
    """A word for each row that can't be compared; what the first contender lacks, all lack."""
    first, *others = comparison.names
    for left in comparison.left_out:
        if left.key.system == CLCONV:
            for name in others if left.contender == first else [left.contender]:
                yield _Item(left.key, name, Bar(None, _said(left.verdict) + (" in the first" if left.contender == first else "")))


def _means(items: Sequence[_Item]) -> Iterator[_Item]:
    found: defaultdict[tuple[Key, str], list[float]] = defaultdict(list)
    for item in items:
        if item.bar.ratio is not None:
            found[replace(item.key, layer=MEAN), item.series].append(item.bar.ratio)
    for (key, series), values in found.items():
        yield _Item(key, series, Bar(geometric_mean(values)))


def _figure(items: Sequence[_Item], names: Sequence[str], title: str, axis: str) -> Figure:
    """A row of panels for each device and setting, in it a panel for each pass."""
    panels: defaultdict[Key, dict[str, defaultdict[str, dict[str, Bar]]]] = defaultdict(dict)
    for item in items:
        series = panels[replace(item.key, layer="", which="")].setdefault(item.key.which, defaultdict(dict))
        series[item.series][item.key.layer] = item.bar
    shared, own = described(list(panels))
    with styled():
        if not panels:
            return empty(title, "nothing was measured that could be compared")
        return draw({heading: panels[key] for key, heading in own.items()}, looks(names), f"{title}\n{shared}", axis)
