"""The command line: what it prints, and with which exit code it ends."""

import json
import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import fields, replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import clconv
from clconv import selfcheck, source
from clconv.check.cases import BY_NAME
from clconv.check.run import Subject
from clconv.cli.devices import advice
from clconv.cli.group import commands
from clconv.device import resolve
from clconv.provenance import commit, variables
from clconv.tuning import PASSES

WIDE = {"COLUMNS": "200"}


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(commands, arguments, env={**WIDE, **environment})


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own, in which this checkout is importable."""
    path = os.pathsep.join([str(Path(clconv.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    everything = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=everything, check=False, timeout=120)


def test_version() -> None:
    result = invoke("--version")
    assert result.exit_code == 0
    assert clconv.__version__ in result.output


def test_module_is_the_command() -> None:
    result = run_python("import runpy, sys; sys.argv = ['clconv', '--version']; runpy.run_module('clconv', run_name='__main__')")
    assert (result.returncode, result.stdout.strip()) == (0, f"clconv, version {clconv.__version__}")


@pytest.mark.parametrize("command", [None, *commands.commands])
def test_help(command: str | None) -> None:
    arguments = [command, "--help"] if command else ["--help"]
    result = invoke(*arguments)
    assert result.exit_code == 0
    assert "Usage: " in result.output
    named = commands.commands[command] if command else commands
    options = [option for parameter in named.params if isinstance(parameter, click.Option) for option in parameter.opts]
    assert [option for option in options if option not in result.output] == []


@pytest.mark.parametrize("command", list(commands.commands))
def test_every_option_is_explained(command: str) -> None:
    options = [parameter for parameter in commands.commands[command].params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_devices_are_listed() -> None:
    result = invoke("devices")
    assert result.exit_code == 0
    table, variants = result.output.split("\nVariants for ")
    lines, present = table.splitlines()[1:], clconv.devices()
    assert variants.count("backward_weight") == len(present)
    assert len(lines) == len(present)
    for line, device in zip(lines, present, strict=True):
        assert device.index in line and device.name in line and device.platform in line
        assert line.startswith("*") == (device == resolve())


def test_devices_say_what_is_switched_off(device: clconv.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    named = [device.index, "forward"]
    found = next(line.split() for line in invoke("devices").output.splitlines() if line.split()[:2] == named)
    if found[2] == "plain":
        pytest.skip(f"{device.label} gets the plain variant, which is never switched off")
    monkeypatch.setattr("clconv.cli.devices.switched_off", lambda which, variant, dtype, device: variant.name == found[2])
    (line,) = (line for line in invoke("devices").output.splitlines() if line.split()[:2] == named)
    assert line.split()[2] != found[2]
    assert f"{found[2]}: gave wrong results there and is switched off" in line


def test_default_device_is_the_chosen_one() -> None:
    last = clconv.devices()[-1]
    result = invoke("devices", CLCONV_DEVICE=last.index)
    marked = [line for line in result.output.splitlines() if line.startswith("*")]
    assert len(marked) == 1
    assert last.index in marked[0].split()


def test_devices_say_which_cpu_driver_is_the_fastest() -> None:
    intel, pocl = (replace(clconv.devices()[0], kind="cpu", simulator=False, platform=name) for name in ("Intel(R) OpenCL", "PoCL"))
    assert "pip install 'clconv[cpu]'" in str(advice([pocl], "x86_64"))
    assert "is taken first" in str(advice([pocl, intel], "x86_64"))
    assert advice([intel], "x86_64") is advice([pocl], "aarch64") is advice([replace(pocl, kind="gpu")], "x86_64") is None


def test_devices_as_json() -> None:
    result = invoke("devices", "--json")
    assert result.exit_code == 0
    names = [field.name for field in fields(clconv.Device) if field.name != "handle"]
    listed = json.loads(result.output)
    assert [list(facts) for facts in listed] == [[*names, "variants"]] * len(clconv.devices())
    assert all("chosen" in facts["variants"]["forward"].values() for facts in listed)
    assert [facts["index"] for facts in listed] == [device.index for device in clconv.devices()]


@pytest.mark.parametrize(("arguments", "environment"), [(["demo", "--device", "abacus"], {}), (["devices"], {"CLCONV_DEVICE": "abacus"})])
def test_unknown_device_lists_what_there_is(arguments: list[str], environment: dict[str, str]) -> None:
    result = invoke(*arguments, **environment)
    assert result.exit_code == 1
    assert "abacus" in result.output
    assert [device.name for device in clconv.devices() if device.name not in result.output] == []
    assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", [["bake"], ["demo", "--size", "3"], ["demo", "--output", "/nowhere/a.png"], ["devices", "more"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["devices", "demo"])
def test_no_driver_is_one_sentence(command: str, tmp_path: Path) -> None:
    code = f"import sys; sys.argv = ['clconv', '{command}']; from clconv.cli import main; main()"
    result = run_python(code, OCL_ICD_VENDORS=str(tmp_path / "missing"), CLCONV_DEVICE="", PYOPENCL_CTX="")
    assert (result.returncode, result.stdout) == (1, "")
    assert "pip install" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "command", "extra"),
    [
        ("click", "devices", "cli"),
        ("rich", "devices", "cli"),
        ("rich", "demo", "cli"),
        ("rich", "bench", "cli"),
        ("skimage", "demo", "demo"),
        ("scipy", "demo", "demo"),
        ("threadpoolctl", "demo", "demo"),
        ("matplotlib", "demo", "demo"),
    ],
)
def test_missing_extra_says_what_to_install(module: str, command: str, extra: str) -> None:
    code = f"import sys; sys.modules['{module}'] = None; sys.argv = ['clconv', '{command}']; from clconv.cli import main; main()"
    result = run_python(code)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.strip() == f"this command needs {module}, which is not installed: pip install 'clconv[{extra}]'"


def test_other_missing_modules_are_not_hidden() -> None:
    result = run_python("import sys; sys.modules['clconv.cli.group'] = None; from clconv.cli import main; main()")
    assert result.returncode == 1
    assert "ModuleNotFoundError" in result.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("which", ["forward", "backward_data", "backward_weight"])
def test_check_finds_nothing_wrong(device: clconv.Device, which: str) -> None:
    result = invoke("check", "--device", device.index, "--pass", which, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["clconv"] == clconv.__version__
    assert report["commit"] == commit()
    assert report["variables"] == variables()
    outcomes = report["reports"][0]["outcomes"]
    assert {outcome["verdict"] for outcome in outcomes} <= {"ok", "refused"}
    assert {outcome["pass"] for outcome in outcomes} == {which}
    assert report["reports"][0]["device"]["driver"] == device.driver


@pytest.mark.parametrize("passes", ["sideways", ""])
def test_check_of_no_pass_is_refused(passes: str) -> None:
    result = invoke("check", "--pass", passes)
    assert result.exit_code == 2
    assert "expected some of forward, backward_data, backward_weight" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bench", "--pass", ""), "expected some of forward"),
        (("bench", "--dtype", ""), "expected some of float16"),
        (("bench", "--variant", "best"), "best: expected some of all, "),
        (("bench", "--seconds", "nan"), "expected a finite number, got nan"),
        (("bench", "--seed", "-1"), "-1 is not in the range"),
        (("bench", "--input", "0,4,8,8", "--weight", "4,4,3,3"), "expected sizes of at least 1"),
        (("bench", "--json", "."), "is a directory"),
        (("tune", "--input", "1,4,8,8", "--weight", "0,4,3,3"), "expected sizes of at least 1"),
        (("compare", __file__, "--fail-below", "nan"), "expected a finite number, got nan"),
        (("demo", "--output", ""), "expected a file, got the folder"),
        (("source", "forward", "--input", "1,4,8,8", "--weight", "4,4,3,3", "--offset-groups", "-1"), "-1 is not in the range"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else None,
)
def test_what_cannot_be_is_refused_at_once(arguments: tuple[str, ...], sentence: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2 and sentence in result.output, result.output


def test_layers_by_shape_have_the_names_of_what_they_are() -> None:
    """Rows of reports go by these."""
    common = ("--input", "1,4,8,8", "--weight", "4,4,3,3", "--pass", "forward", "--seconds", "0", "--runs", "1", "--no-first-call")
    usual = invoke("bench", *common)
    other = invoke("bench", *common, "--stride", "2", "--offset-groups", "2", "--no-bias")
    assert usual.exit_code == other.exit_code == 0, usual.output + other.output
    assert "1x4x8x8-4x4x3x3 " in usual.stdout
    assert "1x4x8x8-4x4x3x3-stride-2-offset-groups-2-no-bias " in other.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_output_that_cannot_be_written_is_said_in_a_sentence() -> None:
    to_full = "import os, sys; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); "
    result = run_python(to_full + "sys.argv = ['clconv', 'devices']; from clconv.cli import main; main()")
    assert result.returncode == 1
    assert "No space left on device" in result.stderr and "Traceback" not in result.stderr


def test_variables_that_matter_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLCONV_COMMIT", "0123abc")
    monkeypatch.setenv("PATHS", "of no interest")
    assert variables()["CLCONV_COMMIT"] == commit() == "0123abc"
    assert "PATHS" not in variables()


def test_check_shows_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """With kernels that leave out the bias, it exits with 1 and prints the call."""
    monkeypatch.setattr("clconv.program.render", lambda kernel: source.render(kernel).replace("load_data(bias,", "0.0f * load_data(bias,"))
    monkeypatch.setattr("clconv.program._entries", OrderedDict())
    monkeypatch.setattr("clconv.check.report.subjects", lambda device: [Subject("forward", PASSES["forward"][-1], BY_NAME["plain"])])
    result = invoke("check")
    assert result.exit_code == 1
    assert "wrong forward plain: plain, float32" in result.output
    assert "clconv.check.cases.BY_NAME['plain'].arrays('float32', 'float32')" in result.output


def test_source_prints_the_kernels() -> None:
    arguments = ["source", "forward", "--input", "1,4,8,9", "--weight", "6,4,3,3", "--padding", "1"]
    result = invoke(*arguments, "--variant", "plain")
    assert result.exit_code == 0, result.output
    assert "__kernel void forward_plain" in result.output
    assert "/* forward: variant plain, tile item_out=8; global" in result.output
    assert invoke(*arguments, "--variant", "magic").exit_code == 1
    assert invoke("source", "forward", "--input", "1,x", "--weight", "6,4,3,3").exit_code == 2


def test_cache_is_shown_and_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = selfcheck.cache_file()
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"a key": "what was wrong"}))
    selfcheck._remembered.cache_clear()
    assert "switched off: a key" in invoke("cache", "show").output
    assert json.loads(invoke("cache", "show", "--json").output)["verdicts"] == {"a key": "what was wrong"}
    assert invoke("cache", "clear").exit_code == 0
    assert not file.exists()
    assert selfcheck.verdicts() == {}
