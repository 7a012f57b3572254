"""Making the ring, packing the weight and setting a temporary to zero in one launch: none of these waits for another."""

from math import prod

import numpy as np

from clconv.schedule import Fill, Kernel, Launch, Scalar, Step, Value, ceil_div

_QUADS = 32
"""Of 16 bytes, that a work-item sets to zero."""

_UNUSED: dict[str, Value] = {
    "channels": 1, "bits": 32, "per_word": 1, "sizes": True, "block": 1, "tile_pixels": 1, "chunk": 1, "tile_channels": 1,
    "unit": "", "vec": 1, "tile_out": 1,
}  # fmt: skip
"""Template arguments of the parts that a launch hasn't: the template names them all."""


def ring_and_weight(
    transpose: Launch | None, pack: Launch, *, back: bool = False, zeros: tuple[str, int] | None = None
) -> dict[tuple[Step, ...], Launch]:
    """The launch that does what `transpose` (see ring_last) and `pack` do, and sets the temporary `zeros`, of so many bytes, to zero.

    By the steps that it stands for. `back` says that `pack` is pack_weight_back, not pack_weight_matrix; without `transpose`, a ring is
    there already.
    """
    assert pack.local_size is not None
    items = pack.local_size[0]
    parts = [step for step in (transpose, pack) if step]
    arguments = [dict(part.kernel.arguments) for part in parts]
    way: dict[str, Value] = dict(_UNUSED)
    for part in arguments:
        way |= part
    way |= {"ring": transpose is not None, "back": back, "zeros": zeros is not None, "quads": _QUADS}
    way["wide"] = any(part["wide"] for part in arguments)
    groups = [prod(part.global_size) // items for part in parts]
    steps: tuple[Step, ...] = tuple(parts)
    buffers = tuple(name for part in parts for name in part.buffers)
    scalars: tuple[Scalar, ...] = (*transpose.scalars, np.int32(groups[0])) if transpose else ()
    if zeros:
        name, size = zeros
        steps, buffers, scalars = (*steps, Fill(name)), (*buffers, name), (*scalars, np.int32(groups[-1]), np.int64(size // 16))
        groups.append(ceil_div(size, 16 * _QUADS * items))
    turns = max(_QUADS, *(part.turns for part in parts))
    return {steps: Launch(Kernel.of("ring_and_weight", way), buffers, scalars, (sum(groups) * items,), (items,), turns)}
