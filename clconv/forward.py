"""The variants of the forward pass and the tiles that they allow."""

from typing import TYPE_CHECKING

from clconv import forward_matrix, forward_planes, forward_tile, forward_units
from clconv.runs import (
    FLUSH_DENORMALS,
    Run,
    channels_last,
    divisor,
    joined,
    narrow,
    pack_weight_block,
    refuses,
    register_tiles,
    threads,
    vector,
    wide,
)
from clconv.schedule import (
    Kernel,
    Launch,
    Request,
    Schedule,
    Tile,
    Variant,
    ceil_div,
    lanes,
    present,
    round_up,
    sizes,
    specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device

_NARROW_PAIRS = 16
"""Taps whose places are kept for the samples of narrow groups, at most."""


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
    """The same blocks of pixels for every image size, so that these share kernels."""
    problem = joined(request.problem, device)
    run = Run.of(problem, device)
    pairs = problem.group_in // run.size * problem.taps
    depths = (_NARROW_PAIRS * run.room,) if narrow(request.problem, device) else (256, 192, 384, 128)
    chunks = dict.fromkeys(divisor(pairs, depth // run.room) for depth in depths)
    return tuple(
        Tile.of(vec=vector(problem, device), item_rows=rows, item_vecs=width, tile_pixels=pixels, chunk_pairs=chunk)
        for rows, width in register_tiles(problem, device)
        for pixels in (96, 48)
        for chunk in chunks
    )


def _block_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = joined(request.problem, device)
    run, tile_out = Run.of(problem, device), tile["item_vecs"] * tile["vec"]
    transpose, last = channels_last(problem, device)
    pack, packed = pack_weight_block(request.problem, tile_out, device)
    vectors = problem.batch * ceil_div(problem.out_height * problem.out_width, tile["vec"])
    direct = not problem.offset_groups and not problem.has_mask
    panel = 0 if narrow(request.problem, device) or direct else tile["chunk_pairs"] * run.room + tile["vec"]
    slice_elements = tile["tile_pixels"] * (panel + round_up(problem.group_out, tile_out))
    count, scratch = threads(vectors, slice_elements, problem, device)
    arguments = {
        **dict(tile.sizes),
        "narrow": narrow(request.problem, device),
        **run.arguments,
        **specialisation(problem),
        "wide": wide(problem, device),
    }
    launch = Launch(
        Kernel.of("forward_block", arguments, FLUSH_DENORMALS),
        ("input_last", *present(problem, "offset", "mask"), "packed_weight", *present(problem, "bias"), "output", "scratch"),
        sizes(problem),
        (count,),
        (1,),
    )
    return Schedule("block", tile, (launch,), last | scratch, (transpose,), (pack,), packed)


VARIANTS = (
    *forward_matrix.VARIANTS,
    *forward_units.VARIANTS,
    *forward_planes.VARIANTS,
    Variant(
        "block",
        refuses,
        _block_tiles,
        _block_schedule,
        suits=lambda request, device: device.kind == "cpu",
    ),
    *forward_tile.VARIANTS,
    Variant("plain", lambda request, device: None, _plain_tiles, _plain_schedule, guarded=False),
)
