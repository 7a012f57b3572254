"""A forward that keeps, and the backward after it: the same gradients as ever, with fewer launches where the arrays are the same."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cla
import pytest

from clconv import Device, Plan, ProblemError, UnsupportedError
from clconv.check.cases import BY_NAME, Case
from clconv.check.run import Subject, run
from clconv.execute import trace
from clconv.queues import queue_for
from clconv.tuning import GRADIENTS, PASSES

CASE = BY_NAME["deep-groups"]
"""Here all kernels but the plain ones share something."""

NAMES = tuple(dict.fromkeys(variant.name for variants in PASSES.values() for variant in variants))


def _plan(case: Case, device: Device | None, **options: Any) -> Plan:
    """A plan whose kernels have been checked, so that their launches may be counted.

    The weight's pass is the same variant with and without keep, so that bits may be compared.
    """
    given: dict[str, Any] = {"deterministic": True, **case.options, **options}

    def plan(variants: Mapping[str, str]) -> Plan:
        shape = {"offset_groups": case.offset_groups, "mask": case.mask, "bias": case.bias}
        return Plan(case.input, case.weight, device=device, **{**shape, **given, "variants": variants})

    variants = given.get("variants", {})
    alike = plan({"backward_weight": plan(variants).choices()["backward_weight"].split()[0], **variants})
    alike.choices()
    return alike


def _variants(name: str) -> dict[str, str]:
    return {which: name for which, variants in PASSES.items() if name in [variant.name for variant in variants]}


def _operands(device: Device, kind: str = "device", case: Case = CASE, dtype: str = "float32") -> tuple[Any, dict[str, Any]]:
    arrays: dict[str, Any] = case.arrays(dtype)
    if kind == "device":
        arrays = {name: cla.to_device(queue_for(device, None), array) for name, array in arrays.items()}
    return arrays.pop("grad_output"), arrays


def _bits(results: Any) -> dict[str, bytes]:
    values = results._asdict() if hasattr(results, "_asdict") else {"output": results}
    return {name: (array.get() if isinstance(array, cla.Array) else array).tobytes() for name, array in values.items() if array is not None}


def _launches(plan: Plan, grad: Any, arrays: Mapping[str, Any], needs: Any = None) -> tuple[dict[str, bytes], list[str]]:
    """The gradients, and the launches that they took."""
    with trace() as launched:
        gradients = plan.backward(grad, **arrays, needs=needs)
    return _bits(gradients), [name for name, _ in launched]


def _spares(steps: list[str], all_steps: list[str]) -> bool:
    """Whether some are left out, or one that did several things does fewer."""
    return steps != all_steps and len(steps) <= len(all_steps)


@pytest.mark.parametrize(
    "dtype", ["float32", *(pytest.param(dtype, marks=pytest.mark.thorough) for dtype in ("float64", "float16", "bfloat16"))]
)
@pytest.mark.parametrize("name", NAMES)
def test_every_variant_gives_the_same_bits(name: str, dtype: str, device: Device) -> None:
    ran = False
    for case in [BY_NAME[each] for each in ("groups", "deep-groups", "deep-conv", "larger")[: 4 if dtype == "float32" else 2]]:
        with suppress(UnsupportedError):
            plan, ran = _plan(case, device, dtype=dtype, variants=_variants(name)), True
            grad, arrays = _operands(device, case=case, dtype=dtype)
            want = _bits(plan.forward(**arrays)), _bits(plan.backward(grad, **arrays))
            assert (_bits(plan.forward(**arrays, keep=True)), _bits(plan.backward(grad, **arrays))) == want, case.name
    if not ran:
        pytest.skip(f"{device.label} gets no {name}")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("unit", ["wgmma", "mma"])
@pytest.mark.parametrize("offset_groups", [1, 4])
@pytest.mark.parametrize("name", ["deep", "deep-v1", "deep-far", "deep-nan", "deep-border", "deep-heaps", "deep-range", "deep-strange"])
def test_gradients_of_numbers_that_halves_cant_hold(name: str, offset_groups: int, unit: str, dtype: str, device: Device) -> None:
    case = replace(BY_NAME[name], offset_groups=offset_groups)
    outcomes = [
        run(Subject(which, variant, case, dtype, dtype, kept=forward), device)
        for which in GRADIENTS
        for variant in PASSES[which]
        for forward in PASSES["forward"]
        if variant.name == forward.name == unit and case.input[1] % (4 * offset_groups) == 0
    ]
    assert all(outcome.verdict in ("ok", "refused") for outcome in outcomes), [outcome.detail for outcome in outcomes]
    if all(outcome.verdict == "refused" for outcome in outcomes):
        pytest.skip(f"{device.label} gets no {unit} for this")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_samples_in_doubt_where_there_is_no_gradient(dtype: str, device: Device) -> None:
    case = replace(BY_NAME["deep-range"], offset_groups=4)
    try:
        plan = _plan(case, device, dtype=dtype, variants={"forward": "mma", "backward_data": "plain", "backward_weight": "mma"})
    except UnsupportedError as error:
        pytest.skip(str(error))
    grad, arrays = _operands(device, "numpy", case, dtype)
    grad[..., ::2] = 0
    want = plan.backward(grad, **arrays, needs="weight").weight.astype(np.float64)
    plan.forward(**arrays, keep=True)
    got = plan.backward(grad, **arrays, needs="weight").weight.astype(np.float64)
    assert np.isfinite(want).all()
    assert np.abs(got - want).max() <= (1e-5 if dtype == "float32" else 1e-2) * np.abs(want).max()


@pytest.mark.parametrize("convention", ["chainer", "mmcv", "openvino"])
def test_every_convention_gives_the_same_bits(convention: str, device: Device) -> None:
    plan = _plan(CASE, device, convention=convention)
    grad, arrays = _operands(device)
    want = _bits(plan.forward(**arrays)), _bits(plan.backward(grad, **arrays))
    assert (_bits(plan.forward(**arrays, keep=True)), _bits(plan.backward(grad, **arrays))) == want


@pytest.mark.parametrize("kind", ["numpy", "device"])
def test_only_the_backward_of_the_same_arrays_takes_it(kind: str, device: Device) -> None:
    """Others, be they equal, other parts or views, make their own, and leave it there."""
    plan = _plan(CASE, device)
    grad, arrays = _operands(device, kind)
    want, all_steps = _launches(plan, grad, arrays)
    plan.forward(**arrays, keep=True)
    for name in ("input", "offset", "mask", "weight"):
        assert _launches(plan, grad, {**arrays, name: arrays[name].copy()}) == (want, all_steps)
        reverse = arrays[name][..., ::-1]
        changed, steps = _launches(plan, grad, {**arrays, name: reverse})
        assert changed != want and not _spares(steps, all_steps)
    got, steps = _launches(plan, grad, {name: array[:] if name != "bias" else array for name, array in arrays.items()})
    assert got == want and _spares(steps, all_steps)
    assert _launches(plan, grad, arrays) == (want, all_steps)


def test_the_last_forward_is_the_one_that_counts(device: Device) -> None:
    plan = _plan(CASE, device)
    grad, arrays = _operands(device)
    others = {**arrays, "input": arrays["input"] * 2}
    wants = [_launches(plan, grad, operands) for operands in (arrays, others)]
    plan.forward(**arrays, keep=True)
    plan.forward(**others, keep=True)
    assert _launches(plan, grad, arrays) == wants[0]
    got, steps = _launches(plan, grad, others)
    assert got == wants[1][0] and _spares(steps, wants[1][1])
    plan.forward(**arrays, keep=True)
    plan.forward(**arrays)
    assert _launches(plan, grad, arrays) == wants[0]


def test_any_gradients_may_be_asked_for_and_the_weight_may_change(device: Device) -> None:
    plan = _plan(CASE, device)
    grad, arrays = _operands(device)
    for name in ("input", "offset", "weight", "bias", "mask"):
        want = _bits(plan.backward(grad, **arrays, needs=name))
        plan.forward(**arrays, keep=True)
        assert _bits(plan.backward(grad, **arrays, needs=name)) == want
    plan.forward(**arrays, keep=True)
    assert _launches(plan, grad, arrays, needs=()) == ({}, [])
    others = {**arrays, "weight": arrays["weight"] * 3}
    want, all_steps = _launches(plan, grad, others)
    plan.set_weight(arrays["weight"])
    plan.forward(**{name: array for name, array in arrays.items() if name != "weight"}, keep=True)
    plan.set_weight(others.pop("weight"))
    assert _launches(plan, grad, others) == (want, all_steps)


@pytest.mark.parametrize("kind", ["numpy", "device"])
def test_one_image_of_three_dimensions_and_other_layouts(kind: str, device: Device) -> None:
    case = BY_NAME["larger"]
    plan = _plan(case, device)
    grad, arrays = _operands(device, kind, case)
    single = {name: array[0] if name in ("input", "offset", "mask") else array for name, array in arrays.items()}
    want, all_steps = _launches(plan, grad[0], single)
    plan.forward(**single, keep=True)
    got, steps = _launches(plan, grad[0], single)
    assert got == want and _spares(steps, all_steps)
    strided = {**arrays, "input": arrays["input"][:, :, ::-1]}
    want, all_steps = _launches(plan, grad, strided)
    plan.forward(**strided, keep=True)
    got, steps = _launches(plan, grad, strided)
    assert got == want and _spares(steps, all_steps)


def test_no_images_keep_nothing(device: Device) -> None:
    plan = Plan((0, 4, 6, 7), (6, 4, 3, 3), device=device)
    arrays = {
        "input": np.ones((0, 4, 6, 7), "float32"),
        "offset": np.ones((0, 18, 4, 5), "float32"),
        "weight": np.ones((6, 4, 3, 3), "float32"),
    }
    assert plan.forward(**arrays, keep=True).shape == (0, 6, 4, 5)
    assert not plan.backward(np.ones((0, 6, 4, 5), "float32"), **arrays).weight.any()


def test_an_output_over_an_operand_keeps_nothing(device: Device) -> None:
    case = Case("square", (2, 32, 9, 10), (32, 32, 3, 3))
    plan = _plan(case, device)
    grad, arrays = _operands(device, case=case)
    plan.forward(**arrays, out=arrays["input"], keep=True)
    got = _launches(plan, grad, arrays)
    assert got == _launches(plan, grad, arrays)


def test_threads_do_not_mix_what_they_keep(device: Device) -> None:
    plan = _plan(CASE, device)
    grad, arrays = _operands(device)
    operands = [{**arrays, "input": arrays["input"] * (1 + index)} for index in range(4)]
    wants = [_bits(plan.backward(grad, **each)) for each in operands]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            plan.forward(**operands[index], keep=True)
            if _bits(plan.backward(grad, **operands[index])) != wants[index]:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(operands))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_out_of_order_queues_wait_for_what_was_kept(device: Device) -> None:
    queue = cl.CommandQueue(queue_for(device, None).context, properties=cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE)
    plan = _plan(CASE, None, queue=queue)
    grad, arrays = _operands(device)
    there = {name: array.with_queue(queue) for name, array in arrays.items()}
    want = _bits(plan.backward(grad.with_queue(queue), **there))
    for _ in range(3):
        plan.forward(**there, keep=True)
        assert _bits(plan.backward(grad.with_queue(queue), **there)) == want


def test_memory_is_told_and_used_again(device: Device) -> None:
    plan = _plan(CASE, device)
    grad, arrays = _operands(device)
    kept = plan.workspace_of((), keep=True)
    assert kept >= plan.workspace_of(()) and plan.workspace_of(None, keep=True) > kept
    with pytest.raises(ProblemError, match="keep: expected"):
        plan.forward(**arrays, keep=np.ones(2))
    memory = []
    for _ in range(2):
        plan.forward(**arrays, keep=True)
        assert plan._kept._left is not None
        memory.append(sorted(buffer.int_ptr for buffer in plan._kept._left.temporaries.values()))
        plan.backward(grad, **arrays)
        assert plan._kept._left is None
    assert memory[0] == memory[1]


def test_a_weight_that_is_set_anew_is_another(device: Device) -> None:
    plan = _plan(CASE, device)
    grad, arrays = _operands(device)
    weight = arrays.pop("weight")
    plan.set_weight(weight)
    plan.forward(**arrays, keep=True)
    left = plan._kept._left
    plan.set_weight(weight * 2)
    plan._kept._left = left  # as another thread would, whose forward began before
    assert left is not None
    assert _launches(plan, grad, arrays) == _launches(_plan(CASE, device), grad, {**arrays, "weight": weight * 2})
