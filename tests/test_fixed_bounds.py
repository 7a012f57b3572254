"""What bounds the terms of sums in fixed point: the largest size, and the sum of weights, of what comes to each pixel."""

from dataclasses import replace

import numpy as np
import pyopencl as cl
import pytest

from clconv import Device, fixed
from clconv.arrays import NumpyArray
from clconv.check.cases import BY_NAME, Case
from clconv.execute import allocate, run
from clconv.layout import ring_pixels
from clconv.queues import queue_for
from clconv.schedule import Launch

_CASES = (
    BY_NAME["larger"],
    BY_NAME["stride"],
    BY_NAME["deep-far"],
    BY_NAME["deep-nan"],
    BY_NAME["deep-conv"],
    replace(BY_NAME["kernel-7x7"], name="kernel-7x7-dilated", dilation=40, padding=120),
    Case("long", (1, 2, 1, 300), (2, 2, 1, 3), padding=(0, 1)),
)


def _norms(case: Case, grad_output: NumpyArray) -> NumpyArray:
    """(N, OH, OW): of the finite ones."""
    grads = np.where(np.isfinite(grad_output), grad_output, 0).astype(np.float64)
    norms: NumpyArray = np.sqrt((grads**2).sum(1))
    return norms


def _expected(case: Case, arrays: dict[str, NumpyArray], norms: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
    """The largest size, and the sum of shares, (groups, pixels of the ring), from the definition."""
    problem, f = case.problem(), np.float32
    height, width, groups = problem.height, problem.width, problem.sample_groups
    most = np.zeros((groups, ring_pixels(problem)), f)
    weights = np.zeros((groups, ring_pixels(problem)), np.int64)
    taps = np.indices((problem.kernel_y, problem.kernel_x)).reshape(2, -1)
    shape = (groups, problem.taps, problem.out_height, problem.out_width)
    no_offset = np.zeros((problem.batch, groups, problem.taps, 2, *shape[2:]), f)
    offsets = arrays["offset"].reshape(no_offset.shape) if "offset" in arrays else no_offset
    masks = arrays["mask"].reshape(problem.batch, *shape) if "mask" in arrays else np.ones((problem.batch, *shape), f)
    for n, g, k, y, x in np.ndindex(problem.batch, *shape):
        given, mask, norm = offsets[n, g, k, :, y, x], np.abs(masks[n, g, k, y, x]), norms[n, y, x]
        if not (np.abs(given) < 2**30).all() or norm == 0 or mask == 0:
            continue
        down = np.floor(given)
        fraction = given - down
        row = y * problem.stride_y - problem.pad_top + taps[0, k] * problem.dilation_y + int(down[0])
        column = x * problem.stride_x - problem.pad_left + taps[1, k] * problem.dilation_x + int(down[1])
        least = -1 if problem.offset_groups else 0
        if not (least <= row < height and least <= column < width):
            continue
        first = width + 3 + (n * (height + 1) + row) * (width + 1) + column
        for i, step in enumerate((0, 1, width + 1, width + 2) if problem.offset_groups else (0,)):
            weight = (f(1) - fraction[0], fraction[0])[i // 2] * (f(1) - fraction[1], fraction[1])[i % 2]
            if weight > 0:
                share = max(weight, f(0.125))
                most[g, first + step] = max(most[g, first + step], mask * norm * (weight / share))
                weights[g, first + step] += int(np.ceil(share * 64))
    return most, weights


@pytest.mark.parametrize("margin", [0, 4])
@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_bounds(case: Case, margin: int, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without samples that miss the window."""
    monkeypatch.setattr(fixed, "_MARGIN", margin)
    problem, arrays, queue = case.problem(), case.arrays(), queue_for(device, None)
    arrays["grad_output"][:, :, ::2] *= np.float32(1e-5)
    arrays["grad_output"][0, 0, 0, 0] = np.inf
    arrays["grad_output"][..., 1] = 0
    sums = fixed.fixed_sums(problem, device)
    zeros = [fill for fill in sums.zeros if fill.buffer == "grad_reach"]
    bounds = [step for step in sums.before if isinstance(step, Launch) and step.kernel.name in {"fixed_norms", "fixed_reach"}]
    flags = cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR
    buffers = {name: cl.Buffer(queue.context, flags, hostbuf=array) for name, array in arrays.items()}
    for name in ("grad_norms", "grad_reach"):
        buffers[name] = allocate(queue.context, queue.device, name, sums.temporaries[name])
    run([*zeros, *bounds], queue, buffers)
    norms = np.empty((problem.batch, problem.out_height, problem.out_width), np.float32)
    reach = np.empty((problem.sample_groups, ring_pixels(problem), 2), np.float32)
    cl.enqueue_copy(queue, norms, buffers["grad_norms"])
    cl.enqueue_copy(queue, reach, buffers["grad_reach"])
    exact = _norms(case, arrays["grad_output"])
    assert (norms >= exact).all()
    assert np.allclose(norms, exact, rtol=2e-3, atol=1e-37)
    most, weights = _expected(case, arrays, norms)
    assert np.allclose(reach[..., 0], most, rtol=1e-6)
    assert np.array_equal(reach[..., 1].view(np.uint32), weights)
