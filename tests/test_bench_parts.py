"""The parts of the benchmark: data, spot checks, calls, clocks, ceilings, statistics."""

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clconv import Device, reference
from clconv.bench.call import Call, Job
from clconv.bench.ceilings import ceilings
from clconv.bench.clock import believable, span
from clconv.bench.first import first_calls
from clconv.bench.layers import OFFSETS, Layer, layers, suites
from clconv.bench.spots import Spots
from clconv.bench.timing import Limits, Spread, sample
from clconv.errors import DeviceError

TINY = Layer("tiny", (2, 8, 9, 10), (6, 8, 3, 3), padding=1, offset_groups=2)
CONVOLUTION = replace(TINY, name="tiny-conv", offset_groups=None, mask=False, bias=False)
GROUPS = replace(TINY, name="tiny-groups", weight=(6, 4, 3, 3), stride=2, offset_groups=4)
DEPTHWISE = Layer("tiny-depthwise", (1, 4, 7, 6), (4, 1, 2, 3), offset_groups=1, mask=False)

across_layers = pytest.mark.parametrize("layer", [TINY, CONVOLUTION, GROUPS, DEPTHWISE], ids=lambda layer: layer.name)


def results(layer: Layer, which: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The layer's data and what the reference makes of all of it."""
    arrays = layer.arrays()
    operands: dict[str, Any] = {name: array for name, array in arrays.items() if name != "grad_output"}
    if layer.offset_groups is None:
        operands["offset"] = np.zeros((layer.input[0], 2 * 9, 9, 10))
    if which == "forward":
        return arrays, {"output": reference.deform_conv2d(**operands, **layer.options)}
    gradients = reference.deform_conv2d_backward(arrays["grad_output"], **operands, **layer.options)._asdict()
    return arrays, {f"grad_{name}": array for name, array in gradients.items() if array is not None}


@across_layers
@pytest.mark.parametrize("which", ["forward", "backward"])
def test_spots_find_nothing_wrong_in_the_reference(layer: Layer, which: str) -> None:
    arrays, right = results(layer, which)
    spots = Spots(layer, arrays, Job(layer, which).needs)
    assert spots.account(right, layer.problem("float64"), "the reference") == ""
    assert spots.error(right) < 1e-12
    assert {name for name, *_ in spots.spots} == set(right) - ({"grad_offset"} if layer.offset_groups is None else set())


@pytest.mark.parametrize("which", ["forward", "backward"])
def test_spots_find_what_is_wrong(which: str) -> None:
    arrays, right = results(TINY, which)
    spots = Spots(TINY, arrays, Job(TINY, which).needs)
    for name, array in right.items():
        wrong = {**right, name: array * 1.01}
        assert f"elements of {name} are wrong" in spots.account(wrong, TINY.problem(), "a call")
        assert 0.005 < spots.error(wrong) < 0.02


@pytest.mark.thorough
@across_layers
@pytest.mark.parametrize("which", ["forward", "backward", "backward_data", "backward_weight"])
def test_calls_are_right_and_timed(layer: Layer, which: str, device: Device) -> None:
    job, inputs = Job(layer, which), [layer.arrays(seed=seed) for seed in range(2)]
    call = Call(job, device, inputs)
    assert Spots(layer, inputs[0], job.needs).account(call.results(), layer.problem(), "a call") == ""
    clocks = {clock: getattr(call, clock)(number) for number, clock in enumerate(("device", "call", "enqueue", "numpy"))}
    assert all(seconds > 0 for seconds in clocks.values()), clocks
    kernels = {name: spread[0] for name, spread in call.kernels.items()}
    assert kernels or "llvmpipe" in device.name, "its clock isn't believed"
    assert sum(kernels.values()) <= clocks["device"] * 1.001
    assert call.memory >= 0


def test_every_layer_belongs_to_a_suite_and_says_where_it_is_from() -> None:
    assert set(layers()) == {layer.name for found in suites().values() for layer in found}
    assert all(layer.source for layer in layers().values())
    assert all(layer.problem().flops for layer in layers().values())
    assert len(suites()["gpu9"]) == 9 and len(suites()["cpu5"]) == 5


def test_offsets_to_one_place_sample_the_same_everywhere() -> None:
    layer = Layer("one", (2, 4, 9, 11), (4, 2, 2, 3), stride=2, padding=1, dilation=2, offset_groups=2, mask=False, bias=False)
    arrays: dict[str, Any] = layer.arrays("float64", "one")
    del arrays["grad_output"]
    output = reference.deform_conv2d(**arrays, **layer.options)
    assert np.ptp(output, axis=(2, 3)).max() < 1e-12 and np.abs(output).min() > 1e-3


@pytest.mark.parametrize("offsets", OFFSETS)
def test_offsets_spread_as_their_name_says(offsets: str) -> None:
    arrays = layers()["quick-v2"].arrays("float32", offsets)
    least, most = {"zero": (0, 0), "small": (0.4, 0.6), "random": (1.9, 2.1), "real": (3, 12), "one": (3, 30)}[offsets]
    assert least <= arrays["offset"].std() <= most
    again = layers()["quick-v2"].arrays("float32", offsets)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


@pytest.mark.thorough
def test_first_calls_fail_with_their_reason(device: Device) -> None:
    with pytest.raises(DeviceError, match=r"the first call failed.*forward has .*block"):
        first_calls(Job(TINY, "forward", variant="none"), device)
    with pytest.raises(DeviceError, match="took more than"):
        first_calls(Job(TINY, "forward"), device, timeout=0.01)


def test_ceilings_are_measured_once(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = ceilings(device)
    assert first["bytes"] > 1e8 and first["flops"] > 1e8
    assert ceilings(device) == first
    (tmp_path / "clconv" / "ceilings.json").write_text("{ damaged")
    assert set(ceilings(device)) == {"bytes", "flops"}


def test_spread_of_times() -> None:
    spread = Spread.of([4.0, 1.0, 2.0, 3.0, 5.0])
    assert (spread.median, spread.q1, spread.q3, spread.least, spread.runs) == (3, 2, 4, 1, 5)
    assert Spread.of([2.0]) == Spread(2, 2, 2, 2, 1)
    assert "slows down" in Spread.of([1.0] * 5 + [1.1] * 5 + [1.3] * 5).remark
    assert "longer than the median" in Spread.of([1.0, 5.0, 1.0, 1.0, 5.0, 1.0]).remark
    assert Spread.of([1.0, 1.01, 0.99] * 5).remark == ""


def test_sampling_keeps_its_limits() -> None:
    calls: list[int] = []

    def timed(number: int) -> float:
        calls.append(number)
        time.sleep(0.01)
        return 0.01

    assert sample(timed, Limits(warmup=2, runs=3, seconds=0, timeout=10)).runs == 3
    assert len(calls) == 5
    assert sample(timed, Limits(warmup=1, runs=1, seconds=0.1, timeout=10)).runs >= 5
    assert sample(timed, Limits(warmup=5, runs=100, seconds=9, timeout=0.05)).runs < 10


def test_a_clock_that_tells_nothing_is_not_believed() -> None:
    def launched(nanoseconds: int) -> Any:
        return [("kernel", SimpleNamespace(profile=SimpleNamespace(start=0, end=nanoseconds)))]

    assert not believable(launched(1), host=0.3)
    assert believable(launched(5000), host=7e-5)
    assert span(launched(5000)) == pytest.approx(5e-6)
