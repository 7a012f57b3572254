"""The variants of the backward pass for weight and bias. All are deterministic: sums in a fixed order, no atomics."""

from typing import TYPE_CHECKING

import numpy as np

from clconv.layout import channels_last, refuses, vector
from clconv.problem import Problem
from clconv.schedule import (
    MOST_GROUPS,
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

GRADIENTS = frozenset({"weight", "bias"})

_PARTIAL_BYTES = 8 << 20
"""What the partial sums of one gradient may take."""


def _tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    outs = request.problem.group_out
    return tuple(Tile.of(item_out=size) for size in (8, 4, 16, 2, 1) if size == 1 or size < 2 * outs)


def _split_rows(problem: Problem, device: "Device", items: int, elements: int) -> int:
    """Rows of output pixels that one work-item sums: as many parts as the device needs to be busy, and memory and launches allow."""
    rows = problem.batch * problem.out_height
    wanted = ceil_div(device.compute_units * (8 if device.kind == "cpu" else 1024), items)
    room = max(1, _PARTIAL_BYTES // (elements * accumulator_bytes(problem)))
    return ceil_div(rows, max(1, min(rows, wanted, room, MOST_GROUPS)))


def _summed(kernel: str, gradient: str, launch_size: tuple[int, ...], reads: tuple[str, ...], elements: int, items: int,
            request: Request, device: "Device", **arguments: int) -> tuple[tuple[Step, ...], dict[str, int]]:  # fmt: skip
    """A kernel that sums rows of pixels into parts, and the reduction of the parts where there are several."""
    problem = request.problem
    split_rows = _split_rows(problem, device, items, elements)
    parts = ceil_div(problem.batch * problem.out_height, split_rows)
    partial, result = f"partial_{gradient}", f"grad_{gradient}"
    size = lanes(device)
    launch = Launch(
        Kernel.of(kernel, {"partial": parts > 1, **arguments, **specialisation(problem)}),
        (*reads, partial if parts > 1 else result),
        (*sizes(problem), np.int32(split_rows)),
        (round_up(launch_size[0], size), *launch_size[1:], parts),
        (size,) + (1,) * len(launch_size),
    )
    if parts == 1:
        return (launch,), {}
    return (launch, reduction(partial, result, problem.dtype, parts, elements, device)), {
        partial: parts * elements * accumulator_bytes(problem)
    }


def _bias(request: Request, device: "Device") -> tuple[tuple[Step, ...], dict[str, int]]:
    """What every variant adds for grad_bias, where it is wanted."""
    outs = request.problem.out_channels
    if "bias" not in request.needs:
        return (), {}
    return _summed("backward_bias_plain", "bias", (outs,), ("grad_output",), outs, outs, request, device)


def _plain_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    steps, temporaries = _bias(request, device)
    if "weight" in request.needs:
        size = (problem.in_channels * problem.taps, ceil_div(problem.group_out, tile["item_out"]))
        elements = problem.out_channels * problem.group_in * problem.taps
        reads = ("grad_output", *present(problem, "input", "offset", "mask"))
        weight, partial = _summed(
            "backward_weight_plain", "weight", size, reads, elements, size[0] * size[1], request, device, **dict(tile.sizes)
        )
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
    steps, temporaries = _bias(request, device)
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
        steps, temporaries = (*steps, transpose, launch), temporaries | last | scratch
    return Schedule("block", tile, steps, temporaries)


VARIANTS = (
    Variant(
        "block",
        lambda request, device: refuses(request.problem),
        _block_tiles,
        _block_schedule,
        suits=lambda request, device: device.kind == "cpu",
    ),
    Variant("plain", lambda request, device: None, _tiles, _plain_schedule, guarded=False),
)
