"""The reference against scalar loops, finite differences and the identities that such an operator obeys."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from clconv import Gradients, ProblemError, reference
from clconv.arrays import NumpyArray
from clconv.check.cases import Case
from clconv.convention import CONVENTIONS
from clconv.problem import OPERANDS

Arrays = dict[str, Any]

SMALL = (
    Case("groups", (2, 4, 5, 4), (4, 2, 3, 2), offset_groups=4),
    Case("groups-beside-offset-groups", (1, 6, 4, 5), (2, 3, 2, 2), offset_groups=3),
    Case("group-of-three", (1, 6, 3, 4), (4, 3, 2, 1), offset_groups=1, padding=0),
    Case("dilation", (1, 2, 7, 6), (1, 2, 3, 2), dilation=(2, 3), padding=(2, 1)),
    Case("stride", (1, 2, 7, 6), (2, 2, 2, 3), stride=(2, 3), mask=False),
    Case("one-by-one", (2, 2, 5, 4), (3, 2, 1, 1), stride=2, padding=0, bias=False),
    Case("height-1", (1, 2, 1, 5), (2, 2, 1, 3), padding=(0, 1)),
    Case("width-1", (1, 2, 5, 1), (2, 2, 3, 1), padding=(1, 0)),
    Case("one-sided", (1, 2, 4, 5), (2, 2, 2, 3), padding=((0, 2), (1, 0))),
    Case("same", (1, 2, 4, 5), (2, 2, 2, 4), padding="same"),
    Case("convolution", (2, 4, 5, 4), (2, 2, 3, 2), None, mask=False, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
)
TINY = (
    Case("groups", (1, 4, 3, 4), (4, 2, 2, 1), offset_groups=2, padding=(1, 0)),
    Case("dilation-stride", (2, 2, 4, 5), (1, 2, 1, 2), stride=(2, 1), dilation=(1, 2), padding=(0, 1)),
    Case("height-1", (1, 2, 1, 4), (2, 2, 1, 3), padding=(0, 1), mask=False),
    Case("width-1", (1, 2, 4, 1), (2, 2, 3, 1), padding=(1, 0), bias=False),
    Case("one-sided", (1, 1, 3, 2), (1, 1, 2, 2), padding=((0, 1), (2, 0))),
    Case("convolution", (2, 4, 3, 4), (2, 2, 2, 3), None, mask=False, stride=(2, 1), padding=(1, 2)),
)
"""For finite differences, that cost two forward passes an element."""
GEOMETRIES: tuple[Arrays, ...] = ({}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": ((1, 2), (0, 3))}, {"padding": "same"})
PLAIN = Case("plain", (2, 4, 5, 6), (4, 2, 3, 3), offset_groups=2)


def smooth(case: Case) -> tuple[Arrays, NumpyArray]:
    """Operands with offsets at least 0.1 from an integer, and grad_output."""
    arrays = case.arrays("float64")
    if case.offset_groups is not None:
        whole = np.floor(arrays["offset"])
        arrays["offset"] = whole + 0.1 + 0.8 * (arrays["offset"] - whole)
    grad_output = arrays.pop("grad_output")
    return {"offset": None, **arrays}, grad_output


def forward(arrays: Arrays, **options: Any) -> NumpyArray:
    return reference.deform_conv2d(**arrays, **options)


def backward(grad_output: NumpyArray, arrays: Arrays, **options: Any) -> Gradients:
    return reference.deform_conv2d_backward(grad_output, **arrays, **options)


def triangle(size: int, position: float) -> tuple[NumpyArray, NumpyArray]:
    """Weights max(0, 1 - |position - q|) of the pixels q of a row (Dai et al. 2017, equation 4), and their derivatives."""
    distance = position - np.arange(size)
    return np.maximum(0, 1 - np.abs(distance)), np.where(np.abs(distance) < 1, -np.sign(distance), 0.0)


def sample(plane: NumpyArray, y: float, x: float, replicate: bool) -> tuple[NumpyArray, float, float]:
    """Derivatives of B by the pixels (they are its weights), and by y and x."""
    height, width = plane.shape
    inside = 0 <= y < height and 0 <= x < width
    if replicate and not inside:
        return np.zeros_like(plane), 0.0, 0.0
    at_y, by_y = triangle(height, min(y, height - 1) if replicate else y)
    at_x, by_x = triangle(width, min(x, width - 1) if replicate else x)
    counts_y, counts_x = (y < height - 1, x < width - 1) if replicate else (True, True)
    return np.outer(at_y, at_x), float(by_y @ plane @ at_x) * counts_y, float(at_y @ plane @ by_x) * counts_x


def loops(case: Case, arrays: Arrays, grad_output: NumpyArray) -> tuple[NumpyArray, Arrays]:
    """Output and gradients, one product at a time."""
    p = case.problem("float64")
    output, grads = np.zeros(p.shapes()["output"]), {name: np.zeros(p.shapes()[name]) for name in p.operands()}
    offset, mask = arrays["offset"], arrays.get("mask")
    for n, o, oy, ox in np.ndindex(output.shape):
        g = grad_output[n, o, oy, ox]
        if "bias" in arrays:
            output[n, o, oy, ox] += arrays["bias"][o]
            grads["bias"][o] += g
        for member, i, j in product(range(p.group_in), range(p.kernel_y), range(p.kernel_x)):
            c, tap = o // p.group_out * p.group_in + member, i * p.kernel_x + j
            entry = c // (p.in_channels // p.sample_groups) * p.taps + tap
            y, x = float(oy * p.stride_y - p.pad_top + i * p.dilation_y), float(ox * p.stride_x - p.pad_left + j * p.dilation_x)
            if offset is not None:
                y, x = y + offset[n, 2 * entry, oy, ox], x + offset[n, 2 * entry + 1, oy, ox]
            plane, w = arrays["input"][n, c], arrays["weight"][o, member, i, j]
            m = 1.0 if mask is None else mask[n, entry, oy, ox]
            weights, by_y, by_x = sample(plane, y, x, case.convention == "openvino")
            value = np.sum(weights * plane)
            output[n, o, oy, ox] += w * m * value
            grads["input"][n, c] += g * w * m * weights
            grads["weight"][o, member, i, j] += g * m * value
            if mask is not None:
                grads["mask"][n, entry, oy, ox] += g * w * value
            if offset is not None:
                grads["offset"][n, 2 * entry, oy, ox] += g * w * m * by_y
                grads["offset"][n, 2 * entry + 1, oy, ox] += g * w * m * by_x
    return output, grads


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_agrees_with_scalar_loops(case: Case, convention: str) -> None:
    case = replace(case, convention=convention)
    arrays, grad_output = smooth(case)
    output, grads = loops(case, arrays, grad_output)
    np.testing.assert_allclose(forward(arrays, **case.options), output, rtol=0, atol=1e-12)
    gradients = backward(grad_output, arrays, **case.options)
    assert {name for name in OPERANDS if getattr(gradients, name) is not None} == set(grads)
    for name, want in grads.items():
        np.testing.assert_allclose(getattr(gradients, name), want, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_agrees_with_finite_differences(case: Case, convention: str) -> None:
    arrays, _ = smooth(case)
    reference.gradcheck(**arrays, **case.options | {"convention": convention})


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("name", ["input", "weight", "mask"])
def test_gradient_is_the_adjoint(name: str, convention: str) -> None:
    """<J u, v> = <u, J^T v>: the output is linear in each of these."""
    arrays, v = smooth(PLAIN)
    arrays["bias"][:] = 0
    u = np.random.default_rng(1).standard_normal(arrays[name].shape)
    options = PLAIN.options | {"convention": convention}
    ahead = np.sum(forward({**arrays, name: u}, **options) * v)
    back = np.sum(u * getattr(backward(v, arrays, **options), name))
    assert ahead == pytest.approx(back, rel=1e-12)


@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_zero_offset_is_ordinary_convolution(options: dict[str, Any], convention: str) -> None:
    case = Case("zero", (2, 4, 7, 8), (4, 2, 3, 3), 2, mask=False, offsets="zero", **{"padding": 0, **options})
    arrays = case.arrays("float64")
    grad_output, operands = arrays.pop("grad_output"), (arrays["input"], arrays["weight"], arrays["bias"])
    np.testing.assert_allclose(forward(arrays, **options, convention=convention), reference.conv2d(*operands, **options), atol=1e-12)
    deformable = backward(grad_output, arrays, **options, convention=convention)
    ordinary = reference.conv2d_backward(grad_output, *operands, **options)
    for name in ("input", "weight", "bias"):
        np.testing.assert_allclose(getattr(deformable, name), getattr(ordinary, name), atol=1e-12, err_msg=name)
    assert ordinary.offset is None and ordinary.mask is None


def test_integer_offset_is_a_shifted_image() -> None:
    arrays, _ = smooth(replace(PLAIN, padding=0, mask=False))
    arrays["offset"][:, 0::2], arrays["offset"][:, 1::2] = 2, -1
    shifted = np.pad(arrays["input"], ((0, 0), (0, 0), (0, 2), (1, 0)))[:, :, 2:, :-1]
    np.testing.assert_allclose(forward(arrays), reference.conv2d(shifted, arrays["weight"], arrays["bias"]), atol=1e-12)


def test_mask_of_ones_is_no_mask() -> None:
    arrays, grad_output = smooth(PLAIN)
    ones, none = {**arrays, "mask": np.ones_like(arrays["mask"])}, {**arrays, "mask": None}
    np.testing.assert_array_equal(forward(ones, padding=1), forward(none, padding=1))
    for with_ones, without in list(zip(backward(grad_output, ones, padding=1), backward(grad_output, none, padding=1), strict=True))[:4]:
        np.testing.assert_array_equal(with_ones, without)


def test_prime_batch_is_image_by_image() -> None:
    case = Case("prime", (37, 2, 4, 3), (3, 2, 3, 3))
    arrays, grad_output = smooth(case)
    output, gradients = forward(arrays, padding=1), backward(grad_output, arrays, padding=1)
    for n in (0, 17, 36):
        image = {name: array if name in ("weight", "bias") else array[n : n + 1] for name, array in arrays.items()}
        np.testing.assert_allclose(forward(image, padding=1), output[n : n + 1], atol=1e-13)
        alone = backward(grad_output[n : n + 1], image, padding=1)
        for name in ("input", "offset", "mask"):
            np.testing.assert_allclose(getattr(alone, name), getattr(gradients, name)[n : n + 1], atol=1e-13, err_msg=name)


@pytest.mark.parametrize("offset_groups", [None, 2])
def test_no_images_give_no_output_and_zero_gradients(offset_groups: int | None) -> None:
    case = Case("empty", (0, 4, 5, 6), (3, 4, 3, 3), offset_groups, mask=offset_groups is not None)
    arrays, grad_output = smooth(case)
    assert forward(arrays, padding=1).shape == (0, 3, 5, 6)
    gradients = backward(grad_output, arrays, padding=1)
    for name in case.problem().operands():
        np.testing.assert_array_equal(getattr(gradients, name), np.zeros_like(arrays[name]))


def test_only_what_is_needed_is_computed() -> None:
    arrays, grad_output = smooth(PLAIN)
    everything = backward(grad_output, arrays, padding=1)
    some = backward(grad_output, arrays, padding=1, needs=("offset", "bias"))
    assert (some.input, some.weight, some.mask) == (None, None, None)
    np.testing.assert_array_equal(some.offset, everything.offset)
    np.testing.assert_array_equal(some.bias, everything.bias)
    assert backward(grad_output, {**arrays, "mask": None}, padding=1, needs="mask") == (None,) * 5
    with pytest.raises(ProblemError, match=r"needs: .*'weights'"):
        backward(grad_output, arrays, padding=1, needs=("weights",))


def test_any_memory_layout_and_any_float_type() -> None:
    arrays, grad_output = smooth(PLAIN)
    half = {name: array.astype(np.float16).astype(np.float64) for name, array in arrays.items()}
    odd = {name: np.asfortranarray(array.astype(np.float16)) for name, array in half.items()}
    odd["input"] = np.repeat(odd["input"], 2, axis=3)[..., ::2]
    assert not odd["input"].flags.c_contiguous
    np.testing.assert_array_equal(forward(odd, padding=1), forward(half, padding=1))
    for got, want in zip(backward(grad_output.copy("F"), odd, padding=1), backward(grad_output, half, padding=1), strict=True):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "shape", "named"),
    [("input", (4, 5, 6), "input"), ("input", (2, 3, 5, 6), "weight: its 2 channels"), ("offset", (2, 35, 5, 6), "offset"),
     ("offset", (2, 36, 4, 6), "offset"), ("offset", (36, 5, 6), "offset"), ("weight", (2, 3, 3), "weight"),
     ("weight", (4, 3, 3, 3), "weight"), ("weight", (3, 2, 3, 3), "weight"), ("weight", (4, 2, 0, 3), "weight"),
     ("bias", (3,), "bias"), ("mask", (2, 9, 5, 6), "mask"), ("grad_output", (2, 4, 5, 5), "grad_output")],
)  # fmt: skip
def test_a_wrong_shape_is_named(name: str, shape: tuple[int, ...], named: str) -> None:
    arrays, grad_output = smooth(PLAIN)
    arrays = {"grad_output": grad_output, **arrays, name: np.zeros(shape)}
    with pytest.raises(ProblemError, match=named):
        reference.deform_conv2d_backward(**arrays, padding=1)


@pytest.mark.parametrize("name", OPERANDS)
@pytest.mark.parametrize("dtype", [np.int64, np.complex128])
def test_a_wrong_element_type_is_named(name: str, dtype: Any) -> None:
    arrays, _ = smooth(PLAIN)
    with pytest.raises(ProblemError, match=f"{name}: .*{np.dtype(dtype).name}"):
        forward({**arrays, name: arrays[name].astype(dtype)}, padding=1)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_float32_operands_round_within_the_magnitude(case: Case) -> None:
    """Rounding one operand by a relative error eps moves no result by more than eps times its magnitude."""
    arrays, grad_output = smooth(case)
    eps = float(np.finfo(np.float32).eps)
    magnitudes = reference.backward_magnitude(grad_output, **arrays, **case.options)
    allowed = eps * reference.forward_magnitude(**arrays, **case.options)
    for name in {"input", "weight", "mask"} & set(arrays):
        rounded = {**arrays, name: arrays[name].astype(np.float32)}
        assert np.all(np.abs(forward(rounded, **case.options) - forward(arrays, **case.options)) <= allowed)
        results = (backward(grad_output, operands, **case.options) for operands in (rounded, arrays))
        for got, want, magnitude in zip(*results, magnitudes, strict=True):
            assert want is None or np.all(np.abs(got - want) <= eps * magnitude)


def test_magnitude_adds_up_absolute_terms() -> None:
    arrays, grad_output = smooth(replace(PLAIN, offsets="zero"))
    arrays["offset"][:] = 0
    positive = {name: np.abs(array) for name, array in arrays.items()}
    np.testing.assert_array_equal(reference.forward_magnitude(**arrays, padding=1), forward(positive, padding=1))
    got, want = reference.backward_magnitude(grad_output, **arrays, padding=1), backward(np.abs(grad_output), positive, padding=1)
    for name in ("input", "weight", "bias", "mask"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
    assert np.all(got.offset >= np.abs(want.offset))


def test_magnitude_covers_a_fraction_that_rounds() -> None:
    """One step before the edge, 1 - fraction is 1e-9, which float32 can't tell from 0."""
    image, offset, one = np.full((1, 1, 3, 3), 5.0), np.zeros((1, 2, 3, 3)), np.ones((1, 1, 1, 1))
    offset[0, 0, 2] = 1 - 1e-9
    output, magnitude = reference.deform_conv2d(image, offset, one), reference.forward_magnitude(image, offset, one)
    np.testing.assert_allclose(output[0, 0, 2], 5e-9, rtol=1e-6)
    assert np.all(output[0, 0, 2] <= np.finfo(np.float32).eps * magnitude[0, 0, 2])
