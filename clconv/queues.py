"""The queues that work is enqueued to: the caller's, or one for each device that the library keeps."""

from functools import lru_cache
from threading import Lock
from typing import Any

import pyopencl as cl

from clconv.device import Device, resolve
from clconv.errors import DeviceError, ProblemError

_lock = Lock()


def queue_for(device: Any, queue: cl.CommandQueue | None) -> cl.CommandQueue:
    """The caller's queue, or the one that the library keeps for the device; ProblemError if they contradict each other."""
    if queue is None:
        with _lock:
            return _default_queue(_handle(resolve(device)))
    if not isinstance(queue, cl.CommandQueue):
        raise ProblemError(f"queue: expected a pyopencl.CommandQueue, got {type(queue).__name__}")
    if device is not None and resolve(device) != Device.of(queue.device):
        raise ProblemError(f"queue: expected one on {resolve(device).label}, as device= says, got one on {Device.of(queue.device).label}")
    return queue


def _handle(device: Device) -> cl.Device:
    if device.handle is None:
        raise DeviceError(f"{device.label} isn't here: it can be planned for, not run on")
    return device.handle


@lru_cache(maxsize=64)
def _default_queue(handle: cl.Device) -> cl.CommandQueue:
    return cl.CommandQueue(_default_context(handle))


@lru_cache(maxsize=64)
def _default_context(handle: cl.Device) -> cl.Context:
    """Held here, for Intel's CPU runtime takes a context down that only a queue refers to."""
    return cl.Context([handle])


def forget_contexts() -> None:
    """Make new contexts and queues from now on: one in which a kernel failed may be lost for good."""
    with _lock:
        for remembered in (_default_queue, _default_context):
            remembered.cache_clear()
