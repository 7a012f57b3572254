"""What bounds the terms of sums in fixed point: exactly the largest exponent, and the number of samples, that come to each pixel."""

from dataclasses import replace
from typing import Any

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


def _exponent(size: Any) -> Any:
    return np.maximum(np.frexp(size)[1] - 1, -126)


def _expected(case: Case, arrays: dict[str, NumpyArray]) -> NumpyArray:
    """(groups, pixels of the ring, 2), from the definition."""
    problem, f = case.problem(), np.float32
    height, width, groups = problem.height, problem.width, problem.sample_groups
    reach = np.zeros((groups, ring_pixels(problem), 2), np.int64)
    grads = np.abs(arrays["grad_output"])
    taps = np.indices((problem.kernel_y, problem.kernel_x)).reshape(2, -1)
    shape = (groups, problem.taps, problem.out_height, problem.out_width)
    for n in range(problem.batch):
        most = np.where(np.isfinite(grads[n]), grads[n], f(0)).max(0)
        offset = (
            arrays["offset"][n].reshape(groups, problem.taps, 2, *shape[2:])
            if "offset" in arrays
            else np.zeros((*shape[:2], 2, *shape[2:]), f)
        )
        mask = arrays["mask"][n].reshape(shape) if "mask" in arrays else np.ones(shape, f)
        for g, k, y, x in np.ndindex(shape):
            given = offset[g, k, :, y, x]
            if not (np.abs(given) < 2**30).all() or most[y, x] == 0 or mask[g, k, y, x] == 0:
                continue
            down = np.floor(given)
            fraction = given - down
            row = y * problem.stride_y - problem.pad_top + taps[0, k] * problem.dilation_y + int(down[0])
            column = x * problem.stride_x - problem.pad_left + taps[1, k] * problem.dilation_x + int(down[1])
            least = -1 if problem.offset_groups else 0
            if not (least <= row < height and least <= column < width):
                continue
            first = width + 3 + (n * (height + 1) + row) * (width + 1) + column
            reach[g, first, 1] += 1
            for i, step in enumerate((0, 1, width + 1, width + 2) if problem.offset_groups else (0,)):
                weight = (f(1) - fraction[0], fraction[0])[i // 2] * (f(1) - fraction[1], fraction[1])[i % 2]
                if (size := np.abs(mask[g, k, y, x] * weight)) > 0:
                    reach[g, first + step, 0] = max(reach[g, first + step, 0], 513 + _exponent(size) + _exponent(most[y, x]))
    return reach


@pytest.mark.parametrize("margin", [0, 4])
@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_bounds(case: Case, margin: int, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without samples that miss the window."""
    monkeypatch.setattr(fixed, "_MARGIN", margin)
    problem, arrays, queue = case.problem(), case.arrays(), queue_for(device, None)
    arrays["grad_output"][:, :, ::2] *= np.float32(1e-5)
    arrays["grad_output"][..., 1] = 0
    sums = fixed.fixed_sums(problem, device)
    wanted = {"fixed_largest", "fixed_reach"}
    steps = [step for step in sums.before if (step.kernel.name in wanted if isinstance(step, Launch) else step.buffer == "grad_reach")]
    flags = cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR
    buffers = {name: cl.Buffer(queue.context, flags, hostbuf=array) for name, array in arrays.items()}
    for name in ("grad_largest", "grad_reach"):
        buffers[name] = allocate(queue.context, queue.device, name, sums.temporaries[name])
    run(steps, queue, buffers)
    got = np.empty(sums.temporaries["grad_reach"] // 4, np.uint32)
    cl.enqueue_copy(queue, got, buffers["grad_reach"])
    assert np.array_equal(got.reshape(problem.sample_groups, -1, 2), _expected(case, arrays))
