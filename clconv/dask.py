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
    input: da.Array,
    offset: da.Array,
    weight: Any,
    bias: Any = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    mask: da.Array | None = None,
    *,
    convention: str = "torchvision",
    nonfinite: str = "propagate",
    precision: str | None = None,
    device: Any = None,
) -> da.Array:
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
    images = {"input": input, "offset": offset, "mask": mask}
    images = {name: array for name, array in images.items() if name != "mask" or array is not None}
    for name, array in images.items():
        _check(name, array)
    parameters = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    whole = {name: da.asarray(array).rechunk(-1) for name, array in parameters.items()}
    operands = {name: array.rechunk({0: input.chunks[0]}) for name, array in images.items()} | whole
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    options |= {"convention": convention, "nonfinite": nonfinite, "precision": precision}
    shape = _output_shape(operands, options)
    ...
