"""`deform_conv2d` for dask arrays that are chunked along the batch: one task for each chunk of images."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from clconv import api
from clconv.arrays import NumpyArray
from clconv.errors import ProblemError
from clconv.operands import problem_of

try:
    import dask.array as da
except ImportError as error:
    raise ImportError("clconv.dask needs dask's arrays: install them with `pip install 'clconv[dask]'`") from error


def deform_conv2d(
    input: da.Array, offset: da.Array, weight: Any, bias: Any = None,
    stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1), mask: da.Array | None = None,
    *, convention: str = "torchvision", nonfinite: str = "propagate", precision: str | None = None, device: Any = None,
) -> da.Array:  # fmt: skip
    """`clconv.deform_conv2d` of dask arrays: lazy, forward only.

    Nothing is computed here, but shapes and types are checked. Tasks may run in several threads or processes.

    Parameters
    ----------
    input, offset, mask : dask.array.Array
        Four-dimensional, in chunks along the batch (axis 0) alone; offset and mask take on the chunks of input.
        Blocks are NumPy arrays; shapes and types as in `clconv.deform_conv2d`.
    weight, bias : dask.array.Array or ndarray
        Each task takes the whole of them.
    stride, padding, dilation, convention, nonfinite, precision, device
        As in `clconv.deform_conv2d`. Where tasks are sent to other processes, `device` must be None or a str.

    Returns
    -------
    dask.array.Array
        (N, O, OH, OW), in the chunks of input.

    Raises
    ------
    ProblemError
        An argument is wrong, or in chunks along another axis than the batch: it is named.
    UnsupportedError, DeviceError, BuildError, OutOfMemoryError
        As `clconv.deform_conv2d`, when the result is computed.
    """
    images = {name: _images(name, array) for name, array in (("input", input), ("offset", offset), ("mask", mask)) if array is not None}
    parameters = {name: _parameter(name, array) for name, array in (("weight", weight), ("bias", bias)) if array is not None}
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    options |= {"convention": convention, "nonfinite": nonfinite, "precision": precision}
    shape = _output_shape(images | parameters, options)
    chunks = images["input"].chunks[0]
    arrays = {name: array.rechunk({0: chunks}) for name, array in images.items()} | parameters
    output: da.Array = da.map_blocks(  # type: ignore[no-untyped-call,unused-ignore]  # dask gives no types here
        _convolve_block, *arrays.values(), names=tuple(arrays), options=options | {"device": device},
        chunks=(chunks, *shape[1:]), meta=np.empty((0, 0, 0, 0), input.dtype),
    )  # fmt: skip
    return output


def _convolve_block(*blocks: NumpyArray, names: tuple[str, ...], options: Mapping[str, Any]) -> NumpyArray:
    """One task: `names` says what the blocks are."""
    operands: dict[str, Any] = dict(zip(names, blocks, strict=True))
    output: NumpyArray = api.deform_conv2d(**operands, **options)
    return output


def _images(name: str, array: Any) -> Any:
    """The array, if it is in chunks of whole images."""
    if not isinstance(array, da.Array):
        raise ProblemError(f"{name}: expected a dask.array.Array, got {type(array).__module__}.{type(array).__name__}")
    if array.ndim != 4:
        raise ProblemError(f"{name}: expected 4 dimensions, the first of them the batch, got shape {array.shape}")
    if np.isnan(array.shape).any():
        raise ProblemError(f"{name}: expected chunks of known sizes, got shape {array.shape}; use array.compute_chunk_sizes()")
    if any(blocks > 1 for blocks in array.numblocks[1:]):
        raise ProblemError(f"{name}: expected chunks along the batch (axis 0) alone, got {array.numblocks} chunks; use array.rechunk")
    return array


def _parameter(name: str, array: Any) -> Any:
    """A dask array in one chunk."""
    if not isinstance(array, da.Array | np.ndarray):
        raise ProblemError(f"{name}: expected a dask.array.Array or a NumPy array, got {type(array).__module__}.{type(array).__name__}")
    if np.isnan(array.shape).any():
        raise ProblemError(f"{name}: expected chunks of known sizes, got shape {array.shape}; use array.compute_chunk_sizes()")
    return da.asarray(array, chunks=-1).rechunk(-1)  # type: ignore[no-untyped-call,unused-ignore]


def _output_shape(operands: Mapping[str, da.Array], options: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of the result; ProblemError where the operands don't fit together."""
    without_data = {name: np.broadcast_to(np.empty((), array.dtype), array.shape) for name, array in operands.items()}
    return problem_of(without_data, convolution=False, **options).shapes()["output"]
