"""Chainer's function: deformable convolution whose offsets are all x, then all y."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyopencl.array as cla

from clconv.api import deform_conv2d, deform_conv2d_backward
from clconv.arrays import Array, copy, is_device_array
from clconv.errors import ProblemError
from clconv.geometry import pairs
from clconv.gradients import SamplerGradients

_OPERANDS = {"x": "input", "offset": "offset", "W": "weight", "b": "bias"}
_CHAINER = {"input": "x", "weight": "W", "bias": "b", "grad_output": "gy"}


def deformable_convolution_2d_sampler(
    x: Any, offset: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0,
    *, nonfinite: str = "propagate", precision: str | None = None, device: Any = None, queue: Any = None, out: Any = None,
) -> Any:  # fmt: skip
    """Deformable convolution v1 (Dai et al. 2017) with the contract of ``chainer.functions.deformable_convolution_2d_sampler``.

    Arrays are all NumPy's, or all pyopencl's on one queue: then nothing is copied to the host and nothing is waited for.

    Parameters
    ----------
    x : array, (n, c_I, h, w)
        float16, bfloat16, float32 or float64.
    offset : array, (n, 2*k_H*k_W, h_O, w_O)
        In pixels. The first k_H*k_W channels are horizontal (x), the last vertical (y).
    W : array, (c_O, c_I, k_H, k_W)
    b : array, (c_O,), optional
    stride, pad : int or pair (y, x)
    nonfinite, precision, device, queue, out
        As in `deform_conv2d`.

    Returns
    -------
    array, (n, c_O, h_O, w_O)
        Of the kind and dtype of x.

    Raises
    ------
    ProblemError
        If an argument doesn't fit the others; as in Chainer it is a ValueError if offset.shape[1] is not 2*k_H*k_W.
    UnsupportedError, BuildError, DeviceError, OutOfMemoryError
        As `deform_conv2d`.
    """
    _check(x, offset, W, b)
    stride, pad = pairs(stride, "stride"), pairs(pad, "pad", 0)
    with _chainer_names():
        return deform_conv2d(
            x, _interleaved(offset), W, b, stride, pad,
            convention="chainer", nonfinite=nonfinite, precision=precision, device=device, queue=queue, out=out,
        )  # fmt: skip


def deformable_convolution_2d_sampler_backward(
    gy: Any, x: Any, offset: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0,
    *, needs: Iterable[str] | None = None, deterministic: bool = False, nonfinite: str = "propagate", precision: str | None = None,
    device: Any = None, queue: Any = None,
) -> SamplerGradients:  # fmt: skip
    """Gradients of sum(gy * y) for y of `deformable_convolution_2d_sampler`; other parameters as there.

    As in Chainer the gradient of an offset is zero unless its coordinate is within the padded image and a pixel around it, each
    axis by itself.

    Parameters
    ----------
    gy : array, (n, c_O, h_O, w_O)
    needs : collection of {"x", "offset", "W", "b"}, optional
        The gradients to compute; None means all that were given.
    deterministic : bool
        Bit-identical gradients from run to run on one device.

    Returns
    -------
    SamplerGradients
        Arrays in the shapes and dtypes of the operands, the offset's in Chainer's order; None for what was not needed or not given.

    Raises
    ------
    ProblemError
        As `deformable_convolution_2d_sampler`, and for names in `needs` that are no operands.
    UnsupportedError, BuildError, DeviceError, OutOfMemoryError
        As `deform_conv2d`.
    """
    _check(x, offset, W, b)
    stride, pad = pairs(stride, "stride"), pairs(pad, "pad", 0)
    with _chainer_names():
        gradients = deform_conv2d_backward(
            gy, x, _interleaved(offset), W, b, stride, pad, needs=_needs(needs), deterministic=deterministic,
            convention="chainer", nonfinite=nonfinite, precision=precision, device=device, queue=queue,
        )  # fmt: skip
    grad_offset = None if gradients.offset is None else _separated(gradients.offset, getattr(offset, "allocator", None))
    return SamplerGradients(gradients.input, grad_offset, gradients.weight, gradients.bias)


def _check(x: Any, offset: Any, W: Any, b: Any) -> None:
    """Check what `deform_conv2d` would take for groups or offset groups, which Chainer's function has not."""
    is_device_array({"x": x, "offset": offset, "W": W, "b": b})
    for name, array, dimensions in (("x", x, (3, 4)), ("offset", offset, (3, 4)), ("W", W, (4,))):
        if array is None or array.ndim not in dimensions:
            raise ProblemError(f"{name}: expected an array of 4 dimensions, got {'None' if array is None else f'shape {array.shape}'}")
    kernel_y, kernel_x = W.shape[2:]
    if offset.shape[-3] != 2 * kernel_y * kernel_x:
        expected = f"2*k_H*k_W = {2 * kernel_y * kernel_x} channels for a {kernel_y}x{kernel_x} kernel"
        raise ProblemError(f"offset: expected {expected}, got shape {offset.shape}")
    if W.shape[1] != x.shape[-3]:
        raise ProblemError(f"W: expected W.shape[1] = {x.shape[-3]}, the channels of x, got shape {W.shape}")


def _needs(needs: Iterable[str] | None) -> list[str] | None:
    if needs is None:
        return None
    names = list(needs) if isinstance(needs, Iterable) and not isinstance(needs, str) else [needs]
    for name in names:
        if name not in tuple(_OPERANDS):
            raise ProblemError(f"needs: expected names among {', '.join(_OPERANDS)}, got {name!r}")
    return [_OPERANDS[name] for name in names]


@contextmanager
def _chainer_names() -> Iterator[None]:
    """Let errors begin with the argument's name as the caller wrote it."""
    try:
        yield
    except ProblemError as error:
        raise ProblemError(re.sub(r"^\w+", lambda name: _CHAINER.get(name[0], name[0]), str(error))) from error


def _interleaved(offset: Any) -> Any:
    """Offsets in the order of `deform_conv2d`, (dy, dx) of each tap."""
    taps, result = offset.shape[-3] // 2, _empty_like(offset, None)
    _assign(result[..., 0::2, :, :], offset[..., taps:, :, :])
    _assign(result[..., 1::2, :, :], offset[..., :taps, :, :])
    return result


def _separated(offset: Any, allocator: Any) -> Any:
    """Offsets in Chainer's order, all x, then all y."""
    taps, result = offset.shape[-3] // 2, _empty_like(offset, allocator)
    _assign(result[..., taps:, :, :], offset[..., 0::2, :, :])
    _assign(result[..., :taps, :, :], offset[..., 1::2, :, :])
    return result


def _empty_like(offset: Any, allocator: Any) -> Array:
    """A row-major array of the same kind, on the same queue.

    A temporary must not come from the caller's allocator: a pool would lend its memory again before the commands that use it have run.
    """
    if isinstance(offset, cla.Array):
        return cla.Array(offset.queue, offset.shape, offset.dtype, allocator=allocator)
    return np.empty(offset.shape, offset.dtype)


def _assign(destination: Any, source: Any) -> None:
    if isinstance(destination, cla.Array):
        copy(source, destination)
    else:
        destination[...] = source
