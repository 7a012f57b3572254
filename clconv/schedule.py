"""What a pass does on a device, as data: launches, fills and temporaries. No OpenCL here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from clconv.problem import DTYPES, OPERANDS, Problem

if TYPE_CHECKING:
    from clconv.device import Device

Scalar: TypeAlias = np.int32 | np.int64
Value: TypeAlias = str | int | bool

KEPT_SAMPLES, KEPT_PLANS = KEPT = ("kept_samples", "kept_plans")
"""What a forward may leave to the backward: samples, or what is known of each before any channel is read. Its buffers are called kept_."""

MOST_GROUPS = 4096
"""Work-groups in any dimension but the first where their number is free: NVIDIA's driver takes 65,535 at most."""


@dataclass(frozen=True)  # without slots: its hash, of dozens of arguments, is asked for in every launch and kept
class Kernel:
    """A kernel specialised by its template arguments: this, and nothing else, is the key of the program cache.

    `name` is both the stem of the file in kernels/ and the function in it.
    """

    name: str
    arguments: tuple[tuple[str, Value], ...]
    options: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.arguments, self.options))

    @classmethod
    def of(cls, name: str, arguments: Mapping[str, Value], options: tuple[str, ...] = ()) -> "Kernel":
        """A kernel from its template arguments by name."""
        return cls(name, tuple(sorted(arguments.items())), options)


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel launch: the names of its buffers, then its scalars, in the order of the kernel's parameters.

    `turns` bounds the loop turns of a work-item, short loops of constant length unrolled where they hold no branch; a kernel with work
    for a whole thread states none.
    """

    kernel: Kernel
    buffers: tuple[str, ...]
    scalars: tuple[Scalar, ...]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None = None
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """Set the first `size` bytes of a buffer to zero: a caller's may be longer than the array that begins it."""

    buffer: str
    size: int


Step: TypeAlias = Launch | Fill


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """The steps of one pass in order, and the temporaries that they need, by name, in bytes.

    `shared` comes first: steps on the operands alone that several passes of one call have in common. `prepare` depends on the weight
    alone: its temporaries, `kept`, may outlive a call when the weight stays. Steps that follow one another in a call and that are a key of
    `joined` are done by that one launch: small layers wait for launches. `ahead` are a backward's first steps that a forward may do.
    """

    variant: str
    tile: "Tile"
    steps: tuple[Step, ...]
    temporaries: Mapping[str, int]
    shared: tuple[Step, ...] = ()
    prepare: tuple[Step, ...] = ()
    kept: Mapping[str, int] = field(default_factory=dict)
    joined: Mapping[tuple[Step, ...], Launch] = field(default_factory=dict)
    ahead: tuple[Step, ...] = ()

    def in_order(self, prepared: bool = False) -> tuple[Step, ...]:
        """All steps of a call, without those that prepare the weight where that has been done."""
        steps = (*self.shared, *(() if prepared else self.prepare), *self.steps)
        for parts, launch in self.joined.items():
            for at in range(len(steps) - len(parts) + 1):
                if steps[at : at + len(parts)] == parts:
                    steps = (*steps[:at], launch, *steps[at + len(parts) :])
        return steps

    @property
    def workspace_bytes(self) -> int:
        """Bytes of all temporaries."""
        return sum(self.temporaries.values()) + sum(self.kept.values())


def together(schedules: Sequence[Schedule]) -> Schedule:
    """The passes of one call, one after another: what they share is done once, and temporaries of one name are one buffer."""
    temporaries: dict[str, int] = {}
    kept: dict[str, int] = {}
    for schedule in schedules:
        for sizes_, more in ((temporaries, schedule.temporaries), (kept, schedule.kept)):
            sizes_ |= {name: max(size, sizes_.get(name, 0)) for name, size in more.items()}
    return Schedule(
        " + ".join(schedule.variant for schedule in schedules),
        Tile(tuple(size for schedule in schedules for size in schedule.tile.sizes)),
        tuple(step for schedule in schedules for step in schedule.steps),
        temporaries,
        tuple(dict.fromkeys(step for schedule in schedules for step in schedule.shared)),
        tuple(step for schedule in schedules for step in schedule.prepare),
        kept,
        {parts: launch for schedule in schedules for parts, launch in schedule.joined.items()},
        tuple(step for schedule in schedules for step in schedule.ahead),
    )


@dataclass(frozen=True, slots=True)
class Tile:
    """Named sizes of a variant's blocking, such as pixels and outputs of a work-group."""

    sizes: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, **sizes: int) -> "Tile":
        """A tile from its sizes by name."""
        return cls(tuple(sizes.items()))

    def __getitem__(self, name: str) -> int:
        return dict(self.sizes)[name]

    def __str__(self) -> str:
        return " ".join(f"{name}={size}" for name, size in self.sizes) or "-"


@dataclass(frozen=True, slots=True)
class Request:
    """What a pass is asked for: the problem, and for a backward pass which gradients and whether bit-identical.

    `kept` names what the forward may leave to the backward, of `KEPT`: whoever can do so writes or reads it.
    """

    problem: Problem
    needs: frozenset[str] = frozenset()
    deterministic: bool = False
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to do a pass.

    Attributes
    ----------
    name : str
        How tests, benchmarks and `repr(plan)` call it.
    supports : callable
        (request, device) -> None, or one sentence that says why not: the user's error and the benchmark's empty cell.
    candidates : callable
        (request, device) -> tiles that fit the device, the default first; `tiles` leaves out those that meet an obstacle.
    schedule : callable
        (request, device, tile) -> Schedule.
    suits : callable
        (request, device) -> whether this is the kind of device that it is made for; others get it only if nothing else runs.
    guarded : bool
        Whether it must pass a check on a device before it is chosen there; the plain ways, which everything falls back to, need none.
    """

    name: str
    supports: "Callable[[Request, Device], str | None]"
    candidates: "Callable[[Request, Device], tuple[Tile, ...]]"
    schedule: "Callable[[Request, Device, Tile], Schedule]"
    suits: "Callable[[Request, Device], bool]" = lambda request, device: True
    guarded: bool = True

    def tiles(self, request: Request, device: "Device") -> tuple[Tile, ...]:
        """The legal tiles, the default first."""
        return tuple(tile for tile, reason in _obstacles(self, request, device).items() if reason is None)

    def refusal(self, request: Request, device: "Device") -> str | None:
        """Why it can't do the request on this device, as one sentence; None if it can."""
        if reason := self.supports(request, device):
            return reason
        obstacles = tuple(_obstacles(self, request, device).values())
        return None if None in obstacles else obstacles[0]


@lru_cache(maxsize=16)  # who asks whether a variant can do something asks for its tiles next
def _obstacles(variant: Variant, request: Request, device: "Device") -> dict[Tile, str | None]:
    return {tile: obstacle(variant.schedule(request, device, tile), request, device) for tile in variant.candidates(request, device)}


def obstacle(schedule: Schedule, request: Request, device: "Device") -> str | None:
    """What keeps a schedule from this device, as one sentence: its workspace, or a driver that ends long loops.

    A call may take 1.25 * (input + grad_input, in the accumulator's type) + packed weights + 32 MiB. A backward's pass for weight and bias
    gets 20 of the last, others 16: its two share most. The input's bit-identical may take twice that. What a forward leaves comes on top.
    """
    images = (2 if request.needs else 1) * prod(request.problem.shapes()["input"]) * accumulator_bytes(request.problem)
    times = 2 if request.deterministic and "input" in request.needs else 1
    used = sum(size for name, size in {**schedule.temporaries, **schedule.kept}.items() if not name.startswith(("packed_", "kept_")))
    if used > times * (images * 5 // 4 + ((20 if "weight" in request.needs else 16) << 20)):
        return "it would need more workspace than a call may take"
    turns = max(step.turns for step in schedule.in_order() if isinstance(step, Launch))
    if device.loop_limit is not None and turns > device.loop_limit:
        return f"the driver ends the loops of a work-item after {device.loop_limit} turns"
    return None


def specialisation(problem: Problem) -> dict[str, Value]:
    """Template arguments of a kernel that samples; batch and image size are passed at run time."""
    return {
        **weight_specialisation(problem),
        "offset_dtype": problem.offset_dtype,
        "mask_dtype": problem.mask_dtype,
        "offset_groups": problem.offset_groups,
        "stride_y": problem.stride_y,
        "stride_x": problem.stride_x,
        "pad_top": problem.pad_top,
        "pad_bottom": problem.pad_bottom,
        "pad_left": problem.pad_left,
        "pad_right": problem.pad_right,
        "dilation_y": problem.dilation_y,
        "dilation_x": problem.dilation_x,
        "has_mask": problem.has_mask,
        "has_bias": problem.has_bias,
        "border": problem.rules.border,
        "gate": problem.rules.gate,
        "nonfinite": "propagate" if problem.nonfinite == "raise" else problem.nonfinite,
    }


def weight_specialisation(problem: Problem) -> dict[str, Value]:
    """Those of them that suffice for kernels which read the weight or the gradient of the output alone."""
    return {
        **storage(problem.dtype, problem.wide),
        "in_channels": problem.in_channels,
        "out_channels": problem.out_channels,
        "groups": problem.groups,
        "kernel_y": problem.kernel_y,
        "kernel_x": problem.kernel_x,
    }


def present(problem: Problem, *names: str) -> tuple[str, ...]:
    """Those of `names` that the problem has: kernels have no parameter for an operand that isn't there."""
    have = problem.operands()
    return tuple(name for name in names if name not in OPERANDS or name in have)


def sizes(problem: Problem) -> tuple[Scalar, ...]:
    """The run-time sizes, in the order that every kernel takes them: batch, height, width, out_height, out_width."""
    values = (problem.batch, problem.height, problem.width, problem.out_height, problem.out_width)
    return tuple(np.int32(value) for value in values)


def lanes(device: "Device", wanted: int = 64) -> int:
    """Work-group size for kernels whose work-items don't cooperate."""
    return max(1, min(wanted, device.max_work_group, device.max_work_items[0]))


def storage(dtype: str, wide: bool) -> dict[str, Value]:
    """Template arguments of kernels that know one element type and no problem."""
    accumulator = "float64" if dtype == "float64" else "float32"
    return {"dtype": dtype, "offset_dtype": dtype, "mask_dtype": dtype, "accumulator": accumulator, "wide": wide}


def reduction(source: str, result: str, dtype: str, parts: int, count: int, device: "Device") -> Launch:
    """Sum `parts` partial results of `count` elements each, in order, and round the sum to `dtype`."""
    kernel = Kernel.of("reduce", {"parts": parts, **storage(dtype, parts * count >= 1 << 31)})
    size = lanes(device)
    return Launch(kernel, (source, result), (np.int64(count),), (round_up(count, size),), (size,), parts)


def accumulator_bytes(problem: Problem) -> int:
    """Size of one element of the accumulator's type."""
    return DTYPES[problem.accumulator]


def ceil_div(a: int, b: int) -> int:
    """The least integer that is not below a / b."""
    return -(-a // b)


def round_up(a: int, b: int) -> int:
    """The least multiple of b that is not below a."""
    return ceil_div(a, b) * b
