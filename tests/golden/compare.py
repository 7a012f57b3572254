"""What clconv answers to a golden record, and how far that is from the other system's answer."""

from typing import Any

import numpy as np

import clconv
from clconv.check.closeness import relative_error
from golden.store import Arrays, Golden

FLOAT64, FLOAT32, CHAINER = 1e-11, 3e-6, 1e-9
"""Relative errors in the Euclidean norm that the project promises: against torch in both types, against Chainer in float64."""


def bound(record: Golden, dtype: str) -> float:
    """The largest relative error that is allowed."""
    if dtype == "float32":
        return FLOAT32
    return CHAINER if "2d_sampler" in record.function or record.function == "DeformableConvolution2D" else FLOAT64


def answers(record: Golden, dtype: str, device: Any = None) -> Arrays:
    """The output and gradients by clconv's public function of the record's name, from operands in `dtype`."""
    operands = record.operands(dtype)
    grad_output = operands.pop("grad_output")
    if record.function == "DeformConv2d":
        return _torchvision_layer(operands, grad_output, {**record.options, "dtype": dtype, "device": device})
    if record.function == "DeformableConvolution2D":
        return _chainer_layer(operands, grad_output, {**record.options, "dtype": dtype, "device": device})
    return plain(clconv, record.function, operands, grad_output, {**record.options, "device": device})


def plain(module: Any, function: str, operands: Arrays, grad_output: Any, options: dict[str, Any]) -> Arrays:
    """The output of a function of `module`, and the gradients by its `_backward`."""
    output = getattr(module, function)(**operands, **options)
    gradients = getattr(module, f"{function}_backward")(grad_output, **operands, **options)
    return {"output": output, **{f"grad_{name}": array for name, array in gradients._asdict().items() if array is not None}}


def _torchvision_layer(operands: Arrays, grad_output: Any, options: dict[str, Any]) -> Arrays:
    layer = clconv.DeformConv2d(**options)
    layer.weight, layer.bias = operands["weight"], operands.get("bias")
    output = layer(operands["input"], operands["offset"], operands.get("mask"))
    gradients = layer.backward(grad_output)._asdict() | layer.grads
    return {"output": output, **{f"grad_{name}": array for name, array in gradients.items() if array is not None}}


def _chainer_layer(operands: Arrays, grad_output: Any, options: dict[str, Any]) -> Arrays:
    initial: dict[str, Any] = {
        "offset_initialW": operands["offset_conv/W"],
        "offset_initial_bias": operands.get("offset_conv/b"),
        "deform_initialW": operands["deform_conv/W"],
        "deform_initial_bias": operands.get("deform_conv/b"),
    }
    layer = clconv.DeformableConvolution2D(**options, **initial)
    output = layer(operands["x"])
    gradients = {"x": layer.backward(grad_output)} | layer.grads
    return {"output": output, **{f"grad_{name}": array for name, array in gradients.items()}}


def errors(got: Arrays, want: Arrays) -> dict[str, float]:
    """Relative error of each answer, infinite where there is none of this shape.

    torchvision's gradient of an offset is NaN beside an infinite one (infinity times zero): it must be zero here.
    """
    expected = {name: np.nan_to_num(array) if name == "grad_offset" else array for name, array in want.items()}
    comparable = {name: name in got and got[name].shape == array.shape for name, array in expected.items()}
    return {name: relative_error(got[name], array) if comparable[name] else np.inf for name, array in expected.items()}
