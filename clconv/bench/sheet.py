"""A report's rows as cells of text: what a table shows in the terminal and in Markdown."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from clconv.bench.figures import (
    CLCONV,
    Mean,
    bytes_per_second,
    ceilings_of,
    flops_per_second,
    geometric_means,
    peers_of,
    ratios,
    seconds,
    share,
    speed_ups,
    task_of,
)
from clconv.bench.record import Key, Report, Row
from clconv.bench.words import SETTINGS, digits, milliseconds, outcome, setting, settings, size, system, varying

CLOCKS = {
    "device": "device time, first kernel's start to last one's end",
    "call": "host time of a call with arrays on the device",
    "enqueue": "host time until a call returns",
    "numpy": "host time of a call with NumPy arrays, transfers included",
}
"""What the times are of that rows can be compared by."""

TIME = "ms (quartiles)"

Ratios = Mapping[tuple[Key, str], float]


@dataclass(frozen=True, slots=True)
class Line:
    """Cells of a row; `kind` is its verdict, or "mean" for a geometric mean over layers."""

    cells: tuple[str, ...]
    kind: str
    layer: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The table of one device; `about` says what its rows share."""

    device: str
    about: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]


def sheets(report: Report) -> list[Sheet]:
    """The tables of a report, one for each device that has rows."""
    by_device: defaultdict[str, list[Row]] = defaultdict(list)
    for row in report.rows:
        by_device[row.key.device].append(row)
    return [_sheet(device, rows, report) for device, rows in by_device.items()]


def _sheet(device: str, rows: Sequence[Row], report: Report) -> Sheet:
    names, others, found = varying(row.key for row in rows), peers_of(rows), ratios(report)
    ordered = _neighbours(rows)
    lines = [Line((*_cells(row, names, report), *_speeds(found, row.key, others)), row.verdict, row.key.layer) for row in ordered]
    means = [mean for mean in geometric_means(speed_ups(report)) if mean.key.device == device]
    header = ("layer", "pass", *names, "system", TIME, "GFLOP/s", "GB/s", "of ceiling", "memory")
    against = tuple(f"vs {name}" for name in others)
    return Sheet(device, _about(device, rows, report), (*header, *against), (*lines, *_mean_lines(means, names, others)))


def _neighbours(rows: Iterable[Row]) -> list[Row]:
    """Bring rows of the same task together."""
    tasks: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        tasks[task_of(row.key)].append(row)
    return [row for together in tasks.values() for row in together]


def _about(device: str, rows: Sequence[Row], report: Report) -> str:
    """What all rows share, what their times are of, and the device's ceilings."""
    different = varying(row.key for row in rows)
    usual = settings(rows[0].key, [name for name in SETTINGS if name not in different])
    clocks = [CLOCKS.get(clock, clock) for clock in dict.fromkeys(row.main for row in rows)]
    measured = [_ceilings(device, dtype, report) for dtype in dict.fromkeys(row.key.dtype for row in rows)]
    return "; ".join(part for part in (usual, *clocks, *measured) if part)


def _ceilings(device: str, dtype: str, report: Report) -> str:
    found = ceilings_of(report.devices.get(device, {}), dtype)
    return f"{dtype} ceilings {digits(found[0] / 1e9)} GFLOP/s, {digits(found[1] / 1e9)} GB/s" if found else ""


def _cells(row: Row, names: Iterable[str], report: Report) -> tuple[str, ...]:
    flops, moved, part = flops_per_second(row), bytes_per_second(row), share(row, report.devices.get(row.key.device, {}))
    return (
        row.key.layer, row.key.which, *(setting(row.key, name) for name in names), system(row.key), _time(row),
        "" if flops is None else digits(flops / 1e9),
        "" if moved is None else digits(moved / 1e9),
        "" if part is None else f"{digits(100 * part, 2)} %",
        "" if row.memory is None else size(row.memory),
    )  # fmt: skip


def _time(row: Row) -> str:
    """Median and quartiles with what looks odd about them; or why there is no time."""
    if seconds(row) is None or row.time is None:
        return outcome(row)
    time, remark = row.time, f", {row.time.remark}" if row.time.remark else ""
    return f"{milliseconds(time.median)} ({milliseconds(time.q1)}-{milliseconds(time.q3)}){remark}"


def _speeds(found: Ratios, key: Key, others: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{digits(found[key, name])}x" if (key, name) in found else "" for name in others)


def _mean_lines(means: Iterable[Mean], names: Sequence[str], others: Sequence[str]) -> Iterator[Line]:
    """A line for each pass, type and variant, with the means against all peers and over how many layers."""
    of_key: defaultdict[Key, dict[str, str]] = defaultdict(dict)
    for mean in means:
        of_key[replace(mean.key, system=CLCONV)][mean.key.system] = f"{digits(mean.ratio)}x ({mean.layers})"
    for key, cells in of_key.items():
        what = ("geometric mean", key.which, *(setting(key, name) for name in names), system(key))
        yield Line((*what, *[""] * 5, *(cells.get(name, "") for name in others)), "mean")
