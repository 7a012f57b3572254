"""What kernels for GPUs that read channels innermost need around them: the input's ring, plans, packed weights."""

from typing import TYPE_CHECKING

import numpy as np

from clconv.problem import DTYPES, Problem
from clconv.schedule import (
    KEPT_PLANS,
    KEPT_SAMPLES,
    Kernel,
    Launch,
    Request,
    Value,
    accumulator_bytes,
    ceil_div,
    lanes,
    round_up,
    storage,
    weight_specialisation,
)

if TYPE_CHECKING:
    from clconv.device import Device

_STRIP = 16
"""Columns of a strip, see kernels/strips.cl."""

_MOST_TILE_PIXELS = 256
"""No tile has more: so far a kernel may count pixels beyond a ring's last."""

_PLAN_BYTES = 16

_PLANNED_CHANNELS = range(32, 64)
"""Channels that share a sample where plans are left beside samples."""

_HALVES_PLANNED, _HALVES_TAPS = 512, 9
"""Channels of half types that share a sample, from which on the data's pass is faster with plans that it makes and keeps itself; and
taps beyond which a forward leaves them no plans: 25 take it longer to write than the backward saves, fewer than 25 weren't measured."""

_CHUNK_BYTES, _FEW_CHANNELS, _MANY_OUTPUTS = 128, 32, 128
"""Of samples that a forward leaves: a chunk of a pixel's channels as the input has them; channels that share an offset, at most, or twice
as many where so many outputs take each."""


def ring_last(problem: Problem, device: "Device", doubt_bits: int = 0) -> tuple[Launch, dict[str, int]]:
    """The launch that makes input_ring, the input with its channels innermost in a ring of zeros, in its own type; and that temporary.

    With `doubt_bits` also input_sizes, the largest magnitudes of each pixel and its neighbour; infinite where too much lies further below.
    """
    pixels, bits = ring_pixels(problem), 8 * DTYPES[problem.dtype]
    items = 1 << (lanes(device, 256).bit_length() - 1)
    tile_pixels = min(1024 // bits, items)
    arguments: dict[str, Value] = {
        "channels": problem.in_channels, "block": 64, "tile_pixels": tile_pixels, "items": items, "bits": bits,
        "per_word": 2 if bits == 16 and problem.in_channels % 2 == 0 else 1,
        "sizes": doubt_bits > 0, "doubt_bits": doubt_bits, **storage(problem.dtype, ring_wide(problem)),
    }  # fmt: skip
    scalars = (np.int32(problem.batch), np.int32(problem.height), np.int32(problem.width))
    temporaries = {"input_ring": pixels * problem.in_channels * DTYPES[problem.dtype]} | ({"input_sizes": pixels * 4} if doubt_bits else {})
    size = (ceil_div(pixels, tile_pixels - (doubt_bits > 0)) * items,)
    launch = Launch(Kernel.of("ring_last", arguments), ("input", *temporaries), scalars, size, (items,), 3 * problem.in_channels)
    return launch, temporaries


def ring_first(problem: Problem, device: "Device", block: int = 0) -> tuple[Launch, dict[str, int]]:
    """The launch that brings the ring of the input's gradient, in the accumulator's type, back to grad_input; and that temporary.

    With `block`, so many channels have a ring of their own, and all of these lie one after another.
    It is called scratch, as what the weight's pass needs for itself: the passes of a call run one after another.
    """
    size = 1 << (lanes(device, 256).bit_length() - 1)
    tile, tile_channels, block = min(64, size), 256 // accumulator_bytes(problem), block or problem.in_channels
    run = min(block, tile_channels) if tile_channels % block == 0 else tile_channels
    arguments: dict[str, Value] = {
        "channels": problem.in_channels, "block": block, "run": run, "vec": 4 if block % 4 == 0 else 1, "tile_pixels": tile,
        "tile_channels": tile_channels, "items": size, **storage(problem.dtype, ring_wide(problem)),
    }  # fmt: skip
    scalars = (np.int32(problem.batch), np.int32(problem.height), np.int32(problem.width))
    blocks = ceil_div(problem.batch * problem.height * problem.width, tile), ceil_div(problem.in_channels, tile_channels)
    temporary = {"scratch": round_up(ring_pixels(problem) * problem.in_channels * accumulator_bytes(problem), 16)}
    kernel = Kernel.of("ring_first", arguments)
    turns = 2 * ceil_div(tile * tile_channels, size)
    return Launch(kernel, (*temporary, "grad_input"), scalars, (blocks[0] * size, blocks[1]), (size, 1), turns), temporary


def ring_pixels(problem: Problem) -> int:
    """Pixels of the input's ring, see kernels/ring.cl."""
    return problem.width + 3 + problem.batch * (problem.height + 1) * (problem.width + 1)


def ring_wide(problem: Problem) -> bool:
    """Whether the ring, or another tensor, has more elements than 32 bits count."""
    return problem.wide or ring_pixels(problem) * problem.in_channels >= 1 << 31


def parts(problem: Problem) -> int:
    """In how many halves a factor is cut: float32 in two, unless rounded products are allowed; halves are one."""
    return 2 if problem.dtype == "float32" and problem.precision is None else 1


def kept_plans(request: Request) -> dict[str, int]:
    """The buffer of the plans that a forward leaves, [N][OG][K][P], where it is asked to and they say all that the backward must know.

    Beside samples they are worth it for the data's pass by `mma` where it takes a warp's channels from one sample group.
    """
    problem = request.problem
    channels = problem.in_channels // problem.sample_groups
    if KEPT_SAMPLES in request.kept and channels not in _PLANNED_CHANNELS:
        return {}
    if DTYPES[problem.dtype] < 4 and (channels >= _HALVES_PLANNED or problem.taps > _HALVES_TAPS):
        return {}
    size = _PLAN_BYTES * problem.out_pixels * problem.sample_groups * problem.taps
    leaves = KEPT_PLANS in request.kept and problem.offset_groups and problem.rules.gate == "none" and size < 1 << 33
    return {KEPT_PLANS: size} if leaves else {}


def kept_samples(request: Request, device: "Device") -> dict[str, int]:
    """The buffer of the samples that a forward leaves, see kernels/kept_samples.cl, where it is asked to, and their scales.

    Worth it where few channels share a place, which takes longer than they do; it takes at most an eighth of the device's memory.
    """
    problem = request.problem
    channels = problem.in_channels // problem.sample_groups
    few = channels <= _FEW_CHANNELS or (channels <= 2 * _FEW_CHANNELS and problem.group_out >= _MANY_OUTPUTS)
    if KEPT_SAMPLES not in request.kept or not problem.offset_groups or not few or problem.dtype == "float64":
        return {}
    chunk = _CHUNK_BYTES // DTYPES[problem.dtype]
    chunks = problem.groups * ceil_div(problem.group_in, chunk)
    size = 2 * parts(problem) * chunk * chunks * problem.taps * round_up(problem.out_pixels, chunk)  # pixels, as many together
    left = {KEPT_SAMPLES: size, "kept_scales": 4 * chunks * problem.out_pixels}
    return left if size <= min(device.max_allocation, device.global_memory // 8) else {}


def chunk_plans(problem: Problem, span: int, chunk: int) -> int:
    """The most offset groups that a chunk of channels touches; chunks begin anew every `span` channels, or never (0)."""
    sample, span = problem.in_channels // problem.sample_groups, span or problem.in_channels
    starts = [begin + start for begin in range(0, problem.in_channels, span) for start in range(0, span, chunk)]
    ends = [min(start + chunk, start // span * span + span, problem.in_channels) for start in starts]
    return max((end - 1) // sample - start // sample + 1 for start, end in zip(starts, ends, strict=True))


def fills_tile(problem: Problem) -> bool:
    """Whether a group's outputs and channels fill a good part of a matrix unit's or a work-group's tile."""
    return problem.group_out >= 24 and problem.group_in >= 16


def refuses_ring(problem: Problem) -> str | None:
    """Why kernels that read a ring can't do a problem, if they can't."""
    below = (problem.width + 1) * problem.in_channels
    strip = _STRIP * problem.out_height
    if max(ring_pixels(problem), below, problem.out_height * problem.out_width, strip) >= (1 << 31) - _MOST_TILE_PIXELS:
        return "it counts pixels, and the numbers in a row, in 32 bits"
    return None


def pack_weight(problem: Problem, tile_out: int, device: "Device") -> tuple[Launch, dict[str, int]]:
    """The launch that makes packed_weight [groups][tiles][K * C/groups][tile_out] in the accumulator's type, and that temporary."""
    count = problem.groups * round_up(problem.group_out, tile_out) * problem.taps * problem.group_in
    kernel = Kernel.of("pack_weight", {"tile_out": tile_out, **weight_specialisation(problem)})
    size = lanes(device)
    launch = Launch(kernel, ("weight", "packed_weight"), (), (round_up(count, size),), (size,))
    return launch, {"packed_weight": count * accumulator_bytes(problem)}
