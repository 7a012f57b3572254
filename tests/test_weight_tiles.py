"""How sums of matrix units become the weight's gradient (kernels/reduce_weight_tiles.cl), on every device: that needs no such unit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyopencl.array as cla
import pytest
from planning import DEVICES, problem_of

from clconv import Device
from clconv.arrays import NumpyArray
from clconv.backward_weight_matrix import VARIANTS
from clconv.execute import run
from clconv.problem import Problem
from clconv.queues import queue_for
from clconv.schedule import KEPT_SAMPLES, Launch, Request

SEED = 5
BY_UNIT = {variant.name: variant for variant in VARIANTS}


def _places(unit: str, sampled: bool, kernel: dict[str, Any]) -> tuple[NumpyArray, NumpyArray]:
    """Outputs and columns in a tile of all its sums, [quad][item][4], as kernels/weight_tile.cl says."""
    items, tile_out, vec = kernel["items"], kernel["tile_out"], kernel["vec"]
    size, columns = 8 * vec, kernel["units"] * 8 * vec
    q, t, i = np.ogrid[: tile_out * columns // items // 4, :items, :4]
    warp, lane = t // 32, t % 32
    if sampled:
        warps_along = items // 32 if unit == "wgmma" else items // 64
        octets = (tile_out if unit == "wgmma" else tile_out // 2) // 8
        fragment = warp % warps_along * (columns // 16 // warps_along) + q // octets
        out = (warp // warps_along * octets + q % octets) * 8 + lane % 4 * 2 + i % 2
        return out, fragment // (size // 16) * size + lane // 4 * vec + fragment % (size // 16) * 2 + i // 2
    if unit == "wgmma":
        octet = warp // 4 // (tile_out // 64) * 16 + q
        out = warp // 4 % (tile_out // 64) * 64 + warp % 4 * 16 + lane // 4 + i // 2 * 8
        return out, octet // vec * size + (lane % 4 * 2 + i % 2) * vec + octet % vec
    warps_out = tile_out // 32
    out = warp % warps_out * 32 + q % 2 * 16 + lane // 4 + i // 2 * 8
    return out, warp // warps_out * (columns // (items // 32 // warps_out)) + q // 2 * 8 + lane % 4 * 2 + i % 2


def _wanted(
    problem: Problem, partial: NumpyArray, places: tuple[NumpyArray, NumpyArray], kernel: dict[str, Any], work: tuple[int, int]
) -> Any:
    """The gradient of these segments, `work` being blocks and workers."""
    (blocks, workers), group_in, group_out = work, problem.group_in, problem.group_out
    size, taps = 8 * kernel["vec"], problem.taps
    chunks = -(-group_in // size)
    across, down = -(-chunks * taps // kernel["units"]), -(-group_out // kernel["tile_out"])
    tiles = problem.groups * down * across
    owner = np.searchsorted(np.arange(workers) * tiles * blocks // workers, np.arange(tiles * blocks), side="right") - 1
    whole = np.zeros((problem.groups, down * kernel["tile_out"], across * kernel["units"] // taps + 1, size, taps))
    for tile in range(tiles):
        segments = [worker + tile for worker in dict.fromkeys(owner[tile * blocks : (tile + 1) * blocks])]
        out, column = np.broadcast_arrays(*places)
        unit = tile % across * kernel["units"] + column // size
        group, first_out = tile // (down * across), tile // across % down * kernel["tile_out"]
        whole[group, first_out + out, unit // taps, column % size, unit % taps] = partial[segments].sum(0)
    weight = whole[:, :group_out, :chunks].reshape(problem.groups, group_out, chunks * size, taps)[:, :, :group_in]
    return weight.reshape(problem.shapes()["weight"])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "kernel", "compute_units", "together"),
    [
        (64, 24, 1, (2, 3), 132, {1}),
        (512, 200, 1, (1, 1), 132, {1}),
        (144, 272, 2, (5, 5), 132, {7, 9}),
        (64, 80, 1, (3, 3), 4, {9}),
        (64, 80, 1, (3, 6), 4, {9, 18}),
    ],
)
@pytest.mark.parametrize(("unit", "sampled"), [("wgmma", False), ("mma", False), ("wgmma", True), ("mma", True)])
def test_every_sum_goes_where_it_belongs(
    unit: str,
    sampled: bool,
    channels: int,
    outputs: int,
    groups: int,
    kernel: tuple[int, int],
    compute_units: int,
    together: set[int],
    dtype: str,
    device: Device,
) -> None:
    """One tap at a time, several that are all or a part of the kernel's, and as many as fit."""
    offset_groups = channels // 16 if sampled else groups
    problem = problem_of((2, channels, 30, 41), (outputs, channels // groups, *kernel), offset_groups, padding=1, dtypes={"input": dtype})
    request = Request(problem, frozenset(("weight", "bias")), kept=frozenset({KEPT_SAMPLES} if sampled else ()))
    variant, fake = BY_UNIT[unit], replace(DEVICES["sm_90"], compute_units=compute_units)
    assert not (reason := variant.refusal(request, fake)), reason
    queue, rng = queue_for(device, None), np.random.default_rng(SEED)
    for tile in variant.tiles(request, fake):
        schedule = variant.schedule(request, fake, tile)
        reduce = schedule.steps[-1]
        assert isinstance(reduce, Launch) and reduce.kernel.name == "reduce_weight_tiles"
        arguments, work = dict(reduce.kernel.arguments), (int(reduce.scalars[0]), int(reduce.scalars[1]))
        assert arguments["together"] in together
        places = _places(unit, sampled, arguments)
        shape = np.broadcast_shapes(*(place.shape for place in places))
        partial = rng.integers(-9, 10, (schedule.temporaries["partial_weight"] // 4 // int(np.prod(shape)), *shape)).astype(np.float32)
        found = cla.to_device(queue, np.full(problem.shapes()["weight"], 99, dtype))
        of_blocks = rng.integers(-9, 10, (outputs, work[0])).astype(np.float32)
        bias = cla.to_device(queue, np.full(outputs, 99, dtype))
        given = {"partial_weight": cla.to_device(queue, partial), "partial_bias": cla.to_device(queue, of_blocks)}
        buffers: Any = {name: array.base_data for name, array in {**given, "grad_weight": found, "grad_bias": bias}.items()}
        run([reduce], queue, buffers)
        np.testing.assert_array_equal(found.get(), _wanted(problem, partial, places, arguments, work), str(tile))
        np.testing.assert_array_equal(bias.get(), of_blocks.sum(1), str(tile))
