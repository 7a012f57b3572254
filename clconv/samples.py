"""Where the reference samples an image: cells, corners and their weights, by the rules of each convention."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clconv.problem import Problem

__all__ = ["Array", "Integers", "Samples", "locate"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

_REACH = 2**31
"""Offsets of this size or more lie far outside: sizes and paddings of a problem stay below half of it."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Where one tap samples, for N images, G offset groups and P output positions.

    An ordinary convolution has one corner of weight 1, shared by all images and groups, and neither slopes nor gates.

    Attributes
    ----------
    pixel : int64 array, (2, 2, N, G, P)
        Of each corner (y end, x end), its index in the flat image; H*W for what lies outside.
    weight : float64 array, (2, 2, N, G, P)
        Bilinear weights of the corners, NaN where the sample is NaN.
    slopes : pair of float64 arrays, (2, 2, N, G, P)
        Derivatives of these weights by y and by x.
    gates : pair of bool arrays, (N, G, P)
        Where the convention lets the gradients of dy and of dx count.
    """

    pixel: Integers
    weight: Array
    slopes: tuple[Array, ...] = ()
    gates: tuple[Booleans, ...] = ()


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a problem, in pixels: the formula is the same along both."""

    size: int
    out: int
    stride: int
    before: int
    after: int
    dilation: int

    def bases(self, step: int) -> Integers:
        """Coordinates before the offset, of the kernel's row or column `step` at each output position."""
        return np.arange(self.out, dtype=np.int64) * self.stride - self.before + step * self.dilation


@dataclass(frozen=True, slots=True)
class _Coordinate:
    """The samples' coordinates along one axis, cell + fraction; kept apart, they are exact."""

    axis: _Axis
    cell: Integers
    fraction: Array

    def between(self, low: int, high: int) -> Booleans:
        """Where low < coordinate < high."""
        above: Booleans = (self.cell > low) | ((self.cell == low) & (self.fraction > 0))
        return above & (self.cell < high)

    def ends(self, border: str) -> Integers:
        """Rows (or columns) of the cell's two ends, (2, N, G, P); -1 where that end doesn't count."""
        ends = np.stack([self.cell, self.cell + 1])
        if border == "replicate":
            inside = np.broadcast_to(_inside(self.cell, self.axis), ends.shape)
            return np.where(inside, np.minimum(ends, self.axis.size - 1), -1)
        return np.where(_inside(ends, self.axis), ends, -1)


def locate(problem: Problem, tap: int, offset: Array | None, minus: float = -1.0) -> Samples:
    """Samples of one tap.

    Parameters
    ----------
    problem : Problem
    tap : int
        i*KW + j.
    offset : float64 array, (N, G, 2, P), or None
        dy and dx of this tap; None is an ordinary convolution.
    minus : {-1.0, 1.0}
        The sign of every minus in the formula; 1.0 where the magnitudes of its terms are wanted.
    """
    axis_y, axis_x = _axes(problem)
    i, j = divmod(tap, problem.kernel_x)
    base_y, base_x = np.repeat(axis_y.bases(i), axis_x.out), np.tile(axis_x.bases(j), axis_y.out)
    if offset is None:
        return _whole_pixels(axis_y, axis_x, base_y, base_x)
    y, x = _coordinate(axis_y, base_y, offset[:, :, 0]), _coordinate(axis_x, base_x, offset[:, :, 1])
    return _interpolated(problem, y, x, np.isnan(offset[:, :, 0]) | np.isnan(offset[:, :, 1]), minus)


def _axes(problem: Problem) -> tuple[_Axis, _Axis]:
    p = problem
    return (
        _Axis(p.height, p.out_height, p.stride_y, p.pad_top, p.pad_bottom, p.dilation_y),
        _Axis(p.width, p.out_width, p.stride_x, p.pad_left, p.pad_right, p.dilation_x),
    )


def _whole_pixels(axis_y: _Axis, axis_x: _Axis, row: Integers, column: Integers) -> Samples:
    rows, columns = np.where(_inside(row, axis_y), row, -1), np.where(_inside(column, axis_x), column, -1)
    pixel = _pixels(axis_y, axis_x, rows[None, None, None], columns[None, None, None])
    return Samples(pixel, np.ones(pixel.shape))


def _coordinate(axis: _Axis, base: Integers, shift: Array) -> _Coordinate:
    """Cell base + floor(shift) and fraction shift - floor(shift), where base + shift would round."""
    near = np.abs(shift) < _REACH  # neither NaN nor an infinity is
    floor = np.floor(np.where(near, shift, -_REACH))
    return _Coordinate(axis, base + floor.astype(np.int64), np.where(near, shift, -_REACH) - floor)


def _interpolated(problem: Problem, y: _Coordinate, x: _Coordinate, lost: Booleans, minus: float) -> Samples:
    """`lost` samples have a NaN in one coordinate, which makes both of them unknown."""
    propagate = problem.nonfinite == "propagate"
    fill = np.nan if propagate else 0.0
    weight_y, weight_x = (_weights(np.where(lost, fill, axis.fraction), minus) for axis in (y, x))
    slope = np.array([minus, 1.0]).reshape(2, 1, 1, 1)
    border = problem.rules.border
    return Samples(
        pixel=_pixels(y.axis, x.axis, y.ends(border), x.ends(border)),
        weight=_corners(weight_y, weight_x),
        slopes=(_corners(slope, weight_x), _corners(weight_y, slope)),
        gates=tuple(np.where(lost, propagate, gate) for gate in _gates(problem.rules.gate, y, x)),
    )


def _gates(rule: str, y: _Coordinate, x: _Coordinate) -> tuple[Booleans, Booleans]:
    if rule == "axis":
        gate_y, gate_x = (v.between(-1 - v.axis.before, v.axis.size + v.axis.after) for v in (y, x))
        return gate_y, gate_x
    if rule == "both":
        both = y.between(-1, y.axis.size) & x.between(-1, x.axis.size)
        return both, both
    always = np.ones(y.cell.shape, bool)
    return always, always


def _inside(index: Integers, axis: _Axis) -> Booleans:
    return (index >= 0) & (index < axis.size)


def _weights(fraction: Array, minus: float) -> Array:
    """Linear weights of a cell's two ends, (2, N, G, P)."""
    return np.stack([1 + minus * fraction, fraction])


def _corners(along_y: Array, along_x: Array) -> Array:
    """Products of every y end with every x end, (2, 2, N, G, P)."""
    return along_y[:, None] * along_x[None]


def _pixels(axis_y: _Axis, axis_x: _Axis, rows: Integers, columns: Integers) -> Integers:
    row, column = rows[:, None], columns[None]
    return np.where((row >= 0) & (column >= 0), row * axis_x.size + column, axis_y.size * axis_x.size)
