"""The backward pass for weight and bias by NVIDIA's matrix units, halves in, float32 sums."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from clconv.bias import bias_steps
from clconv.forward_matrix import DOUBT_BITS
from clconv.layout import chunk_plans, fills_tile, kept_plans, kept_samples, parts, refuses_ring, ring_last, ring_wide
from clconv.problem import DTYPES, Problem
from clconv.schedule import (
    Kernel,
    Launch,
    Request,
    Schedule,
    Tile,
    Value,
    Variant,
    accumulator_bytes,
    ceil_div,
    present,
    round_up,
    sizes,
    specialisation,
    weight_specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device

_DOUBTERS, _HELD_BYTES = 256, 128
"""Of kernels/pack_grad_matrix.cl: work-items by which it finds what halves do not hold, and bytes that each has in registers at most."""
_REDUCE_ITEMS = 256
_REDUCE_OUTS, _REDUCE_BYTES = 16, 36 << 10
"""Outputs of a work-group of kernels/reduce_weight_tiles.cl, and bytes of sums that it brings into order at once, at most."""

_KERNELS = {"mma": "backward_weight_matrix", "wgmma": "backward_weight_wgmma"}
_PANEL_PIXELS = 8  # see kernels/weight_again.cl
_MANY_BLOCKS = 24
"""Of a large tile, for each compute unit, from which on large tiles were faster."""

_LANES = 8
"""Work-items that sample a pixel's channels together."""


def _vec(problem: Problem) -> int:
    """Channels in 16 bytes."""
    return 16 // DTYPES[problem.dtype]


def _unit(problem: Problem) -> int:
    """Neighbouring channels of a tile at one tap."""
    return _LANES * _vec(problem)


def _supports(unit: str, request: Request, device: "Device") -> str | None:
    problem = request.problem
    if unit not in device.matrix_units:
        return f"the device has no {unit}"
    if problem.dtype == "float64":
        return "it multiplies halves, which float64 can't be cut into"
    vec = _vec(problem)
    if problem.group_in % vec or (problem.in_channels // problem.sample_groups) % vec:
        return f"it reads {vec} channels at a time, and groups of them are no multiple of that"
    if unit == "wgmma" and _plans(problem) > 1 and not kept_samples(request, device):
        return f"it makes one plan for {_unit(problem)} channels, and these have several offset groups"
    if not _candidates(unit, request, device):
        return f"no tile fits {device.max_work_group} work-items and {device.local_memory} bytes of local memory"
    return refuses_ring(problem)


def _plans(problem: Problem) -> int:
    """The most offset groups that a unit of channels touches."""
    return chunk_plans(problem, problem.group_in, _unit(problem))


def _local_bytes(problem: Problem, tile: Tile, sampled: bool) -> int:
    """Of plans, places, sizes, and two blocks of samples and gradients in halves; of samples that were left, `stages` blocks."""
    block, columns, outs = tile["block"], tile["units"] * _unit(problem), tile["tile_out"]
    if sampled:
        return 2 * tile["stages"] * parts(problem) * block * (columns + outs) + 4 * _PANEL_PIXELS * (columns + outs) + 64
    return 16 * block * (4 * tile["units"] * _plans(problem) + 8) + 2 * 2 * parts(problem) * block * (columns + outs) + 32


def _candidates(unit: str, request: Request, device: "Device") -> tuple[Tile, ...]:
    problem = request.problem
    sampled = bool(kept_samples(request, device))
    if sampled:
        stages = (4,) if unit == "wgmma" else (3, 2)
        tiles = [_tile(problem, *shape, stages=count) for shape in _sampled_shapes(unit, problem, device) for count in stages]
    else:
        outs = (64,) if problem.group_out <= 64 else (128, 64)
        tiles = [_tile(problem, tile_out, 128 * 128 // tile_out if unit == "wgmma" else 128, 256) for tile_out in outs]
    most = min(device.max_work_group, device.max_work_items[0])
    fits = device.local_memory
    return tuple(tile for tile in tiles if _items(unit, tile, sampled) <= most and _local_bytes(problem, tile, sampled) <= fits)


def _tile(problem: Problem, tile_out: int, columns: int, items: int, **more: int) -> Tile:
    return Tile.of(tile_out=tile_out, units=columns // _unit(problem), block=8 * _vec(problem), items=items, **more)


def _sampled_shapes(unit: str, problem: Problem, device: "Device") -> list[tuple[int, int, int]]:
    """Outputs, columns and work-items of tiles where a forward left the samples, the best first.

    Large ones take fewer bytes for as many products: where columns and outputs fill them, and there are many blocks for each compute unit.
    """
    outs = [tile_out for tile_out in (256, 128, 64) if tile_out == 64 or tile_out < 2 * problem.group_out]
    if unit == "mma":
        return [(tile_out, 128, 256) for tile_out in outs if tile_out < 256]
    columns = ceil_div(problem.group_in, _unit(problem)) * problem.taps * _unit(problem)
    shapes = [shape for shape in ((128, 256, 256), (256, 128, 256), (128, 128, 256), (64, 192, 384)) if shape[0] in outs]
    blocks = ceil_div(problem.out_pixels, 8 * _vec(problem)) * problem.groups * problem.group_out * columns // (128 * 256)
    for large in ((128, 256, 256), (256, 128, 256))[parts(problem) == 1 :]:
        if blocks >= _MANY_BLOCKS * device.compute_units and columns % large[1] == 0 and problem.group_out % large[0] == 0:
            return [large, *(shape for shape in shapes if shape != large)]
    return sorted(shapes, key=lambda shape: shape[0] * shape[1] > 128 * 128)


def _items(unit: str, tile: Tile, sampled: bool) -> int:
    """Work-items of a work-group: those that multiply, and those that sample, where no forward has done it."""
    return tile["items"] if sampled else tile["items"] * 2 if unit == "mma" else tile["items"] * 3 // 2


def _tiles(problem: Problem, tile: Tile) -> int:
    """Tiles of the gradient."""
    units = ceil_div(problem.group_in, _unit(problem)) * problem.taps
    return problem.groups * ceil_div(problem.group_out, tile["tile_out"]) * ceil_div(units, tile["units"])


def _schedule(unit: str, request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    if "weight" not in request.needs:
        return Schedule(unit, tile, *bias_steps(request, device))
    transpose, ring = ring_last(problem, device, DOUBT_BITS[parts(problem)])
    blocks, tiles = ceil_div(problem.out_pixels, tile["block"]), _tiles(problem, tile)
    workers = min(device.compute_units, blocks * tiles)
    pack, packed, sums = _pack(request, tile, blocks, device)
    segments = (workers + tiles - 1) * tile["tile_out"] * tile["units"] * _unit(problem)
    sums_of_pieces = {"partial_weight": segments * accumulator_bytes(problem)}

    samples = kept_samples(request, device)
    most = max(packed["scratch"] // 2, segments, sum(samples.values()) // 4)
    wide = ring_wide(problem) or most >= 1 << 31
    way: dict[str, Value] = {"unit": unit, "vec": _vec(problem), "sampled": bool(samples), "wide": wide, **dict(tile.sizes)}
    product: dict[str, Value] = {
        "parts": parts(problem), "plans": _plans(problem), "channels_at_once": _vec(problem), "outs": _outs(problem, tile),
        "planned": bool(kept_plans(request)),
    }  # fmt: skip
    items = _items(unit, tile, bool(samples))
    made_of = (*(samples or ("input_sizes",)), *(kept_plans(request) or present(problem, "offset", "mask")))
    launch = Launch(
        Kernel.of("backward_weight_sampled" if samples else _KERNELS[unit], {**specialisation(problem), **product, **way}),
        ("grad_output", *packed, "input_ring", *made_of, *sums_of_pieces),
        sizes(problem),
        (workers * items,),
        (items,),
    )
    reduce = _reduce(problem, way, (blocks, workers), (*sums_of_pieces, "grad_weight", *sums, *(("grad_bias",) if sums else ())), device)
    return Schedule(unit, tile, (pack, launch, reduce), ring | packed | sums | sums_of_pieces, (transpose,))


def _reduce(problem: Problem, way: Mapping[str, Value], work: tuple[int, int], buffers: tuple[str, ...], device: "Device") -> Launch:
    """The launch that makes the gradients of the sums; `work` being blocks and workers."""
    rows, chunks = problem.groups * ceil_div(problem.group_out, _REDUCE_OUTS), ceil_div(problem.group_in, _unit(problem))
    together = _together(problem, rows * chunks, device)
    bias = "grad_bias" in buffers
    order: dict[str, Value] = {"reduce_items": _REDUCE_ITEMS, "together": together, "bias": bias}
    kernel = Kernel.of("reduce_weight_tiles", {**weight_specialisation(problem), **way, **order})
    work_groups = rows * chunks * ceil_div(problem.taps, together) + bias * problem.out_channels
    return Launch(kernel, buffers, tuple(map(np.int32, work)), (work_groups * _REDUCE_ITEMS,), (_REDUCE_ITEMS,))


def _together(problem: Problem, blocks: int, device: "Device") -> int:
    """Taps that a work-group brings into order together, evenly cut: as many as fit and leave a work-group for each compute unit."""
    fits = _REDUCE_BYTES // (_REDUCE_OUTS * _unit(problem) * 4)
    parts = max(ceil_div(problem.taps, fits), min(problem.taps, ceil_div(device.compute_units, blocks)))
    return ceil_div(problem.taps, parts)


def _outs(problem: Problem, tile: Tile) -> int:
    """A group's outputs with what fills the last tile."""
    return round_up(problem.group_out, tile["tile_out"])


def _pack(request: Request, tile: Tile, blocks: int, device: "Device") -> tuple[Launch, dict[str, int], dict[str, int]]:
    """The launch that packs and scales the gradient of the output, what it makes, and what it sums for the bias on the way."""
    problem = request.problem
    pixels = blocks * tile["block"] * problem.groups
    halves = pixels * _outs(problem, tile) * parts(problem)
    sums = {"partial_bias": problem.out_channels * blocks * accumulator_bytes(problem)} if "bias" in request.needs else {}
    pairs, room = _outs(problem, tile) * tile["block"] // 2, _HELD_BYTES // (2 * DTYPES[problem.dtype])
    items = _pack_items(pairs, 8 if blocks * problem.groups <= device.compute_units else room, device)
    arguments: dict[str, Value] = {
        "items": items, "doubters": _DOUBTERS, "each": pairs // items, "held": pairs // items <= room, "parts": parts(problem),
        "block": tile["block"], "outs": _outs(problem, tile), "sums": bool(sums), "doubt_bits": DOUBT_BITS[parts(problem)],
        **weight_specialisation(problem), "wide": problem.wide or halves >= 1 << 31,
    }  # fmt: skip
    temporaries = {"scratch": 2 * halves, "pixel_places": 16 * pixels}
    kernel, size = Kernel.of("pack_grad_matrix", arguments), (blocks * items, problem.groups)
    return Launch(kernel, ("grad_output", *temporaries, *sums), sizes(problem), size, (items, 1)), temporaries, sums


def _pack_items(pairs: int, each: int, device: "Device") -> int:
    """Work-items that pack so many pairs of numbers, each so many of them, if there may be as many: more would wait for one another."""
    most = min(1024, device.max_work_group, device.max_work_items[0])
    return max(_DOUBTERS, min(1 << (most.bit_length() - 1), 1 << (ceil_div(pairs, each) - 1).bit_length()))


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
"""The weight's and the bias's gradient, fastest first; deterministic."""
