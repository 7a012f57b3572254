"""Sums in fixed point: right whatever the magnitudes, bit-identical however many terms fall on one pixel, in both of their forms."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from clconv import Device, fixed
from clconv.arrays import NumpyArray
from clconv.check.cases import BY_NAME, Case
from clconv.check.run import Subject
from clconv.problem import Problem
from clconv.schedule import Variant
from clconv.tuning import PASSES

_SUMMING = tuple(variant for variant in PASSES["backward_data"] if variant.name in ("grouped", "wgmma", "mma", "tile", "plain"))


@dataclass(frozen=True)
class Steep(Case):
    """What flows back has another magnitude at each pixel and in each channel."""

    def arrays(self, dtype: str = "float32", small: str | None = None) -> dict[str, NumpyArray]:
        """The operands and grad_output, the same for every run."""
        rng = np.random.default_rng(self.seed)
        arrays = super().arrays(dtype, small)
        grad_output, weight = arrays["grad_output"], arrays["weight"]
        pixels, channels = (grad_output.shape[0], 1, *grad_output.shape[2:]), (1, weight.shape[1], 1, 1)
        arrays["grad_output"] = (grad_output * 10 ** rng.uniform(-9, 9, pixels)).astype(grad_output.dtype)
        arrays["weight"] = (weight * 10 ** rng.uniform(-9, 9, channels)).astype(weight.dtype)
        return arrays


@dataclass(frozen=True)
class Uneven(Case):
    """Each group's outputs get gradients a hundred times as small as the one's before."""

    def arrays(self, dtype: str = "float32", small: str | None = None) -> dict[str, NumpyArray]:
        """The operands and grad_output, the same for every run."""
        arrays = super().arrays(dtype, small)
        outputs, inputs = self.weight[0], self.input[1]
        groups = inputs // self.weight[1]
        sizes = 100.0 ** -(np.arange(outputs) // (outputs // groups) % 4)
        grad_output = arrays["grad_output"]
        return arrays | {"grad_output": (grad_output * sizes[:, None, None]).astype(grad_output.dtype)}


@dataclass(frozen=True)
class Aligned(Case):
    """All that flows back is as large as its bound allows, and adds up."""

    def arrays(self, dtype: str = "float32", small: str | None = None) -> dict[str, NumpyArray]:
        """The operands and grad_output, the same for every run."""
        arrays = super().arrays(dtype, small)
        return arrays | {name: np.full_like(arrays[name], 0.999) for name in ("grad_output", "weight", "mask")}


_ONE = Case("one-spot-deep", (2, 80, 16, 17), (16, 80, 3, 3), offsets="one")
_CASES = (
    *(Aligned("aligned", (1, 32, 9, 12), (32, 32, 3, 3), offsets=offsets) for offsets in ("zero", "random")),
    *(_ONE, Steep("steep", (2, 32, 9, 12), (24, 32, 3, 3), offset_groups=2), replace(BY_NAME["deep"], name="deep-again")),
    *(BY_NAME[name] for name in ("deep-groups", "deep-conv", "deep-far", "deep-nan", "deep-strange")),
    *(Steep(f"steep-{groups}-samples", (1, 64, 9, 12), (40, 64, 3, 3), offset_groups=groups) for groups in (8, 16)),
    Steep("steep-groups", (2, 32, 9, 12), (32, 4, 3, 3), offset_groups=2),
    *(Uneven(f"uneven-{groups}", (1, 64, 9, 12), (64, 64 // groups, 3, 3), offset_groups=2) for groups in (2, 16, 64)),
    *(BY_NAME[name] for name in ("depthwise", "deep-depthwise", "narrow-groups-conv", "narrow-groups-strange")),
    *(BY_NAME[name] for name in ("heaps", "heaps-depthwise", "heaps-strange", "deep-heaps")),
)


def _check(variant: Variant, case: Case, dtype: str, device: Device) -> None:
    subject = Subject("backward_data", variant, case, dtype, deterministic=True)
    if (reason := subject.refusal(device)) is not None:
        pytest.skip(f"{variant.name}: {reason}")
    plan = subject.plan(device)
    assert subject.errors(plan) == ""
    assert subject.differences(plan) == ""


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"{case.name}-{case.offsets}")
@pytest.mark.parametrize("variant", _SUMMING, ids=lambda variant: variant.name)
def test_fixed_point(variant: Variant, case: Case, device: Device) -> None:
    _check(variant, case, "float32", device)


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("variant", _SUMMING, ids=lambda variant: variant.name)
def test_half_types(variant: Variant, dtype: str, device: Device) -> None:
    _check(variant, BY_NAME["deep"], dtype, device)


@pytest.mark.thorough
@pytest.mark.parametrize("integers", ["carry", "khr"])
@pytest.mark.parametrize("case", [_ONE, BY_NAME["deep-groups"], BY_NAME["narrow-groups"]], ids=lambda case: case.name)
@pytest.mark.parametrize("variant", _SUMMING, ids=lambda variant: variant.name)
def test_ways_to_add_integers(variant: Variant, case: Case, integers: str, device: Device) -> None:
    if integers == "khr" and device.atomic_int64 != "khr":
        pytest.skip("the device has no cl_khr_int64_base_atomics")
    _check(variant, case, "float32", replace(device, atomic_int64=integers))


@pytest.mark.thorough
@pytest.mark.parametrize("weight", [0, 5])
@pytest.mark.parametrize("case", [case for case in _CASES if "steep" in case.name or case.data == "strange"], ids=lambda case: case.name)
@pytest.mark.parametrize("name", ["grouped", "wgmma", "mma", "tile", "plain"])
def test_few_and_many_terms(name: str, case: Case, weight: int, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few terms allowed, pixels of both forms lie side by side."""

    def few(problem: Problem) -> int:
        return weight * 64

    monkeypatch.setattr(fixed, "_few_weight", few)
    _check(next(variant for variant in _SUMMING if variant.name == name), case, "float32", device)


def test_what_fixed_point_refuses() -> None:
    problem: Any = BY_NAME["plain"].problem()
    assert fixed.refuses_fixed(problem) is None
    assert "float64" in (fixed.refuses_fixed(BY_NAME["plain"].problem("float64")) or "")
    huge = replace(problem, height=1 << 15, width=1 << 15)
    assert "room" in (fixed.refuses_fixed(huge) or "")
