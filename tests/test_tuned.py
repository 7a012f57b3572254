"""What was measured to be fastest: how it is kept, handed on, and chosen."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planning import DEVICES
from trials import (
    FAKE,
    ODD,
    REQUEST,
    SLOW,
    TINY,
    choose,
    chosen,
    data_of_its_own,  # noqa: F401  (a fixture)
    default,
    invoke,
    trial_of,
)

from clconv import Device, Plan, ProblemError, UnsupportedError, reference, tuned, tuning
from clconv.schedule import Request
from clconv.tune import exchange
from clconv.tuned import Choice, Key

pytestmark = pytest.mark.usefixtures("data_of_its_own")


def ship(choice: Choice, architecture: str) -> None:
    entry = {"key": asdict(Key.of("forward", REQUEST)), "choice": asdict(choice)}
    (tuned.DEFAULTS / f"{architecture}.json").write_text(json.dumps({"choices": [entry]}))


def test_without_trials_the_first_candidate_is_chosen() -> None:
    assert choose() == default()
    assert default() != SLOW


def test_trials_are_read_as_they_were_written() -> None:
    trials = [trial_of(SLOW), trial_of(ODD, None), trial_of(SLOW, 2e-3)]
    tuned.append(trials[:1])
    tuned.append(trials[1:])
    assert tuned.read(tuned.user_file()) == tuple(trials)


def test_the_fastest_is_chosen_whatever_was_tried_first() -> None:
    fast = Choice("plain", "item_out=16")
    for order in ([trial_of(SLOW, 2.0), trial_of(fast, 1.0)], [trial_of(fast, 3.0), trial_of(SLOW, 4.0)]):
        tuned.append(order)
        assert choose() == fast
    tuned.append([trial_of(fast, 5.0)])  # tried again: now SLOW's last time is less
    assert choose() == SLOW


def test_the_default_stays_unless_another_is_faster_than_trials_differ() -> None:
    default, other = replace(trial_of(SLOW, 1.0), default=True), Choice("plain", "item_out=16")
    for seconds, want in ((0.98, SLOW), (0.96, other)):
        best = tuned.fastest([default, trial_of(other, seconds)])
        assert best and best.choice == want


def test_a_trial_holds_for_its_driver_and_problem_alone() -> None:
    tuned.append([trial_of(SLOW)])
    problem = REQUEST.problem
    same = [
        replace(problem, has_bias=not problem.has_bias),
        replace(problem, pad_top=0),
        replace(problem, height=101),
        problem.with_batch(7),
        replace(problem, dtype="float16"),  # on a CPU, whose kernels count in float32 then
    ]
    others = [replace(problem, dtype="float64"), replace(problem, has_mask=False), replace(problem, stride_y=2), problem.with_batch(1)]
    assert [choose(Request(problem)) for problem in same] == [SLOW] * len(same)
    assert SLOW not in [choose(Request(problem)) for problem in others]
    half, gpu = Request(replace(problem, dtype="float16")), replace(FAKE, kind="gpu")
    assert choose(device=gpu) == SLOW != choose(half, gpu)
    devices = [replace(FAKE, driver="another"), replace(FAKE, name="another"), replace(FAKE, platform="another")]
    assert SLOW not in [choose(device=device) for device in devices]


def test_keys_tell_needs_and_determinism_apart_where_they_matter() -> None:
    def key(which: str, *needs: str, deterministic: bool = False) -> Key:
        return Key.of(which, Request(REQUEST.problem, frozenset(needs), deterministic))

    assert key("forward", deterministic=True) == key("forward")
    assert key("backward_weight", "weight", "bias", deterministic=True) == key("backward_weight", "weight")
    assert key("backward_data", "input", "offset", deterministic=True) != key("backward_data", "input", "offset")
    assert key("backward_data", "input", "offset") == key("backward_data", "offset", "input") != key("backward_data", "input")


def test_user_before_shipped_before_model() -> None:
    shipped = Choice("plain", "item_out=4")
    ship(shipped, "cpu-float16-16")
    assert choose() == shipped
    assert choose(device=replace(FAKE, vector_width=8)) == default(device=replace(FAKE, vector_width=8))
    tuned.append([trial_of(SLOW)])
    assert choose() == SLOW


@pytest.mark.parametrize("stale", [ODD, Choice("magic", "item_out=2"), Choice("plain", "")])
def test_a_stale_choice_is_passed_over(stale: Choice) -> None:
    tuned.append([trial_of(stale)])
    assert choose() == default()
    ship(SLOW, "cpu-float16-16")
    tuned.forget()
    assert choose() == SLOW


def test_wrong_results_have_no_time_and_are_never_chosen() -> None:
    tuned.append([trial_of(SLOW, None)])
    assert choose() == default()


def test_what_the_caller_names_and_what_is_not_trusted() -> None:
    tuned.append([trial_of(SLOW)])
    assert choose(name="block").variant == "block"
    assert choose(name="plain") == SLOW
    assert choose(trusted=lambda variant: variant.name != "plain") == default()


def test_the_database_can_be_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned.append([trial_of(SLOW)])
    ship(SLOW, "cpu-float16-16")
    monkeypatch.setenv("CLCONV_TUNED", "0")
    assert choose() == default()


def test_files_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned.append([trial_of(SLOW)])
    assert choose() == SLOW
    monkeypatch.setattr(tuned, "read", lambda file: pytest.fail("read again"))
    assert choose() == SLOW


def test_damaged_lines_are_passed_over() -> None:
    file = tuned.user_file()
    file.parent.mkdir(parents=True)
    whole = json.dumps(asdict(trial_of(SLOW)))
    for damaged in (
        "{ damaged",
        "[]",
        "1",
        '{"machine": 1}',
        whole.replace("0.001", '"soon"'),
        whole.replace('"dtype"', '"type"'),
        whole[:-5],
    ):
        file.write_text(damaged)
        tuned.forget()
        assert tuned.read(file) == ()
        assert choose() == default()
    with file.open("ab") as opened:
        opened.write(b"\xff\xfe")
    tuned.append([trial_of(SLOW)])
    assert choose() == SLOW


def test_what_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    tuned.append([trial_of(SLOW)])
    trials = tuned.user_file()
    for arguments in (["--export", str(tmp_path / "nowhere" / "trials")], ["--import", str(trials)]):
        result = invoke(*arguments)
        assert result.exit_code == 1
        assert "expected a file" in result.output
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("NVIDIA H200", ("nvidia-h200", "nvidia")),
        ("NVIDIA H100 80GB HBM3", ("nvidia-h100", "nvidia")),
        ("NVIDIA H100 PCIe", ("nvidia-h100-pcie", "nvidia-h100", "nvidia")),
        ("gfx90a:sramecc+:xnack-", ("gfx90a-sramecc-xnack", "gfx90a-sramecc", "gfx90a")),
        ("Intel(R) Arc(TM) A770 Graphics", ("intel-arc-a770-graphics", "intel-arc-a770", "intel-arc", "intel")),
        ("", ("unknown",)),
    ],
)
def test_architectures(name: str, names: tuple[str, ...]) -> None:
    assert tuned.architectures(replace(DEVICES["sm_90"], name=name)) == names
    assert tuned.architectures(FAKE) == ("cpu-float16-16",)


def test_shipped_defaults_can_be_read() -> None:
    for file in (Path(tuned.__file__).parent / "defaults").glob("*.json"):
        for entry in json.loads(file.read_text())["choices"]:
            assert Choice(**entry["choice"]).variant in {variant.name for variant in tuning.PASSES[Key(**entry["key"]).which]}


def test_trials_go_from_one_machine_to_another(tmp_path: Path) -> None:
    tuned.append([trial_of(SLOW), trial_of(ODD, None)])
    file = tmp_path / "trials.jsonl"
    assert "2 trials in" in invoke("--export", str(file)).output
    tuned.user_file().unlink()
    for new in (2, 0):
        result = invoke("--import", str(file))
        assert (result.exit_code, result.output) == (0, f"{new} trials are new\n")
    assert tuned.read(tuned.user_file()) == (trial_of(SLOW), trial_of(ODD, None))
    assert choose() == SLOW
    file.write_text("nothing of the kind")
    assert "expected trials" in invoke("--import", str(file)).output
    with pytest.raises(ProblemError, match="found none"):
        exchange.take(file)


def test_defaults_are_written_and_hold_for_another_driver() -> None:
    with pytest.raises(ProblemError, match="nothing was measured on avx512-cpu"):
        exchange.write_defaults([FAKE])
    tuned.append([trial_of(SLOW, 2.0), trial_of(Choice("plain", "item_out=4"), 1.0), trial_of(ODD, None)])
    tuned.append([trial_of(ODD, device=replace(FAKE, driver="older"))])
    (file,) = exchange.write_defaults([FAKE])
    assert file == tuned.DEFAULTS / "cpu-float16-16.json"
    (entry,) = json.loads(file.read_text())["choices"]
    assert (entry["layer"], entry["seconds"]) == ("resnet", 1.0)
    assert choose(device=replace(FAKE, driver="newer")) == Choice("plain", "item_out=4")


def test_devices_of_one_architecture_have_one_default() -> None:
    """The fastest in their mean of what is right on both; of another architecture each has its own."""
    other, gpu = replace(FAKE, platform="another"), DEVICES["sm_90"]
    few, many = Choice("plain", "item_out=4"), Choice("plain", "item_out=8")
    tuned.append([trial_of(SLOW, 3.0), trial_of(few, 2.0), trial_of(many, 1.0)])
    tuned.append([trial_of(SLOW, 3.0, other), trial_of(few, 1.0, other), trial_of(many, None, other)])
    tuned.append([trial_of(SLOW, 1.0, gpu)])
    files = exchange.write_defaults([FAKE, other, gpu])
    assert [file.stem for file in files] == ["cpu-float16-16", tuned.architectures(gpu)[0]]
    shared, own = (json.loads(file.read_text()) for file in files)
    assert len(shared["measured_on"]) == 2 and len(own["measured_on"]) == 1
    assert [(entry["choice"]["tile"], entry["seconds"]) for entry in shared["choices"]] == [(few.tile, pytest.approx(2.0**0.5))]
    assert choose(device=replace(other, driver="newer")) == few


def test_show() -> None:
    assert "nothing was tried yet" in invoke("--show").output
    quick = replace(trial_of(default(), 3e-3), default=True)
    tuned.append([quick, trial_of(SLOW, 1.5e-3), replace(trial_of(ODD, None), verdict="lost", reason="the process ended with SIGSEGV")])
    shown = invoke("--show").output
    row = next(line.split() for line in shown.splitlines() if line.startswith("resnet"))
    assert row == ["resnet", "forward", "plain", "1.50", "2.00", "3", "1", "item_out=2"]
    assert "lost: resnet forward plain (item_out=3): the process ended with SIGSEGV" in shown


def test_a_forced_choice_is_taken_or_refused() -> None:
    with tuning.forced("forward", SLOW):
        assert choose() == SLOW == choose(name="block")
        assert chosen(tuning.choose("backward_weight", Request(REQUEST.problem, frozenset({"weight"})), FAKE)).variant == "block"
    for illegal in (ODD, Choice("magic", "")):
        with tuning.forced("forward", illegal), pytest.raises(UnsupportedError, match="is not legal"):
            choose()
    assert choose() == default()


def test_a_plan_takes_the_tuned_tile_and_is_right(device: Device) -> None:
    arrays: dict[str, Any] = TINY.arrays()
    arrays.pop("grad_output")
    request = Request(TINY.problem())
    listed = [Choice(variant.name, str(tile)) for variant, tile in tuning.candidates("forward", request, device)]
    wanted = next(choice for choice in reversed(listed) if choice.variant == listed[0].variant and choice != listed[0])
    tuned.append([trial_of(wanted, device=device, request=request)])
    plan = Plan(TINY.input, TINY.weight, mask=True, bias=True, padding=1, device=device)
    assert f"forward={wanted}" in repr(plan)
    assert np.allclose(plan.forward(**arrays), reference.deform_conv2d(**arrays, padding=1), rtol=1e-5, atol=1e-5)
