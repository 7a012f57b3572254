"""The forward pass by matrix units of AMD and Intel, on devices that have none: plain C does what an instruction would.

All but the few lines of the instruction run: layouts, packing, scales, tails, and the second look at what was in doubt.
"""

import ctypes
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clconv import Device, Plan, forward_units, reference, selfcheck, source, units
from clconv.arrays import NumpyArray
from clconv.check.cases import BY_NAME, Case
from clconv.check.closeness import relative_error
from clconv.check.run import Subject
from clconv.schedule import Kernel, Request, Variant
from clconv.tuned import Choice
from clconv.tuning import forced

thorough = pytest.mark.thorough
across_units = pytest.mark.parametrize("unit", units.UNITS)

VARIANTS = {variant.name: variant for variant in forward_units.VARIANTS}

ODD = Case("odd-tile", (1, 37, 7, 11), (53, 37, 3, 3), offset_groups=1)
ACROSS = Case("across-steps", (2, 60, 6, 9), (34, 30, 1, 2), offset_groups=5, padding=(0, 1))
WIDE = Case("wide-tile", (1, 48, 9, 16), (160, 48, 2, 2), offset_groups=3)
CASES = [pytest.param(case, id=case.name) for case in (BY_NAME["deep"], ODD)]
CASES += [pytest.param(case, id=case.name, marks=thorough) for case in (BY_NAME["deep-conv"], ACROSS, WIDE)]


@pytest.fixture
def emulating(unit: str, device: Device, monkeypatch: pytest.MonkeyPatch) -> Device:
    """The device, with such a unit by its own account."""
    if device.loop_limit is not None:
        pytest.skip("the driver ends long loops, and plain C takes many turns")
    able = replace(device, matrix_units=(unit, "emulated"))
    monkeypatch.setattr("clconv.device._describe", lambda handle: able)
    return able


def _rendered_as(monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str) -> None:
    """Kernels of this name get another text."""

    def changed(kernel: Kernel) -> str:
        text = source.render(kernel)
        assert kernel.name != name or old in text
        return text.replace(old, new) if kernel.name == name else text

    monkeypatch.setattr("clconv.program.render", changed)
    monkeypatch.setattr("clconv.program._entries", OrderedDict())


def _errors(unit: str, case: Case, device: Device, dtype: str = "float32") -> str:
    subject = Subject("forward", VARIANTS[unit], case, dtype, dtype)
    return subject.errors(subject.plan(device))


@across_units
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float16", marks=thorough), pytest.param("bfloat16", marks=thorough)])
@pytest.mark.parametrize("case", CASES)
def test_no_second_look_is_needed_for_ordinary_data(
    case: Case, dtype: str, unit: str, emulating: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    _rendered_as(monkeypatch, "forward_units", "if (doubted[0])", "if (0)")
    assert _errors(unit, case, emulating, dtype) == ""


@thorough
@across_units
@pytest.mark.parametrize(
    "name", ["deep-range", "deep-strange", "deep-far", "deep-nan", "deep-nan-zero", "deep-border", "openvino-deep-border", "deep-beside"]
)
def test_strange_data_is_done_again(name: str, unit: str, emulating: Device) -> None:
    assert _errors(unit, BY_NAME[name], emulating) == ""


@dataclass(frozen=True)
class Uneven(Case):
    """Channels of the input, in blocks of 32, and masks of each offset group of another size."""

    channel_bits: tuple[int, ...] = (0,)
    mask_bits: tuple[int, ...] = (0,)

    def arrays(self, dtype: str = "float32", small: str | None = None) -> dict[str, NumpyArray]:
        """The operands and grad_output, the same for every run."""
        arrays = super().arrays(dtype, small)
        arrays["input"] = np.copysign(1 + np.tanh(np.abs(arrays["input"])), arrays["input"])  # none is small by chance
        for name, bits in (("input", self.channel_bits), ("mask", self.mask_bits)):
            sizes = np.repeat([2.0**-n for n in bits], arrays[name].shape[1] // len(bits))
            arrays[name] = (arrays[name] * sizes[:, None, None]).astype(arrays[name].dtype)
        return arrays


@dataclass(frozen=True)
class Above(Case):
    """One output row is sampled a little above its pixels, whose smallest channels alone it takes, so that the fraction is rounded to 1."""

    def arrays(self, dtype: str = "float32", small: str | None = None) -> dict[str, NumpyArray]:
        """The operands and grad_output, the same for every run."""
        arrays = super().arrays(dtype, small)
        arrays["input"] = np.copysign(1 + np.tanh(np.abs(arrays["input"])), arrays["input"])
        arrays["input"][:, 32:, 0] = 0
        arrays["input"][:, 96:, 1:3] *= np.float32(2.0**-44)
        arrays["offset"] = np.zeros_like(arrays["offset"])
        rows = np.arange(arrays["offset"].shape[2])[:, None]
        arrays["offset"][0, 0] = -rows
        arrays["offset"][0, 2] = np.where(rows == 2, np.float32(-1e-9), -rows)
        return arrays


@across_units
@pytest.mark.parametrize(
    "case",
    [
        Above("rounded-to-1", (1, 128, 4, 4), (128, 32, 1, 2), mask=False, bias=False, padding=0),
        Uneven("ever-smaller-channels", (1, 128, 3, 5), (128, 32, 1, 1), bias=False, channel_bits=(0, 0, 17, 34)),
        Uneven("masks-of-other-groups", (1, 80, 3, 5), (96, 40, 1, 1), offset_groups=4, bias=False, mask_bits=(36, 36, 0, 0)),
    ],
    ids=lambda case: case.name,
)
def test_small_groups_are_known_as_well_as_large_ones(case: Case, unit: str, emulating: Device) -> None:
    assert _errors(unit, case, emulating) == ""


@thorough
@across_units
def test_every_tile_gives_the_same(unit: str, emulating: Device) -> None:
    """Of these all add the same products in the same order, but for the length of a step."""
    subject, results = Subject("forward", VARIANTS[unit], BY_NAME["deep-v1"]), dict[int, set[bytes]]()
    request = Request(subject.case.problem())
    for tile in VARIANTS[unit].tiles(request, emulating):
        with forced("forward", Choice(unit, str(tile))):
            results.setdefault(tile["chunk"], set()).add(subject.results(subject.plan(emulating))["output"].tobytes())
    assert results and all(len(found) == 1 for found in results.values()), {chunk: len(found) for chunk, found in results.items()}


@across_units
def test_the_emulation_tells_a_wrong_layout(unit: str, emulating: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums' rows exchanged in pairs where outputs are stored."""
    _rendered_as(monkeypatch, "forward_units", "const int row = SUM_OUT(", "const int row = 1 ^ SUM_OUT(")
    assert "elements of output are wrong" in _errors(unit, BY_NAME["deep"], emulating)


def _chosen(case: Case, device: Device) -> str:
    plan = Plan(case.input, case.weight, mask=True, bias=True, **case.options, offset_groups=case.offset_groups, device=device)
    return plan._schedules.forward().variant


@pytest.fixture
def unchecked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is known of any variant yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CLCONV_SELFCHECK", raising=False)
    selfcheck.forget()
    yield
    selfcheck.forget()


@thorough
@across_units
@pytest.mark.usefixtures("unchecked")
def test_a_unit_is_used_once_it_has_passed_the_self_check(unit: str, emulating: Device) -> None:
    assert _chosen(BY_NAME["deep"], emulating) == unit
    assert [verdict for key, verdict in selfcheck.verdicts().items() if f"forward | {unit} |" in key] == [""]


@thorough
@across_units
@pytest.mark.usefixtures("unchecked")
def test_a_unit_that_is_wrong_is_switched_off(unit: str, emulating: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    _rendered_as(monkeypatch, "forward_units", "const int row = SUM_OUT(", "const int row = 1 ^ SUM_OUT(")
    with pytest.warns(selfcheck.VariantWarning, match=f"'{unit}' gives wrong results"):
        assert _chosen(BY_NAME["deep"], emulating) != unit


@thorough
@across_units
def test_float32_is_accurate_over_a_long_sum(unit: str, emulating: Device) -> None:
    """Of 4,608 products, by a unit that cuts its sums off."""
    case = Case("depth", (1, 512, 4, 9), (40, 512, 3, 3))
    arrays: dict[str, Any] = {name: array for name, array in case.arrays().items() if name != "grad_output"}
    plan = Plan(case.input, case.weight, mask=True, bias=True, **case.options, device=emulating, variants={"forward": unit})
    assert relative_error(plan.forward(**arrays), reference.deform_conv2d(**arrays, **case.options)) < 5e-7


def test_units_are_asked_for_in_the_order_of_their_names() -> None:
    assert tuple(VARIANTS) == units.UNITS and all(isinstance(variant, Variant) and variant.guarded for variant in VARIANTS.values())


def _amd(name: str, width: int, platform: str = "AMD Accelerated Parallel Processing") -> Any:
    return SimpleNamespace(platform=SimpleNamespace(name=platform), name=name, wavefront_width_amd=width, extensions="cl_khr_fp16")


@pytest.mark.parametrize(
    ("name", "width", "found"),
    [
        ("gfx90a:sramecc+:xnack-", 64, ("mfma",)), ("gfx942:sramecc+:xnack-", 64, ("mfma",)), ("gfx1100", 32, ("wmma",)),
        ("gfx1100", 64, ()), ("gfx1030", 32, ()), ("gfx1201", 32, ()), ("gfx906", 64, ()),
    ],
)  # fmt: skip
def test_amds_units_by_architecture_and_wave(name: str, width: int, found: tuple[str, ...]) -> None:
    assert units.matrix_units(_amd(name, width)) == found
    assert units.matrix_units(_amd(name, width, "rusticl")) == ()


@pytest.mark.parametrize(("sizes", "found"), [((8, 16, 32), ("dpas8",)), ((16, 32), ("dpas16",)), ((4, 8), ()), ((), ())])
def test_intels_units_by_the_smallest_sub_group(sizes: tuple[int, ...], found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(handle: Any, query: int, answer: "ctypes.Array[ctypes.c_size_t]") -> None:
        assert query == 0x4108
        answer[: len(sizes)] = list(sizes)

    monkeypatch.setattr(units, "ask", ask)
    extensions = " ".join(units._INTEL)
    platform = SimpleNamespace(name="Intel(R) OpenCL Graphics")
    assert units.matrix_units(SimpleNamespace(platform=platform, extensions=extensions)) == found  # type: ignore[arg-type]
    assert units.matrix_units(SimpleNamespace(platform=platform, extensions="cl_intel_subgroups")) == ()  # type: ignore[arg-type]
