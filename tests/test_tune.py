"""`clconv tune`: what is tried, in which order, and what is kept of it whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from planning import DEVICES, LAYERS, needs_of
from trials import (
    FAKE,
    ODD,
    SLOW,
    TINY,
    data_of_its_own,  # noqa: F401  (a fixture)
    invoke,
)

import clconv
from clconv import Device, source, tuned, tuning
from clconv.bench.call import Job
from clconv.bench.layers import Layer
from clconv.bench.timing import Limits, Spread
from clconv.schedule import Kernel, Request
from clconv.source import kernels_digest
from clconv.tune import process, worker
from clconv.tune.process import Lost, Worker
from clconv.tune.ranking import cost
from clconv.tune.search import Task, ranking, search, tasks
from clconv.tuned import Choice, Key, Machine, Trial

pytestmark = pytest.mark.usefixtures("data_of_its_own")

WORKER = """
import json, os, signal, sys, time
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "build":
        print("{}", flush=True)
        continue
    tile = request["choices"][0]["tile"]
    if tile == os.environ.get("CRASHES"):
        print("the driver's last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if tile == os.environ.get("EXITS"):
        os._exit(3)
    if tile == os.environ.get("HANGS"):
        time.sleep(100)
    time.sleep(float(os.environ.get("SECONDS", 0)))
    if "LOG" in os.environ:
        with open(os.environ["LOG"], "a") as log:
            log.write(json.dumps([request["job"]["layer"]["name"], request["job"]["which"], *request["choices"][0].values()]) + chr(10))
    failed = {"verdict": "failed", "reason": "no memory"}
    right = {"verdict": "ok", "seconds": 1e-3 * len(tile)}
    print(json.dumps(failed if tile == os.environ.get("FAILS") else right), flush=True)
"""
"""A worker that measures nothing, for which some tiles are the end."""


@pytest.fixture
def fake_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "worker.py"
    file.write_text(WORKER)
    monkeypatch.setattr(process, "COMMAND", (sys.executable, str(file)))
    return file


@pytest.mark.parametrize("which", tuning.PASSES)
@pytest.mark.parametrize("name", ["avx512-cpu", "sm_90", "limited"])
def test_all_candidates_are_ranked_behind_the_default(which: str, name: str) -> None:
    device = DEVICES[name]
    job = Job(Layer("edvr", (1, 64, 45, 80), (64, 64, 3, 3), padding=1, offset_groups=8), which)
    ranked = ranking(job, device)
    listed = list(tuning.candidates(which, worker.request_of(job), device))
    assert ranked[0] == Choice(listed[0][0].name, str(listed[0][1]))
    assert sorted(map(str, ranked)) == sorted(str(Choice(variant.name, str(tile))) for variant, tile in listed)
    costs = {Choice(variant.name, str(tile)): cost(which, worker.request_of(job), device, variant, tile) for variant, tile in listed}
    assert [costs[choice] for choice in ranked[1:]] == sorted(costs[choice] for choice in ranked[1:])
    assert min(costs.values()) >= 1 / 8  # a matrix unit does so many at once


def test_ranking_knows_waste_and_idle_units() -> None:
    def order(layer: Layer, device: Device) -> list[str]:
        request = Request(layer.problem())
        found = [
            (cost("forward", request, device, variant, tile), f"{variant.name} {tile}")
            for variant, tile in tuning.candidates("forward", request, device)
        ]
        return [text for _, text in sorted(found)]

    gpu = DEVICES["sm_90"]
    assert "wgmma" in order(Layer("wide", (8, 64, 100, 100), (64, 64, 3, 3)), gpu)[0]
    assert "grouped" in order(Layer("depthwise", (8, 64, 100, 100), (64, 1, 3, 3)), gpu)[0]
    other = replace(gpu, matrix_units=())
    assert "tile_out=64" in order(Layer("wide", (8, 64, 100, 100), (64, 64, 3, 3)), other)[0]
    assert "tile_pixels=32 tile_out=32" in order(Layer("few", (1, 64, 66, 66), (64, 64, 3, 3)), other)[0]
    assert "block" in order(Layer("wide", (8, 64, 100, 100), (64, 64, 3, 3)), FAKE)[0]


def test_the_owners_bands_are_counted() -> None:
    problem = LAYERS["resnet"]
    request, gpu = Request(problem, needs_of("backward_data", problem)), DEVICES["sm_90"]
    costs = {
        variant.name: cost("backward_data", request, gpu, variant, tile)
        for variant, tile in tuning.candidates("backward_data", request, gpu)
    }
    assert costs["owner"] > 30 * costs["plain"]


def test_what_was_tried_is_left_out(device: Device) -> None:
    job = Job(TINY, "forward")
    (task,) = tasks([job, replace(job, layer=replace(TINY, name="alike", bias=False))], device, None)
    assert task.choices == tuple(ranking(job, device))
    assert tasks([job], device, 2)[0].choices == task.choices[:2]
    done = [
        Trial(task.machine, task.key, choice, "ok", 1.0, kernels=digest)
        for choice, digest in zip(task.choices, ("", kernels_digest()), strict=False)
    ]
    tuned.append(done)  # the first with other kernels
    assert tasks([job], device, None)[0].choices == (task.choices[0], *task.choices[2:])
    assert tasks([job], device, None, again=True)[0].choices == task.choices


def fake_task(*tiles: str) -> Task:
    return Task(Job(TINY, "forward"), FAKE, SLOW, tuple(Choice("plain", tile) for tile in tiles))


def test_what_ends_a_worker_costs_only_itself(fake_worker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, tile in (("CRASHES", "b"), ("EXITS", "c"), ("HANGS", "d"), ("FAILS", "e")):
        monkeypatch.setenv(name, tile)
    with Worker(1.0) as asked:
        found = {trial.choice.tile: trial for _, trial in search([fake_task("a", "b", "c", "d", "e", "f")], asked)}
    assert {tile: (trial.verdict, trial.seconds, trial.reason) for tile, trial in found.items()} == {
        "a": ("ok", 1e-3, ""),
        "b": ("lost", None, "the process ended with SIGSEGV: the driver's last words"),
        "c": ("lost", None, "the process ended with exit code 3"),
        "d": ("lost", None, "it took more than 1 s"),
        "e": ("failed", None, "no memory"),
        "f": ("ok", 1e-3, ""),
    }
    assert tuned.read(tuned.user_file()) == tuple(found.values())


def test_times_are_told_in_terms_of_the_defaults(fake_worker: Path) -> None:
    """The machine is twice as fast while the second candidate is tried; beside the third the default gives no time."""
    fake_worker.write_text(
        WORKER.replace(
            "print(json.dumps(failed",
            """
    if tile == "fast":
        right = {"verdict": "ok", "seconds": 0.4e-3, "beside": 0.5e-3} if len(request["choices"]) == 2 else failed
    print(json.dumps(failed""",
        )
    )
    task = Task(Job(TINY, "forward"), FAKE, Choice("plain", "a"), tuple(Choice("plain", tile) for tile in ("a", "fast", "c")))
    with Worker(10.0) as asked:
        found = {trial.choice.tile: trial.seconds for _, trial in search([task], asked)}
    assert found == {"a": 1e-3, "fast": pytest.approx(0.8e-3), "c": 1e-3}


def test_a_worker_that_cannot_start_is_an_error_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", "raise SystemExit('no such driver')"))
    with Worker(1.0) as asked, pytest.raises(clconv.DeviceError, match="didn't start: the process ended with exit code 1: no such driver"):
        asked.ask({})


def test_a_worker_ends_itself_when_nobody_else_does(tmp_path: Path) -> None:
    """It hangs without ever running Python again, as in a driver."""
    hang = "import sys; from clconv.tune import worker; from ctypes import PyDLL; worker.answer = lambda values: PyDLL(None).sleep(100); "
    command = [sys.executable, "-c", hang + "worker.serve(sys.stdin, sys.stdout, 0.2)"]
    started = subprocess.run(command, input="{}\n", capture_output=True, text=True, timeout=60, env=_environment())
    assert started.returncode == 1
    assert "Timeout" in started.stderr


def _environment(**variables: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(clconv.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **variables}


def test_a_kill_loses_nothing_that_was_measured(fake_worker: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    faked = f"from clconv.tune import process; process.COMMAND = ({sys.executable!r}, {str(fake_worker)!r})"
    command = [sys.executable, "-c", f"{faked}; from clconv.cli import main; main()", "tune", "--suite", "quick", "--pass", "forward"]
    with subprocess.Popen(
        command, env=_environment(LOG=str(log), SECONDS="0.05"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        deadline = time.monotonic() + 60
        while not (log.exists() and len(log.read_text().splitlines()) >= 5):
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    time.sleep(0.2)  # the worker ends with its last answer
    measured = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
    kept = [(trial.layer, trial.key.which, trial.choice.variant, trial.choice.tile) for trial in tuned.read(tuned.user_file())]
    assert len(kept) >= 4 and kept == measured[: len(kept)]
    assert len(measured) - len(kept) <= 2  # of which one may have been answered to nobody, and one measured on
    subprocess.run(command, env=_environment(LOG=str(log)), check=True, capture_output=True, timeout=60)
    again = [tuple(json.loads(line)) for line in log.read_text().splitlines()][len(measured) :]
    assert again and not set(again) & set(kept)
    assert len(tuned.read(tuned.user_file())) == len(kept) + len(again) == len(set(kept + again))


def test_ctrl_c_keeps_what_was_measured(fake_worker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, count = tuned.append, 0

    def interrupted(trials: list[Trial]) -> None:
        nonlocal count
        append(trials)
        count += 1
        if count == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(tuned, "append", interrupted)
    result = invoke("--suite", "quick")
    assert result.exit_code == 130
    assert "the same command goes on from here" in result.output
    assert len(tuned.read(tuned.user_file())) == 3


def test_a_wrong_candidate_is_never_timed(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel stores half of every sum; at once, and on the layer alone."""

    def wrong(kernel: Kernel) -> str:
        text = source.render(kernel)
        half = "#define store_data(p, i, value) store_data(p, i, ACC(0.5) * (value))\n__kernel"
        return text.replace("__kernel", half, 1) if kernel.name == "forward_plain" else text

    job, choice = Job(TINY, "forward"), Choice("plain", "item_out=2")
    assert worker.measure(job, device, choice)["verdict"] == "ok"
    monkeypatch.setattr("clconv.program.render", wrong)
    monkeypatch.setattr("clconv.program._entries", OrderedDict())
    monkeypatch.setattr(worker, "in_turns", lambda timed, limits: pytest.fail("a wrong result was timed"))
    for text in ("elements of output are wrong in forward=plain of", "elements of output are wrong in forward=plain (item_out=2) of tiny"):
        answer = worker.measure(job, device, choice)
        assert (answer["verdict"], set(answer)) == ("wrong", {"verdict", "reason"})
        assert text in answer["reason"]
        monkeypatch.setattr(worker, "_wrong_on_small", lambda *arguments: "")
    assert worker.measure(job, device, ODD)["verdict"] == "failed"


@pytest.mark.parametrize("which", ["forward", "backward_weight"])  # a plan chooses the one at once, the other when it is asked for
def test_a_candidate_and_the_default_are_timed_in_turns_as_what_they_are(
    which: str, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(TINY, which)
    launched: list[set[str]] = []

    def run_each(all_timed: Sequence[Any], limits: Limits) -> list[Spread]:
        for timed in all_timed:
            call = timed.__self__
            timed(0)  # builds: by the host's clock
            call.kernels.clear()
            timed(0)
            launched.append(set(call.kernels))
        return [Spread.of([1.0 + number]) for number in range(len(all_timed))]

    monkeypatch.setattr(worker, "in_turns", run_each)
    choices = [Choice(variant.name, str(tile)) for variant, tile in tuning.candidates(which, worker.request_of(job), device)]
    plain = next(choice for choice in choices if choice.variant == "plain")
    other = next(choice for choice in choices if choice.variant != "plain")
    assert worker.measure(job, device, plain, other) == {"verdict": "ok", "seconds": 1.0, "beside": 2.0}
    own, beside = launched
    assert f"{which}_plain" in own and f"{which}_plain" not in beside


def test_quick_run_through_the_entry_point(device: Device) -> None:
    layer = ["--input", "1,4,8,9", "--weight", "6,4,3,3", "--padding", "1", "--device", device.index, "--pass", "forward,backward_weight"]
    command = [sys.executable, "-m", "clconv", "tune", *layer, "--top", "2"]
    for _ in range(2):  # the second time there is nothing left to try
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        trials = tuned.read(tuned.user_file())
        assert len(trials) == 4 and {trial.machine for trial in trials} == {Machine.of(device)}
        assert {trial.verdict for trial in trials} == {"ok"}, [trial.reason for trial in trials]
        assert [trial.default for trial in trials] == [True, False] * 2
    assert Key.of("forward", Request(TINY.problem())) in {trial.key for trial in trials}


def test_nothing_to_try_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clconv.tune.search.ranking", lambda job, device: [])
    result = invoke()
    assert result.exit_code == 2
    assert "no variant can do float32" in result.output


def test_lost_is_not_an_error_of_the_library() -> None:
    """The search turns it into a trial; it must never be taken for what a user can catch."""
    assert not issubclass(Lost, clconv.ClconvError)
