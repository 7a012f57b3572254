"""The gradients of offsets that several runs of channels share, on CPUs: whose sums are added where, for any number of threads."""

from dataclasses import replace
from typing import Any

import pytest
from planning import DEVICES, needs_of, problem_of

from clconv import Device
from clconv.check.cases import Case
from clconv.check.run import Subject
from clconv.runs import Run
from clconv.schedule import Launch, Request, Schedule
from clconv.tuning import PASSES, choose

BLOCK = next(variant for variant in PASSES["backward_data"] if variant.name == "block")


def _argument(schedule: Schedule, name: str) -> Any:
    kernels = [step.kernel for step in schedule.steps if isinstance(step, Launch)]
    return next(dict(kernel.arguments)[name] for kernel in kernels if kernel.name == "backward_data_block")


@pytest.mark.parametrize(
    ("compute_units", "offset_groups", "parts"), [(1, 1, 1), (4, 1, 2), (16, 1, 6), (4, 2, 1), (16, 2, 3), (8, 3, 4), (5, 12, 1)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_runs_of_a_task_are_added_up(dtype: str, compute_units: int, offset_groups: int, parts: int, device: Device) -> None:
    """Twelve runs of eight channels in two images."""
    case = Case("shared-offsets", (2, 96, 7, 19), (36, 8, 3, 3), padding=1, offset_groups=offset_groups)
    subject, cut = Subject("backward_data", BLOCK, case, dtype, dtype), replace(device, compute_units=compute_units)
    if (reason := subject.refusal(cut)) is not None:
        pytest.skip(reason)
    schedule = choose("backward_data", subject.request, cut, "block")
    runs = 96 // offset_groups // Run.of(subject.request.problem, cut).size
    assert runs // _argument(schedule, "part_runs") == parts
    assert ("partial_offset" in schedule.temporaries) == (parts > 1 or (runs > 1 and dtype == "float16"))
    plan = subject.plan(cut)
    assert subject.errors(plan) == "" and subject.differences(plan) == ""


@pytest.mark.parametrize("compute_units", [2, 16])
@pytest.mark.parametrize(
    ("dtype", "input", "weight"),
    [
        ("float64", (1, 256, 100, 152), (256, 8, 3, 3)),
        ("float64", (1, 512, 50, 76), (512, 16, 3, 3)),
        ("float32", (8, 512, 50, 76), (512, 16, 3, 3)),
        ("float16", (8, 512, 50, 76), (512, 16, 3, 3)),
        ("float32", (1, 256, 100, 152), (256, 256, 7, 7)),
    ],
)
def test_sums_leave_room_for_the_fast_kernel(dtype: str, input: tuple[int, ...], weight: tuple[int, ...], compute_units: int) -> None:
    problem = problem_of(input, weight, padding=weight[2] // 2, mask=True, dtypes={"input": dtype})
    device = replace(DEVICES["avx512-cpu"], compute_units=compute_units)
    assert choose("backward_data", Request(problem, needs_of("backward_data", problem)), device).variant == "block"
