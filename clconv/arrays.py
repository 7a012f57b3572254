"""The two kinds of arrays that callers bring, NumPy's and pyopencl's: which kind, which queue, which element types; and a strided copy."""

import sys
from collections.abc import Mapping
from itertools import combinations
from math import prod
from typing import Any, Protocol, TypeAlias

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np
import numpy.typing as npt
import pyopencl as cl
import pyopencl.array as cla

from clconv.errors import ProblemError
from clconv.execute import run
from clconv.problem import DTYPES, Shape
from clconv.schedule import Kernel, Launch, round_up

NumpyArray: TypeAlias = npt.NDArray[Any]
Array: TypeAlias = NumpyArray | cla.Array

_NAMES = {np.dtype(name): name for name in DTYPES}
"""By native element type: NumPy takes long to name one."""


class Door(Protocol):
    """How one call's operands become buffers and its buffers become results."""

    def read(self, name: str, array: Any) -> cl.Buffer:
        """A buffer that holds the array in row-major order, for reading."""

    def write(self, name: str, shape: Shape, dtype: str, out: Any = None) -> cl.Buffer:
        """A buffer for a result, row-major; its array is `out` if the caller gave one."""

    def first_nonfinite(self, array: Any, infinities: bool) -> tuple[int, ...] | None:
        """Index of the first NaN (or infinity, where these count); None if there is none. Waits."""

    def in_place(self, name: str) -> bool:
        """Whether a result is written to its array at once, which shares memory with no operand."""

    @property
    def events(self) -> list[cl.Event]:
        """What the first command of the call has to wait for."""

    def finish(self, events: list[cl.Event]) -> dict[str, Any]:
        """The results by name, complete after `events`."""


def is_device_array(arrays: Mapping[str, Any]) -> bool:
    """Whether the arrays are pyopencl's, on one queue (True), or NumPy's (False). None values are passed over.

    Raises
    ------
    ProblemError
        Something is neither, the kinds are mixed, or the queues differ.
    """
    on_device, others = [], {}
    for name, array in arrays.items():
        if isinstance(array, cla.Array):
            on_device.append(name)
            if array.queue is None:
                raise ProblemError(f"{name}: expected an array with a queue, got one without; use array.with_queue(queue)")
            _check_memory(name, array)
        elif array is not None:
            others[name] = array
    if others:
        _check_host(others, on_device)
    return bool(on_device)


def looks_of(arrays: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """All that checks ask of arrays, as one value, so that what looks the same need not be checked again; None with other things.

    Which memory they have isn't in it.
    """
    looks: list[Any] = []
    for array in arrays.values():
        if array is None:
            looks.append(None)
        elif isinstance(array, cla.Array):
            memory = array.base_data
            room = type(memory), getattr(memory, "size", None)
            looks.append((array.shape, array.strides, array.dtype, array.offset, array.nbytes, room, array.queue, array.context))
        elif type(array) is np.ndarray:
            looks.append((array.shape, array.strides, array.dtype, array.flags.writeable))
        else:
            return None
    return tuple(looks)


def _check_host(others: Mapping[str, Any], on_device: list[str]) -> None:
    """What isn't pyopencl's must be NumPy's, without masks, and beside nothing of pyopencl's."""
    for name, array in others.items():
        if not isinstance(array, np.ndarray):
            raise ProblemError(
                f"{name}: expected a NumPy array or a pyopencl.array.Array, got {type(array).__module__}.{type(array).__name__}"
            )
        if "numpy.ma" in sys.modules and isinstance(array, np.ma.MaskedArray):  # 10 ms to import, before which none is
            raise ProblemError(f"{name}: expected an array without a mask, got a masked one; use its filled()")
    if on_device:
        raise ProblemError(
            f"{', '.join(sorted(others))}: expected pyopencl arrays as {', '.join(sorted(on_device))}, got NumPy: the kinds can't be mixed"
        )


def _check_memory(name: str, array: cla.Array) -> None:
    """An array may claim what its buffer doesn't hold; kernels would read beyond it."""
    if array.offset == 0 and array.flags.c_contiguous and array.nbytes <= getattr(array.base_data, "size", 0):
        return
    item = array.dtype.itemsize
    if any(value % item for value in (array.offset, *array.strides)):
        raise ProblemError(f"{name}: expected offset and strides in whole elements of {item} bytes, got {array.offset} and {array.strides}")
    first, last = _reach(array)
    room = getattr(array.base_data, "size", last)
    if array.size and (first < 0 or last > room):
        raise ProblemError(f"{name}: expected an array inside its buffer of {room} bytes, got one that reaches from {first} to {last}")


def _reach(array: cla.Array) -> tuple[int, int]:
    """First byte of an array in its buffer, and the one behind its last."""
    if array.flags.c_contiguous:
        return array.offset, array.offset + array.nbytes
    reaches = [stride * (size - 1) for stride, size in zip(array.strides, array.shape, strict=True)]
    first = array.offset + sum(reach for reach in reaches if reach < 0)
    return first, array.offset + sum(reach for reach in reaches if reach > 0) + array.dtype.itemsize


def share_memory(a: Array, *others: Array | None) -> bool:
    """Whether an array may hold bytes that one of others of its kind holds too: their ranges meet. None is passed over."""
    given: list[Any] = [array for array in others if array is not None and array.size and a.size]
    if isinstance(a, np.ndarray):
        return any(np.may_share_memory(a, array) for array in given)
    span = _span(a)
    return any(_meet(span, _span(array)) for array in given)


def sharing(arrays: Mapping[str, Array]) -> tuple[str, str] | None:
    """The first two of arrays of one kind that may, by their names; None if all are apart."""
    given: dict[str, Any] = {name: array for name, array in arrays.items() if array.size}
    if any(isinstance(array, np.ndarray) for array in given.values()):
        return next((pair for pair in combinations(given, 2) if np.may_share_memory(given[pair[0]], given[pair[1]])), None)
    if len({_place(array)[0] for array in given.values()}) == len(given):
        return None  # each has a buffer of its own
    spans = {name: _span(array) for name, array in given.items()}
    return next((pair for pair in combinations(given, 2) if _meet(spans[pair[0]], spans[pair[1]])), None)


def _span(array: cla.Array) -> tuple[Any, int, int]:
    """A buffer, the first byte in it that an array has, and the one behind its last."""
    (buffer, begin), (first, last) = _place(array), _reach(array)
    return buffer, begin + first, begin + last


def _meet(a: tuple[Any, int, int], b: tuple[Any, int, int]) -> bool:
    (buffer_a, first_a, last_a), (buffer_b, first_b, last_b) = a, b
    return (buffer_a is buffer_b or bool(buffer_a == buffer_b)) and first_a < last_b and first_b < last_a


def _place(array: cla.Array) -> tuple[Any, int]:
    """As `buffer_of`; the memory itself, from its beginning, where the driver can't tell."""
    return buffer_of(array) or (array.base_data, 0)


def buffer_of(array: cla.Array) -> tuple[Any, int] | None:
    """The buffer that an array's memory is, or is a part of, and at which of its bytes that begins; None where the driver can't tell."""
    memory: Any = array.base_data
    if not isinstance(memory, cl.MemoryObjectHolder):
        return memory, 0
    try:
        whole: Any = memory.get_info(cl.mem_info.ASSOCIATED_MEMOBJECT)
        first: Any = 0 if whole is None else memory.get_info(cl.mem_info.OFFSET)
        return (memory if whole is None else whole), first
    except cl.Error:  # Intel's, where nobody holds the whole buffer any more
        return None


def common_queue(arrays: Mapping[str, Any], queue: cl.CommandQueue | None) -> cl.CommandQueue:
    """The one queue of these pyopencl arrays; it must be `queue` if that is given."""
    for name, array in arrays.items():
        if array is None:
            continue
        queue = queue or array.queue
        if array.queue is not queue and array.queue != queue:
            raise ProblemError(f"{name}: expected an array on the same queue as the rest of the call, got one on another queue")
        if array.context != queue.context:
            raise ProblemError(f"{name}: expected an array in the context of its queue, got one in another context")
    assert queue is not None
    return queue


def dtype_name(name: str, array: Array) -> str:
    """Name of the element type, one of `clconv.problem.DTYPES`; ProblemError for any other."""
    if known := _NAMES.get(array.dtype):
        return known
    dtype = np.dtype(array.dtype)
    if dtype.name not in DTYPES:
        raise ProblemError(f"{name}: expected an array of {', '.join(DTYPES)}, got {dtype.name}")
    if isinstance(array, cla.Array) and not dtype.isnative:
        raise ProblemError(f"{name}: expected a pyopencl array in native byte order, got {dtype.str}")
    return str(dtype.name)


def copy(source: cla.Array, destination: cla.Array) -> None:
    """Enqueue a copy between device arrays of one shape and item size, at most five dimensions, any strides.

    Runs on the destination's queue, after the events of both; the destination carries the copy's event.
    """
    if source.shape != destination.shape or source.dtype.itemsize != destination.dtype.itemsize:
        raise ProblemError(f"destination: expected shape {source.shape} of {source.dtype}, got {destination.shape} of {destination.dtype}")
    count = prod(source.shape)
    queue = common_queue({"destination": destination}, None)
    if count == 0:
        return
    buffers: dict[str, Any] = {"source": source.base_data, "destination": destination.base_data}
    sizes = (1,) * (5 - len(source.shape)) + tuple(source.shape)
    scalars = (count, *sizes[1:], *_layout(source), *_layout(destination))
    element = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}[source.dtype.itemsize]
    launch = Launch(
        Kernel.of("copy", {"element": element}),
        ("source", "destination"),
        tuple(np.int64(value) for value in scalars),
        (round_up(count, 64),),
        (64,),
    )
    for event in run([launch], queue, buffers, [*source.events, *destination.events]):
        destination.add_event(event)


def _layout(array: cla.Array) -> tuple[int, ...]:
    """Offset and strides in elements, for five dimensions."""
    item = array.dtype.itemsize
    strides = (0,) * (5 - len(array.shape)) + tuple(stride // item for stride in array.strides)
    return (array.offset // item, *strides)
