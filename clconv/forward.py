"""The variants of the forward pass and the tiles that they allow."""

from typing import TYPE_CHECKING

from clconv import matrix
from clconv.layout import channels_last, chunk_plans, ends_threads, pack_weight, refuses, refuses_ring, ring_last, ring_wide, vector
from clconv.problem import DTYPES, Problem
from clconv.schedule import (
    Kernel,
    Launch,
    Request,
    Schedule,
    Tile,
    Variant,
    accumulator_bytes,
    ceil_div,
    lanes,
    present,
    round_up,
    sizes,
    specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device


def _plain_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """First the largest up to 8 that leaves a GPU enough work-items to hide its latencies, on others 8."""
    problem = request.problem
    busy = device.compute_units * (0 if device.kind == "cpu" else 128)
    sizes_ = [size for size in (8, 4, 16, 2, 1) if size == 1 or size < 2 * problem.group_out]
    enough = [size for size in sizes_ if size <= 8 and problem.out_pixels * problem.groups * ceil_div(problem.group_out, size) >= busy]
    return tuple(Tile.of(item_out=size) for size in dict.fromkeys([*enough, *sizes_]))


def _plain_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    kernel = Kernel.of("forward_plain", {**dict(tile.sizes), **specialisation(problem)})
    size = lanes(device)
    blocks = problem.groups * ceil_div(problem.group_out, tile["item_out"])
    launch = Launch(
        kernel,
        present(problem, "input", "offset", "mask", "weight", "bias", "output"),
        sizes(problem),
        (round_up(problem.out_pixels, size), blocks),
        (size, 1),
        2 * problem.taps * problem.group_in,
    )
    return Schedule("plain", tile, (launch,), {})


def _block_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """Sums fill the vector registers: 6 x 2 of 16 where vectors are of 32 bytes, 6 x 4 of 32 where they are of 64."""
    problem = request.problem
    vec = vector(problem, device)
    most = 4 if device.vector_width >= 16 else 2
    tiles = []
    for item_vecs in (most, 1):
        for chunk in (256, 128, 384):
            channels = min(problem.group_in, chunk)
            taps = min(problem.taps, max(1, chunk // problem.group_in))
            item_rows = 6 if item_vecs == most else 8
            tiles.append(
                Tile.of(vec=vec, item_rows=item_rows, item_vecs=item_vecs, tile_pixels=96, chunk_channels=channels, chunk_taps=taps)
            )
    narrow = problem.group_out <= vec
    return tuple(tiles[3:] + tiles[:3] if narrow else tiles)


def _block_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    tile_out = tile["item_vecs"] * tile["vec"]
    transpose, last = channels_last(problem)
    pack, packed = pack_weight(problem, tile_out, device)
    blocks = problem.batch * ceil_div(problem.out_height * problem.out_width, tile["tile_pixels"])
    threads = max(1, min(device.compute_units, blocks))
    slice_elements = tile["tile_pixels"] * (tile["chunk_channels"] * tile["chunk_taps"] + round_up(problem.group_out, tile_out))
    launch = Launch(
        Kernel.of("forward_block", {**dict(tile.sizes), **specialisation(problem)}),
        ("input_last", *present(problem, "offset", "mask"), "packed_weight", *present(problem, "bias"), "output", "scratch"),
        sizes(problem),
        (threads,),
        (1,),
    )
    scratch = {"scratch": threads * slice_elements * accumulator_bytes(problem)}
    return Schedule("block", tile, (launch,), last | scratch, (transpose,), (pack,), packed)


def _tile_legal(request: Request, device: "Device", tile: Tile) -> bool:
    """Whether the work-group, its local memory and its passes over the panel come out."""
    problem = request.problem
    items = tile["tile_pixels"] // tile["item_pixels"] * (tile["tile_out"] // tile["item_out"])
    plans = 4 * chunk_plans(problem, problem.group_in, tile["tile_k"]) * problem.taps * tile["tile_pixels"]
    local = (plans + tile["tile_k"] * (tile["tile_pixels"] + 4 + tile["tile_out"])) * accumulator_bytes(problem)
    rows = items // (tile["tile_k"] // tile["vec"])
    fits = items <= min(device.max_work_group, device.max_work_items[0]) and local <= device.local_memory
    return fits and rows > 0 and tile["tile_pixels"] % rows == 0


def _tile_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    problem = request.problem
    widest = 4 if problem.accumulator == "float32" else 2
    sample = problem.in_channels // problem.sample_groups
    vec = next(vec for vec in (widest, 2, 1) if problem.group_in % vec == 0 and sample % vec == 0)
    shapes = ((128, 128, 16, 8, 8), (128, 64, 16, 8, 8), (64, 64, 16, 4, 8), (64, 32, 16, 4, 4), (32, 32, 16, 4, 4), (16, 16, 8, 4, 4))
    fitting = [shape for shape in shapes if shape[1] < 2 * problem.group_out] or [shapes[-1]]
    names = ("tile_pixels", "tile_out", "tile_k", "item_pixels", "item_out")
    tiles = [Tile.of(vec=vec, **dict(zip(names, shape, strict=True))) for shape in dict.fromkeys((*fitting, *shapes))]
    busy = [tile for tile in tiles[: len(fitting)] if _groups_a_unit(problem, device, tile) >= _BUSY.get(tile["tile_pixels"], 0)]
    return tuple(tile for tile in dict.fromkeys([*busy, *tiles]) if _tile_legal(request, device, tile))


_BUSY = {128: 2, 64: 2}
"""Work-groups a compute unit from which a tile of so many pixels is worth its size."""


def _groups_a_unit(problem: Problem, device: "Device", tile: Tile) -> float:
    groups = ceil_div(problem.out_pixels, tile["tile_pixels"]) * problem.groups * ceil_div(problem.group_out, tile["tile_out"])
    return groups / device.compute_units


def _tile_supports(request: Request, device: "Device") -> str | None:
    if not _tile_tiles(request, device):
        return f"no tile fits {device.max_work_group} work-items and {device.local_memory} bytes of local memory"
    return refuses_ring(request.problem)


def _tile_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    transpose, ring = ring_last(problem, device)
    pack, packed = pack_weight(problem, tile["tile_out"], device)
    items = tile["tile_pixels"] // tile["item_pixels"] * (tile["tile_out"] // tile["item_out"])
    plans = chunk_plans(problem, problem.group_in, tile["tile_k"])
    way = {"plans": plans, "channels_at_once": tile["vec"], **dict(tile.sizes)}
    launch = Launch(
        Kernel.of("forward_tile", {**way, **specialisation(problem), "wide": ring_wide(problem)}),
        ("input_ring", *present(problem, "offset", "mask"), "packed_weight", *present(problem, "bias"), "output"),
        sizes(problem),
        (ceil_div(problem.out_pixels, tile["tile_pixels"]) * items, problem.groups * ceil_div(problem.group_out, tile["tile_out"])),
        (items, 1),
        (2 * problem.taps + problem.taps * tile["tile_k"]) * ceil_div(problem.group_in, tile["tile_k"]) + problem.taps * tile["tile_pixels"],
    )
    return Schedule("tile", tile, (launch,), ring, (transpose,), (pack,), packed)


def _tile_suits(request: Request, device: "Device") -> bool:
    """GPUs, where its smallest work-groups occupy every compute unit."""
    groups = [_groups_a_unit(request.problem, device, tile) for tile in _tile_tiles(request, device)]
    return device.kind != "cpu" and request.problem.group_out >= 32 and max(groups, default=0) >= 1


def _grouped_supports(request: Request, device: "Device") -> str | None:
    problem = request.problem
    sample = problem.in_channels // problem.sample_groups
    if problem.group_in > _GROUPED or problem.group_out > _GROUPED:
        return f"it keeps a group in registers: at most {_GROUPED} channels and {_GROUPED} outputs"
    if sample % problem.group_in:
        return "a group's channels would lie in several offset groups"
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
    way = {"vec_out": vec_out, "plans": chunk_plans(problem, 0, chunk), "vec": vec, "channels_at_once": problem.group_in, **dict(tile.sizes)}
    launch = Launch(
        Kernel.of("forward_grouped", {**way, **specialisation(problem), "wide": ring_wide(problem)}),
        ("input_ring", *present(problem, "offset", "mask", "weight", "bias", "output")),
        sizes(problem),
        (ceil_div(problem.out_pixels, tile["tile_pixels"]) * items, problem.groups // tile["together"]),
        (items, 1),
        2 * problem.taps + problem.taps * tile["tile_pixels"] + problem.taps * problem.group_in * problem.group_out,
    )
    return Schedule("grouped", tile, (launch,), ring, (transpose,))


VARIANTS = (
    *matrix.VARIANTS,
    Variant(
        "block",
        lambda request, device: refuses(request.problem) or ends_threads(device),
        _block_tiles,
        _block_schedule,
        suits=lambda request, device: device.kind == "cpu",
    ),
    Variant(
        "grouped",
        _grouped_supports,
        _grouped_tiles,
        _grouped_schedule,
        suits=lambda request, device: device.kind != "cpu" and request.problem.groups > 1,
    ),
    Variant("tile", _tile_supports, _tile_tiles, _tile_schedule, suits=_tile_suits),
    Variant("plain", lambda request, device: None, _plain_tiles, _plain_schedule, guarded=False),
)
