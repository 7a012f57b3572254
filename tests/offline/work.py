"""Which kernels each target compiles: what the variants launch on it, by default tiles, for a few problems that have every branch.

And what a step launches there whose forward keeps what its backward can use.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from planning import DEVICES, HUGE, branches, launches, plans, problem_of, requests, utilities

from clconv.device import Device
from clconv.problem import Problem
from clconv.schedule import Kernel, Variant
from clconv.schedules import Schedules
from clconv.tuning import PASSES
from offline.targets import Target

_SHAPES: dict[str, Any] = {"input": (64, 64, 56, 60), "weight": (64, 64, 3, 3), "padding": 1}

PROBLEMS = {
    "v2": problem_of(**_SHAPES, mask=True),
    "small": problem_of((1, 64, 20, 20), (64, 64, 3, 3), padding=1, mask=True),
    "few-pixels": problem_of((1, 256, 25, 38), (64, 256, 3, 3), padding=1, mask=True),
    "conv": problem_of(**_SHAPES, offset_groups=None),
    "groups": problem_of((64, 96, 57, 40), (96, 48, 3, 3), 4, stride=2, padding=1, convention="chainer", bias=False),
    "narrow": problem_of(**_SHAPES | {"weight": (64, 8, 3, 3)}, mask=True),
    "float16": problem_of(**_SHAPES, mask=True, convention="mmcv", dtypes={"input": "float16", "offset": "float32", "mask": "float32"}),
    "bfloat16": problem_of(**_SHAPES, mask=True, convention="openvino", nonfinite="zero", dtypes={"input": "bfloat16"}),
    "float64": problem_of(**_SHAPES, mask=True, dtypes={"input": "float64"}),
    "wide": HUGE["input"],
}
"""Problems of the table."""

_STEPS = {
    "v2": PROBLEMS["v2"],
    "float16": PROBLEMS["float16"],
    "few-channels": problem_of((1, 64, 180, 320), (64, 64, 3, 3), 8, padding=1, mask=True),
    "more-channels": problem_of((8, 256, 50, 76), (256, 256, 3, 3), 8, padding=1, mask=True),
    "half-channels": problem_of((8, 256, 50, 76), (256, 256, 3, 3), 8, padding=1, mask=True, dtypes={"input": "float16"}),
}
"""Problems of kept steps: plans, samples, or both are left, of few and more channels that share an offset."""

_BRANCHES = {f"branch {number}": problem for number, problem in enumerate(branches())}


@dataclass(frozen=True, order=True)
class Row:
    """What a row of the table is about; `variant` has its pass before it."""

    target: str
    problem: str
    variant: str
    kernel: str

    def __str__(self) -> str:
        return f"{self.target}, {self.problem}: {self.kernel} of {self.variant}"


def work(target: Target) -> dict[Row, set[Kernel]]:
    """The kernels of each row of a target; a row has several where a schedule launches one more than once, such as reduce.

    Hardware compiles the variants that are made for its kind; the checks compile all.
    """
    found: dict[Row, set[Kernel]] = {}
    problems = PROBLEMS | _BRANCHES if target.branches else PROBLEMS
    for device in _devices(target):
        for which, name, variant, kernel in _launched(problems, device):
            if not target.is_hardware or _made_for(which, variant, device):
                found.setdefault(Row(target.name, name, f"{which}/{variant.name}", kernel.name), set()).add(kernel)
    for device in _devices(target) if target.is_hardware else ():
        for name, way, kernel in _of_steps(device):
            found.setdefault(Row(target.name, name, way, kernel.name), set()).add(kernel)
    for kernel in utilities() if not target.is_hardware else ():
        found.setdefault(Row(target.name, "any", "utility", kernel.name), set()).add(kernel)
    return found


def _devices(target: Target) -> Iterator[Device]:
    """Checks get the atomic addition that every device has; the vendors' own are for their compilers."""
    for name in target.devices:
        device = DEVICES[name]
        portable = replace(device, atomic_float32="cas", atomic_int64="carry", atomic_float64=device.atomic_float64 and "cas")
        yield device if target.is_hardware else portable


def _launched(problems: Mapping[str, Problem], device: Device) -> Iterator[tuple[str, str, Variant, Kernel]]:
    for which in PASSES:
        for name, problem in problems.items():
            for request in requests(which, problem, subsets=name == "v2"):
                for plan in plans(which, request, device, every=None):
                    yield from ((which, name, plan.variant, launch.kernel) for launch in launches(plan.schedule))


class _Trusting(Schedules):
    """Choices as they are where all variants pass their self-check."""

    def _trusts(self, which: str, variant: Variant) -> bool:
        return True


def _of_steps(device: Device) -> Iterator[tuple[str, str, Kernel]]:
    for name, problem in _STEPS.items():
        schedules = _Trusting(problem, False, device, {})
        both = {"forward": schedules.forward(keep=True), "backward": schedules.backward(frozenset(problem.operands()), keep=True)}
        for which, schedule in both.items():
            yield from ((name, f"{which} kept/{schedule.variant}", launch.kernel) for launch in launches(schedule))


def _made_for(which: str, variant: Variant, device: Device) -> bool:
    asked = [request for problem in PROBLEMS.values() for request in requests(which, problem)]
    return any(variant.suits(request, device) for request in asked)
