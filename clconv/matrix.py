"""The forward pass by matrix units: halves in, float32 sums; two variants, one for each way to reach NVIDIA's units."""

from functools import partial
from typing import TYPE_CHECKING

from clconv.layout import chunk_plans, refuses_ring, ring_last, ring_wide
from clconv.problem import DTYPES, Problem
from clconv.schedule import Kernel, Launch, Request, Schedule, Tile, Value, Variant, ceil_div, present, sizes, specialisation, weight_specialisation

if TYPE_CHECKING:
    from clconv.device import Device

_STAGES = 4
_PLAN_BYTES = 16
_PACK_ITEMS = 256
_DOUBT_BITS = {2: 18, 1: 27}
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
    return refuses_ring(problem)


def _vec(problem: Problem) -> int:
    """Channels in 16 bytes."""
    return 16 // DTYPES[problem.dtype]


def _local_bytes(problem: Problem, tile: Tile) -> int:
    plans = chunk_plans(problem, problem.group_in, tile["chunk"]) * problem.taps * tile["tile_pixels"] * _PLAN_BYTES
    return plans + _STAGES * tile["chunk"] * tile["tile_out"] * parts(problem) * 2 + 20 * tile["tile_pixels"] + 4


def _candidates(unit: str, request: Request, device: "Device") -> tuple[Tile, ...]:
    problem = request.problem
    unit_channels = 4 * _vec(problem)
    light = parts(problem) == 1 or problem.group_out <= 64  # few enough sums that three teams have room for them
    shapes = ((192, 1), (128, 2), (64, 1), (64, 2), (128, 1)) if light and unit == "wgmma" else ((128, 2), (64, 2), (128, 1))
    tiles = [
        Tile.of(tile_pixels=tile_pixels, tile_out=tile_out, chunk=chunk, piece_out=tile_out if unit == "mma" else 64, rows_ahead=rows_ahead)
        for tile_out in _outs(problem)
        for chunk in (2 * unit_channels, unit_channels)
        for tile_pixels, rows_ahead in shapes
    ]
    fits = [tile for tile in tiles if _local_bytes(problem, tile) <= device.local_memory and 2 * tile["tile_pixels"] <= device.max_work_group]
    return tuple(fits)


def _outs(problem: Problem) -> tuple[int, ...]:
    return (128, 64) if problem.group_out > 64 else (64,)


def _schedule(unit: str, request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    bits = _DOUBT_BITS[parts(problem)]
    tiles = problem.groups * ceil_div(problem.group_out, tile["tile_out"])
    blocks = ceil_div(problem.out_pixels, tile["tile_pixels"])
    transpose, ring = ring_last(problem, device, bits)
    way: dict[str, Value] = {"unit": unit, "parts": parts(problem), "vec": _vec(problem), **dict(tile.sizes)}
    packed_way = {name: way[name] for name in ("unit", "parts", "vec", "chunk", "tile_out")}
    pack_kernel = Kernel.of("pack_weight_matrix", {**packed_way, "items": _PACK_ITEMS, "doubt_bits": bits, **weight_specialisation(problem)})
    columns = tiles * tile["tile_out"]
    pack = Launch(pack_kernel, ("weight", "packed_weight", "packed_scales"), (), (columns * _PACK_ITEMS,), (_PACK_ITEMS,))
    depth = ceil_div(problem.group_in, tile["chunk"]) * tile["chunk"] * problem.taps
    kept = {"packed_weight": columns * depth * parts(problem) * 2, "packed_scales": columns * 4}
    special = specialisation(problem) | {"wide": ring_wide(problem)}
    items = 2 * tile["tile_pixels"]
    product = Launch(
        Kernel.of("forward_matrix", {**way, "plans": chunk_plans(problem, problem.group_in, tile["chunk"]), **special}),
        ("input_ring", "input_sizes", *present(problem, "offset", "mask"), "packed_weight", "packed_scales", *present(problem, "bias"), "output", "doubts"),
        sizes(problem),
        (blocks * items, tiles),
        (items, 1),
    )
    again = Launch(
        Kernel.of("forward_again", {"tile_pixels": tile["tile_pixels"], "tile_out": tile["tile_out"], **special}),
        (*present(problem, "input", "offset", "mask", "weight", "bias"), "output", "doubts"),
        sizes(problem),
        (blocks * tile["tile_pixels"], tiles),
        (tile["tile_pixels"], 1),
    )
    temporaries = ring | {"doubts": blocks * tiles * 4}
    return Schedule(unit, tile, (product, again), temporaries, (transpose,), (pack,), kept)


def _suits(request: Request, device: "Device") -> bool:
    """Where a group's outputs and channels fill a good part of a tile."""
    return request.problem.group_out >= 32 and request.problem.group_in >= 16


VARIANTS = tuple(
    Variant(unit, partial(_supports, unit), partial(_candidates, unit), partial(_schedule, unit), suits=_suits) for unit in ("wgmma", "mma")
)
