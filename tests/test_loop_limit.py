"""Drivers that end a work-item's loops after some turns, without a word: such a limit is known, and kernels stay below it."""

from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from planning import needs_of

from clconv import Device, UnsupportedError
from clconv.check.cases import Case
from clconv.check.run import Subject
from clconv.plan import Plan
from clconv.queues import queue_for
from clconv.schedule import Request
from clconv.tuned import Choice
from clconv.tuning import PASSES, forced, refusal

TURNS = 100_000


def test_the_limit_is_known(device: Device) -> None:
    queue = queue_for(device, None)
    source = "__kernel void count(__global int *turns, int most) { int i = 0; while (i < most && turns[1] == 0) ++i; turns[0] = i; }"
    counted = np.zeros(2, np.int32)
    buffer = cl.Buffer(queue.context, cl.mem_flags.COPY_HOST_PTR, hostbuf=counted)
    cl.Kernel(cl.Program(queue.context, source).build(), "count")(queue, (1,), (1,), buffer, np.int32(TURNS))
    cl.enqueue_copy(queue, counted, buffer)
    assert counted[0] == min(TURNS, device.loop_limit or TURNS)


NEAR: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "forward": ("forward", False, {"input": (1, 3600, 3, 3), "weight": (3, 3600, 3, 3), "padding": 0}),
    "data": ("backward_data", False, {"input": (1, 700, 3, 3), "weight": (16, 700, 1, 1), "padding": 0}),
    "owner": ("backward_data", True, {"input": (1, 64, 19, 20), "weight": (64, 8, 3, 3)}),
    "owner, one spot": ("backward_data", True, {"input": (1, 64, 19, 20), "weight": (64, 8, 3, 3), "offsets": "one"}),
    "owner of many outputs": ("backward_data", True, {"input": (1, 8, 8, 9), "weight": (80, 8, 3, 3)}),
    "one spot": ("backward_data", False, {"input": (1, 200, 19, 20), "weight": (8, 200, 3, 3), "offsets": "one"}),
    "weight": ("backward_weight", False, {"input": (1, 2, 300, 500), "weight": (2, 2, 3, 3)}),
}
"""Problems that come near to the limit."""


@pytest.mark.parametrize("name", NEAR)
def test_long_loops_are_right_or_refused(name: str, device: Device) -> None:
    if device.loop_limit is None:
        pytest.skip(f"{device.label} ends no loop")
    which, deterministic, options = NEAR[name]
    case = Case("long", **options)
    able = 0
    request = Request(case.problem(), needs_of(which, case.problem()), deterministic)
    for variant in PASSES[which]:
        for tile in variant.tiles(request, device) if refusal(variant, request, device) is None else ():
            subject = Subject(which, variant, case, deterministic=deterministic)
            with forced(which, Choice(variant.name, str(tile))):
                assert subject.errors(subject.plan(device)) == "", f"{variant.name} ({tile})"
            able += 1
    assert able, "this pass is made to come near the limit, not to pass it"


def test_what_would_pass_the_limit_is_an_error(device: Device) -> None:
    if device.loop_limit is None:
        pytest.skip(f"{device.label} ends no loop")
    with pytest.raises(UnsupportedError, match=f"ends the loops of a work-item after {device.loop_limit} turns"):
        Plan((1, 40_000, 3, 3), (1, 40_000, 3, 3), device=device)
