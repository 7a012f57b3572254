"""Samples of the reference that were worked out by hand: at the border, beyond it, and those that aren't numbers."""

from typing import Any

import numpy as np
import pytest

from clconv import ProblemError, reference
from clconv.arrays import NumpyArray
from clconv.convention import CONVENTIONS

IMAGE = np.array([[1.0, 2.0], [4.0, 8.0], [16.0, 32.0]])
"""At x = 0.25 its rows are 1.25, 5, 20 and rise by 1, 4, 16 a column; at y = 0.5 its columns are 2.5, 5 and rise by 3, 6 a row."""
BIT = 2.0**-20
Sample = tuple[float, float, float]
NOTHING: Sample = (0, 0, 0)

ZERO_BORDER: dict[tuple[float, float], Sample] = {
    (-1.5, 0.25): NOTHING,
    (-1 + BIT, 0.25): (1.25 * BIT, 1.25, BIT),
    (0, 0.25): (1.25, 3.75, 1),
    (1, 0.25): (5, 15, 4),
    (2 - BIT, 0.25): (20 - 15 * BIT, 15, 16 - 12 * BIT),
    (2, 0.25): (20, -20, 16),
    (3 - BIT, 0.25): (20 * BIT, -20, 16 * BIT),
    (3, 0.25): NOTHING,
    (0.5, -1 + BIT): (2.5 * BIT, 3 * BIT, 2.5),
    (0.5, 0): (2.5, 3, 2.5),
    (0.5, 1): (5, 6, -5),
    (0.5, 2 - BIT): (5 * BIT, 6 * BIT, -5),
    (0.5, 2): NOTHING,
    (-1, -1): NOTHING,
}
"""(B, dB/dy, dB/dx) at (y, x), where the border is zeros."""

EDGES: dict[str, dict[tuple[float, float], Sample]] = {
    "torchvision": {(-1, 0.25): (0, 1.25, 0), (0.5, -1): (0, 0, 2.5)},
    "chainer": {(-1, 0.25): NOTHING, (0.5, -1): NOTHING},
    "mmcv": {(-1, 0.25): NOTHING, (0.5, -1): NOTHING},
}
"""The last coordinates that can matter: the value is 0, its right-hand derivative counts by convention."""

REPLICATED_BORDER: dict[tuple[float, float], Sample] = {
    (-1, 0.25): NOTHING,
    (-BIT, 0.25): NOTHING,
    (0, 0.25): (1.25, 3.75, 1),
    (1, 0.25): (5, 15, 4),
    (2, 0.25): (20, 0, 16),
    (3 - BIT, 0.25): (20, 0, 16),
    (3, 0.25): NOTHING,
    (0.5, -BIT): NOTHING,
    (0.5, 0): (2.5, 3, 2.5),
    (0.5, 1): (5, 6, 0),
    (0.5, 2 - BIT): (5, 6, 0),
    (0.5, 2): NOTHING,
    (3 - BIT, 2 - BIT): (32, 0, 0),
}

BY_HAND = [(name, at, want) for name, edges in EDGES.items() for at, want in (ZERO_BORDER | edges).items()]
BY_HAND += [("openvino", at, want) for at, want in REPLICATED_BORDER.items()]


def probe(y: float, x: float, image: NumpyArray = IMAGE, pads: Any = ((0, 0), (0, 0)), **options: Any) -> Sample:
    """B, dB/dy and dB/dx at (y, x), as a 1x1 kernel sees it from its first position."""
    (top, bottom), (left, right) = pads
    offset = np.zeros((1, 2, image.shape[0] + top + bottom, image.shape[1] + left + right))
    offset[0, :, 0, 0] = y + top, x + left
    return seen(image, offset, (0, 0), padding=pads, **options)


def seen(image: NumpyArray, offset: NumpyArray, at: tuple[int, int], **options: Any) -> Sample:
    grad_output = np.zeros((1, 1, *offset.shape[2:]))
    grad_output[0, 0][at] = 1
    operands = (image[None, None], offset, np.ones((1, 1, 1, 1)))
    output = reference.deform_conv2d(*operands, **options)
    gradients = reference.deform_conv2d_backward(grad_output, *operands, **options)
    return output[0, 0][at], gradients.offset[0, 0][at], gradients.offset[0, 1][at]


@pytest.mark.parametrize(("convention", "at", "want"), BY_HAND)
def test_border(convention: str, at: tuple[float, float], want: Sample) -> None:
    np.testing.assert_allclose(probe(*at, convention=convention), want, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("far", [1e20, -1e20, np.inf, -np.inf, 2.0**31, -(2.0**31), 2.0**63, -(2.0**63), 1.7e308])
def test_far_outside_is_nothing_even_beside_nan(far: float, convention: str) -> None:
    unknown = np.full((3, 2), np.nan)
    assert probe(far, 0.25, unknown, convention=convention) == NOTHING
    assert probe(0.5, far, unknown, convention=convention) == NOTHING
    assert probe(far, -far, unknown, convention=convention) == NOTHING


@pytest.mark.parametrize(
    ("pads", "at", "want"),
    [
        (((1, 0), (0, 0)), (-1, 0.25), (0, 1.25, 0)),
        (((0, 2), (0, 0)), (-1, 0.25), NOTHING),
        (((0, 0), (1, 0)), (0.5, -1), (0, 0, 2.5)),
        (((0, 0), (0, 2)), (0.5, -1), NOTHING),
        (((1, 0), (0, 0)), (0.5, -1), NOTHING),
    ],
)
def test_chainers_gate_widens_with_the_padding_before_each_axis(pads: Any, at: tuple[float, float], want: Sample) -> None:
    assert probe(*at, pads=pads, convention="chainer") == want
    assert probe(*at, pads=pads, convention="mmcv") == NOTHING


def test_mmcv_gates_both_axes_by_either_coordinate() -> None:
    """An infinite pixel of weight 0 makes dB/dy NaN at x = -1, except where the gate is shut."""
    infinite = np.full((3, 2), np.inf)
    assert probe(0.5, -1, infinite, convention="mmcv")[1] == 0
    assert np.isnan(probe(0.5, -1, infinite, convention="chainer")[1])


@pytest.mark.parametrize(
    ("convention", "row", "want"),
    [("torchvision", 1, (5, 3.75, 4)), ("openvino", 1, (5, 3.75, 4)), ("torchvision", 3, (0, -20, 0)), ("openvino", 3, (20, 0, 16)),
     ("mmcv", 0, (1.25, 1.25, 1)), ("openvino", 0, NOTHING)],
)  # fmt: skip
def test_the_cell_is_the_offsets_own(convention: str, row: int, want: Sample) -> None:
    """An offset of -1e-20 is in the cell before, though row - 1e-20 rounds to the row."""
    offset = np.zeros((1, 2, 4, 2))
    offset[0, :, row, 0] = -1e-20, 0.25
    assert seen(IMAGE, offset, (row, 0), padding=((0, 1), (0, 0)), convention=convention) == want


def test_corners_outside_count_as_zero_and_those_inside_as_they_are() -> None:
    image = np.array([[1.0, 2.0], [np.inf, 8.0], [np.nan, 32.0]])
    assert probe(-0.5, 0.25, image)[0] == 0.625
    assert probe(-0.5, 1.5, image)[0] == 0.5
    assert probe(0.5, 0.25, image)[0] == np.inf
    assert np.isnan(probe(1.5, 0.25, image)[0])
    assert np.isnan(probe(0, 0, image)[0]), "IEEE: 0 * inf"


def test_ordinary_convolution_does_not_interpolate() -> None:
    image = np.array([[1.0, np.inf], [np.nan, 4.0]])[None, None]
    output = reference.conv2d(image, np.ones((1, 1, 1, 1)), padding=1)
    want = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    np.testing.assert_array_equal(output, want)


def test_the_mask_multiplies_the_sample_not_its_corners() -> None:
    output = reference.deform_conv2d(IMAGE[None, None], np.zeros((1, 2, 3, 2)), np.ones((1, 1, 1, 1)), mask=np.full((1, 1, 3, 2), np.inf))
    np.testing.assert_array_equal(output, np.full((1, 1, 3, 2), np.inf))


ENTRY = 2 * (1 * 4 + 2)
"""Offset group 1 (channels 2 and 3, that feed outputs 2 and 3), tap 2."""


SHAPES = {"input": (1, 4, 4, 5), "offset": (1, 16, 3, 4), "weight": (4, 2, 2, 2), "bias": (4,), "mask": (1, 8, 3, 4)}


def operands(unknown: tuple[int, ...] = ()) -> dict[str, Any]:
    """Four channels in two groups and two offset groups; `unknown` offset channels are NaN at position (1, 2)."""
    rng = np.random.default_rng(5)
    arrays = {name: rng.standard_normal(shape) for name, shape in (SHAPES | {"grad_output": (1, 4, 3, 4)}).items()}
    arrays["offset"][0, list(unknown), 1, 2] = np.nan
    return arrays


def both_passes(arrays: dict[str, Any], **options: Any) -> dict[str, NumpyArray]:
    given = {name: array for name, array in arrays.items() if name != "grad_output"}
    return {"output": reference.deform_conv2d(**given, **options), **reference.deform_conv2d_backward(**arrays, **options)._asdict()}


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("unknown", [(ENTRY,), (ENTRY + 1,), (ENTRY, ENTRY + 1)])
def test_nan_propagates_to_what_its_sample_feeds_and_no_further(unknown: tuple[int, ...], convention: str) -> None:
    got, zero = (both_passes(operands(unknown), convention=convention, nonfinite=mode) for mode in ("propagate", "zero"))
    lost = {name: np.zeros(array.shape, bool) for name, array in got.items()}
    lost["output"][0, 2:, 1, 2] = True
    lost["offset"][0, ENTRY : ENTRY + 2, 1, 2] = True
    lost["mask"][0, ENTRY // 2, 1, 2] = True
    lost["weight"][2:, :, 1, 0] = True
    for name, array in got.items():
        np.testing.assert_array_equal(np.isnan(array), lost[name], err_msg=name)
        np.testing.assert_array_equal(array[~lost[name]], zero[name][~lost[name]], err_msg=name)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("unknown", [(ENTRY,), (ENTRY + 1,), (ENTRY, ENTRY + 1)])
def test_nan_made_zero_is_a_sample_far_outside(unknown: tuple[int, ...], convention: str) -> None:
    far = operands()
    far["offset"][0, list(unknown), 1, 2] = -np.inf
    want = both_passes(far, convention=convention)
    for name, got in both_passes(operands(unknown), convention=convention, nonfinite="zero").items():
        np.testing.assert_array_equal(got, want[name], err_msg=name)
    assert want["mask"][0, ENTRY // 2, 1, 2] == 0
    np.testing.assert_array_equal(want["offset"][0, ENTRY : ENTRY + 2, 1, 2], 0)


@pytest.mark.parametrize("unknown", [(ENTRY,), (ENTRY + 1, 15)])
def test_nan_is_refused_by_its_first_position(unknown: tuple[int, ...]) -> None:
    arrays = operands(unknown)
    grad_output = arrays.pop("grad_output")
    with pytest.raises(ProblemError, match=rf"offset: expected no NaN .* at \(0, {unknown[0]}, 1, 2\)"):
        reference.deform_conv2d(**arrays, nonfinite="raise")
    with pytest.raises(ProblemError, match=rf"offset: expected no NaN .* at \(0, {unknown[0]}, 1, 2\)"):
        reference.deform_conv2d_backward(grad_output, **arrays, nonfinite="raise")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["input", "weight", "bias", "mask", "grad_output"])
def test_other_operands_must_be_finite_where_nan_is_refused(name: str, value: float) -> None:
    arrays = operands()
    arrays[name][(0,) * (arrays[name].ndim - 1) + (1,)] = value
    with pytest.raises(ProblemError, match=rf"^{name}: expected finite values .*got {value} first at \((0, 0, 0, )?1,?\)"):
        both_passes(arrays, nonfinite="raise")


def test_infinite_offsets_are_no_nan() -> None:
    arrays = operands()
    arrays["offset"][0, ENTRY, 1, 2] = np.inf
    want = both_passes(arrays)
    for name, got in both_passes(arrays, nonfinite="raise").items():
        np.testing.assert_array_equal(got, want[name], err_msg=name)


@pytest.mark.parametrize(("option", "value"), [("convention", "pytorch"), ("nonfinite", "ignore")])
def test_an_unknown_rule_is_named(option: str, value: str) -> None:
    with pytest.raises(ProblemError, match=f"{option}: .*'{value}'"):
        both_passes(operands(), **{option: value})
