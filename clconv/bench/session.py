"""A run of a benchmark: its report grows row by row, and stands on disk after each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from clconv.bench.ceilings import ceilings
from clconv.bench.peers.peer import Peer
from clconv.bench.record import Report, Row
from clconv.bench.run import Bench, Measurement, Settings, begun
from clconv.check.report import describe
from clconv.device import Device
from clconv.errors import ClconvError
from clconv.provenance import environment


def started(settings: Settings, devices: Sequence[Device], peers: Sequence[Peer], options: Mapping[str, Any]) -> Report:
    """A report without rows: everything that is known before anything is measured."""
    provenance = {**environment(), "options": dict(options), "seed": settings.seed}
    facts = {device.label: _facts(device, settings.dtypes) for device in devices}
    layers = {layer.name: asdict(layer) for layer in settings.layers}
    return Report(provenance, facts, layers, {peer.name: peer.version() for peer in peers}, ())


def _facts(device: Device, dtypes: Sequence[str]) -> dict[str, Any]:
    clock = device.handle.max_clock_frequency if device.handle else None
    return {**describe(device), "clock_mhz": clock, "ceilings": _ceilings(device, dtypes)}


def _ceilings(device: Device, dtypes: Sequence[str]) -> dict[str, dict[str, float]]:
    """By element type; empty where the device fails."""
    try:
        return {dtype: ceilings(device, dtype) for dtype in dtypes if device.fp64 or dtype != "float64"}
    except ClconvError:
        return {}


def measured(report: Report, planned: Sequence[Measurement], settings: Settings, file: Path | None) -> Iterator[tuple[Report, Row]]:
    """Measure what the report lacks; gives it with each new row. `file` holds it all the time."""
    bench = Bench(settings)
    have = {row.key for row in report.rows}
    for measurement in planned:
        if measurement.key not in have:
            _keep(with_row(report, begun(measurement)), file)
            try:
                row = bench.row(measurement)
                report = with_row(report, row)
            finally:  # an interrupted row is measured again when the report is resumed; one that took the process down isn't
                _keep(report, file)
            yield report, row


def resumed(report: Report, before: Report) -> Report:
    """A new report with the rows of an earlier one on the same devices."""
    return replace(report, rows=before.rows, layers={**before.layers, **report.layers}, devices={**before.devices, **report.devices})


def with_row(report: Report, row: Row) -> Report:
    """The report with one more row."""
    return replace(report, rows=(*report.rows, row))


def _keep(report: Report, file: Path | None) -> None:
    if file is not None:
        report.write(file)
