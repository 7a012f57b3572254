"""What NVIDIA's OpenCL driver can do and doesn't say: local memory, matrix units, and instructions that its compiler doesn't assemble."""

import re

import numpy as np
import pyopencl as cl

_HOPPER = (9, 0)
_LOCAL_MEMORY = {(7, 0): 96, (7, 5): 64, (8, 0): 163, (8, 6): 99, (8, 7): 163, (8, 9): 99, _HOPPER: 227, (10, 0): 227, (12, 0): 99}
"""KiB that a work-group may have, by compute capability (CUDA's programming guide). The driver states 48, which holds for arguments."""

_PROBE = """
__kernel void probe(__global int *numbers)
{
    __local int all[%d];
    all[numbers[0]] = numbers[1];
    barrier(CLK_LOCAL_MEM_FENCE);
    numbers[2] = all[numbers[0]];
}
"""

_HIDDEN = re.compile(r"/\*(sm_\w+) (.*?)\*/")
_ENTRY = re.compile(r"/\*entry (.*?)\*/")
_SIZE = re.compile(r"^\.reqntid .*$", re.MULTILINE)

UNITS = ("wgmma", "mma", "dmma", "dmma16")
"""Ways to the matrix units: Hopper's and Ampere's of halves, Ampere's and Hopper's of float64."""


def capability(handle: cl.Device) -> tuple[int, int] | None:
    """Compute capability of an NVIDIA device."""
    if "cl_nv_device_attribute_query" not in handle.extensions:
        return None
    return handle.compute_capability_major_nv, handle.compute_capability_minor_nv


def local_memory(handle: cl.Device) -> int | None:
    """Bytes that a kernel may declare, where that is known to be more than the driver says.

    NVIDIA's assembler, offline, takes more than 48 KiB for sm_90a and its like, and refuses it for Ampere. Hopper's driver was measured,
    others are tried.
    """
    found = capability(handle) or (0, 0)
    most = _LOCAL_MEMORY.get(found, 0) << 10
    return most if most and (found == _HOPPER or has_local_memory(handle, most)) else None


def has_local_memory(handle: cl.Device, size: int) -> bool:
    """Whether a kernel that declares so many bytes of local memory can be built, and run."""
    numbers = np.array([size // 4 - 1, 42, 0], np.int32)
    try:
        context = cl.Context([handle])
        kernel = cl.Kernel(cl.Program(context, _PROBE % (size // 4)).build(), "probe")
        buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR, hostbuf=numbers)
        queue = cl.CommandQueue(context)
        kernel(queue, (1,), None, buffer)
        cl.enqueue_copy(queue, numbers, buffer)
    except cl.Error:
        return False
    return bool(numbers[2] == 42)


def matrix_units(handle: cl.Device) -> tuple[str, ...]:
    """Ways to the matrix units: mma.sync from Ampere on, for float64 where that is no ornament, wgmma on Hopper alone."""
    found = capability(handle)
    if found is None or found < (8, 0):
        return ()
    if found == (9, 0):
        return UNITS
    return ("mma", "dmma") if found == (8, 0) else ("mma",)


def hides(source: str) -> bool:
    """Whether a kernel has instructions in comments that begin with the target that knows them."""
    return _HIDDEN.search(source) is not None


def brought_out(ptx: bytes) -> bytes:
    """A program of NVIDIA's, which is PTX text, with the instructions that its comments hide, for the target that they name.

    And with what they say of its entry, behind the work-group's size.
    """
    text = ptx.rstrip(b"\0").decode()
    target = next(iter(_HIDDEN.findall(text)))[0]
    directives = dict.fromkeys(_ENTRY.findall(text))
    text = _SIZE.sub("\n".join((r"\g<0>", *directives)), _HIDDEN.sub(r"\2", text))
    return re.sub(r"\.target sm_\w+", f".target {target}", text).encode()
