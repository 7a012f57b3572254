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
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import clconv
from clconv import Device, reference, source
from clconv.bench.call import Call
from clconv.bench.layers import Layer, suites
from clconv.bench.peers.peer import Peer
from clconv.bench.record import Report
from clconv.bench.run import Bench, Settings, measurements
from clconv.bench.timing import Limits
from clconv.cli.group import commands
from clconv.errors import DeviceError

TINY = Layer("tiny", (2, 8, 9, 10), (6, 8, 3, 3), padding=1, offset_groups=2)
SHORT = Limits(warmup=1, runs=2, seconds=0, timeout=5)
QUICK = ["--warmup", "1", "--runs", "2", "--seconds", "0", "--no-first-call"]
ONE = ["--input", "1,8,9,10", "--weight", "6,8,3,3", "--padding", "1"]


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["bench", *arguments], env={"COLUMNS": "200"})


def test_a_row_has_all_times(device: Device) -> None:
    settings = Settings((TINY,), ("forward",), limits=SHORT)
    (planned,) = measurements(settings, [device], [])
    row = Bench(settings).row(planned)
    assert row.verdict == "ok", row.reason
    assert set(row.times) == {"device", "call", "enqueue", "numpy"}
    assert row.kernels or "llvmpipe" in device.name, "its clock isn't believed"
    assert row.first["cold"] > 0 and row.first["warm"] > 0
    assert row.flops == 2 * 2 * 9 * 10 * 6 * 8 * 9
    assert row.error is not None and row.error < 1e-6
    assert row.chosen.startswith("forward=")


def test_a_weight_that_stays_is_packed_once(device: Device) -> None:
    layer = Layer("packed", (1, 32, 8, 9), (32, 32, 3, 3), padding=1)
    packs = []
    for fixed in (False, True):
        settings = Settings((layer,), ("forward",), fixed_weight=fixed, limits=SHORT, first=False)
        (planned,) = measurements(settings, [device], [])
        row = Bench(settings).row(planned)
        assert row.verdict == "ok" and row.key.fixed_weight == fixed, row.reason
        packs.append([name for name in row.kernels if "pack" in name or name == "ring_and_weight"])
    assert (packs[0] and not packs[1]) or "llvmpipe" in device.name, packs


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
        assert process.returncode == 130
        assert "cpu-r50c4" in output, "the table of what is there"
        assert all(row.verdict == "ok" for row in rows), "the interrupted one is left to --resume"
    else:
        assert all(row.verdict == "ok" or row.reason == "the process ended while this was measured" for row in rows)


def test_suites_are_listed_with_their_sources() -> None:
    result = bench("--list")
    assert result.exit_code == 0
    assert [layer.name for found in suites().values() for layer in found if layer.name not in result.output] == []


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


class _Peer(Peer):
    """A peer that counts how often it is asked."""

    name, install, plain = "counted", "pip install counted", False

    def __init__(self) -> None:
        self.asked = 0

    def version(self) -> str:
        return "counted 1"

    def refusal(self, task: Any) -> str | None:
        return None

    def prepare(self, task: Any) -> Any:
        self.asked += 1
        arrays = task.inputs[0]
        operands = {name: array for name, array in arrays.items() if name != "grad_output"}
        output = reference.deform_conv2d(**operands, **task.layer.options)
        return SimpleNamespace(results=lambda: {"output": output}, timed=lambda number: 1e-3, memory=lambda: None)


class _Rounding(_Peer):
    """A peer that takes whole offsets, and says so or doesn't."""

    def __init__(self, says_so: bool) -> None:
        super().__init__()
        self._says_so = says_so

    def taken(self, task: Any) -> Any:
        return _whole_offsets(task).inputs[0] if self._says_so else super().taken(task)

    def prepare(self, task: Any) -> Any:
        return super().prepare(_whole_offsets(task))


def _whole_offsets(task: Any) -> Any:
    return replace(task, inputs=[{**arrays, "offset": np.rint(arrays["offset"])} for arrays in task.inputs])


@pytest.mark.parametrize("says_so", [True, False])
def test_a_peer_that_rounds_places_is_judged_there_and_its_error_shown(says_so: bool, device: Device) -> None:
    settings = Settings((TINY,), ("forward",), limits=SHORT, first=False)
    row = Bench(settings).row(measurements(settings, [device], [_Rounding(says_so)])[-1])
    assert row.key.system == "counted" and row.error is not None and row.error > 0.1
    assert row.verdict == ("ok" if says_so else "wrong") and bool(row.times) == says_so


def test_what_is_compared_is_measured_one_after_another(device: Device) -> None:
    layers = (TINY, replace(TINY, name="another"))
    devices = [device, replace(device, name="another", index="")]
    planned = measurements(Settings(layers, ("forward", "backward")), devices, [_Peer()])
    compared = [(planned_.key.layer, planned_.key.which) for planned_ in planned]
    assert compared == [(layer.name, which) for layer in layers for which in ("forward", "backward") for _ in range(4)]


def test_peers_on_the_cpu_are_measured_once_for_all_its_drivers(device: Device) -> None:
    if device.kind != "cpu":
        pytest.skip("peers on a GPU are measured beside it")
    settings, peer = Settings((TINY,), ("forward",), limits=SHORT, first=False), _Peer()
    devices = [device, replace(device, name="the same by another driver", index="")]
    rows = [row for row in map(Bench(settings).row, measurements(settings, devices, [peer])) if row.key.system == "counted"]
    assert [row.key.device for row in rows] == [device.label, devices[1].label]
    assert [row.seconds for row in rows] == [1e-3, 1e-3]
    assert peer.asked == 1
