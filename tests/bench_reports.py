"""Reports of benchmarks that are made up: numbers whose ratios and means are known."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from clconv.bench.record import Key, Report, Row
from clconv.bench.timing import Spread

GPU, CPU = "Graphics [fast] on Platform", "Processor on Platform"

Times = dict[tuple[str, str, str], float]
"""Milliseconds by layer, pass and system."""

TIMES: Times = {
    ("one", "forward", "clconv"): 2.0,
    ("one", "forward", "torchvision"): 4.0,
    ("one", "backward", "clconv"): 8.0,
    ("one", "backward", "torchvision"): 4.0,
    ("two", "forward", "clconv"): 1.0,
    ("two", "forward", "torchvision"): 8.0,
}


def key(layer: str, which: str = "forward", system: str = "clconv", device: str = GPU, **changed: Any) -> Key:
    return replace(Key(layer, which, "float32", "", False, "random", device, system), **changed)


def spread(milliseconds: float, width: float = 0.1) -> Spread:
    """Quartiles `width` of the median below and above it."""
    median = 1e-3 * milliseconds
    return Spread(median, median * (1 - width), median * (1 + width), median * (1 - width), 9)


def row(of: Key, milliseconds: float, width: float = 0.1, **changed: Any) -> Row:
    usual = Row(of, "ok", times={"device": spread(milliseconds, width)}, flops=4_000_000_000, bytes=20_000_000, memory=3 << 19)
    return replace(usual, **changed)


def report(times: Times = TIMES, device: str = GPU, width: float = 0.1, extra: Iterable[Row] = ()) -> Report:
    rows = (row(key(*names, device=device), milliseconds, width) for names, milliseconds in times.items())
    ceilings = {"float32": {"flops": 4e12, "bytes": 2e10}}
    return Report({"seed": 0}, {device: {"ceilings": ceilings}}, {}, {"torchvision": "0.1"}, (*rows, *extra))


def bad_rows() -> list[Row]:
    """A wrong result, a failure and a refusal, with reasons that tables must not stumble over."""
    return [
        row(key("three"), 1.0, verdict="wrong", times={}, reason="output[0, 1]: got 3 | want 4"),
        row(key("three", system="torchvision"), 4.0),
        row(key("three", "backward"), 1.0, verdict="failed", times={}, reason="OutOfMemoryError: too [big]\nfor this device"),
        row(key("three", "backward", "torchvision"), 1.0, verdict="refused", times={}, reason="it has no such pass"),
    ]


def scaled(by: dict[str, float]) -> Times:
    """The times of clconv, of each layer divided by a speed-up."""
    return {names: milliseconds / by.get(names[0], 1.0) for names, milliseconds in TIMES.items() if names[2] == "clconv"}


def written(path: Path, what: Report) -> str:
    what.write(path)
    return str(path)
