"""Device: what one OpenCL device can do, which one is meant, and every vendor quirk with its reason."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
from dataclasses import dataclass, field, fields

import pyopencl as cl

from clconv import nvidia, runtimes, units
from clconv.atomics import ADD_FLOAT32, ADD_FLOAT64, best_atomic, optional
from clconv.errors import DeviceError, ProblemError

log = logging.getLogger("clconv")

_KINDS = {"gpu": cl.device_type.GPU, "accelerator": cl.device_type.ACCELERATOR, "cpu": cl.device_type.CPU}

INTEL_CPU, POCL = "Intel(R) OpenCL", "Portable Computing Language"
# Drivers that translate to another API show hardware that its vendor's driver shows better: last of their kind.
_LAYERED = ("rusticl", "Clover", "OpenCLOn12")
# Measured on two CPU cores, float32 product: Intel 219 GFLOP/s, PoCL 63 (3.1) and 25 (3.0), rusticl's llvmpipe 3.
_DRIVER_ORDER = {"cpu": (INTEL_CPU, POCL, "other", *_LAYERED), "other": ("other", POCL, *_LAYERED)}


# Mesa's LP_MAX_TGSI_LOOP_ITERATIONS, meant for shaders that would hang a desktop; measured with Mesa 22.3.
_LLVMPIPE_TURNS = 65535


@dataclass(frozen=True, slots=True)
class Device:
    """What one OpenCL device can do.

    Attributes
    ----------
    name, platform, vendor, driver : str
        As the driver states them; driver is its version.
    version : str
        OpenCL version of the device, such as "3.0".
    index : str
        "platform:device", counted as ``pyopencl.get_platforms()`` and PYOPENCL_CTX count; "" for a sub-device.
    kind : {"gpu", "accelerator", "cpu"}
        What kernels to give it.
    compute_units, max_work_group : int
        Compute units; work-items a work-group.
    max_work_items : tuple of int
        Work-items a work-group in each dimension.
    local_memory, global_memory, max_allocation : int
        Bytes: a work-group's local memory, the device's memory, its largest buffer.
    vector_width : int
        float32 lanes of the hardware's vectors as the compiler sees them; 1 where each work-item is a lane.
    unified_memory : bool
        The device works on the host's memory: NumPy arrays need no copy.
    fp64, fp16, subgroups : bool
        Arithmetic in double and half precision; sub-group functions.
    base_alignment : int
        Bytes that the origin of a sub-buffer must be a multiple of.
    atomic_float32, atomic_float64 : {"ext", "nvidia", "nvidia_quads", "amd", "cas"} or None
        Best way to add atomically in global memory: cl_ext_float_atomics, NVIDIA's inline PTX (from Hopper on four at once), AMD's
        builtin, or a loop of compare-and-swap. None: no way at all (64 bits only).
    atomic_int64 : {"nvidia", "khr", "carry"}
        How it adds integers of 64 bits in global memory: NVIDIA's inline PTX, cl_khr_int64_base_atomics, or two of 32 bits.
    matrix_units : tuple of str
        Ways to its matrix units that this library has kernels for: "wgmma", "mma", "dmma" (NVIDIA), "mfma", "wmma" (AMD), "dpas8",
        "dpas16" (Intel). Beside those of AMD and Intel, "emulated" means that plain C does what they would, for tests.
    loop_limit : int or None
        Turns after which the driver ends the loops of a work-item, all of them together, without a word; None: never.
    simulator : bool
        A correct but slow checker of kernels: never chosen unless named.
    handle : pyopencl.Device or None
        None in planning for devices that are elsewhere.
    """

    name: str
    platform: str
    vendor: str
    driver: str
    version: str
    index: str
    kind: str
    compute_units: int
    max_work_group: int
    max_work_items: tuple[int, ...]
    local_memory: int
    global_memory: int
    max_allocation: int
    vector_width: int
    unified_memory: bool
    fp64: bool
    fp16: bool
    subgroups: bool
    base_alignment: int
    atomic_float32: str
    atomic_float64: str | None
    loop_limit: int | None
    simulator: bool
    atomic_int64: str = "carry"
    matrix_units: tuple[str, ...] = ()
    handle: cl.Device | None = field(default=None, compare=False, repr=False)

    @staticmethod
    def of(handle: cl.Device) -> Device:
        """Describe a pyopencl.Device; the same handle gives the same object.

        Raises
        ------
        DeviceError
            If the driver fails while it is asked.
        """
        return _describe(handle)

    @property
    def label(self) -> str:
        """Name and platform, for humans."""
        return f"{self.name} on {self.platform}"

    def __reduce__(self) -> tuple[object, ...]:
        """Copied and pickled as the device of the same index, which parts of devices don't have."""
        if self.handle is None:
            return Device, tuple(getattr(self, each.name) for each in fields(self))
        if not self.index:
            raise DeviceError(f"{self.label}: no driver lists this device, so it can't be copied or pickled")
        return resolve, (self.index,)


def devices() -> list[Device]:
    """List every device of every OpenCL driver, in the drivers' order; platforms without devices, or that fail, are passed over.

    Raises
    ------
    DeviceError
        If there is none: the message says what to install.
    """
    return list(_devices())


def resolve(device: object = None) -> Device:
    """Find the device that is meant.

    Parameters
    ----------
    device : None, str, pyopencl.Device or Device
        A string is an index ("0:1", as PYOPENCL_CTX has it), "gpu", "accelerator", "cpu", or a part of a device's or platform's name,
        whatever its case. None means the environment variable CLCONV_DEVICE, then PYOPENCL_CTX, then GPU, accelerator, CPU, each
        with its fastest driver. Where several fit, the one that None would choose is taken.

    Raises
    ------
    DeviceError
        If nothing fits: lists what there is.
    ProblemError
        If device is something else.
    """
    if isinstance(device, Device):
        return device
    if isinstance(device, cl.Device):
        return Device.of(device)
    if isinstance(device, str):
        return choose(_devices(), device, f"device={device!r}")
    if device is not None:
        raise ProblemError(f"device: expected None, a str, a pyopencl.Device or a clconv.Device, got {type(device).__name__} {device!r}")
    for variable in ("CLCONV_DEVICE", "PYOPENCL_CTX"):
        if os.environ.get(variable):
            return choose(_devices(), os.environ[variable], f"{variable}={os.environ[variable]}")
    return choose(_devices(), "", "device=None")


def choose(among: tuple[Device, ...], text: str, asked: str) -> Device:
    """Pick the best of the devices that a string means ("" means any); asked says in an error where the string came from."""
    for means in (_is_index, _is_kind, _is_name):
        found = [device for device in among if means(device, text)]
        if found:
            return min(found, key=_preference)
    kinds = [device.kind if not device.simulator else "simulator, only by name" for device in among]
    present = "; ".join(f"{device.index} {device.label} ({kind})" for device, kind in zip(among, kinds, strict=True))
    raise DeviceError(f"{asked} fits no OpenCL device; there are: {present}")


def _is_index(device: Device, text: str) -> bool:
    """Match PYOPENCL_CTX's forms: "0:1", "0" for a platform alone, "name:1", "0:name"; of "0:1,2", for two devices, the 1 counts."""
    first, _, second = text.partition(":")
    platform, _, position = device.index.partition(":")
    second = second.partition(",")[0]
    numbered = first.isdigit() or second.isdigit()  # else the colon may belong to a name
    return numbered and _is_part(first, platform, device.platform) and _is_part(second, position, device.name)


def _is_part(text: str, number: str, name: str) -> bool:
    return text == number if text.isdigit() else text.lower() in name.lower()


def _is_kind(device: Device, text: str) -> bool:
    """Match a kind of device, or any for ""; a simulator must be named."""
    return text.lower() in (device.kind, "") and not device.simulator


def _is_name(device: Device, text: str) -> bool:
    return text != "" and text.lower() not in _KINDS and any(text.lower() in name.lower() for name in (device.platform, device.label))


def _preference(device: Device) -> tuple[object, ...]:
    """Order devices, best first: real ones, by kind, by driver, with memory of their own, by the driver's newest version."""
    order = _DRIVER_ORDER.get(device.kind, _DRIVER_ORDER["other"])
    driver = order.index(device.platform if device.platform in order else "other")
    newest = [-int(number) for number in re.findall(r"\d+", device.driver)[:2]]
    return device.simulator, list(_KINDS).index(device.kind), driver, device.unified_memory, newest


@functools.cache
def _devices() -> tuple[Device, ...]:
    found = []
    for handle in (handle for platform in runtimes.platforms() for handle in _handles(platform)):
        with contextlib.suppress(DeviceError):  # one broken driver must not hide the others
            found.append(Device.of(handle))
    if not found:
        raise runtimes.no_driver()
    return tuple(found)


def _handles(platform: cl.Platform) -> list[cl.Device]:
    """List a platform's devices that run kernels: none if it raises (Clover and rusticl do without hardware of theirs)."""
    try:
        return [handle for handle in platform.get_devices() if handle.type & sum(_KINDS.values()) and not _unknown_to_pocl(handle)]
    except cl.Error:
        return []


_ZEN_WITHOUT_AVX512 = ("znver1", "znver2", "znver3")


def _unknown_to_pocl(handle: cl.Device) -> bool:
    """Whether a PoCL is too old for the CPU, as 3.0 is for Zen 5 and Zen 4.

    It calls the one "generic", and then refuses every kernel for that name; and takes the other for one of Zen's before AVX-512, but with
    vectors of 16 floats, for which its compiler ends the process.
    """
    if handle.platform.name.strip() != POCL:
        return False
    known_as = handle.version.split("-")[-1].strip()
    unknown = known_as == "generic" or (known_as in _ZEN_WITHOUT_AVX512 and handle.native_vector_width_float > 8)
    if unknown:
        log.info("passing over %s: %s is older than this CPU and can't compile for it", handle.name, handle.platform.version)
    return unknown


@functools.cache
def _describe(handle: cl.Device) -> Device:
    try:
        return _read(handle)
    except cl.Error as error:
        raise DeviceError(f"the OpenCL driver of {handle!r} failed while it was asked what it can do: {error}") from error


def _read(handle: cl.Device) -> Device:
    extensions = frozenset(handle.extensions.split())
    fp64 = optional(lambda: handle.double_fp_config) != 0
    atomic_float32 = best_atomic(handle, ADD_FLOAT32) or "cas"
    swap64 = "cas" if "cl_khr_int64_base_atomics" in extensions else None
    return Device(
        name=handle.name.strip(),
        platform=handle.platform.name.strip(),
        vendor=handle.vendor.strip(),
        driver=handle.driver_version.strip(),
        version=handle.version.split()[1],  # the standard's form: "OpenCL 3.0 ..."
        index=_index(handle),
        kind=next((kind for kind, bit in _KINDS.items() if handle.type & bit), "accelerator"),  # oclgrind claims all
        compute_units=handle.max_compute_units,
        max_work_group=handle.max_work_group_size,
        max_work_items=tuple(handle.max_work_item_sizes),
        local_memory=nvidia.local_memory(handle) or handle.local_mem_size,
        global_memory=handle.global_mem_size,
        max_allocation=handle.max_mem_alloc_size,
        # not the preferred width: Intel's CPU compiler says 1, since it vectorises over work-items by itself, on 8 or 16 lanes
        vector_width=max(1, handle.native_vector_width_float),
        unified_memory=bool(optional(lambda: handle.host_unified_memory)),  # deprecated by OpenCL 2.0, answered still
        fp64=fp64,
        fp16="cl_khr_fp16" in extensions,
        subgroups="cl_khr_subgroups" in extensions or optional(lambda: handle.max_num_sub_groups) > 0,
        base_alignment=max(1, handle.mem_base_addr_align // 8),
        atomic_float32=atomic_float32,
        atomic_float64=(best_atomic(handle, ADD_FLOAT64) or swap64) if fp64 else None,
        loop_limit=_LLVMPIPE_TURNS if "llvmpipe" in handle.name else None,
        simulator="oclgrind" in handle.platform.name.lower(),
        atomic_int64="nvidia" if atomic_float32.startswith("nvidia") else "khr" if swap64 else "carry",
        matrix_units=nvidia.matrix_units(handle) + units.matrix_units(handle),
        handle=handle,
    )


def _index(handle: cl.Device) -> str:
    for number, platform in enumerate(runtimes.platforms()):
        if platform == handle.platform and handle in (siblings := platform.get_devices()):
            return f"{number}:{siblings.index(handle)}"
    return ""
