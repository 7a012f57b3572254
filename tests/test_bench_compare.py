"""Comparisons of reports: verdicts, ranks, and the command with its exit codes."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from bench_reports import CPU, GPU, TIMES, bad_rows, key, report, row, scaled, spread, written
from click.testing import CliRunner, Result
from test_cli import run_python

from clconv import ProblemError
from clconv.bench.compare import Comparison, compare, failures
from clconv.bench.timing import Spread
from clconv.cli.group import commands


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["compare", *arguments])


def compared(speeds: dict[str, float], width: float = 0.1) -> Comparison:
    return compare({"old": report(TIMES, width=width), "new": report(scaled(speeds), width=width)})


@pytest.mark.parametrize(
    ("speed", "width", "verdict"),
    [(1.5, 0.1, "faster"), (0.5, 0.1, "slower"), (1.1, 0.1, "within spread"), (1.0, 0.0, "within spread"), (1.005, 0.001, "same")],
)
def test_verdicts_need_spreads_that_do_not_overlap(speed: float, width: float, verdict: str) -> None:
    match = next(match for match in compared({"one": speed}, width).matches if match.key == key("one"))
    assert match.verdict == verdict
    assert match.ratio == pytest.approx(speed, rel=1e-12)
    assert match.apart == (verdict != "within spread")


def test_spreads_that_touch_overlap() -> None:
    slow, fast = (row(key("four"), 1.0, times={"device": Spread(*times, 0.0, 9)}) for times in [(3.0, 2.0, 4.0), (1.0, 0.0, 2.0)])
    (match,) = compare({"old": report({}, extra=[slow]), "new": report({}, extra=[fast])}).matches
    assert (match.ratio, match.verdict) == (3.0, "within spread")


def test_versions_are_ranked_over_what_all_have() -> None:
    two = replace(report(scaled({"one": 2.0, "two": 0.25})), rows=report(scaled({"one": 2.0, "two": 0.25})).rows[:2])
    comparison = compare({"old": report(), "new": report(scaled({"one": 4.0, "two": 1.0})), "newest": two})
    assert comparison.of == "reports"
    assert [(rank.name, rank.rows) for rank in comparison.ranking] == [("new", 2), ("newest", 2), ("old", 2)]
    assert [rank.ratio for rank in comparison.ranking] == pytest.approx([4.0, 2.0, 1.0], rel=1e-12)
    assert {(left.contender, left.verdict) for left in comparison.left_out if left.key == key("two")} == {("newest", "missing")}


def test_different_devices_are_compared_as_devices() -> None:
    comparison = compare({"a": report(), "b": report(scaled({"one": 0.1, "two": 0.1}), CPU)})
    assert comparison.of == "devices"
    assert comparison.names == (f"{GPU} (a)", f"{CPU} (b)")
    assert {match.key.device for match in comparison.matches} == {""}
    assert [match.ratio for match in comparison.matches] == pytest.approx([0.1] * 3, rel=1e-12)


def test_one_report_of_two_devices_is_enough() -> None:
    both = replace(report(), rows=(*report().rows, *report(scaled({"one": 2.0}), CPU).rows))
    assert compare({"a": both}).names == (GPU, CPU)
    with pytest.raises(ProblemError, match=r"^reports: expected two, or one of several devices, got 1"):
        compare({"a": report()})


def test_times_of_different_clocks_are_remarked() -> None:
    numpy = row(key("one", device=CPU), 5.0, main="numpy", times={"numpy": spread(5.0)})
    (match,) = compare({"a": report(), "b": report({}, CPU, extra=[numpy])}).matches
    assert match.remark == "device time against numpy time"


def test_what_is_not_compared_is_listed() -> None:
    left = {
        (left.key.layer, left.key.which, left.contender): left.why
        for left in compare({"a": report(extra=bad_rows()), "b": report()}).left_out
    }
    assert left["three", "forward", "a"] == "WRONG: output[0, 1]: got 3 | want 4"
    assert left["three", "backward", "a"].startswith("failed: OutOfMemoryError") or left["three", "backward", "a"].startswith("refused")
    assert left["three", "forward", "b"] == "missing"


def test_failures_name_rows_and_means() -> None:
    assert failures(compared({"one": 1.2}), 0.95) == []
    slow = failures(compared({"two": 0.5}), 0.95)
    assert slow == [
        f"two forward, float32, random offsets, clconv on {GPU}: 0.500 in new",
        "geometric mean over 3 rows: 0.794 in new",
    ]
    assert failures(compared({"two": 0.9}, 0.2), 0.95) == []  # spreads overlap, and the mean is 0.965
    assert len(failures(compared({"one": 0.9, "two": 0.9}, 0.2), 0.95)) == 1  # the mean alone


def test_peers_do_not_fail_a_comparison() -> None:
    slower = {names: milliseconds * (3 if names[2] == "torchvision" else 1) for names, milliseconds in TIMES.items()}
    comparison = compare({"old": report(), "new": report(slower)})
    assert {match.verdict for match in comparison.matches if match.key.system == "torchvision"} == {"slower"}
    assert failures(comparison, 0.95) == []


def test_rows_that_broke_are_failures() -> None:
    broken = replace(report(), rows=(replace(report().rows[0], verdict="wrong", times={}, reason="all of it"), *report().rows[1:]))
    assert failures(compare({"old": report(), "new": broken}), 0.95) == [
        f"one forward, float32, random offsets, clconv on {GPU}: WRONG: all of it in new"
    ]
    assert failures(compare({"old": broken, "new": report()}), 0.95) == []


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """Reports: a first, one that is faster in layer one and slower in layer two, and one of another device."""
    new = report(scaled({"one": 2.0, "two": 0.5}), extra=bad_rows())
    other = report(scaled({"one": 0.1, "two": 0.1}), CPU)
    return written(tmp_path / "a.json", report()), written(tmp_path / "b.json", new), written(tmp_path / "c.json", other)


def test_compare_prints_verdicts_and_ranks(files: tuple[str, str, str]) -> None:
    first, second, _ = files
    result = invoke(first, second)
    assert result.exit_code == 0, result.output
    assert "above 1, the other one is faster than [1]" in result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert ["one", "forward", "clconv", "2.00", "1.00", "2.00", "faster"] in lines
    assert ["two", "forward", "clconv", "1.00", "2.00", "0.500", "slower"] in lines
    assert "WRONG: output[0, 1]: got 3 | want 4" in result.output
    assert ["1", second, "1.260", "3"] in lines  # the cube root of 2 * 2 / 2
    assert ["2", first, "1.000", "3"] in lines


@pytest.mark.parametrize(("least", "code"), [("0.4", 0), ("0.95", 1), ("1.3", 1)])
def test_fail_below_is_the_exit_code(least: str, code: int, files: tuple[str, str, str]) -> None:
    result = invoke(*files[:2], "--fail-below", least)
    assert result.exit_code == code
    assert (f"below {least}, or broken: two forward" in result.stderr) == bool(code)
    assert ("geometric mean over 3 rows: 1.260" in result.stderr) == (least == "1.3")


def test_fail_below_needs_something_to_compare(tmp_path: Path) -> None:
    other = report({("five", "forward", "clconv"): 1.0})
    result = invoke(written(tmp_path / "a.json", report()), written(tmp_path / "b.json", other), "--fail-below", "0.5")
    assert result.exit_code == 1
    assert "no row of this library has a time in all of them" in result.stderr
    assert "no row of clconv has a time in all of them" in result.stdout


def test_compare_as_json(files: tuple[str, str, str]) -> None:
    result = invoke(*files[:2], "--json", "--fail-below", "0.95")
    assert result.exit_code == 1
    read = json.loads(result.stdout)
    assert read["names"] == list(files[:2])
    assert len(read["failures"]) == 1
    found = {(match["key"]["layer"], match["key"]["which"]): (match["ratio"], match["verdict"]) for match in read["matches"]}
    assert found["two", "forward"] == (pytest.approx(0.5, rel=1e-12), "slower")
    assert read["ranking"][0] == {"name": files[1], "ratio": pytest.approx(2 ** (1 / 3), rel=1e-12), "rows": 3}
    assert read["left_out"][-1]["key"] == asdict(key("three", "backward", "torchvision"))


def test_compare_ranks_devices(files: tuple[str, str, str]) -> None:
    result = invoke(files[0], files[2])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Comparing devices; ")
    assert f"[2] {CPU} ({files[2]})" in result.output
    assert result.output.index("1      Graphics [fast]") < result.output.index("2      Processor")


@pytest.mark.parametrize(
    "arguments", [[], ["/nowhere.json"], ["A", "--fail-below", "0"], ["A", "B", "--plot", "a.bmp"], ["A", "B", "--plot", "/nowhere/a.png"]]
)
def test_wrong_usage_is_2(arguments: list[str], files: tuple[str, str, str]) -> None:
    named = {"A": files[0], "B": files[1]}
    assert invoke(*(named.get(argument, argument) for argument in arguments)).exit_code == 2


def test_one_report_of_one_device_is_refused(files: tuple[str, str, str]) -> None:
    result = invoke(files[0])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "expected two, or one of several devices" in result.stderr


def test_missing_matplotlib_says_what_to_install(files: tuple[str, str, str], tmp_path: Path) -> None:
    plotted = ["clconv", "compare", *files[:2], "--plot", str(tmp_path / "a.png")]
    code = "import sys; sys.modules['matplotlib'] = None; sys.argv = {}; from clconv.cli import main; main()"
    result = run_python(code.format(plotted))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.strip() == "this command needs matplotlib, which is not installed: pip install 'clconv[bench]'"
    assert run_python(code.format(plotted[:-2])).returncode == 0


def test_the_command_writes_a_plot(files: tuple[str, str, str], tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    assert invoke(*files[:2], "--plot", str(path)).exit_code == 0
    assert all(f"<!-- {word} -->" in path.read_text() for word in ("forward", "backward", "geometric mean", "2.00", "0.500"))
