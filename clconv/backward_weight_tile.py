"""The backward pass for weight and bias of any GPU: tiles that meet in local memory."""

from typing import TYPE_CHECKING

import numpy as np

from clconv.bias import bias_steps
from clconv.layout import chunk_plans, fills_tile, refuses_ring, ring_last, ring_wide
from clconv.problem import Problem
from clconv.row_sums import PARTIAL_BYTES
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
)

if TYPE_CHECKING:
    from clconv.device import Device

_SIZES = ("tile_out", "tile_channels", "tile_pixels", "item_out", "item_channels")
_SHAPES = ((128, 64, 16, 8, 8), (64, 64, 16, 8, 4), (64, 32, 16, 4, 4), (32, 32, 16, 4, 4), (16, 16, 8, 4, 4))


def _items(tile: Tile) -> int:
    return tile["tile_out"] // tile["item_out"] * (tile["tile_channels"] // tile["item_channels"])


def _plans(problem: Problem, tile: Tile) -> int:
    """The most sample groups that a tile's channels touch."""
    return chunk_plans(problem, problem.group_in, tile["tile_channels"])


def _legal(request: Request, device: "Device", tile: Tile) -> bool:
    """Whether the work-group, its local memory and its passes over the panels come out."""
    items = _items(tile)
    elements = 4 * _plans(request.problem, tile) * items + tile["tile_pixels"] * (tile["tile_channels"] + 4 + tile["tile_out"] + 4)
    fits = (
        items <= min(device.max_work_group, device.max_work_items[0])
        and elements * accumulator_bytes(request.problem) <= device.local_memory
    )
    rows = items // (tile["tile_channels"] // tile["vec"])
    return fits and rows > 0 and tile["tile_pixels"] % rows == 0


def _tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    problem = request.problem
    widest = 4 if problem.accumulator == "float32" else 2
    sample = problem.in_channels // problem.sample_groups
    vec = next(vec for vec in (widest, 2, 1) if problem.group_in % vec == 0 and sample % vec == 0)
    fitting = [shape for shape in _SHAPES if shape[0] < 2 * problem.group_out and shape[1] < 2 * problem.group_in]
    tiles = [Tile.of(vec=vec, **dict(zip(_SIZES, shape, strict=True))) for shape in dict.fromkeys((*fitting, *reversed(_SHAPES)))]
    return tuple(tile for tile in tiles if _legal(request, device, tile))


def _supports(request: Request, device: "Device") -> str | None:
    if "weight" in request.needs and not _tiles(request, device):
        return f"no tile fits {device.max_work_group} work-items and {device.local_memory} bytes of local memory"
    return refuses_ring(request.problem)


def _split_pixels(problem: Problem, device: "Device", tile: Tile, tiles: int) -> int:
    """Pixels that a work-group sums: as many parts as keep the device busy, and as their memory allows."""
    room = PARTIAL_BYTES // (problem.out_channels * problem.group_in * problem.taps * accumulator_bytes(problem))
    parts = max(1, min(room, ceil_div(8 * device.compute_units, tiles)))
    return round_up(ceil_div(problem.out_pixels, parts), _items(tile))


def _schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    steps, temporaries = bias_steps(request, device)
    if "weight" not in request.needs:
        return Schedule("tile", tile, steps, temporaries)
    transpose, ring = ring_last(problem, device)
    tiles = problem.groups * ceil_div(problem.group_out, tile["tile_out"]) * ceil_div(problem.group_in, tile["tile_channels"])
    split_pixels = _split_pixels(problem, device, tile, tiles * problem.taps)
    parts = ceil_div(problem.out_pixels, split_pixels)
    elements = problem.out_channels * problem.group_in * problem.taps
    special = {**specialisation(problem), "wide": ring_wide(problem) or parts * elements >= 1 << 31}
    way = {"plans": _plans(problem, tile), "channels_at_once": tile["vec"], "partial": parts > 1}
    items = _items(tile)
    launch = Launch(
        Kernel.of("backward_weight_tile", {**way, **dict(tile.sizes), **special}),
        ("grad_output", "input_ring", *present(problem, "offset", "mask"), "partial_weight" if parts > 1 else "grad_weight"),
        (*sizes(problem), np.int32(split_pixels)),
        (parts * items, tiles, problem.taps),
        (items, 1, 1),
        _turns(problem, tile, split_pixels),
    )
    weight: tuple[Step, ...] = (launch,)
    if parts > 1:
        weight = (launch, reduction("partial_weight", "grad_weight", problem.dtype, parts, elements, device))
        temporaries = temporaries | {"partial_weight": parts * elements * accumulator_bytes(problem)}
    return Schedule("tile", tile, (*steps, *weight), temporaries | ring, (transpose,))


def _turns(problem: Problem, tile: Tile, split_pixels: int) -> int:
    """Loop turns of a work-item, as if no loop were unrolled: drivers that count don't unroll all of these."""
    items = _items(tile)
    passes = ceil_div(tile["tile_pixels"] * (tile["tile_channels"] // tile["vec"]), items)
    along, across = tile["item_channels"] // 4, tile["item_out"] // 4
    product = tile["tile_pixels"] * (1 + along + across + along * (1 + across))
    step = 1 + passes * (2 + 3 * tile["vec"]) + ceil_div(tile["tile_pixels"] * tile["tile_out"], items) + product
    return ceil_div(split_pixels, items) * (1 + _plans(problem, tile) + items // tile["tile_pixels"] * step) + 2 * tile["item_out"] * along


VARIANT = Variant(
    "tile",
    _supports,
    _tiles,
    _schedule,
    suits=lambda request, device: device.kind != "cpu" and fills_tile(request.problem),
)
"""The weight's and the bias's gradient; deterministic."""
