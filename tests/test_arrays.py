"""What callers may bring and get back: strides, kinds of arrays, queues, out=, events, batches, threads."""

import re
import threading
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np
import pyopencl as cl
import pyopencl.array as cla
import pytest

from clconv import (
    BuildError,
    Device,
    OutOfMemoryError,
    Plan,
    ProblemError,
    UnsupportedError,
    conv2d,
    conv2d_backward,
    deform_conv2d,
    deform_conv2d_backward,
    deformable_convolution_2d_sampler,
)
from clconv.arrays import NumpyArray, copy
from clconv.check.cases import BY_NAME
from clconv.execute import allocate
from clconv.program import _entries, compiled
from clconv.schedule import Kernel

CASE = BY_NAME["plain"]
OPTIONS = CASE.options


def _operands(dtype: str = "float32") -> tuple[dict[str, Any], NumpyArray]:
    arrays: dict[str, Any] = CASE.arrays(dtype)
    return arrays, arrays.pop("grad_output")


_contexts: list[cl.Context] = []
"""Held, for Intel's CPU runtime takes a context down that only queues refer to."""


def _queue(device: Device, properties: Any = 0) -> cl.CommandQueue:
    """A queue in a context of its own."""
    assert device.handle is not None
    _contexts.append(cl.Context([device.handle]))
    return cl.CommandQueue(_contexts[-1], properties=properties)


def _on_device(queue: cl.CommandQueue, arrays: dict[str, NumpyArray]) -> dict[str, Any]:
    return {name: cla.to_device(queue, array) for name, array in arrays.items()}


def _layouts(array: NumpyArray) -> dict[str, Any]:
    """The same values in other memory orders."""
    spaced = np.empty(tuple(2 * size for size in array.shape), array.dtype)
    spaced[tuple(slice(None, None, 2) for _ in array.shape)] = array
    return {
        "fortran": np.asfortranarray(array),
        "channels-last": np.ascontiguousarray(np.moveaxis(array, 1, -1))
        if array.ndim != 4
        else np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1),
        "spaced": spaced[tuple(slice(None, None, 2) for _ in array.shape)],
        "reversed": np.ascontiguousarray(array[..., ::-1])[..., ::-1],
        "swapped-bytes": array.astype(array.dtype.newbyteorder("S")),
    }


@pytest.mark.parametrize("layout", ["fortran", "channels-last", "spaced", "reversed", "swapped-bytes"])
def test_numpy_operands_of_any_layout(layout: str, device: Device) -> None:
    arrays, grad = _operands()
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    others: dict[str, Any] = {name: _layouts(array)[layout] if array.ndim == 4 else array for name, array in arrays.items()}
    assert np.array_equal(deform_conv2d(**others, **OPTIONS, device=device), want)
    wanted = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, deterministic=True)
    got = deform_conv2d_backward(_layouts(grad)[layout], **others, **OPTIONS, device=device, deterministic=True)
    assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


def test_numpy_out_of_any_layout(device: Device) -> None:
    arrays, _ = _operands()
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    for name, out in {"plain": np.empty_like(want), **_layouts(want * 0)}.items():
        assert deform_conv2d(**arrays, **OPTIONS, device=device, out=out) is out, name
        assert np.array_equal(out, want), name


def test_gradients_go_where_they_are_told(device: Device) -> None:
    """NumPy and device arrays of any layout, some of them given; what isn't needed stays; an earlier call's gradients."""
    arrays, grad = _operands()
    options: dict[str, Any] = {**OPTIONS, "deterministic": True}
    want = deform_conv2d_backward(grad, **arrays, **options, device=device)._asdict()
    out = {"offset": np.full_like(want["offset"], 7), "weight": _layouts(want["weight"] * 0)["channels-last"], "mask": want["mask"] * 0 + 3}
    got = deform_conv2d_backward(grad, **arrays, **options, device=device, needs=("input", "offset", "weight"), out=out)
    assert got.offset is out["offset"] and got.weight is out["weight"] and got.mask is None and (out["mask"] == 3).all()
    assert all(np.array_equal(getattr(got, name), want[name]) for name in ("input", "offset", "weight"))
    placed = _on_device(_queue(device), {**arrays, "grad_output": grad})
    first = deform_conv2d_backward(**placed, **options)
    memory = [array.base_data for array in first]
    for array in first:
        array.fill(9)
    again = deform_conv2d_backward(**placed, **options, out=first)
    assert [array.base_data for array in again] == memory
    assert all(np.array_equal(array.get(), want[name]) for name, array in again._asdict().items())


def test_wrong_places_for_gradients_are_refused(device: Device) -> None:
    arrays, grad = _operands()
    placed = _on_device(_queue(device), {**arrays, "grad_output": grad})
    queue = placed["input"].queue
    plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, queue=queue)
    offset = cla.zeros(queue, arrays["offset"].shape, "float32")
    same_memory = cla.Array(queue, arrays["input"].shape, "float32", data=offset.base_data)
    plan.backward(**placed, out={"offset": offset})
    for out, message in (
        ([], "out: expected Gradients or a mapping"),
        ({"grad_input": None}, "out: expected names out of input, offset"),
        ({"offset": offset[:1]}, "out.offset: expected shape"),
        ({"offset": offset.astype("float64")}, "out.offset: expected float32"),
        ({"mask": offset}, "out.mask: expected shape"),
        ({"offset": offset, "input": same_memory}, "out.offset: expected memory of its own"),
        ({"offset": offset.get()}, "out.offset: expected pyopencl arrays"),
    ):
        with pytest.raises(ProblemError, match=message):
            plan.backward(**placed, out=out)
    read_only = np.zeros_like(arrays["weight"])
    read_only.flags.writeable = False
    with pytest.raises(ProblemError, match=r"out\.weight: expected a writable array"):
        deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, out={"weight": read_only})


def test_out_may_be_an_operand(device: Device) -> None:
    rng = np.random.default_rng(1)
    image, weight = rng.standard_normal((1, 3, 8, 9)).astype("float32"), rng.standard_normal((3, 3, 3, 3)).astype("float32")
    want = conv2d(image, weight, padding=1, device=device)
    assert np.array_equal(conv2d(image, weight, padding=1, device=device, out=image), want)
    queue = _queue(device)
    other = cla.to_device(queue, np.asarray(want))
    on_device = cla.to_device(queue, weight)
    expected = conv2d(other, on_device, padding=1).get()
    assert np.array_equal(conv2d(other, on_device, padding=1, out=other).get(), expected)


def test_operands_are_not_changed(device: Device) -> None:
    arrays, grad = _operands()
    before = {name: array.copy() for name, array in arrays.items()}
    for array in (*arrays.values(), grad):
        array.flags.writeable = False
    deform_conv2d(**arrays, **OPTIONS, device=device)
    deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device)
    assert all(np.array_equal(array, before[name]) for name, array in arrays.items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_device_arrays_in_and_out(dtype: str, device: Device) -> None:
    queue = _queue(device)
    arrays, grad = _operands(dtype)
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    placed: dict[str, Any] = {name: _place(queue, array) for name, array in {**arrays, "grad_output": grad}.items()}
    placed_grad = placed.pop("grad_output")
    got = deform_conv2d(**placed, **OPTIONS)
    assert isinstance(got, cla.Array)
    assert got.queue == queue
    assert got.events
    assert np.array_equal(_fetch(got), want)
    wanted = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, deterministic=True)
    results = deform_conv2d_backward(placed_grad, **placed, **OPTIONS, deterministic=True)
    assert all(np.array_equal(_fetch(a), b) for a, b in zip(results, wanted, strict=True))
    assert all(result.events for result in results)


def _place(queue: cl.CommandQueue, array: NumpyArray) -> Any:
    placed: Any = cla.Array(queue, array.shape, array.dtype)
    cl.enqueue_copy(queue, placed.base_data, np.ascontiguousarray(array).view(np.uint8))
    return placed


def _fetch(array: Any) -> NumpyArray:
    for event in array.events:
        event.wait()
    host = np.empty(array.shape, array.dtype)
    cl.enqueue_copy(array.queue, host.view(np.uint8), array.base_data)
    return host


def test_device_views_and_out(device: Device) -> None:
    """Transposed, offset and strided device arrays, as operands and as out=."""
    queue = _queue(device)
    arrays, _ = _operands()
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    placed = _on_device(queue, arrays)
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


def test_out_of_order_queue(device: Device) -> None:
    assert device.handle is not None
    if not device.handle.queue_properties & cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE:
        pytest.skip(f"{device.label} has no out-of-order queues")
    queue = _queue(device, cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE)
    arrays, grad = _operands()
    want = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, deterministic=True)
    placed = _on_device(queue, {**arrays, "grad_output": grad})
    for _ in range(3):
        got = deform_conv2d_backward(placed["grad_output"], **{name: placed[name] for name in arrays}, **OPTIONS, deterministic=True)
        assert all(np.array_equal(_fetch(a), b) for a, b in zip(got, want, strict=True))


def test_mixed_kinds_and_queues_are_refused(device: Device) -> None:
    arrays, _ = _operands()
    queue = _queue(device)
    placed = _on_device(queue, arrays)
    with pytest.raises(ProblemError, match=r"weight: expected pyopencl arrays as .* got NumPy"):
        deform_conv2d(**{**placed, "weight": arrays["weight"]}, **OPTIONS)
    with pytest.raises(ProblemError, match=r"out: expected pyopencl arrays"):
        deform_conv2d(**placed, **OPTIONS, out=np.empty((2, 4, 7, 9), "float32"))
    elsewhere = cla.to_device(_queue(device), arrays["mask"])
    with pytest.raises(ProblemError, match=r"mask: expected an array on the same queue"):
        deform_conv2d(**{**placed, "mask": elsewhere}, **OPTIONS)
    with pytest.raises(ProblemError, match=r"queue: expected a pyopencl.CommandQueue, got str"):
        deform_conv2d(**arrays, **OPTIONS, queue="0:0")  # type: ignore[arg-type]  # the wrong type is the test
    placed["input"].queue = None
    with pytest.raises(ProblemError, match=r"input: expected an array with a queue"):
        deform_conv2d(**placed, **OPTIONS)


@pytest.mark.parametrize("kind", ["numpy", "device"])
def test_one_image_without_batch(kind: str, device: Device) -> None:
    arrays, grad = _operands()
    batched = {
        name: array[:1] if array.ndim == 4 and name != "weight" else array for name, array in {**arrays, "grad_output": grad}.items()
    }
    single = {name: array[0] if array.ndim == 4 and name != "weight" else array for name, array in batched.items()}
    want = deform_conv2d(**{name: batched[name] for name in arrays}, **OPTIONS, device=device)
    wanted = deform_conv2d_backward(**batched, **OPTIONS, device=device, deterministic=True)
    placed: dict[str, Any] = _on_device(_queue(device), single) if kind == "device" else single
    where: dict[str, Any] = {} if kind == "device" else {"device": device}
    got = deform_conv2d(**{name: placed[name] for name in arrays}, **OPTIONS, **where)
    results = deform_conv2d_backward(**placed, **OPTIONS, **where, deterministic=True)
    host = _fetch if kind == "device" else np.asarray
    assert np.array_equal(host(got), want[0])
    assert np.array_equal(host(results.offset), wanted.offset[0])
    assert np.array_equal(host(results.input), wanted.input[0])
    assert np.array_equal(host(results.weight), wanted.weight)


@pytest.mark.parametrize("kind", ["numpy", "device"])
def test_no_images(kind: str, device: Device) -> None:
    shapes = {"input": (0, 4, 6, 7), "offset": (0, 12, 4, 6), "weight": (6, 2, 3, 2), "bias": (6,), "grad_output": (0, 6, 4, 6)}
    empty = {name: np.ones(shape, "float32") for name, shape in shapes.items()}
    queue = _queue(device)
    placed: dict[str, Any] = {
        name: _place(queue, array) if array.size else cla.Array(queue, array.shape, array.dtype) for name, array in empty.items()
    }
    arrays = placed if kind == "device" else empty
    where: dict[str, Any] = {} if kind == "device" else {"device": device}
    grad = arrays.pop("grad_output")
    assert deform_conv2d(**arrays, **where).shape == (0, 6, 4, 6)
    got = deform_conv2d_backward(grad, **arrays, **where)
    assert (got.input.shape, got.offset.shape) == ((0, 4, 6, 7), (0, 12, 4, 6))
    host = _fetch if kind == "device" else np.asarray
    assert not host(got.weight).any()
    assert not host(got.bias).any()


@pytest.mark.parametrize("kind", ["numpy", "device"])
def test_nonfinite_raise_names_the_first_position(kind: str, device: Device) -> None:
    arrays, grad = _operands()
    options = OPTIONS | {"nonfinite": "raise"}
    queue = _queue(device)

    def run(**changes: NumpyArray) -> None:
        call: dict[str, Any] = {**arrays, "grad_output": grad, **changes}
        placed: dict[str, Any] = _on_device(queue, call) if kind == "device" else call
        where: dict[str, Any] = {} if kind == "device" else {"device": device}
        deform_conv2d_backward(**placed, **options, **where)

    offset = arrays["offset"].copy()
    offset[0, 0, 0, 0] = np.inf
    run(offset=offset)
    offset[1, 5, 3, 2] = offset[1, 6, 0, 0] = np.nan
    with pytest.raises(ProblemError, match=r"offset: expected no NaN .* first at \(1, 5, 3, 2\)"):
        run(offset=offset)
    image = arrays["input"].copy()
    image[1, 2, 3, 4] = -np.inf
    with pytest.raises(ProblemError, match=r"input: expected finite values .* first at \(1, 2, 3, 4\)"):
        run(input=image)


def test_float64_without_fp64_is_unsupported(device: Device) -> None:
    if device.fp64:
        pytest.skip(f"{device.label} has fp64")
    with pytest.raises(UnsupportedError, match="the device has no float64"):
        deform_conv2d(**_operands("float64")[0], **OPTIONS, device=device)


def test_a_plan_serves_repeated_calls(device: Device) -> None:
    arrays, grad = _operands()
    plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, device=device)
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    for _ in range(2):
        assert np.array_equal(plan.forward(**arrays), want)
    plan.set_weight(arrays["weight"])
    others = {name: array for name, array in arrays.items() if name != "weight"}
    arrays["weight"][:] = 0
    assert np.array_equal(plan.forward(**others), want)
    assert plan.backward(grad, **others).weight.shape == CASE.weight
    plan.set_weight(None)
    with pytest.raises(ProblemError, match="weight: expected an array of shape"):
        plan.forward(**others)
    with pytest.raises(ProblemError, match="input: expected shape"):
        plan.forward(**{**arrays, "input": arrays["input"][:1]})
    assert device.name in repr(plan)
    assert "forward=" in repr(plan)


def test_convolution_with_gradients(device: Device) -> None:
    rng = np.random.default_rng(2)
    image, weight = rng.standard_normal((2, 4, 6, 7)), rng.standard_normal((3, 4, 3, 3))
    image, weight = image.astype("float32"), weight.astype("float32")
    output = conv2d(image, weight, padding="same", device=device)
    gradients = conv2d_backward(output, image, weight, padding="same", device=device)
    assert gradients.offset is None
    assert gradients.mask is None
    assert gradients.bias is None
    zero = np.zeros((2, 18, 6, 7), "float32")
    assert np.allclose(deform_conv2d(image, zero, weight, padding=1, device=device), output, rtol=1e-5, atol=1e-5)


def test_arrays_that_look_different_are_checked_again(device: Device) -> None:
    """A plan remembers how the arrays of its last call looked, and that they were right."""
    arrays, grad = _operands()
    queue = _queue(device)
    placed = _on_device(queue, {**arrays, "grad_output": grad})
    grad_output, weight = placed.pop("grad_output"), placed["weight"]
    plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, queue=queue)
    want = plan.forward(**placed).get()
    kept = {name: array for name, array in placed.items() if name != "weight"}
    claiming = cla.Array(queue, weight.shape, weight.dtype, data=allocate(queue.context, queue.device, "less", weight.nbytes - 4))
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "shape": ({**placed, "mask": placed["mask"][:1]}, "mask: expected shape"),
        "type": ({**placed, "bias": placed["bias"].view(np.int32)}, "bias: expected an array of .*, got int32"),
        "room": ({**placed, "weight": claiming}, "weight: expected an array inside its buffer"),
        "queue": ({**placed, "input": cla.to_device(_queue(device), arrays["input"])}, "input: expected an array on the same queue"),
        "absent": (kept, "weight: expected an array of shape"),
        "kind": ({**placed, "offset": arrays["offset"]}, "offset: expected pyopencl arrays"),
    }
    for name, (operands, message) in wrong.items():
        with pytest.raises(ProblemError, match=message):
            plan.forward(**operands)
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
    queue = _queue(device)
    memory = cl.Buffer(queue.context, cl.mem_flags.READ_WRITE, 256)
    weight = cla.zeros(queue, (1, 1, 3, 3), "float32")
    for offset, shape, message in ((2, (1, 1, 4, 4), "in whole elements"), (0, (1, 1, 9, 9), "inside its buffer of 256 bytes")):
        with pytest.raises(ProblemError, match=f"input: expected .*{message}"):
            conv2d(cla.Array(queue, shape, "float32", data=memory, offset=offset), weight)


def test_out_in_the_operands_own_buffer(device: Device) -> None:
    queue = _queue(device)
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
    queue = _queue(device)
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
        assert np.array_equal(_fetch(got), want)


def test_shared_virtual_memory(device: Device) -> None:
    """Arrays that are in no buffer: everything works, results are in buffers."""
    queue = _queue(device)
    capabilities: Any = device.handle.get_info(cl.device_info.SVM_CAPABILITIES) if device.handle else 0
    if not capabilities & cl.device_svm_capabilities.COARSE_GRAIN_BUFFER:
        pytest.skip(f"{device.label} has no shared virtual memory")
    allocator = cl.tools.SVMAllocator(queue.context, alignment=0, flags=cl.svm_mem_flags.READ_WRITE, queue=queue)
    arrays, grad = _operands()
    everything = {**arrays, "grad_output": grad}
    placed: dict[str, Any] = {name: cla.to_device(queue, array, allocator=allocator) for name, array in everything.items()}
    want = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, deterministic=True)
    got = deform_conv2d_backward(**placed, **OPTIONS | {"nonfinite": "raise"}, deterministic=True)
    assert all(np.array_equal(_fetch(a), b) for a, b in zip(got, want, strict=True))
    plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, queue=queue)
    plan.set_weight(placed["weight"])


def test_only_what_is_needed_is_returned(device: Device) -> None:
    arrays, grad = _operands()
    for needs in (("input",), ("offset", "mask"), ("weight",), ("bias", "input"), ()):
        got = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, needs=needs)
        assert {name for name in got._fields if getattr(got, name) is not None} == set(needs)


def test_memory_that_cannot_be_had_is_an_error_of_its_own(device: Device) -> None:
    queue = _queue(device)
    with pytest.raises(OutOfMemoryError, match=r"allocating \d+ bytes for scratch.* the device has \d+ bytes"):
        allocate(queue.context, queue.device, "scratch", 1 << 60)


def test_a_kernel_that_does_not_compile_is_shown_whole(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clconv.program.render", lambda kernel: "__kernel void copy(__global int *p) { p[0] = nonsense; }")
    queue = _queue(device)
    with pytest.raises(BuildError, match=r"refused kernel copy\n.*element") as caught:
        compiled(queue.context, queue.device, Kernel.of("copy", {"element": "uint"}))
    assert "nonsense" in str(caught.value)
    source = Path(re.search(r"numbered source: (.*)", str(caught.value))[1])  # type: ignore[index]  # asserted by the index
    assert "   1  __kernel void copy" in source.read_text()
    source.unlink()


def test_only_what_is_needed_is_compiled(device: Device) -> None:
    arrays, grad = _operands()
    queue = _queue(device)
    placed = _on_device(queue, {**arrays, "grad_output": grad})
    deform_conv2d_backward(**placed, **OPTIONS, needs=("bias",))
    names = {kernel.name for context, _, kernel in _entries if context == queue.context.int_ptr}
    biases = {"backward_bias_block", "backward_bias_plain"}
    assert names <= {*biases, "forward_plain", "reduce"}
    assert names & biases


def test_threads_share_one_compilation_and_keep_apart(device: Device) -> None:
    arrays, _ = _operands()
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
