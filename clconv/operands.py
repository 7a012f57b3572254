"""The arrays of one call against a Problem: derive it from them, or check them against it. Nothing is allocated here."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from clconv.arrays import dtype_name, is_device_array, sharing
from clconv.errors import ProblemError
from clconv.gradients import Gradients
from clconv.problem import OPERANDS, Problem, check_shape, infer_offset_groups

GRADIENT_OF = {"grad_output": "output", "out": "output", **{f"out.{name}": name for name in OPERANDS}}
"""Of what else a call may bring: the operand, or "output", whose shape and type it has."""


def problem_of(operands: Mapping[str, Any], *, convolution: bool, **options: Any) -> Problem:
    """The problem that the operands describe; `convolution` says that there are no offsets.

    `operands` maps names to arrays or None; `options` are stride, padding, dilation, convention, nonfinite and precision.
    """
    given = {name: array for name, array in operands.items() if array is not None and name in OPERANDS}
    required = ("input", "weight") if convolution else ("input", "offset", "weight")
    for name in required:
        if name not in given:
            raise ProblemError(f"{name}: expected an array, got None")
    is_device_array(given)
    dtypes = {name: dtype_name(name, array) for name, array in given.items()}
    shape = _input_shape(given["input"])
    if given["weight"].ndim != 4:
        raise ProblemError(f"weight: expected 4 dimensions (O, C/groups, KH, KW), got shape {given['weight'].shape}")
    problem = Problem.create(
        shape,
        given["weight"].shape,
        offset_groups=None if convolution else _offset_groups(given),
        mask="mask" in given,
        bias="bias" in given,
        dtypes=dtypes,
        **options,
    )
    check(problem, given)
    return problem


def check(problem: Problem, arrays: Mapping[str, Any]) -> bool:
    """Raise ProblemError unless shapes and element types are the problem's; returns whether the call is unbatched (3-D input).

    `arrays` may also hold grad_output, and what is to be written: out, or out.input and so on.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    is_device_array(given)
    witness = next((name for name in ("input", "grad_output") if name in given), None)
    unbatched = witness is not None and given[witness].ndim == 3
    if witness is not None and unbatched and problem.batch != 1:
        raise ProblemError(f"{witness}: expected {problem.batch} images (4 dimensions), got shape {tuple(given[witness].shape)}")
    shapes = problem.shapes()
    for name, array in given.items():
        operand = GRADIENT_OF.get(name, name)
        if operand not in shapes:
            raise ProblemError(f"{name}: expected None, for the problem has no {name}; got shape {array.shape}")
        if array.shape != shapes[operand] or unbatched:
            check_shape(problem, operand, array.shape, unbatched=unbatched, label=name)
        _check_dtype(problem, name, operand, array)
        if name.startswith("out"):
            _check_out(name, array)
    return unbatched


def outs_of(out: Any, needs: frozenset[str]) -> dict[str, Any]:
    """A backward's `out`, gradients or a mapping of arrays, under the names of `check`: None for what isn't given or not needed."""
    if out is None:
        return {}
    given = out._asdict() if isinstance(out, Gradients) else out
    if not isinstance(given, Mapping):
        raise ProblemError(f"out: expected Gradients or a mapping from names to arrays, got {type(out).__name__}")
    if unknown := set(given) - set(OPERANDS):
        raise ProblemError(f"out: expected names out of {', '.join(OPERANDS)}, got {', '.join(sorted(map(repr, unknown)))}")
    return {f"out.{name}": given.get(name) if name in needs else None for name in OPERANDS}


def check_apart(outs: Mapping[str, Any]) -> None:
    """Raise ProblemError if two arrays that are to be written share memory; None values are passed over."""
    if pair := sharing({name: array for name, array in outs.items() if array is not None}):
        raise ProblemError(f"{pair[1]}: expected memory of its own, got an array that shares some with {pair[0]}")


def check_needs(needs: Any, problem: Problem) -> frozenset[str]:
    """Names of the wanted gradients that the problem has; None means all."""
    if needs is None:
        return frozenset(problem.operands())
    try:
        names = {needs} if isinstance(needs, str) else set(needs)
    except TypeError:
        raise ProblemError(f"needs: expected names of gradients, got {needs!r}") from None
    if unknown := names - set(OPERANDS):
        raise ProblemError(f"needs: expected names out of {', '.join(OPERANDS)}, got {', '.join(sorted(map(repr, unknown)))}")
    return frozenset(names) & frozenset(problem.operands())


def _input_shape(array: Any) -> tuple[int, ...]:
    if array.ndim not in (3, 4):
        raise ProblemError(f"input: expected 4 dimensions (N, C, H, W), or 3 for one image, got shape {array.shape}")
    return tuple(array.shape) if array.ndim == 4 else (1, *array.shape)


def _offset_groups(given: Mapping[str, Any]) -> int:
    offset, dimensions = given["offset"], given["input"].ndim
    if offset.ndim != dimensions:
        raise ProblemError(f"offset: expected {dimensions} dimensions as input has, got shape {offset.shape}")
    return infer_offset_groups(offset.shape, *given["weight"].shape[2:])


def _check_out(name: str, out: Any) -> None:
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ProblemError(f"{name}: expected a writable array, got a read-only one")
    if out.flags.c_contiguous:
        return
    reach = out.dtype.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in zip(out.strides, out.shape, strict=True) if size > 1):
        if stride < reach:
            raise ProblemError(f"{name}: expected an array whose elements don't overlap, got strides {out.strides} for shape {out.shape}")
        reach += stride * (size - 1)


def _check_dtype(problem: Problem, name: str, operand: str, array: Any) -> None:
    got, expected = dtype_name(name, array), problem.dtype_of(operand)
    if got != expected:
        raise ProblemError(f"{name}: expected {expected}, got {got}")
