"""Every variant of every pass, on every device, against the reference."""

from typing import Any

import pytest
from cases import BY_NAME, CASES, TYPED, Case
from closeness import assert_close

from clconv import Device, Plan, reference
from clconv.problem import OPERANDS
from clconv.schedule import Request, Variant
from clconv.tuning import PASSES, refusal

DTYPES = ("float32", "float64", "float16", "bfloat16")


def _runs() -> list[Any]:
    """Case x type of data x type of offset and mask."""
    combinations = [(case, "float32", "float32") for case in CASES]
    combinations += [(case, dtype, dtype) for case in TYPED for dtype in DTYPES[1:]]
    combinations += [(BY_NAME["plain"], dtype, "float32") for dtype in ("float16", "bfloat16")]
    return [pytest.param(case, dtype, small, id=f"{case.name}-{dtype}-{small}") for case, dtype, small in combinations]


def _plan(case: Case, dtype: str, small: str, device: Device, which: str, variant: Variant, deterministic: bool = False) -> Plan:
    needs = frozenset(case.problem().operands()) & {"backward_data": {"input", "offset", "mask"}}.get(which, {"weight", "bias"})
    reason = refusal(variant, Request(case.problem(dtype, small), needs, deterministic), device)
    if reason is not None:
        pytest.skip(f"{variant.name}: {reason}")
    return Plan(
        case.input, case.weight, dtype=dtype, offset_groups=case.offset_groups, mask=case.mask, bias=case.bias, **_options(case),
        deterministic=deterministic, device=device, offset_dtype=small, mask_dtype=small, variants={which: variant.name},
    )  # fmt: skip


def _options(case: Case) -> dict[str, Any]:
    return case.options | {"convention": case.convention, "nonfinite": case.nonfinite}


def _call(case: Case, dtype: str, small: str) -> str:
    return f"cases.BY_NAME[{case.name!r}].arrays({dtype!r}, {small!r}), seed {case.seed}"


def _reference_arguments(arrays: dict[str, Any], case: Case) -> dict[str, Any]:
    return {name: arrays.get(name) for name in OPERANDS} | _options(case)


@pytest.mark.parametrize("variant", PASSES["forward"], ids=lambda variant: variant.name)
@pytest.mark.parametrize(("case", "dtype", "small"), _runs())
def test_forward(case: Case, dtype: str, small: str, variant: Variant, device: Device) -> None:
    plan = _plan(case, dtype, small, device, "forward", variant)
    arrays = case.arrays(dtype, small)
    arguments = _reference_arguments(arrays, case)
    got = plan.forward(**{name: array for name, array in arrays.items() if name != "grad_output"})
    want, magnitude = reference.deform_conv2d(**arguments), reference.forward_magnitude(**arguments)
    assert_close("output", got, want, magnitude, plan.problem.accumulator, _call(case, dtype, small))


_BACKWARD = [pytest.param(which, v, id=f"{which}-{v.name}") for which in ("backward_data", "backward_weight") for v in PASSES[which]]


@pytest.mark.parametrize(("which", "variant"), _BACKWARD)
@pytest.mark.parametrize(("case", "dtype", "small"), _runs())
def test_backward(case: Case, dtype: str, small: str, which: str, variant: Variant, device: Device) -> None:
    plan = _plan(case, dtype, small, device, which, variant)
    arrays = case.arrays(dtype, small)
    needs = {"input", "offset", "mask"} if which == "backward_data" else {"weight", "bias"}
    arguments = _reference_arguments(arrays, case) | {"grad_output": arrays["grad_output"], "needs": needs}
    got = plan.backward(**arrays, needs=needs)
    want, magnitude = reference.deform_conv2d_backward(**arguments), reference.backward_magnitude(**arguments)
    for name in set(plan.problem.operands()) & needs:
        call = _call(case, dtype, small)
        assert_close(f"grad_{name}", getattr(got, name), getattr(want, name), getattr(magnitude, name), plan.problem.accumulator, call)
    assert all(getattr(got, name) is None for name in set(OPERANDS) - needs)


@pytest.mark.parametrize("variant", PASSES["backward_data"], ids=lambda variant: variant.name)
@pytest.mark.parametrize(
    "case", [BY_NAME["larger"], Case("one-spot", (1, 4, 16, 17), (4, 4, 3, 3), offsets="one")], ids=lambda case: case.name
)
def test_deterministic_gradients_are_bit_identical(case: Case, variant: Variant, device: Device) -> None:
    plan = _plan(case, "float32", "float32", device, "backward_data", variant, deterministic=True)
    arrays = case.arrays()
    first = plan.backward(**arrays)
    for _ in range(3):
        again = plan.backward(**arrays)
        assert all(getattr(first, name).tobytes() == getattr(again, name).tobytes() for name in plan.problem.operands())
