"""When a result is right: its error against the float64 reference, measured by what was added up to make it."""

from typing import Any

import ml_dtypes
import numpy as np

from clconv.arrays import NumpyArray

FACTOR = 8
"""Sums of n terms round by about sqrt(n) * eps / 2 of the terms' magnitude, at most: 8 allows n = 256 even where no error cancels,
and any n in practice, for the kernels sum in stages."""


def assert_close(name: str, got: NumpyArray, want: NumpyArray, magnitude: NumpyArray, accumulator: str, call: str) -> None:
    """`error <= FACTOR * eps(accumulator) * magnitude + eps(storage) * |want|`, and NaN exactly where the reference has it.

    A failure prints the worst elements and the call that makes them.
    """
    assert got.shape == want.shape, f"{name}: shape {got.shape}, expected {want.shape} in {call}"
    storage: Any = ml_dtypes.finfo(got.dtype)  # type: ignore[no-untyped-call]  # it has no annotations
    value = got.astype(np.float64)
    with np.errstate(invalid="ignore"):
        allowed = (
            FACTOR * float(np.finfo(accumulator).eps) * magnitude + float(storage.eps) * np.abs(want) + float(storage.smallest_subnormal)
        )
        wrong = ~(np.abs(value - want) <= allowed) & ~(np.isnan(value) & np.isnan(want)) & ~(value == want)
    assert not wrong.any(), _account(name, value, want, allowed, wrong, call)


def _account(name: str, got: NumpyArray, want: NumpyArray, allowed: NumpyArray, wrong: NumpyArray, call: str) -> str:
    places = np.argwhere(wrong)[:5]
    lines = [f"{name}{tuple(map(int, p))}: got {got[tuple(p)]!r}, want {want[tuple(p)]!r}, allowed {allowed[tuple(p)]:.3g}" for p in places]
    return "\n".join([f"{wrong.sum()} of {wrong.size} elements are wrong in {call}", *lines])


def relative_error(got: Any, want: NumpyArray) -> float:
    """||got - want|| / ||want||, 0 for two empty or zero arrays."""
    difference = float(np.linalg.norm(np.asarray(got, np.float64) - want))
    return difference / float(np.linalg.norm(want)) if difference else 0.0
