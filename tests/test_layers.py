"""The layers of torchvision and Chainer: initial parameters, state, and what they say of wrong arguments.

That their values and gradients are those of the two systems is proved in test_golden.py.
"""

from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cla
import pytest

from clconv import ClconvError, DeformableConvolution2D, DeformConv2d, Device, ProblemError, conv2d
from clconv.arrays import NumpyArray


def normal(*shape: int, seed: int = 1) -> NumpyArray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def equal(array: NumpyArray | None, want: Any) -> bool:
    return array is not None and np.array_equal(array, want)


def test_torchvision_parameters_are_uniform_within_the_inverse_root_of_fan_in() -> None:
    layer = DeformConv2d(64, 96, (3, 5), groups=4, seed=0)
    assert layer.bias is not None
    bound = 1 / np.sqrt(16 * 3 * 5)
    for array, shape in ((layer.weight, (96, 16, 3, 5)), (layer.bias, (96,))):
        assert array.shape == shape
        assert array.dtype == np.float32
        assert 0.95 * bound < np.abs(array).max() <= bound
    assert np.abs(np.quantile(layer.weight, [0.25, 0.5, 0.75]) / bound - [-0.5, 0, 0.5]).max() < 0.02


def test_chainer_parameters_are_lecun_normal_and_zero() -> None:
    layer = DeformableConvolution2D(32, 7, (3, 5), seed=0)
    weight, bias = layer.offset_conv.W, layer.offset_conv.b
    assert weight is not None
    assert weight.shape == (30, 32, 3, 5)
    deviation = 1 / np.sqrt(32 * 3 * 5)
    assert abs(weight.std() / deviation - 1) < 0.02
    assert abs((np.abs(weight) < deviation).mean() - 0.6827) < 0.01  # of a normal distribution within one deviation
    for array, shape in ((bias, (30,)), (layer.deform_conv.W, (7, 32, 3, 5)), (layer.deform_conv.b, (7,))):
        assert array is not None
        assert array.shape == shape
        assert not array.any()


def test_seeds() -> None:
    def torchvision(seed: int | None) -> Any:
        return DeformConv2d(3, 4, 3, seed=seed).weight

    def chainer(seed: int | None) -> Any:
        return DeformableConvolution2D(3, 4, 3, seed=seed).offset_conv.W

    for drawn in (torchvision, chainer):
        assert np.array_equal(drawn(5), drawn(5))
        assert not np.array_equal(drawn(5), drawn(6))
        assert not np.array_equal(drawn(None), drawn(None))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", np.float64])
def test_dtypes(dtype: Any) -> None:
    first, second = DeformConv2d(3, 4, 3, dtype=dtype), DeformableConvolution2D(3, 4, 3, dtype=dtype, offset_initial_bias=0.5)
    arrays = (first.weight, first.bias, second.offset_conv.W, second.offset_conv.b, second.deform_conv.W, second.deform_conv.b)
    assert {array.dtype for array in arrays if array is not None} == {np.dtype(dtype)}


def test_without_bias(device: Device) -> None:
    layer = DeformConv2d(3, 4, 3, bias=False, device=device)
    output = layer(normal(1, 3, 5, 6), normal(1, 18, 3, 4))
    gradients = layer.backward(output)
    assert layer.bias is None
    assert gradients.mask is None
    assert layer.grads.keys() == {"weight"}
    chainer = DeformableConvolution2D(3, 4, 3, offset_nobias=True, deform_nobias=True, device=device)
    chainer.backward(chainer(normal(1, 3, 5, 6)))
    assert chainer.offset_conv.b is chainer.deform_conv.b is None
    assert chainer.grads.keys() == {"offset_conv/W", "deform_conv/W"}


def test_zero_offsets_make_an_ordinary_layer(device: Device) -> None:
    image = normal(2, 6, 7, 5)
    layer = DeformConv2d(6, 4, (3, 2), (2, 1), padding=(1, 0), dilation=(1, 2), groups=2, seed=3, device=device)
    want = conv2d(image, layer.weight, layer.bias, (2, 1), (1, 0), (1, 2), device=device)
    got = layer(image, np.zeros((2, 12, *want.shape[2:]), "float32"), np.ones((2, 6, *want.shape[2:]), "float32"))
    assert np.abs(got - want).max() < 1e-5


def test_chainers_layer_gives_its_bias_at_first(device: Device) -> None:
    layer = DeformableConvolution2D(3, 2, 3, pad=1, deform_initial_bias=[1.5, -2], seed=0, device=device)
    output = layer(normal(2, 3, 5, 6))
    assert np.array_equal(output, np.broadcast_to(np.reshape([1.5, -2], (2, 1, 1)), (2, 2, 5, 6)))


def test_chainers_layer_is_sized_at_the_first_call(device: Device) -> None:
    layer = DeformableConvolution2D(None, 2, (3, 1), stride=(1, 2), seed=0, device=device)
    assert layer.in_channels is None
    assert layer.offset_conv.W is layer.deform_conv.W is None
    assert layer(normal(1, 5, 6, 7)).shape == (1, 2, 4, 4)
    assert layer.in_channels == 5
    assert layer.offset_conv.W is not None
    assert np.array_equal(layer.offset_conv.W, DeformableConvolution2D(5, 2, (3, 1), seed=0).offset_conv.W)
    with pytest.raises(ProblemError, match=r"^x: expected shape \(N, 5, H, W\), got \(1, 4, 6, 7\)"):
        layer(normal(1, 4, 6, 7))


def test_gradients_of_parameters_replace_those_before(device: Device) -> None:
    layer = DeformConv2d(2, 3, 3, seed=0, device=device)
    given = (normal(1, 2, 5, 6), normal(1, 18, 3, 4), normal(1, 9, 3, 4))
    output = layer(*given)
    first, once = layer.backward(output), layer.grads
    second, twice = layer.backward(2 * output), layer.grads
    pairs: list[Any] = [*zip(first, second, strict=True), *((once[name], twice[name]) for name in ("weight", "bias"))]
    assert all(np.allclose(2 * before, after, rtol=1e-5, atol=1e-5) for before, after in pairs)


def test_initialisers() -> None:
    def fill(array: NumpyArray) -> None:
        array[...] = np.arange(array.size).reshape(array.shape)

    given = normal(4, 3, 2, 1)
    own: dict[str, Any] = {"offset_initialW": 0.25, "offset_initial_bias": fill, "deform_initialW": given, "deform_initial_bias": -1}
    layer = DeformableConvolution2D(3, 4, (2, 1), **own)
    assert equal(layer.offset_conv.W, np.full((4, 3, 2, 1), 0.25))
    assert equal(layer.offset_conv.b, [0, 1, 2, 3])
    assert equal(layer.deform_conv.W, given)
    assert equal(layer.deform_conv.b, [-1, -1, -1, -1])
    given += 1
    assert not equal(layer.deform_conv.W, given)


@pytest.mark.parametrize("name", ["offset_initialW", "offset_initial_bias", "deform_initialW", "deform_initial_bias"])
def test_wrong_initialisers_are_named(name: str) -> None:
    word: dict[str, Any] = {name: "zero"}
    with pytest.raises(ProblemError, match=rf"^{name}: expected None, a number, an array or a callable that fills one, got 'zero'"):
        DeformableConvolution2D(3, 4, 3, **word)
    flat: dict[str, Any] = {name: np.zeros((1, 2))}
    with pytest.raises(ProblemError, match=rf"^{name}: expected a number or an array of shape \(.*\), got shape \(1, 2\)"):
        DeformableConvolution2D(3, 4, 3, **flat)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"in_channels": 0}, r"^in_channels: expected an integer from 1 .*, got 0"),
        ({"out_channels": 2.5}, r"^out_channels: expected an integer, got 2.5"),
        ({"kernel_size": (3, 3, 3)}, r"^kernel_size: expected an integer or a pair .*, got \(3, 3, 3\)"),
        ({"stride": 0}, r"^stride: .* got 0"),
        ({"padding": "full"}, r"^padding: .* got 'full'"),
        ({"dilation": (1, -1)}, r"^dilation\[1\]: .* got -1"),
        ({"groups": 4}, r"^groups: expected a divisor of in_channels = 6 and out_channels = 8, got 4"),
        ({"groups": "2"}, r"^groups: expected an integer, got '2'"),
        ({"dtype": "int32"}, r"^dtype: expected one of float16, .*, got 'int32'"),
        ({"dtype": None}, r"^dtype: .* got None"),
        ({"seed": -1}, r"^seed: expected None or a non-negative integer, got -1"),
    ],
)
def test_wrong_arguments_of_torchvisions_layer_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        DeformConv2d(**({"in_channels": 6, "out_channels": 8, "kernel_size": 3} | wrong))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"in_channels": -3}, r"^in_channels: .* got -3"),
        ({"out_channels": None}, r"^out_channels: expected an integer, got None"),
        ({"ksize": 0}, r"^ksize: .* got 0"),
        ({"stride": (1, 0)}, r"^stride\[1\]: .* got 0"),
        ({"pad": "same"}, r"^pad: expected an integer, got 'same'"),
        ({"dtype": "complex64"}, r"^dtype: .* got 'complex64'"),
        ({"seed": "one"}, r"^seed: .* got 'one'"),
    ],
)
def test_wrong_arguments_of_chainers_layer_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        DeformableConvolution2D(**({"in_channels": 6, "out_channels": 8, "ksize": 3} | wrong))


@pytest.mark.parametrize("layer", [DeformConv2d(3, 4, 3), DeformableConvolution2D(3, 4, 3), DeformableConvolution2D(None, 4, 3)], ids=repr)
def test_backward_needs_a_call(layer: Any) -> None:
    with pytest.raises(ClconvError, match=rf"^{type(layer).__name__}.backward: the layer was not called yet"):
        layer.backward(normal(1, 4, 3, 4))


def test_other_channels_are_not_taken_for_groups() -> None:
    with pytest.raises(ProblemError, match=r"^input: expected shape \(N, 2, H, W\), got \(1, 4, 5, 6\)"):
        DeformConv2d(2, 4, 3)(normal(1, 4, 5, 6), normal(1, 18, 3, 4))
    with pytest.raises(ProblemError, match=r"^x: expected shape \(N, 2, H, W\), got \(1, 4, 5, 6\)"):
        DeformableConvolution2D(2, 4, 3)(normal(1, 4, 5, 6))


def test_device_arrays_are_refused(device: Device) -> None:
    assert device.handle is not None
    context = cl.Context([device.handle])  # held: Intel's CPU runtime takes a context down that only a queue refers to
    image = cla.to_device(cl.CommandQueue(context), normal(1, 3, 5, 6))
    with pytest.raises(ProblemError, match=r"^input: expected a NumPy array, as the layer's parameters are, got pyopencl.array.Array"):
        DeformConv2d(3, 4, 3, device=device)(image, normal(1, 18, 3, 4))  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match=r"^x: expected a NumPy array"):
        DeformableConvolution2D(3, 4, 3, device=device)(image)  # type: ignore[arg-type]


def test_repr_names_what_was_asked_for() -> None:
    geometry = "kernel_size=(3, 3), stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1)"
    first = DeformConv2d(6, 4, 3, padding=1, groups=2, bias=False)
    assert repr(first) == f"DeformConv2d(6, 4, {geometry}, groups=2, bias=False, dtype='float32')"
    geometry, biases = "ksize=(3, 1), stride=(1, 1), pad=(1, 1)", "offset_nobias=False, deform_nobias=True"
    second = DeformableConvolution2D(None, 4, (3, 1), pad=1, deform_nobias=True, dtype="float64")
    assert repr(second) == f"DeformableConvolution2D(None, 4, {geometry}, {biases}, dtype='float64')"
