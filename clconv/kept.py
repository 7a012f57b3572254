"""What a forward leaves on the device for the backward of the same operands: what both make of these alone, samples or plans."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
import pyopencl as cl

from clconv.execute import Runner
from clconv.ring_and_weight import ring_and_weight
from clconv.schedule import KEPT, Fill, Launch, Schedule, Step

_SMALL_BYTES = 1 << 20
"""Of packed weights, that stay in a cache while a forward runs."""

DEPENDS_ON = ("input", "offset", "mask", "weight")
"""The operands that all of it is made of."""


def going_ahead(forward: Schedule, backward: Schedule) -> Schedule:
    """A forward that does a backward's steps that are `ahead`, in its own first launch; where it can't, as it was.

    Neither where it leaves neither samples nor plans, but packs a large weight: what it made ahead would have left the cache, which
    outweighs the launch.
    """
    packs = (*forward.shared, *forward.prepare) in forward.joined and sum(forward.kept.values()) <= _SMALL_BYTES
    leaves = not forward.temporaries.keys().isdisjoint(KEPT) or not forward.prepare or packs
    if forward.shared != backward.shared or len(forward.shared) != 1 or not backward.ahead or not leaves:
        return forward
    (ring,), fore = forward.shared, forward.prepare[0] if forward.prepare else None
    *back, zero = backward.ahead
    pack = back[0] if back else None
    assert isinstance(ring, Launch) and not isinstance(fore, Fill) and not isinstance(pack, Fill) and isinstance(zero, Fill)
    made = {name: size for name, size in backward.temporaries.items() if name == zero.buffer or (pack and name in pack.buffers)}
    unpacked = ring_and_weight(ring, fore=fore, back=pack, zeros=(zero,))
    packed = ring_and_weight(ring, back=pack, zeros=(zero,))
    joined = {**unpacked, **packed, **forward.joined, **backward.joined}
    return replace(forward, shared=(ring, *backward.ahead), temporaries={**forward.temporaries, **made}, joined=joined)


def relieved(schedule: Schedule, forward: Schedule) -> Schedule:
    """A backward without the steps that a forward has done, and without what these made; but for what this one needs more of."""
    more = {name for name, size in schedule.temporaries.items() if size > forward.temporaries.get(name, 0)}
    done = [step for step in forward.shared if more.isdisjoint(_buffers(step))]
    shared, steps, ahead = (tuple(step for step in some if step not in done) for some in (schedule.shared, schedule.steps, schedule.ahead))
    left = _left_by(forward) - more - {name for step in (*shared, *ahead) for name in _buffers(step)}
    kept = {name: size for name, size in schedule.temporaries.items() if name not in left}
    return replace(schedule, shared=shared, steps=steps, temporaries=kept)


def _buffers(step: Step) -> tuple[str, ...]:
    return step.buffers if isinstance(step, Launch) else (step.buffer,)


def reads(schedule: Schedule, name: str) -> bool:
    """Whether a pass reads a buffer that another has left."""
    return any(isinstance(step, Launch) and name in step.buffers for step in schedule.steps)


@lru_cache(maxsize=64)  # each backward asks
def _left_by(forward: Schedule) -> frozenset[str]:
    made = {name for step in forward.shared for name in _buffers(step)}
    return frozenset(name for name in forward.temporaries if name in made or name.startswith("kept_"))


@dataclass(frozen=True, slots=True)
class Left:
    """What one forward has left: its schedule with all its temporaries, the events of its end, and the arrays that it was made of."""

    schedule: Schedule
    temporaries: dict[str, cl.Buffer]
    events: list[cl.Event]
    arrays: Mapping[str, Any]

    @property
    def buffers(self) -> dict[str, cl.Buffer]:
        """Those of the temporaries that a backward may read."""
        return {name: self.temporaries[name] for name in _left_by(self.schedule)}

    def is_of(self, arrays: Mapping[str, Any]) -> bool:
        """Whether it was made of the same memory. It holds that memory, so none that was allocated since then can be the same."""
        return all(_same_memory(self.arrays[name], arrays[name]) for name in DEPENDS_ON)


def _same_memory(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if (
        a is None
        or b is None
        or isinstance(a, cl.Buffer)
        or isinstance(b, cl.Buffer)
        or (a.shape, a.strides, a.dtype) != (b.shape, b.strides, b.dtype)
    ):
        return False
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.ctypes.data == b.ctypes.data
    return not isinstance(b, np.ndarray) and a.offset == b.offset and a.base_data == b.base_data


class Kept:
    """A place for what the last forward of a plan has left, if it was told to: until a backward takes it, or another forward comes."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._left: Left | None = None
        self._lock = Lock()

    def run_forward(
        self, schedule: Schedule, arrays: Mapping[str, Any] | None, buffers: Mapping[str, cl.Buffer], wait_for: list[cl.Event]
    ) -> list[cl.Event]:
        """Enqueue a forward, and keep what it leaves for a backward of `arrays`; with None, keep nothing."""
        if self._left is not None:
            self.forget()
        if arrays is None:
            return self._runner.run(schedule, buffers, wait_for)
        temporaries, events = self._runner.start(schedule, buffers, wait_for)
        self._replace(Left(schedule, temporaries, events, {name: arrays[name] for name in DEPENDS_ON}))
        return list(events)

    def take(self, arrays: Mapping[str, Any]) -> Left | None:
        """What is there, if it was made of these arrays, for who runs their backward."""
        with self._lock:
            left = self._left
            if left is None or not left.is_of(arrays):
                return None
            self._left = None
        return left

    def run_backward(
        self, schedule: Schedule, left: Left | None, buffers: Mapping[str, cl.Buffer], wait_for: list[cl.Event]
    ) -> list[cl.Event]:
        """Enqueue a backward on what a forward has left, if it has; the next forward may have its temporaries then."""
        if left is None:
            return self._runner.run(schedule, buffers, wait_for)
        events = self._runner.run(schedule, {**buffers, **left.buffers}, [*wait_for, *left.events])
        self._runner.workspace.give_back(left.schedule, left.temporaries, events)
        return events

    def forget(self) -> None:
        """Keep nothing any more."""
        self._replace(None)

    def _replace(self, left: Left | None) -> None:
        """Put something there, or nothing; what was there is given back."""
        with self._lock:
            before, self._left = self._left, left
        if before:
            self._runner.workspace.give_back(before.schedule, before.temporaries, before.events)
