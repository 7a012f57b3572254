"""How the weight's pass by matrix units has the output's gradient in halves (kernels/pack_grad_matrix.cl), on every device.

Sums for the bias take lanes of a warp: they are made, and checked, where there are some.
"""

from dataclasses import replace
from math import prod
from typing import Any

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np
import pyopencl.array as cla
import pytest
from planning import DEVICES, problem_of

from clconv import Device, nvidia
from clconv.arrays import NumpyArray
from clconv.backward_weight_matrix import VARIANTS
from clconv.execute import run
from clconv.problem import Problem
from clconv.queues import queue_for
from clconv.schedule import Launch, Request

SEED = 6
WGMMA = next(variant for variant in VARIANTS if variant.name == "wgmma")


def _halves(made: dict[str, NumpyArray], arguments: dict[str, Any], groups: int) -> tuple[NumpyArray, NumpyArray, NumpyArray]:
    """The sums of halves, [group][output][pixel of all blocks]; where the pixels are; the inverses of their scales, [group][1][pixel]."""
    parts, outs, block = arguments["parts"], arguments["outs"], arguments["block"]
    packed = made["scratch"].reshape(-1, groups, parts, outs, block // 8, 8).astype(np.float64).sum(2)
    o, octet = np.ogrid[:outs, : block // 8]
    ordered = packed[:, :, o, octet ^ (o // 2 % 4 if block == 32 else o % 8)].reshape(-1, groups, outs, block)
    places = made["pixel_places"].reshape(-1, groups, block, 4)
    inverse = np.ascontiguousarray(places[..., 3]).view(np.float32)
    sums = ordered.transpose(1, 2, 0, 3).reshape(groups, outs, -1)
    return sums, places[:, 0, :, :3].reshape(-1, 3), inverse.transpose(1, 0, 2).reshape(groups, 1, -1)


def _packed(problem: Problem, compute_units: int, grad: NumpyArray, device: Device) -> tuple[dict[str, NumpyArray], dict[str, Any]]:
    """What the schedule's first launch makes, and its template's arguments."""
    fake = replace(DEVICES["sm_90"], compute_units=compute_units)
    sums = bool(device.matrix_units) and device.matrix_units[0] in nvidia.UNITS
    request, queue = Request(problem, frozenset(("weight", "bias") if sums else ("weight",))), queue_for(device, None)
    schedule = WGMMA.schedule(request, fake, WGMMA.tiles(request, fake)[0])
    pack = schedule.steps[0]
    assert isinstance(pack, Launch) and pack.kernel.name == "pack_grad_matrix"
    if prod(pack.local_size or ()) > device.max_work_group:
        pytest.skip(f"the device has work-groups of {device.max_work_group} at most")
    types = {"scratch": np.float16, "pixel_places": np.int32, **({"partial_bias": np.float32} if sums else {})}
    made = {
        name: cla.to_device(queue, np.full(schedule.temporaries[name] // np.dtype(kind).itemsize, 77, kind)) for name, kind in types.items()
    }
    buffers: Any = {name: array.base_data for name, array in {**made, "grad_output": cla.to_device(queue, grad)}.items()}
    run([pack], queue, buffers)
    return {name: array.get() for name, array in made.items()}, dict(pack.kernel.arguments)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    ("outputs", "groups", "batch", "size", "compute_units", "held"),
    [
        (40, 1, 2, (7, 18), 1, True),
        (130, 2, 3, (5, 19), 1, True),
        (70, 1, 1, (4, 33), 999, True),
        (320, 1, 1, (3, 9), 999, True),
        (520, 1, 1, (3, 15), 1, True),
        (4200, 1, 1, (3, 5), 1, False),
    ],
)
def test_halves_and_scales_give_the_gradient_back(
    outputs: int, groups: int, batch: int, size: tuple[int, int], compute_units: int, held: bool, dtype: str, device: Device
) -> None:
    """Rows of even and odd lengths, odd numbers of pixels, outputs that work-items hold and that they don't, each pixel once."""
    problem = problem_of((batch, 16 * groups, *size), (outputs, 16, 3, 3), groups, padding=1, dtypes={"input": dtype})
    rng = np.random.default_rng(SEED)
    grad = rng.standard_normal(problem.shapes()["output"]).astype(dtype)
    made, arguments = _packed(problem, compute_units, grad, device)
    assert arguments["held"] == held
    sums, places, inverse = _halves(made, arguments, groups)
    numbers = sums * inverse
    there = places[:, 0] >= 0
    assert sorted(map(tuple, places[there])) == list(np.ndindex(batch, *size))
    image, row, column = places[there].T
    want = grad.astype(np.float64)[image, :, row, column].T.reshape(groups, outputs // groups, -1)
    np.testing.assert_allclose(numbers[:, : outputs // groups, there], want, rtol=0 if dtype != "float32" else 2**-21, atol=2**-26)
    assert not sums[:, :, ~there].any() and not sums[:, outputs // groups :].any()
    if "partial_bias" in made:
        found = made["partial_bias"].reshape(outputs, -1).astype(np.float64).sum(1)
        np.testing.assert_allclose(found, grad.astype(np.float64).sum((0, 2, 3)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(("outputs", "compute_units"), [(64, 1), (512, 1), (512, 999)])
@pytest.mark.parametrize("width", [20, 21])
def test_pixels_that_halves_do_not_hold_are_marked(width: int, outputs: int, compute_units: int, dtype: str, device: Device) -> None:
    """What isn't finite, more small outputs than work-items could have one each of, and one that is small by far; on all devices alike."""
    problem = problem_of((1, 16, 3, width), (outputs, 16, 3, 3), 1, padding=1, dtypes={"input": dtype})
    usual, small, tiny = (1, 2.0**-20, 2.0**-34) if dtype == "float32" else (2**12, 2.0**-17, 2.0**-24)
    grad = (usual * np.random.default_rng(SEED).standard_normal(problem.shapes()["output"])).astype(dtype)
    grad[0, 5, 1, 2], grad[0, 6, 2, 3] = np.inf, np.nan
    grad[0, :17, 0, 4], grad[0, :17, 0, 7], grad[0, 20, 2, 9] = small, small, tiny
    grad[0, 3, 1, 5] = small
    grad[0, :, 2, 7] = 0
    made, arguments = _packed(problem, compute_units, grad, device)
    _, places, inverse = _halves(made, arguments, 1)
    scales = {tuple(int(i) for i in place[1:]): scale for place, scale in zip(places, inverse[0, 0], strict=True) if place[0] >= 0}
    assert {pixel for pixel, scale in scales.items() if np.isnan(scale)} == {(1, 2), (2, 3), (0, 4), (0, 7), (2, 9)}
    assert {pixel for pixel, scale in scales.items() if scale == 0} == {(2, 7)}
