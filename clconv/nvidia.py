"""What NVIDIA's OpenCL driver can do and doesn't say: local memory, matrix units, and instructions that its compiler doesn't assemble."""

import re

import pyopencl as cl

_HOPPERS_LOCAL_MEMORY = 227 << 10
"""Bytes that a kernel may declare where the driver assembles for sm_90a (measured). It states 48 KiB, which holds for arguments; for
targets without that letter, Ampere's and Ada's among them, NVIDIA's assembler refuses more than the 48."""

_HIDDEN = re.compile(r"/\*(sm_\w+) (.*?)\*/")


UNITS = ("wgmma", "mma", "dmma", "dmma16")
"""Ways to the matrix units: Hopper's and Ampere's of halves, Ampere's and Hopper's of float64."""


def capability(handle: cl.Device) -> tuple[int, int] | None:
    """Compute capability of an NVIDIA device."""
    if "cl_nv_device_attribute_query" not in handle.extensions:
        return None
    return handle.compute_capability_major_nv, handle.compute_capability_minor_nv


def local_memory(handle: cl.Device) -> int | None:
    """Bytes that a kernel may declare, where that is known to be more than the driver says."""
    return _HOPPERS_LOCAL_MEMORY if capability(handle) == (9, 0) else None


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
    """A program of NVIDIA's, which is PTX text, with the instructions that its comments hide, for the target that they name."""
    text = ptx.rstrip(b"\0").decode()
    target = next(iter(_HIDDEN.findall(text)))[0]
    return re.sub(r"\.target sm_\w+", f".target {target}", _HIDDEN.sub(r"\2", text)).encode()
