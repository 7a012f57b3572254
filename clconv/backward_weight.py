"""The variants of the backward pass for weight and bias. All are deterministic: sums in a fixed order, no atomics."""

from math import prod
from typing import TYPE_CHECKING

from clconv import backward_grouped, backward_weight_matrix, backward_weight_tile
from clconv.bias import bias_steps
from clconv.row_sums import PARTIAL_BYTES, RowSum
from clconv.runs import FLUSH_DENORMALS, Run, channels_last, chunk_tiles, joined, narrow, refuses, threads, wide
from clconv.schedule import (
    Kernel,
    Launch,
    Request,
    Schedule,
    Step,
    Tile,
    Variant,
    accumulator_bytes,
    ceil_div,
    present,
    reduction,
    round_up,
    sizes,
    specialisation,
    weight_specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device

GRADIENTS = frozenset({"weight", "bias"})


def _tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    outs = request.problem.group_out
    order = (8, 4, 16, 2, 1) if device.kind == "cpu" else (16, 8, 4, 2, 1)  # each sample is made once for so many outputs
    return tuple(Tile.of(item_out=size) for size in order if size == 1 or size < 2 * outs)


def _plain_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    steps, temporaries = bias_steps(request, device)
    if "weight" in request.needs:
        arguments = {**dict(tile.sizes), **specialisation(problem)}
        reads = ("grad_output", *present(problem, "input", "offset", "mask"))
        items = (problem.in_channels * problem.taps, ceil_div(problem.group_out, tile["item_out"]))
        elements = problem.out_channels * problem.group_in * problem.taps
        weight, partial = RowSum("backward_weight_plain", arguments, reads, "weight", elements, items).steps(problem, device)
        steps, temporaries = steps + weight, temporaries | partial
    return Schedule("plain", tile, steps, temporaries)


def _block_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """Bands of all pixels, each summed by itself, so that the threads' tasks take about the same time."""
    problem = joined(request.problem, device)
    room = PARTIAL_BYTES // (prod(request.problem.shapes()["weight"]) * accumulator_bytes(problem))
    blocks = problem.batch * ceil_div(problem.out_height * problem.out_width, 96)

    def bands(tasks: int) -> int:
        most = max(1, min(room, blocks, ceil_div(4 * device.compute_units, tasks)))
        return min(range(1, most + 1), key=lambda count: ceil_div(tasks * count, device.compute_units) / count)

    tiles = chunk_tiles(problem, device, problem.taps, bands)
    return tuple(sorted(tiles, key=lambda tile: tile["item_rows"] < 12)) if problem.out_pixels >= _MANY_PIXELS else tiles


_MANY_PIXELS = 24_000
"""From so many on, blocks of 12 rows were faster than others on a CPU with vectors of 64 bytes, by up to 1.5."""


def _block_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = joined(request.problem, device)
    steps: tuple[Step, ...] = ()
    temporaries: dict[str, int] = {}
    if "bias" in request.needs:
        kernel = Kernel.of("backward_bias_block", {"vec": tile["vec"], **weight_specialisation(problem)})
        steps = (Launch(kernel, ("grad_output", "grad_bias"), sizes(problem), (problem.out_channels,), (1,)),)
    if "weight" not in request.needs:
        return Schedule("block", tile, steps, temporaries)
    run, bands = Run.of(problem, device), tile["bands"]
    transpose, last = channels_last(problem, device)
    tasks = problem.taps * problem.in_channels // (tile["chunk_runs"] * run.size) * bands
    count, scratch = threads(tasks, _slice(request, tile, run, device), problem, device)
    elements = prod(request.problem.shapes()["weight"])
    beyond = wide(problem, device) or bands * elements >= 1 << 31
    arguments = {**dict(tile.sizes), "narrow": narrow(request.problem, device), **run.arguments, **specialisation(problem), "wide": beyond}
    result = "partial_weight" if bands > 1 else "grad_weight"
    launch = Launch(
        Kernel.of("backward_weight_block", arguments, FLUSH_DENORMALS),
        ("grad_output", "input_last", *present(problem, "offset", "mask"), result, "scratch"),
        sizes(problem),
        (count,),
        (1,),
    )
    steps = (*steps, launch)
    if bands > 1:
        steps = (*steps, reduction(result, "grad_weight", problem.dtype, bands, elements, device))
        temporaries = temporaries | {result: bands * elements * accumulator_bytes(problem)}
    return Schedule("block", tile, steps, temporaries | last | scratch, (transpose,))


def _slice(request: Request, tile: Tile, run: Run, device: "Device") -> int:
    """Elements of a thread's scratch memory, SLICE of the kernel."""
    pixels = tile["tile_pixels"]
    if size := narrow(request.problem, device):
        return (2 * pixels + size) * run.size
    rows = round_up(request.problem.group_out, tile["item_rows"])
    return (rows + pixels) * round_up(tile["chunk_runs"] * run.room, tile["item_vecs"] * tile["vec"]) + tile["item_rows"] * pixels


VARIANTS = (
    Variant(
        "block",
        refuses,
        _block_tiles,
        _block_schedule,
        suits=lambda request, device: device.kind == "cpu",
    ),
    backward_grouped.WEIGHT,
    *backward_weight_matrix.VARIANTS,
    backward_weight_tile.VARIANT,
    Variant("plain", lambda request, device: None, _tiles, _plain_schedule, guarded=False),
)
