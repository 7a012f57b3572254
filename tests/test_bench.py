"""`clconv bench`: what it measures is right, what is wrong isn't timed, and what is measured is kept, whatever ends it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import clconv
from clconv import Device, reference, source
from clconv.bench.call import Call, Job
from clconv.bench.ceilings import ceilings
from clconv.bench.first import first_calls
from clconv.bench.layers import OFFSETS, Layer, layers, suites
from clconv.bench.record import Report
from clconv.bench.run import Bench, Settings, measurements
from clconv.bench.spots import Spots
from clconv.bench.timing import Limits, Spread, sample
from clconv.cli.group import commands
from clconv.errors import DeviceError

TINY = Layer("tiny", (2, 8, 9, 10), (6, 8, 3, 3), padding=1, offset_groups=2)
CONVOLUTION = replace(TINY, name="tiny-conv", offset_groups=None, mask=False, bias=False)
GROUPS = replace(TINY, name="tiny-groups", weight=(6, 4, 3, 3), stride=2, offset_groups=4)
DEPTHWISE = Layer("tiny-depthwise", (1, 4, 7, 6), (4, 1, 2, 3), offset_groups=1, mask=False)
SHORT = Limits(warmup=1, runs=2, seconds=0, timeout=5)
QUICK = ["--warmup", "1", "--runs", "2", "--seconds", "0", "--no-first-call"]
ONE = ["--input", "1,8,9,10", "--weight", "6,8,3,3", "--padding", "1"]

across_layers = pytest.mark.parametrize("layer", [TINY, CONVOLUTION, GROUPS, DEPTHWISE], ids=lambda layer: layer.name)


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["bench", *arguments], env={"COLUMNS": "200"})


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
    assert spots.account(right, "float64", "the reference") == ""
    assert spots.error(right) < 1e-12
    assert {name for name, *_ in spots.spots} == set(right) - ({"grad_offset"} if layer.offset_groups is None else set())


@pytest.mark.parametrize("which", ["forward", "backward"])
def test_spots_find_what_is_wrong(which: str) -> None:
    arrays, right = results(TINY, which)
    spots = Spots(TINY, arrays, Job(TINY, which).needs)
    for name, array in right.items():
        wrong = {**right, name: array * 1.01}
        assert f"elements of {name} are wrong" in spots.account(wrong, "float32", "a call")
        assert 0.005 < spots.error(wrong) < 0.02


@pytest.mark.thorough
@across_layers
@pytest.mark.parametrize("which", ["forward", "backward", "backward_data", "backward_weight"])
def test_calls_are_right_and_timed(layer: Layer, which: str, device: Device) -> None:
    job, inputs = Job(layer, which), [layer.arrays(seed=seed) for seed in range(2)]
    call = Call(job, device, inputs)
    assert Spots(layer, inputs[0], job.needs).account(call.results(), "float32", "a call") == ""
    clocks = {clock: getattr(call, clock)(number) for number, clock in enumerate(("device", "call", "enqueue", "numpy"))}
    assert all(seconds > 0 for seconds in clocks.values()), clocks
    kernels = {name: spread[0] for name, spread in call.kernels.items()}
    assert kernels and sum(kernels.values()) <= clocks["device"] * 1.001
    assert call.memory >= 0


def test_a_row_has_all_times(device: Device) -> None:
    settings = Settings((TINY,), ("forward",), limits=SHORT)
    (planned,) = measurements(settings, [device], [])
    row = Bench(settings).row(planned)
    assert row.verdict == "ok", row.reason
    assert set(row.times) == {"device", "call", "enqueue", "numpy"} and row.kernels
    assert row.first["cold"] > 0 and row.first["warm"] > 0
    assert row.flops == 2 * 2 * 9 * 10 * 6 * 8 * 9
    assert row.error is not None and row.error < 1e-6
    assert row.chosen.startswith("forward=")


@pytest.mark.thorough
def test_all_variants_side_by_side(device: Device) -> None:
    settings = Settings((TINY,), ("forward", "backward"), variants=("all",), limits=SHORT, first=False)
    planned = measurements(settings, [device], [])
    assert [m.key.variant for m in planned] == [variant.name for variant in clconv.tuning.PASSES["forward"]] + [""]
    rows = [Bench(settings).row(measurement) for measurement in planned]
    assert {row.verdict for row in rows} <= {"ok", "refused"}
    assert all(row.chosen.startswith(f"{row.key.which}={row.key.variant}") for row in rows if row.verdict == "ok" and row.key.variant)


def test_a_wrong_result_is_shown_and_never_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("clconv.program.render", lambda kernel: source.render(kernel).replace("load_data(bias,", "0.0f * load_data(bias,"))
    monkeypatch.setattr("clconv.program._entries", OrderedDict())
    monkeypatch.setenv("CLCONV_SELFCHECK", "0")
    result = bench(*ONE, *QUICK, "--pass", "forward", "--json", str(tmp_path / "a.json"))
    assert result.exit_code == 1
    assert "WRONG" in result.stdout
    (row,) = Report.read(tmp_path / "a.json").rows
    assert row.verdict == "wrong" and not row.times and "elements of output are wrong" in row.reason


def test_a_device_that_fails_costs_its_own_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Failing(Call):
        def results(self) -> Any:
            if self.plan.problem.out_channels == 6:
                raise DeviceError("the device went away")
            return super().results()

    monkeypatch.setattr("clconv.bench.run.Call", Failing)
    result = bench(*ONE, "--layer", "quick-groups", *QUICK, "--pass", "forward", "--json", str(tmp_path / "a.json"))
    assert result.exit_code == 1 and "the device went away" in result.stdout
    assert [row.verdict for row in Report.read(tmp_path / "a.json").rows] == ["ok", "failed"]


def test_reports_in_every_form(device: Device, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.json", "a.csv", "a.md", "a.svg")]
    options = [f"--{name}={file}" for name, file in zip(("json", "csv", "markdown", "plot"), files, strict=True)]
    result = bench(*ONE, *QUICK, "--device", device.index, "--seed", "3", *options)
    assert result.exit_code == 0, result.output
    assert all(file.stat().st_size for file in [*files, tmp_path / "a-roofline.svg"])
    report = Report.read(files[0])
    assert [row.key.which for row in report.rows] == ["forward", "backward"]
    assert report.provenance["seed"] == 3 and report.provenance["commit"] == clconv.provenance.commit()
    facts = report.devices[device.label]
    assert facts["driver"] == device.driver and set(facts["ceilings"]["float32"]) == {"bytes", "flops"}
    copied = tmp_path / "b.json"
    copied.write_text(files[0].read_text())
    assert CliRunner().invoke(commands, ["compare", str(files[0]), str(copied), "--fail-below", "0.95"]).exit_code == 0
    assert CliRunner().invoke(commands, ["compare", str(copied), str(copied)]).exit_code == 2


def test_resume_measures_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    bench(*ONE, *QUICK, "--pass", "forward", "--json", str(file))
    (before,) = Report.read(file).rows
    result = bench(*ONE, *QUICK, "--pass", "forward,backward", "--json", str(file), "--resume")
    assert result.exit_code == 0, result.output
    assert [row.key.which for row in Report.read(file).rows] == ["forward", "backward"]
    assert Report.read(file).rows[0] == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_what_was_measured_outlives_its_end(how: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    command = [sys.executable, "-m", "clconv", "bench", "--suite", "cpu5", *QUICK, "--seconds", "0.2", "--json", str(file)]
    path = os.pathsep.join([str(Path(clconv.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True) as process:
        until = time.monotonic() + 100
        while time.monotonic() < until and not (file.exists() and len(json.loads(file.read_text())["rows"]) > 1):
            time.sleep(0.1)
        process.send_signal(how)
        output = process.communicate(timeout=100)[0]
    rows = Report.read(file).rows
    assert rows[0].verdict == "ok"
    if how == signal.SIGINT:
        assert "cpu-r50c4" in output, "the table of what is there"
    else:
        assert all(row.verdict == "ok" or row.reason == "the process ended while this was measured" for row in rows)


def test_suites_are_listed_with_their_sources() -> None:
    result = bench("--list")
    assert result.exit_code == 0
    assert [layer.name for found in suites().values() for layer in found if layer.name not in result.output] == []


def test_every_layer_belongs_to_a_suite_and_says_where_it_is_from() -> None:
    assert set(layers()) == {layer.name for found in suites().values() for layer in found}
    assert all(layer.source for layer in layers().values())
    assert all(layer.problem().flops for layer in layers().values())
    assert len(suites()["gpu9"]) == 9 and len(suites()["cpu5"]) == 5


@pytest.mark.parametrize("offsets", OFFSETS)
def test_offsets_spread_as_their_name_says(offsets: str) -> None:
    arrays = layers()["quick-v2"].arrays("float32", offsets)
    least, most = {"zero": (0, 0), "small": (0.4, 0.6), "random": (1.9, 2.1), "real": (3, 12)}[offsets]
    assert least <= arrays["offset"].std() <= most
    again = layers()["quick-v2"].arrays("float32", offsets)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "none"], "expected one of resnet50-dcn"),
        (["--layer", "none"], "expected some of r50c3"),
        (["--pass", "sideways"], "expected some of forward"),
        (["--dtype", "int8"], "expected some of float16"),
        (["--against", "matlab"], "expected some of torchvision"),
        (["--input", "1,2,3,4"], "--input and --weight come together"),
        (["--input", "1,8,9,10", "--weight", "6,3,3,3"], "weight"),
        (["--json", "/nowhere/a.json"], "there is no folder"),
        (["--plot", "a.doc"], "expected a name that ends in"),
        (["--offsets", "wild"], "expected some of zero"),
    ],
)
def test_wrong_usage_says_what_was_expected(arguments: list[str], message: str) -> None:
    result = bench(*arguments)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.output.split()) and "Traceback" not in result.output


def test_peers_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        name, install, plain = "openvino", "pip install openvino", False

        def version(self) -> str:
            raise ImportError("No module named 'openvino'")

    monkeypatch.setattr("clconv.bench.peers.PEERS", {"openvino": Missing})
    result = bench(*ONE, *QUICK, "--pass", "forward", "--against", "openvino")
    assert result.exit_code == 0
    assert "openvino is left out" in result.stderr and "pip install openvino" in result.stderr


@pytest.mark.thorough
def test_first_calls_fail_with_their_reason(device: Device) -> None:
    with pytest.raises(DeviceError, match=r"the first call failed.*forward has block"):
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
