"""What is made before a product by matrix units, on any device: the ring of the input, its magnitudes, and the packed weight."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cla
import pytest
from planning import problem_of

from clconv import Device, backward_data_matrix, forward_matrix, nvidia
from clconv.arrays import NumpyArray
from clconv.execute import allocate, run
from clconv.layout import ring_first, ring_last, ring_pixels
from clconv.problem import Problem
from clconv.queues import queue_for
from clconv.schedule import Request, Step, round_up

SHAPE, WEIGHT = (2, 48, 6, 9), (75, 48, 3, 2)
BYTES: dict[str, Any] = {
    "input_ring": None, "input_sizes": np.uint32, "packed_weight": np.float16, "packed_scales": np.float32,
    "packed_weight_data": np.float16, "packed_scales_data": np.float32, "scratch": np.float32,
}  # fmt: skip


def _problem(dtype: str) -> Problem:
    return Problem.create(
        SHAPE, WEIGHT, offset_groups=1, mask=False, bias=False, stride=1, padding=1, dilation=1, dtypes={"input": dtype}
    )  # fmt: skip


def _made(steps: tuple[Step, ...], sizes: dict[str, int], operands: dict[str, NumpyArray], device: Device) -> dict[str, NumpyArray]:
    """What the steps make of the operands, by name; poisoned before."""
    queue = queue_for(device, None)
    buffers: dict[str, Any] = {name: allocate(queue.context, queue.device, name, size) for name, size in sizes.items()}
    for name, size in sizes.items():
        cl.enqueue_copy(queue, buffers[name], np.full(size, 0xFF, np.uint8))
    there: dict[str, Any] = {name: cla.to_device(queue, array) for name, array in operands.items()}
    run(steps, queue, {**buffers, **{name: array.base_data for name, array in there.items()}})
    made = {name: np.empty(size // np.dtype(type_).itemsize, type_) for name, size in sizes.items() if (type_ := _type(name, operands))}
    for name, array in made.items():
        cl.enqueue_copy(queue, array, buffers[name])
    queue.finish()
    return made


def _type(name: str, operands: dict[str, NumpyArray]) -> Any:
    return BYTES[name] or operands["input"].dtype


def _prepared(unit: str, dtype: str, device: Device, operands: dict[str, NumpyArray], at_once: bool = False) -> dict[str, NumpyArray]:
    """By the steps one after another, or joined in one launch; "left": where a forward has left the ring."""
    able = replace(device, matrix_units=nvidia.UNITS, local_memory=227 << 10, max_work_group=1024)
    back = unit in ("back", "left")
    request = Request(_problem(dtype), frozenset({"input", "offset"} if back else ()))
    backs = {each.name: each for each in backward_data_matrix.VARIANTS}
    variants = {"back": backs["mma"], "left": backs["wgmma"]} | {each.name: each for each in forward_matrix.VARIANTS}
    tile = next(tile for tile in variants[unit].tiles(request, able) if back or tile["tile_out"] == 64)
    schedule = variants[unit].schedule(request, able, tile)
    steps, launch = list(schedule.joined.items())[-1 if unit == "left" else 0]
    sizes = {name: size for name, size in {**schedule.temporaries, **schedule.kept}.items() if name in BYTES and name in launch.buffers}
    return _made((launch,) if at_once else steps, sizes, operands, device)


def _operands(dtype: str) -> dict[str, NumpyArray]:
    rng = np.random.default_rng(7)
    return {"input": rng.standard_normal(SHAPE).astype(dtype), "weight": rng.standard_normal(WEIGHT).astype(dtype)}


across_units = pytest.mark.parametrize("unit", ["wgmma", "mma"])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("unit", ["wgmma", "mma", "back", "left"])
def test_one_launch_makes_what_two_make(unit: str, dtype: str, device: Device) -> None:
    if "Portable" in device.platform:
        pytest.skip("PoCL aborts where a barrier stands in a branch, be it one that the whole work-group takes")
    operands = _operands(dtype)
    one, two = (_prepared(unit, dtype, device, operands, at_once) for at_once in (True, False))
    assert len(two) == {"back": 5, "left": 3}.get(unit, 4)
    assert {name: one[name].tobytes() == two[name].tobytes() for name in two} == dict.fromkeys(two, True)
    assert not two.get("scratch", np.zeros(1)).any()


@pytest.mark.parametrize("channels", [48, 130, 191, 192])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_ring_is_the_input_among_zeros(channels: int, dtype: str, device: Device) -> None:
    """Of several blocks of channels, too."""
    problem = problem_of((SHAPE[0], channels, *SHAPE[2:]), (75, channels, 3, 2), padding=1, dtypes={"input": dtype})
    operands = {"input": np.random.default_rng(7).standard_normal(problem.shapes()["input"]).astype(dtype)}
    launch, temporaries = ring_last(problem, device, 18)
    made = _made((launch,), temporaries, operands, device)
    batch, _, height, width = problem.shapes()["input"]
    want = np.zeros((ring_pixels(problem), channels), dtype)
    rows = want[width + 3 :].reshape(batch, height + 1, width + 1, channels)
    rows[:, :height, :width] = operands["input"].transpose(0, 2, 3, 1)
    assert np.array_equal(made["input_ring"].reshape(want.shape), want)
    sizes = np.append(np.abs(want.astype(np.float32)).max(1), np.float32(0))
    upper = (sizes.view(np.uint32) + 0xFFFF) >> 16
    assert np.array_equal(made["input_sizes"], upper[:-1] | upper[1:] << 16)


@pytest.mark.parametrize(("dtype", "parts"), [("float32", 2), ("float16", 1)])
@across_units
def test_packed_weights_are_the_weight(unit: str, dtype: str, parts: int, device: Device) -> None:
    """The parts of an output's weights, in whatever order, add up to them, scaled; the rest is zeros."""
    operands = _operands(dtype)
    made = _prepared(unit, dtype, device, operands)
    outs, columns = WEIGHT[0], made["packed_scales"].size
    packed = made["packed_weight"].astype(np.float64).reshape(columns // 64, -1, *_places(unit, parts))
    shares = _by_column(packed, unit)[:outs] * made["packed_scales"][:outs, None, None].astype(np.float64)
    sums = shares.sum(1) if parts == 2 else shares.reshape(outs, -1)
    want = np.zeros_like(sums)
    want[:, : operands["weight"][0].size] = operands["weight"].reshape(outs, -1)
    assert np.allclose(np.sort(sums, 1), np.sort(want, 1), rtol=2.0**-21, atol=0)


def _places(unit: str, parts: int) -> tuple[int, ...]:
    """Axes of a stage of 64 columns: see kernels/matrix.cl."""
    if unit == "wgmma":
        return (parts, (2 if parts == 2 else 4), 8, 2, 8, 8)  # part, step, column / 8, place / 8, column % 8, place % 8
    return (2, 8, 8, 4, 2, 4)  # step or pair of steps, column / 8, column % 8, lane, part or step, channel


def _by_column(packed: NumpyArray, unit: str) -> NumpyArray:
    """[column][part][all else]; of one part, mma has two steps in place of it."""
    order = (0, 4, 6, 2, 1, 3, 5, 7) if unit == "wgmma" else (0, 3, 4, 6, 1, 2, 5, 7)
    ordered = packed.transpose(order)
    columns: NumpyArray = ordered.reshape(ordered.shape[0] * 64, ordered.shape[3], -1)
    return columns


def test_strange_weights_are_known_by_their_scale(device: Device) -> None:
    operands = _operands("float32")
    operands["weight"][3, 5, 1, 1] = np.nan
    operands["weight"][4, 5, 1, 1] = np.inf
    operands["weight"][5] *= 10.0 ** np.linspace(-30, 0, operands["weight"][5].size).reshape(WEIGHT[1:]).astype(np.float32)
    made = _prepared("wgmma", "float32", device, operands)
    assert np.flatnonzero(np.isnan(made["packed_scales"])).tolist() == [3, 4, 5]


def test_pixels_of_magnitudes_too_far_apart_are_marked(device: Device) -> None:
    operands = _operands("float32")
    operands["input"][1, ::2, 2, 3] *= 1e-9
    made = _prepared("wgmma", "float32", device, operands)
    height, width = SHAPE[2:]
    pixel = width + 3 + ((height + 1) + 2) * (width + 1) + 3
    own, right = made["input_sizes"] & 0xFFFF, made["input_sizes"] >> 16
    assert np.flatnonzero(own == 0x7F80).tolist() == [pixel]
    assert np.flatnonzero(right == 0x7F80).tolist() == [pixel - 1]


def test_small_channels_of_any_block_are_found(device: Device) -> None:
    """All of a block, and two of a work-item's in different blocks; one alone is held well enough."""
    problem = problem_of((1, 192, 4, 5), (75, 192, 3, 2), padding=1)
    image = np.random.default_rng(7).standard_normal(problem.shapes()["input"]).astype(np.float32)
    image[0, 64:128, 1, 2] *= 1e-9
    image[0, (0, 64), 2, 3] = 1e-9
    image[0, 70, 3, 1] = 1e-9
    launch, temporaries = ring_last(problem, device, 18)
    own = _made((launch,), temporaries, {"input": image}, device)["input_sizes"] & 0xFFFF
    first = 5 + 3
    assert np.flatnonzero(own == 0x7F80).tolist() == [first + 1 * 6 + 2, first + 2 * 6 + 3]


@pytest.mark.parametrize(("channels", "block"), [(48, 0), (48, 4), (48, 8), (48, 16), (96, 48), (130, 0), (140, 0), (192, 64)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rings_of_blocks_of_channels_come_back(channels: int, block: int, dtype: str, device: Device) -> None:
    """Read one channel at a time and four; blocks that fill a tile of channels and that don't; tiles that are full and that aren't."""
    if dtype == "float64" and not device.fp64:
        pytest.skip("the device has no float64")
    problem = problem_of((SHAPE[0], channels, *SHAPE[2:]), (75, channels, 3, 2), padding=1, dtypes={"input": dtype})
    launch, temporary = ring_first(problem, device, block)
    pixels, block = ring_pixels(problem), block or channels
    rings = np.random.default_rng(0).standard_normal((channels // block, pixels, block)).astype(dtype)
    assert temporary == {"scratch": round_up(rings.nbytes, 16)}
    queue = queue_for(device, None)
    there, image = cla.to_device(queue, rings), cla.zeros(queue, problem.shapes()["input"], dtype)
    buffers: dict[str, Any] = {"scratch": there.base_data, "grad_input": image.base_data}
    run((launch,), queue, buffers)
    queue.finish()
    batch, _, height, width = SHAPE
    images = rings.transpose(0, 2, 1).reshape(channels, pixels)[:, width + 3 :].reshape(channels, batch, height + 1, width + 1)
    assert np.array_equal(image.get(), images[:, :, :height, :width].transpose(1, 0, 2, 3))
