"""The variants of the backward pass for weight and bias. All are deterministic: sums in a fixed order, no atomics."""

from typing import TYPE_CHECKING

from clconv import backward_weight_tile
from clconv.layout import channels_last, ends_threads, refuses, vector
from clconv.row_sums import RowSum, bias_steps
from clconv.schedule import (
    Kernel,
    Launch,
    Request,
    Schedule,
    Tile,
    Variant,
    accumulator_bytes,
    ceil_div,
    present,
    round_up,
    sizes,
    specialisation,
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
    """Chunks as large as still give every thread two tasks."""
    problem = request.problem
    wide = [size for size in (64, 32) if problem.groups * ceil_div(problem.group_in, size) * problem.taps >= 2 * device.compute_units]
    vec = vector(problem, device)
    order = [*wide, 16, *(size for size in (64, 32) if size not in wide)]
    return tuple(Tile.of(vec=vec, item_rows=6, item_vecs=2, tile_pixels=96, chunk=round_up(size, 2 * vec)) for size in order)


def _block_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    steps, temporaries = bias_steps(request, device)
    if "weight" in request.needs:
        transpose, last = channels_last(problem)
        tasks = problem.groups * ceil_div(problem.group_in, tile["chunk"]) * problem.taps
        threads = min(device.compute_units, tasks)
        rows = round_up(problem.group_out, tile["item_rows"])
        slice_elements = (rows + tile["chunk"]) * tile["tile_pixels"] + rows * tile["chunk"]
        scratch = {"scratch": threads * slice_elements * accumulator_bytes(problem)}
        launch = Launch(
            Kernel.of("backward_weight_block", {**dict(tile.sizes), **specialisation(problem)}),
            ("grad_output", "input_last", *present(problem, "offset", "mask"), "grad_weight", "scratch"),
            sizes(problem),
            (threads,),
            (1,),
        )
        return Schedule("block", tile, (*steps, launch), temporaries | last | scratch, (transpose,))
    return Schedule("block", tile, steps, temporaries)


VARIANTS = (
    Variant(
        "block",
        lambda request, device: refuses(request.problem) or ends_threads(device),
        _block_tiles,
        _block_schedule,
        suits=lambda request, device: device.kind == "cpu" and (request.problem.groups == 1 or request.problem.group_out >= 16),
    ),
    backward_weight_tile.VARIANT,
    Variant("plain", lambda request, device: None, _tiles, _plain_schedule, guarded=False),
)
