"""Where a deformable convolution looks: the sampling points of an output position, as coordinates and drawn over a picture."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clconv.arrays import NumpyArray
from clconv.errors import ProblemError
from clconv.geometry import Pair, integer, normalise_padding, pairs
from clconv.problem import infer_offset_groups

try:
    from matplotlib.axes import Axes
except ImportError as error:
    raise ImportError("clconv.viz needs matplotlib: install it with `pip install 'clconv[viz]'`") from error

Points = NDArray[np.float64]


def sampling_points(
    offset: NumpyArray, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    *, position: Pair, offset_group: int = 0,
) -> Points:  # fmt: skip
    """Where the taps of one output position sample the input (Dai et al. 2017).

    Parameters
    ----------
    offset : ndarray
        (2*OG*KH*KW, OH, OW), or with a batch of one before: the offsets of one image, in pixels, as in `clconv.deform_conv2d`.
    kernel_size : int or pair (y, x)
    stride, padding, dilation
        As in `clconv.deform_conv2d`.
    position : pair (y, x)
        Of the output pixel.
    offset_group : int
        Which of the OG groups of offsets.

    Returns
    -------
    float64 ndarray
        (KH*KW, 2): (y, x) of each tap, in pixels of the input without its padding; the first pixel's centre is (0, 0).

    Raises
    ------
    ProblemError
        An argument is wrong: it is named.
    """
    regular = _regular_grid(kernel_size, stride, padding, dilation, position)
    return regular + _offsets_at(offset, pairs(kernel_size, "kernel_size"), position, offset_group)


def draw_sampling_points(
    axes: Axes, picture: ArrayLike, offset: NumpyArray, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    *, positions: Iterable[Pair], offset_group: int = 0,
) -> None:  # fmt: skip
    """Draw the sampling points of some output positions over the input, one colour for each.

    Rings show where the taps of an ordinary convolution look, dots where the offsets move them to.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    picture : array_like
        The input as matplotlib shows it, (H, W) or (H, W, 3).
    positions : iterable of pairs (y, x)
        Output pixels.
    offset, kernel_size, stride, padding, dilation, offset_group
        As in `sampling_points`.

    Raises
    ------
    ProblemError
        An argument is wrong: it is named.
    """
    geometry = (kernel_size, stride, padding, dilation)
    axes.imshow(picture, cmap="gray")
    for number, position in enumerate(positions):
        regular = _regular_grid(*geometry, position)
        sampled = sampling_points(offset, *geometry, position=position, offset_group=offset_group)
        (y, x), colour = np.stack([regular, sampled]).transpose(2, 0, 1), f"C{number % 10}"
        axes.plot(x, y, color=colour, linewidth=0.8)
        axes.plot(x[0], y[0], "o", color=colour, markersize=4, markerfacecolor="none")
        axes.plot(x[1], y[1], "o", color=colour, markersize=4, markeredgecolor="white")


def _regular_grid(kernel_size: Any, stride: Any, padding: Any, dilation: Any, position: Pair) -> Points:
    """(KH*KW, 2): where the taps are without offsets."""
    kernel, steps, gaps = pairs(kernel_size, "kernel_size"), pairs(stride, "stride"), pairs(dilation, "dilation")
    (top, _), (left, _) = normalise_padding(padding, kernel, steps, gaps)
    taps = np.indices(kernel).reshape(2, -1).T * gaps
    first = np.multiply(pairs(position, "position", 0), steps) - (top, left)
    return np.asarray(first + taps, np.float64)


def _offsets_at(offset: NumpyArray, kernel: Pair, position: Pair, offset_group: int) -> Points:
    """(KH*KW, 2): (dy, dx) of one output position's taps."""
    if not isinstance(offset, np.ndarray):
        raise ProblemError(f"offset: expected a NumPy array, got {type(offset).__name__}")
    if offset.ndim not in (3, 4) or (offset.ndim == 4 and len(offset) != 1):
        raise ProblemError(f"offset: expected shape (2*OG*KH*KW, OH, OW), of one image, got {offset.shape}")
    groups, (height, width) = infer_offset_groups(offset.shape, *kernel), offset.shape[-2:]
    y, x = pairs(position, "position", 0)
    if y >= height or x >= width:
        raise ProblemError(f"position: expected an output pixel from (0, 0) to {(height - 1, width - 1)}, got {position}")
    if integer(offset_group, "offset_group", 0) >= groups:
        raise ProblemError(f"offset_group: expected a number from 0 to {groups - 1}, got {offset_group}")
    of_group: NumpyArray = offset.reshape(groups, -1, 2, height, width)[offset_group, :, :, y, x]
    return of_group.astype(np.float64)
