"""The process in which `clconv tune` tries candidates, which a driver may take down.

It reads requests as lines of JSON from standard input and answers each with a line on what was standard output; what drivers print goes
to standard error. Its argument is the time limit of a request in seconds.
"""

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from typing import Any, TextIO

from clconv import tuning
from clconv.arrays import NumpyArray
from clconv.bench.call import Call, Job
from clconv.bench.layers import Layer
from clconv.bench.spots import Spots
from clconv.bench.timing import Limits, in_turns
from clconv.check.cases import Case
from clconv.check.run import Subject
from clconv.device import Device, resolve
from clconv.errors import BuildError
from clconv.program import compiled
from clconv.queues import queue_for
from clconv.schedule import Launch, Request
from clconv.tuned import Choice

LIMITS = Limits(warmup=3, runs=5, seconds=0.3, timeout=3.0)
"""How patiently a candidate is timed."""

_SMALL = 13
"""Rows and columns of the images on which a candidate is compared with the reference whole: more than one block of pixels."""


def build(job: Job, device: Device, choices: Sequence[Choice]) -> dict[str, Any]:
    """Compile what candidates launch, in parallel; what a compiler refuses is the candidate's own affair, later."""
    queue = queue_for(device, None)
    kernels = dict.fromkeys(launch.kernel for choice in choices for launch in _launches(job, device, choice))
    with ThreadPoolExecutor() as threads:
        for future in [threads.submit(compiled, queue.context, queue.device, kernel) for kernel in kernels]:
            with suppress(BuildError):
                future.result()
    return {}


def _launches(job: Job, device: Device, choice: Choice) -> list[Launch]:
    with tuning.forced(job.which, choice):
        schedule = tuning.choose(job.which, request_of(job), device)
    return [step for step in schedule.in_order() if isinstance(step, Launch)]


def request_of(job: Job) -> Request:
    """What a job asks of its pass."""
    return Request(job.layer.problem(job.dtype, job.precision or None), job.needs or frozenset(), job.deterministic)


def measure(job: Job, device: Device, choice: Choice, beside: Choice | None = None) -> dict[str, Any]:
    """Check a candidate, on a small image and on the layer itself, then time it; in turns with `beside`, if that runs."""
    try:
        with tuning.forced(job.which, choice):
            wrong = _wrong_on_small(job, device, choice)
            if not wrong:
                call = _called(job, device)
                wrong = _spots(job).account(call.results(), call.plan.problem, f"{job.which}={choice} of {job.layer.name}")
        return {"verdict": "wrong", "reason": wrong} if wrong else {"verdict": "ok", **_times(call, _other(job, device, beside))}
    except Exception as error:  # whatever came, it is the candidate's result
        return {"verdict": "failed", "reason": f"{type(error).__name__}: {error}"}


def _called(job: Job, device: Device) -> Call:
    """A call that has run once: what its plan has chosen for that, it keeps."""
    call = Call(job, device, [_data(job.layer, job.dtype)])
    call.device(0)
    return call


def _other(job: Job, device: Device, beside: Choice | None) -> Call | None:
    if beside is not None:
        with suppress(Exception), tuning.forced(job.which, beside):  # its own trial says what is wrong about it
            return _called(job, device)
    return None


def _times(call: Call, other: Call | None) -> dict[str, float]:
    if other is None:
        return {"seconds": in_turns((call.device,), LIMITS)[0].median}
    own, beside = in_turns((call.device, other.device), LIMITS)
    return {"seconds": own.median, "beside": beside.median}


def _wrong_on_small(job: Job, device: Device, choice: Choice) -> str:
    """What is wrong about the candidate on the layer with small images; empty if nothing is, or if its tile is not for small ones."""
    variant = next(variant for variant in tuning.PASSES[job.which] if variant.name == choice.variant)
    subject = Subject(job.which, variant, small_case(job.layer), job.dtype, job.dtype, job.deterministic)
    request = Request(subject.case.problem(job.dtype), subject.needs, job.deterministic)
    if choice.tile not in {str(tile) for tile in variant.tiles(request, device)}:
        return ""
    return subject.errors(subject.plan(device))


def small_case(layer: Layer) -> Case:
    """The layer with an image that is small, but has room for the kernel."""
    problem = layer.problem()
    spans = (layer.dilation * (problem.kernel_y - 1) + 1, layer.dilation * (problem.kernel_x - 1) + 1)
    height, width = (min(size, max(span, _SMALL)) for size, span in zip(layer.input[2:], spans, strict=True))
    return Case(
        layer.name, (1, layer.input[1], height, width), layer.weight, layer.offset_groups, layer.mask, layer.bias, layer.stride,
        layer.padding, layer.dilation,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _data(layer: Layer, dtype: str) -> Mapping[str, NumpyArray]:
    return layer.arrays(dtype)


@lru_cache(maxsize=1)
def _spots(job: Job) -> Spots:
    return Spots(job.layer, _data(job.layer, job.dtype), job.needs)


def encoded(job: Job, device: Device, choices: Sequence[Choice]) -> dict[str, Any]:
    """A request's plain values, without what it wants done."""
    return {"job": asdict(job), "device": device.index, "choices": [asdict(choice) for choice in choices]}


def decoded(values: Mapping[str, Any]) -> tuple[Job, Device, list[Choice]]:
    """What was encoded; in a process that sees the same drivers."""
    return Job.from_json(values["job"]), resolve(values["device"]), [Choice(**choice) for choice in values["choices"]]


def answer(values: Mapping[str, Any]) -> dict[str, Any]:
    """Do what a request wants: "build" or "measure"."""
    job, device, choices = decoded(values)
    return build(job, device, choices) if values["do"] == "build" else measure(job, device, *choices)


def serve(requests: TextIO, answers: TextIO, limit: float) -> None:
    """Say that it is ready, then answer one request after another.

    Whoever asks ends a process that takes longer than the limit; should nobody be there any more to do so, it ends itself, even from
    inside a driver.
    """
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in requests:
        faulthandler.dump_traceback_later(2 * limit, exit=True)
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
        faulthandler.cancel_dump_traceback_later()


def main() -> None:
    """Keep standard output for the answers alone, leave Ctrl-C to whoever asks, and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers, float(sys.argv[1]))


if __name__ == "__main__":
    main()
