"""The variants of the forward pass and the tiles that they allow."""

from typing import TYPE_CHECKING

from clconv.schedule import Kernel, Launch, Request, Schedule, Tile, Variant, ceil_div, lanes, present, round_up, sizes, specialisation

if TYPE_CHECKING:
    from clconv.device import Device


def _plain_tiles(request: Request, device: "Device") -> tuple[Tile, ...]:
    outs = request.problem.group_out
    return tuple(Tile.of(item_out=size) for size in (8, 4, 16, 2, 1) if size == 1 or size < 2 * outs)


def _plain_schedule(request: Request, device: "Device", tile: Tile) -> Schedule:
    problem = request.problem
    kernel = Kernel.of("forward_plain", item_out=tile["item_out"], **specialisation(problem))
    size = lanes(device)
    blocks = problem.groups * ceil_div(problem.group_out, tile["item_out"])
    launch = Launch(
        kernel,
        present(problem, "input", "offset", "mask", "weight", "bias", "output"),
        sizes(problem),
        (round_up(problem.out_pixels, size), blocks),
        (size, 1),
    )
    return Schedule("plain", tile, (launch,), {})


VARIANTS = (Variant("plain", lambda request, device: None, _plain_tiles, _plain_schedule),)
