"""Compares a backward pass with central finite differences of a forward pass."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from clconv.errors import ProblemError
from clconv.gradients import Gradients
from clconv.samples import Array

Forward = Callable[..., Any]
Backward = Callable[..., Gradients]
Output = Callable[[Mapping[str, Array]], Array]


def gradcheck(
    input: Any, offset: Any, weight: Any, bias: Any = None,
    stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1), mask: Any = None,
    *, needs: Iterable[str] | None = None, eps: float = 1e-4, tolerance: float = 1e-7,
    forward: Forward | None = None, backward: Backward | None = None, **options: Any,
) -> None:  # fmt: skip
    """Check gradients of `deform_conv2d` against (f(v + eps) - f(v - eps)) / (2*eps), entry by entry.

    Operands and geometry are as in `deform_conv2d`; each entry costs two forward passes, so keep the problem small. Between
    integers the output is linear in every single entry, offsets included, so that a large `eps` costs no accuracy.

    Parameters
    ----------
    needs : iterable of {"input", "offset", "weight", "bias", "mask"}, optional
        The gradients to check; None means all that were given.
    eps : float
        Step of the differences; in pixels for offsets.
    tolerance : float
        Allowed is |got - want| <= tolerance * (1 + |want|).
    forward, backward : callable, optional
        The implementation, called as `deform_conv2d` and `deform_conv2d_backward` are, with float64 NumPy arrays. The reference
        by default.
    **options
        What both are called with besides, such as `convention` and `nonfinite`.

    Raises
    ------
    AssertionError
        If a gradient is missing, has another shape or differs; names the gradient, the worst index, got and want.
    ProblemError
        If the gradient of offsets is asked for and one is not finite or within 2*eps of an integer: the output has a kink there.
    """
    needs = None if needs is None else (needs,) if isinstance(needs, str) else tuple(needs)
    operands = {"input": input, "offset": offset, "weight": weight, "bias": bias, "mask": mask}
    arrays = {name: np.array(value, np.float64) for name, value in operands.items() if value is not None}
    wanted = [name for name in Gradients._fields if name in arrays and (needs is None or name in needs)]
    if "offset" in wanted:
        _refuse_kinks(arrays["offset"], eps)
    run, backpropagate = _implementation(forward, backward)
    fixed = {**operands, "stride": stride, "padding": padding, "dilation": dilation, **options}

    def output(changed: Mapping[str, Array]) -> Array:
        return np.asarray(run(**{**fixed, **changed}), np.float64)

    grad_output = np.random.default_rng(0).standard_normal(output(arrays).shape)
    gradients = backpropagate(grad_output, **{**fixed, **arrays}, needs=needs)
    for name in wanted:
        _compare(name, getattr(gradients, name), _differences(output, arrays, name, grad_output, eps), tolerance)


def _implementation(forward: Forward | None, backward: Backward | None) -> tuple[Forward, Backward]:
    from clconv import reference  # here, because reference offers gradcheck as its own

    return forward or reference.deform_conv2d, backward or reference.deform_conv2d_backward


def _refuse_kinks(offset: Array, eps: float) -> None:
    with np.errstate(invalid="ignore"):
        smooth = np.abs(offset - np.round(offset)) > 2 * eps  # False for NaN and infinities
    if not smooth.all():
        first = _position(np.argwhere(~smooth)[0])
        raise ProblemError(f"offset: expected finite values further than 2*eps = {2 * eps} from integers, got {offset[first]} at {first}")


def _differences(output: Output, arrays: Mapping[str, Array], name: str, grad_output: Array, eps: float) -> Array:
    """Central differences of sum(grad_output * output) by every entry of one operand."""
    differences = np.empty_like(arrays[name])
    for index in np.ndindex(differences.shape):
        step = np.zeros_like(differences)
        step[index] = eps
        above, below = (output({**arrays, name: arrays[name] + sign * step}) for sign in (1, -1))
        differences[index] = np.sum(grad_output * (above - below)) / (2 * eps)
    return differences


def _compare(name: str, gradient: Any, want: Array, tolerance: float) -> None:
    if gradient is None or np.shape(gradient) != want.shape:
        raise AssertionError(f"gradient of {name}: expected shape {want.shape}, got {None if gradient is None else np.shape(gradient)}")
    got = np.asarray(gradient, np.float64)
    excess = np.abs(got - want) / (1 + np.abs(want))
    if not np.all(excess <= tolerance):  # a NaN is no match either
        worst = _position(np.unravel_index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), excess.shape))
        raise AssertionError(f"gradient of {name} at {worst}: got {got[worst]}, want {want[worst]} by differences (tolerance {tolerance})")


def _position(index: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in index)
