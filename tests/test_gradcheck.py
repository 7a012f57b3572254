"""What gradcheck finds, and what it refuses to judge."""

from typing import Any

import numpy as np
import pytest

from clconv import Gradients, ProblemError, reference


def operands() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    shapes = {"input": (1, 2, 3, 3), "weight": (2, 2, 2, 1), "bias": (2,), "mask": (1, 2, 2, 3)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()} | {"offset": rng.uniform(0.1, 0.9, (1, 4, 2, 3))}


def spoilt(*args: Any, **options: Any) -> Gradients:
    gradients = reference.deform_conv2d_backward(*args, **options)
    gradients.mask[0, 1, 1, 2] += 1e-3
    return gradients


def lacking(*args: Any, **options: Any) -> Gradients:
    return reference.deform_conv2d_backward(*args, **options)._replace(weight=None)


def unknown(*args: Any, **options: Any) -> Gradients:
    gradients = reference.deform_conv2d_backward(*args, **options)
    gradients.input[0, 1, 2, 2] = np.nan
    return gradients


def doubled(**options: Any) -> Any:
    return 2 * reference.deform_conv2d(**options)


def test_the_reference_passes() -> None:
    reference.gradcheck(**operands())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backward": spoilt}, r"gradient of mask at \(0, 1, 1, 2\): got .*, want "),
        ({"backward": unknown}, r"gradient of input at \(0, 1, 2, 2\): got nan, want "),
        ({"backward": lacking}, r"gradient of weight: expected shape \(2, 2, 2, 1\), got None"),
        ({"forward": doubled, "needs": ("bias",)}, r"gradient of bias at "),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        reference.gradcheck(**operands(), **wrong)


@pytest.mark.parametrize("needs", [["mask"], "mask"], ids=str)
def test_needs_may_be_whatever_can_be_gone_through(needs: Any) -> None:
    with pytest.raises(AssertionError, match="mask"):
        reference.gradcheck(**operands(), needs=iter(needs) if isinstance(needs, list) else needs, backward=spoilt)


def test_what_is_not_needed_is_not_judged() -> None:
    reference.gradcheck(**operands(), backward=spoilt, needs=("input", "mask"), tolerance=1e-2)
    reference.gradcheck(**operands(), backward=lacking, needs=("bias", "offset"))


@pytest.mark.parametrize("kink", [0.0, 3.0, -1 + 1e-5, np.nan, np.inf, 1e20])
def test_kinks_are_refused_by_their_position(kink: float) -> None:
    arrays = operands()
    arrays["offset"][0, 3, 1, 2] = kink
    with pytest.raises(ProblemError, match=r"offset: .*got .* at \(0, 3, 1, 2\)"):
        reference.gradcheck(**arrays)


def test_without_the_gradient_of_the_offset_there_are_no_kinks() -> None:
    arrays = operands()
    arrays["offset"][:] = 0
    reference.gradcheck(**arrays, needs=("input", "weight", "bias", "mask"))
