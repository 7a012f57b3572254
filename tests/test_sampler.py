"""Chainer's function: order of the offsets, gate, both kinds of arrays, and what it says of wrong arguments.

That its values are Chainer's is proved in test_golden.py.
"""

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pyopencl as cl
import pyopencl.array as cla
import pytest

import clconv
from clconv import Device, ProblemError, SamplerGradients, deformable_convolution_2d_sampler, deformable_convolution_2d_sampler_backward
from clconv.arrays import NumpyArray

GEOMETRY = {"stride": (2, 1), "pad": (1, 2)}
INTERLEAVED = [6, 0, 7, 1, 8, 2, 9, 3, 10, 4, 11, 5]
"""Chainer's offset channels of a 3x2 kernel in the order of deform_conv2d: y and x of each tap."""


def operands(dtype: Any = "float32", offset_dtype: Any = None) -> dict[str, NumpyArray]:
    """Two images of 3 channels, a 3x2 kernel and 5 output channels, with the output's gradient as gy."""
    rng = np.random.default_rng(7)
    shapes = {"x": (2, 3, 7, 6), "offset": (2, 12, 4, 9), "W": (5, 3, 3, 2), "b": (5,), "gy": (2, 5, 4, 9)}
    arrays = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    return {**arrays, "offset": arrays["offset"].astype(offset_dtype or dtype)}


def forward(arrays: dict[str, Any], **options: Any) -> Any:
    return deformable_convolution_2d_sampler(arrays["x"], arrays["offset"], arrays["W"], arrays["b"], **(GEOMETRY | options))


def backward(arrays: dict[str, Any], **options: Any) -> SamplerGradients:
    given = (arrays["gy"], arrays["x"], arrays["offset"], arrays["W"], arrays["b"])
    return deformable_convolution_2d_sampler_backward(*given, **(GEOMETRY | options))


def on_device(arrays: dict[str, NumpyArray], queue: cl.CommandQueue) -> dict[str, cla.Array]:
    return {name: cla.to_device(queue, array) for name, array in arrays.items()}


@pytest.fixture
def queue(device: Device) -> Iterator[cl.CommandQueue]:
    assert device.handle is not None
    context = cl.Context([device.handle])  # held: Intel's CPU runtime takes a context down that only a queue refers to
    yield cl.CommandQueue(context)


def test_the_first_half_of_the_offsets_is_horizontal(device: Device) -> None:
    image = np.arange(2 * 5 * 7, dtype="float32").reshape(1, 2, 5, 7)
    offset = np.zeros((1, 2, 5, 7), "float32")
    offset[:, 0] = 2
    moved = deformable_convolution_2d_sampler(image, offset, np.eye(2, dtype="float32")[:, :, None, None], device=device)
    assert np.array_equal(moved, np.pad(image, ((0, 0), (0, 0), (0, 0), (0, 2)))[..., 2:])


def test_equals_deform_conv2d_with_interleaved_offsets(device: Device) -> None:
    arrays = operands()
    given = (arrays["x"], arrays["offset"][:, INTERLEAVED], arrays["W"], arrays["b"], *GEOMETRY.values())
    options: dict[str, Any] = {"convention": "chainer", "device": device}
    assert np.array_equal(forward(arrays, device=device), clconv.deform_conv2d(*given, **options))
    want = clconv.deform_conv2d_backward(arrays["gy"], *given, deterministic=True, **options)
    got = backward(arrays, deterministic=True, device=device)
    assert np.array_equal(got.offset[:, INTERLEAVED], want.offset)
    assert all(np.array_equal(*pair) for pair in ((got.x, want.input), (got.W, want.weight), (got.b, want.bias)))


def test_at_minus_one_the_offset_has_no_gradient(device: Device) -> None:
    image, ones = np.ones((1, 1, 3, 4), "float32"), np.ones((1, 1, 1, 1), "float32")
    offset = np.zeros((1, 2, 3, 4), "float32")
    offset[0, 1, 0] = -1  # of the whole first row: y is exactly -1, where deform_conv2d takes the right-hand derivative
    given = (np.ones_like(image), image)
    gated = deformable_convolution_2d_sampler_backward(*given, offset, ones, device=device).offset[0, 1, 0]
    ungated = clconv.deform_conv2d_backward(*given, offset[:, ::-1], ones, device=device).offset[0, 0, 0]
    assert np.array_equal(gated, np.zeros(4))
    assert np.array_equal(ungated, np.ones(4))


@pytest.mark.parametrize(("dtype", "offset_dtype"), [("float32", None), ("float16", None), (ml_dtypes.bfloat16, "float32")])
def test_device_arrays_give_what_numpy_gives(dtype: Any, offset_dtype: Any, device: Device, queue: cl.CommandQueue) -> None:
    arrays = operands(dtype, offset_dtype)
    copies = on_device(arrays, queue)
    output, gradients = forward(copies), backward(copies, deterministic=True)
    assert all(isinstance(array, cla.Array) and array.queue == queue for array in (output, *gradients))
    assert gradients.offset.dtype == arrays["offset"].dtype
    assert np.array_equal(output.get(), forward(arrays, device=device))
    wanted = backward(arrays, deterministic=True, device=device)
    assert all(np.array_equal(got.get(), want) for got, want in zip(gradients, wanted, strict=True))


def test_strided_offsets(device: Device, queue: cl.CommandQueue) -> None:
    arrays = operands()
    want = forward(arrays, device=device)
    wider = np.zeros((2, 20, 4, 9), "float32")
    wider[:, 3:15] = arrays["offset"]
    views = (np.asfortranarray(arrays["offset"]), wider[:, 3:15])
    assert all(np.array_equal(forward({**arrays, "offset": view}, device=device), want) for view in views)
    view = cla.to_device(queue, wider)[:, 3:15]
    assert np.array_equal(forward({**on_device(arrays, queue), "offset": view}).get(), want)


def test_device_arrays_are_not_waited_for(device: Device, queue: cl.CommandQueue) -> None:
    arrays = operands()
    forward(on_device(arrays, queue)).finish()  # builds
    copies, gate = on_device(arrays, queue), cl.UserEvent(queue.context)
    copies["offset"].add_event(gate)
    output = forward(copies)
    pending = [event.command_execution_status for event in output.events]
    gate.set_status(cl.command_execution_status.COMPLETE)
    assert cl.command_execution_status.COMPLETE not in pending
    assert np.array_equal(output.get(), forward(arrays, device=device))


def test_only_what_is_needed_is_returned(device: Device) -> None:
    arrays = operands()
    gradients = backward(arrays, needs=["offset", "b"], device=device)
    assert [array is None for array in gradients] == [True, False, True, False]
    assert backward({**arrays, "b": None}, device=device).b is None
    assert backward(arrays, needs="W", device=device).W.shape == arrays["W"].shape


def test_one_image_without_batch_axis(device: Device) -> None:
    arrays = operands()
    one = {name: array[0] if array.ndim == 4 and name != "W" else array for name, array in arrays.items()}
    assert np.array_equal(forward(one, device=device), forward(arrays, device=device)[0])
    assert backward(one, device=device).offset.shape == (12, 4, 9)


def test_no_images(device: Device, queue: cl.CommandQueue) -> None:
    none = {name: array[:0] if array.ndim == 4 and name != "W" else array for name, array in operands().items()}
    assert forward(none, device=device).shape == (0, 5, 4, 9)
    gradients = backward(on_device(none, queue))
    assert gradients.offset.shape == (0, 12, 4, 9)
    assert not gradients.W.get().any()


def test_an_image_of_one_row_is_finite(device: Device) -> None:
    rng = np.random.default_rng(3)
    image, offset, weight = (rng.standard_normal(shape).astype("float32") for shape in ((1, 2, 1, 6), (1, 6, 1, 4), (3, 2, 1, 3)))
    assert np.isfinite(deformable_convolution_2d_sampler(image, offset, weight, device=device)).all()


def test_options_reach_the_kernels(device: Device) -> None:
    arrays = operands()
    arrays["offset"][1, 3, 2, 4] = np.nan
    assert np.isnan(forward(arrays, device=device)).sum() == 5
    assert np.isfinite(forward(arrays, nonfinite="zero", device=device)).all()
    out = np.empty((2, 5, 4, 9), "float32")
    assert forward(arrays, nonfinite="zero", out=out, device=device) is out
    with pytest.raises(ProblemError, match=r"^offset: .*NaN"):
        backward(arrays, nonfinite="raise", device=device)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "offset channels": ({"offset": np.ones((2, 18, 4, 9), "float32")}, r"^offset: expected 2\*k_H\*k_W = 12 channels.*\(2, 18, 4, 9\)"),
    "offset dimensions": ({"offset": np.ones((12, 4), "float32")}, r"^offset: expected an array of 4 dimensions, got shape \(12, 4\)"),
    "offset missing": ({"offset": None}, "^offset: expected an array of 4 dimensions, got None"),
    "offset list": ({"offset": [1.0]}, "^offset: expected a NumPy array.*list"),
    "W dimensions": ({"W": np.ones((5, 3, 3), "float32")}, r"^W: expected an array of 4 dimensions, got shape \(5, 3, 3\)"),
    "groups": ({"W": np.ones((6, 1, 3, 2), "float32")}, r"^W: expected W.shape\[1\] = 3, the channels of x, got shape \(6, 1, 3, 2\)"),
    "W type": ({"W": np.ones((5, 3, 3, 2))}, "^W: expected float32 beside an input of float32, got float64"),
    "x type": ({"x": np.ones((2, 3, 7, 6), "int32")}, "^x: expected an array of float16, .*, got int32"),
    "x dimensions": ({"x": np.ones((3, 7), "float32")}, r"^x: expected an array of 4 dimensions, got shape \(3, 7\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arrays_are_named(name: str) -> None:
    wrong, message = WRONG[name]
    for call in (forward, backward):
        with pytest.raises(ProblemError, match=message):
            call({**operands(), **wrong})


@pytest.mark.parametrize("wrong", [{"stride": 0}, {"pad": -1}, {"pad": "same"}])
def test_wrong_geometry_is_named(wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    for call in (forward, backward):
        with pytest.raises(ProblemError, match=f"^{name}: expected an integer.*, got {value!r}"):
            call(operands(), **wrong)


@pytest.mark.parametrize("needs", ["input", ["x", "mask"], [["x"]], 1])
def test_unknown_needs_are_named(needs: Any) -> None:
    with pytest.raises(ProblemError, match=r"^needs: expected names among x, offset, W, b, got ('input'|'mask'|\['x'\]|1)$"):
        backward(operands(), needs=needs)


@pytest.mark.parametrize("name", ["b", "gy", "offset"])
def test_wrong_shapes_are_named_as_chainer_names_them(name: str, device: Device) -> None:
    arrays = operands()
    with pytest.raises(ProblemError, match=rf"^{name}: expected shape"):
        backward(arrays | {name: arrays[name][..., :3]}, device=device)


def test_mixed_kinds_of_arrays(queue: cl.CommandQueue) -> None:
    arrays = operands()
    with pytest.raises(ProblemError, match=r"^W, b, x: expected pyopencl arrays as offset"):
        forward(arrays | {"offset": cla.to_device(queue, arrays["offset"])})
