"""The forward pass by the matrix units of AMD and Intel, halves in, float32 sums: a variant for each kind of unit."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from clconv.layout import chunk_plans, fills_tile, parts, refuses_ring, ring_last, ring_wide
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

_PLAN_BYTES = 16
_PACK_ITEMS = 256
_FEWEST = 8
"""Channels of a group that are worth a step of 16."""
_DOUBT_BITS = {2: 18, 1: 17}
"""By parts of a factor: how far below the largest a number may lie. What is below 2**-14 may count as zero, 29 bits below the largest: a
factor of one part keeps 12 bits above it. Of two, the low part takes over what is below it, reaches 11 bits further, and keeps 21."""
_SIZES = ("tile_pixels", "tile_out", "wave_pixels", "wave_out")


@dataclass(frozen=True, slots=True)
class _Unit:
    """Lanes of a wave, outputs and pixels of a block (see kernels/fragments.cl), and the shapes of tiles: `_SIZES`, the widest first."""

    lanes: int
    block_out: int
    block_pixels: int
    shapes: tuple[tuple[int, int, int, int], ...]
    options: tuple[str, ...] = ()

    @property
    def arguments(self) -> dict[str, Value]:
        """What kernels know of it."""
        return {"lanes": self.lanes, "block_out": self.block_out, "block_pixels": self.block_pixels}


_LARGE = ("-cl-intel-256-GRF-per-thread",)
"""Half as many threads with twice the registers: with fewer, sums and fragments of a wave spill."""

_UNOPTIMISED = ("-cl-opt-disable",)
"""For the emulation: optimised, PoCL 3.1 makes something else of it."""

_UNITS = {
    "mfma": _Unit(64, 32, 32, ((64, 128, 64, 32), (64, 64, 32, 32), (128, 64, 64, 32), (128, 32, 32, 32), (32, 64, 32, 32))),
    "wmma": _Unit(32, 16, 16, ((64, 128, 32, 32), (64, 64, 32, 16), (128, 64, 32, 32), (64, 32, 16, 16), (32, 64, 16, 32))),
    "dpas8": _Unit(8, 8, 8, ((64, 128, 32, 16), (64, 64, 32, 16), (64, 32, 16, 16), (32, 64, 16, 16), (32, 32, 8, 16)), _LARGE),
    "dpas16": _Unit(16, 8, 16, ((64, 128, 32, 32), (64, 64, 32, 16), (64, 32, 16, 16), (32, 64, 16, 16), (32, 32, 16, 16)), _LARGE),
}


def _supports(name: str, request: Request, device: "Device") -> str | None:
    problem = request.problem
    if name not in device.matrix_units:
        return "the device has no such unit"
    if problem.dtype == "float64":
        return "it multiplies halves, which float64 can't be cut into"
    if problem.group_in < _FEWEST:
        return f"it multiplies 16 channels at a time, and groups have fewer than {_FEWEST}"
    if not _candidates(name, request, device):
        return f"no tile fits {device.max_work_group} work-items and {device.local_memory} bytes of local memory"
    return refuses_ring(problem)


def _waves(tile: Tile) -> int:
    return tile["tile_pixels"] // tile["wave_pixels"] * (tile["tile_out"] // tile["wave_out"])


def _items(name: str, tile: Tile) -> int:
    return _waves(tile) * _UNITS[name].lanes


def _local_bytes(name: str, problem: Problem, tile: Tile) -> int:
    plans = chunk_plans(problem, problem.group_in, tile["chunk"]) * problem.taps * tile["tile_pixels"] * _PLAN_BYTES
    octets = tile["chunk"] // 8
    samples = 2 * parts(problem) * octets * (tile["tile_pixels"] + 8 // octets) * 16
    return plans + samples + 4 * tile["tile_pixels"] + 4 * _items(name, tile) + 4


def _candidates(name: str, request: Request, device: "Device") -> tuple[Tile, ...]:
    """Tiles that fit: first those that give every part of every unit a wave, of these the cheapest by products and samples.

    Tiles of which local memory holds no second come last: nothing else would be done while one waits.
    """
    problem = request.problem
    fits = [
        tile
        for chunk in _chunks(problem)
        for shape in _UNITS[name].shapes
        if _fits(name, problem, device, tile := Tile.of(**dict(zip(_SIZES, shape, strict=True)), chunk=chunk))
    ]

    def cost(tile: Tile) -> tuple[bool, int, bool]:
        alone = 2 * _local_bytes(name, problem, tile) > device.local_memory
        return alone, ceil_div(problem.group_out, tile["tile_out"]) * (tile["tile_out"] + _SAMPLE), tile["tile_pixels"] < 64

    def waves(tile: Tile) -> int:
        tiles = problem.groups * ceil_div(problem.group_out, tile["tile_out"])
        return ceil_div(problem.out_pixels, tile["tile_pixels"]) * tiles * _waves(tile)

    fits.sort(key=cost)
    busy = [tile for tile in fits if waves(tile) >= _PARTS * device.compute_units]
    return tuple(dict.fromkeys([*busy, *sorted(fits, key=waves, reverse=True)]))


_SAMPLE = 64
"""Outputs whose products take as long as it takes to make a sample: a guess until a device tells."""

_PARTS = 4
"""Waves that a compute unit works on at once: AMD's have four SIMDs, Intel's as many threads where registers are large."""


def _chunks(problem: Problem) -> tuple[int, ...]:
    """Channels of a step: 32, but first 16 where that is filled up with many fewer zeros."""
    padded = {chunk: round_up(problem.group_in, chunk) for chunk in (16, 32)}
    return (16, 32) if padded[32] > 1.2 * padded[16] else (32, 16)


def _fits(name: str, problem: Problem, device: "Device", tile: Tile) -> bool:
    """Whether the work-group and its local memory are within the device's, and its items share out pixels and octets evenly.

    Where few channels are read at a time, an item makes few octets: each piece has addresses of its own.
    """
    items, octets = _items(name, tile), tile["tile_pixels"] * tile["chunk"] // 8
    even = items % tile["tile_pixels"] == 0 and max(octets, items) % min(octets, items) == 0
    small = ceil_div(octets, items) * (8 // _vec(problem)) <= 16
    return even and small and items <= device.max_work_group and _local_bytes(name, problem, tile) <= device.local_memory


def _schedule(name: str, request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    transpose, ring = ring_last(problem, device, _DOUBT_BITS[parts(problem)])
    pack, kept = _pack(name, problem, tile)
    tiles = problem.groups * ceil_div(problem.group_out, tile["tile_out"])
    blocks = ceil_div(problem.out_pixels, tile["tile_pixels"])
    special = specialisation(problem) | {"wide": ring_wide(problem)}
    vec = _vec(problem)
    way: dict[str, Value] = {
        "unit": name, "emulated": "emulated" in device.matrix_units, "parts": parts(problem), "vec": vec, "channels_at_once": vec,
        "plans": chunk_plans(problem, problem.group_in, tile["chunk"]), **_UNITS[name].arguments, **dict(tile.sizes),
    }  # fmt: skip
    operands = ("input_ring", "input_sizes", *present(problem, "offset", "mask"), *kept, *present(problem, "bias"))
    items = _items(name, tile)
    kernel = Kernel.of("forward_units", {**way, **special}, _UNOPTIMISED if way["emulated"] else _UNITS[name].options)
    product = Launch(kernel, (*operands, "input", "weight", "output"), sizes(problem), (blocks * items, tiles), (items, 1))
    return Schedule(name, tile, (product,), ring, (transpose,), (pack,), kept)


def _vec(problem: Problem) -> int:
    """Channels that are read at a time: as many as divide groups and offset groups, 16 bytes at most."""
    sample = problem.in_channels // problem.sample_groups
    return next(vec for vec in (8, 4, 2, 1) if vec * DTYPES[problem.dtype] <= 16 and problem.group_in % vec == 0 and sample % vec == 0)


def _pack(name: str, problem: Problem, tile: Tile) -> tuple[Launch, dict[str, int]]:
    """The launch that packs and scales the weight, and what it makes."""
    columns = problem.groups * round_up(problem.group_out, tile["tile_out"])
    halves = columns * round_up(problem.group_in, tile["chunk"]) * problem.taps * parts(problem)
    way: dict[str, Value] = {
        "unit": name, **_UNITS[name].arguments, "parts": parts(problem), "tile_out": tile["tile_out"], "chunk": tile["chunk"],
        "items": _PACK_ITEMS, "doubt_bits": _DOUBT_BITS[parts(problem)], **weight_specialisation(problem),
        "wide": problem.wide or halves >= 1 << 31,
    }  # fmt: skip
    kept = {"packed_weight": 2 * halves, "packed_scales": 4 * columns}
    return Launch(Kernel.of("pack_weight_units", way), ("weight", *kept), (), (columns * _PACK_ITEMS,), (_PACK_ITEMS,)), kept


VARIANTS = tuple(
    Variant(
        name,
        partial(_supports, name),
        partial(_candidates, name),
        partial(_schedule, name),
        suits=lambda request, device: fills_tile(request.problem),
    )
    for name in _UNITS
)
