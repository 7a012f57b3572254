"""The variants of the backward pass for input, offset and mask, which share every sample."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from clconv import backward_data_tile
from clconv.atomics import ATOMIC_OPTIONS, atomic_add, contenders
from clconv.layout import Chunks, channels_first, channels_last, ends_threads, pack_weight_data, refuses, vector
from clconv.problem import Problem
from clconv.schedule import (
    MOST_GROUPS,
    Fill,
    Kernel,
    Launch,
    Request,
    Schedule,
    Step,
    Tile,
    Variant,
    accumulator_bytes,
    ceil_div,
    lanes,
    present,
    reduction,
    round_up,
    sizes,
    specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device

GRADIENTS = frozenset({"input", "offset", "mask"})


def _input_sum(problem: Problem) -> tuple[str, dict[str, int]]:
    """Where grad_input is summed: in place, or in a temporary of the accumulator's type beside half storage."""
    if problem.dtype == problem.accumulator:
        return "grad_input", {}
    count = problem.batch * problem.in_channels * problem.height * problem.width
    return "grad_input_sum", {"grad_input_sum": count * accumulator_bytes(problem)}


def _rounded(problem: Problem, device: "Device") -> tuple[Step, ...]:
    name, temporary = _input_sum(problem)
    if not temporary:
        return ()
    return (reduction(name, "grad_input", problem.dtype, 1, temporary[name] // accumulator_bytes(problem), device),)


def _samples(problem: Problem, needs: frozenset[str], device: "Device", tile: Tile, atomic: str) -> Launch:
    """The launch of backward_data_plain for those gradients."""
    wanted = {f"needs_{name}": name in needs for name in sorted(GRADIENTS)}
    arguments = {**dict(tile.sizes), "atomic": atomic, **wanted, **specialisation(problem)}
    kernel = Kernel.of("backward_data_plain", arguments, ATOMIC_OPTIONS.get(atomic, ()) if "input" in needs else ())
    reads_input = ("input",) if needs & {"offset", "mask"} else ()
    writes = {"input": _input_sum(problem)[0], "offset": "grad_offset", "mask": "grad_mask"}
    results = tuple(writes[name] for name in ("input", "offset", "mask") if name in needs)
    buffers = ("grad_output", *reads_input, *present(problem, "offset", "mask", "weight"), *results)
    size = lanes(device)
    global_size = (round_up(problem.out_pixels, size), problem.sample_groups * problem.taps)
    channels = problem.in_channels // problem.sample_groups
    blocks = ceil_div(min(channels, problem.group_in), tile["item_channels"]) * ceil_div(channels, problem.group_in)
    swaps = 4 * contenders(device) if "input" in needs and atomic == "cas" else 0
    return Launch(kernel, buffers, sizes(problem), global_size, (size, 1), channels * (5 + swaps) + blocks * (1 + problem.group_out))


def _tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """GPUs take few channels at a time where there are few or no samples to share: it leaves more work-items a unit.

    Half as many as else where there are very few samples, or where 8 don't divide the channels.
    """
    problem = request.problem
    channels = min(problem.group_in, problem.in_channels // problem.sample_groups)
    gpu = device.kind != "cpu"
    less = problem.out_pixels * problem.taps * problem.sample_groups < 32 * device.compute_units or channels % 8
    order = (2, 4, 8, 1) if gpu and (channels <= 8 or not problem.offset_groups) else (4, 2, 8, 1) if gpu and less else (8, 4, 2, 1)
    return tuple(Tile.of(item_channels=size) for size in order if size == 1 or size < 2 * channels)


def _plain_supports(request: Request, device: "Device") -> str | None:
    if "input" not in request.needs:
        return None
    if request.deterministic:
        return "float atomics add in no fixed order"
    if atomic_add(request.problem, device) is None:
        return f"the device has no atomic that could add {request.problem.accumulator}"
    return None


def _plain_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    atomic = atomic_add(problem, device) or "cas"
    launch = _samples(problem, request.needs & GRADIENTS, device, tile, atomic)
    if "input" not in request.needs:
        return Schedule("plain", tile, (launch,), {})
    name, temporaries = _input_sum(problem)
    return Schedule("plain", tile, (Fill(name), launch, *_rounded(problem, device)), temporaries)


def _owner_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    steps: list[Step] = []
    if rest := request.needs & {"offset", "mask"}:
        steps.append(_samples(problem, rest, device, tile, "cas"))
    if "input" in request.needs:
        steps += [_owner(problem, device), *_rounded(problem, device)]
    return Schedule("owner", tile, tuple(steps), _input_sum(problem)[1] if "input" in request.needs else {})


def _owner(problem: Problem, device: "Device") -> Launch:
    planes = problem.batch * problem.in_channels
    wanted = device.compute_units * (8 if device.kind == "cpu" else 512)
    band_rows = ceil_div(problem.height, min(problem.height, ceil_div(wanted, planes), MOST_GROUPS))
    size = lanes(device, 8 if device.kind == "cpu" else 32)
    return Launch(
        Kernel.of("backward_input_owner", specialisation(problem)),
        ("grad_output", *present(problem, "offset", "mask", "weight"), _input_sum(problem)[0]),
        (*sizes(problem), np.int32(band_rows)),
        (round_up(planes, size), ceil_div(problem.height, band_rows)),
        (size, 1),
        band_rows * problem.width + problem.out_height * problem.out_width * (1 + problem.taps * (9 + problem.group_out)),
    )


def _block_supports(request: Request, device: "Device") -> str | None:
    return refuses(request.problem) or Chunks.refuses(request.problem) or ends_threads(device)


def _block_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """Chunks that keep the threads busy for the shortest time, of equals the largest.

    A chunk costs its channels, as far as vector tiles pad them, and its samples, which cost about as much as 24 channels.
    """
    problem = request.problem
    vec = vector(problem, device)

    def rounds(size: int) -> int:
        chunks = Chunks.of(problem, size)
        return ceil_div(problem.batch * chunks.count, device.compute_units) * (round_up(chunks.size, 2 * vec) + 24)

    order = sorted((64, 32, 16), key=rounds)
    return tuple(Tile.of(vec=vec, item_rows=6, item_vecs=2, tile_pixels=96, chunk=size) for size in order)


def _block_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem, needs = request.problem, request.needs & GRADIENTS
    chunks = Chunks.of(problem, tile["chunk"])
    width = tile["item_vecs"] * tile["vec"]
    pack, temporaries = pack_weight_data(problem, chunks, width, device)
    shared: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    if needs & {"offset", "mask"}:
        transpose, last = channels_last(problem)
        shared, temporaries = (transpose,), temporaries | last
    if "input" in needs:
        transpose, last = channels_first(problem)
        after, temporaries = (transpose,), temporaries | last
    for name in sorted(needs & {"offset", "mask"}) if chunks.parts > 1 else ():
        count = prod(problem.shapes()[name])
        after = (*after, reduction(f"partial_{name}", f"grad_{name}", problem.dtype_of(name), chunks.parts, count, device))
        temporaries = temporaries | {f"partial_{name}": chunks.parts * count * accumulator_bytes(problem)}
    threads = min(device.compute_units, problem.batch * chunks.count)
    slice_elements = tile["tile_pixels"] * (problem.group_out + round_up(chunks.size, width))
    temporaries = temporaries | {"scratch": threads * slice_elements * accumulator_bytes(problem)}
    launch = _block_launch(problem, needs, tile, chunks, threads)
    return Schedule("block", tile, (pack, launch, *after), temporaries, shared)


def _block_launch(problem: Problem, needs: frozenset[str], tile: Tile, chunks: Chunks, threads: int) -> Launch:
    wanted = {f"needs_{name}": name in needs for name in sorted(GRADIENTS)}
    wide = problem.wide or chunks.parts * prod(problem.shapes().get("offset", ())) >= 1 << 31
    cut = {"chunk": chunks.size, "unit": chunks.unit, "parts": chunks.parts}
    arguments = {**dict(tile.sizes), **cut, **wanted, **specialisation(problem), "wide": wide}
    reads = ("input_last",) if needs & {"offset", "mask"} else ()
    small = "partial" if chunks.parts > 1 else "grad"
    writes = {"input": "grad_input_last", "offset": f"{small}_offset", "mask": f"{small}_mask"}
    results = tuple(writes[name] for name in ("input", "offset", "mask") if name in needs)
    buffers = ("grad_output", *reads, *present(problem, "offset", "mask"), "packed_weight_data", *results, "scratch")
    return Launch(Kernel.of("backward_data_block", arguments), buffers, sizes(problem), (threads,), (1,))


VARIANTS = (
    Variant("block", _block_supports, _block_tiles, _block_schedule, suits=lambda request, device: device.kind == "cpu"),
    backward_data_tile.VARIANT,
    Variant("plain", _plain_supports, _tiles, _plain_schedule, lambda request, device: device.kind != "cpu", guarded=False),
    Variant("owner", lambda request, device: None, _tiles, _owner_schedule, guarded=False),
)
