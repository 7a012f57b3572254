"""The forward pass for CPUs of layers that sample far fewer pixels than their input has: from the caller's input, without a copy of it."""

from typing import TYPE_CHECKING

from clconv.runs import FLUSH_DENORMALS, Run, divisor, narrow, pack_weight_block, refuses, register_tiles, threads, vector
from clconv.schedule import Kernel, Launch, Request, Schedule, Tile, Variant, ceil_div, present, round_up, sizes, specialisation

if TYPE_CHECKING:
    from clconv.device import Device


def _refuses(request: Request, device: "Device") -> str | None:
    if request.problem.height * request.problem.width < 2:
        return "it reads two pixels of a plane at a time"
    if narrow(request.problem, device):
        return "narrow groups need their channels innermost"
    return refuses(request, device)


def _suits(request: Request, device: "Device") -> bool:
    """At as many samples as the input has pixels, a copy was measured to cost as much as it saves, or less."""
    problem = request.problem
    return device.kind == "cpu" and 2 * problem.taps * problem.out_pixels <= problem.batch * problem.height * problem.width


def _tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    """First large blocks of pixels, which read fewer lines of a plane twice."""
    problem = request.problem
    run = Run.of(problem, device)
    pairs = problem.group_in // run.size * problem.taps
    return tuple(
        Tile.of(vec=vector(problem, device), item_rows=rows, item_vecs=width, tile_pixels=pixels, chunk_pairs=chunk)
        for rows, width in register_tiles(problem, device)
        for pixels in (288, 96)
        for chunk in dict.fromkeys(divisor(pairs, depth // run.room) for depth in (64, 192))
    )


def _schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    run, tile_out = Run.of(problem, device), tile["item_vecs"] * tile["vec"]
    pack, packed = pack_weight_block(problem, tile_out, device)
    slice_elements = tile["tile_pixels"] * (tile["chunk_pairs"] * run.room + round_up(problem.group_out, tile_out))
    vectors = problem.batch * ceil_div(problem.out_height * problem.out_width, tile["vec"])
    count, scratch = threads(vectors, slice_elements, problem, device)
    arguments = {**dict(tile.sizes), **run.arguments, **specialisation(problem)}
    launch = Launch(
        Kernel.of("forward_planes", arguments, FLUSH_DENORMALS),
        ("input", *present(problem, "offset", "mask"), "packed_weight", *present(problem, "bias"), "output", "scratch"),
        sizes(problem),
        (count,),
        (1,),
    )
    return Schedule("planes", tile, (launch,), scratch, (), (pack,), packed)


VARIANTS = (Variant("planes", _refuses, _tiles, _schedule, _suits),)
