"""A schedule, a queue and buffers -> events. The only place that launches anything."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

import numpy as np
import pyopencl as cl

from clconv.errors import DeviceError, OutOfMemoryError
from clconv.program import Compiled, compiled
from clconv.schedule import Fill, Kernel, Launch, Schedule, Step, round_up

log = logging.getLogger("clconv")

_traced: ContextVar[list[tuple[str, cl.Event]] | None] = ContextVar("_traced", default=None)

_EACH = 4
"""Elements that a work-item of kernels/zero.cl fills."""

_OUT_OF_MEMORY = ("MEM_OBJECT_ALLOCATION_FAILURE", "OUT_OF_RESOURCES", "OUT_OF_HOST_MEMORY", "INVALID_BUFFER_SIZE")


class driver_errors:
    """Turn what the driver raises while `doing` something into this library's errors."""

    def __init__(self, device: cl.Device, doing: str) -> None:
        self._device = device
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, cl.Error):
            raise _account(error, self._device, self._doing) from error


def _account(error: cl.Error, device: cl.Device, doing: str) -> DeviceError | OutOfMemoryError:
    where = f"{device.name.strip()} ({device.platform.name}) failed while {doing}: {error}"
    if isinstance(error, cl.MemoryError) or any(code in str(error) for code in _OUT_OF_MEMORY):
        limits = f"the device has {device.global_mem_size} bytes, {device.max_mem_alloc_size} at most in one buffer"
        return OutOfMemoryError(f"{where}; {limits}")
    return DeviceError(where)


def allocate(context: cl.Context, device: cl.Device, name: str, size: int) -> cl.Buffer:
    """A device buffer of `size` bytes (at least one: OpenCL has no empty buffers).

    More than the device has is refused here, for a driver may promise it and fail at the first use.
    """
    if size > device.global_mem_size:
        raise OutOfMemoryError(
            f"{device.name.strip()} failed while allocating {size} bytes for {name}: the device has {device.global_mem_size} bytes"
        )
    with driver_errors(device, f"allocating {size} bytes for {name}"):
        return cl.Buffer(context, cl.mem_flags.READ_WRITE, max(size, 1))


class Sequel:
    """Steps to enqueue on one queue one after another, as often as wanted; kernels are built when they are first enqueued.

    Where the queue may run commands out of order, each step waits for the one before it.
    """

    def __init__(self, steps: Sequence[Step], queue: cl.CommandQueue) -> None:
        self._steps = [_zero(step.buffer, step.size) if isinstance(step, Fill) else step for step in steps]
        self._queue = queue
        self._in_order = not queue.properties & cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE
        self._compiled: list[Compiled | None] = [None] * len(steps)

    def enqueue(self, buffers: Mapping[str, cl.Buffer], wait_for: Sequence[cl.Event] = ()) -> list[cl.Event]:
        """Enqueue the steps and return what a later command has to wait for."""
        events = list(dict.fromkeys(wait_for))
        traced, logged = _traced.get(), log.isEnabledFor(logging.INFO)
        for number, launch in enumerate(self._steps):
            kernel = self._compiled[number] = self._compiled[number] or self._build(launch.kernel)
            if logged:
                log.info("launch %s, global %s, local %s", launch.kernel.name, launch.global_size, launch.local_size)
            try:
                event = kernel.enqueue(self._queue, launch, buffers, None if self._in_order and number else events)
            except cl.Error as error:
                raise _account(error, self._queue.device, f"launching {launch.kernel.name}") from error
            if traced is not None:
                traced.append((launch.kernel.name, event))
            events = [event]
        return events

    def _build(self, kernel: Kernel) -> Compiled:
        return compiled(self._queue.context, self._queue.device, kernel)


def run(
    steps: Sequence[Step], queue: cl.CommandQueue, buffers: Mapping[str, cl.Buffer], wait_for: Sequence[cl.Event] = ()
) -> list[cl.Event]:
    """Enqueue steps once, as `Sequel.enqueue` does."""
    return Sequel(steps, queue).enqueue(buffers, wait_for)


@contextmanager
def trace() -> Iterator[list[tuple[str, cl.Event]]]:
    """Collect the name and event of every kernel that is launched inside, for who measures them."""
    launched: list[tuple[str, cl.Event]] = []
    token = _traced.set(launched)
    try:
        yield launched
    finally:
        _traced.reset(token)


def _zero(buffer: str, size: int) -> Launch:
    """The launch that fills a buffer of `size` bytes with zeros."""
    element, width = next((element, width) for element, width in (("uint4", 16), ("uint", 4), ("uchar", 1)) if size % width == 0)
    count = size // width
    items = round_up(-(-count // _EACH), 64)
    return Launch(Kernel.of("zero", {"element": element}), (buffer,), (np.int64(count),), (items,), (64,))


def copy_of(
    queue: cl.CommandQueue, name: str, buffer: cl.Buffer, size: int, wait_for: Sequence[cl.Event]
) -> tuple[cl.Buffer, list[cl.Event]]:
    """A device copy of the first `size` bytes of a buffer."""
    copied = allocate(queue.context, queue.device, name, size)
    with driver_errors(queue.device, f"copying {name}"):
        return copied, [cl.enqueue_copy(queue, copied, buffer, byte_count=size, wait_for=list(wait_for))]


class Workspace:
    """Temporaries of schedules: allocated for each call, or kept between calls when told.

    What was kept is lent together with the events of its last use, so that calls on several threads or queues stay apart.
    """

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._free: dict[Schedule, list[tuple[dict[str, cl.Buffer], list[cl.Event]]]] = {}
        self._lock = Lock()

    def allocate(self, queue: cl.CommandQueue, sizes: Mapping[str, int]) -> dict[str, cl.Buffer]:
        """Fresh buffers of these sizes in bytes."""
        return {name: allocate(queue.context, queue.device, name, size) for name, size in sizes.items()}

    def borrow(self, queue: cl.CommandQueue, schedule: Schedule, wanted: Mapping[str, int]) -> tuple[dict[str, cl.Buffer], list[cl.Event]]:
        """Those of the schedule's temporaries that are wanted, and the events that they wait for."""
        with self._lock:
            free = self._free.get(schedule)
            buffers, busy = free.pop() if free else ({}, [])
        if buffers.keys() != wanted.keys():
            lacking = {name: size for name, size in wanted.items() if name not in buffers}
            buffers = {name: buffers[name] for name in wanted if name in buffers} | self.allocate(queue, lacking)
        return buffers, busy

    def give_back(self, schedule: Schedule, buffers: dict[str, cl.Buffer], busy: list[cl.Event]) -> None:
        """What was borrowed, with the events of its use."""
        if self._keep:
            with self._lock:
                self._free.setdefault(schedule, []).append((buffers, busy))


class Runner:
    """Runs schedules on one queue, as often as wanted; it keeps what is compiled, and as many temporaries as its workspace does."""

    def __init__(self, queue: cl.CommandQueue, workspace: Workspace) -> None:
        self.workspace = workspace
        self._queue = queue
        self._ways: dict[tuple[Schedule, bool], tuple[Sequel, Mapping[str, int]]] = {}

    def run(self, schedule: Schedule, buffers: Mapping[str, cl.Buffer], wait_for: Sequence[cl.Event]) -> list[cl.Event]:
        """Enqueue a schedule, without preparing a weight that comes prepared; returns what a later command has to wait for."""
        temporaries, events = self.start(schedule, buffers, wait_for)
        self.workspace.give_back(schedule, temporaries, events)
        return list(events)

    def start(
        self, schedule: Schedule, buffers: Mapping[str, cl.Buffer], wait_for: Sequence[cl.Event]
    ) -> tuple[dict[str, cl.Buffer], list[cl.Event]]:
        """The same; also the temporaries, for who gives them back."""
        prepared = schedule.kept.keys() <= buffers.keys()
        sequel, wanted = self._ways.get((schedule, prepared)) or self._way(schedule, prepared)
        temporaries, busy = self.workspace.borrow(self._queue, schedule, wanted)
        return temporaries, sequel.enqueue({**buffers, **temporaries}, [*wait_for, *busy])

    def _way(self, schedule: Schedule, prepared: bool) -> tuple[Sequel, Mapping[str, int]]:
        """Its steps, and the temporaries that they want."""
        wanted = schedule.temporaries if prepared else {**schedule.temporaries, **schedule.kept}
        return self._ways.setdefault((schedule, prepared), (Sequel(schedule.in_order(prepared), self._queue), wanted))
