"""What a pass does on a device, as data: launches, fills and temporaries. No OpenCL here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from clconv.problem import DTYPES, OPERANDS, Problem

if TYPE_CHECKING:
    from clconv.device import Device

Scalar: TypeAlias = np.int32 | np.int64
Value: TypeAlias = str | int | bool


MOST_GROUPS = 4096
"""Work-groups in any dimension but the first where their number is free: NVIDIA's driver takes 65,535 at most."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel specialised by its template arguments: this, and nothing else, is the key of the program cache.

    `name` is both the stem of the file in kernels/ and the function in it.
    """

    name: str
    arguments: tuple[tuple[str, Value], ...]
    options: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, arguments: Mapping[str, Value], options: tuple[str, ...] = ()) -> "Kernel":
        """A kernel from its template arguments by name."""
        return cls(name, tuple(sorted(arguments.items())), options)


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel launch: the names of its buffers, then its scalars, in the order of the kernel's parameters."""

    kernel: Kernel
    buffers: tuple[str, ...]
    scalars: tuple[Scalar, ...]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """Set a whole buffer to zero bytes."""

    buffer: str


Step: TypeAlias = Launch | Fill


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """The steps of one pass in order, and the temporaries that they need, by name, in bytes.

    `prepare` depends on the weight alone: its temporaries, `kept`, may outlive a call when the weight stays.
    """

    variant: str
    tile: "Tile"
    steps: tuple[Step, ...]
    temporaries: Mapping[str, int]
    prepare: tuple[Step, ...] = ()
    kept: Mapping[str, int] = field(default_factory=dict)

    @property
    def workspace_bytes(self) -> int:
        """Bytes of all temporaries."""
        return sum(self.temporaries.values()) + sum(self.kept.values())


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
    """What a pass is asked for: the problem, and for a backward pass which gradients and whether bit-identical."""

    problem: Problem
    needs: frozenset[str] = frozenset()
    deterministic: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to do a pass.

    Attributes
    ----------
    name : str
        How tests, benchmarks and `repr(plan)` call it.
    supports : callable
        (request, device) -> None, or one sentence that says why not: the user's error and the benchmark's empty cell.
    tiles : callable
        (request, device) -> the legal tiles, the default first.
    schedule : callable
        (request, device, tile) -> Schedule.
    suits : callable
        (request, device) -> whether this is the kind of device that it is made for; others get it only if nothing else runs.
    guarded : bool
        Whether it must pass a check on a device before it is chosen there; the plain ways, which everything falls back to, need none.
    """

    name: str
    supports: "Callable[[Request, Device], str | None]"
    tiles: "Callable[[Request, Device], tuple[Tile, ...]]"
    schedule: "Callable[[Request, Device, Tile], Schedule]"
    suits: "Callable[[Request, Device], bool]" = lambda request, device: True
    guarded: bool = True


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
    return Launch(kernel, (source, result), (np.int64(count),), (round_up(count, size),), (size,))


def accumulator_bytes(problem: Problem) -> int:
    """Size of one element of the accumulator's type."""
    return DTYPES[problem.accumulator]


def ceil_div(a: int, b: int) -> int:
    """The least integer that is not below a / b."""
    return -(-a // b)


def round_up(a: int, b: int) -> int:
    """The least multiple of b that is not below a."""
    return ceil_div(a, b) * b
