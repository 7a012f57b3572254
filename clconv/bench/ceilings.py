"""A device's own ceilings, measured: bytes a second of a copy, operations a second of multiply-adds. Remembered on disk."""

import json
import time
from pathlib import Path

import numpy as np
import pyopencl as cl

from clconv import disk
from clconv.bench.clock import believable, span
from clconv.device import Device
from clconv.execute import allocate, run, trace
from clconv.queues import queue_for
from clconv.schedule import Kernel, Launch, lanes
from clconv.selfcheck import cache_file

_BYTES = 1 << 28
"""Of the copied buffer, where the device has that much: beyond every cache."""

_CHAINS, _TURNS, _REPEATS = 12, 2048, 20


def ceilings(device: Device, dtype: str = "float32") -> dict[str, float]:
    """Measured "bytes" and "flops" a second, in the type that `dtype` is summed in; from the disk where they are known.

    Both are the best of several runs by the device's clock. Flops count a multiply-add as two, on the ordinary vector or scalar units:
    matrix units can be faster.
    """
    element = "double" if dtype == "float64" else "float"
    key = " | ".join((device.platform, device.name, device.driver, element))
    known = _read()
    if key not in known:
        known[key] = {"bytes": _copied(device), "flops": _multiplied(device, element)}
        disk.remember(file(), json.dumps(known, indent=1))
    return known[key]


def copy_kernel(vec: int) -> Kernel:
    """The kernel that copies vectors of float."""
    return Kernel.of("ceiling_copy", {"vec": vec})


def multiply_kernel(element: str, vec: int) -> Kernel:
    """The kernel that multiplies and adds vectors."""
    return Kernel.of("ceiling_multiply", {"element": element, "vec": vec, "chains": _CHAINS})


def _copied(device: Device) -> float:
    size = min(_BYTES, device.max_allocation // 2, device.global_memory // 8)
    vec = 4 if device.vector_width == 1 else min(16, device.vector_width)
    count = size // (4 * vec)
    local = lanes(device, 256)
    items = 64 * device.compute_units * local if device.kind != "cpu" else 4 * device.compute_units * local
    launch = Launch(copy_kernel(vec), ("from", "to"), (np.int32(count),), (items,), (local,))
    return 2 * size / _best(device, launch, {"from": size, "to": size})


def _multiplied(device: Device, element: str) -> float:
    width = device.vector_width if element == "float" else max(1, device.vector_width // 2)
    vec = 1 << (min(16, width).bit_length() - 1)
    local = lanes(device, 256 if device.kind != "cpu" else 16)
    items = device.compute_units * local * (64 if device.kind != "cpu" else 32)
    launch = Launch(multiply_kernel(element, vec), ("result",), (np.int32(_TURNS),), (items,), (local,))
    return 2 * vec * _CHAINS * _TURNS * items / _best(device, launch, {"result": 8 * items})


def _best(device: Device, launch: Launch, sizes: dict[str, int]) -> float:
    """Seconds of the fastest of several runs."""
    context = queue_for(device, None).context
    queue = cl.CommandQueue(context, device.handle, properties=cl.command_queue_properties.PROFILING_ENABLE)
    buffers = {name: allocate(context, queue.device, name, size) for name, size in sizes.items()}
    return min(_seconds(launch, queue, buffers) for _ in range(_REPEATS))


def _seconds(launch: Launch, queue: cl.CommandQueue, buffers: dict[str, cl.Buffer]) -> float:
    start = time.perf_counter()
    with trace() as launched:
        run([launch], queue, buffers)
    queue.finish()
    host = time.perf_counter() - start
    return span(launched) if believable(launched, host) else host


def file() -> Path:
    """Where they are remembered."""
    return cache_file().with_name("ceilings.json")


def _read() -> dict[str, dict[str, float]]:
    try:
        known = json.loads(file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
