"""A variant that gives wrong results on a device is found at its first use, named in a warning, switched off and remembered."""

import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clconv import Device, Plan, reference, selfcheck, source, tuning
from clconv.check.cases import BY_NAME
from clconv.plan import plan_of
from clconv.schedule import Kernel, Variant

CASE = BY_NAME["plain"]


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CLCONV_SELFCHECK", raising=False)


def _first_guarded(device: Device) -> Variant:
    plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, device=device)
    name = plan._schedules.forward().variant
    return next(variant for variant in tuning.PASSES["forward"] if variant.name == name)


def _make_wrong(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel stores half of every sum."""

    def wrong(kernel: Kernel) -> str:
        text = source.render(kernel)
        half = re.sub(r"(void store_data(?:_vec)?\([^)]*\) \{[^}]*?)\bvalue\b", r"\1(ACC(0.5) * value)", text)
        assert kernel.name != f"forward_{variant.name}" or half != text
        return half if kernel.name == f"forward_{variant.name}" else text

    monkeypatch.setattr("clconv.program.render", wrong)
    monkeypatch.setattr("clconv.program._entries", OrderedDict())


def test_a_wrong_variant_is_switched_off_and_remembered(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    variant = _first_guarded(device)
    if not variant.guarded:
        pytest.skip(f"on {device.label} the plain variant is the first choice for this case")
    arrays: dict[str, Any] = CASE.arrays()
    del arrays["grad_output"]
    want = reference.deform_conv2d(**arrays, padding=1)
    selfcheck.forget()
    plan_of.cache_clear()
    _make_wrong(variant, monkeypatch)

    with pytest.warns(selfcheck.VariantWarning, match=f"'{variant.name}' gives wrong results") as caught:
        plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, device=device)
    assert device.name in str(caught[0].message)
    assert device.driver in str(caught[0].message)
    assert plan._schedules.forward().variant != variant.name
    assert np.allclose(plan.forward(**arrays), want, rtol=1e-5, atol=1e-5)

    remembered = json.loads(selfcheck.cache_file().read_text())
    assert any(variant.name in key and device.driver in key and verdict for key, verdict in remembered.items())
    selfcheck._remembered.cache_clear()  # as another process would: from the file, without a warning
    again = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, device=device)
    assert again._schedules.forward().variant != variant.name
    selfcheck.forget()


def test_a_damaged_or_unwritable_cache_costs_only_time(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = selfcheck.cache_file()
    file.parent.mkdir(parents=True)
    file.write_text("{ damaged")
    selfcheck._remembered.cache_clear()
    assert selfcheck._remembered(file) == {}
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(selfcheck, "cache_file", lambda: tmp_path / "file" / "clconv" / "selfcheck.json")
    Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, device=device)
