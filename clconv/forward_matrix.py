"""The forward pass by matrix units, halves in, float32 sums: a variant for each way to reach NVIDIA's."""

from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from clconv.layout import chunk_plans, fills_tile, kept_plans, kept_samples, parts, refuses_ring, ring_last, ring_wide
from clconv.problem import DTYPES, Problem
from clconv.ring_and_weight import ring_and_weight
from clconv.schedule import (
    Kernel,
    Launch,
    Request,
    Schedule,
    Tile,
    Value,
    Variant,
    ceil_div,
    lanes,
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
_MANY_TAPS = 25
"""From here on two teams that share a tile's weights are faster than one with float32 data, measured on an H200 with 5x5 taps."""
_BUSY = 0.8
"""Work-groups a compute unit that a tile must make, or a smaller one is taken; measured on an H100."""
_SUM_OUT = 8
"""Outputs of a work-item that adds up partial sums."""
_BEGIN, _SUM, _SUM_MEBIBYTE = 10.0, 15.0, 0.4
"""In steps: what a work-group takes to begin and end, one more launch, a MiB of partial sums written and read; from times on an H100."""
DOUBT_BITS = {2: 18, 1: 27}
"""By parts of a factor: how far below the largest a number may lie. Halves reach 39 bits below it, and 21 or 12 of them must be left."""


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
    return plans + _STAGES * _chunk(problem) * tile["tile_out"] * parts(problem) * 2 + 36 * tile["tile_pixels"] + 4


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
        return _groups(problem, tile)

    if problem.group_out > 64:  # halves of the outputs come before halves of the pixels, whose weights are fetched more often
        fits.sort(key=lambda tile: tile["tile_pixels"] < 128)
    busy = [tile for tile in fits if groups(tile) >= _BUSY * device.compute_units]
    split = {tile: _split(problem, device, tile) for tile in fits}
    first = split[fits[0]] if fits else ()
    return tuple(dict.fromkeys([*first, *busy, *sorted(fits, key=groups, reverse=True), *chain(*split.values())]))


def _groups(problem: Problem, tile: Tile) -> int:
    """Work-groups of a tile that isn't split."""
    return ceil_div(problem.out_pixels, tile["tile_pixels"]) * problem.groups * ceil_div(problem.group_out, tile["tile_out"])


def _split(problem: Problem, device: "Device", tile: Tile) -> tuple[Tile, ...]:
    """The tile with its chunks of channels shared out in the two ways that promise most, if they promise more than it does whole."""
    chunks = ceil_div(problem.group_in, _chunk(problem))
    sums = problem.out_pixels * problem.out_channels * 4

    def steps(splits: int) -> float:
        rounds = ceil_div(_groups(problem, tile) * splits, device.compute_units)
        after = _SUM + splits * sums / (1 << 20) * _SUM_MEBIBYTE if splits > 1 else 0.0
        return rounds * (_BEGIN + ceil_div(chunks, splits) * problem.taps) + after

    ways = dict.fromkeys(ceil_div(chunks, each) for each in range(1, chunks + 1))
    best = sorted((splits for splits in ways if splits > 1 and steps(splits) < steps(1)), key=steps)[:2]
    return tuple(Tile.of(**dict(tile.sizes), splits=splits) for splits in best)


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
        first = (128, 2) if problem.dtype == "float32" and problem.taps >= _MANY_TAPS else first
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
    splits = dict(tile.sizes).get("splits", 1)
    elements = splits * problem.out_pixels * problem.out_channels
    plans_left, samples_left = kept_plans(request), kept_samples(request, device)
    left = {**plans_left, **samples_left}
    most = max(elements, blocks * tile["tile_pixels"], sum(samples_left.values()) // 4)
    special = specialisation(problem) | {"wide": ring_wide(problem) or most >= 1 << 31}
    way: dict[str, Value] = {"unit": unit, "parts": parts(problem), "vec": _vec(problem), **dict(tile.sizes), "splits": splits}
    way |= {"planned": bool(plans_left), "sampled": bool(samples_left)}
    plans = chunk_plans(problem, problem.group_in, _chunk(problem))
    kernel = Kernel.of("forward_matrix", {**way, "plans": plans, **special})
    items = 2 * tile["tile_pixels"]
    sampled = ("input_ring", "input_sizes", *present(problem, "offset", "mask"), *left, *kept)
    joined = ring_and_weight(transpose, fore=pack)
    if splits == 1:
        operands = (*sampled, *present(problem, "bias"), "input", "weight", "output")
        product = Launch(kernel, operands, sizes(problem), (blocks * items, tiles), (items, 1))
        return Schedule(unit, tile, (product,), ring | left, (transpose,), (pack,), kept, joined)
    product = Launch(kernel, (*sampled, "partial_output"), sizes(problem), (blocks * items, tiles, splits), (items, 1, 1))
    steps = (product, _sum(problem, device, splits, special))
    return Schedule(unit, tile, steps, {**ring, **left, "partial_output": 4 * elements}, (transpose,), (pack,), kept, joined)


def _sum(problem: Problem, device: "Device", splits: int, special: Mapping[str, Value]) -> Launch:
    """The launch that makes the output from its partial sums."""
    size = lanes(device)
    blocks = problem.groups * ceil_div(problem.group_out, _SUM_OUT)
    operands = ("partial_output", *present(problem, "input", "offset", "mask", "weight", "bias", "output"))
    kernel = Kernel.of("forward_sum", {"splits": splits, "item_out": _SUM_OUT, **special})
    return Launch(kernel, operands, sizes(problem), (round_up(problem.out_pixels, size), blocks), (size, 1))


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
