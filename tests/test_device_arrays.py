"""Arrays on the device: views, queues, events, allocators, memory that is shared or isn't there."""

from typing import Any

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np
import pyopencl as cl
import pyopencl.array as cla
import pytest
from operands import CASE, OPTIONS, fetch, new_queue, on_device, operands, place

from clconv import Device, Plan, ProblemError, conv2d, deform_conv2d, deform_conv2d_backward, deformable_convolution_2d_sampler
from clconv.arrays import NumpyArray, copy, share_memory
from clconv.execute import allocate


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_device_arrays_in_and_out(dtype: str, device: Device) -> None:
    queue = new_queue(device)
    arrays, grad = operands(dtype)
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    placed: dict[str, Any] = {name: place(queue, array) for name, array in {**arrays, "grad_output": grad}.items()}
    placed_grad = placed.pop("grad_output")
    got = deform_conv2d(**placed, **OPTIONS)
    assert isinstance(got, cla.Array)
    assert got.queue == queue
    assert got.events
    assert np.array_equal(fetch(got), want)
    wanted = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, deterministic=True)
    results = deform_conv2d_backward(placed_grad, **placed, **OPTIONS, deterministic=True)
    assert all(np.array_equal(fetch(a), b) for a, b in zip(results, wanted, strict=True))
    assert all(result.events for result in results)


def test_device_views_and_out(device: Device) -> None:
    """Transposed, offset and strided device arrays, as operands and as out=."""
    queue = new_queue(device)
    arrays, _ = operands()
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    placed = on_device(queue, arrays)
    channels_last: Any = cla.to_device(queue, np.ascontiguousarray(np.moveaxis(arrays["input"], 1, -1)))
    placed["input"] = channels_last.transpose((0, 3, 1, 2))
    padded = cla.to_device(queue, np.concatenate([arrays["weight"][:1], arrays["weight"]]))
    placed["weight"] = padded[1:]
    assert np.array_equal(deform_conv2d(**placed, **OPTIONS).get(), want)
    last: Any = cla.zeros(queue, tuple(want.shape[axis] for axis in (0, 2, 3, 1)), "float32")
    last = last.transpose((0, 3, 1, 2))
    wide: Any = cla.zeros(queue, (want.shape[0] + 1, *want.shape[1:]), "float32")
    for out in (last, wide[1:], cla.empty(queue, want.shape, "float32")):
        assert deform_conv2d(**placed, **OPTIONS, out=out) is out
        assert np.array_equal(_contiguous(out).get(), want)
    assert not wide[0].get().any()


def _contiguous(array: Any) -> Any:
    packed = cla.empty(array.queue, array.shape, array.dtype)
    copy(array, packed)
    return packed


def test_out_of_ordernew_queue(device: Device) -> None:
    assert device.handle is not None
    if not device.handle.queue_properties & cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE:
        pytest.skip(f"{device.label} has no out-of-order queues")
    queue = new_queue(device, cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE)
    arrays, grad = operands()
    want = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, deterministic=True)
    placed = on_device(queue, {**arrays, "grad_output": grad})
    for _ in range(3):
        got = deform_conv2d_backward(placed["grad_output"], **{name: placed[name] for name in arrays}, **OPTIONS, deterministic=True)
        assert all(np.array_equal(fetch(a), b) for a, b in zip(got, want, strict=True))


def test_arrays_that_look_different_are_checked_again(device: Device) -> None:
    """A plan remembers how the arrays of its last call looked, and that they were right."""
    arrays, grad = operands()
    queue = new_queue(device)
    placed = on_device(queue, {**arrays, "grad_output": grad})
    grad_output, weight = placed.pop("grad_output"), placed["weight"]
    plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, queue=queue)
    want = plan.forward(**placed).get()
    kept = {name: array for name, array in placed.items() if name != "weight"}
    claiming = cla.Array(queue, weight.shape, weight.dtype, data=allocate(queue.context, queue.device, "less", weight.nbytes - 4))
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "shape": ({**placed, "mask": placed["mask"][:1]}, "mask: expected shape"),
        "type": ({**placed, "bias": placed["bias"].view(np.int32)}, "bias: expected an array of .*, got int32"),
        "room": ({**placed, "weight": claiming}, "weight: expected an array inside its buffer"),
        "queue": ({**placed, "input": cla.to_device(new_queue(device), arrays["input"])}, "input: expected an array on the same queue"),
        "absent": (kept, "weight: expected an array of shape"),
        "kind": ({**placed, "offset": arrays["offset"]}, "offset: expected pyopencl arrays"),
    }
    for name, (given, message) in wrong.items():
        with pytest.raises(ProblemError, match=message):
            plan.forward(**given)
        assert np.array_equal(plan.forward(**placed).get(), want), name
    plan.set_weight(weight)
    assert np.array_equal(plan.forward(**kept).get(), want)
    plan.set_weight(None)
    with pytest.raises(ProblemError, match="weight: expected an array of shape"):
        plan.forward(**kept)
    first = plan.backward(grad_output, **placed, needs=("bias",))
    with pytest.raises(ProblemError, match="grad_output: expected"):
        plan.backward(grad_output[:1], **placed)
    assert np.array_equal(plan.backward(grad_output, **placed, needs=("bias",)).bias.get(), first.bias.get())


def test_arrays_that_claim_what_they_have_not_are_refused(device: Device) -> None:
    queue = new_queue(device)
    memory = cl.Buffer(queue.context, cl.mem_flags.READ_WRITE, 256)
    weight = cla.zeros(queue, (1, 1, 3, 3), "float32")
    for offset, shape, message in ((2, (1, 1, 4, 4), "in whole elements"), (0, (1, 1, 9, 9), "inside its buffer of 256 bytes")):
        with pytest.raises(ProblemError, match=f"input: expected .*{message}"):
            conv2d(cla.Array(queue, shape, "float32", data=memory, offset=offset), weight)


def test_out_in_the_operands_own_buffer(device: Device) -> None:
    queue = new_queue(device)
    image = np.random.default_rng(4).standard_normal((1, 1, 32, 32)).astype("float32")
    weight = cla.to_device(queue, np.ones((1, 1, 3, 3), "float32"))
    both = cla.zeros(queue, (2, 1, 32, 32), "float32")
    both[:1] = cla.to_device(queue, image)
    want = conv2d(cla.to_device(queue, image), weight, padding=1).get()
    plan = Plan(image.shape, weight.shape, offset_groups=None, padding=1, queue=queue, variants={"forward": "plain"})
    plan.forward(both[:1], weight=weight, out=both[1:])
    assert np.array_equal(both.get()[1:], want)


def test_pools_are_not_lent_before_the_work_is_done(device: Device) -> None:
    """Temporaries don't come from the caller's pool, whose memory the next command on another queue would overwrite."""
    queue = new_queue(device)
    pool = cl.tools.MemoryPool(cl.tools.ImmediateAllocator(queue))
    other = cl.CommandQueue(queue.context)
    rng = np.random.default_rng(5)
    shapes = {"x": (4, 16, 32, 32), "offset": (4, 18, 32, 32), "W": (16, 16, 3, 3)}
    arrays: dict[str, Any] = {name: rng.standard_normal(shape).astype("float32") for name, shape in shapes.items()}
    want = deformable_convolution_2d_sampler(**arrays, pad=1, device=device)
    placed: dict[str, Any] = {name: cla.to_device(queue, array, allocator=pool) for name, array in arrays.items()}
    for _ in range(5):
        got = deformable_convolution_2d_sampler(**placed, pad=1)
        cla.empty(other, arrays["offset"].shape, "float32", allocator=pool).fill(50)
        assert np.array_equal(fetch(got), want)


def test_shared_virtual_memory(device: Device) -> None:
    """Arrays that are in no buffer: everything works, results are in buffers."""
    queue = new_queue(device)
    capabilities: Any = device.handle.get_info(cl.device_info.SVM_CAPABILITIES) if device.handle else 0
    if not capabilities & cl.device_svm_capabilities.COARSE_GRAIN_BUFFER:
        pytest.skip(f"{device.label} has no shared virtual memory")
    allocator = cl.tools.SVMAllocator(queue.context, alignment=0, flags=cl.svm_mem_flags.READ_WRITE, queue=queue)
    arrays, grad = operands()
    everything = {**arrays, "grad_output": grad}
    placed: dict[str, Any] = {name: cla.to_device(queue, array, allocator=allocator) for name, array in everything.items()}
    want = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, deterministic=True)
    got = deform_conv2d_backward(**placed, **OPTIONS | {"nonfinite": "raise"}, deterministic=True)
    assert all(np.array_equal(fetch(a), b) for a, b in zip(got, want, strict=True))
    plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, queue=queue)
    plan.set_weight(placed["weight"])


def _part(queue: cl.CommandQueue, whole: cl.Buffer, first: int, array: NumpyArray) -> Any:
    """The array in a sub-buffer that begins at byte `first`."""
    memory: Any = whole.get_sub_region(first, array.nbytes)
    cl.enqueue_copy(queue, memory, np.ascontiguousarray(array))
    return cla.Array(queue, array.shape, array.dtype, data=memory)


def _room(device: Device, *arrays: NumpyArray) -> tuple[cl.Buffer, list[int], cl.CommandQueue]:
    """A buffer with room for the arrays one behind the other, where each may begin, and a queue."""
    queue = new_queue(device)
    firsts, end = [], 0
    for array in arrays:
        firsts.append(end)
        end += -(-array.nbytes // device.base_alignment) * device.base_alignment
    return cl.Buffer(queue.context, cl.mem_flags.READ_WRITE, end), firsts, queue


def test_operands_in_parts_of_a_buffer_that_nobody_else_holds(device: Device) -> None:
    arrays, _ = operands()
    whole, firsts, queue = _room(device, *arrays.values())
    placed = {name: _part(queue, whole, first, array) for first, (name, array) in zip(firsts, arrays.items(), strict=True)}
    del whole
    out: Any = cla.empty(queue, deform_conv2d(**arrays, **OPTIONS, device=device).shape, "float32")
    assert np.array_equal(deform_conv2d(**placed, **OPTIONS, out=out).get(), deform_conv2d(**arrays, **OPTIONS, device=device))


def test_parts_of_one_buffer_share_memory_where_they_meet(device: Device) -> None:
    arrays, grad = operands()
    whole, (first, second), queue = _room(device, arrays["input"], arrays["weight"])
    image, apart = _part(queue, whole, first, arrays["input"]), _part(queue, whole, second, arrays["weight"])
    within = _part(queue, whole, device.base_alignment, arrays["weight"])
    assert share_memory(image, within) and share_memory(within, _part(queue, whole, first, arrays["input"]))
    assert not share_memory(image, apart)
    placed = on_device(queue, arrays)
    with pytest.raises(ProblemError, match=r"out\.weight: expected memory of its own"):
        deform_conv2d_backward(cla.to_device(queue, grad), **placed, **OPTIONS, out={"input": image, "weight": within})


@pytest.mark.parametrize("variant", ["plain", None])
def test_gradients_leave_alone_what_lies_behind_them(variant: str | None, device: Device) -> None:
    """An array at the beginning of a longer buffer; without images, gradients are zeros."""
    arrays, grad = operands()
    for images in (grad.shape[0], 0):
        cut = {name: array if name in ("weight", "bias") else array[:images] for name, array in arrays.items()}
        queue = new_queue(device)
        placed = on_device(queue, cut)
        longer = {name: cla.to_device(queue, np.full((2 * array.shape[0] + 1, *array.shape[1:]), 7, "f")) for name, array in arrays.items()}
        outs: Any = {name: array[: cut[name].shape[0]] for name, array in longer.items()}
        plan = Plan(
            cut["input"].shape, cut["weight"].shape, mask="mask" in cut, bias="bias" in cut, queue=queue, **OPTIONS,
            variants={"backward_data": variant} if variant else None,
        )  # fmt: skip
        plan.backward(cla.to_device(queue, grad[:images]), **placed, out=outs)
        assert all((longer[name].get()[cut[name].shape[0] :] == 7).all() for name in cut)
