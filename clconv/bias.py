"""grad_bias, as every variant makes it that has no way of its own."""

from typing import TYPE_CHECKING

import numpy as np

from clconv.row_sums import PARTIAL_BYTES
from clconv.schedule import (
    Kernel,
    Launch,
    Request,
    Step,
    accumulator_bytes,
    ceil_div,
    lanes,
    reduction,
    sizes,
    weight_specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device


def bias_steps(request: Request, device: "Device") -> tuple[tuple[Step, ...], dict[str, int]]:
    """The steps where grad_bias is wanted, with the temporary of their partial sums."""
    problem = request.problem
    if "bias" not in request.needs:
        return (), {}
    outs, items = problem.out_channels, 1 << (lanes(device, 256).bit_length() - 1)
    room = max(1, PARTIAL_BYTES // (outs * accumulator_bytes(problem)))
    wanted = ceil_div(8 * device.compute_units, outs)
    if device.loop_limit:
        wanted = max(wanted, ceil_div(2 * problem.out_pixels, items * device.loop_limit))
    split_pixels = max(items, ceil_div(problem.out_pixels, min(room, wanted)))
    parts = ceil_div(problem.out_pixels, split_pixels)
    images = ceil_div(split_pixels, problem.out_height * problem.out_width) + 1
    launch = Launch(
        Kernel.of("backward_bias_plain", {"items": items, "partial": parts > 1, **weight_specialisation(problem)}),
        ("grad_output", "partial_bias" if parts > 1 else "grad_bias"),
        (*sizes(problem), np.int64(split_pixels)),
        (parts * outs * items,),
        (items,),
        ceil_div(split_pixels, items) + 2 * images + items.bit_length(),
    )
    if parts == 1:
        return (launch,), {}
    reduce = reduction("partial_bias", "grad_bias", problem.dtype, parts, outs, device)
    return (launch, reduce), {"partial_bias": parts * outs * accumulator_bytes(problem)}
