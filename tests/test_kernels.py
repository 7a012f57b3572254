"""Every variant of every pass, on every device, against the reference."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clconv import Device, Plan, reference
from clconv.arrays import NumpyArray
from clconv.check.cases import BY_NAME, CASES, TYPED, Case
from clconv.check.closeness import account, relative_error
from clconv.check.run import Subject
from clconv.schedule import Variant
from clconv.tuning import PASSES

DTYPES = ("float32", "float64", "float16", "bfloat16")


def _runs() -> Iterator[Any]:
    """Variant x case x type of data x type of offset and mask; every device gets each variant in each type and on the typed cases."""
    common = [(case, "float32", "float32") for case in TYPED] + [(BY_NAME["plain"], dtype, dtype) for dtype in DTYPES[1:]]
    common += [(BY_NAME["heaps"], "float64", "float64")]  # with AVX-512 each of its groups fills a vector
    everything = [(case, "float32", "float32") for case in CASES]
    everything += [(case, dtype, dtype) for case in TYPED for dtype in DTYPES[1:]]
    everything += [(BY_NAME["plain"], dtype, "float32") for dtype in ("float16", "bfloat16")]
    for which, variants in PASSES.items():
        for variant in variants:
            for combination in everything:
                subject = Subject(which, variant, *combination)
                name = "-".join((which, variant.name, subject.case.name, subject.dtype, subject.small))
                yield pytest.param(subject, id=name, marks=() if combination in common else pytest.mark.thorough)


def _skip_refused(subject: Subject, device: Device) -> None:
    if (reason := subject.refusal(device)) is not None:
        pytest.skip(f"{subject.variant.name}: {reason}")


@pytest.mark.parametrize("subject", list(_runs()))
def test_variant(subject: Subject, device: Device) -> None:
    _skip_refused(subject, device)
    assert subject.errors(subject.plan(device)) == ""


@pytest.mark.parametrize("which", ["backward_data", "backward_weight"])
@pytest.mark.parametrize(
    "case", [BY_NAME["larger"], Case("one-spot", (1, 4, 16, 17), (4, 4, 3, 3), offsets="one")], ids=lambda case: case.name
)
def test_deterministic_gradients_are_bit_identical(case: Case, which: str, device: Device) -> None:
    for variant in PASSES[which]:
        subject = Subject(which, variant, case, deterministic=True)
        if subject.refusal(device) is None:
            assert subject.differences(subject.plan(device)) == ""


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_prime_channels_beyond_any_tile(dtype: str, which: str, device: Device) -> None:
    """On CPUs all are one run, longer than what a thread keeps of a block's pixels."""
    for variant in PASSES[which]:
        subject = Subject(which, variant, Case("long-run", (1, 6007, 4, 5), (3, 6007, 2, 2)), dtype, dtype)
        if subject.refusal(device) is None:
            assert subject.errors(subject.plan(device)) == ""


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", PASSES["forward"], ids=lambda variant: variant.name)
def test_every_tile(variant: Variant, dtype: str, device: Device) -> None:
    for precision in (None, "tf32") if dtype == "float32" else (None,):
        subject = Subject("forward", variant, BY_NAME["wide"], dtype, dtype, precision=precision)
        _skip_refused(subject, device)
        for tile in variant.tiles(subject.request, device):
            exactly = replace(subject, tile=str(tile))
            assert exactly.errors(exactly.plan(device)) == ""


@pytest.mark.parametrize("precision", [None, "tf32"])
@pytest.mark.parametrize("channels", [16, 128, 2048])
def test_float32_is_accurate_over_any_depth(channels: int, precision: str | None, device: Device) -> None:
    """Sums of up to 18,432 products: a matrix unit's own, which truncates, would be wrong by 1e-5; tf32 allows for 11 bits.

    Variants that add all products one after another round more often, as an ordinary sum of float32 does.
    """
    case = Case("depth", (1, channels, 4, 9), (40, channels, 3, 3))
    arrays: dict[str, Any] = {name: array for name, array in case.arrays().items() if name != "grad_output"}
    want = reference.deform_conv2d(**arrays, **case.options)
    for variant in PASSES["forward"]:
        if Subject("forward", variant, case).refusal(device) is None:
            plan = Plan(
                case.input, case.weight, mask=True, bias=True, **case.options, precision=precision, device=device,
                variants={"forward": variant.name},
            )  # fmt: skip
            error = relative_error(plan.forward(**arrays), want)
            bound = 1e-3 if precision else 3e-6 if variant.name in ("tile", "plain") else 6e-7
            assert error < bound, f"{variant.name}: {error}"


@pytest.mark.parametrize("precision", [None, "tf32"])
def test_gradient_of_the_weight_is_accurate_over_many_pixels(precision: str | None, device: Device) -> None:
    """Sums of 19,000 products, as above; variants that round the factors are allowed 11 bits."""
    case = Case("pixels", (2, 32, 96, 99), (32, 32, 1, 1), padding=0)
    arrays: dict[str, Any] = case.arrays()
    want = reference.deform_conv2d_backward(**arrays, **case.options, needs=("weight",)).weight
    for variant in PASSES["backward_weight"]:
        if Subject("backward_weight", variant, case).refusal(device) is None:
            plan = Plan(
                case.input, case.weight, mask=True, bias=True, **case.options, precision=precision, device=device,
                variants={"backward_weight": variant.name},
            )  # fmt: skip
            error = relative_error(plan.backward(**arrays, needs=("weight",)).weight, want)
            halves = variant.name in ("mma", "wgmma")
            bound = 1e-3 if precision and halves else 6e-7 if halves else 3e-6
            assert error < bound, f"{variant.name}: {error}"


UNUSUAL: dict[str, Callable[[np.random.Generator, NumpyArray], NumpyArray]] = {
    "pixels of all sizes": lambda rng, grads: grads * 10.0 ** rng.uniform(-25, 25, (1, 1, *grads.shape[2:])),
    "elements of all sizes": lambda rng, grads: grads * 10.0 ** rng.uniform(-15, 15, grads.shape),
    "outputs of all sizes": lambda rng, grads: grads * 10.0 ** rng.uniform(-15, 15, (1, grads.shape[1], 1, 1)),
    "tiny": lambda rng, grads: grads * 1e-33,
    "mostly zeros": lambda rng, grads: np.where(rng.random(grads.shape) < 0.9, 0.0, grads),
    "zeros": lambda rng, grads: 0.0 * grads,
    "infinities": lambda rng, grads: np.where(rng.random(grads.shape) < 1e-4, np.inf, grads),
    "NaN": lambda rng, grads: np.where(rng.random(grads.shape) < 1e-4, np.nan, grads),
}


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_gradient_of_the_weight_of_unusual_gradients(unusual: str, device: Device) -> None:
    case = Case("unusual", (2, 32, 17, 18), (40, 32, 3, 3))
    arrays: dict[str, Any] = case.arrays()
    arrays["grad_output"] = UNUSUAL[unusual](np.random.default_rng(0), arrays["grad_output"].astype(np.float64)).astype(np.float32)
    want, magnitude = (
        make(**arrays, **case.options, needs=("weight",)).weight
        for make in (reference.deform_conv2d_backward, reference.backward_magnitude)
    )
    for variant in PASSES["backward_weight"]:
        subject = Subject("backward_weight", variant, case)
        if subject.refusal(device) is None:
            plan = subject.plan(device)
            got = plan.backward(**arrays, needs=("weight",)).weight
            assert account("grad_weight", got, want, magnitude, plan.problem, f"{variant.name}, {unusual}") == ""
