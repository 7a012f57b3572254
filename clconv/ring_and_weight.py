"""Making the ring, packing the weight and setting temporaries to zero in one launch: none of these waits for another."""

from collections.abc import Sequence
from math import prod

import numpy as np

from clconv.schedule import Fill, Kernel, Launch, Scalar, Step, Value, ceil_div

_QUADS = 32
"""Of 16 bytes, that a work-item sets to zero."""

_UNUSED: dict[str, Value] = {
    "channels": 1, "bits": 32, "per_word": 1, "sizes": True, "block": 1, "tile_pixels": 1, "chunk": 1, "tile_channels": 1,
    "unit": "", "back_unit": "", "vec": 1, "tile_out": 1,
}  # fmt: skip
"""Template arguments of the parts that a launch hasn't: the template names them all."""


def ring_and_weight(
    transpose: Launch | None, *, fore: Launch | None = None, back: Launch | None = None, zeros: Sequence[Fill] = ()
) -> dict[tuple[Step, ...], Launch]:
    """The launch that does what `transpose` (see ring_last), `fore` (pack_weight_matrix) and `back` (pack_weight_back) do.

    It also fills `zeros`, whose sizes are given and whole quads. By the steps that it stands for, in a call's order. Without `transpose`
    a ring is there already.
    """
    parts = {name: part for name, part in (("ring", transpose), ("fore", fore), ("back", back)) if part}
    arguments = {name: dict(part.kernel.arguments) for name, part in parts.items()}
    (items,) = {part["items"] for part in arguments.values()}
    assert isinstance(items, int)
    way: dict[str, Value] = dict(_UNUSED)
    for part in arguments.values():
        way |= part
    way |= {name: name in parts for name in ("ring", "fore", "back")}
    way |= {"unit": arguments["fore"]["unit"]} if fore else {}
    way |= {"back_unit": arguments["back"]["unit"]} if back else {}
    way |= {"zeros": len(zeros), "quads": _QUADS, "wide": any(part["wide"] for part in arguments.values())}
    groups = {name: prod(part.global_size) // items for name, part in parts.items()}
    buffers = tuple(dict.fromkeys(name for part in parts.values() for name in part.buffers))  # the weight once
    scalars: list[Scalar] = [np.int64(fill.size // 16) for fill in zeros]
    scalars += [*(transpose.scalars if transpose else ()), *map(np.int32, groups.values())]
    filled = sum(ceil_div(fill.size, 16 * _QUADS * items) for fill in zeros)
    turns = max(_QUADS, *(part.turns for part in parts.values()))
    buffers = (*buffers, *(fill.buffer for fill in zeros))
    launch = Launch(Kernel.of("ring_and_weight", way), buffers, tuple(scalars), ((sum(groups.values()) + filled) * items,), (items,), turns)
    steps = (transpose, back, *zeros, fore)
    return {tuple(step for step in steps if step): launch}
