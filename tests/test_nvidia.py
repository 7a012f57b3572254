"""What is known of NVIDIA's driver, and what is done to its programs; no device of NVIDIA's is needed."""

from types import SimpleNamespace
from typing import Any

import pyopencl as cl
import pytest

from clconv import nvidia
from clconv.device import Device

PTX = b""".version 9.0
.target sm_90, texmode_independent
.address_size 64
.entry kernel(
)
.reqntid 256, 1, 1
{
// begin inline asm
/*sm_90a wgmma.fence.sync.aligned; */
// end inline asm
mov.u32 %r1, 0; /* plain */
/*sm_90a wgmma.wait_group.sync.aligned 1; */
/*entry .minnctapersm 1*/
/*entry .minnctapersm 1*/
}
\0\0"""


def _device(major: int, minor: int, extensions: str = "cl_nv_device_attribute_query") -> Any:
    return SimpleNamespace(extensions=extensions, compute_capability_major_nv=major, compute_capability_minor_nv=minor)


def test_hidden_instructions_are_brought_out_for_their_target() -> None:
    text = nvidia.brought_out(PTX).decode()
    assert ".target sm_90a, texmode_independent" in text
    assert "\nwgmma.fence.sync.aligned; \n" in text and "\nwgmma.wait_group.sync.aligned 1; \n" in text
    assert ")\n.reqntid 256, 1, 1\n.minnctapersm 1\n{" in text
    assert "/* plain */" in text and "sm_90a wgmma" not in text and not text.endswith("\0")


def test_programs_without_hidden_instructions_are_left_alone() -> None:
    assert nvidia.hides(PTX.decode()) and not nvidia.hides("/* sm_90a is a target */ int x;")


@pytest.mark.parametrize(
    ("capability", "units"), [((7, 5), ()), ((8, 6), ("mma",)), ((8, 0), ("mma", "dmma")), ((9, 0), nvidia.UNITS), ((12, 0), ("mma",))]
)
def test_units_by_capability(capability: tuple[int, int], units: tuple[str, ...]) -> None:
    assert nvidia.matrix_units(_device(*capability)) == units


@pytest.mark.parametrize(("capability", "most"), [((7, 5), 64), ((8, 6), 99), ((8, 0), 163), ((11, 9), None)])
@pytest.mark.parametrize("has", [True, False])
def test_local_memory_is_what_a_kernel_was_seen_to_have(
    capability: tuple[int, int], most: int | None, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def tried(handle: Any, size: int) -> bool:
        asked.append(size)
        return has

    monkeypatch.setattr(nvidia, "has_local_memory", tried)
    assert nvidia.local_memory(_device(*capability)) == (most << 10 if most and has else None)
    assert asked == ([most << 10] if most else [])
    assert nvidia.local_memory(_device(9, 0)) == 227 << 10


def test_a_kernel_has_the_local_memory_that_it_declares(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.handle is not None and nvidia.has_local_memory(device.handle, 16 << 10)

    def refused(self: Any) -> None:
        raise cl.RuntimeError("uses too much shared data")

    monkeypatch.setattr(cl.Program, "build", refused)
    assert not nvidia.has_local_memory(device.handle, 16 << 10)


def test_other_devices_have_neither() -> None:
    other = _device(9, 0, extensions="cl_khr_fp64")
    assert nvidia.capability(other) is None and nvidia.matrix_units(other) == () and nvidia.local_memory(other) is None
