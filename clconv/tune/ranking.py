"""In which order candidates are tried: a model of their time, from what is known without running anything."""

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

from clconv.schedule import Launch, Request, Schedule, Tile, Variant, ceil_div, round_up

if TYPE_CHECKING:
    from clconv.device import Device

_SAMPLE = 16
"""Multiply-adds that take as long as one bilinear sample: four gathers, their weights, and the mask."""

_FAR = 4
"""How much longer a load takes from the operands as the caller has them than from a panel that was made to be read in this order."""

_LANES = 32
"""Work-items that a GPU takes through each instruction together, or more."""

_UNITS = {"wgmma": 8, "mma": 5, "dmma": 2, "mfma": 5, "wmma": 3, "dpas8": 3, "dpas16": 5}
"""How many multiply-adds a matrix unit does, by variant, while the others do one."""

_MISFIT = 4
"""How much slower a variant is on a kind of device that it isn't made for."""


def cost(which: str, request: Request, device: "Device", variant: Variant, tile: Tile) -> float:
    """Predicted time, relative to other candidates of the same request.

    A multiply-add counts as 1. What is added or multiplied:

    - the loads that it needs, of an item's block of rows x columns sums: 1/rows + 1/columns, a vector being one column; they are
      longer where there is no panel of pixels;
    - its part of a sample, which serves as many outputs as share it;
    - what is computed beyond the problem's size because blocks don't divide it;
    - compute units that stand idle because there are too few work-groups, or in the last round of them, and lanes of a GPU that do
      because a work-group has fewer items;
    - the work of the owner's bands of rows, each of which goes over all outputs, one sum at a time;
    - a factor for kinds of devices that the variant isn't made for.

    Nothing is known of caches, nor of how the tasks of a kernel with a thread for each unit divide: what differs by these alone costs
    the same.
    """
    sizes = dict(tile.sizes)
    schedule = variant.schedule(request, device, tile)
    effort = 1 + _loads(sizes) + _sampling(which, request, sizes)
    misfit = 1 if variant.suits(request, device) else _MISFIT
    return effort * _waste(which, request, sizes) * _idle(schedule, device) * _bands(schedule) * misfit / _UNITS.get(variant.name, 1)


def _loads(sizes: Mapping[str, int]) -> float:
    rows = sizes.get("item_rows") or sizes.get("item_pixels", 1)
    columns = sizes.get("item_vecs") or sizes.get("item_out") or sizes.get("item_channels", 1)
    return (1 if "tile_pixels" in sizes else _FAR) * (1 / rows + 1 / columns)


def _sampling(which: str, request: Request, sizes: Mapping[str, int]) -> float:
    """Without blocks of outputs a sample serves all of its group's; the backward for data never repeats one."""
    outputs = request.problem.group_out
    shared = outputs if which == "backward_data" else sizes.get("tile_out") or sizes.get("item_out") or outputs
    return _SAMPLE / min(outputs, shared)


def _waste(which: str, request: Request, sizes: Mapping[str, int]) -> float:
    problem = request.problem
    extents = {"pixels": problem.out_pixels, "outputs": problem.group_out, "channels": problem.group_in}
    return prod(round_up(extents[axis], block) / extents[axis] for axis, block in _blocks(which, sizes).items())


def _blocks(which: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """What is computed together, by the axes of the pass's product that a tile cuts."""
    vectors = sizes.get("item_vecs", 1) * sizes.get("vec", 1)
    pixels = sizes.get("tile_pixels", 1)
    return {
        "forward": {"pixels": pixels, "outputs": sizes.get("tile_out") or sizes.get("item_out") or vectors},
        "backward_data": {"pixels": pixels, "channels": sizes.get("item_channels") or vectors},
        "backward_weight": {"outputs": sizes.get("item_out") or sizes.get("item_rows", 1), "channels": vectors},
    }[which]


def _main(schedule: Schedule) -> list[Launch]:
    """The launches that sample: transposes, packing and reductions know no offset groups, but for that which may have to sample again."""
    launches = [step for step in schedule.in_order() if isinstance(step, Launch) and step.kernel.name != "forward_sum"]
    return [launch for launch in launches if "offset_groups" in dict(launch.kernel.arguments)] or launches


def _idle(schedule: Schedule, device: "Device") -> float:
    launch = max(_main(schedule), key=_work_groups)
    rounds = ceil_div(_work_groups(launch), device.compute_units)
    lanes = 1 if device.kind == "cpu" else max(1, _LANES / prod(launch.local_size or (_LANES,)))
    return lanes * rounds * device.compute_units / _work_groups(launch)


def _work_groups(launch: Launch) -> int:
    local = launch.local_size or (1,) * len(launch.global_size)
    return prod(ceil_div(size, items) for size, items in zip(launch.global_size, local, strict=True))


def _bands(schedule: Schedule) -> int:
    owners = [launch for launch in _main(schedule) if launch.kernel.name == "backward_input_owner"]
    return max((_MISFIT * launch.global_size[1] for launch in owners), default=1)
