"""The plain functions: normalise the arguments and hand on to a plan that is kept for their shape."""

from typing import Any

import pyopencl as cl

from clconv.arrays import common_queue, is_device_array
from clconv.geometry import flag
from clconv.gradients import Gradients
from clconv.operands import problem_of
from clconv.plan import Plan, plan_of
from clconv.queues import queue_for


def deform_conv2d(
    input: Any,
    offset: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    mask: Any = None,
    *,
    convention: str = "torchvision",
    nonfinite: str = "propagate",
    precision: str | None = None,
    device: Any = None,
    queue: cl.CommandQueue | None = None,
    out: Any = None,
) -> Any:
    """Deformable convolution, v1 or (with a mask) v2, as `torchvision.ops.deform_conv2d`.

    ``out[n,o,y,x] = bias[o] + sum over channels c of o's group, taps k: weight[o,c,k] * mask[n,g(c),k,y,x] * B(input[n,c], at)``:
    "at" is the tap's position plus its offset, B interpolates bilinearly between pixels, and the image is extended by zeros
    (Dai et al. 2017; Zhu et al. 2019 for the mask).

    Parameters
    ----------
    input : ndarray or pyopencl.array.Array
        (N, C, H, W), or (C, H, W) for one image; float16, bfloat16 (ml_dtypes), float32 or float64; any strides.
    offset : array of the same kind
        (N, 2*OG*KH*KW, OH, OW), in pixels: channels 2*(g*KH*KW + k) and the next are dy and dx of tap k for the channels of offset group g.
        OG is inferred. May be float32 beside half data.
    weight : array
        (O, C/groups, KH, KW); groups is inferred.
    bias : array, optional
        (O,).
    stride, dilation : int or pair (y, x)
    padding : int, pair, "valid", "same" or ((top, bottom), (left, right))
        "same" needs stride 1; an odd pixel goes to the end.
    mask : array, optional
        (N, OG*KH*KW, OH, OW): factors of the samples, as they are (no sigmoid). May be float32 beside half data.
    convention : {"torchvision", "chainer", "mmcv", "openvino"}
        Whose rules hold at the border and for the gradient of the offset; never changes the layout.
    nonfinite : {"propagate", "zero", "raise"}
        What a NaN coordinate samples: NaN, 0, or ProblemError before anything is computed (with device arrays, this waits).
        An infinite coordinate is far outside and samples 0.
    precision : {None, "tf32"}
        None: the element type's own accuracy. "tf32": float32 products may be rounded to TF32 where that is faster.
    device : None, str, pyopencl.Device or Device
        Where to run with NumPy arrays: "0:1", a part of a name, "gpu", "cpu". None asks CLCONV_DEVICE, then PYOPENCL_CTX, then takes
        the best.
    queue : pyopencl.CommandQueue, optional
        Queue to run on; pyopencl arrays bring theirs.
    out : array, optional
        Where to put the result, of its shape and type; any strides.

    Returns
    -------
    array of the kind of `input`
        (N, O, OH, OW), or (O, OH, OW). A pyopencl array carries its event; nothing has waited for it.

    Raises
    ------
    ProblemError
        An argument is wrong: it is named, with what was expected.
    UnsupportedError
        The device can't do it, such as float64 without fp64.
    DeviceError, BuildError, OutOfMemoryError
        No such device, or its driver failed.
    """
    arrays = {"input": input, "offset": offset, "weight": weight, "bias": bias, "mask": mask}
    options = {"stride": stride, "padding": padding, "dilation": dilation, "convention": convention, "nonfinite": nonfinite}
    plan = _plan(arrays, False, device, queue, convolution=False, precision=precision, **options)
    return plan.forward(**arrays, out=out)


def deform_conv2d_backward(
    grad_output: Any,
    input: Any,
    offset: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    mask: Any = None,
    *,
    needs: Any = None,
    deterministic: bool = False,
    convention: str = "torchvision",
    nonfinite: str = "propagate",
    precision: str | None = None,
    device: Any = None,
    queue: cl.CommandQueue | None = None,
    out: Any = None,
) -> Gradients:
    """Gradients of `deform_conv2d`.

    Parameters
    ----------
    grad_output : array
        Gradient of the output, of its shape (N, O, OH, OW) and the type of `input`.
    needs : iterable of str, optional
        Out of "input", "offset", "weight", "bias", "mask": only these are computed. None: all that were given.
    deterministic : bool
        Bit-identical gradients from run to run on one device; otherwise float atomics may be used.
    out : Gradients or mapping from names to arrays, optional
        Where to put gradients, such as those of an earlier call: on some drivers fresh memory costs as much as a small layer. None, or
        no entry, is fresh memory; what `needs` leaves out stays as it is.
    input, offset, weight, bias, stride, padding, dilation, mask, convention, nonfinite, precision, device, queue
        As in `deform_conv2d`.

    Returns
    -------
    Gradients
        Named tuple (input, offset, weight, bias, mask), each in the shape and type of what it belongs to; None for what was not
        needed or not given.

    Raises
    ------
    ProblemError, UnsupportedError, DeviceError, BuildError, OutOfMemoryError
        As `deform_conv2d`.
    """
    arrays = {"input": input, "offset": offset, "weight": weight, "bias": bias, "mask": mask}
    options = {"stride": stride, "padding": padding, "dilation": dilation, "convention": convention, "nonfinite": nonfinite}
    plan = _plan(arrays, deterministic, device, queue, convolution=False, precision=precision, **options)
    return plan.backward(grad_output, **arrays, needs=needs, out=out)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    *,
    precision: str | None = None,
    device: Any = None,
    queue: cl.CommandQueue | None = None,
    out: Any = None,
) -> Any:
    """Ordinary convolution: `deform_conv2d` without offsets; parameters, results and errors as there."""
    arrays = {"input": input, "weight": weight, "bias": bias}
    plan = _plan(arrays, False, device, queue, convolution=True, precision=precision, stride=stride, padding=padding, dilation=dilation)
    return plan.forward(**arrays, out=out)


def conv2d_backward(
    grad_output: Any,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    *,
    needs: Any = None,
    deterministic: bool = False,
    precision: str | None = None,
    device: Any = None,
    queue: cl.CommandQueue | None = None,
    out: Any = None,
) -> Gradients:
    """Gradients of `conv2d`; parameters, results and errors as in `deform_conv2d_backward`, offset and mask are None."""
    arrays = {"input": input, "weight": weight, "bias": bias}
    plan = _plan(
        arrays, deterministic, device, queue, convolution=True, precision=precision, stride=stride, padding=padding, dilation=dilation
    )
    return plan.backward(grad_output, **arrays, needs=needs, out=out)


def _plan(arrays: dict[str, Any], deterministic: bool, device: Any, queue: cl.CommandQueue | None, **options: Any) -> Plan:
    """The kept plan for these operands, on their queue or the named device."""
    problem = problem_of(arrays, **options)
    if is_device_array(arrays):
        queue = common_queue(arrays, queue)
    return plan_of(problem, flag(deterministic, "deterministic"), queue_for(device, queue))
