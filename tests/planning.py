"""Devices that aren't here, hard problems, and every schedule that the variants would make for them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, product
from typing import Any
from zlib import crc32

from clconv import backward_data, backward_weight, units
from clconv.bench.ceilings import copy_kernel, multiply_kernel
from clconv.check.cases import BY_NAME, CASES, TYPED
from clconv.convention import CONVENTIONS
from clconv.device import Device
from clconv.nvidia import UNITS
from clconv.problem import Problem
from clconv.schedule import KEPT, Kernel, Launch, Request, Schedule, Tile, Variant, storage
from clconv.tuning import PASSES, refusal

GRADIENTS = {"forward": frozenset[str](), "backward_data": backward_data.GRADIENTS, "backward_weight": backward_weight.GRADIENTS}
"""Which gradients each pass makes."""

_GPU = Device(
    name="GPU", platform="none", vendor="none", driver="0", version="1.2", index="", kind="gpu", compute_units=132, max_work_group=1024,
    max_work_items=(1024, 1024, 64), local_memory=48 << 10, global_memory=80 << 30, max_allocation=20 << 30, vector_width=1,
    unified_memory=False, fp64=True, fp16=True, subgroups=True, base_alignment=512, atomic_float32="cas", atomic_float64="cas",
    loop_limit=None, simulator=False,
)  # fmt: skip

_CPU = replace(
    _GPU, name="CPU", kind="cpu", compute_units=16, max_work_group=8192, max_work_items=(8192, 8192, 8192), local_memory=256 << 10,
    global_memory=64 << 30, max_allocation=32 << 30, vector_width=8, unified_memory=True, base_alignment=128,
)  # fmt: skip

_SMALL: dict[str, Any] = {
    "compute_units": 1, "max_work_group": 64, "max_work_items": (64, 64, 64), "local_memory": 32 << 10, "fp64": False, "fp16": False,
    "subgroups": False, "atomic_float64": None,
}  # fmt: skip

DEVICES = {
    device.name: device
    for device in (
        replace(_GPU, name="limited", vector_width=3, **_SMALL),
        replace(_CPU, name="limited-cpu", vector_width=3, **_SMALL),
        replace(_CPU, name="scalar-cpu", vector_width=1, max_work_group=1024, max_work_items=(1024, 1, 1), atomic_float64=None),
        replace(_CPU, name="sse-cpu", vector_width=4),
        replace(_CPU, name="impatient-cpu", compute_units=2, loop_limit=65535, fp64=False, atomic_float64=None),
        replace(_CPU, name="avx512-cpu", vector_width=16, atomic_float32="ext", atomic_float64="ext"),
        replace(_CPU, name="server-cpu", vector_width=16, compute_units=384),
        replace(_GPU, name="sm_90", atomic_float32="nvidia_quads", atomic_float64="nvidia", local_memory=227 << 10,
                atomic_int64="nvidia", matrix_units=UNITS),
        replace(_GPU, name="sm_86", compute_units=84, atomic_float32="nvidia", atomic_float64="nvidia", atomic_int64="nvidia",
                matrix_units=("mma",)),
        replace(_GPU, name="gfx90a", compute_units=104, max_work_group=256, max_work_items=(256, 256, 256), local_memory=64 << 10,
                atomic_float32="amd", atomic_float64="amd", atomic_int64="khr", matrix_units=("mfma",)),
        replace(_GPU, name="gfx942", compute_units=304, max_work_group=256, max_work_items=(256, 256, 256), local_memory=64 << 10,
                atomic_float32="amd", atomic_float64="amd", atomic_int64="khr", matrix_units=("mfma",)),
        replace(_GPU, name="gfx1030", compute_units=40, max_work_group=256, max_work_items=(256, 256, 256), local_memory=64 << 10),
        replace(_GPU, name="gfx1100", compute_units=48, max_work_group=256, max_work_items=(256, 256, 256), local_memory=64 << 10,
                atomic_float32="amd", matrix_units=("wmma",)),
        replace(_GPU, name="dg2", compute_units=512, max_work_items=(1024, 1024, 1024), local_memory=64 << 10, fp64=False,
                atomic_float32="ext", atomic_float64=None, atomic_int64="khr", matrix_units=("dpas8",)),
        replace(_GPU, name="pvc", compute_units=448, max_work_items=(1024, 1024, 1024), local_memory=64 << 10,
                matrix_units=("dpas16",)),
        replace(_GPU, name="tgllp", compute_units=96, max_work_group=512, max_work_items=(512, 512, 512), local_memory=64 << 10,
                fp64=False, atomic_float64=None, unified_memory=True),
        replace(_GPU, name="emulating", matrix_units=(*units.UNITS, "emulated")),
    )
}  # fmt: skip
"""Extremes of what drivers report, and GPUs by the names that the offline compilers give them."""

_TARGETS = ("limited-cpu", "avx512-cpu", "sm_90", "gfx90a", "gfx1100", "dg2", "pvc", "emulating")
"""Among them, one of each way to add atomically, of each kind, and with each matrix unit."""


def problem_of(input: tuple[int, ...], weight: tuple[int, ...], offset_groups: int | None = 1, **options: Any) -> Problem:
    """A problem from shapes and what differs from the defaults of `Plan`."""
    defaults: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "mask": False, "bias": True, "dtypes": {"input": "float32"}}
    return Problem.create(input, weight, offset_groups=offset_groups, **defaults | options)


LAYERS = {
    "resnet": problem_of((8, 256, 100, 152), (256, 256, 3, 3), padding=1, mask=True),
    "depthwise": problem_of((1, 512, 64, 64), (512, 1, 3, 3), padding=1, mask=True),
    "many-outputs": problem_of((1, 64, 40, 40), (8192, 64, 1, 1)),
    "many-offset-groups": problem_of((2, 256, 64, 64), (256, 256, 3, 3), 64, padding=1, mask=True),
    "kernel-31": problem_of((1, 16, 64, 64), (16, 16, 31, 31), padding=15),
    "detector": problem_of((2, 64, 200, 304), (27, 64, 3, 3), None, padding=1),
}
"""Sizes of real networks, and beyond."""

HUGE = {
    "input": problem_of((1, 4, 30000, 30000), (4, 4, 3, 3), stride=7, mask=True),
    "offset": problem_of((1, 2, 12000, 12000), (2, 2, 3, 3)),
    "output": problem_of((3, 1, 30000, 30000), (1, 1, 1, 1), None),
    "batch": problem_of((1 << 29, 4, 2, 2), (4, 4, 2, 2), mask=True),
    "plane": problem_of((1, 1, 1 << 16, 1 << 16), (1, 1, 3, 3), None, stride=64),
    "behind-images": problem_of((1 << 15, 1 << 15, 1, 1), (1, 1 << 15, 1, 1)),
    "half": problem_of((1, 4, 30000, 30000), (4, 4, 3, 3), stride=7, dtypes={"input": "float16"}),
}
"""Problems in which a tensor, or what a variant makes beside it, has more elements than 32 bits count."""

_DTYPES = (
    {"input": "float64"},
    {"input": "float16"},
    {"input": "bfloat16"},
    {"input": "float16", "offset": "float32", "mask": "float32"},
    {"input": "bfloat16", "offset": "float32", "mask": "float32"},
)

SHAPES = {
    **{f"{case.name}-float32": case.problem() for case in CASES},
    **{f"{case.name}-{dtype}": case.problem(dtype) for case in TYPED for dtype in ("float64", "float16", "bfloat16")},
    **{f"{case.name}-{dtype}-float32": case.problem(dtype, "float32") for case in (BY_NAME["plain"],) for dtype in ("float16", "bfloat16")},
    **LAYERS,
    **{f"huge-{name}": problem for name, problem in HUGE.items()},
}
"""Every problem that is planned for, by name."""

SUBSETS = ("plain-float32", "groups-float32", "plain-float16-float32", "v1-float32", "huge-half")
"""Problems of which each set of gradients is planned for."""


@dataclass(frozen=True)
class Planned:
    """A schedule and what it was made for."""

    which: str
    variant: Variant
    request: Request
    device: Device
    tile: Tile
    schedule: Schedule


def needs_of(which: str, problem: Problem) -> frozenset[str]:
    """All gradients of a pass that the problem has."""
    return GRADIENTS[which] & frozenset(problem.operands())


def requests(which: str, problem: Problem, subsets: bool = False) -> Iterator[Request]:
    """All gradients of a pass, or each set of them, bit-identical or not; some with what a forward leaves."""
    wanted = sorted(needs_of(which, problem))
    least = min(1, len(wanted)) if subsets else len(wanted)
    sets = [frozenset(some) for count in range(least, len(wanted) + 1) for some in combinations(wanted, count)]
    for needs in sets:
        yield from (Request(problem, needs, deterministic) for deterministic in (False, True))
        if problem.offset_groups > 1 or problem.wide:
            deterministic = which == "backward_data" and not problem.has_bias
            yield from (Request(problem, needs, deterministic, frozenset({name})) for name in KEPT)


def plans(which: str, request: Request, device: Device, every: int | None = 1) -> Iterator[Planned]:
    """What every variant of a pass that accepts a request would do with its default tile, the first, and with the others.

    With None those are left out; with 3 each problem has another third of them, so that each is planned for many problems, if not for all.
    """
    turn = crc32(repr(request.problem).encode())
    for variant in PASSES[which]:
        if refusal(variant, request, device) is None:
            default, *others = variant.tiles(request, device)
            for tile in (default, *(others[turn % every :: every] if every else ())):
                yield Planned(which, variant, request, device, tile, variant.schedule(request, device, tile))


def launches(schedule: Schedule) -> list[Launch]:
    """All launches of a schedule, in order: first those of a call whose weight was prepared before, then the others, joined and apart."""
    steps = (*schedule.in_order(prepared=True), *schedule.prepare, *schedule.in_order(), *schedule.shared, *schedule.steps)
    return [step for step in dict.fromkeys(steps) if isinstance(step, Launch)]


def branches() -> Iterator[Problem]:
    """Small problems that take every branch of the templates: convention, NaN, mask, bias, no offsets, narrow groups, types, wide, deep."""
    shapes: dict[str, Any] = {
        "input": (2, 32, 7, 9),
        "weight": (8, 16, 3, 2),
        "stride": (1, 2),
        "padding": ((2, 1), (0, 3)),
        "dilation": (2, 1),
    }
    for convention, nonfinite in product(CONVENTIONS, ("propagate", "zero")):
        for mask, bias in product((False, True), repeat=2):
            yield problem_of(**shapes, offset_groups=4, mask=mask, bias=bias, convention=convention, nonfinite=nonfinite)
    for dtypes in _DTYPES:
        yield problem_of(**shapes, offset_groups=4, mask=True, dtypes=dtypes)
        yield problem_of(**shapes, offset_groups=None, bias=False, dtypes={"input": dtypes["input"]})
        yield problem_of(**shapes | {"input": (2, 32, 7, 9), "weight": (32, 2, 3, 2)}, mask=True, dtypes=dtypes)
    yield from (HUGE[name] for name in ("input", "output", "half"))
    yield from (problem_of((1, 256, 4, 5), (8, 256, 3, 3), 4, mask=True, dtypes={"input": dtype}) for dtype in ("float32", "float16"))


@cache
def kernels() -> dict[str, dict[Kernel, str]]:
    """Every kernel that a device of each kind gets for `branches`, by name, with the variant and tile that it is for."""
    found: dict[str, dict[Kernel, str]] = {}
    for kernel in utilities():
        found.setdefault(kernel.name, {})[kernel] = "utility"
    for which, problem, device in product(PASSES, branches(), _TARGETS):
        for request in requests(which, problem, subsets=problem.convention == "torchvision" and problem.has_mask):
            for plan in plans(which, request, DEVICES[device]):
                for launch in launches(plan.schedule):
                    found.setdefault(launch.kernel.name, {})[launch.kernel] = f"{which} {plan.variant.name} ({plan.tile})"
    return found


def utilities() -> Iterator[Kernel]:
    """Kernels that belong to no pass: what brings arrays in and out, fills, and measures a device's ceilings."""
    yield from (Kernel.of("copy", {"element": element}) for element in ("uchar", "ushort", "uint", "ulong"))
    yield from (Kernel.of("zero", {"element": element}) for element in ("uchar", "uint", "uint4"))
    yield from (copy_kernel(vec) for vec in (4, 8, 16))
    yield from (multiply_kernel(*kind) for kind in (("float", 1), ("float", 8), ("float", 16), ("double", 1), ("double", 4)))
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        for wide in (False, True):
            yield from (Kernel.of("find_nonfinite", {"infinities": flag, **storage(dtype, wide)}) for flag in (False, True))
