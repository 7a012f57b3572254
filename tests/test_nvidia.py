"""What is known of NVIDIA's driver, and what is done to its programs; no device is needed."""

from types import SimpleNamespace
from typing import Any

import pytest

from clconv import nvidia

PTX = b""".version 9.0
.target sm_90, texmode_independent
.address_size 64
// begin inline asm
/*sm_90a wgmma.fence.sync.aligned; */
// end inline asm
mov.u32 %r1, 0; /* plain */
/*sm_90a wgmma.wait_group.sync.aligned 1; */
\0\0"""


def _device(major: int, minor: int, extensions: str = "cl_nv_device_attribute_query") -> Any:
    return SimpleNamespace(extensions=extensions, compute_capability_major_nv=major, compute_capability_minor_nv=minor)


def test_hidden_instructions_are_brought_out_for_their_target() -> None:
    text = nvidia.brought_out(PTX).decode()
    assert ".target sm_90a, texmode_independent" in text
    assert "\nwgmma.fence.sync.aligned; \n" in text and "\nwgmma.wait_group.sync.aligned 1; \n" in text
    assert "/* plain */" in text and "sm_90a wgmma" not in text and not text.endswith("\0")


def test_programs_without_hidden_instructions_are_left_alone() -> None:
    assert nvidia.hides(PTX.decode()) and not nvidia.hides("/* sm_90a is a target */ int x;")


@pytest.mark.parametrize(
    ("capability", "units", "local_memory"),
    [
        ((7, 5), (), None),
        ((8, 6), ("mma",), None),
        ((8, 0), ("mma", "dmma"), None),
        ((9, 0), nvidia.UNITS, 227 << 10),
        ((12, 0), ("mma",), None),
    ],
)
def test_units_and_local_memory_by_capability(capability: tuple[int, int], units: tuple[str, ...], local_memory: int | None) -> None:
    assert nvidia.matrix_units(_device(*capability)) == units
    assert nvidia.local_memory(_device(*capability)) == local_memory


def test_other_devices_have_neither() -> None:
    other = _device(9, 0, extensions="cl_khr_fp64")
    assert nvidia.capability(other) is None and nvidia.matrix_units(other) == () and nvidia.local_memory(other) is None
