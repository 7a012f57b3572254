"""What the kernels for CPUs need around them: runs of channels innermost in memory, packed weights, equal parts, threads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from clconv.problem import Problem
from clconv.schedule import Kernel, Launch, Request, Tile, Value, accumulator_bytes, ceil_div, round_up, storage, weight_specialisation

if TYPE_CHECKING:
    from clconv.device import Device

FLUSH_DENORMALS = ("-cl-denorms-are-zero",)
"""Denormal numbers count as zero in sums and products: on some CPUs each costs a hundred ordinary ones."""

COPIES_BYTES = 12 << 20
"""What copies of grad_input_last beyond the first may take."""

_LONGEST_RUN = 64

_BLOCK_PIXELS, _BLOCK_FACTORS = 256, 64
"""Pixels, or factors of an output, that a work-item of a transpose moves. Long stretches of a plane are what prefetchers are made for."""

_SCRATCH_BYTES = 12 << 20
"""What all threads' scratch memory may take."""


def refuses(request: Request, device: "Device") -> str | None:
    """Why these kernels can't do a request on a device, if they can't: there each work-item is a thread with all its work."""
    if request.problem.height * request.problem.width >= (1 << 31) - 1:
        return "it counts an image's pixels in 32 bits"
    if device.loop_limit is not None:
        return f"the driver ends the loops of a work-item after {device.loop_limit} turns"
    return None


def vector(problem: Problem, device: "Device") -> int:
    """Elements of the accumulator's type in the device's vectors: a power of two from 2 to 16."""
    width = max(2, min(16, device.vector_width * 4 // accumulator_bytes(problem)))
    return 1 << (width.bit_length() - 1)


def register_tiles(problem: Problem, device: "Device") -> tuple[tuple[int, int], ...]:
    """Rows and vectors of sums that fill the vector registers; first what pads the outputs least.

    6 x 2 of 16 where vectors are of 32 bytes; 6 x 4, 8 x 3 or 12 x 2 of 32 where they are of 64.
    """
    rows, vec = _register_rows(device, 8), vector(problem, device)
    return tuple((rows[width], width) for width in sorted(rows, key=lambda width: (_padded(problem.group_out, width, vec), -width)))


def _register_rows(device: "Device", of_one: int) -> Mapping[int, int]:
    """Rows of sums by vectors a row, widest first; of one vector as many as hide how long a multiply-add takes."""
    return {4: 6, 3: 8, 2: 12, 1: of_one} if device.vector_width >= 16 else {2: 6, 1: of_one}


def _padded(columns: int, width: int, vec: int) -> int:
    """What sums of so many vectors a row pad columns to. One alone loads as often as it multiplies: it pads as two do, if there are two."""
    return round_up(columns, max(width, min(2, ceil_div(columns, vec))) * vec)


def divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is not above `most`, at least 1."""
    return next(size for size in range(max(1, min(number, most)), 0, -1) if number % size == 0)


def threads(tasks: int, slice_elements: int, problem: Problem, device: "Device") -> tuple[int, dict[str, int]]:
    """How many work-items share the tasks, each a thread with a slice of scratch memory; and that temporary."""
    slice_bytes = slice_elements * accumulator_bytes(problem)
    count = max(1, min(device.compute_units, tasks, _SCRATCH_BYTES // slice_bytes))
    return count, {"scratch": count * slice_bytes}


@dataclass(frozen=True, slots=True)
class Run:
    """Channels that are sampled together: they share samples and a convolution group. All runs of a problem are equal.

    `width` is the vector that reads them, `room` their places in memory, a multiple of it. See kernels/run.cl.
    """

    size: int
    width: int

    @classmethod
    def of(cls, problem: Problem, device: "Device") -> "Run":
        """The longest runs that are short enough, or whole groups of channels that no such length divides well.

        The widest vectors that leave at most an eighth of a run's room empty.
        """
        whole, longest = gcd(problem.in_channels // problem.sample_groups, problem.group_in), _longest_run(problem, device)
        found = divisor(whole, longest)
        size = found if 2 * found > min(whole, longest) else whole
        width = vector(problem, device)
        while 8 * round_up(size, width) > 9 * size:
            width //= 2
        return cls(size, width)

    @property
    def room(self) -> int:
        """Places of a run in memory."""
        return round_up(self.size, self.width)

    @property
    def arguments(self) -> Mapping[str, Value]:
        """Template arguments of kernels that know runs."""
        return {"run": self.size, "run_width": self.width}


def narrow(problem: Problem, device: "Device") -> int:
    """Channels of a group, where vectors hold whole groups of at most 8, with as many outputs and the same samples; else 0.

    See kernels/narrow.cl: each channel of a group costs a permutation, which with 16 is more than a product of rows does.
    """
    size, vec = problem.group_in, vector(problem, device)
    shared = problem.in_channels // problem.sample_groups
    return size if size == problem.group_out and size <= 8 and vec % size == 0 and shared % vec == 0 else 0


def joined(problem: Problem, device: "Device") -> Problem:
    """The problem as the kernels walk over it: its narrow groups joined to groups of a run."""
    if not narrow(problem, device):
        return problem
    vec = vector(problem, device)
    run = vec * divisor(problem.in_channels // problem.sample_groups // vec, _longest_run(problem, device) // vec)
    return replace(problem, groups=problem.in_channels // run)


def _longest_run(problem: Problem, device: "Device") -> int:
    """64 channels; or fewer, down to a vector, where a backward pass would have too few tasks: images' runs, for each copy it may make."""
    longest, vec = _LONGEST_RUN, vector(problem, device)
    image = problem.height * problem.width * problem.in_channels * accumulator_bytes(problem)
    tasks = problem.batch * problem.in_channels * (1 + COPIES_BYTES // (problem.batch * image))
    while longest >= 2 * vec and tasks < longest * device.compute_units:
        longest //= 2
    return longest


def channels_last(problem: Problem, device: "Device") -> tuple[Launch, dict[str, int]]:
    """The launch that makes input_last [N][C/run][H*W + 1][room] in the accumulator's type, and that temporary."""
    return _transpose("channels_last", problem, ("input", "input_last"), {}, device), {"input_last": last_bytes(problem, device)}


def channels_first(problem: Problem, copies: int, device: "Device") -> tuple[Launch, dict[str, int]]:
    """The launch that adds the copies of grad_input_last to grad_input, and that temporary."""
    launch = _transpose("channels_first", problem, ("grad_input_last", "grad_input"), {"copies": copies}, device)
    return launch, {"grad_input_last": copies * last_bytes(problem, device)}


def last_bytes(problem: Problem, device: "Device") -> int:
    """Size of the input in runs, with a pixel of zeros behind each image."""
    run = Run.of(problem, device)
    places = problem.in_channels // run.size * run.room
    return problem.batch * (problem.height * problem.width + 1) * places * accumulator_bytes(problem)


def _transpose(name: str, problem: Problem, buffers: tuple[str, str], more: Mapping[str, Value], device: "Device") -> Launch:
    run, pixels = Run.of(problem, device), problem.height * problem.width
    images = problem.batch * (problem.in_channels // run.size)
    arguments = {"block": _BLOCK_PIXELS, "vec": max(2, run.width), **more, **run.arguments, **storage(problem.dtype, wide(problem, device))}
    items = images * (pixels // _BLOCK_PIXELS + 1)
    return Launch(Kernel.of(name, arguments), buffers, (np.int32(images), np.int32(pixels)), (items,), (1,))


def wide(problem: Problem, device: "Device", copies: int = 1) -> bool:
    """Whether a tensor, or so many copies of the input in runs, has more elements than 32 bits count."""
    return problem.wide or copies * last_bytes(problem, device) // accumulator_bytes(problem) >= 1 << 31


def pack_weight_block(problem: Problem, tile_out: int, device: "Device") -> tuple[Launch, dict[str, int]]:
    """The launch that makes packed_weight [groups][tiles][runs * K * room][tile_out] in the accumulator's type, and that temporary."""
    if narrow(problem, device):
        return _pack_narrow(problem, "packed_weight", False, device)
    run, vec = Run.of(problem, device), vector(problem, device)
    outs = problem.groups * round_up(problem.group_out, tile_out)
    cut = {"tile_out": tile_out, "vec": vec, "block": _BLOCK_FACTORS, **run.arguments}
    kernel = Kernel.of("pack_weight_block", {**cut, **weight_specialisation(problem)})
    items = outs // vec * ceil_div(problem.taps * problem.group_in, _BLOCK_FACTORS)
    launch = Launch(kernel, ("weight", "packed_weight"), (), (items,), (1,))
    return launch, {"packed_weight": outs * problem.taps * (problem.group_in // run.size) * run.room * accumulator_bytes(problem)}


def pack_weight_data(problem: Problem, chunk_runs: int, tile: int, device: "Device") -> tuple[Launch, dict[str, int]]:
    """The same for packed_weight_data [chunks][K][tiles][O/groups][tile], channels innermost, a chunk of so many runs."""
    if narrow(problem, device):
        return _pack_narrow(problem, "packed_weight_data", True, device)
    run = Run.of(problem, device)
    chunks = problem.in_channels // (chunk_runs * run.size)
    kernel = Kernel.of("pack_weight_data", {"chunk_runs": chunk_runs, "tile": tile, **run.arguments, **weight_specialisation(problem)})
    launch = Launch(kernel, ("weight", "packed_weight_data"), (), (chunks * problem.group_out,), (1,))
    count = chunks * problem.taps * round_up(chunk_runs * run.room, tile) * problem.group_out
    return launch, {"packed_weight_data": count * accumulator_bytes(problem)}


def _pack_narrow(problem: Problem, packed: str, to_channels: bool, device: "Device") -> tuple[Launch, dict[str, int]]:
    run = Run.of(joined(problem, device), device)
    kernel = Kernel.of("pack_weight_narrow", {"run": run.size, "to_channels": to_channels, **weight_specialisation(problem)})
    items = problem.in_channels // run.size * problem.taps * problem.group_in
    return Launch(kernel, ("weight", packed), (), (items,), (1,)), {packed: items * run.size * accumulator_bytes(problem)}


def chunk_tiles(problem: Problem, device: "Device", more: int, bands: Callable[[int], int]) -> tuple[Tile, ...]:
    """Tiles of the backward passes: first those that keep the threads busy for the shortest time, sums that fill the vector registers.

    A task is a chunk of channels, one of `more` (images, or taps), and one band of its pixels, of `bands` for that many tasks. It costs its
    channels, as far as its sums pad them, and its samples, which cost about as much as 16 channels.
    """
    vec, run = vector(problem, device), Run.of(problem, device)
    rows = _register_rows(device, 12)
    found = dict[Tile, float]()
    for channels in (64, 32, 16):
        runs = divisor(problem.group_in // run.size, max(1, channels // run.room))
        tasks = more * problem.in_channels // (runs * run.size)
        for count in (bands(tasks), 1):
            turns = ceil_div(tasks * count, device.compute_units) / count
            for width in rows:
                if width * vec < 2 * runs * run.room or width == 1:
                    time = turns * (_padded(runs * run.room, width, vec) + 16)
                    tile = Tile.of(vec=vec, item_rows=rows[width], item_vecs=width, tile_pixels=96, chunk_runs=runs, bands=count)
                    found.setdefault(tile, time)
    return tuple(sorted(found, key=lambda tile: found[tile]))
