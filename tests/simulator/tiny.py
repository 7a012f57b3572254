"""Tiny problems that between them take every branch of every kernel, small enough for a simulator that checks each access.

Not collected by itself, for test_kernels has all of it on real devices.
"""

import re
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pyopencl.array as cla
import pytest

from clconv import Device, Plan, ProblemError, reference
from clconv.arrays import copy
from clconv.bench.ceilings import copy_kernel, multiply_kernel
from clconv.check.cases import Case
from clconv.check.run import Subject
from clconv.execute import run
from clconv.problem import Problem
from clconv.queues import queue_for
from clconv.schedule import Launch
from clconv.tuning import PASSES

_TINY = Case("tiny", (1, 4, 3, 4), (3, 4, 2, 3), offsets="border")


def _rules(convention: str, offsets: str, nonfinite: str = "propagate") -> Case:
    name = f"tiny-{convention}-{offsets}-{nonfinite}"
    return replace(_TINY, name=name, convention=convention, offsets=offsets, nonfinite=nonfinite)


_BORDER, _FAR, _NAN, _NAN_ZERO = (
    _rules(*rules) for rules in (("torchvision", "border"), ("torchvision", "far"), ("mmcv", "nan"), ("chainer", "nan", "zero"))
)
_CONV = replace(_TINY, name="tiny-conv", offset_groups=None, mask=False)
_GROUPS = replace(_TINY, name="tiny-groups", weight=(4, 2, 2, 1), offset_groups=4)
_DEEP = replace(_TINY, name="tiny-deep", input=(1, 32, 2, 3), weight=(6, 16, 2, 1), offset_groups=4)

_CASES = (
    *(_BORDER, _FAR, _NAN, _NAN_ZERO, _CONV, _GROUPS),
    *(_rules(convention, "border") for convention in ("chainer", "mmcv", "openvino")),
    _rules("openvino", "nan"),
    replace(_TINY, name="tiny-v1", mask=False, bias=False, offsets="random"),
    replace(_TINY, name="tiny-conv-groups", weight=(6, 2, 2, 3), offset_groups=None, mask=False, bias=False, stride=(1, 2)),
    replace(_TINY, name="tiny-groups-inside", input=(1, 6, 3, 2), weight=(2, 3, 2, 1), offset_groups=1, mask=False),
    replace(_TINY, name="tiny-narrow", input=(1, 16, 2, 3), weight=(8, 4, 2, 1), offset_groups=2),
    replace(_TINY, name="tiny-heaps", input=(1, 8, 2, 3), weight=(8, 4, 2, 1), offset_groups=2, offsets="heaps"),
    replace(_TINY, name="tiny-depthwise-deep", input=(1, 8, 2, 3), weight=(16, 1, 1, 2), offset_groups=2, offsets="far"),
    replace(_TINY, name="tiny-depthwise", input=(2, 3, 3, 2), weight=(3, 1, 2, 2), bias=False),
    replace(_TINY, name="tiny-many-channels", input=(1, 37, 2, 2), weight=(2, 37, 1, 2), padding=0),
    replace(_TINY, name="tiny-many-outputs", input=(1, 2, 2, 3), weight=(37, 2, 2, 2)),
    _DEEP,
    replace(_DEEP, name="tiny-deep-conv", weight=(3, 32, 1, 2), offset_groups=None, mask=False),
    replace(_DEEP, name="tiny-deep-far", weight=(3, 32, 1, 2), offset_groups=1, offsets="far"),
    replace(_TINY, name="tiny-batch", input=(3, 1, 2, 3), weight=(2, 1, 1, 1), padding=0),
    replace(_TINY, name="tiny-steps", input=(1, 2, 5, 4), stride=(2, 1), dilation=(1, 2), padding=((0, 2), (3, 1)), weight=(2, 2, 2, 3)),
    replace(_TINY, name="tiny-pixel", input=(1, 2, 1, 1), weight=(2, 2, 3, 3), offsets="random"),
)

_TYPES = (("float64", "float64"), ("float16", "float16"), ("bfloat16", "bfloat16"), ("float16", "float32"), ("bfloat16", "float32"))

_RUNS = [(case, "float32", "float32") for case in _CASES] + [(case, *types) for case in (_NAN, _CONV, _DEEP) for types in _TYPES]

across_variants = pytest.mark.parametrize(
    ("which", "name"), [pytest.param(which, variant.name, id=f"{which}-{variant.name}") for which in PASSES for variant in PASSES[which]]
)


def _subject(which: str, name: str, device: Device, *what: Any) -> Subject:
    """The subject of a check; skipped, in the library's words, where the device doesn't get the variant."""
    subject = Subject(which, next(variant for variant in PASSES[which] if variant.name == name), *what)
    if (reason := subject.refusal(device)) is not None:
        pytest.skip(f"{name}: {reason}")
    return subject


@across_variants
@pytest.mark.parametrize(("case", "dtype", "small"), [pytest.param(*run, id=f"{run[0].name}-{run[1]}-{run[2]}") for run in _RUNS])
def test_variant(which: str, name: str, case: Case, dtype: str, small: str, device: Device) -> None:
    subject = _subject(which, name, device, case, dtype, small)
    assert subject.errors(subject.plan(device)) == ""


@across_variants
@pytest.mark.parametrize("case", (_BORDER, _NAN, _CONV, _DEEP), ids=lambda case: case.name)
def test_wide_indices(which: str, name: str, case: Case, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tensors of more than 2**31 elements get, where one can see every element."""
    monkeypatch.setattr(Problem, "wide", property(lambda problem: True))
    subject = _subject(which, name, device, case)
    assert subject.errors(subject.plan(device)) == ""


@across_variants
@pytest.mark.parametrize("case", (_BORDER, _GROUPS, _DEEP), ids=lambda case: case.name)
def test_deterministic(which: str, name: str, case: Case, device: Device) -> None:
    subject = _subject(which, name, device, case, "float32", "float32", True)
    assert subject.differences(subject.plan(device), runs=2) == ""


@across_variants
def test_each_set_of_gradients(which: str, name: str, device: Device) -> None:
    subject = _subject(which, name, device, _BORDER, "float16", "float32")
    plan, arrays = subject.plan(device), _BORDER.arrays("float16", "float32")
    whole = subject.results(plan)
    for count in range(1, len(subject.needs)):
        for needs in combinations(sorted(subject.needs), count):
            some = plan.backward(**arrays, needs=needs)._asdict()
            assert {name for name, array in some.items() if array is not None} == set(needs)
            assert all(np.allclose(some[name], whole[f"grad_{name}"], rtol=2e-3, atol=2e-3) for name in needs), needs


def test_ceilings(device: Device) -> None:
    queue = queue_for(device, None)
    values = cla.to_device(queue, np.arange(40, dtype=np.float32))
    copied, sums = cla.zeros_like(values), cla.zeros(queue, 8, np.float32)
    buffers: dict[str, Any] = {"from": values.base_data, "to": copied.base_data, "result": sums.base_data}
    steps = [
        Launch(copy_kernel(4), ("from", "to"), (np.int32(10),), (8,), (4,)),
        Launch(multiply_kernel("float", 4), ("result",), (np.int32(3),), (8,), (4,)),
    ]
    run(steps, queue, buffers)
    queue.finish()
    assert np.array_equal(copied.get(), values.get())
    assert np.isfinite(sums.get()).all()


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_copies_between_strides(dtype: str, device: Device) -> None:
    queue = queue_for(device, None)
    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(dtype)
    source: Any = cla.to_device(queue, values)
    views = (
        (source, values),
        (source[1:, :, ::2, 1::3], values[1:, :, ::2, 1::3]),
        (source.transpose((0, 3, 1, 2)), values.transpose(0, 3, 1, 2)),
    )
    for view, want in views:
        destination = cla.empty(queue, view.shape, dtype, order="F")
        copy(view, destination)
        assert np.array_equal(destination.get(), want)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_device_arrays(dtype: str, device: Device) -> None:
    """Views of any layout in and out, and nonfinite="raise" names the first position."""
    if dtype == "float64" and not device.fp64:
        pytest.skip("the device has no float64 (cl_khr_fp64)")
    case = replace(_TINY, name="tiny-arrays", offsets="random", nonfinite="raise", mask=False)
    queue = queue_for(device, None)
    arrays: dict[str, Any] = case.arrays(dtype)
    grad_output = arrays.pop("grad_output")
    given = {
        name: _channels_last(cla.to_device(queue, array)) if array.ndim == 4 else cla.to_device(queue, array)
        for name, array in arrays.items()
    }
    plan = Plan(case.input, case.weight, dtype=dtype, bias=True, padding=1, nonfinite="raise", queue=queue)
    out = _channels_last(cla.to_device(queue, np.zeros_like(grad_output)))
    assert plan.forward(**given, out=out) is out
    plain = cla.empty(queue, out.shape, out.dtype)
    copy(out, plain)
    want = reference.deform_conv2d(**arrays, padding=1)
    assert np.allclose(plain.get().astype(np.float64), want, rtol=0.02, atol=0.02)
    for name in arrays:
        broken = arrays[name].copy()
        broken.flat[broken.size // 2] = np.nan if name == "offset" else np.inf
        position = tuple(int(i) for i in np.unravel_index(broken.size // 2, broken.shape))
        with pytest.raises(ProblemError, match=rf"{name}: .*{re.escape(str(position))}"):
            plan.forward(**{**given, name: cla.to_device(queue, broken)})


def _channels_last(array: cla.Array) -> cla.Array:
    """The same array with its channels innermost in memory."""
    memory: Any = cla.empty(array.queue, tuple(array.shape[axis] for axis in (0, 2, 3, 1)), array.dtype)
    view: cla.Array = memory.transpose((0, 3, 1, 2))
    copy(array, view)
    return view
