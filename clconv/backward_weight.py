"""The variants of the backward pass for weight and bias. All are deterministic: sums in a fixed order, no atomics."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from clconv.problem import Problem
from clconv.runs import FLUSH_DENORMALS, Run, channels_last, chunk_tiles, joined, narrow, refuses, threads, wide
from clconv.schedule import (
    MOST_GROUPS,
    Kernel,
    Launch,
    Request,
    Schedule,
    Step,
    Tile,
    Value,
    Variant,
    accumulator_bytes,
    ceil_div,
    lanes,
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

_PARTIAL_BYTES = 8 << 20
"""What the partial sums of one gradient may take."""


def _tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    outs = request.problem.group_out
    order = (8, 4, 16, 2, 1) if device.kind == "cpu" else (16, 8, 4, 2, 1)  # each sample is made once for so many outputs
    return tuple(Tile.of(item_out=size) for size in order if size == 1 or size < 2 * outs)


def _split_rows(problem: Problem, device: "Device", items: int, elements: int) -> int:
    """Rows of output pixels that one work-item sums: as many parts as the device needs to be busy, and memory and launches allow."""
    rows = problem.batch * problem.out_height
    busy = ceil_div(device.compute_units * (8 if device.kind == "cpu" else 1024), items)
    wanted = max(busy, ceil_div(_turns(problem, rows), device.loop_limit) if device.loop_limit else 1)
    room = max(1, _PARTIAL_BYTES // (elements * accumulator_bytes(problem)))
    return ceil_div(rows, max(1, min(rows, wanted, room, MOST_GROUPS)))


def _turns(problem: Problem, rows: int) -> int:
    """Loop turns of a work-item that sums this many rows of output pixels."""
    return rows * (2 + problem.out_width)


@dataclass(frozen=True, slots=True)
class _RowSum:
    """A kernel that sums rows of output pixels into parts: its template arguments, what it reads, and its other work-items."""

    kernel: str
    arguments: Mapping[str, Value]
    reads: tuple[str, ...]
    gradient: str
    elements: int
    items: tuple[int, ...]

    def steps(self, problem: Problem, device: "Device") -> tuple[tuple[Step, ...], dict[str, int]]:
        """Its launch, and the reduction of the parts where there are several, with their temporary."""
        split_rows = _split_rows(problem, device, prod(self.items), self.elements)
        parts = ceil_div(problem.batch * problem.out_height, split_rows)
        partial, result = f"partial_{self.gradient}", f"grad_{self.gradient}"
        size = lanes(device)
        launch = Launch(
            Kernel.of(self.kernel, {"partial": parts > 1, **self.arguments}),
            (*self.reads, partial if parts > 1 else result),
            (*sizes(problem), np.int32(split_rows)),
            (round_up(self.items[0], size), *self.items[1:], parts),
            (size,) + (1,) * len(self.items),
            _turns(problem, split_rows),
        )
        if parts == 1:
            return (launch,), {}
        reduce = reduction(partial, result, problem.dtype, parts, self.elements, device)
        return (launch, reduce), {partial: parts * self.elements * accumulator_bytes(problem)}


def _bias(request: Request, device: "Device") -> tuple[tuple[Step, ...], dict[str, int]]:
    """What is added for grad_bias, where it is wanted."""
    problem = request.problem
    if "bias" not in request.needs:
        return (), {}
    outs = problem.out_channels
    return _RowSum("backward_bias_plain", weight_specialisation(problem), ("grad_output",), "bias", outs, (outs,)).steps(problem, device)


def _plain_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    steps, temporaries = _bias(request, device)
    if "weight" in request.needs:
        arguments = {**dict(tile.sizes), **specialisation(problem)}
        reads = ("grad_output", *present(problem, "input", "offset", "mask"))
        items = (problem.in_channels * problem.taps, ceil_div(problem.group_out, tile["item_out"]))
        elements = problem.out_channels * problem.group_in * problem.taps
        weight, partial = _RowSum("backward_weight_plain", arguments, reads, "weight", elements, items).steps(problem, device)
        steps, temporaries = steps + weight, temporaries | partial
    return Schedule("plain", tile, steps, temporaries)


def _block_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """Bands of all pixels, each summed by itself, so that the threads' tasks take about the same time."""
    problem = joined(request.problem, device)
    room = _PARTIAL_BYTES // (prod(request.problem.shapes()["weight"]) * accumulator_bytes(problem))
    blocks = problem.batch * ceil_div(problem.out_height * problem.out_width, 96)

    def bands(tasks: int) -> int:
        most = max(1, min(room, blocks, ceil_div(4 * device.compute_units, tasks)))
        return min(range(1, most + 1), key=lambda count: ceil_div(tasks * count, device.compute_units) / count)

    return chunk_tiles(problem, device, problem.taps, bands)


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
    Variant("plain", lambda request, device: None, _tiles, _plain_schedule, guarded=False),
)
