"""dask arrays: the same numbers as NumPy arrays, lazily, chunk by chunk, from several threads; and what is refused."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from clconv import Device, ProblemError, deform_conv2d
from clconv.check.cases import BY_NAME

da: Any = pytest.importorskip("dask.array", reason="needs dask: pip install 'clconv[dask]'")

import clconv.dask  # noqa: E402  (after the skip)

lazy_deform_conv2d: Any = clconv.dask.deform_conv2d  # dask gives few types

CASE = BY_NAME["prime-batch"]
BATCHED = ("input", "offset", "mask")


def operands(dtype: str = "float32", small: str | None = None) -> dict[str, Any]:
    arrays: dict[str, Any] = CASE.arrays(dtype, small)
    arrays.pop("grad_output")
    return arrays


def chunked(arrays: dict[str, Any], images: int = 5) -> dict[str, Any]:
    """Lazy arrays of some images a chunk; weight and bias stay NumPy's."""
    return {name: da.from_array(array, chunks=(images, -1, -1, -1)) if name in BATCHED else array for name, array in arrays.items()}


@pytest.mark.parametrize(("dtype", "small"), [("float32", None), ("bfloat16", "float32")])
def test_chunks_give_what_the_whole_gives(device: Device, dtype: str, small: str | None) -> None:
    arrays = operands(dtype, small)
    got = lazy_deform_conv2d(**chunked(arrays), **CASE.options, device=device)
    want = deform_conv2d(**arrays, **CASE.options, device=device)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    assert got.chunks[0] == (5,) * 7 + (2,)
    computed = got.compute(scheduler="threads", num_workers=4)
    assert computed.dtype == want.dtype
    tolerance = 4 * float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]  # other chunks, other tiles, another order of sums
    assert np.allclose(computed.astype("float64"), want.astype("float64"), rtol=tolerance, atol=tolerance)


def test_parameters_may_be_dask_arrays_and_chunks_may_differ(device: Device) -> None:
    arrays = operands()
    lazy = chunked(arrays)
    lazy["offset"] = da.from_array(arrays["offset"], chunks=(9, -1, -1, -1))
    lazy["weight"] = da.from_array(arrays["weight"], chunks=(2, 1, -1, -1))
    lazy["bias"] = da.from_array(arrays["bias"], chunks=1)
    got = lazy_deform_conv2d(**lazy, **CASE.options, device=device).compute()
    assert np.allclose(got, deform_conv2d(**arrays, **CASE.options, device=device), rtol=1e-6, atol=1e-6)


def test_without_bias_and_mask_and_without_computing() -> None:
    arrays = chunked(operands())
    lazy = lazy_deform_conv2d(arrays["input"], arrays["offset"], arrays["weight"], padding=1, device="no such device")
    assert lazy.shape == CASE.problem().shapes()["output"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("input", lambda array: array.rechunk({1: 1}), r"^input: expected chunks along the batch \(axis 0\) alone, got \(8, 2, 1, 1\)"),
        ("offset", lambda array: array.rechunk({2: 1}), r"^offset: expected chunks along the batch"),
        ("mask", lambda array: array[:, :, 0], r"^mask: expected 4 dimensions"),
        ("mask", lambda array: array.compute(), r"^mask: expected a dask.array.Array, got numpy.ndarray"),
        ("input", lambda array: array[da.any(array > 0, axis=(1, 2, 3))], r"^input: expected chunks of known sizes"),
        ("offset", lambda array: array[:5], r"^offset: expected shape \(N, 2\*OG\*KH\*KW, OH, OW\) = \(37, 18, 4, 3\), got \(5, "),
        ("input", lambda array: array.astype("int32"), r"^input: expected an array of float16"),
        ("input", lambda array: None, r"^input: expected an array, got None"),
        ("weight", lambda array: array.tolist(), r"^weight: expected a dask.array.Array or a NumPy array, got builtins.list"),
        ("bias", lambda array: array[:1], r"^bias: expected shape"),
        ("weight", lambda array: da.from_array(array)[da.from_array(array[:, 0, 0, 0]) > 0], r"^weight: expected chunks of known sizes"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_computed(name: str, change: Any, message: str) -> None:
    lazy = chunked(operands())
    lazy[name] = change(lazy[name])
    with pytest.raises(ProblemError, match=message):
        lazy_deform_conv2d(**lazy, **CASE.options)
