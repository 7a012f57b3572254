"""The backward pass for input, offset and mask by matrix units, halves in, float32 sums: NVIDIA's from Ampere on, Hopper's wgmma first."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from clconv.atomics import atomic_add
from clconv.fixed import NOT_FIXED, fixed_sums, is_fixed, refuses_fixed
from clconv.forward_matrix import DOUBT_BITS, PACK_ITEMS
from clconv.layout import fills_tile, kept_plans, parts, refuses_ring, ring_first, ring_last, ring_wide
from clconv.problem import Problem
from clconv.ring_and_weight import ring_and_weight
from clconv.schedule import (
    Fill,
    Kernel,
    Launch,
    Request,
    Schedule,
    Step,
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

_WARP_CHANNELS = {"mma": 32, "wgmma": 64}
"""Channels of a warp, which has 1024 pixels times channels."""
_STAGES = 2
_SIZES = ("tile_pixels", "tile_channels", "chunk")
_SHAPES = {
    "mma": ((128, 64, 64), (64, 128, 32), (128, 64, 32), (64, 64, 32), (32, 64, 32), (64, 32, 32), (32, 32, 32)),
    "wgmma": ((192, 64, 64), (128, 64, 64), (64, 128, 64), (64, 128, 32), (128, 64, 32), (64, 64, 32)),
}
"""The fastest on an H100 first; where plans of all taps are not kept and floats are added, those of short chunks are.

Where factors have 11 bits, those of no more than 64 pixels, too.
"""
_TEAMS = {
    1: ((128, 64, 64, 2, True), (64, 64, 64, 3, True), (64, 64, 64, 3, False)),
    2: ((128, 64, 32, 2, True), (64, 64, 32, 4, True), (64, 64, 64, 2, False)),
}
"""By parts of a factor: those of several teams, with a window or without, where wgmma adds floats; before all others, of one.

By two parts, those without where 128 pixels don't fit.
"""
_STRIP = 16
"""Columns of a tile's pixels, see kernels/strips.cl."""
_WINDOW_PIXELS = 4
"""Pixels of a window for each of a tile's, at most: it is emptied pixel by pixel. And its sums are rounded as sums of many terms may be."""
_ONE_SUM = 64
"""Outputs up to which a work-item has one set of sums: by more, four teams have too few registers."""
_BUSY = 0.8
"""Work-groups a compute unit that a tile must make, or a smaller one is taken."""


def _sample(problem: Problem) -> int:
    return problem.in_channels // problem.sample_groups


def _shares(problem: Problem) -> bool:
    """Whether a group's channels lie in one sample group."""
    return _sample(problem) % problem.group_in == 0


def _keeps_plans(unit: str, problem: Problem) -> bool:
    """Whether a warp's channels share one sample, so that the plans of all taps, and their dots, are kept in local memory."""
    return _shares(problem) or _sample(problem) >= _WARP_CHANNELS[unit]


def _plans(problem: Problem, tile: Tile) -> int:
    """Sample groups of a tile of channels."""
    return 1 if _shares(problem) else max(1, tile["tile_channels"] // _sample(problem))


def _splits(tile: Tile) -> int:
    """Work-groups that share out the taps of a tile's pixels."""
    return dict(tile.sizes).get("splits", 1)


def _work_groups(problem: Problem, tile: Tile) -> int:
    return ceil_div(problem.out_pixels, tile["tile_pixels"]) * _splits(tile)


def _split(problem: Problem, device: "Device", tile: Tile) -> Tile:
    """The tile with its taps shared out among as many work-groups as the device begins at once, if that is more than one."""
    splits = min(problem.taps, device.compute_units // _work_groups(problem, tile)) if problem.out_pixels else 1
    return Tile.of(**dict(tile.sizes), splits=splits) if splits > 1 else tile


def _teams(tile: Tile) -> int:
    """Teams of work-items that share out a work-group's taps."""
    return dict(tile.sizes).get("teams", 1)


def _items(tile: Tile) -> int:
    return tile["tile_pixels"] * tile["tile_channels"] // 32 * _teams(tile)


def _window(problem: Problem, tile: Tile) -> tuple[int, int]:
    """Rows and columns of the pixels whose sums lie in local memory: those that samples without offsets reach; 0 where none do."""
    if "window" not in dict(tile.sizes):
        return 0, 0
    rows = (tile["tile_pixels"] // _STRIP - 1) * problem.stride_y + (problem.kernel_y - 1) * problem.dilation_y
    columns = (_STRIP - 1) * problem.stride_x + (problem.kernel_x - 1) * problem.dilation_x
    return rows + 2, columns + 2


def _local_bytes(unit: str, request: Request, tile: Tile) -> int:
    problem, pixels, channels = request.problem, tile["tile_pixels"], tile["tile_channels"]
    taps = ceil_div(problem.taps, _splits(tile))
    sets = taps if _keeps_plans(unit, problem) else 2
    weights = _teams(tile) * _STAGES * tile["chunk"] * channels * parts(problem) * 2
    grads = round_up(problem.group_out, tile["chunk"]) * pixels * parts(problem) * 2
    dots = channels // _WARP_CHANNELS[unit] * taps * pixels * 16 if _dotted(unit, request) else 0
    planned = sets * _plans(problem, tile) * pixels * (21 if is_fixed(request) else 17)
    aligned = 1024 if unit == "wgmma" else 0
    rows, columns = _window(problem, tile)
    window = (rows * columns * (channels + 2) + channels) * 4 + sets * _plans(problem, tile) * pixels * 2 + 24 if rows else 0
    return window + planned + weights + grads + dots + 12 * pixels + 4 * channels + 16 + aligned


def _dotted(unit: str, request: Request) -> bool:
    return _keeps_plans(unit, request.problem) and bool(request.needs & {"offset", "mask"})


def _legal(unit: str, request: Request, device: "Device", tile: Tile) -> bool:
    """Whether a tile's channels lie in one sample group or over whole ones, and whether all fits."""
    problem, channels, sample = request.problem, tile["tile_channels"], _sample(request.problem)
    whole = _shares(problem) or (problem.group_in % channels == 0 and (sample % channels == 0 or channels % sample == 0))
    return whole and _items(tile) <= device.max_work_group and _local_bytes(unit, request, tile) <= device.local_memory


def _idles(unit: str, problem: Problem, tile: Tile) -> bool:
    """Whether warps have no channels, as a group has too few."""
    return tile["tile_channels"] - _WARP_CHANNELS[unit] >= problem.group_in


def _leaves_more(problem: Problem, device: "Device", pixels: int) -> bool:
    """Whether a compute unit, which takes one tile after another, has no fewer pixels with tiles of more than 128 than with those."""
    rounds = [ceil_div(ceil_div(problem.out_pixels, each), device.compute_units) * each for each in (pixels, 128)]
    return pixels > 128 and rounds[0] >= rounds[1]


def _of_teams(unit: str, request: Request, device: "Device") -> Iterator[Tile]:
    """Tiles of several teams, which all have taps; with a window where the input's gradient is wanted and each pixel gets many terms."""
    problem = request.problem
    if unit != "wgmma" or not problem.offset_groups or not _keeps_plans(unit, problem) or is_fixed(request):
        return
    for *shape, teams, window in _TEAMS[parts(problem)]:
        tile = Tile.of(**dict(zip(_SIZES, shape, strict=True)), teams=teams, **({"window": 1} if window else {}))
        rows, columns = _window(problem, tile)
        dense = problem.taps >= 4 * problem.stride_y * problem.stride_x and rows * columns <= _WINDOW_PIXELS * tile["tile_pixels"]
        widest = Tile.of(**dict(zip(_SIZES, (128, 64, 64), strict=True)))
        pays = "input" in request.needs and dense if window else parts(problem) == 1 or not _legal(unit, request, device, widest)
        if pays and problem.taps >= teams and (teams < 4 or problem.group_out <= _ONE_SUM):
            yield tile


def _tiles(unit: str, request: Request, device: "Device") -> tuple[Tile, ...]:
    """First those that occupy the compute units, with channels for all warps before others; then those of fewer pixels before others.

    Tiles of several teams come before others that occupy the units, else last.
    Taps are shared out where pixels alone don't occupy the units; a tile whose taps aren't comes after all that are.
    """
    problem = request.problem
    shapes = _SHAPES[unit]
    if not _keeps_plans(unit, problem) and not is_fixed(request):
        shapes = tuple(sorted(shapes, key=lambda shape: (shape[2], parts(problem) == 1 and shape[0] > 64)))
    whole = [Tile.of(**dict(zip(_SIZES, shape, strict=True))) for shape in shapes]
    tiles = [_split(problem, device, tile) for tile in whole]
    legal = [tile for tile in tiles if _legal(unit, request, device, tile)]
    legal.sort(key=lambda tile: (_idles(unit, problem, tile), _leaves_more(problem, device, tile["tile_pixels"])))
    teams = [tile for tile in _of_teams(unit, request, device) if _legal(unit, request, device, tile)]
    busy = [tile for tile in (*teams, *legal) if _work_groups(problem, tile) >= _BUSY * device.compute_units]
    fewer = sorted(legal, key=lambda tile: tile["tile_pixels"])
    return tuple(dict.fromkeys([*busy, *fewer, *(tile for tile in whole if _legal(unit, request, device, tile)), *teams]))


def _supports(unit: str, request: Request, device: "Device") -> str | None:
    problem = request.problem
    if unit not in device.matrix_units:
        return f"the device has no {unit}"
    if problem.dtype == "float64":
        return "it multiplies halves, which float64 can't be cut into"
    if is_fixed(request) and (reason := refuses_fixed(problem)):
        return reason
    if problem.rules.border == "replicate":
        return "its corners beyond a border are zeros, not the border's pixels"
    if problem.group_in % 4 or (_sample(problem) not in (4, 8) and _sample(problem) % 16):
        return "it takes 4 channels at a time and sums over 16, and groups of them are no multiple of that"
    if unit == "wgmma" and not _keeps_plans(unit, problem):
        return "a warp takes 64 channels of one offset group, and there are fewer"
    if not _tiles(unit, request, device):
        return "no tile fits: offset groups don't lie evenly in groups of channels, or there is too little local memory"
    return refuses_ring(problem)


def _suits(unit: str, request: Request, device: "Device") -> bool:
    """Where groups have half of a warp's channels or fewer, the unit whose warps have fewer does better."""
    return fills_tile(request.problem) and (unit == "mma" or 2 * request.problem.group_in > _WARP_CHANNELS[unit])


def _schedule(unit: str, request: Request, device: "Device", tile: Tile) -> Schedule:
    problem, needs = request.problem, request.needs & {"input", "offset", "mask"}
    pack, packed = _pack(unit, problem, tile)
    shared: tuple[Launch, ...] = ()
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    temporaries = dict(packed)
    if needs & {"offset", "mask"}:
        transpose, ring = ring_last(problem, device, DOUBT_BITS[parts(problem)])  # as the weight's pass has it
        shared, temporaries = (transpose,), temporaries | ring
    fixed = fixed_sums(problem, device) if is_fixed(request) else None
    zeros: tuple[Fill, ...] = ()
    if fixed:
        zeros, before, after, temporaries = fixed.zeros, fixed.before, fixed.after, temporaries | fixed.temporaries
    elif "input" in needs:
        transpose, ring = ring_first(problem, device, 0 if _keeps_plans(unit, problem) else _sample(problem))
        zeros, after, temporaries = (Fill("scratch", ring["scratch"]),), (transpose,), temporaries | ring
    joined = ring_and_weight(shared[0], back=pack, zeros=zeros) if shared else {}
    if zeros:  # where a forward has left the ring, or none is read
        joined |= ring_and_weight(None, back=pack, zeros=zeros)
    way: dict[str, Value] = {
        "unit": unit,
        "parts": parts(problem),
        "doubt_bits": DOUBT_BITS[parts(problem)],
        "atomic": atomic_add(problem, device) or "cas",
        **NOT_FIXED,
        **(fixed.arguments if fixed else {}),
        "vec": 4,
        "channels_at_once": 4,
        "plans": _plans(problem, tile),
        "keeps_plans": _keeps_plans(unit, problem),
        "dotted": _dotted(unit, request),
        "planned": bool(kept_plans(request)),
        **{f"needs_{name}": name in needs for name in ("input", "mask", "offset")},
        **dict(tile.sizes),
        "splits": _splits(tile),
        **dict(zip(("window_rows", "window_columns"), _window(problem, tile), strict=True)),
        "teams": _teams(tile),
    }
    kernel = Kernel.of("backward_data_matrix", {**way, **specialisation(problem), "wide": ring_wide(problem)})
    reads = ("input_ring",) if needs & {"offset", "mask"} else ()
    into = fixed.buffers if fixed else ("scratch",) if "input" in needs else ()
    results = (*into, *(f"grad_{name}" for name in ("offset", "mask") if name in needs))
    items = _items(tile)
    launch = Launch(
        kernel,
        ("grad_output", *reads, *(kept_plans(request) or present(problem, "offset", "mask")), *packed, "weight", *results),
        sizes(problem),
        (ceil_div(problem.out_pixels, tile["tile_pixels"]) * items, _splits(tile)),
        (items, 1),
    )
    ahead: tuple[Step, ...] = () if fixed else (pack, *zeros)
    return Schedule(unit, tile, (pack, *zeros, *before, launch, *after), temporaries, shared, joined=joined, ahead=ahead)


def _pack(unit: str, problem: Problem, tile: Tile) -> tuple[Launch, dict[str, int]]:
    """The launch that packs and scales the weight by channels, and what it makes."""
    columns = problem.groups * round_up(problem.group_in, tile["tile_channels"])
    halves = columns * round_up(problem.group_out, tile["chunk"]) * problem.taps * parts(problem)
    way: dict[str, Value] = {
        "unit": unit, "parts": parts(problem), "chunk": tile["chunk"], "tile_channels": tile["tile_channels"], "items": PACK_ITEMS,
        "doubt_bits": DOUBT_BITS[parts(problem)], **weight_specialisation(problem),
    }  # fmt: skip
    way["wide"] = problem.wide or halves >= 1 << 31
    made = {"packed_weight_data": 2 * halves, "packed_scales_data": 4 * columns}
    return Launch(Kernel.of("pack_weight_back", way), ("weight", *made), (), (columns * PACK_ITEMS,), (PACK_ITEMS,)), made


VARIANTS = tuple(
    Variant(
        unit,
        partial(_supports, unit),
        partial(_tiles, unit),
        partial(_schedule, unit),
        partial(_suits, unit),
    )
    for unit in ("wgmma", "mma")
)
"""The gradients of input, offset and mask, of the input by atomics; fastest first."""
