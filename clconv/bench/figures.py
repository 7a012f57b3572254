"""Figures that follow from a report's rows: rates, shares of the device's ceilings, speed against peers. Nothing else computes them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import geometric_mean
from typing import Any

from clconv.bench.record import Key, Report, Row

CLCONV = "clconv"
"""The system that peers are compared with."""


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """How many times faster a row of this library is than a peer's row of the same task: above 1, this library is faster."""

    row: Row
    peer: Row
    ratio: float


@dataclass(frozen=True, slots=True)
class Mean:
    """Geometric mean of speed-ups over layers. `key` has no layer; its `system` is the peer, its `variant` this library's."""

    key: Key
    ratio: float
    layers: int


def task_of(key: Key) -> Key:
    """What rows share that did the same work: the key without system and variant."""
    return replace(key, system="", variant="")


def peers_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Systems other than this library, in the order of the rows."""
    return tuple(dict.fromkeys(row.key.system for row in rows if row.key.system != CLCONV))


def seconds(row: Row) -> float | None:
    """Median of the time that systems are compared by; None unless the result was right."""
    return row.seconds if row.verdict == "ok" and row.seconds else None


def speed_ups(report: Report) -> tuple[SpeedUp, ...]:
    """Seconds of the peer over seconds of this library, for every pair of rows of the same task that both have a time."""
    peers: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in report.rows:
        if row.key.system != CLCONV:
            peers[task_of(row.key)].append(row)
    pairs = ((row, peer) for row in report.rows if row.key.system == CLCONV for peer in peers[task_of(row.key)])
    timed = ((row, peer, seconds(row), seconds(peer)) for row, peer in pairs)
    return tuple(SpeedUp(row, peer, theirs / ours) for row, peer, ours, theirs in timed if ours and theirs)


def ratios(report: Report) -> dict[tuple[Key, str], float]:
    """The speed-ups by the key of this library's row and the peer's name."""
    return {(one.row.key, one.peer.key.system): one.ratio for one in speed_ups(report)}


def geometric_means(found: Sequence[SpeedUp]) -> tuple[Mean, ...]:
    """Mean over the layers, for each peer, pass, type and its settings, device and variant."""
    by_key: defaultdict[Key, list[float]] = defaultdict(list)
    for one in found:
        by_key[replace(one.row.key, layer="", system=one.peer.key.system)].append(one.ratio)
    return tuple(Mean(key, geometric_mean(values), len(values)) for key, values in by_key.items())


def flops_per_second(row: Row) -> float | None:
    """Floating-point operations of the products, a second; None without a time."""
    return _rate(row.flops, row)


def bytes_per_second(row: Row) -> float | None:
    """The least traffic, a second: each operand read once, each result written once. None without a time."""
    return _rate(row.bytes, row)


def intensity(row: Row) -> float | None:
    """Operations a byte of the least traffic (Williams et al. 2009)."""
    return row.flops / row.bytes if row.bytes and row.flops else None


def ceilings_of(device: Mapping[str, Any], dtype: str) -> tuple[float, float] | None:
    """A device's measured flops and bytes a second, of its description in a report; None where one is missing.

    Its "ceilings" stand there for each element type, or once for all.
    """
    ceilings = device.get("ceilings") or {}
    ceilings = ceilings.get(dtype, ceilings)
    flops, moved = ceilings.get("flops"), ceilings.get("bytes")
    return (flops, moved) if flops and moved else None


def ceiling_seconds(row: Row, device: Mapping[str, Any]) -> float | None:
    """Least seconds of a row by the roofline: what its operations or its least traffic take at the device's ceilings.

    Parameters
    ----------
    row : Row
    device : mapping
        The device's description in the report, with "ceilings".
    """
    ceilings = ceilings_of(device, row.key.dtype)
    return None if ceilings is None else max(row.flops / ceilings[0], row.bytes / ceilings[1])


def share(row: Row, device: Mapping[str, Any]) -> float | None:
    """Part of the ceiling's speed that a row reaches; above 1 where matrix units or a cache beat the ceiling."""
    least = ceiling_seconds(row, device)
    return _rate(least, row)


def _rate(amount: float | None, row: Row) -> float | None:
    time = seconds(row)
    return amount / time if amount and time else None
