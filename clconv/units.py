"""Which matrix units of AMD and Intel a device has, by what it says of itself."""

import ctypes
import re

import pyopencl as cl

from clconv.atomics import ask, optional

UNITS = ("mfma", "wmma", "dpas8", "dpas16")
"""CDNA's, in waves of 64; RDNA 3's, in waves of 32; Intel's, in sub-groups of 8 and of 16."""

_AMD = "AMD Accelerated Parallel Processing"
_WAVES = {"mfma": (re.compile(r"gfx(908|90a|94\d|950)\b"), 64), "wmma": (re.compile(r"gfx11\d\d\b"), 32)}
"""Which architectures have a unit, and lanes of a wave for which it is programmed. (RDNA 4's wmma has another layout.)"""

_INTEL = {f"cl_intel_{name}" for name in ("subgroup_matrix_multiply_accumulate", "required_subgroup_size", "subgroups", "subgroups_short")}
_SUB_GROUP_SIZES = 0x4108  # CL_DEVICE_SUB_GROUP_SIZES_INTEL


def matrix_units(handle: cl.Device) -> tuple[str, ...]:
    """Names from `UNITS`."""
    if handle.platform.name.strip() == _AMD:
        width = optional(lambda: handle.wavefront_width_amd)
        return tuple(name for name, (architecture, lanes) in _WAVES.items() if architecture.match(handle.name) and width == lanes)
    if set(handle.extensions.split()) >= _INTEL:
        return tuple(f"dpas{size}" for size in (_smallest_sub_group(handle),) if size in (8, 16))
    return ()


def _smallest_sub_group(handle: cl.Device) -> int:
    """The extension's functions are for sub-groups of the smallest size that a device has."""
    sizes = (ctypes.c_size_t * 16)()
    ask(handle, _SUB_GROUP_SIZES, sizes)
    return min((size for size in sizes if size), default=0)
