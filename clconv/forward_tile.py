"""The forward pass of GPUs without matrix units for halves: tiles that meet in local memory, and groups that fit in a work-item."""

from functools import partial
from typing import TYPE_CHECKING

from clconv.layout import chunk_plans, pack_weight, refuses_ring, ring_last, ring_wide
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
    sizes,
    specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device


def _grouped_supports(request: Request, device: "Device") -> str | None:
    problem = request.problem
    sample = problem.in_channels // problem.sample_groups
    if problem.group_in > _GROUPED or problem.group_out > _GROUPED:
        return f"it keeps a group in registers: at most {_GROUPED} channels and {_GROUPED} outputs"
    if sample % problem.group_in:
        return "a group's channels would lie in several offset groups"
    if not _grouped_tiles(request, device):
        return f"no tile fits {device.max_work_group} work-items and {device.local_memory} bytes of local memory"
    return refuses_ring(problem)


_GROUPED = 16


def _together(problem: Problem) -> int:
    """Groups that neighbours take: as many as fill a cache line of 128 bytes, or fewer that divide them all."""
    wanted = max(1, 128 // (problem.group_in * DTYPES[problem.dtype]))
    return max(count for count in range(1, wanted + 1) if problem.groups % count == 0)


def _grouped_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    problem = request.problem
    together = _together(problem)
    most = min(device.max_work_group, device.max_work_items[0])
    tiles = [
        Tile.of(tile_pixels=tile_pixels, item_pixels=item_pixels, together=together)
        for tile_pixels, item_pixels in ((64, 2), (32, 2), (64, 1), (32, 1), (128, 4), (8, 1))
    ]
    return tuple(
        tile for tile in tiles
        if tile["tile_pixels"] // tile["item_pixels"] * together <= most and _grouped_local(problem, tile) <= device.local_memory
    )  # fmt: skip


def _grouped_busy(problem: Problem, device: "Device") -> bool:
    """Whether work-groups of 64 pixels occupy every compute unit."""
    return ceil_div(problem.out_pixels, 64) * problem.groups // _together(problem) >= device.compute_units


def _grouped_local(problem: Problem, tile: Tile) -> int:
    plans = chunk_plans(problem, 0, tile["together"] * problem.group_in) * problem.taps * tile["tile_pixels"] * 4
    return (plans + problem.taps * problem.group_in * problem.group_out * tile["together"]) * accumulator_bytes(problem)


def _grouped_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    transpose, ring = ring_last(problem, device)
    chunk = tile["together"] * problem.group_in
    vec = next(vec for vec in (8, 4, 2, 1) if problem.group_in % vec == 0 and vec * DTYPES[problem.dtype] <= 16)
    items = tile["tile_pixels"] // tile["item_pixels"] * tile["together"]
    vec_out = next(vec for vec in (4, 2, 1) if problem.group_out % vec == 0)
    way: dict[str, Value] = {
        "vec_out": vec_out,
        "plans": chunk_plans(problem, 0, chunk),
        "vec": vec,
        "channels_at_once": problem.group_in,
        **dict(tile.sizes),
    }
    launch = Launch(
        Kernel.of("forward_grouped", {**way, **specialisation(problem), "wide": ring_wide(problem)}),
        ("input_ring", *present(problem, "offset", "mask", "weight", "bias", "output")),
        sizes(problem),
        (ceil_div(problem.out_pixels, tile["tile_pixels"]) * items, problem.groups // tile["together"]),
        (items, 1),
        2 * problem.taps + problem.taps * tile["tile_pixels"] + problem.taps * problem.group_in * problem.group_out,
    )
    return Schedule("grouped", tile, (launch,), ring, (transpose,))


_SIZES = ("tile_pixels", "tile_out", "tile_k", "item_pixels", "item_out")
_SHAPES = (
    (128, 128, 16, 8, 8), (128, 64, 16, 8, 8), (64, 64, 16, 4, 8), (64, 32, 16, 4, 4), (32, 32, 16, 4, 4), (16, 16, 8, 4, 4),
)  # fmt: skip
_DMMA_SHAPES = ((64, 128, 32, 32, 32), (64, 64, 16, 32, 32), (32, 64, 16, 16, 32), (64, 128, 16, 32, 32), (32, 32, 16, 16, 16))


def _tile_items(unit: str, tile: Tile) -> int:
    """Work-items: each has a block of sums, or each warp where a matrix unit is used."""
    return tile["tile_pixels"] // tile["item_pixels"] * (tile["tile_out"] // tile["item_out"]) * (32 if unit else 1)


def _tile_legal(unit: str, request: Request, device: "Device", tile: Tile) -> bool:
    """Whether the work-group, its local memory and its passes over the panel come out."""
    problem = request.problem
    items = _tile_items(unit, tile)
    plans = 4 * chunk_plans(problem, problem.group_in, tile["tile_k"]) * problem.taps * tile["tile_pixels"]
    local = (plans + tile["tile_k"] * (tile["tile_pixels"] + 4 + tile["tile_out"] + 4)) * accumulator_bytes(problem)
    rows = items // (tile["tile_k"] // tile["vec"])
    fits = items <= min(device.max_work_group, device.max_work_items[0]) and local <= device.local_memory
    return fits and rows > 0 and tile["tile_pixels"] % rows == 0


def _tile_tiles(unit: str, request: Request, device: "Device") -> tuple[Tile, ...]:
    problem = request.problem
    widest = 4 if problem.accumulator == "float32" else 2
    sample = problem.in_channels // problem.sample_groups
    vec = next(vec for vec in (widest, 2, 1) if problem.group_in % vec == 0 and sample % vec == 0)
    shapes: tuple[tuple[int, ...], ...] = _DMMA_SHAPES if unit else _SHAPES
    if unit and chunk_plans(problem, problem.group_in, 16) > 1:
        shapes = tuple(sorted(shapes, key=lambda shape: shape[0]))
    fitting = [shape for shape in shapes if shape[1] < 2 * problem.group_out] or [shapes[-1]]
    tiles = [Tile.of(vec=vec, **dict(zip(_SIZES, shape, strict=True))) for shape in dict.fromkeys((*fitting, *shapes))]
    busy = [tile for tile in tiles[: len(fitting)] if _groups_a_unit(problem, device, tile) >= _BUSY.get(tile["tile_pixels"], 0)]
    return tuple(tile for tile in dict.fromkeys([*busy, *tiles]) if _tile_legal(unit, request, device, tile))


_BUSY = {128: 3.5, 64: 2}
"""Work-groups a compute unit from which a tile of so many pixels is worth its size; measured on an H100."""


def _groups_a_unit(problem: Problem, device: "Device", tile: Tile) -> float:
    groups = ceil_div(problem.out_pixels, tile["tile_pixels"]) * problem.groups * ceil_div(problem.group_out, tile["tile_out"])
    return groups / device.compute_units


def _tile_supports(unit: str, request: Request, device: "Device") -> str | None:
    if unit and unit not in device.matrix_units:
        return f"the device has no {unit}"
    if unit and request.problem.dtype != "float64":
        return "it is for float64 alone"
    if not _tile_tiles(unit, request, device):
        return f"no tile fits {device.max_work_group} work-items and {device.local_memory} bytes of local memory"
    return refuses_ring(request.problem)


def _tile_schedule(unit: str, request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    transpose, ring = ring_last(problem, device)
    pack, packed = pack_weight(problem, tile["tile_out"], device)
    items = _tile_items(unit, tile)
    plans = chunk_plans(problem, problem.group_in, tile["tile_k"])
    unit_pixels = 0 if not unit else 16 if "dmma16" in device.matrix_units else 8
    way: dict[str, Value] = {"unit": unit, "unit_pixels": unit_pixels, "plans": plans, "channels_at_once": tile["vec"], **dict(tile.sizes)}
    launch = Launch(
        Kernel.of("forward_tile", {**way, **specialisation(problem), "wide": ring_wide(problem)}),
        ("input_ring", *present(problem, "offset", "mask"), "packed_weight", *present(problem, "bias"), "output"),
        sizes(problem),
        (ceil_div(problem.out_pixels, tile["tile_pixels"]) * items, problem.groups * ceil_div(problem.group_out, tile["tile_out"])),
        (items, 1),
        _tile_turns(problem, tile, items),
    )
    return Schedule(unit or "tile", tile, (launch,), ring, (transpose,), (pack,), packed)


def _tile_turns(problem: Problem, tile: Tile, items: int) -> int:
    """Loop turns of a work-item: for each chunk at each tap its passes over the panel, its share of the weights, and the depth; plans.

    As if no loop were unrolled: drivers that count don't unroll all of these.
    """
    passes = ceil_div(tile["tile_pixels"] * (tile["tile_k"] // tile["vec"]), items)
    copies = ceil_div(tile["tile_k"] * tile["tile_out"] // 4, items)
    plans = ceil_div(chunk_plans(problem, problem.group_in, tile["tile_k"]) * problem.taps * tile["tile_pixels"], items)
    across, down = ceil_div(tile["item_pixels"], 4), ceil_div(tile["item_out"], 4)
    step = 1 + passes * (2 + 3 * tile["vec"]) + copies + tile["tile_k"] * (1 + across + down + across * (1 + down))
    return ceil_div(problem.group_in, tile["tile_k"]) * (1 + problem.taps * step + plans) + tile["item_pixels"] * tile["item_out"]


def _tile_suits(unit: str, request: Request, device: "Device") -> bool:
    """GPUs, where its smallest work-groups occupy every compute unit."""
    groups = [_groups_a_unit(request.problem, device, tile) for tile in _tile_tiles(unit, request, device)]
    return device.kind != "cpu" and request.problem.group_out >= 32 and max(groups, default=0) >= 1


VARIANTS = (
    Variant(
        "grouped",
        _grouped_supports,
        _grouped_tiles,
        _grouped_schedule,
        suits=lambda request, device: device.kind != "cpu" and request.problem.groups > 1 and _grouped_busy(request.problem, device),
    ),
    *(
        Variant(
            name,
            partial(_tile_supports, unit),
            partial(_tile_tiles, unit),
            partial(_tile_schedule, unit),
            suits=partial(_tile_suits, unit),
        )
        for name, unit in (("dmma", "dmma"), ("tile", ""))
    ),
)
"""`grouped`; `dmma`, by NVIDIA's matrix unit for float64; `tile`, by multiply-adds."""
