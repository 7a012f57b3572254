"""Makes torchvision.npz: torchvision's deform_conv2d, its layer, and torch's conv2d, in float64 on the CPU.

Regenerate with torch 2.14 and torchvision 0.29, from the folder `tests`: python -m golden.make_torchvision
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torchvision

from golden.store import FOLDER, Arrays, Case, Golden, draw, save, seeded

DEFORMABLE = (
    Case("seed", (4, 3, 10, 10), 5, (3, 3), mask=True, bias=False, dtype="float32"),
    Case("v1", (2, 3, 7, 9), 4, (3, 2), (2, 1), (1, 2), (1, 2), spread=2.0, dtype="float32"),
    Case("v1-no-bias", (1, 4, 8, 5), 3, (3, 3), (1, 1), (1, 1), bias=False),
    Case("v2", (2, 5, 6, 9), 3, (2, 3), (1, 2), (2, 0), (2, 1), mask=True, dtype="float32"),
    Case("groups-2", (2, 6, 7, 5), 4, (3, 3), (2, 1), (2, 1), (1, 2), groups=2, mask=True, spread=2.0),
    Case("groups-4", (1, 12, 5, 6), 8, (2, 2), (1, 1), (1, 0), groups=4, mask=True, bias=False),
    Case("offset-groups-3", (2, 6, 6, 7), 4, (3, 3), (2, 2), (1, 1), offset_groups=3),
    Case("groups-2-offset-groups-4", (1, 12, 5, 7), 6, (2, 3), (1, 1), (0, 1), groups=2, offset_groups=4, mask=True, dtype="float32"),
    Case("groups-4-offset-groups-2", (2, 12, 4, 7), 4, (3, 1), (1, 2), (1, 0), groups=4, offset_groups=2, mask=True, dtype="float32"),
    Case("groups-3-offset-groups-2", (1, 18, 5, 4), 6, (2, 2), groups=3, offset_groups=2, mask=True, spread=2.0),
    Case("depthwise", (1, 6, 7, 8), 6, (3, 3), (1, 1), (1, 1), groups=6, offset_groups=3, mask=True),
    Case("pointwise-stride-2", (2, 7, 9, 6), 5, (1, 1), (2, 2), mask=True, dtype="float32"),
    Case("tall-kernel", (1, 3, 11, 5), 2, (5, 1), (1, 2), (4, 0), (2, 1)),
    Case("height-1", (2, 3, 1, 8), 4, (1, 3), (1, 2), (0, 1), mask=True),
    Case("width-1", (2, 3, 9, 1), 4, (3, 3), (2, 1), (1, 1), mask=True),
    Case("batch-37", (37, 2, 3, 4), 3, (2, 2), (1, 2), (0, 1), mask=True, dtype="float32"),
    Case("beyond-the-border", (1, 3, 6, 8), 4, (3, 3), (1, 1), (2, 1), mask=True, spread=8.0, dtype="float32"),
    Case("far", (2, 4, 6, 7), 3, (3, 3), (1, 1), (1, 1), offset_groups=2, mask=True, far=True, dtype="float32"),
)

ORDINARY = (
    Case("conv-plain", (2, 3, 7, 9), 4, (3, 3), offset_groups=0, dtype="float32"),
    Case("conv-stride", (2, 3, 9, 8), 5, (3, 2), (2, 3), (1, 2), (2, 1), offset_groups=0, bias=False),
    Case("conv-groups-4", (1, 12, 7, 6), 8, (3, 3), (1, 2), (1, 1), groups=4, offset_groups=0, dtype="float32"),
    Case("conv-depthwise", (2, 6, 7, 5), 12, (3, 3), (1, 1), (1, 1), groups=6, offset_groups=0),
    Case("conv-same", (2, 3, 8, 5), 4, (2, 3), padding="same", dilation=(3, 2), offset_groups=0, dtype="float32"),
    Case("conv-same-even", (1, 4, 7, 6), 3, (4, 2), padding="same", offset_groups=0),
    Case("conv-asymmetric", (2, 3, 6, 8), 4, (3, 3), (2, 1), ((0, 2), (3, 1)), offset_groups=0, dtype="float32"),
    Case("conv-pointwise-stride-2", (2, 7, 9, 6), 5, (1, 1), (2, 2), offset_groups=0),
    Case("conv-height-1", (3, 2, 1, 9), 3, (1, 4), (1, 1), (0, 2), offset_groups=0),
    Case("conv-batch-37", (37, 2, 4, 3), 3, (2, 2), offset_groups=0),
)

LAYERS = (
    Case("layer", (2, 4, 7, 6), 6, (3, 2), (2, 1), (1, 2), (1, 2), groups=2, mask=True, dtype="float32"),
    Case("layer-no-bias", (1, 3, 6, 5), 4, (3, 3), (1, 1), (1, 1), bias=False),
)


def deform_conv2d(operands: Arrays, options: dict[str, Any]) -> Arrays:
    """Output and gradients of torchvision.ops.deform_conv2d."""
    tensors = _tensors(operands)
    return _answers(torchvision.ops.deform_conv2d(**tensors, **options), tensors, operands["grad_output"])


def conv2d(operands: Arrays, options: dict[str, Any]) -> Arrays:
    """Output and gradients of torch's conv2d; an asymmetric padding is done by torch's pad."""
    tensors = _tensors(operands)
    groups = operands["input"].shape[1] // operands["weight"].shape[1]
    image, padding = tensors["input"], options["padding"]
    if padding != "same":
        (top, bottom), (left, right) = (np.broadcast_to(axis, 2).tolist() for axis in padding)
        image, padding = torch.nn.functional.pad(image, (left, right, top, bottom)), 0
    arguments = {**options, "padding": padding, "groups": groups}
    output = torch.nn.functional.conv2d(image, tensors["weight"], tensors.get("bias"), **arguments)
    return _answers(output, tensors, operands["grad_output"])


def layer(operands: Arrays, options: dict[str, Any]) -> Arrays:
    """Output and gradients of torchvision.ops.DeformConv2d with the given parameters."""
    tensors = _tensors(operands)
    module = torchvision.ops.DeformConv2d(**options)
    for name in ("weight", "bias"):
        if name in tensors:
            setattr(module, name, torch.nn.Parameter(tensors[name]))
            tensors[name] = getattr(module, name)
    output = module(tensors["input"], tensors["offset"], tensors.get("mask"))
    return _answers(output, tensors, operands["grad_output"])


def layer_options(case: Case) -> dict[str, Any]:
    """The arguments of the layer's constructor."""
    own = {"in_channels": case.input_shape[1], "out_channels": case.out_channels, "kernel_size": case.kernel}
    return {**own, **case.options(), "groups": case.groups, "bias": case.bias}


def _tensors(operands: Arrays) -> dict[str, Any]:
    return {name: torch.tensor(array, dtype=torch.float64, requires_grad=True) for name, array in operands.items() if name != "grad_output"}


def _answers(output: Any, tensors: dict[str, Any], grad_output: Any) -> Arrays:
    output.backward(torch.tensor(grad_output, dtype=torch.float64))
    return {"output": output.detach().numpy(), **{f"grad_{name}": tensor.grad.numpy() for name, tensor in tensors.items()}}


def _records() -> Iterator[Golden]:
    for case in DEFORMABLE:
        yield _record(case, "deform_conv2d", deform_conv2d, case.options())
    for case in ORDINARY:
        yield _record(case, "conv2d", conv2d, case.options())
    for case in LAYERS:
        yield _record(case, "DeformConv2d", layer, layer_options(case))


def _record(case: Case, function: str, evaluate: Any, options: dict[str, Any]) -> Golden:
    operands = draw(case, seeded(case))
    return Golden(case.name, function, options, {**operands, **evaluate(operands, options)})


if __name__ == "__main__":
    save(FOLDER / "torchvision.npz", {"torch": torch.__version__, "torchvision": torchvision.__version__}, _records())
