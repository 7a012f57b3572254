"""Every variant of every pass, on every device, against the reference."""

from collections.abc import Iterator
from typing import Any

import pytest

from clconv import Device
from clconv.check.cases import BY_NAME, CASES, TYPED, Case
from clconv.check.run import Subject
from clconv.tuning import PASSES

DTYPES = ("float32", "float64", "float16", "bfloat16")


def _runs() -> Iterator[Any]:
    """Variant x case x type of data x type of offset and mask; every device gets each variant in each type and on the typed cases."""
    common = [(case, "float32", "float32") for case in TYPED] + [(BY_NAME["plain"], dtype, dtype) for dtype in DTYPES[1:]]
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
