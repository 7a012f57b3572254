"""The measuring itself: devices, layers, passes, types, variants and peers, one row after another; whatever fails costs its own row."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

from clconv.arrays import NumpyArray
from clconv.bench.call import Call, Job
from clconv.bench.first import first_calls
from clconv.bench.layers import Layer
from clconv.bench.peers.peer import Peer, PeerError, Task
from clconv.bench.record import Key, Row
from clconv.bench.spots import Spots
from clconv.bench.timing import Limits, Spread, sample
from clconv.device import Device
from clconv.errors import ClconvError, UnsupportedError
from clconv.queues import forget_contexts
from clconv.tuning import GRADIENTS, PASSES

Inputs = Sequence[Mapping[str, NumpyArray]]

_MOST_INPUTS = 16
_PEER_ERROR = {"float64": 1e-9, "float32": 1e-2, "float16": 0.1, "bfloat16": 0.2}
"""Relative error beyond which a peer's result isn't that of the same operation, at the places where it samples if it rounds these."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `clconv bench` measures: all combinations."""

    layers: tuple[Layer, ...]
    passes: tuple[str, ...] = ("forward", "backward")
    dtypes: tuple[str, ...] = ("float32",)
    precision: str = ""
    deterministic: bool = False
    fixed_weight: bool = False
    variants: tuple[str, ...] = ("",)  # ("all",): each that a pass has
    offsets: tuple[str, ...] = ("random",)
    limits: Limits = field(default_factory=Limits)
    first: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row that is still to be measured: of this library, or of `peer`."""

    key: Key
    job: Job
    device: Device
    peer: Peer | None


def measurements(settings: Settings, devices: Sequence[Device], peers: Sequence[Peer]) -> list[Measurement]:
    """Everything that is to be measured, in order: what is compared one after another, for a shared machine is fast and slow by turns."""
    s = settings
    found = []
    for dtype, layer, offsets, which, device in product(s.dtypes, s.layers, s.offsets, s.passes, devices):
        job = Job(layer, which, dtype, s.precision, s.deterministic, fixed_weight=s.fixed_weight)
        where = offsets, device.label, "clconv"
        key = Key(layer.name, which, dtype, s.precision, s.deterministic, *where, fixed_weight=s.fixed_weight)
        for variant in _variants(which, s.variants):
            found.append(Measurement(replace(key, variant=variant), replace(job, variant=variant), device, None))
        found += [Measurement(replace(key, system=peer.name), job, device, peer) for peer in peers]
    return found


def _variants(which: str, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Names of variants; a whole backward has only the library's choice."""
    if which == "backward":
        return ("",)
    return tuple(variant.name for variant in PASSES[which]) if asked == ("all",) else asked


class Bench:
    """Measures rows; keeps the data of the last layer for the next row."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inputs: tuple[Any, Inputs] = (None, ())
        self._spots: tuple[Any, Spots | None] = (None, None)
        self._of_peers: dict[Key, Row] = {}

    def row(self, measurement: Measurement) -> Row:
        """Measure one row."""
        m = measurement
        row = Row(m.key, "ok", main="numpy" if m.device.kind == "cpu" else "device", flops=m.job.flops, bytes=m.job.bytes)
        try:
            return self._of_clconv(m, row) if m.peer is None else self._known_of_peer(m, m.peer, row)
        except UnsupportedError as error:
            return replace(row, verdict="refused", reason=str(error))
        except (ClconvError, PeerError, MemoryError) as error:
            forget_contexts()
            return replace(row, verdict="failed", reason=f"{type(error).__name__}: {error}")

    def _of_clconv(self, m: Measurement, row: Row) -> Row:
        inputs = self.inputs(m)
        call = Call(m.job, m.device, inputs)
        results = call.results()
        spots = self._expected(m, inputs[0], plain=False)
        row = replace(row, error=spots.error(results), memory=call.memory, chosen=_chosen(call, m.job))
        if account := spots.account(results, call.plan.problem, repr(m.key)):
            return replace(row, verdict="wrong", reason=account)
        clocks = ("device", "call", "enqueue", "numpy")
        times = {clock: sample(getattr(call, clock), self._limits(clock, row.main)) for clock in clocks}
        kernels = {name: Spread.of(times_).median for name, times_ in call.kernels.items()}
        first = first_calls(m.job, m.device) if self._settings.first else {}
        return replace(row, times=times, kernels=kernels, first=first)

    def _limits(self, clock: str, main: str) -> Limits:
        """The time that systems are compared by gets all of the patience, the others a part."""
        limits = self._settings.limits
        return limits if clock == main else replace(limits, seconds=limits.seconds / 4, timeout=limits.timeout / 4)

    def _known_of_peer(self, m: Measurement, peer: Peer, row: Row) -> Row:
        """A peer's row; on a CPU it doesn't depend on the driver that it is compared with, so it is measured once for all."""
        if m.device.kind != "cpu":
            return self._of_peer(m, peer, row)
        anywhere = replace(m.key, device="cpu")
        if anywhere not in self._of_peers:
            self._of_peers[anywhere] = self._of_peer(m, peer, row)
        return replace(self._of_peers[anywhere], key=m.key)

    def _of_peer(self, m: Measurement, peer: Peer, row: Row) -> Row:
        inputs = self.inputs(m)
        job = m.job
        kind = "cpu" if m.device.kind == "cpu" else "gpu"
        task = Task(job.layer, job.which, job.dtype, job.precision, kind, min(m.device.compute_units, os.cpu_count() or 1), inputs)
        if reason := peer.refusal(task):
            return replace(row, verdict="refused", reason=reason)
        prepared = peer.prepare(task)
        results = prepared.results()
        error = own = self._expected(m, inputs[0], plain=peer.plain).error(results)
        row = replace(row, error=error, chosen=peer.version())
        bound = _PEER_ERROR[job.dtype]
        if not error < bound and (taken := peer.taken(task)) is not inputs[0]:
            own = Spots(job.layer, taken, job.needs).error(results)
        if not own < bound:
            return replace(row, verdict="wrong", reason=f"relative error {error:.2g} against the float64 reference")
        times = {row.main: sample(prepared.timed, self._settings.limits)}
        return replace(row, times=times, memory=prepared.memory())

    def inputs(self, m: Measurement) -> Inputs:
        """The layer's data; on others than CPUs several times over where one would stay in the device's cache.

        A CPU's caches have what the layer before it wrote. And one driver says how large the second is, another the third, so that inputs
        would be cold for one and warm for another, and for peers as for the driver beside which they are measured.
        """
        offsets, cpu = m.key.offsets, m.device.kind == "cpu"
        key = (m.job.layer, m.job.dtype, offsets, "cpu" if cpu else m.device.label)
        if self._inputs[0] != key:
            self._inputs = (None, ())
            make = partial(m.job.layer.arrays, m.job.dtype, offsets)
            first = make(seed=self._settings.seed)
            size = sum(array.nbytes for array in first.values())
            cache = 0 if cpu or not m.device.handle else m.device.handle.global_mem_cache_size
            count = min(_MOST_INPUTS, 1 + 2 * cache // size)
            others = [make(seed=self._settings.seed + number) for number in range(1, count)]
            self._inputs = (key, [first, *others])
        return self._inputs[1]

    def _expected(self, m: Measurement, arrays: Mapping[str, NumpyArray], plain: bool) -> Spots:
        """What the reference makes of the first input; an ordinary convolution for peers that do no other."""
        key = (m.job.layer, m.job.needs, m.job.dtype, m.key.offsets, plain)
        if self._spots[0] != key:
            layer = replace(m.job.layer, offset_groups=None, mask=False) if plain else m.job.layer
            kept = {name: array for name, array in arrays.items() if not plain or name not in ("offset", "mask")}
            self._spots = (key, Spots(layer, kept, m.job.needs))
        spots = self._spots[1]
        assert spots is not None
        return spots


def _chosen(call: Call, job: Job) -> str:
    """The variants and tiles that a pass runs, as `repr(plan)` has them."""
    passes = ("forward",) if job.which == "forward" else tuple(GRADIENTS) if job.which == "backward" else (job.which,)
    found = call.plan.choices()
    return ", ".join(f"{which}={found[which]}" for which in passes if which in found)


def begun(measurement: Measurement) -> Row:
    """What stands in a report while a row is measured: what remains if the driver takes the process down."""
    return Row(measurement.key, "failed", "the process ended while this was measured")
