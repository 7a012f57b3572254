"""Making the ring, packing the weight and setting a temporary to zero in one launch: none of these waits for another."""

import numpy as np

from clconv.schedule import Fill, Kernel, Launch, Scalar, Step, Value, ceil_div

_QUADS = 32
"""Of 16 bytes, that a work-item sets to zero."""


def ring_and_weight(
    transpose: Launch, pack: Launch, *, back: bool = False, zeros: tuple[str, int] | None = None
) -> dict[tuple[Step, ...], Launch]:
    """The launch that does what `transpose` (see ring_last) and `pack` do, and sets the temporary `zeros`, of so many bytes, to zero.

    By the steps that it stands for. `back` says that `pack` is pack_weight_back, not pack_weight_matrix.
    """
    assert transpose.local_size == pack.local_size is not None
    items = pack.local_size[0]
    ring, weight = dict(transpose.kernel.arguments), dict(pack.kernel.arguments)
    way: dict[str, Value] = {"back": back, "zeros": zeros is not None, "quads": _QUADS, "wide": ring["wide"] or weight["wide"]}
    groups = [transpose.global_size[0] // items, pack.global_size[0] // items]
    steps: tuple[Step, ...] = (transpose, pack)
    buffers = (*transpose.buffers, *pack.buffers)
    scalars: tuple[Scalar, ...] = (*transpose.scalars, np.int32(groups[0]))
    if zeros:
        name, size = zeros
        steps, buffers, scalars = (*steps, Fill(name)), (*buffers, name), (*scalars, np.int32(groups[1]), np.int64(size // 16))
        groups.append(ceil_div(size, 16 * _QUADS * items))
    kernel = Kernel.of("ring_and_weight", {**ring, **weight, **way})
    return {steps: Launch(kernel, buffers, scalars, (sum(groups) * items,), pack.local_size, max(transpose.turns, _QUADS))}
