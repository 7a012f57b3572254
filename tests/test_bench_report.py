"""Reports of benchmarks: their files, the figures that follow from them, and their tables."""

import csv
import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from bench_reports import CPU, GPU, TIMES, bad_rows, key, report, row, spread, written
from click.testing import CliRunner
from rich.console import Console

from clconv import ProblemError
from clconv.bench.figures import ceiling_seconds, flops_per_second, geometric_means, share, speed_ups
from clconv.bench.record import FORMAT, Report
from clconv.bench.table import as_csv, as_markdown, show, show_suites
from clconv.bench.words import digits, size
from clconv.cli.group import commands


def printed(what: Report, width: int = 200, terminal: bool = False) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=terminal)
    show(what, console)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    told = row(key("four", precision="tf32"), 1.5, kernels={"sample": 1e-3}, first={"cold": 2.0}, chosen="tile", error=1e-7, memory=None)
    whole = report(extra=[*bad_rows(), told])
    assert Report.read(Path(written(tmp_path / "a.json", whole))) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def _damaged(whole: dict[str, Any]) -> dict[str, str]:
    first = whole["rows"][0]
    return {
        "half of it": json.dumps(whole)[:-200],
        "another file": "[1, 2]",
        "rows are missing": json.dumps({name: value for name, value in whole.items() if name != "rows"}),
        "a field is missing": json.dumps({**whole, "rows": [{**first, "key": {"layer": "one"}}]}),
        "no times": json.dumps({**whole, "rows": [{**first, "times": None}]}),
        "a word for a row": json.dumps({**whole, "rows": ["row"]}),
    }


@pytest.mark.parametrize("damage", ["half of it", "another file", "rows are missing", "a field is missing", "no times", "a word for a row"])
def test_a_damaged_report_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    report().write(path)
    path.write_text(_damaged(json.loads(path.read_text()))[damage])
    with pytest.raises(ProblemError, match=r"a\.json: expected a report of `clconv bench --json`"):
        Report.read(path)
    result = CliRunner().invoke(commands, ["compare", str(path)])
    assert result.exit_code == 1
    assert "a.json: expected a report" in result.output
    assert "Traceback" not in result.output


def test_another_format_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    report().write(path)
    path.write_text(path.read_text().replace(f'"format": {FORMAT}', '"format": 99'))
    with pytest.raises(ProblemError) as caught:
        Report.read(path)
    assert str(caught.value) == f"{path}: expected a report of format {FORMAT}, got 99"


def test_speed_ups_are_the_peers_time_over_ours() -> None:
    found = {(one.row.key.layer, one.row.key.which, one.peer.key.system): one.ratio for one in speed_ups(report())}
    want = {("one", "forward", "torchvision"): 2.0, ("one", "backward", "torchvision"): 0.5, ("two", "forward", "torchvision"): 8.0}
    assert found == pytest.approx(want, rel=1e-12)


def test_speed_ups_use_the_time_that_a_row_names() -> None:
    ours = row(key("four"), 1.0, main="numpy", times={"device": spread(1), "numpy": spread(5)})
    (one,) = speed_ups(report({}, extra=[ours, row(key("four", system="peer"), 10.0)]))
    assert one.ratio == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize(
    "other", [{"layer": "five"}, {"which": "backward"}, {"dtype": "float16"}, {"precision": "tf32"}, {"deterministic": True},
              {"fixed_weight": True}, {"offsets": "zero"}, {"device": CPU}]
)  # fmt: skip
def test_rows_of_other_tasks_are_not_compared(other: dict[str, Any]) -> None:
    rows = [row(key("four"), 1.0), row(replace(key("four", system="peer"), **other), 2.0)]
    assert speed_ups(report({}, extra=rows)) == ()


def test_wrong_rows_have_no_figures() -> None:
    wrong = row(key("four"), 1.0, verdict="wrong")  # with a time, which it must not have
    assert speed_ups(report({}, extra=[wrong, row(key("four", system="peer"), 2.0)])) == ()
    assert flops_per_second(wrong) is None
    assert share(wrong, report().devices[GPU]) is None


def test_geometric_means_are_by_pass_and_variant() -> None:
    plain = [row(key("one", variant="plain"), 1.0), row(key("two", variant="plain"), 8.0)]
    means = geometric_means(speed_ups(report(extra=plain)))
    found = {(mean.key.which, mean.key.variant, mean.layers): mean.ratio for mean in means}
    # forward: of 2 and 8; of 4 and 1 with the variant
    assert found == pytest.approx({("forward", "", 2): 4.0, ("backward", "", 1): 0.5, ("forward", "plain", 2): 2.0}, rel=1e-12)
    assert {mean.key.system for mean in means} == {"torchvision"}


def test_ceilings_are_the_slower_of_both() -> None:
    one = row(key("one"), 4.0)  # 4 GFLOP and 20 MB: 1 ms at both ceilings of the reports here
    device = report().devices[GPU]
    assert ceiling_seconds(one, device) == pytest.approx(1e-3, rel=1e-12)
    assert share(one, device) == pytest.approx(0.25, rel=1e-12)
    assert ceiling_seconds(replace(one, flops=2 * one.flops), device) == pytest.approx(2e-3, rel=1e-12)
    assert ceiling_seconds(replace(one, bytes=3 * one.bytes), device) == pytest.approx(3e-3, rel=1e-12)
    assert flops_per_second(one) == pytest.approx(1e12, rel=1e-12)
    assert ceiling_seconds(one, {"ceilings": {"flops": 1e12, "bytes": 1e12}}) == pytest.approx(4e-3, rel=1e-12)  # one for all types


@pytest.mark.parametrize("described", [{}, {"ceilings": {}}, {"ceilings": None}, {"ceilings": {"float32": {"flops": 1e12}}}])
def test_without_ceilings_there_is_no_share(described: dict[str, Any]) -> None:
    assert ceiling_seconds(row(key("one"), 4.0), described) is None
    assert share(row(key("one"), 4.0), described) is None


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.012345, "0.0123"), (1.0, "1.00"), (9.999, "10.0"), (12.34, "12.3"), (1234.6, "1230"), (64e3, "64000")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_sizes_have_units() -> None:
    assert [size(number) for number in (5, 2048, 3 << 19, 5 << 30)] == ["5 B", "2.00 KiB", "1.50 MiB", "5.00 GiB"]


def test_the_table_shows_rows_and_what_went_wrong() -> None:
    text = printed(report(extra=bad_rows()))
    lines = {tuple(line.split()[:3]): line for line in text.splitlines()}
    one = lines["one", "forward", "clconv"].split()
    assert one[3:] == ["2.00", "(1.80-2.20)", "2000", "10.0", "50", "%", "1.50", "MiB", "2.00x"]
    assert "WRONG: output[0, 1]: got 3 | want 4" in lines["three", "forward", "clconv"]
    assert "failed: OutOfMemoryError: too [big] for this device" in lines["three", "backward", "clconv"]
    assert "refused: it has no such pass" in lines["three", "backward", "torchvision"]
    assert lines["geometric", "mean", "forward"].split()[3:] == ["clconv", "4.00x", "(2)"]
    assert GPU in text
    assert "float32 ceilings 4000 GFLOP/s, 20.0 GB/s" in text


def test_an_empty_report_says_so() -> None:
    assert printed(report({})) == "nothing was measured\n"
    assert as_markdown(report({})) == ""
    assert as_csv(report({})).count("\n") == 1


def test_wrong_is_red() -> None:
    assert "\x1b[1;31mWRONG: output" in printed(report(extra=bad_rows()), terminal=True)


def test_a_time_that_is_odd_says_so() -> None:
    odd = replace(spread(1), remark="it slows down while it is measured")
    assert "1.00 (0.900-1.10), it slows down while it is measured" in printed(
        report({}, extra=[row(key("four"), 1.0, times={"device": odd})])
    )


def test_each_device_has_its_table() -> None:
    text = printed(replace(report(), rows=(*report().rows, row(key("one", device=CPU), 70.0))))
    assert text.index(GPU) < text.index(CPU) < text.index("70.0 (")
    assert text.count("GFLOP/s  ") == 2


def test_settings_that_differ_are_columns() -> None:
    text = printed(report(extra=[row(key("one", dtype="float16", deterministic=True), 1.0)]))
    line = next(line for line in text.splitlines() if "float16" in line)
    assert line.split()[:5] == ["one", "forward", "float16", "deterministic", "clconv"]


def test_a_narrow_terminal_gets_fewer_columns() -> None:
    text = printed(report(), width=70, terminal=True)
    assert "not shown, for want of width: memory" in text
    assert max(len(re.sub("\x1b\\[[0-9;]*m", "", line)) for line in text.splitlines()) <= 70
    assert "2.00x" in text
    assert "1.50 MiB" in printed(report(), width=70)  # a file cuts nothing off


def test_csv_has_all_numbers() -> None:
    told = row(key("four"), 3.0, first={"cold": 2.5, "warm": 0.5}, error=1e-7, times={"device": spread(3), "numpy": spread(7)})
    read = list(csv.DictReader(StringIO(as_csv(report(extra=[*bad_rows(), told])))))
    assert len(read) == len(TIMES) + 5
    by_name = {(line["layer"], line["pass"], line["system"]): line for line in read}
    one = by_name["one", "forward", "clconv"]
    numbers = {"median_ms": 2.0, "q1_ms": 1.8, "q3_ms": 2.2, "gflops_per_s": 2000, "gbytes_per_s": 10, "share_of_ceiling": 0.5}
    assert {name: float(one[name]) for name in numbers} == pytest.approx(numbers, rel=1e-12)
    assert (one["memory_bytes"], one["runs"], one["device"]) == (str(3 << 19), "9", GPU)
    assert float(one["speed_against_torchvision"]) == pytest.approx(2.0, rel=1e-12)
    wrong = by_name["three", "forward", "clconv"]
    assert (wrong["verdict"], wrong["reason"], wrong["median_ms"]) == ("wrong", "output[0, 1]: got 3 | want 4", "")
    assert by_name["three", "backward", "clconv"]["reason"] == "OutOfMemoryError: too [big]\nfor this device"
    assert [float(by_name["four", "forward", "clconv"][name]) for name in ("numpy_ms", "first_cold_s", "first_warm_s")] == [7.0, 2.5, 0.5]


def test_markdown_is_a_table_with_escaped_pipes() -> None:
    text = as_markdown(report(extra=bad_rows()))
    assert text.startswith("### Graphics \\[fast] on Platform\n\nfloat32, random offsets; ")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [line.replace("\\|", "").count("|") for line in lines]
    assert len(lines) == 2 + len(TIMES) + 4 + 2  # head, rule, rows, means
    assert set(cells) == {cells[0]}
    assert lines[1] == "|:--|:--|:--|--:|--:|--:|--:|--:|--:|"
    assert lines[2] == "| one | forward | clconv | 2.00 (1.80-2.20) | 2000 | 10.0 | 50 % | 1.50 MiB | 2.00x |"
    assert "WRONG: output\\[0, 1]: got 3 \\| want 4" in text


def test_suites_are_listed() -> None:
    console = Console(file=StringIO(), width=200)
    show_suites(console)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert all(word in text for word in ("quick", "gpu9", "r50c3", "8x128x100x152", "16 offset groups", "no mask", "arXiv:1811.11168"))
