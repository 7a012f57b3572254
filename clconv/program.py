"""Compiled kernels, cached by context and exactly their template arguments; one compilation per specialisation."""

import logging
import tempfile
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyopencl as cl

from clconv import binaries, nvidia
from clconv.errors import BuildError
from clconv.schedule import Kernel, Launch, Scalar
from clconv.source import render

log = logging.getLogger("clconv")

CAPACITY = 1024
"""Compiled kernels that stay in memory; beyond it the least recently used goes."""


@dataclass
class Compiled:
    """A kernel that can be launched from several threads: setting arguments and enqueueing is one step under a lock.

    `scalars` are those that were set last: most launches of a kernel have the same, and pyopencl takes longer for them than for buffers.
    """

    kernel: cl.Kernel
    lock: threading.Lock = field(default_factory=threading.Lock)
    typed: bool = False
    scalars: tuple[Scalar, ...] | None = None

    def enqueue(
        self, queue: cl.CommandQueue, launch: Launch, buffers: Mapping[str, cl.Buffer], wait_for: list[cl.Event] | None
    ) -> cl.Event:
        """Enqueue one launch on buffers by name, after `wait_for`."""
        with self.lock:
            if self.scalars == launch.scalars:
                for index, name in enumerate(launch.buffers):
                    self.kernel.set_arg(index, buffers[name])
            else:
                if not self.typed:  # pyopencl sets arguments 20 times faster when it knows their types
                    self.kernel.set_scalar_arg_dtypes([None] * len(launch.buffers) + [scalar.dtype for scalar in launch.scalars])
                    self.typed = True
                self.scalars = None  # if an argument is refused, some are set and some aren't
                self.kernel.set_args(*(buffers[name] for name in launch.buffers), *launch.scalars)
                self.scalars = launch.scalars
            return cl.enqueue_nd_range_kernel(queue, self.kernel, launch.global_size, launch.local_size, wait_for=wait_for)


@dataclass
class _Entry:
    context: cl.Context
    lock: threading.Lock = field(default_factory=threading.Lock)
    compiled: Compiled | None = None


_entries: "OrderedDict[tuple[int, int, Kernel], _Entry]" = OrderedDict()
"""By the handles of context and device, which an entry keeps alive."""
_entries_lock = threading.Lock()


def compiled(context: cl.Context, device: cl.Device, kernel: Kernel) -> Compiled:
    """The compiled kernel, built on first use; other threads that want the same one wait for that build."""
    key = (context.int_ptr, device.int_ptr, kernel)
    with _entries_lock:
        entry = _entries.get(key)
        if entry is None:
            entry = _entries[key] = _Entry(context)
        _entries.move_to_end(key)
        if len(_entries) > CAPACITY:
            _entries.popitem(last=False)
    if entry.compiled is not None:
        return entry.compiled
    with entry.lock:
        if entry.compiled is None:
            entry.compiled = Compiled(_build(context, device, kernel))
        return entry.compiled


def _build(context: cl.Context, device: cl.Device, kernel: Kernel) -> cl.Kernel:
    source, start = render(kernel), time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)
            program = binaries.program(context, device, kernel, source)
            if nvidia.hides(source):
                ptx = program.get_info(cl.program_info.BINARIES)[0]
                program = cl.Program(context, [device], [nvidia.brought_out(ptx)]).build()
        built = cl.Kernel(program, kernel.name)
    except (cl.Error, RuntimeError) as error:
        raise BuildError(_account(device, kernel, source, error)) from error
    log.info("built %s for %s in %.2f s", kernel.name, device.name.strip(), time.perf_counter() - start)
    return built


def _account(device: cl.Device, kernel: Kernel, source: str, error: Exception) -> str:
    numbered = "\n".join(f"{number:4d}  {line}" for number, line in enumerate(source.splitlines(), 1))
    with tempfile.NamedTemporaryFile("w", prefix=f"{kernel.name}-", suffix=".cl.txt", delete=False, encoding="utf-8") as file:
        file.write(numbered)
    return (
        f"{device.name.strip()} ({device.platform.name}, driver {device.driver_version}) refused kernel {kernel.name}\n"
        f"arguments: {dict(kernel.arguments)}\noptions: {' '.join(kernel.options) or 'none'}\n"
        f"numbered source: {Path(file.name)}\n{error}"
    )
