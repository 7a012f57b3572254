"""What kernels that read channels innermost need around them: transposes, packed weights, chunks of channels, vector tiles."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clconv.problem import DTYPES, Problem
from clconv.schedule import Kernel, Launch, Value, accumulator_bytes, ceil_div, lanes, round_up, storage, weight_specialisation

if TYPE_CHECKING:
    from clconv.device import Device

_STRIP = 16
"""Columns of a strip, see kernels/strips.cl."""

TRANSPOSE_BLOCK = 16
"""Pixels that a work-item of a transpose moves: a cache line of float32."""


def channels_last(problem: Problem) -> tuple[Launch, dict[str, int]]:
    """The launch that makes input_last [N][H*W + 1][C] in the accumulator's type, and that temporary."""
    return _transpose("channels_last", problem, ("input", "input_last")), {"input_last": last_bytes(problem)}


def ring_last(problem: Problem, device: "Device", doubt_bits: int = 0) -> tuple[Launch, dict[str, int]]:
    """The launch that makes input_ring, the input with its channels innermost in a ring of zeros, in its own type; and that temporary.

    With `doubt_bits` also input_sizes, the largest magnitude of each pixel and its neighbour; pixels with too much that lies further below
    are marked.
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


def ring_first(problem: Problem, device: "Device") -> tuple[Launch, dict[str, int]]:
    """The launch that brings grad_input_ring, in the accumulator's type, back to grad_input; and that temporary."""
    size = 1 << (lanes(device, 256).bit_length() - 1)
    tile = min(32, size)
    arguments: dict[str, Value] = {
        "channels": problem.in_channels, "tile_pixels": tile, "tile_channels": tile, "items": size,
        **storage(problem.dtype, ring_wide(problem)),
    }  # fmt: skip
    scalars = (np.int32(problem.batch), np.int32(problem.height), np.int32(problem.width))
    blocks = ceil_div(problem.batch * problem.height * problem.width, tile), ceil_div(problem.in_channels, tile)
    temporary = {"grad_input_ring": ring_pixels(problem) * problem.in_channels * accumulator_bytes(problem)}
    kernel = Kernel.of("ring_first", arguments)
    return Launch(kernel, (*temporary, "grad_input"), scalars, (blocks[0] * size, blocks[1]), (size, 1), 2 * tile), temporary


def ring_pixels(problem: Problem) -> int:
    """Pixels of the input's ring, see kernels/ring.cl."""
    return problem.width + 3 + problem.batch * (problem.height + 1) * (problem.width + 1)


def ring_wide(problem: Problem) -> bool:
    """Whether the ring, or another tensor, has more elements than 32 bits count."""
    return problem.wide or ring_pixels(problem) * problem.in_channels >= 1 << 31


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
    if max(ring_pixels(problem), below, problem.out_height * problem.out_width, strip) >= (1 << 31) - 1:
        return "it counts pixels, and the numbers in a row, in 32 bits"
    return None


def channels_first(problem: Problem) -> tuple[Launch, dict[str, int]]:
    """The launch that brings grad_input_last back to grad_input, and that temporary."""
    return _transpose("channels_first", problem, ("grad_input_last", "grad_input")), {"grad_input_last": last_bytes(problem)}


def last_bytes(problem: Problem) -> int:
    """Size of the input with its channels innermost and a pixel of zeros behind each image, in the accumulator's type."""
    return problem.batch * (problem.height * problem.width + 1) * problem.in_channels * accumulator_bytes(problem)


def refuses(problem: Problem) -> str | None:
    """Why these kernels can't do a problem, if they can't."""
    if problem.height * problem.width >= (1 << 31) - 1:
        return "it counts an image's pixels in 32 bits"
    return None


def ends_threads(device: "Device") -> str | None:
    """Why a device's work-items can't each be a thread with all its work, if they can't."""
    if device.loop_limit is None:
        return None
    return f"the driver ends the loops of a work-item after {device.loop_limit} turns"


def _transpose(name: str, problem: Problem, buffers: tuple[str, str]) -> Launch:
    pixels = problem.height * problem.width
    arguments: dict[str, Value] = {"channels": problem.in_channels, "block": TRANSPOSE_BLOCK, **storage(problem.dtype, problem.wide)}
    items = problem.batch * ceil_div(pixels + 1, TRANSPOSE_BLOCK)
    return Launch(Kernel.of(name, arguments), buffers, (np.int32(problem.batch), np.int32(pixels)), (items,))


def pack_weight(problem: Problem, tile_out: int, device: "Device") -> tuple[Launch, dict[str, int]]:
    """The launch that makes packed_weight [groups][tiles][K * C/groups][tile_out] in the accumulator's type, and that temporary."""
    count = problem.groups * round_up(problem.group_out, tile_out) * problem.taps * problem.group_in
    return _pack("pack_weight", {"tile_out": tile_out}, count, problem, device)


def pack_weight_data(problem: Problem, chunks: "Chunks", tile: int, device: "Device") -> tuple[Launch, dict[str, int]]:
    """The same for packed_weight_data [chunks][K][tiles][O/groups][tile], channels innermost."""
    count = chunks.count * problem.taps * round_up(chunks.size, tile) * problem.group_out
    return _pack("pack_weight_data", {"tile": tile, "chunk": chunks.size, "unit": chunks.unit}, count, problem, device)


def _pack(name: str, arguments: dict[str, Value], count: int, problem: Problem, device: "Device") -> tuple[Launch, dict[str, int]]:
    kernel = Kernel.of(name, {**arguments, **weight_specialisation(problem)})
    size = lanes(device)
    packed = name.replace("pack", "packed", 1)
    launch = Launch(kernel, ("weight", packed), (), (round_up(count, size),), (size,))
    return launch, {packed: count * accumulator_bytes(problem)}


@dataclass(frozen=True, slots=True)
class Chunks:
    """The input's channels cut into chunks that one task owns, see kernels/chunks.cl.

    A chunk lies inside one convolution group, and inside one sample group or over whole ones; `parts` chunks make a sample group.
    """

    size: int
    unit: int
    count: int
    parts: int

    @classmethod
    def of(cls, problem: Problem, wanted: int) -> "Chunks":
        """Chunks of about `wanted` channels."""
        sample, group = problem.in_channels // problem.sample_groups, problem.group_in
        if sample <= wanted and group % sample == 0:
            unit, size = group, min(group, wanted // sample * sample)
        else:
            unit = min(sample, group)
            size = min(unit, wanted)
        per_unit = ceil_div(unit, size)
        parts = sample // unit * per_unit if unit <= sample else 1
        return cls(size, unit, problem.in_channels // unit * per_unit, parts)

    @staticmethod
    def refuses(problem: Problem) -> str | None:
        """Why a problem's channels can't be cut like this, if they can't."""
        sample, group = problem.in_channels // problem.sample_groups, problem.group_in
        if sample % group and group % sample:
            return f"offset groups of {sample} channels and convolution groups of {group} lie across each other"
        return None


def vector(problem: Problem, device: "Device") -> int:
    """Elements of the accumulator's type in the device's vectors: a power of two from 2 to 16."""
    width = max(2, min(16, device.vector_width * 4 // accumulator_bytes(problem)))
    return 1 << (width.bit_length() - 1)
