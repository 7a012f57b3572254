"""NumPy arrays in, NumPy arrays out: without a copy where the device works on the host's memory."""

from typing import Any, cast

import numpy as np
import pyopencl as cl

from clconv.arrays import NumpyArray
from clconv.device import Device
from clconv.errors import OutOfMemoryError
from clconv.execute import allocate, driver_errors
from clconv.problem import Shape

# Without READ_ONLY: Intel's CPU runtime copies a read-only array that isn't aligned to 128 bytes, which took as long as a layer.
_HOST = cl.mem_flags.USE_HOST_PTR


class NumpyDoor:
    """One call's NumPy operands and results."""

    def __init__(self, queue: cl.CommandQueue, device: Device) -> None:
        self.queue = queue
        self.device = device
        self._context, self._handle = queue.context, queue.device
        self.events: list[cl.Event] = []
        self._inputs: list[NumpyArray] = []
        self._results: dict[str, tuple[NumpyArray, cl.Buffer, Any]] = {}

    def read(self, name: str, array: NumpyArray) -> cl.Buffer:
        """Zero copy of a row-major array in native byte order; others are brought into that form first."""
        plain = array.flags.c_contiguous and array.dtype.isnative
        ready = array if plain else _copied(name, array)
        self._inputs += [array, ready]
        flags = _HOST if self.device.unified_memory else cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR
        with driver_errors(self._handle, f"taking {ready.nbytes} bytes of {name}"):
            return cl.Buffer(self._context, flags, hostbuf=_bytes(ready)) if ready.size else allocate(self._context, self._handle, name, 1)

    def write(self, name: str, shape: Shape, dtype: str, out: NumpyArray | None = None) -> cl.Buffer:
        """The caller's `out` itself where it is row-major and overlaps no operand; else it is filled at the end."""
        in_place = out is not None and self._writable_in_place(out)
        result = out if in_place and out is not None else _empty(name, shape, dtype)
        buffer = self._result_buffer(name, result)
        self._results[name] = (result, buffer, None if in_place else out)
        return buffer

    def in_place(self, name: str) -> bool:
        """Whether a result is written to its array at once, which shares memory with no operand."""
        return self._results[name][2] is None

    def _writable_in_place(self, out: NumpyArray) -> bool:
        plain = out.flags.c_contiguous and out.flags.aligned and out.dtype.isnative
        return plain and not any(np.may_share_memory(out, array) for array in self._inputs)

    def _result_buffer(self, name: str, result: NumpyArray) -> cl.Buffer:
        if not result.size or not self.device.unified_memory:
            return allocate(self._context, self._handle, name, result.nbytes)
        with driver_errors(self._handle, f"taking {result.nbytes} bytes for {name}"):
            return cl.Buffer(self._context, cl.mem_flags.READ_WRITE | _HOST, hostbuf=_bytes(result))

    def first_nonfinite(self, array: NumpyArray, infinities: bool) -> tuple[int, ...] | None:
        """Searched with NumPy."""
        found = ~np.isfinite(array) if infinities else np.isnan(array)
        return tuple(int(i) for i in np.unravel_index(np.argmax(found), array.shape)) if found.any() else None

    def finish(self, events: list[cl.Event]) -> dict[str, NumpyArray]:
        """Bring the results home."""
        with driver_errors(self._handle, "finishing a call"):
            home = [self._bring(result, buffer, events) for result, buffer, _ in self._results.values() if result.size]
            for event in home:
                event.wait()
        return {name: _filled(result, out) for name, (result, _, out) in self._results.items()}

    def _bring(self, result: NumpyArray, buffer: cl.Buffer, events: list[cl.Event]) -> cl.Event:
        if not self.device.unified_memory:
            return cl.enqueue_copy(self.queue, _bytes(result), buffer, wait_for=events, is_blocking=False)
        size, kind = (result.nbytes,), np.dtype(np.uint8)
        view: Any
        view, mapped = cl.enqueue_map_buffer(self.queue, buffer, cl.map_flags.READ, 0, size, kind, wait_for=events, is_blocking=False)
        try:
            return cast(cl.Event, view.base.release(self.queue, [mapped]))
        except cl.Error:  # rusticl takes no pointer back before it has been mapped
            mapped.wait()
            return cast(cl.Event, view.base.release(self.queue))


def _filled(result: NumpyArray, out: NumpyArray | None) -> NumpyArray:
    if out is None:
        return result
    out[...] = result
    return out


def _bytes(array: NumpyArray) -> NumpyArray:
    """The memory of a row-major array as bytes: drivers' bindings don't know every element type."""
    return array.reshape(-1).view(np.uint8)


def _copied(name: str, array: NumpyArray) -> NumpyArray:
    try:
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    except MemoryError as error:
        raise OutOfMemoryError(f"{name}: no memory for a row-major copy of shape {array.shape} and {array.dtype}: {error}") from error


def _empty(name: str, shape: Shape, dtype: str) -> NumpyArray:
    try:
        return np.empty(shape, np.dtype(dtype))
    except (MemoryError, ValueError) as error:  # NumPy has two ways to say that it is too large
        raise OutOfMemoryError(f"{name}: no memory for an array of shape {shape} and {dtype}: {error}") from error
