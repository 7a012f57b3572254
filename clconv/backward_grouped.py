"""The backward passes for few channels a group, down to depthwise: a work-item has all outputs of its channels to itself."""

from itertools import product
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from clconv.atomics import ATOMIC_OPTIONS, atomic_add, contenders
from clconv.bias import bias_steps
from clconv.fixed import NOT_FIXED, fixed_sums, is_fixed, refuses_fixed
from clconv.layout import refuses_ring, ring_first, ring_last, ring_wide
from clconv.problem import Problem
from clconv.ring_and_weight import ring_and_weight
from clconv.row_sums import PARTIAL_BYTES
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
    reduction,
    round_up,
    sizes,
    specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device

_GROUPED = 32
"""Channels of a group, and outputs of a work-item's groups: it keeps the gradients of these in registers."""

_SUMS = 32
"""Sums that a work-item of the weight's pass keeps in registers: with twice as many too few work-items fit a compute unit."""


_HEAP_PIXELS = 16
"""Pixels of a tile that a work-item sums before it adds, where all samples lie in one cell."""


def _vec(problem: Problem) -> int:
    """Channels of a work-item: neighbours of one group, or of as many groups where each is one channel."""
    together = problem.in_channels // problem.sample_groups if problem.group_in == 1 else problem.group_in
    return next(vec for vec in (4, 2, 1) if together % vec == 0)


def _outs(problem: Problem) -> int:
    """Outputs of a work-item's channels."""
    return problem.group_out * (_vec(problem) if problem.group_in == 1 else 1)


def _chunk(problem: Problem, wanted: int) -> int:
    """The most channels up to `wanted` that are whole groups and lie in one sample group or are whole ones; at least one group."""
    unit, sample = max(problem.group_in, _vec(problem)), problem.in_channels // problem.sample_groups
    chunks = range(unit, max(wanted, unit) + 1, unit)
    return max(size for size in chunks if problem.in_channels % size == 0 and (sample % size == 0 or size % sample == 0))


def _refuses(problem: Problem) -> str | None:
    """Why a problem's groups don't fit in work-items, if they don't."""
    if problem.group_in > _GROUPED or _outs(problem) > _GROUPED:
        return f"it keeps a group in registers: at most {_GROUPED} channels and {_GROUPED} outputs"
    if problem.in_channels // problem.sample_groups % problem.group_in:
        return "a group's channels would lie in several offset groups"
    return None


def _plans(problem: Problem, chunk: int) -> int:
    """Sample groups of a chunk of channels."""
    return max(1, chunk * problem.sample_groups // problem.in_channels)


def _most(device: "Device") -> int:
    return min(device.max_work_group, device.max_work_items[0])


def _busy(request: Request, device: "Device") -> bool:
    """Whether it is a GPU, and there are groups and work for every compute unit."""
    problem = request.problem
    return device.kind != "cpu" and problem.groups > 1 and ceil_div(problem.out_pixels, 32) >= device.compute_units


def _data_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """First those that occupy most compute units: what more pixels sample is more often near."""
    problem = request.problem
    tiles = []
    for wanted, pixels in product((32, 64), (64, 32, 16, 8, 4)):
        chunk = _chunk(problem, wanted)
        lanes, plans = chunk // _vec(problem), _plans(problem, chunk) * problem.taps * pixels
        dots = 4 * problem.taps * pixels * (lanes | 1) if request.needs & {"offset", "mask"} else 0
        marks = (5 if is_fixed(request) else 1) * plans
        heaps = plans // pixels + 8 * pixels if "input" in request.needs else 0
        local = (4 * plans + problem.taps * problem.group_out * chunk + dots) * accumulator_bytes(problem) + marks + heaps
        if lanes * pixels <= _most(device) and local <= device.local_memory:
            tiles.append(Tile.of(tile_pixels=pixels, lanes=lanes))
    busy = [tile for tile in tiles if 5 * ceil_div(problem.out_pixels, tile["tile_pixels"]) >= 4 * device.compute_units]
    return tuple(dict.fromkeys([*busy, *sorted(tiles, key=lambda tile: tile["tile_pixels"])]))


def _data_supports(request: Request, device: "Device") -> str | None:
    problem = request.problem
    if is_fixed(request):
        if reason := refuses_fixed(problem):
            return reason
    elif "input" in request.needs and atomic_add(problem, device) is None:
        return f"the device has no atomic that could add {problem.accumulator}"
    if problem.rules.border == "replicate":
        return "its corners beyond a border are zeros, not the border's pixels"
    if reason := _refuses(problem):
        return reason
    if not _data_tiles(request, device):
        return f"no tile fits {device.max_work_group} work-items and {device.local_memory} bytes of local memory"
    return refuses_ring(problem)


def _data_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem, needs = request.problem, request.needs & {"input", "offset", "mask"}
    shared: tuple[Launch, ...] = ()
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    temporaries: dict[str, int] = {}
    if needs & {"offset", "mask"}:
        transpose, temporaries = ring_last(problem, device)
        shared = (transpose,)
    atomic, vec = atomic_add(problem, device) or "cas", _vec(problem)
    fixed = fixed_sums(problem, device) if is_fixed(request) else None
    zeros: tuple[Fill, ...] = ()
    if fixed:
        zeros, before, after, temporaries = fixed.zeros, fixed.before, fixed.after, temporaries | fixed.temporaries
    elif "input" in needs:
        transpose, ring = ring_first(problem, device)
        zeros, after, temporaries = (Fill("scratch", ring["scratch"]),), (transpose,), temporaries | ring
    joined = ring_and_weight(shared[0], zeros=zeros) if shared and zeros else {}
    way: dict[str, Value] = {
        "atomic": atomic,
        **NOT_FIXED,
        **(fixed.arguments if fixed else {}),
        "vec": vec,
        "channels_at_once": vec,
        "plans": _plans(problem, tile["lanes"] * vec),
        "heap_pixels": _HEAP_PIXELS,
        **{f"needs_{name}": name in needs for name in ("input", "mask", "offset")},
        **dict(tile.sizes),
    }
    kernel = Kernel.of(
        "backward_data_grouped",
        {**way, **specialisation(problem), "wide": ring_wide(problem)},
        ATOMIC_OPTIONS.get(atomic, ()) if "input" in needs and not fixed else (),
    )
    reads = ("input_ring",) if needs & {"offset", "mask"} else ()
    into = fixed.buffers if fixed else ("scratch",) if "input" in needs else ()
    results = (*into, *(f"grad_{name}" for name in ("offset", "mask") if name in needs))
    items = tile["lanes"] * tile["tile_pixels"]
    launch = Launch(
        kernel,
        ("grad_output", *reads, *present(problem, "offset", "mask", "weight"), *results),
        sizes(problem),
        (ceil_div(problem.out_pixels, tile["tile_pixels"]) * items,),
        (items,),
        _data_turns(request, device, tile),
    )
    return Schedule("grouped", tile, (*zeros, *before, launch, *after), temporaries, shared, joined=joined, ahead=() if fixed else zeros)


def _data_turns(request: Request, device: "Device", tile: Tile) -> int:
    """Loop turns of a work-item, as if no loop were unrolled."""
    problem, vec, items = request.problem, _vec(request.problem), tile["lanes"] * tile["tile_pixels"]
    swaps = "input" in request.needs and not is_fixed(request) and atomic_add(problem, device) == "cas"
    adds = contenders(device) if swaps else 1
    chunk = tile["lanes"] * vec
    planned = ceil_div(_plans(problem, chunk) * problem.taps * tile["tile_pixels"], items)
    packed = ceil_div(problem.taps * problem.group_out * chunk, items)
    tap = 2 + problem.group_out + 4 * (1 + vec * adds)
    heap = min(_HEAP_PIXELS, tile["tile_pixels"])
    heaps = ceil_div(problem.taps, heap) * (1 + heap * (5 + problem.group_out) + 4 * (1 + vec * adds)) + planned * tile["tile_pixels"]
    taps = problem.taps * (1 + tap) + heaps
    return problem.in_channels // chunk * (1 + planned * (2 + tile["lanes"]) + packed + problem.group_out + taps)


def _weight_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    problem = request.problem
    taps = ceil_div(problem.taps, ceil_div(problem.taps, _TAPS))
    vec = next(vec for vec in (4, 2, 1) if _vec(problem) % vec == 0 and vec * problem.group_out <= _SUMS)
    tiles = []
    for wanted, rows in product((64, 32, 128), (4, 1, 2, 8)):
        chunk = _chunk(problem, wanted)
        lanes = chunk // vec
        items = lanes * taps * rows
        pixels = rows * gcd(items // rows, max(1, 32 // rows))
        outs = chunk // problem.group_in * problem.group_out
        elements = 4 * _plans(problem, chunk) * taps * pixels + pixels * outs + items * vec
        if items <= _most(device) and elements * accumulator_bytes(problem) <= device.local_memory:
            tiles.append(Tile.of(lanes=lanes, vec=vec, rows=rows, tile_taps=taps, tile_pixels=pixels))
    return tuple(dict.fromkeys(tiles))


_TAPS = 9
"""Taps that the work-items of a work-group share out, at most."""


def _weight_supports(request: Request, device: "Device") -> str | None:
    problem = request.problem
    if reason := _refuses(problem):
        return reason
    if not _weight_tiles(request, device):
        return f"no tile fits {device.max_work_group} work-items and {device.local_memory} bytes of local memory"
    return refuses_ring(problem)


def _weight_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem, vec = request.problem, tile["vec"]
    steps, temporaries = bias_steps(request, device)
    if "weight" not in request.needs:
        return Schedule("grouped", tile, steps, temporaries)
    transpose, ring = ring_last(problem, device)
    chunk, items = tile["lanes"] * vec, tile["lanes"] * tile["tile_taps"] * tile["rows"]
    blocks = problem.in_channels // chunk, ceil_div(problem.taps, tile["tile_taps"])
    elements = problem.out_channels * problem.group_in * problem.taps
    room = PARTIAL_BYTES // (elements * accumulator_bytes(problem))
    wanted = max(1, min(room, ceil_div(_SPLIT_ITEMS * device.compute_units, items * blocks[0] * blocks[1])))
    split_pixels = round_up(ceil_div(problem.out_pixels, wanted), tile["tile_pixels"])
    parts = ceil_div(problem.out_pixels, split_pixels)
    way: dict[str, Value] = {
        "channels_at_once": vec,
        "vec_out": vec if problem.group_in == 1 else next(size for size in (4, 2, 1) if problem.group_out % size == 0),
        "plans": _plans(problem, chunk),
        "partial": parts > 1,
        **dict(tile.sizes),
    }
    special = {**specialisation(problem), "wide": ring_wide(problem) or parts * elements >= 1 << 31}
    result = "partial_weight" if parts > 1 else "grad_weight"
    launch = Launch(
        Kernel.of("backward_weight_grouped", {**way, **special}),
        ("grad_output", "input_ring", *present(problem, "offset", "mask"), result),
        (*sizes(problem), np.int32(split_pixels)),
        (parts * items, *blocks),
        (items, 1, 1),
        _weight_turns(problem, tile, split_pixels),
    )
    weight: tuple[Step, ...] = (launch,)
    if parts > 1:
        weight = (launch, reduction(result, "grad_weight", problem.dtype, parts, elements, device))
        temporaries = temporaries | {result: parts * elements * accumulator_bytes(problem)}
    return Schedule("grouped", tile, (*steps, *weight), temporaries | ring, (transpose,))


_SPLIT_ITEMS = 1152
"""Work-items for each compute unit that its parts of the pixels should make."""


def _weight_turns(problem: Problem, tile: Tile, split_pixels: int) -> int:
    """Loop turns of a work-item, as if no loop were unrolled."""
    chunk, items = tile["lanes"] * tile["vec"], tile["lanes"] * tile["tile_taps"] * tile["rows"]
    planned = ceil_div(_plans(problem, chunk) * tile["tile_taps"] * tile["tile_pixels"], items)
    loaded = ceil_div(chunk // problem.group_in * problem.group_out * tile["tile_pixels"], items)
    step = 1 + planned + loaded + tile["tile_pixels"] // tile["rows"] * (2 + problem.group_out)
    return ceil_div(split_pixels, tile["tile_pixels"]) * step + problem.group_out * (2 + tile["rows"])


DATA = Variant("grouped", _data_supports, _data_tiles, _data_schedule, suits=_busy)
"""The gradients of input, offset and mask, of the input by atomics."""

WEIGHT = Variant("grouped", _weight_supports, _weight_tiles, _weight_schedule, suits=_busy)
"""The weight's and the bias's gradient; deterministic."""
