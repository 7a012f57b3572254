"""What callers may bring and get back: strides, kinds of arrays, out=, batches, what is refused."""

from typing import Any

import numpy as np
import pyopencl.array as cla
import pytest
from operands import CASE, OPTIONS, fetch, new_queue, on_device, operands, place

from clconv import Device, Plan, ProblemError, UnsupportedError, conv2d, conv2d_backward, deform_conv2d, deform_conv2d_backward
from clconv.arrays import NumpyArray


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
    arrays, grad = operands()
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    others: dict[str, Any] = {name: _layouts(array)[layout] if array.ndim == 4 else array for name, array in arrays.items()}
    assert np.array_equal(deform_conv2d(**others, **OPTIONS, device=device), want)
    wanted = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, deterministic=True)
    got = deform_conv2d_backward(_layouts(grad)[layout], **others, **OPTIONS, device=device, deterministic=True)
    assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


def test_numpy_out_of_any_layout(device: Device) -> None:
    arrays, _ = operands()
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    for name, out in {"plain": np.empty_like(want), **_layouts(want * 0)}.items():
        assert deform_conv2d(**arrays, **OPTIONS, device=device, out=out) is out, name
        assert np.array_equal(out, want), name


def test_gradients_go_where_they_are_told(device: Device) -> None:
    """NumPy and device arrays of any layout, some of them given; what isn't needed stays; an earlier call's gradients."""
    arrays, grad = operands()
    options: dict[str, Any] = {**OPTIONS, "deterministic": True}
    want = deform_conv2d_backward(grad, **arrays, **options, device=device)._asdict()
    out = {"offset": np.full_like(want["offset"], 7), "weight": _layouts(want["weight"] * 0)["channels-last"], "mask": want["mask"] * 0 + 3}
    got = deform_conv2d_backward(grad, **arrays, **options, device=device, needs=("input", "offset", "weight"), out=out)
    assert got.offset is out["offset"] and got.weight is out["weight"] and got.mask is None and (out["mask"] == 3).all()
    assert all(np.array_equal(getattr(got, name), want[name]) for name in ("input", "offset", "weight"))
    placed = on_device(new_queue(device), {**arrays, "grad_output": grad})
    first = deform_conv2d_backward(**placed, **options)
    memory = [array.base_data for array in first]
    for array in first:
        array.fill(9)
    again = deform_conv2d_backward(**placed, **options, out=first)
    assert [array.base_data for array in again] == memory
    assert all(np.array_equal(array.get(), want[name]) for name, array in again._asdict().items())


def test_wrongplaces_for_gradients_are_refused(device: Device) -> None:
    arrays, grad = operands()
    placed = on_device(new_queue(device), {**arrays, "grad_output": grad})
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
    queue = new_queue(device)
    other = cla.to_device(queue, np.asarray(want))
    on_device = cla.to_device(queue, weight)
    expected = conv2d(other, on_device, padding=1).get()
    assert np.array_equal(conv2d(other, on_device, padding=1, out=other).get(), expected)


def test_operands_are_not_changed(device: Device) -> None:
    arrays, grad = operands()
    before = {name: array.copy() for name, array in arrays.items()}
    for array in (*arrays.values(), grad):
        array.flags.writeable = False
    deform_conv2d(**arrays, **OPTIONS, device=device)
    deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device)
    assert all(np.array_equal(array, before[name]) for name, array in arrays.items())


def test_mixed_kinds_and_queues_are_refused(device: Device) -> None:
    arrays, _ = operands()
    queue = new_queue(device)
    placed = on_device(queue, arrays)
    with pytest.raises(ProblemError, match=r"weight: expected pyopencl arrays as .* got NumPy"):
        deform_conv2d(**{**placed, "weight": arrays["weight"]}, **OPTIONS)
    with pytest.raises(ProblemError, match=r"out: expected pyopencl arrays"):
        deform_conv2d(**placed, **OPTIONS, out=np.empty((2, 4, 7, 9), "float32"))
    elsewhere = cla.to_device(new_queue(device), arrays["mask"])
    with pytest.raises(ProblemError, match=r"mask: expected an array on the same queue"):
        deform_conv2d(**{**placed, "mask": elsewhere}, **OPTIONS)
    with pytest.raises(ProblemError, match=r"queue: expected a pyopencl.CommandQueue, got str"):
        deform_conv2d(**arrays, **OPTIONS, queue="0:0")  # type: ignore[arg-type]  # the wrong type is the test
    placed["input"].queue = None
    with pytest.raises(ProblemError, match=r"input: expected an array with a queue"):
        deform_conv2d(**placed, **OPTIONS)


@pytest.mark.parametrize("kind", ["numpy", "device"])
def test_one_image_without_batch(kind: str, device: Device) -> None:
    arrays, grad = operands()
    batched = {
        name: array[:1] if array.ndim == 4 and name != "weight" else array for name, array in {**arrays, "grad_output": grad}.items()
    }
    single = {name: array[0] if array.ndim == 4 and name != "weight" else array for name, array in batched.items()}
    want = deform_conv2d(**{name: batched[name] for name in arrays}, **OPTIONS, device=device)
    wanted = deform_conv2d_backward(**batched, **OPTIONS, device=device, deterministic=True)
    placed: dict[str, Any] = on_device(new_queue(device), single) if kind == "device" else single
    where: dict[str, Any] = {} if kind == "device" else {"device": device}
    got = deform_conv2d(**{name: placed[name] for name in arrays}, **OPTIONS, **where)
    results = deform_conv2d_backward(**placed, **OPTIONS, **where, deterministic=True)
    host = fetch if kind == "device" else np.asarray
    assert np.array_equal(host(got), want[0])
    assert np.array_equal(host(results.offset), wanted.offset[0])
    assert np.array_equal(host(results.input), wanted.input[0])
    assert np.array_equal(host(results.weight), wanted.weight)


@pytest.mark.parametrize("kind", ["numpy", "device"])
def test_no_images(kind: str, device: Device) -> None:
    shapes = {"input": (0, 4, 6, 7), "offset": (0, 12, 4, 6), "weight": (6, 2, 3, 2), "bias": (6,), "grad_output": (0, 6, 4, 6)}
    empty = {name: np.ones(shape, "float32") for name, shape in shapes.items()}
    queue = new_queue(device)
    placed: dict[str, Any] = {
        name: place(queue, array) if array.size else cla.Array(queue, array.shape, array.dtype) for name, array in empty.items()
    }
    arrays = placed if kind == "device" else empty
    where: dict[str, Any] = {} if kind == "device" else {"device": device}
    grad = arrays.pop("grad_output")
    assert deform_conv2d(**arrays, **where).shape == (0, 6, 4, 6)
    got = deform_conv2d_backward(grad, **arrays, **where)
    assert (got.input.shape, got.offset.shape) == ((0, 4, 6, 7), (0, 12, 4, 6))
    host = fetch if kind == "device" else np.asarray
    assert not host(got.weight).any()
    assert not host(got.bias).any()


@pytest.mark.parametrize("kind", ["numpy", "device"])
def test_nonfinite_raise_names_the_first_position(kind: str, device: Device) -> None:
    arrays, grad = operands()
    options = OPTIONS | {"nonfinite": "raise"}
    queue = new_queue(device)

    def run(**changes: NumpyArray) -> None:
        call: dict[str, Any] = {**arrays, "grad_output": grad, **changes}
        placed: dict[str, Any] = on_device(queue, call) if kind == "device" else call
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
        deform_conv2d(**operands("float64")[0], **OPTIONS, device=device)


def test_a_plan_serves_repeated_calls(device: Device) -> None:
    arrays, grad = operands()
    plan = Plan(CASE.input, CASE.weight, mask=True, bias=True, padding=1, device=device)
    want = deform_conv2d(**arrays, **OPTIONS, device=device)
    for _ in range(2):
        assert np.array_equal(plan.forward(**arrays), want)
    plan.set_weight(arrays["weight"])
    others = {name: array for name, array in arrays.items() if name != "weight"}
    arrays["weight"][:] = 0
    with pytest.raises(ProblemError, match="weight: expected shape"):
        plan.set_weight(arrays["weight"][1:])  # the one that is there stays
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


def test_only_what_is_needed_is_returned(device: Device) -> None:
    arrays, grad = operands()
    for needs in (("input",), ("offset", "mask"), ("weight",), ("bias", "input"), ()):
        got = deform_conv2d_backward(grad, **arrays, **OPTIONS, device=device, needs=needs)
        assert {name for name in got._fields if getattr(got, name) is not None} == set(needs)
