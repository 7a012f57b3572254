"""ONNX's operator DeformConv (opsets 19 and 22) for `onnx.reference.ReferenceEvaluator`."""

from collections.abc import Sequence
from typing import Any

from clconv.api import deform_conv2d
from clconv.arrays import NumpyArray
from clconv.errors import ProblemError

try:
    from onnx.reference.op_run import OpRun
except ImportError as error:
    raise ImportError("clconv.onnx needs ONNX: install it with `pip install 'clconv[onnx]'`") from error


class DeformConv(OpRun):  # type: ignore[misc,unused-ignore]  # its base is Any where onnx is not installed
    """DeformConv of two spatial dimensions by `clconv.deform_conv2d`.

    Attributes
    ----------
    device : None, str, pyopencl.Device or Device
        Where all nodes run, as in `clconv.deform_conv2d`; set it on the class.

    Examples
    --------
    >>> evaluator = onnx.reference.ReferenceEvaluator(model, new_ops=[clconv.onnx.DeformConv])
    """

    device: Any = None

    def _run(
        self,
        X: NumpyArray,
        W: NumpyArray,
        offset: NumpyArray,
        B: NumpyArray | None = None,
        mask: NumpyArray | None = None,
        *,
        dilations: Sequence[int] | None = None,
        group: int = 1,
        kernel_shape: Sequence[int] | None = None,
        offset_group: int = 1,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[NumpyArray]:
        """What the evaluator calls, with the node's inputs and attributes; (N, oC, oH, oW)."""
        for name, array in {"X": X, "W": W, "offset": offset}.items():
            if array.ndim != 4:
                raise ProblemError(f"{name}: expected 4 dimensions, for two are spatial, got shape {array.shape}")
        channels, taps = W.shape[1], W.shape[2] * W.shape[3]
        if kernel_shape is not None and tuple(kernel_shape) != W.shape[2:]:
            raise ProblemError(f"kernel_shape: expected {W.shape[2:]} as W.shape[2:] is, got {tuple(kernel_shape)}")
        if X.shape[1] != group * channels:
            raise ProblemError(f"X: expected group*W.shape[1] = {group}*{channels} channels, got shape {X.shape}")
        if offset.shape[1] != 2 * offset_group * taps:
            raise ProblemError(f"offset: expected 2*offset_group*kH*kW = 2*{offset_group}*{taps} channels, got shape {offset.shape}")
        padding = _padding(pads)
        return (deform_conv2d(X, offset, W, B, strides or (1, 1), padding, dilations or (1, 1), mask, device=self.device),)


def _padding(pads: Sequence[int] | None) -> tuple[tuple[int, int], tuple[int, int]]:
    """ONNX's (top, left, bottom, right) as ((top, bottom), (left, right))."""
    if pads is None:
        return (0, 0), (0, 0)
    if len(pads) != 4:
        raise ProblemError(f"pads: expected (top, left, bottom, right), got {tuple(pads)}")
    top, left, bottom, right = pads
    return (top, bottom), (left, right)
