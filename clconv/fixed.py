"""The gradient of the input summed in fixed point, whose sums are the same to the bit in any order: what goes around such a kernel."""

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from clconv.layout import ring_pixels, ring_wide
from clconv.problem import Problem
from clconv.schedule import (
    Fill,
    Kernel,
    Launch,
    Request,
    Step,
    Value,
    ceil_div,
    lanes,
    present,
    round_up,
    sizes,
    specialisation,
    storage,
    weight_specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device

_LEAST_BITS = 32
"""What sums of 64 bits must hold of a term: its bound lies some 7 bits above usual ones, and 24 bits are wanted."""

_MARGIN, _WINDOW = 6, 2048
"""Of the window in which samples meet: pixels that it is wider to each side than without offsets, and its most pixels, 8 bytes each."""


NOT_FIXED: dict[str, Value] = {"integers": "carry", "fixed_bits": 0, "few_weight": 0, "weight_units": 1, "fixed_block": 1, "corners": 4}
"""Template arguments of a kernel that sums in another way."""


@dataclass(frozen=True, slots=True)
class FixedSums:
    """The steps before and after the kernel that sums, the temporaries, its buffers in order, and its template arguments.

    `zeros` come first, of 16 bytes each a whole number.
    """

    zeros: tuple[Fill, ...]
    before: tuple[Step, ...]
    after: tuple[Step, ...]
    temporaries: dict[str, int]
    buffers: tuple[str, ...]
    arguments: dict[str, Value]


def is_fixed(request: Request) -> bool:
    """Whether a request's gradient of the input must be bit-identical, so that no float atomics may add it up."""
    return request.deterministic and "input" in request.needs


def fixed_bits(problem: Problem) -> int:
    """Bits of a term: what 62 leave where all samples of an image fall on one pixel."""
    return 62 - (problem.out_height * problem.out_width * problem.taps).bit_length()


def refuses_fixed(problem: Problem) -> str | None:
    """Why a problem's gradient can't be summed so, if it can't."""
    if problem.dtype == "float64":
        return "sums of 64-bit integers, bit-identical in any order, don't hold float64"
    if fixed_bits(problem) < _LEAST_BITS:
        return "an image has more samples than sums of 64-bit integers have room for"
    return None


def fixed_sums(problem: Problem, device: "Device") -> FixedSums:
    """What goes around a kernel that adds to grad_sums and grad_marks (see kernels/fixed.cl), pixels as in a ring."""
    pixels, channels = ring_pixels(problem), problem.in_channels
    wide = ring_wide(problem)
    temporaries = {
        "grad_sums": round_up(8 * pixels * channels, 16),
        "grad_marks": round_up(4 * pixels * ceil_div(channels, 16), 16),
        "grad_norms": 4 * problem.out_pixels,
        "grad_reach": round_up(8 * pixels * problem.sample_groups, 16),
        "grad_ways": pixels * problem.sample_groups,
        "grad_scales": 4 * channels,
    }
    way: dict[str, Value] = {
        "integers": device.atomic_int64, "fixed_bits": fixed_bits(problem), "few_weight": _few_weight(problem),
        "weight_units": _units(problem), "fixed_block": _block(problem), "corners": 4 if problem.offset_groups else 1, "atomic": "cas",
    }  # fmt: skip
    size = 1 << (lanes(device, 256).bit_length() - 1)
    zeros = tuple(Fill(name, temporaries[name]) for name in ("grad_sums", "grad_marks", "grad_reach"))
    before = (_weight(problem, size), _norms(problem, size), _reach(problem, size), _ways(problem, size, way))
    tile, tile_channels = min(64, size), 32
    arguments: dict[str, Value] = {
        **way, "channels": channels, "sample_channels": channels // problem.sample_groups, "tile_pixels": tile,
        "tile_channels": tile_channels, "items": size, **storage(problem.dtype, wide),
    }  # fmt: skip
    scalars = (np.int32(problem.batch), np.int32(problem.height), np.int32(problem.width))
    blocks = ceil_div(problem.batch * problem.height * problem.width, tile), ceil_div(channels, tile_channels)
    buffers = ("grad_sums", "grad_marks", "grad_ways", "grad_scales", "grad_input")
    first = Launch(
        Kernel.of("fixed_first", arguments),
        buffers,
        scalars,
        (blocks[0] * size, blocks[1]),
        (size, 1),
        3 * ceil_div(tile * tile_channels, size),
    )
    return FixedSums(zeros, before, (first,), temporaries, ("grad_ways", "grad_scales", "grad_sums", "grad_marks"), way)


def _weight(problem: Problem, size: int) -> Launch:
    kernel = Kernel.of("fixed_weight", {"items": size, **weight_specialisation(problem)})
    across = min(size, problem.taps)
    rows = size // across
    turns = ceil_div(problem.taps, across) * (1 + ceil_div(problem.group_out, rows)) + rows + across
    return Launch(kernel, ("weight", "grad_scales"), (), (problem.in_channels * size,), (size,), turns)


def _units(problem: Problem) -> int:
    """Units in which a corner's weight is counted: an image's samples on one pixel must not overflow 32 bits."""
    return 64 if problem.out_height * problem.out_width * problem.taps < 1 << 25 else 4


def _few_weight(problem: Problem) -> int:
    """The most weight of few terms: four times as much as usual, for what 32 bits hold of a term gets less with their number."""
    usual = ceil_div(problem.taps, problem.stride_y * problem.stride_x)
    return min(128, 4 * usual + 16) * _units(problem)


def _block(problem: Problem) -> int:
    """Channels whose sums lie together: those of a cache line of floats, of one sample group or of whole ones, in quads; else one."""
    sample = problem.in_channels // problem.sample_groups
    if sample % 4:
        return 1
    return 32 if 32 % sample == 0 and problem.in_channels % 32 == 0 else gcd(sample, 32)


def _norms(problem: Problem, size: int) -> Launch:
    tile = min(32, size)
    parts = size // tile
    kernel = Kernel.of("fixed_norms", {"tile_pixels": tile, "parts": parts, **weight_specialisation(problem), "wide": problem.wide})
    scalars = (np.int32(problem.batch), np.int32(problem.out_height * problem.out_width))
    turns = ceil_div(problem.groups, parts) * (1 + problem.group_out) + ceil_div(problem.out_channels, parts) + parts
    return Launch(kernel, ("grad_output", "grad_norms"), scalars, (ceil_div(problem.out_pixels, tile) * size,), (size,), turns)


def _reach(problem: Problem, size: int) -> Launch:
    rows = min(8, size, 1 << (problem.out_height - 1).bit_length())
    columns = size // rows
    window_columns = min(_WINDOW, (columns - 1) * problem.stride_x + (problem.kernel_x - 1) * problem.dilation_x + 2 + 2 * _MARGIN)
    window_rows = (rows - 1) * problem.stride_y + (problem.kernel_y - 1) * problem.dilation_y + 2 + 2 * _MARGIN
    window_rows = min(_WINDOW // window_columns, window_rows)
    way: dict[str, Value] = {
        "rows": rows, "columns": columns, "window_rows": window_rows, "window_columns": window_columns, "margin": _MARGIN,
        "weight_units": _units(problem), "few_weight": _few_weight(problem),
    }  # fmt: skip
    kernel = Kernel.of("fixed_reach", {**way, **specialisation(problem), "wide": ring_wide(problem)})
    blocks = problem.batch * ceil_div(problem.out_height, rows) * ceil_div(problem.out_width, columns)
    return Launch(
        kernel, ("grad_norms", *present(problem, "offset", "mask"), "grad_reach"), sizes(problem),
        (blocks * size, problem.sample_groups), (size, 1), 2 * ceil_div(window_rows * window_columns, size) + problem.taps,
    )  # fmt: skip


def _ways(problem: Problem, size: int, way: dict[str, Value]) -> Launch:
    together = max(1, _block(problem) * problem.sample_groups // problem.in_channels)
    kernel = Kernel.of("fixed_ways", {**way, "together": together, **storage(problem.dtype, wide=True)})
    scalars = (np.int32(ring_pixels(problem)), np.int32(problem.sample_groups))
    count = ring_pixels(problem) * problem.sample_groups
    return Launch(kernel, ("grad_reach", "grad_ways"), scalars, (ceil_div(count, size) * size,), (size,), 5 * together)
