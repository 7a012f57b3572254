"""Over the whole space of arguments: problems are consistent, and random ones agree with the reference."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clconv import Device, ProblemError
from clconv.check.cases import Case
from clconv.check.run import Subject
from clconv.convention import CONVENTIONS
from clconv.problem import Problem
from clconv.tuning import PASSES

SIZES = st.integers(1, 5)
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any small layer: groups, offset groups, kernels, strides, paddings on each side, dilations, borders and NaN."""
    groups, offset_groups = draw(st.integers(1, 3)), draw(st.one_of(st.none(), st.integers(1, 3)))
    channels = groups * (offset_groups or 1) * draw(st.integers(1, 3))
    kernel, dilation = draw(PAIRS), draw(PAIRS)
    padding = tuple(tuple(draw(st.integers(0, 2)) for _ in range(2)) for _ in range(2))
    fits = [max(1, dilation[axis] * (kernel[axis] - 1) + 1 - sum(padding[axis])) for axis in range(2)]
    height, width = (size + draw(st.integers(0, 4)) for size in fits)
    outs = groups * draw(st.integers(1, 3))
    return Case(
        "random",
        (draw(SIZES), channels, height, width),
        (outs, channels // groups, *kernel),
        offset_groups,
        mask=offset_groups is not None and draw(st.booleans()),
        bias=draw(st.booleans()),
        stride=draw(PAIRS),
        padding=padding,
        dilation=dilation,
        convention=draw(st.sampled_from(list(CONVENTIONS))),
        nonfinite=draw(st.sampled_from(["propagate", "zero"])),
        offsets=draw(st.sampled_from(["random", "border", "far", "nan", "integer"])),
    )


@settings(derandomize=True, deadline=None)
@given(cases())
def test_outputs_are_where_the_kernel_fits(case: Case) -> None:
    problem = case.problem()
    for axis, out in enumerate((problem.out_height, problem.out_width)):
        kernel, stride, dilation = case.weight[2 + axis], case.stride[axis], case.dilation[axis]
        before, after = case.padding[axis]
        starts = range(-before, case.input[2 + axis] + after, stride)
        assert out == sum(start + dilation * (kernel - 1) < case.input[2 + axis] + after for start in starts)


@pytest.mark.thorough
@settings(derandomize=True, deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases())
def test_random_layers_agree_with_the_reference(device: Device, case: Case) -> None:
    for which, variants in PASSES.items():
        for variant in variants:
            subject = Subject(which, variant, case)
            if subject.refusal(device) is None:
                assert subject.errors(subject.plan(device)) == "", case


@given(st.one_of(st.none(), st.text(), st.floats(), st.lists(st.integers(-3, 3), max_size=4), st.integers(max_value=0), st.booleans()))
def test_any_wrong_stride_is_a_problem_error(stride: Any) -> None:
    arguments: dict[str, Any] = {
        "offset_groups": 1,
        "mask": False,
        "bias": False,
        "padding": 0,
        "dilation": 1,
        "dtypes": {"input": "float32"},
    }
    if isinstance(stride, list) and len(stride) == 2 and min(stride) > 0:
        assert Problem.create((1, 1, 9, 9), (1, 1, 3, 3), stride=stride, **arguments).stride_y == stride[0]
    else:
        with pytest.raises(ProblemError, match="stride"):
            Problem.create((1, 1, 9, 9), (1, 1, 3, 3), stride=stride, **arguments)


def test_an_array_of_no_dimensions_is_a_stride() -> None:
    assert Problem.create((1, 1, 9, 9), (1, 1, 3, 3), stride=np.array(2), offset_groups=1, mask=False, bias=False, padding=0, dilation=1,
                          dtypes={"input": "float32"}).stride_x == 2  # fmt: skip
