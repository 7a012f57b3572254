"""Drivers that end a work-item's loops after some turns, without a word: such a limit is known, and kernels stay below it."""

from typing import Any

import numpy as np
import pyopencl as cl
import pytest

from clconv import Device, UnsupportedError
from clconv.check.cases import Case
from clconv.check.run import Subject
from clconv.plan import Plan
from clconv.queues import queue_for
from clconv.tuning import PASSES

TURNS = 100_000


def test_the_limit_is_known(device: Device) -> None:
    queue = queue_for(device, None)
    source = "__kernel void count(__global int *turns, int most) { int i = 0; while (i < most && turns[1] == 0) ++i; turns[0] = i; }"
    counted = np.zeros(2, np.int32)
    buffer = cl.Buffer(queue.context, cl.mem_flags.COPY_HOST_PTR, hostbuf=counted)
    cl.Kernel(cl.Program(queue.context, source).build(), "count")(queue, (1,), (1,), buffer, np.int32(TURNS))
    cl.enqueue_copy(queue, counted, buffer)
    assert counted[0] == min(TURNS, device.loop_limit or TURNS)


LARGEST: dict[str, dict[str, Any]] = {
    "forward": {"input": (1, 3600, 3, 3), "weight": (3, 3600, 3, 3), "padding": 0},
    "backward_data": {"input": (1, 700, 3, 3), "weight": (16, 700, 1, 1), "padding": 0},
    "backward_weight": {"input": (1, 2, 300, 500), "weight": (2, 2, 3, 3)},
}
"""Problems that come near to the limit, for each pass."""


@pytest.mark.parametrize("which", LARGEST)
def test_long_loops_are_right_or_refused(which: str, device: Device) -> None:
    if device.loop_limit is None:
        pytest.skip(f"{device.label} ends no loop")
    case = Case("long", **LARGEST[which])
    subjects = [Subject(which, variant, case) for variant in PASSES[which]]
    able = [subject for subject in subjects if subject.refusal(device) is None]
    assert able, "this pass is made to come near the limit, not to pass it"
    for subject in able:
        assert subject.errors(subject.plan(device)) == ""


def test_what_would_pass_the_limit_is_an_error(device: Device) -> None:
    if device.loop_limit is None:
        pytest.skip(f"{device.label} ends no loop")
    with pytest.raises(UnsupportedError, match=f"ends the loops of a work-item after {device.loop_limit} turns"):
        Plan((1, 40_000, 3, 3), (1, 40_000, 3, 3), device=device)
