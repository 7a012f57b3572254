"""Who can add floating-point numbers atomically in global memory, and how."""

import ctypes
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyopencl as cl
import pyopencl._cl  # the extension module: its file leads to the loader it is linked to

if TYPE_CHECKING:
    from clconv.device import Device
    from clconv.problem import Problem

_NVIDIA, _AMD = "NVIDIA CUDA", "AMD Accelerated Parallel Processing"


@dataclass(frozen=True, slots=True)
class AtomicAdd:
    """Who can add one type."""

    query: int  # cl_ext_float_atomics: CL_DEVICE_SINGLE_ or DOUBLE_FP_ATOMIC_CAPABILITIES_EXT
    ptx: int  # PTX's atom.add: NVIDIA's compute capability from which it is there
    ptx_quads: int  # and from which it adds four at once
    amdgpu: re.Pattern[str]  # LLVM's builtin, which returns the old value. (gfx908's instruction returns nothing: no builtin)


ADD_FLOAT32 = AtomicAdd(0x4231, 2, 9, re.compile(r"gfx(90a|94\d|95\d|11\d\d|12\d\d)\b"))
ADD_FLOAT64 = AtomicAdd(0x4232, 6, 1000, re.compile(r"gfx(90a|94\d|95\d)\b"))
_GLOBAL_ADD = 1 << 1  # CL_DEVICE_GLOBAL_FP_ATOMIC_ADD_EXT


ATOMIC_OPTIONS = {"ext": ("-cl-std=CL3.0",)}
"""Build options of kernels with kernels/atomic.cl, by the way to add."""


def atomic_add(problem: "Problem", device: "Device") -> str | None:
    """How a device adds numbers of the accumulator's type, None if it can't."""
    return device.atomic_float64 if problem.accumulator == "float64" else device.atomic_float32


def contenders(device: "Device") -> int:
    """Work-items that run at one time, each of which may make another's compare-and-swap fail; CPUs' compilers join at least 8."""
    return device.compute_units * max(8, device.vector_width)


def best_atomic(handle: cl.Device, add: AtomicAdd) -> str | None:
    """Name the best atomic addition in hardware, or None."""
    platform = handle.platform.name.strip()
    if "cl_ext_float_atomics" in handle.extensions.split() and _capabilities(handle, add.query) & _GLOBAL_ADD:
        return "ext"
    # PoCL and rusticl show NVIDIA's hardware too, but only NVIDIA's own compiler takes PTX
    capability = optional(lambda: handle.compute_capability_major_nv) if platform == _NVIDIA else 0
    if capability >= add.ptx:
        return "nvidia_quads" if capability >= add.ptx_quads else "nvidia"
    return "amd" if platform == _AMD and add.amdgpu.match(handle.name) else None


def _capabilities(handle: cl.Device, query: int) -> int:
    """Ask for cl_device_fp_atomic_capabilities_ext; 0 (then compare-and-swap serves) if nothing answers."""
    answer = ctypes.c_uint64(0)
    ask(handle, query, answer)
    return answer.value


def ask(handle: cl.Device, query: int, answer: "ctypes.c_uint64 | ctypes.Array[ctypes.c_size_t]") -> None:
    """Ask a device what pyopencl has no name for; the answer stays as it is if nothing answers."""
    # a symbol is found through the module that is linked to the loader; on Windows only in the loader, which lies in the wheel
    wheel = Path(cl.__file__).parent.parent / "pyopencl.libs"
    libraries = wheel.glob("opencl-*.dll") if sys.platform == "win32" else [Path(pyopencl._cl.__file__)]
    for library in libraries:
        get_device_info = ctypes.CDLL(str(library)).clGetDeviceInfo
        get_device_info(ctypes.c_void_p(handle.int_ptr), query, ctypes.c_size_t(ctypes.sizeof(answer)), ctypes.byref(answer), None)


def optional(query: Callable[[], Any]) -> int:
    """Ask what older drivers refuse to answer: 0 then."""
    try:
        return int(query())
    except cl.Error:
        return 0
