"""`deform_conv2d` for PyTorch tensors on the CPU, with gradients: what torchvision's does, on any OpenCL device."""

from typing import Any

import ml_dtypes
import numpy as np

from clconv import api
from clconv.arrays import NumpyArray
from clconv.errors import ProblemError
from clconv.problem import DTYPES, OPERANDS

try:
    import torch
    from torch.autograd.function import once_differentiable
except ImportError as error:
    raise ImportError("clconv.torch needs PyTorch: install it with `pip install 'clconv[torch]'`") from error


def deform_conv2d(
    input: torch.Tensor, offset: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None,
    stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1), mask: torch.Tensor | None = None,
    *, convention: str = "torchvision", nonfinite: str = "propagate", precision: str | None = None,
    deterministic: bool | None = None, device: Any = None,
) -> torch.Tensor:  # fmt: skip
    """`clconv.deform_conv2d` as a differentiable function of PyTorch tensors, in place of `torchvision.ops.deform_conv2d`.

    The tensors' memory is used as it is. Only the gradients that are asked for are computed. Once differentiable: a second
    backward through the gradients raises RuntimeError, as with torchvision.

    Parameters
    ----------
    input, offset, weight, bias, mask : torch.Tensor
        Dense, on the CPU; shapes and types as in `clconv.deform_conv2d`.
    stride, padding, dilation, convention, nonfinite, precision, device
        As in `clconv.deform_conv2d`; `device` is where OpenCL runs.
    deterministic : bool, optional
        Bit-identical gradients from run to run. None: as `torch.use_deterministic_algorithms` says.

    Returns
    -------
    torch.Tensor
        (N, O, OH, OW), or (O, OH, OW) for one image; on the CPU.

    Raises
    ------
    ProblemError
        An argument is wrong, or a tensor is not on the CPU: it is named.
    UnsupportedError, DeviceError, BuildError, OutOfMemoryError
        As `clconv.deform_conv2d`.
    """
    tensors = {"input": input, "offset": offset, "weight": weight, "bias": bias, "mask": mask}
    for name, tensor in tensors.items():
        _check(name, tensor)
    if deterministic is None:
        deterministic = torch.are_deterministic_algorithms_enabled()
    options = {"stride": stride, "padding": padding, "dilation": dilation, "convention": convention}
    options |= {"nonfinite": nonfinite, "precision": precision, "device": device}
    output: torch.Tensor = _apply(options, deterministic, *(tensors[name] for name in OPERANDS))
    return output


class _DeformConv2d(torch.autograd.Function):  # type: ignore[misc,unused-ignore]  # its base is Any where torch is not installed
    @staticmethod
    def forward(ctx: Any, options: dict[str, Any], deterministic: bool, *tensors: torch.Tensor | None) -> torch.Tensor:
        ctx.options, ctx.deterministic = options, deterministic
        ctx.save_for_backward(*tensors)
        return _tensor(api.deform_conv2d(**_arrays(tensors), **options))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator,unused-ignore]
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[Any, ...]:
        needs = [name for name, needed in zip(OPERANDS, ctx.needs_input_grad[2:], strict=True) if needed]
        operands = _arrays(ctx.saved_tensors)
        options = {**ctx.options, "needs": needs, "deterministic": ctx.deterministic}
        gradients = api.deform_conv2d_backward(_array(grad_output), **operands, **options)._asdict()
        return None, None, *(_tensor(gradients[name]) if name in needs else None for name in OPERANDS)


# torch.compile would trace into NumPy's part of the work.
_apply: Any = torch.compiler.disable(_DeformConv2d.apply)  # type: ignore[no-untyped-call,unused-ignore]


def _check(name: str, tensor: Any) -> None:
    """None passes: whether an operand may be missing is decided where the problem is known."""
    if tensor is None:
        return
    if not isinstance(tensor, torch.Tensor):
        raise ProblemError(f"{name}: expected a torch.Tensor, got {type(tensor).__module__}.{type(tensor).__name__}")
    if tensor.device.type != "cpu":
        raise ProblemError(f"{name}: expected a tensor on the CPU, got one on {tensor.device}")
    if tensor.layout is not torch.strided:
        raise ProblemError(f"{name}: expected a dense tensor, got one of layout {tensor.layout}")
    if (dtype := str(tensor.dtype).removeprefix("torch.")) not in DTYPES:
        raise ProblemError(f"{name}: expected a tensor of {', '.join(DTYPES)}, got {dtype}")


def _arrays(tensors: tuple[torch.Tensor | None, ...]) -> dict[str, Any]:
    return {name: None if tensor is None else _array(tensor) for name, tensor in zip(OPERANDS, tensors, strict=True)}


def _array(tensor: torch.Tensor) -> NumpyArray:
    """The same memory as a NumPy array; PyTorch and NumPy know each other's bfloat16 only as 16 bits."""
    if tensor.dtype == torch.bfloat16:
        bits: NumpyArray = tensor.detach().view(torch.int16).numpy()
        return bits.view(ml_dtypes.bfloat16)
    array: NumpyArray = tensor.numpy(force=True)  # force: also where a gradient is required
    return array


def _tensor(array: NumpyArray) -> torch.Tensor:
    """The same memory as a tensor."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)
