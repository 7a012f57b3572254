"""What a call compiles and allocates, and what it says when that fails."""

import re
import threading
from pathlib import Path

import numpy as np
import pytest
from operands import CASE, OPTIONS, new_queue, on_device, operands

from clconv import BuildError, Device, OutOfMemoryError, Plan, deform_conv2d, deform_conv2d_backward
from clconv.execute import allocate
from clconv.program import _entries, compiled
from clconv.schedule import Kernel


def test_memory_that_cannot_be_had_is_an_error_of_its_own(device: Device) -> None:
    queue = new_queue(device)
    with pytest.raises(OutOfMemoryError, match=r"allocating \d+ bytes for scratch.* the device has \d+ bytes"):
        allocate(queue.context, queue.device, "scratch", 1 << 60)


def test_a_copy_that_does_not_fit_the_host_is_one_too(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, _ = operands()
    arrays["input"] = np.asfortranarray(arrays["input"])
    deform_conv2d(**arrays, **OPTIONS, device=device)  # variants are checked before there is no memory

    def full(*_: object, **options: object) -> None:
        raise MemoryError("Unable to allocate")

    monkeypatch.setattr(np, "ascontiguousarray", full)
    with pytest.raises(OutOfMemoryError, match="input: no memory for a row-major copy of shape"):
        deform_conv2d(**arrays, **OPTIONS, device=device)


def test_a_kernel_that_does_not_compile_is_shown_whole(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clconv.program.render", lambda kernel: "__kernel void copy(__global int *p) { p[0] = nonsense; }")
    queue = new_queue(device)
    with pytest.raises(BuildError, match=r"refused kernel copy\n.*element") as caught:
        compiled(queue.context, queue.device, Kernel.of("copy", {"element": "uint"}))
    assert "nonsense" in str(caught.value)
    source = Path(re.search(r"numbered source: (.*)", str(caught.value))[1])  # type: ignore[index]  # asserted by the index
    assert "   1  __kernel void copy" in source.read_text()
    source.unlink()


def test_only_what_is_needed_is_compiled(device: Device) -> None:
    arrays, grad = operands()
    queue = new_queue(device)
    placed = on_device(queue, {**arrays, "grad_output": grad})
    deform_conv2d_backward(**placed, **OPTIONS, needs=("bias",))
    names = {kernel.name for context, _, kernel in _entries if context == queue.context.int_ptr}
    biases = {"backward_bias_block", "backward_bias_plain"}
    assert names <= {*biases, "forward_plain", "reduce"}
    assert names & biases


def test_threads_share_one_compilation_and_keep_apart(device: Device) -> None:
    arrays, _ = operands()
    images = [arrays["input"] * factor for factor in range(1, 9)]
    want = [deform_conv2d(**{**arrays, "input": image}, **OPTIONS, device=device) for image in images]
    plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, device=device)
    before = len(_entries)
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            if not np.array_equal(plan.forward(**{**arrays, "input": images[index]}), want[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(_entries) == before
