"""The forward pass by matrix units, halves in, float32 sums: a variant for each way to reach NVIDIA's."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from clconv.layout import chunk_plans, fills_tile, refuses_ring, ring_last, ring_wide
from clconv.problem import DTYPES, Problem
from clconv.schedule import (
    Kernel,
    Launch,
    Request,
    Schedule,
    Tile,
    Value,
    Variant,
    ceil_div,
    present,
    round_up,
    sizes,
    specialisation,
    weight_specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device

_STAGES = 4
_PLAN_BYTES = 16
PACK_ITEMS = 256
_BUSY = 0.8
"""Work-groups a compute unit that a tile must make, or a smaller one is taken; measured on an H100."""
DOUBT_BITS = {2: 18, 1: 27}
"""By parts of a factor: how far below the largest a number may lie. Halves reach 39 bits below it, and 21 or 12 of them must be left."""


def parts(problem: Problem) -> int:
    """In how many halves a factor is cut: float32 in two, unless rounded products are allowed; halves are one."""
    return 2 if problem.dtype == "float32" and problem.precision is None else 1


def _supports(unit: str, request: Request, device: "Device") -> str | None:
    problem = request.problem
    if unit not in device.matrix_units:
        return f"the device has no {unit}"
    if problem.dtype == "float64":
        return "it multiplies halves, which float64 can't be cut into"
    vec = _vec(problem)
    if problem.group_in % vec or (problem.in_channels // problem.sample_groups) % vec:
        return f"it reads {vec} channels at a time, and groups of them are no multiple of that"
    if not _candidates(unit, request, device):
        return f"no tile fits {device.max_work_group} work-items and {device.local_memory} bytes of local memory"
    return refuses_ring(problem)


def _vec(problem: Problem) -> int:
    """Channels in 16 bytes."""
    return 16 // DTYPES[problem.dtype]


def _chunk(problem: Problem) -> int:
    """Channels of a step: two units of four lanes."""
    return 8 * _vec(problem)


def _local_bytes(problem: Problem, tile: Tile) -> int:
    plans = chunk_plans(problem, problem.group_in, _chunk(problem)) * problem.taps * tile["tile_pixels"] * _PLAN_BYTES
    return plans + _STAGES * _chunk(problem) * tile["tile_out"] * parts(problem) * 2 + 20 * tile["tile_pixels"] + 4


def _candidates(unit: str, request: Request, device: "Device") -> tuple[Tile, ...]:
    problem = request.problem
    tiles = (
        Tile.of(tile_pixels=tile_pixels, tile_out=tile_out, rows_ahead=rows_ahead)
        for tile_out in _outs(unit, problem)
        for tile_pixels, rows_ahead in _shapes(unit, tile_out, request, device)
    )
    most_pixels = device.max_work_group // 2
    fits = [tile for tile in tiles if tile["tile_pixels"] <= most_pixels and _local_bytes(problem, tile) <= device.local_memory]

    def groups(tile: Tile) -> int:
        return ceil_div(problem.out_pixels, tile["tile_pixels"]) * problem.groups * ceil_div(problem.group_out, tile["tile_out"])

    if problem.group_out > 64:  # halves of the outputs come before halves of the pixels, whose weights are fetched more often
        fits.sort(key=lambda tile: tile["tile_pixels"] < 128)
    busy = [tile for tile in fits if groups(tile) >= _BUSY * device.compute_units]
    return tuple(dict.fromkeys([*busy, *sorted(fits, key=groups, reverse=True)]))


def _shapes(unit: str, tile_out: int, request: Request, device: "Device") -> tuple[tuple[int, int], ...]:
    """Pixels, and rows of which corners are fetched ahead: the fastest on an H100 first.

    With half data, whose sums take half the registers, three teams are faster than two where they don't leave units idle at the end.
    """
    problem = request.problem
    if unit == "mma" and parts(problem) == 1:
        return ((64, 1), (64, 2))
    if unit == "mma" or (tile_out > 64 and parts(problem) == 2):
        return ((128, 2), (64, 2), (128, 1))
    if tile_out == 256:
        return ((128, 2), (64, 2))
    if tile_out <= 64:
        first = (64, 2) if parts(problem) == 2 else (192, 1) if problem.dtype == "float32" else (128, 1)
    else:
        tiles = problem.groups * ceil_div(problem.group_out, tile_out)
        rounds = {pixels: ceil_div(ceil_div(problem.out_pixels, pixels) * tiles, device.compute_units) * pixels for pixels in (128, 192)}
        first = (192, 1) if problem.dtype != "float32" and rounds[192] <= 1.15 * rounds[128] else (128, 2)
    return tuple(dict.fromkeys((first, (128, 2), (64, 2), (192, 1), (128, 1), (64, 1))))


def _outs(unit: str, problem: Problem) -> tuple[int, ...]:
    """Outputs of a tile, most first, as each tile samples anew; 256 where one sum suffices.

    Ampere's unit, whose samples and sums wait in registers together, has none left for 128 outputs of half data.
    """
    if problem.group_out <= 64 or (unit == "mma" and parts(problem) == 1):
        return (64,)
    return (256, 128, 64) if problem.group_out > 128 and parts(problem) == 1 else (128, 64)


def _schedule(unit: str, request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    transpose, ring = ring_last(problem, device, DOUBT_BITS[parts(problem)])
    pack, kept = _pack(unit, problem, tile)
    tiles = problem.groups * ceil_div(problem.group_out, tile["tile_out"])
    blocks = ceil_div(problem.out_pixels, tile["tile_pixels"])
    special = specialisation(problem) | {"wide": ring_wide(problem)}
    way: dict[str, Value] = {"unit": unit, "parts": parts(problem), "vec": _vec(problem), **dict(tile.sizes)}
    plans = chunk_plans(problem, problem.group_in, _chunk(problem))
    operands = ("input_ring", "input_sizes", *present(problem, "offset", "mask"), *kept, *present(problem, "bias"))
    items = 2 * tile["tile_pixels"]
    kernel = Kernel.of("forward_matrix", {**way, "plans": plans, **special})
    product = Launch(kernel, (*operands, "input", "weight", "output"), sizes(problem), (blocks * items, tiles), (items, 1))
    return Schedule(unit, tile, (product,), ring, (transpose,), (pack,), kept, _both(transpose, pack))


def _both(transpose: Launch, pack: Launch) -> Launch:
    """The launch that does what these two do."""
    ring, weight = dict(transpose.kernel.arguments), dict(pack.kernel.arguments)
    kernel = Kernel.of("ring_and_weight", {**ring, **weight, "wide": ring["wide"] or weight["wide"]})
    assert transpose.local_size == pack.local_size
    ring_groups = transpose.global_size[0] // PACK_ITEMS
    size = (transpose.global_size[0] + pack.global_size[0],)
    return Launch(
        kernel, (*transpose.buffers, *pack.buffers), (*transpose.scalars, np.int32(ring_groups)), size, pack.local_size, transpose.turns
    )


def _pack(unit: str, problem: Problem, tile: Tile) -> tuple[Launch, dict[str, int]]:
    """The launch that packs and scales the weight, and what it makes."""
    columns = problem.groups * round_up(problem.group_out, tile["tile_out"])
    way: dict[str, Value] = {"unit": unit, "parts": parts(problem), "vec": _vec(problem), "tile_out": tile["tile_out"]}
    halves = columns * round_up(problem.group_in, _chunk(problem)) * problem.taps * parts(problem)
    way |= {"items": PACK_ITEMS, "doubt_bits": DOUBT_BITS[parts(problem)], **weight_specialisation(problem)}
    way["wide"] = problem.wide or halves >= 1 << 31
    kept = {"packed_weight": 2 * halves, "packed_scales": 4 * columns}
    return Launch(Kernel.of("pack_weight_matrix", way), ("weight", *kept), (), (columns * PACK_ITEMS,), (PACK_ITEMS,)), kept


VARIANTS = tuple(
    Variant(
        unit,
        partial(_supports, unit),
        partial(_candidates, unit),
        partial(_schedule, unit),
        suits=lambda request, device: fills_tile(request.problem),
    )
    for unit in ("wgmma", "mma")
)
