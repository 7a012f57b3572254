"""The variants of the backward pass for weight and bias. All are deterministic: sums in a fixed order, no atomics."""

from typing import TYPE_CHECKING

import numpy as np

from clconv.problem import Problem
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
    """Rows of output pixels that one work-item sums: as many parts as the device needs to be busy and the memory allows."""
    rows = problem.batch * problem.out_height
    wanted = ceil_div(device.compute_units * (8 if device.kind == "cpu" else 1024), items)
    room = max(1, _PARTIAL_BYTES // (elements * accumulator_bytes(problem)))
    return ceil_div(rows, max(1, min(rows, wanted, room)))


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


def _plain_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    steps: tuple[Step, ...] = ()
    temporaries: dict[str, int] = {}
    if "weight" in request.needs:
        size = (problem.in_channels * problem.taps, ceil_div(problem.group_out, tile["item_out"]))
        elements = problem.out_channels * problem.group_in * problem.taps
        reads = ("grad_output", *present(problem, "input", "offset", "mask"))
        steps, temporaries = _summed(
            "backward_weight_plain", "weight", size, reads, elements, size[0] * size[1], request, device, **dict(tile.sizes)
        )
    if "bias" in request.needs:
        outs = problem.out_channels
        more, partial = _summed("backward_bias_plain", "bias", (outs,), ("grad_output",), outs, outs, request, device)
        steps, temporaries = steps + more, temporaries | partial
    return Schedule("plain", tile, steps, temporaries)


VARIANTS = (Variant("plain", lambda request, device: None, _tiles, _plain_schedule),)
