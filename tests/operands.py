"""Operands of a small case, and queues for them."""

from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cla

from clconv import Device
from clconv.arrays import NumpyArray
from clconv.check.cases import BY_NAME

CASE = BY_NAME["plain"]
OPTIONS = CASE.options

_contexts: list[cl.Context] = []
"""Held, for Intel's CPU runtime takes a context down that only queues refer to."""


def operands(dtype: str = "float32") -> tuple[dict[str, Any], NumpyArray]:
    """The operands, and grad_output."""
    arrays: dict[str, Any] = CASE.arrays(dtype)
    return arrays, arrays.pop("grad_output")


def new_queue(device: Device, properties: Any = 0) -> cl.CommandQueue:
    """A queue in a context of its own."""
    assert device.handle is not None
    _contexts.append(cl.Context([device.handle]))
    return cl.CommandQueue(_contexts[-1], properties=properties)


def on_device(queue: cl.CommandQueue, arrays: dict[str, NumpyArray]) -> dict[str, Any]:
    """The same arrays there."""
    return {name: cla.to_device(queue, array) for name, array in arrays.items()}


def place(queue: cl.CommandQueue, array: NumpyArray) -> Any:
    placed: Any = cla.Array(queue, array.shape, array.dtype)
    cl.enqueue_copy(queue, placed.base_data, np.ascontiguousarray(array).view(np.uint8))
    return placed


def fetch(array: Any) -> NumpyArray:
    for event in array.events:
        event.wait()
    host = np.empty(array.shape, array.dtype)
    cl.enqueue_copy(array.queue, host.view(np.uint8), array.base_data)
    return host
