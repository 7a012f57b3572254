"""Which device is meant by what a user says, and what the drivers at hand say of themselves."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from types import SimpleNamespace
from typing import Any

import pyopencl as cl
import pytest

import clconv.device
from clconv import atomics, runtimes
from clconv.device import Device, choose, devices, resolve
from clconv.errors import DeviceError, ProblemError


def fake(index: str, kind: str, platform: str, name: str, **changes: object) -> Device:
    """Describe a device that isn't there."""
    usual: dict[str, Any] = {
        "vendor": "its maker",
        "driver": "1.0",
        "version": "3.0",
        "compute_units": 8,
        "max_work_group": 1024,
        "max_work_items": (1024, 1024, 64),
        "local_memory": 49152,
        "global_memory": 1 << 33,
        "max_allocation": 1 << 31,
        "vector_width": 1,
        "unified_memory": kind == "cpu",
        "fp64": True,
        "fp16": False,
        "subgroups": False,
        "base_alignment": 128,
        "atomic_float32": "cas",
        "atomic_float64": "cas",
        "loop_limit": None,
        "simulator": False,
    }
    return Device(name=name, platform=platform, index=index, kind=kind, **{**usual, **changes})


INTEL = fake("0:0", "cpu", "Intel(R) OpenCL", "Xeon 8480")
POCL_OLD = fake("1:0", "cpu", "Portable Computing Language", "pthread-Xeon", driver="3.9")
POCL_NEW = fake("2:0", "cpu", "Portable Computing Language", "pthread-haswell-Xeon", driver="3.10+debian")
OTHER_CPU = fake("3:0", "cpu", "AMD Accelerated Parallel Processing", "EPYC")
LLVMPIPE = fake("4:0", "cpu", "rusticl", "llvmpipe (LLVM 15.0.6, 256 bits)")
OCLGRIND = fake("5:0", "gpu", "Oclgrind", "Oclgrind Simulator", simulator=True)
FPGA = fake("6:0", "accelerator", "Some FPGA Platform", "Board")
NVIDIA_0 = fake("7:0", "gpu", "NVIDIA CUDA", "NVIDIA RTX 4090")
NVIDIA_1 = fake("7:1", "gpu", "NVIDIA CUDA", "NVIDIA H200")
INTEGRATED = fake("8:0", "gpu", "Intel(R) OpenCL Graphics", "Iris Xe", unified_memory=True)
ON_MESA = fake("9:0", "gpu", "rusticl", "AMD Radeon RX 7900")
AMD = fake("10:0", "gpu", "AMD Accelerated Parallel Processing", "gfx90a:sramecc+:xnack-")
CPUS = (LLVMPIPE, OTHER_CPU, POCL_OLD, POCL_NEW, INTEL)
ALL = (OCLGRIND, *CPUS, FPGA, ON_MESA, INTEGRATED, NVIDIA_0, NVIDIA_1, AMD)


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let resolve() see the devices of ALL, and no environment variable that chooses."""
    monkeypatch.setattr(clconv.device, "_devices", lambda: ALL)
    monkeypatch.delenv("CLCONV_DEVICE", raising=False)
    monkeypatch.delenv("PYOPENCL_CTX", raising=False)


@pytest.mark.parametrize(
    ("among", "best"),
    [
        (ALL, NVIDIA_0),  # of two alike the first
        ((OCLGRIND, *CPUS, FPGA), FPGA),
        ((OCLGRIND, *CPUS), INTEL),
        ((LLVMPIPE, OTHER_CPU, POCL_OLD, POCL_NEW), POCL_NEW),  # 3.10 is newer than 3.9
        ((LLVMPIPE, OTHER_CPU), OTHER_CPU),
        ((OCLGRIND, LLVMPIPE), LLVMPIPE),
        ((ON_MESA, INTEGRATED), INTEGRATED),
        ((INTEGRATED, NVIDIA_1), NVIDIA_1),
    ],
    ids=lambda value: value.label if isinstance(value, Device) else "",
)
def test_order_of_preference(among: tuple[Device, ...], best: Device) -> None:
    assert choose(among, "", "device=None") is best


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("7:1", NVIDIA_1),
        ("7", NVIDIA_0),
        ("7:0,1", NVIDIA_0),
        ("7:h200", NVIDIA_1),
        ("nvidia:1", NVIDIA_1),
        ("1:0", POCL_OLD),
        ("10:0", AMD),
        ("gpu", NVIDIA_0),
        ("GPU", NVIDIA_0),
        ("accelerator", FPGA),
        ("cpu", INTEL),
        ("portable", POCL_NEW),
        ("PTHREAD-XEON", POCL_OLD),
        ("h200", NVIDIA_1),
        ("4090", NVIDIA_0),  # digits that are no platform's index
        ("gfx90a:sramecc+:xnack-", AMD),  # a colon that separates no indices
        ("pthread-Xeon on Portable Computing Language", POCL_OLD),  # the label that errors and tables show
        ("rusticl", ON_MESA),
        ("oclgrind", OCLGRIND),
        ("5:0", OCLGRIND),
    ],
)
def test_string_means(present: None, text: str, meant: Device) -> None:
    assert resolve(text) is meant


def test_none_prefers_clconv_device_then_pyopencl_ctx(present: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve() is NVIDIA_0
    monkeypatch.setenv("PYOPENCL_CTX", "portable:0")
    assert resolve() is POCL_NEW
    monkeypatch.setenv("CLCONV_DEVICE", "h200")
    assert resolve() is NVIDIA_1
    assert resolve("cpu") is INTEL  # what the caller says comes first
    monkeypatch.setenv("CLCONV_DEVICE", "")  # empty is as good as unset
    assert resolve() is POCL_NEW


def test_a_copy_is_the_same_device(device: Device) -> None:
    """So layers that name a device can be copied, and sent to other processes."""
    assert copy.deepcopy(device) is pickle.loads(pickle.dumps(device)) is device
    nowhere = dataclasses.replace(device, handle=None)
    assert copy.deepcopy(nowhere) == nowhere
    with pytest.raises(DeviceError, match="no driver lists this device"):
        pickle.dumps(dataclasses.replace(device, index=""))


def test_device_is_taken_as_it_is(present: None) -> None:
    elsewhere = fake("0:0", "gpu", "Somewhere", "else")
    assert resolve(elsewhere) is elsewhere


@pytest.mark.parametrize("text", ["11:0", "7:2", "voodoo", "0:", ":"])
def test_unknown_string_lists_what_there_is(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(clconv.device, "_devices", lambda: (NVIDIA_1, OCLGRIND))
    with pytest.raises(DeviceError) as caught:
        resolve(text)
    assert str(caught.value) == (
        f"device={text!r} fits no OpenCL device; "
        "there are: 7:1 NVIDIA H200 on NVIDIA CUDA (gpu); 5:0 Oclgrind Simulator on Oclgrind (simulator, only by name)"
    )


@pytest.mark.parametrize("variable", ["CLCONV_DEVICE", "PYOPENCL_CTX"])
def test_unknown_string_in_the_environment_names_the_variable(present: None, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "voodoo")
    with pytest.raises(DeviceError, match=f"^{variable}=voodoo fits no OpenCL device; there are: 5:0 Oclgrind"):
        resolve()


@pytest.mark.parametrize("text", [None, "gpu", "cpu", "accelerator"])
def test_simulator_is_never_chosen_unless_named(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.setattr(clconv.device, "_devices", lambda: (OCLGRIND,))
    monkeypatch.delenv("CLCONV_DEVICE", raising=False)
    monkeypatch.delenv("PYOPENCL_CTX", raising=False)
    with pytest.raises(DeviceError, match="simulator, only by name"):
        resolve(text)


@pytest.mark.parametrize("wrong", [0, 1.5, ("0", "1"), cl.device_type.GPU, b"gpu"])
def test_other_types_name_the_argument(wrong: object) -> None:
    with pytest.raises(ProblemError) as caught:
        resolve(wrong)
    expected = "device: expected None, a str, a pyopencl.Device or a clconv.Device, got "
    assert str(caught.value) == f"{expected}{type(wrong).__name__} {wrong!r}"


ATOMICS = [
    # platform, device's name, extensions, capability bits, NVIDIA's capability -> float32, float64
    ("Intel(R) OpenCL", "Xeon", "cl_ext_float_atomics", {0x4231: 0x70007, 0x4232: 0x70007}, 0, "ext", "ext"),
    ("Intel(R) OpenCL Graphics", "Arc", "cl_ext_float_atomics", {0x4231: 0x2, 0x4232: 0x1}, 0, "ext", None),
    ("Some driver", "local only", "cl_ext_float_atomics", {0x4231: 0x20000, 0x4232: 0x20000}, 0, None, None),
    ("NVIDIA CUDA", "NVIDIA H200", "", {}, 9, "nvidia_quads", "nvidia"),
    ("NVIDIA CUDA", "NVIDIA A100", "", {}, 8, "nvidia", "nvidia"),
    ("NVIDIA CUDA", "Tesla M40", "", {}, 5, "nvidia", None),
    ("Portable Computing Language", "NVIDIA H200", "", {}, 9, None, None),
    ("AMD Accelerated Parallel Processing", "gfx90a:sramecc+:xnack-", "", {}, 0, "amd", "amd"),
    ("AMD Accelerated Parallel Processing", "gfx942", "", {}, 0, "amd", "amd"),
    ("AMD Accelerated Parallel Processing", "gfx1100", "", {}, 0, "amd", None),
    ("AMD Accelerated Parallel Processing", "gfx1201", "", {}, 0, "amd", None),
    ("AMD Accelerated Parallel Processing", "gfx1030", "", {}, 0, None, None),
    ("AMD Accelerated Parallel Processing", "gfx908:sramecc+:xnack-", "", {}, 0, None, None),
    ("rusticl", "gfx1100", "", {}, 0, None, None),
]


@pytest.mark.parametrize(("platform", "name", "extensions", "bits", "capability", "float32", "float64"), ATOMICS)
def test_best_hardware_atomic(
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    name: str,
    extensions: str,
    bits: dict[int, int],
    capability: int,
    float32: str | None,
    float64: str | None,
) -> None:
    handle: Any = SimpleNamespace(
        platform=SimpleNamespace(name=platform), name=name, extensions=extensions, compute_capability_major_nv=capability
    )
    monkeypatch.setattr(atomics, "_capabilities", lambda _, query: bits[query])
    assert atomics.best_atomic(handle, atomics.ADD_FLOAT32) == float32
    assert atomics.best_atomic(handle, atomics.ADD_FLOAT64) == float64


def test_platforms_that_raise_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[cl.Device]:
        raise cl.LogicError("clGetDeviceIDs failed: DEVICE_NOT_FOUND")

    expected = devices()
    broken: Any = SimpleNamespace(get_devices=fail)
    empty: Any = SimpleNamespace(get_devices=list)
    real = runtimes.platforms()
    monkeypatch.setattr(runtimes, "platforms", lambda: [broken, empty, *real])
    assert list(clconv.device._devices.__wrapped__()) == expected


@pytest.mark.parametrize(("known_as", "floats"), [("generic", 16), ("znver3", 16)])
def test_a_device_that_its_pocl_does_not_know_is_passed_over(known_as: str, floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """PoCL 3.0 calls Zen 5 "generic" and compiles nothing for it, and takes Zen 4 for Zen 3, but with AVX-512, and aborts."""
    expected = devices()
    platform: Any = SimpleNamespace(name="Portable Computing Language", version="OpenCL 3.0 PoCL 3.0")
    handle = _pocl_device(known_as, floats, platform)
    platform.get_devices = lambda: [handle]
    real = runtimes.platforms()
    monkeypatch.setattr(runtimes, "platforms", lambda: [platform, *real])
    assert list(clconv.device._devices.__wrapped__()) == expected


@pytest.mark.parametrize(("known_as", "floats"), [("znver3", 8), ("znver4", 16), ("skylake-avx512", 16)])
def test_a_device_that_its_pocl_knows_is_not(known_as: str, floats: int) -> None:
    platform = SimpleNamespace(name="Portable Computing Language", version="OpenCL 3.0 PoCL 3.0")
    assert not clconv.device._unknown_to_pocl(_pocl_device(known_as, floats, platform))


def _pocl_device(known_as: str, floats: int, platform: Any) -> Any:
    version = f"OpenCL 3.0 PoCL HSTR: pthread-x86_64-unknown-linux-gnu-{known_as}"
    return SimpleNamespace(name="CPU", version=version, type=cl.device_type.CPU, platform=platform, native_vector_width_float=floats)


def test_no_device_on_any_platform_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    empty: Any = SimpleNamespace(get_devices=list)
    monkeypatch.setattr(runtimes, "platforms", lambda: [empty])
    with pytest.raises(DeviceError, match=r"^no OpenCL device was found.*clconv\[cpu\].*clconv\[pocl\].*your device's vendor$"):
        clconv.device._devices.__wrapped__()


def test_device_at_hand_is_found_by_all_that_it_is_called(device: Device) -> None:
    assert device.handle is not None
    assert resolve(device.handle) is Device.of(device.handle) is resolve(device.index) is device
    assert resolve(device.label).label == device.label
    assert resolve(device) is device


def test_index_counts_as_pyopencl_counts(device: Device) -> None:
    platform, position = map(int, device.index.split(":"))
    assert cl.get_platforms()[platform].get_devices()[position] == device.handle


def test_facts_of_device_at_hand_are_whole(device: Device) -> None:
    assert device.kind in ("gpu", "accelerator", "cpu")
    assert tuple(map(int, device.version.split("."))) >= (1, 1)
    assert min(device.compute_units, device.vector_width, device.base_alignment, device.local_memory) >= 1
    assert device.max_work_group <= math.prod(device.max_work_items)
    assert 0 < device.max_allocation <= device.global_memory
    assert device.atomic_float32 in ("ext", "nvidia_quads", "nvidia", "amd", "cas")
    assert device.fp64 or device.atomic_float64 is None


def test_sub_device_has_facts_of_its_own() -> None:
    parents = [
        device for device in devices() if device.compute_units > 1 and device.platform in ("Intel(R) OpenCL", "Portable Computing Language")
    ]
    for device in parents:
        assert device.handle is not None
        equally: list[Any] = [cl.device_partition_property.EQUALLY, 1]
        half, *_ = device.handle.create_sub_devices(equally)
        assert resolve(half) == dataclasses.replace(device, compute_units=1, index="")


def test_devices_are_values() -> None:
    again = dataclasses.replace(INTEL)
    assert again == INTEL
    assert hash(again) == hash(INTEL)
    assert {INTEL: 1}[again] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        INTEL.name = "other"  # type: ignore[misc]  # that is the point
