"""Every wrong argument raises an error that names it, before any device is asked."""

from typing import Any

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np
import pytest

from clconv import Plan, ProblemError, conv2d, conv2d_backward, deform_conv2d, deform_conv2d_backward
from clconv.operands import check, check_needs, problem_of
from clconv.problem import Problem


def _zeros(*shape: int, dtype: Any = "float32") -> Any:
    return np.zeros(shape, dtype)


def _good(**changes: Any) -> dict[str, Any]:
    """A call with offset groups 2, groups 2: input 2x4x6x7, kernel 3x2, output 2x6x4x6."""
    arguments = {
        "input": _zeros(2, 4, 6, 7), "offset": _zeros(2, 24, 4, 6), "weight": _zeros(6, 2, 3, 2), "bias": _zeros(6),
        "mask": _zeros(2, 12, 4, 6),
    }  # fmt: skip
    return arguments | changes


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "input-list": ({"input": [[1.0]]}, r"input: expected a NumPy array or a pyopencl.array.Array, got builtins.list"),
    "input-none": ({"input": None}, r"input: expected an array, got None"),
    "input-2d": ({"input": _zeros(6, 7)}, r"input: expected 4 dimensions .* got shape \(6, 7\)"),
    "input-integer": (
        {"input": _zeros(2, 4, 6, 7, dtype="int32")},
        r"input: expected an array of float16, bfloat16, float32, float64, got int32",
    ),
    "input-complex": ({"input": _zeros(2, 4, 6, 7, dtype="complex64")}, r"input: .* got complex64"),
    "input-no-channels": ({"input": _zeros(2, 0, 6, 7)}, r"input.shape\[1\]: expected an integer from 1 .* got 0"),
    "input-no-rows": ({"input": _zeros(2, 4, 0, 7)}, r"input.shape\[2\]: expected an integer from 1 .* got 0"),
    "offset-none": ({"offset": None}, r"offset: expected an array, got None"),
    "offset-channels": (
        {"offset": _zeros(2, 25, 4, 6)},
        r"offset: expected 2\*OG\*KH\*KW channels, a multiple of 12 for a 3x2 kernel, got 25",
    ),
    "offset-no-channels": ({"offset": _zeros(2, 0, 4, 6)}, r"offset: .* got 0"),
    "offset-groups": ({"offset": _zeros(2, 36, 4, 6)}, r"offset: its 3 offset groups must divide the input's 4 channels"),
    "offset-size": (
        {"offset": _zeros(2, 24, 6, 7)},
        r"offset: expected shape \(N, 2\*OG\*KH\*KW, OH, OW\) = \(2, 24, 4, 6\), got \(2, 24, 6, 7\)",
    ),
    "offset-batch": ({"offset": _zeros(1, 24, 4, 6)}, r"offset: expected shape .* = \(2, 24, 4, 6\), got \(1, 24, 4, 6\)"),
    "offset-3d": ({"offset": _zeros(24, 4, 6)}, r"offset: expected 4 dimensions as input has, got shape \(24, 4, 6\)"),
    "offset-double": (
        {"offset": _zeros(2, 24, 4, 6, dtype="float64")},
        r"offset: expected float32 beside an input of float32, got float64",
    ),
    "offset-half": ({"offset": _zeros(2, 24, 4, 6, dtype="float16")}, r"offset: expected float32 beside an input of float32, got float16"),
    "weight-none": ({"weight": None}, r"weight: expected an array, got None"),
    "weight-3d": ({"weight": _zeros(6, 2, 3)}, r"weight: expected 4 dimensions .* got shape \(6, 2, 3\)"),
    "weight-channels": ({"weight": _zeros(6, 3, 3, 2)}, r"weight: its 3 channels .* must divide the input's 4"),
    "weight-outputs": ({"weight": _zeros(5, 2, 3, 2), "bias": _zeros(5)}, r"weight: its 5 outputs .* multiple of the 2 groups"),
    "weight-empty": ({"weight": _zeros(0, 2, 3, 2)}, r"weight.shape\[0\]: expected an integer from 1"),
    "weight-dtype": ({"weight": _zeros(6, 2, 3, 2, dtype="float64")}, r"weight: expected float32 beside an input of float32, got float64"),
    "weight-too-large": (
        {"weight": _zeros(6, 2, 9, 2), "offset": _zeros(2, 72, 4, 6)},
        r"weight: a kernel that spans 9 pixels doesn't fit .* height of 6",
    ),
    "bias-shape": ({"bias": _zeros(5)}, r"bias: expected shape \(O,\) = \(6,\), got \(5,\)"),
    "bias-dtype": ({"bias": _zeros(6, dtype="float16")}, r"bias: expected float32"),
    "mask-shape": ({"mask": _zeros(2, 6, 4, 6)}, r"mask: expected shape \(N, OG\*KH\*KW, OH, OW\) = \(2, 12, 4, 6\), got \(2, 6, 4, 6\)"),
    "mask-bool": ({"mask": _zeros(2, 12, 4, 6, dtype=bool)}, r"mask: expected an array of .* got bool"),
    "stride-zero": ({"stride": 0}, r"stride: expected an integer from 1 .* got 0"),
    "stride-mapping": ({"stride": {"a": 1, "b": 2}}, r"stride: expected an integer, got \{"),
    "stride-bytes": ({"stride": b"12"}, r"stride: expected an integer, got b'12'"),
    "stride-negative": ({"stride": (1, -1)}, r"stride\[1\]: expected an integer from 1 .* got -1"),
    "stride-triple": ({"stride": (1, 1, 1)}, r"stride: expected an integer or a pair \(y, x\), got \(1, 1, 1\)"),
    "stride-float": ({"stride": 1.5}, r"stride: expected an integer, got 1.5"),
    "stride-bool": ({"stride": True}, r"stride: expected an integer .* got True"),
    "stride-text": ({"stride": "same"}, r"stride: expected an integer, got 'same'"),
    "dilation-zero": ({"dilation": (0, 1)}, r"dilation\[0\]: expected an integer from 1 .* got 0"),
    "padding-negative": ({"padding": -1}, r"padding: expected an integer from 0 .* got -1"),
    "padding-text": ({"padding": "full"}, r"padding: expected an integer, a pair, 'valid', 'same' .* got 'full'"),
    "padding-same-stride": ({"padding": "same", "stride": 2}, r"padding: 'same' needs stride 1, got stride \(2, 2\)"),
    "padding-ragged": ({"padding": ((1, 2), 3)}, r"padding: expected \(\(top, bottom\), \(left, right\)\), got"),
    "padding-huge": ({"padding": 2**30 - 1}, r"padding: expected a padded height below"),
    "convention": ({"convention": "caffe"}, r"convention: expected one of 'torchvision', 'chainer', 'mmcv', 'openvino', got 'caffe'"),
    "nonfinite": ({"nonfinite": "ignore"}, r"nonfinite: expected one of 'propagate', 'zero', 'raise', got 'ignore'"),
    "precision": ({"precision": "half"}, r"precision: expected one of None, 'tf32', got 'half'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_argument_is_named(name: str) -> None:
    changes, message = WRONG[name]
    with pytest.raises(ProblemError, match=message):
        deform_conv2d(**_good(**changes))
    with pytest.raises(ProblemError, match=message):
        deform_conv2d_backward(_zeros(2, 6, 4, 6), **_good(**changes))


def test_convolution_needs_no_offset_but_the_rest() -> None:
    with pytest.raises(ProblemError, match=r"bias: expected shape \(O,\) = \(6,\), got \(3,\)"):
        conv2d(_zeros(2, 4, 6, 7), _zeros(6, 2, 3, 2), _zeros(3))
    with pytest.raises(ProblemError, match="weight: expected an array, got None"):
        conv2d_backward(_zeros(2, 6, 4, 6), _zeros(2, 4, 6, 7), None)


def _problem(**changes: Any) -> tuple[Problem, dict[str, Any]]:
    operands = {name: value for name, value in _good(**changes).items() if name not in ("stride", "padding", "dilation")}
    return problem_of(operands, convolution=False, stride=1, padding=0, dilation=1), operands


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("grad_output", _zeros(2, 6, 4, 5), r"grad_output: expected shape \(N, O, OH, OW\) = \(2, 6, 4, 6\), got \(2, 6, 4, 5\)"),
        ("grad_output", _zeros(2, 6, 4, 6, dtype="float64"), "grad_output: expected float32, got float64"),
        ("out", _zeros(2, 6, 4, 7), r"out: expected shape \(N, O, OH, OW\) = \(2, 6, 4, 6\), got \(2, 6, 4, 7\)"),
        ("out", _zeros(2, 6, 4, 6, dtype="float16"), "out: expected float32, got float16"),
        ("out", "here", "out: expected a NumPy array or a pyopencl.array.Array, got builtins.str"),
    ],
)
def test_gradient_and_out_are_checked(name: str, array: Any, message: str) -> None:
    problem, operands = _problem()
    with pytest.raises(ProblemError, match=message):
        check(problem, {**operands, name: array})


def test_one_image_where_there_are_several_is_named_by_its_own_name() -> None:
    problem = _problem()[0]
    assert problem.batch == 2
    with pytest.raises(ProblemError, match=r"^grad_output: expected 2 images \(4 dimensions\), got shape \(4, 6, 7\)"):
        check(problem, {"grad_output": _zeros(4, 6, 7)})


def test_a_read_only_out_is_refused() -> None:
    problem, operands = _problem()
    out = _zeros(2, 6, 4, 6)
    out.flags.writeable = False
    with pytest.raises(ProblemError, match="out: expected a writable array"):
        check(problem, {**operands, "out": out})


def test_half_data_takes_float32_offsets_and_masks() -> None:
    half = {name: array.astype("bfloat16") for name, array in _good().items() if name in ("input", "weight", "bias")}
    problem, _ = _problem(**half)
    assert (problem.dtype, problem.offset_dtype, problem.mask_dtype, problem.accumulator) == ("bfloat16", "float32", "float32", "float32")


def test_unknown_needs_are_named() -> None:
    problem, _ = _problem()
    with pytest.raises(ProblemError, match=r"needs: expected names out of input, offset, weight, bias, mask, got 'gamma'"):
        check_needs(("input", "gamma"), problem)
    assert check_needs(None, problem) == {"input", "offset", "weight", "bias", "mask"}
    assert check_needs("weight", problem) == {"weight"}
    assert check_needs(("input", "mask"), _problem(mask=None)[0]) == {"input"}


def test_indices_are_wide_only_where_a_tensor_needs_them() -> None:
    shapes: dict[str, Any] = {"weight_shape": (1, 1, 1, 1), "offset_groups": None, "mask": False, "bias": False}
    options: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "dtypes": {"input": "float32"}}
    assert not Problem.create((1, 1, 32767, 65535), **shapes, **options).wide
    assert Problem.create((1, 1, 32768, 65536), **shapes, **options).wide


def test_same_padding_puts_the_odd_pixel_at_the_end() -> None:
    options: dict[str, Any] = {"offset_groups": 1, "mask": False, "bias": False, "stride": 1, "dtypes": {"input": "float32"}}
    problem = Problem.create((1, 1, 6, 7), (1, 1, 2, 4), padding="same", dilation=(1, 3), **options)
    assert (problem.pad_top, problem.pad_bottom, problem.pad_left, problem.pad_right) == (0, 1, 4, 5)
    assert (problem.out_height, problem.out_width) == (6, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stride": {1, 2}}, r"stride: expected an integer, got \{1, 2\}"),
        ({"convention": np.array([1, 2])}, r"convention: expected one of"),
        ({"precision": 1}, r"precision: expected one of None, 'tf32', got 1"),
        ({"input": np.ma.array(_zeros(2, 4, 6, 7), mask=True)}, r"input: expected an array without a mask"),
    ],
)
def test_odd_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        deform_conv2d(**_good(**changes))


@pytest.mark.parametrize("needs", [3, np.array(3), [["input"]]])
def test_needs_that_are_no_names(needs: Any) -> None:
    with pytest.raises(ProblemError, match="needs: expected names of gradients"):
        check_needs(needs, _problem()[0])


@pytest.mark.parametrize("shape", [None, 3, 2.5, "NCHW", np.array(4), (1, 2, 3)])
def test_plans_need_shapes(shape: Any) -> None:
    with pytest.raises(ProblemError, match=r"input: expected a shape \(N, C, H, W\)"):
        Plan(shape, (1, 1, 1, 1))


def test_flags_are_true_or_false() -> None:
    with pytest.raises(ProblemError, match="mask: expected True or False, got array"):
        Plan((1, 1, 4, 4), (1, 1, 1, 1), mask=np.zeros(2))  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(ProblemError, match="deterministic: expected True or False"):
        deform_conv2d_backward(_zeros(2, 6, 4, 6), **_good(), deterministic=np.zeros(2))  # type: ignore[arg-type]  # likewise


def test_an_out_that_overlaps_itself_is_refused() -> None:
    problem, operands = _problem()
    out = np.lib.stride_tricks.as_strided(_zeros(100), (2, 6, 4, 6), (4, 4, 4, 4))
    with pytest.raises(ProblemError, match="out: expected an array whose elements don't overlap"):
        check(problem, {**operands, "out": out})


def test_rows_that_pass_32_bits_are_refused() -> None:
    with pytest.raises(ProblemError, match=r"input: expected fewer than 2\*\*31 rows of outputs"):
        Plan((2**30 - 1, 1, 4, 4), (1, 1, 1, 1))
