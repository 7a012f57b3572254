"""pyopencl arrays in, pyopencl arrays out: on their queue, without host copies and without waiting."""

from math import prod
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cla

from clconv.arrays import buffer_of, copy
from clconv.device import Device
from clconv.execute import allocate, driver_errors, run
from clconv.problem import Shape
from clconv.schedule import Kernel, Launch, ceil_div, storage

_CHUNKS = 1 << 16
_CHUNK = 1 << 15  # elements at most: some drivers end longer loops, see Device.loop_limit


class OpenCLDoor:
    """One call's device operands and results.

    `plain` says that each array is known to be row-major from the beginning of a buffer on.
    """

    def __init__(self, queue: cl.CommandQueue, device: Device, plain: bool = False) -> None:
        self.queue = queue
        self.device = device
        self._plain = plain
        self.events: list[cl.Event] = []
        self._inputs: dict[str, cla.Array] = {}
        self._buffers: set[Any] | None = None
        self._results: dict[str, tuple[cla.Array, Any]] = {}

    def read(self, name: str, array: cla.Array) -> Any:
        """The array's own memory where it is row-major and starts where a buffer may; else a row-major copy."""
        self._inputs[name] = array
        buffer = self._own_memory(array)
        if buffer is None:
            packed = self._row_major_copy(name, array)
            array, buffer = packed, packed.base_data
        self.events += array.events
        return buffer

    def write(self, name: str, shape: Shape, dtype: str, out: cla.Array | None = None) -> Any:
        """The memory of `out` itself where a kernel can write there and it is no operand; else it is filled at the end."""
        in_place = None if out is None or self._overlaps(out) else self._own_memory(out)
        if out is not None and in_place is not None:
            self.events += out.events
            self._results[name] = (out, None)
            return in_place
        result = self._empty(name, shape, np.dtype(dtype), None if out is not None else self._allocator(name))
        self._results[name] = (result, out)
        return result.base_data

    def in_place(self, name: str) -> bool:
        """Whether a result is written to its array at once, which shares memory with no operand."""
        return self._results[name][1] is None

    def _allocator(self, name: str) -> Any:
        """A gradient comes from where its operand came from, the output from where the input did."""
        like = self._inputs.get(name.removeprefix("grad_"), self._inputs.get("input"))
        return None if like is None or not isinstance(like.base_data, cl.MemoryObjectHolder) else like.allocator

    def _overlaps(self, out: cla.Array) -> bool:
        """Whether it lies in the same buffer as an operand, or may; two parts of one buffer count, overlapping or not."""
        if self._buffers is None:
            self._buffers = {(buffer_of(array) or (None,))[0] for array in self._inputs.values()}
        buffer = (buffer_of(out) or (None,))[0]
        return buffer is None or buffer in self._buffers or None in self._buffers

    def _own_memory(self, array: cla.Array) -> Any:
        if self._plain or is_plain(array):
            return array.base_data
        if not array.flags.c_contiguous or not isinstance(array.base_data, cl.MemoryObjectHolder):
            return None  # shared virtual memory is none: fills and sub-buffers want a buffer
        memory: Any = array.base_data
        whole = isinstance(memory, cl.Buffer) and buffer_of(array) == (memory, 0)
        if not whole or array.offset % self.device.base_alignment or not array.size:
            return None
        return memory.get_sub_region(array.offset, array.nbytes)

    def _row_major_copy(self, name: str, array: cla.Array) -> cla.Array:
        """Not from the caller's allocator: a pool would lend the memory again before the commands that use it have run."""
        packed = self._empty(f"a row-major copy of {name}", array.shape, array.dtype, None)
        copy(array, packed)
        return packed

    def _empty(self, name: str, shape: Shape, dtype: Any, allocator: Any) -> cla.Array:
        with driver_errors(self.queue.device, f"allocating {prod(shape) * dtype.itemsize} bytes for {name}"):
            return cla.Array(self.queue, shape, dtype, allocator=allocator)

    def first_nonfinite(self, array: cla.Array, infinities: bool) -> tuple[int, ...] | None:
        """Searched in chunks on the device; the chunk that has one is looked through on the host."""
        if not array.size:
            return None
        plain = array.offset == 0 and self._own_memory(array) is not None
        packed = array if plain else self._row_major_copy("an operand", array)
        start, stop = self._nonfinite_chunk(packed, infinities)
        values = np.empty(stop - start, array.dtype)
        if not values.size:
            return None
        memory: Any = packed.base_data
        cl.enqueue_copy(self.queue, values.view(np.uint8), memory, src_offset=start * array.dtype.itemsize, is_blocking=True)
        found = ~np.isfinite(values) if infinities else np.isnan(values)
        return tuple(int(i) for i in np.unravel_index(start + int(np.argmax(found)), array.shape))

    def _nonfinite_chunk(self, array: cla.Array, infinities: bool) -> tuple[int, int]:
        """First and last-plus-one element of the first chunk that has one; an empty range if none has."""
        size = min(ceil_div(array.size, _CHUNKS), _CHUNK)
        chunks = ceil_div(array.size, size)
        first = np.array([chunks], np.int32)
        buffer = allocate(self.queue.context, self.queue.device, "first", first.nbytes)
        written = cl.enqueue_copy(self.queue, buffer, first, is_blocking=False)
        kernel = Kernel.of("find_nonfinite", {"infinities": infinities, **storage(array.dtype.name, array.size >= 1 << 31)})
        launch = Launch(kernel, ("values", "first"), (np.int64(array.size), np.int64(size)), (chunks,))
        buffers: dict[str, Any] = {"values": array.base_data, "first": buffer}
        events = run([launch], self.queue, buffers, [written, *array.events])
        cl.enqueue_copy(self.queue, first, buffer, wait_for=events, is_blocking=True)
        return min(int(first[0]) * size, array.size), min((int(first[0]) + 1) * size, array.size)

    def finish(self, events: list[cl.Event]) -> dict[str, cla.Array]:
        """The results, carrying the events that complete them."""
        finished = {}
        for name, (result, out) in self._results.items():
            result.events[:] = events  # which waited for all that the array carried before
            if out is not None:
                copy(result, out)
            finished[name] = result if out is None else out
        return finished


def is_plain(array: cla.Array) -> bool:
    """Whether it is row-major from the beginning of a buffer on, so that kernels can read it as it is."""
    return array.offset == 0 and array.flags.c_contiguous and isinstance(array.base_data, cl.MemoryObjectHolder)
