"""More than 2**31 elements in one tensor, on GPUs that hold it: results equal those of a crop, which needs no 64-bit indices."""

from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cla
import pytest

from clconv import Device, deform_conv2d, deform_conv2d_backward
from clconv.arrays import copy
from clconv.execute import run
from clconv.schedule import Fill

SIDE, CHANNELS, CROP, MARGIN = 26800, 3, 64, 8
NEEDED = 8 * CHANNELS * SIDE**2 * 2


@pytest.mark.parametrize("which", ["forward", "backward"])
def test_more_than_two_to_the_31_elements(which: str, device: Device) -> None:
    assert CHANNELS * SIDE**2 > 1 << 31
    if device.kind != "gpu" or device.global_memory < NEEDED:
        pytest.skip(f"{device.label}: needs a GPU with {NEEDED >> 30} GiB")
    assert device.handle is not None
    context = cl.Context([device.handle])
    queue = cl.CommandQueue(context)
    rng = np.random.default_rng(3)
    crop = (slice(None), slice(None), slice(SIDE - CROP, SIDE), slice(SIDE - CROP, SIDE))
    small = {
        "input": rng.standard_normal((1, CHANNELS, CROP, CROP)).astype("float16"),
        "offset": rng.uniform(-3, 3, (1, 2, CROP, CROP)).astype("float16"),
        "grad_output": rng.standard_normal((1, 1, CROP, CROP)).astype("float16"),
    }
    weight = rng.standard_normal((1, CHANNELS, 1, 1)).astype("float16")
    large: dict[str, Any] = {name: cla.empty(queue, (1, array.shape[1], SIDE, SIDE), "float16") for name, array in small.items()}
    for array in large.values():
        run([Fill("large", array.nbytes)], queue, {"large": array.base_data})
    for name, array in small.items():
        copy(cla.to_device(queue, array), large[name][crop])
    placed: dict[str, Any] = {name: cla.to_device(queue, array) for name, array in small.items()}
    grad, small_grad = large.pop("grad_output"), placed.pop("grad_output")
    inside = (slice(None), slice(None), slice(MARGIN, None), slice(MARGIN, None))
    on_device = cla.to_device(queue, weight)
    if which == "forward":
        got, want = deform_conv2d(**large, weight=on_device), deform_conv2d(**placed, weight=on_device)
        pairs = [(got, want)]
    else:
        needs = ("input", "offset")
        many = deform_conv2d_backward(grad, **large, weight=on_device, needs=needs)
        few = deform_conv2d_backward(small_grad, **placed, weight=on_device, needs=needs)
        pairs = [(many.input, few.input), (many.offset, few.offset)]
    for got, want in pairs:
        packed = cla.empty(queue, want.shape, want.dtype)
        copy(got[crop], packed)
        assert np.allclose(packed.get()[inside].astype("f"), want.get()[inside].astype("f"), rtol=2e-3, atol=2e-3)
        assert np.abs(want.get()[inside].astype("f")).max() > 0.1
