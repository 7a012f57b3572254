"""The variants of the backward pass for input, offset and mask, which share every sample."""

from math import gcd, prod
from typing import TYPE_CHECKING

import numpy as np

from clconv import backward_data_matrix, backward_data_tile, backward_grouped
from clconv.atomics import ATOMIC_OPTIONS, atomic_add, contenders
from clconv.fixed import NOT_FIXED, FixedSums, fixed_sums, is_fixed, refuses_fixed
from clconv.layout import refuses_ring, ring_wide
from clconv.problem import Problem
from clconv.runs import (
    COPIES_BYTES,
    FLUSH_DENORMALS,
    Run,
    channels_first,
    channels_last,
    chunk_tiles,
    joined,
    last_bytes,
    narrow,
    pack_weight_data,
    refuses,
    threads,
    wide,
)
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

_SUMS_BYTES = 12 << 20
"""What sums of the gradients of offset and mask may take, beside half of what the input does, before tasks become fewer for it."""


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


def _samples(problem: Problem, needs: frozenset[str], device: "Device", tile: Tile, atomic: str, fixed: FixedSums | None = None) -> Launch:
    """The launch of backward_data_plain for those gradients."""
    wanted = {f"needs_{name}": name in needs for name in sorted(GRADIENTS)}
    way = {"atomic": atomic, **NOT_FIXED, **(fixed.arguments if fixed else {})}
    special = specialisation(problem) | ({"wide": ring_wide(problem)} if fixed else {})
    options = ATOMIC_OPTIONS.get(atomic, ()) if "input" in needs and not fixed else ()
    kernel = Kernel.of("backward_data_plain", {**dict(tile.sizes), **way, **wanted, **special}, options)
    reads_input = ("input",) if needs & {"offset", "mask"} else ()
    into = fixed.buffers if fixed else (_input_sum(problem)[0],) if "input" in needs else ()
    results = (*into, *(f"grad_{name}" for name in ("offset", "mask") if name in needs))
    buffers = ("grad_output", *reads_input, *present(problem, "offset", "mask", "weight"), *results)
    size = lanes(device)
    global_size = (round_up(problem.out_pixels, size), problem.sample_groups * problem.taps)
    channels = problem.in_channels // problem.sample_groups
    blocks = ceil_div(min(channels, problem.group_in), tile["item_channels"]) * ceil_div(channels, problem.group_in)
    swaps = 4 * contenders(device) if "input" in needs and atomic == "cas" and not fixed else 0
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
        return refuses_fixed(request.problem) or refuses_ring(request.problem)
    if atomic_add(request.problem, device) is None:
        return f"the device has no atomic that could add {request.problem.accumulator}"
    return None


def _plain_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    if is_fixed(request):
        fixed = fixed_sums(problem, device)
        launch = _samples(problem, request.needs & GRADIENTS, device, tile, "cas", fixed)
        return Schedule("plain", tile, (*fixed.zeros, *fixed.before, launch, *fixed.after), fixed.temporaries)
    atomic = atomic_add(problem, device) or "cas"
    launch = _samples(problem, request.needs & GRADIENTS, device, tile, atomic)
    if "input" not in request.needs:
        return Schedule("plain", tile, (launch,), {})
    name, temporaries = _input_sum(problem)
    zeros = Fill(name, temporaries.get(name, problem.bytes_of("input")))
    return Schedule("plain", tile, (zeros, launch, *_rounded(problem, device)), temporaries)


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


def _block_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """Bands of each image where tasks are few; but each needs a copy of grad_input_last."""
    problem = joined(request.problem, device)
    most = min(1 + COPIES_BYTES // last_bytes(problem, device), ceil_div(problem.out_height * problem.out_width, 96))
    return chunk_tiles(problem, device, problem.batch, lambda tasks: min(most, ceil_div(device.compute_units, tasks)))


def _block_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem, needs = joined(request.problem, device), request.needs & GRADIENTS
    run = Run.of(problem, device)
    chunk_runs, bands, width = tile["chunk_runs"], tile["bands"], tile["item_vecs"] * tile["vec"]
    pack, temporaries = pack_weight_data(request.problem, chunk_runs, width, device)
    shared: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    if needs & {"offset", "mask"}:
        transpose, last = channels_last(problem, device)
        shared, temporaries = (transpose,), temporaries | last
    if "input" in needs:
        transpose, last = channels_first(problem, bands, device)
        after, temporaries = (transpose,), temporaries | last
    task_chunks = _task_chunks(problem, tile, device)
    parts = _parts(problem, chunk_runs * task_chunks, device)
    for name in sorted(needs & _partial(problem, parts, device)):
        count = prod(problem.shapes()[name])
        after = (*after, reduction(f"partial_{name}", f"grad_{name}", problem.dtype_of(name), parts, count, device))
        temporaries = temporaries | {f"partial_{name}": parts * count * accumulator_bytes(problem)}
    tasks = problem.batch * problem.in_channels // (chunk_runs * run.size) // task_chunks * bands
    slice_elements = tile["tile_pixels"] * (problem.group_out + round_up(chunk_runs * run.room, width))
    count, scratch = threads(tasks, slice_elements, problem, device)
    launch = _block_launch(request, tile, task_chunks, count, device)
    return Schedule("block", tile, (pack, launch, *after), temporaries | scratch, shared)


def _shared_runs(problem: Problem, device: "Device") -> int:
    """Runs that share an offset."""
    return problem.in_channels // problem.sample_groups // Run.of(problem, device).size


def _parts(problem: Problem, task_runs: int, device: "Device") -> int:
    """How many sums of an offset's gradient there are, where each task of so many runs owns one."""
    runs = _shared_runs(problem, device)
    return runs // gcd(runs, task_runs)


def _partial(problem: Problem, parts: int, device: "Device") -> frozenset[str]:
    """Gradients that aren't summed in place: they have several parts, or several runs and storage that sums would be rounded to."""
    rounded = frozenset(name for name in ("offset", "mask") if problem.dtype_of(name) != problem.accumulator)
    return frozenset({"offset", "mask"}) if parts > 1 else rounded if _shared_runs(problem, device) > 1 else frozenset()


def _task_chunks(problem: Problem, tile: Tile, device: "Device") -> int:
    """Chunks that a task takes one after another: as many as keep the threads busy, more where sums would take too much memory."""
    chunks = problem.in_channels // Run.of(problem, device).size // tile["chunk_runs"]
    shapes, size = problem.shapes(), accumulator_bytes(problem)
    most = _SUMS_BYTES + prod(shapes["input"]) * size // 2

    def cost(count: int) -> tuple[int, int, int]:
        parts = _parts(problem, tile["chunk_runs"] * count, device)
        sums = sum(parts * prod(shapes[name]) * size for name in _partial(problem, parts, device) & shapes.keys())
        turns = ceil_div(problem.batch * chunks // count * tile["bands"], device.compute_units) * count
        return max(most, sums), turns, -count

    return min((count for count in range(1, chunks + 1) if chunks % count == 0), key=cost)


def _block_launch(request: Request, tile: Tile, task_chunks: int, count: int, device: "Device") -> Launch:
    problem, needs = joined(request.problem, device), request.needs & GRADIENTS
    parts = _parts(problem, tile["chunk_runs"] * task_chunks, device)
    partial = _partial(problem, parts, device)
    wanted = {f"needs_{name}": name in needs for name in sorted(GRADIENTS)}
    beyond = wide(problem, device, tile["bands"]) or parts * prod(problem.shapes().get("offset", ())) >= 1 << 31
    arguments = {
        **dict(tile.sizes), "narrow": narrow(request.problem, device), **Run.of(problem, device).arguments,
        "task_chunks": task_chunks, "part_runs": _shared_runs(problem, device) // parts, "partial": " ".join(sorted(partial)), **wanted,
        **specialisation(problem), "wide": beyond,
    }  # fmt: skip
    reads = ("input_last",) if needs & {"offset", "mask"} else ()
    writes = {"input": "grad_input_last"} | {name: f"{'partial' if name in partial else 'grad'}_{name}" for name in ("offset", "mask")}
    results = tuple(writes[name] for name in ("input", "offset", "mask") if name in needs)
    buffers = ("grad_output", *reads, *present(problem, "offset", "mask"), "packed_weight_data", *results, "scratch")
    return Launch(Kernel.of("backward_data_block", arguments, FLUSH_DENORMALS), buffers, sizes(problem), (count,), (1,))


VARIANTS = (
    Variant("block", refuses, _block_tiles, _block_schedule, suits=lambda request, device: device.kind == "cpu"),
    backward_grouped.DATA,
    *backward_data_matrix.VARIANTS,
    backward_data_tile.VARIANT,
    Variant("plain", _plain_supports, _tiles, _plain_schedule, lambda request, device: device.kind != "cpu", guarded=False),
    Variant("owner", lambda request, device: None, _tiles, _owner_schedule, guarded=False),
)
