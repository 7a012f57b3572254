"""Sums over rows of output pixels, one work-item an element of the gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from clconv.problem import Problem
from clconv.schedule import (
    MOST_GROUPS,
    Kernel,
    Launch,
    Step,
    Value,
    accumulator_bytes,
    ceil_div,
    lanes,
    reduction,
    round_up,
    sizes,
)

if TYPE_CHECKING:
    from clconv.device import Device

PARTIAL_BYTES = 8 << 20
"""What the partial sums of one gradient may take."""


def _split_rows(problem: Problem, device: "Device", items: int, elements: int) -> int:
    """Rows of output pixels that one work-item sums: as many parts as the device needs to be busy, and memory and launches allow."""
    rows = problem.batch * problem.out_height
    busy = ceil_div(device.compute_units * (8 if device.kind == "cpu" else 1024), items)
    wanted = max(busy, ceil_div(_turns(problem, rows), device.loop_limit) if device.loop_limit else 1)
    room = max(1, PARTIAL_BYTES // (elements * accumulator_bytes(problem)))
    return ceil_div(rows, max(1, min(rows, wanted, room, MOST_GROUPS)))


def _turns(problem: Problem, rows: int) -> int:
    """Loop turns of a work-item that sums this many rows of output pixels."""
    return rows * (2 + problem.out_width)


@dataclass(frozen=True, slots=True)
class RowSum:
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
