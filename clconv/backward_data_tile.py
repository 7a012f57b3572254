"""The backward pass for input, offset and mask of any GPU: tiles that meet in local memory, atomics for the input."""

from typing import TYPE_CHECKING

from clconv.atomics import ATOMIC_OPTIONS, atomic_add, contenders
from clconv.fixed import NOT_FIXED, fixed_sums, is_fixed, refuses_fixed
from clconv.layout import fills_tile, pack_weight, refuses_ring, ring_first, ring_last, ring_wide
from clconv.problem import Problem
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
    accumulator_bytes,
    ceil_div,
    present,
    sizes,
    specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device

_SIZES = ("tile_pixels", "tile_channels", "tile_out", "item_pixels")
_SHAPES = (
    (64, 32, 16, 4),
    (32, 32, 16, 4),
    (64, 16, 16, 4),
    (64, 64, 16, 8),
    (32, 64, 16, 4),
    (16, 32, 16, 4),
    (32, 16, 16, 4),
    (16, 16, 8, 4),
)


def _items(tile: Tile) -> int:
    return tile["tile_channels"] // 4 * (tile["tile_pixels"] // tile["item_pixels"])


def _plans(problem: Problem, chunk: int) -> int:
    """Sample groups of a chunk of channels."""
    return max(1, chunk * problem.sample_groups // problem.in_channels)


def _local_bytes(request: Request, tile: Tile) -> int:
    problem, pixels, chunk = request.problem, tile["tile_pixels"], tile["tile_channels"]
    planned = _plans(problem, chunk) * problem.taps * pixels
    quads = planned + tile["tile_out"] * (pixels // 4 + 1 + chunk // 4 + 1)
    quads += planned + pixels * chunk // 4 if request.needs & {"offset", "mask"} else 0
    return 4 * quads * accumulator_bytes(problem) + (5 if is_fixed(request) else 1) * planned


def _legal(request: Request, device: "Device", tile: Tile) -> bool:
    """Whether chunks of channels lie in one group, and in one sample group or over whole ones; and whether all fits."""
    problem, chunk, items = request.problem, tile["tile_channels"], _items(tile)
    sample = problem.in_channels // problem.sample_groups
    if problem.group_in % chunk or (sample % chunk and chunk % sample) or items % tile["tile_pixels"]:
        return False
    return items <= min(device.max_work_group, device.max_work_items[0]) and _local_bytes(request, tile) <= device.local_memory


def _tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """First those that occupy every compute unit, twice, so that one work-group works while another waits."""
    tiles = [Tile.of(**dict(zip(_SIZES, shape, strict=True))) for shape in _SHAPES]
    legal = [tile for tile in tiles if _legal(request, device, tile)]
    busy = [
        tile
        for tile in legal
        if ceil_div(request.problem.out_pixels, tile["tile_pixels"]) >= 2 * device.compute_units
        and 2 * _local_bytes(request, tile) <= device.local_memory
    ]
    return tuple(dict.fromkeys([*busy, *sorted(legal, key=lambda tile: tile["tile_pixels"])]))


def _supports(request: Request, device: "Device") -> str | None:
    problem = request.problem
    if is_fixed(request):
        if reason := refuses_fixed(problem):
            return reason
    elif "input" in request.needs and atomic_add(problem, device) is None:
        return f"the device has no atomic that could add {problem.accumulator}"
    if problem.rules.border == "replicate":
        return "its corners beyond a border are zeros, not the border's pixels"
    if problem.group_in % 4 or (problem.in_channels // problem.sample_groups) % 4:
        return "it takes 4 channels at a time, and groups of them are no multiple of that"
    if not _tiles(request, device):
        return "no tile fits: groups of channels are no multiple of 16, or there is too little local memory"
    return refuses_ring(problem)


def _schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem, needs = request.problem, request.needs & {"input", "offset", "mask"}
    pack, packed = pack_weight(problem, problem.group_out, device)
    shared: tuple[Step, ...] = ()
    before: tuple[Step, ...] = (pack,)
    after: tuple[Step, ...] = ()
    temporaries = dict(packed)
    if needs & {"offset", "mask"}:
        transpose, ring = ring_last(problem, device)
        shared, temporaries = (transpose,), temporaries | ring
    fixed = fixed_sums(problem, device) if is_fixed(request) else None
    if fixed:
        before, after, temporaries = (*before, *fixed.zeros, *fixed.before), fixed.after, temporaries | fixed.temporaries
    elif "input" in needs:
        transpose, ring = ring_first(problem, device)
        before, after, temporaries = (*before, Fill("scratch", ring["scratch"])), (transpose,), temporaries | ring
    wanted = {f"needs_{name}": name in needs for name in ("input", "mask", "offset")}
    atomic = atomic_add(problem, device) or "cas"
    way: dict[str, Value] = {
        "atomic": atomic,
        **NOT_FIXED,
        **(fixed.arguments if fixed else {}),
        "vec": 4,
        "channels_at_once": 4,
        "plans": _plans(problem, tile["tile_channels"]),
        **wanted,
        **dict(tile.sizes),
    }
    kernel = Kernel.of(
        "backward_data_tile",
        {**way, **specialisation(problem), "wide": ring_wide(problem)},
        ATOMIC_OPTIONS.get(atomic, ()) if "input" in needs and not fixed else (),
    )
    reads = ("input_ring",) if needs & {"offset", "mask"} else ()
    into = fixed.buffers if fixed else ("scratch",) if "input" in needs else ()
    results = (*into, *(f"grad_{name}" for name in ("offset", "mask") if name in needs))
    items = _items(tile)
    launch = Launch(
        kernel,
        ("grad_output", *reads, *present(problem, "offset", "mask"), "packed_weight", *results),
        sizes(problem),
        (ceil_div(problem.out_pixels, tile["tile_pixels"]) * items,),
        (items,),
        _turns(request, device, tile),
    )
    return Schedule("tile", tile, (*before, launch, *after), temporaries, shared)


def _turns(request: Request, device: "Device", tile: Tile) -> int:
    """Loop turns of a work-item, as if no loop were unrolled."""
    problem, needs, items = request.problem, request.needs, _items(tile)
    chunks = problem.in_channels // tile["tile_channels"]
    across = tile["item_pixels"] // 4
    swaps = "input" in needs and not is_fixed(request) and atomic_add(problem, device) == "cas"
    product = tile["tile_out"] * (3 + 2 * across) + ceil_div(tile["tile_out"] * (tile["tile_pixels"] + tile["tile_channels"]), items)
    back = tile["item_pixels"] * (10 + (16 * contenders(device) if swaps else 16))
    sums = tile["tile_channels"] + ceil_div(tile["tile_pixels"] * tile["tile_channels"], items)
    planned = 2 * ceil_div(tile["tile_channels"] * problem.taps * tile["tile_pixels"], items)
    return chunks * (1 + planned + problem.taps * (1 + ceil_div(problem.group_out, tile["tile_out"]) * (1 + product) + back + sums))


VARIANT = Variant(
    "tile",
    _supports,
    _tiles,
    _schedule,
    suits=lambda request, device: device.kind != "cpu" and fills_tile(request.problem),
)
"""The gradients of input, offset and mask, of the input by atomics."""
