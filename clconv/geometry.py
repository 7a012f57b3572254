"""Strides, paddings and dilations as callers write them, normalised once to pairs (y, x)."""

import operator
from collections.abc import Mapping
from typing import Any, TypeAlias

from clconv.errors import ProblemError

Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[Pair, Pair]

LIMIT = 1 << 30
"""Sizes, strides and paddings stay below this, so that positions in an image fit a 32-bit integer."""


def integer(value: Any, name: str, least: int) -> int:
    """`value` as an int of at least `least` and below `LIMIT`; ProblemError otherwise."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ProblemError(f"{name}: expected an integer, got {value!r}") from None
    if isinstance(value, bool) or not least <= number < LIMIT:
        raise ProblemError(f"{name}: expected an integer from {least} to {LIMIT - 1}, got {value!r}")
    return number


def pairs(value: Any, name: str, least: int = 1) -> Pair:
    """An int or a pair of ints as (y, x)."""
    if not is_sequence(value):
        number = integer(value, name, least)
        return number, number
    if len(value) != 2:
        raise ProblemError(f"{name}: expected an integer or a pair (y, x), got {value!r}")
    return integer(value[0], f"{name}[0]", least), integer(value[1], f"{name}[1]", least)


def is_sequence(value: Any) -> bool:
    """Whether it has a length and an order, and isn't text: an array of no dimensions has the method, but raises."""
    try:
        len(value)
    except TypeError:
        return False
    return hasattr(value, "__getitem__") and not isinstance(value, str | bytes | bytearray | Mapping)


def flag(value: Any, name: str) -> bool:
    """`value` as a bool; ProblemError for what is neither true nor false, such as an array."""
    try:
        return bool(value)
    except ValueError:
        raise ProblemError(f"{name}: expected True or False, got {value!r}") from None


def normalise_padding(padding: Any, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    """Padding as ((top, bottom), (left, right)), in pixels.

    Parameters
    ----------
    padding : int, pair, "valid", "same" or ((top, bottom), (left, right))
        "same" keeps the image's size and needs stride 1; an odd pixel goes to the end, as PyTorch does it.
    kernel, stride, dilation : pair of int
        As (y, x).
    """
    if isinstance(padding, str):
        return _named(padding, kernel, stride, dilation)
    if is_sequence(padding) and any(is_sequence(axis) for axis in padding):
        if len(padding) != 2 or not all(is_sequence(axis) and len(axis) == 2 for axis in padding):
            raise ProblemError(f"padding: expected ((top, bottom), (left, right)), got {padding!r}")
        return pairs(padding[0], "padding[0]", 0), pairs(padding[1], "padding[1]", 0)
    y, x = pairs(padding, "padding", 0)
    return (y, y), (x, x)


def _named(padding: str, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        raise ProblemError(f"padding: expected an integer, a pair, 'valid', 'same' or ((top, bottom), (left, right)), got {padding!r}")
    if stride != (1, 1):
        raise ProblemError(f"padding: 'same' needs stride 1, got stride {stride}")
    total_y, total_x = (step * (size - 1) for step, size in zip(dilation, kernel, strict=True))
    return (total_y // 2, total_y - total_y // 2), (total_x // 2, total_x - total_x // 2)


def output_size(size: int, padding: Pair, kernel: int, stride: int, dilation: int) -> int:
    """Number of output positions along one axis: floor((H + 2p - (d(k-1) + 1)) / s) + 1. May be below 1."""
    return (size + sum(padding) - (dilation * (kernel - 1) + 1)) // stride + 1
