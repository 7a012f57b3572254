"""What adds up the partial sums of a forward pass by matrix units, on any device."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyopencl.array as cla
import pytest

from clconv import Device, forward_matrix, nvidia, reference
from clconv.check.cases import Case
from clconv.execute import run
from clconv.queues import queue_for
from clconv.schedule import Request

CASE = Case("partial-sums", (2, 320, 3, 5), (44, 160, 3, 3), offset_groups=4)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_sums_are_added_up_and_what_is_in_doubt_is_done_again(dtype: str, device: Device) -> None:
    problem, able = CASE.problem(dtype), replace(device, compute_units=132, matrix_units=nvidia.UNITS, local_memory=227 << 10)
    variant = forward_matrix.VARIANTS[0]
    tile = variant.tiles(Request(problem), able)[0]
    schedule = variant.schedule(Request(problem), able, tile)
    splits, shape = tile["splits"], problem.shapes()["output"]
    assert splits > 1 and schedule.temporaries["partial_output"] == 4 * splits * np.prod(shape)

    partial = np.random.default_rng(3).standard_normal((splits, *shape)).astype(np.float32)
    partial[1, 0, 3, 1, 2], partial[0, 1, 43, 2, 4] = np.nan, np.inf
    operands: dict[str, Any] = {name: array for name, array in CASE.arrays(dtype).items() if name != "grad_output"}
    queue = queue_for(device, None)
    arrays: dict[str, Any] = {**operands, "partial_output": partial, "output": np.zeros(shape, dtype)}
    there = {name: cla.to_device(queue, array) for name, array in arrays.items()}
    buffers: dict[str, Any] = {name: array.base_data for name, array in there.items()}
    run(schedule.steps[-1:], queue, buffers)
    got = there["output"].get().astype(np.float64)

    sums = partial.sum(0, dtype=np.float64) + operands["bias"].astype(np.float64)[:, None, None]
    again = reference.deform_conv2d(**operands, **CASE.options)
    wrong = np.fmin(abs(got - sums), abs(got - again)) > 2e-3 * (1 + abs(got))
    doubted = ~np.isfinite(sums)
    assert not wrong.any()
    assert np.allclose(got[doubted], again[doubted], rtol=2e-3, atol=2e-3)
    assert (abs(got - sums) < 2e-3 * (1 + abs(got))).mean() > 0.95
