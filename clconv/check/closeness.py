"""When a result is right: its error against the float64 reference, measured by what was added up to make it."""

from typing import Any

import ml_dtypes
import numpy as np

from clconv.arrays import NumpyArray
from clconv.problem import Problem

FACTOR = 8
"""Sums of n terms round by about sqrt(n) * eps / 2 of the terms' magnitude, at most: 8 allows n = 256 even where no error cancels,
and any n in practice, for the kernels sum in stages."""


def account(name: str, got: NumpyArray, want: NumpyArray, magnitude: NumpyArray, problem: Problem, call: str, rounds: bool = True) -> str:
    """The worst elements with index, got, want and allowed, and the call that makes them; empty if all are right.

    Right is `error <= (FACTOR * eps(accumulator) + eps(factors)) * magnitude + eps(storage) * |want| + tiny`, with NaN exactly where the
    reference has it. eps(factors) is 0 but for problems whose products may be made of rounded factors, by a variant that `rounds` them;
    of halves, which are rounded no further, only where a sample is a factor: for the output and the weight's gradient. The bias's has no
    factors.
    tiny is FACTOR**2 times the smallest normal number of the accumulator's type, for devices may flush what is below to zero, factors of a
    few units too, and the storage's smallest number.
    """
    if got.shape != want.shape:
        return f"{name}: shape {got.shape}, expected {want.shape} in {call}"
    storage: Any = ml_dtypes.finfo(got.dtype)  # type: ignore[no-untyped-call]  # it has no annotations
    value = got.astype(np.float64)
    with np.errstate(invalid="ignore"):
        sums = np.finfo(problem.accumulator)
        rounded = name in ("output", "grad_weight") or (problem.precision is not None and name != "grad_bias")
        factors = problem.factor_eps if rounds and rounded else 0.0
        tiny = FACTOR**2 * float(sums.tiny) + float(storage.smallest_subnormal)
        allowed = (FACTOR * float(sums.eps) + factors) * magnitude + float(storage.eps) * np.abs(want) + tiny
        error = np.abs(value - want)
    right = (error <= allowed) | (np.isnan(value) & np.isnan(want)) | (value == want)
    if right.all():
        return ""
    worst = sorted(map(tuple, np.argwhere(~right)), key=lambda place: -np.nan_to_num(error[place] / allowed[place], nan=np.inf))[:5]
    lines = [f"{name}{tuple(map(int, p))}: got {value[p]!r}, want {want[p]!r}, allowed {allowed[p]:.3g}" for p in worst]
    return "\n".join([f"{(~right).sum()} of {right.size} elements of {name} are wrong in {call}", *lines])


def relative_error(got: Any, want: NumpyArray) -> float:
    """||got - want|| / ||want||, 0 for two empty or zero arrays."""
    difference = float(np.linalg.norm(np.asarray(got, np.float64) - want))
    return difference / float(np.linalg.norm(want)) if difference else 0.0
