"""NumPy float64 deformable convolution, forward and backward, written from the formula and independent of any kernel.

The formula, for output position (oy, ox), tap (i, j) and its offset (dy, dx):

    y = oy*stride_y - pad_y + i*dilation_y + dy          x = ox*stride_x - pad_x + j*dilation_x + dx
    output[n,o,oy,ox] = bias[o] + sum over c in o's group, sum over taps: weight[o,c,tap] * mask[n,tap,oy,ox] * B(input[n,c], y, x)

B is bilinear interpolation of the image extended by zeros. It is exactly 0 for samples far outside, whatever the image holds;
what multiplies it follows IEEE arithmetic.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from clconv.errors import ProblemError
from clconv.gradcheck import gradcheck
from clconv.gradients import Gradients
from clconv.problem import DTYPES, OPERANDS, Problem, Shape, check_shape, infer_offset_groups
from clconv.samples import Array, Integers, Samples, locate

__all__ = ["backward_magnitude", "conv2d", "conv2d_backward", "deform_conv2d", "deform_conv2d_backward", "forward_magnitude", "gradcheck"]


def deform_conv2d(
    input: Any, offset: Any, weight: Any, bias: Any = None,
    stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1), mask: Any = None,
    *, convention: str = "torchvision", nonfinite: str = "propagate",
) -> Array:  # fmt: skip
    """Deformable convolution v1 (without mask, Dai et al. 2017) and v2 (with mask, Zhu et al. 2019) in float64.

    Parameters
    ----------
    input : array_like, (N, C, H, W)
    offset : array_like, (N, 2*OG*KH*KW, OH, OW), or None
        In pixels. Channel 2*(g*KH*KW + i*KW + j) holds dy of offset group g and tap (i, j), the next one dx. None is an ordinary
        convolution, that doesn't interpolate: padding contributes 0.
    weight : array_like, (O, C/groups, KH, KW)
    bias : array_like, (O,), optional
    stride, dilation : int or pair (y, x)
    padding : int, pair (y, x), ((top, bottom), (left, right)), "valid" or "same"
    mask : array_like, (N, OG*KH*KW, OH, OW), optional
        Raw factors of the samples.
    convention : {"torchvision", "chainer", "mmcv", "openvino"}
        The system whose border rule and offset-gradient gate are used; never the layout.
    nonfinite : {"propagate", "zero", "raise"}
        What a sample with a NaN coordinate is: NaN, 0, or an error; "raise" refuses NaN and infinities in the other operands, too.
        An infinite coordinate is far outside.

    Returns
    -------
    float64 array, (N, O, OH, OW)

    Raises
    ------
    ProblemError
        If an argument doesn't fit the others, or with nonfinite="raise" the first position that isn't finite.
    """
    return _forward(_prepare(input, offset, weight, bias, stride, padding, dilation, mask, convention=convention, nonfinite=nonfinite))


def deform_conv2d_backward(
    grad_output: Any, input: Any, offset: Any, weight: Any, bias: Any = None,
    stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1), mask: Any = None,
    *, needs: Collection[str] | None = None, convention: str = "torchvision", nonfinite: str = "propagate",
) -> Gradients:  # fmt: skip
    """Gradients of sum(grad_output * output), in float64; parameters as in `deform_conv2d`.

    Parameters
    ----------
    grad_output : array_like, (N, O, OH, OW)
    needs : collection of {"input", "offset", "weight", "bias", "mask"}, optional
        The gradients to compute; None means all that were given.

    Returns
    -------
    Gradients
        Float64 arrays in the shapes of the operands; None for what was not needed or not given.

    Raises
    ------
    ProblemError
        As `deform_conv2d`, and for names in `needs` that are no operands.
    """
    layer = _prepare(input, offset, weight, bias, stride, padding, dilation, mask, convention=convention, nonfinite=nonfinite)
    return _backward(layer, grad_output, needs)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1),
    *, nonfinite: str = "propagate",
) -> Array:  # fmt: skip
    """Ordinary convolution: `deform_conv2d` without offsets."""
    return deform_conv2d(input, None, weight, bias, stride, padding, dilation, nonfinite=nonfinite)


def conv2d_backward(
    grad_output: Any, input: Any, weight: Any, bias: Any = None, stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1),
    *, needs: Collection[str] | None = None, nonfinite: str = "propagate",
) -> Gradients:  # fmt: skip
    """Gradients of an ordinary convolution: `deform_conv2d_backward` without offsets; `offset` and `mask` are None."""
    return deform_conv2d_backward(grad_output, input, None, weight, bias, stride, padding, dilation, needs=needs, nonfinite=nonfinite)


def forward_magnitude(*operands: Any, **options: Any) -> Array:
    """Sum of the absolute values of all terms that `deform_conv2d` adds up for each output, for the same arguments.

    An implementation that accumulates in a type of precision eps is right if `error <= factor * eps * magnitude`. It is the
    same formula on absolute values, with a plus for every minus: 1 - fx, too, is a sum of two rounded terms.
    """
    return _forward(_prepare(*operands, **options, absolute=True))


def backward_magnitude(grad_output: Any, *operands: Any, needs: Collection[str] | None = None, **options: Any) -> Gradients:
    """Sums of the absolute values of all terms of each gradient, for the arguments of `deform_conv2d_backward`."""
    return _backward(_prepare(*operands, **options, absolute=True), grad_output, needs)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A problem with its operands; G offset groups (1 without offsets), K taps, P = OH*OW output positions."""

    problem: Problem
    image: Array  # (N, G, C/G, H*W + 1): the last pixel is 0 and stands for all that lies outside
    offset: Array | None  # (N, G, K, 2, P)
    weight: Array  # (K, groups, O/groups, C/groups)
    bias: Array  # (O, 1, 1)
    mask: Array  # (N, G, K, 1, P), or ones that broadcast to it
    absolute: bool  # whether magnitudes are added up

    def samples(self) -> Iterator[tuple[int, Samples]]:
        """Each tap with its samples."""
        for tap in range(self.problem.taps):
            yield tap, locate(self.problem, tap, None if self.offset is None else self.offset[:, :, tap], 1.0 if self.absolute else -1.0)

    def addresses(self, pixel: Integers) -> Integers:
        """Indices into the flat `image`, (2, 2, N, G, C/G, P), of these pixels in every channel."""
        *planes, step = self.image.shape
        starts: Integers = np.arange(prod(planes)).reshape(*planes, 1) * step
        return starts + pixel[..., None, :]

    def corners(self, samples: Samples) -> Array:
        """The image's values at the samples' corners, (2, 2, N, G, C/G, P)."""
        return self.image.ravel()[self.addresses(samples.pixel)]

    def column(self, tap: int, samples: Samples) -> Array:
        """What the weights are multiplied by, mask * B, (N, groups, C/groups, P)."""
        p = self.problem
        column = self.mask[:, :, tap] * _blend(samples.weight, self.corners(samples))
        return column.reshape(p.batch, p.groups, p.group_in, column.shape[-1])

    def grad_column(self, tap: int, grad_output: Array) -> Array:
        """Gradient of `column`, (N, G, C/G, P)."""
        *planes, _ = self.image.shape
        columns: Array = self.weight[tap].swapaxes(-1, -2) @ grad_output
        return columns.reshape(*planes, grad_output.shape[-1])


def _prepare(
    input: Any, offset: Any, weight: Any, bias: Any = None,
    stride: Any = (1, 1), padding: Any = (0, 0), dilation: Any = (1, 1), mask: Any = None,
    *, convention: str = "torchvision", nonfinite: str = "propagate", absolute: bool = False,
) -> _Layer:  # fmt: skip
    operands = {"input": input, "offset": offset, "weight": weight, "bias": bias, "mask": mask}
    arrays = {name: _float64(name, value) for name, value in operands.items() if value is not None}
    problem = _problem(arrays, stride=stride, padding=padding, dilation=dilation, convention=convention, nonfinite=nonfinite)
    for name, array in arrays.items():
        check_shape(problem, name, array.shape)
        if nonfinite == "raise":
            _refuse_nonfinite(name, array)
        arrays[name] = np.abs(array) if absolute and name != "offset" else array
    return _layer(problem, arrays, absolute)


def _float64(name: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.name not in DTYPES:
        raise ProblemError(f"{name}: expected an array of {', '.join(DTYPES)}, got {array.dtype.name}")
    return array.astype(np.float64)


def _problem(arrays: Mapping[str, Array], **options: Any) -> Problem:
    if missing := {"input", "weight"} - set(arrays):
        raise ProblemError(f"{min(missing)}: expected an array, got None")
    input, offset, weight = arrays["input"], arrays.get("offset"), arrays["weight"]
    groups = None
    if offset is not None:
        for name in ("weight", "offset"):
            if arrays[name].ndim != 4:
                raise ProblemError(f"{name}: expected four dimensions, got shape {arrays[name].shape}")
        groups = infer_offset_groups(offset.shape, *weight.shape[2:])
    return Problem.create(
        input.shape, weight.shape, offset_groups=groups, mask="mask" in arrays, bias="bias" in arrays,
        dtypes=dict.fromkeys(arrays, "float64"), **options,
    )  # fmt: skip


def _refuse_nonfinite(name: str, array: Array) -> None:
    """An infinite offset is far outside; everything else must be finite."""
    refused = np.isnan(array) if name == "offset" else ~np.isfinite(array)
    if refused.any():
        first = tuple(int(index) for index in np.argwhere(refused)[0])
        what = "no NaN" if name == "offset" else "finite values"
        raise ProblemError(f"{name}: expected {what} (nonfinite='raise'), got {array[first]} first at {first}")


def _layer(problem: Problem, arrays: Mapping[str, Array], absolute: bool) -> _Layer:
    p, groups, pixels = problem, problem.sample_groups, problem.out_height * problem.out_width
    image = arrays["input"].reshape(p.batch, groups, p.in_channels // groups, p.height * p.width)
    weight = arrays["weight"].reshape(p.groups, p.group_out, p.group_in, p.taps)
    offset, mask = arrays.get("offset"), arrays.get("mask")
    return _Layer(
        problem=problem,
        image=np.pad(image, ((0, 0), (0, 0), (0, 0), (0, 1))),
        offset=None if offset is None else offset.reshape(p.batch, groups, p.taps, 2, pixels),
        weight=np.ascontiguousarray(np.moveaxis(weight, -1, 0)),
        bias=arrays.get("bias", np.zeros(p.out_channels)).reshape(p.out_channels, 1, 1),
        mask=np.ones((1, 1, p.taps, 1, 1)) if mask is None else mask.reshape(p.batch, groups, p.taps, 1, pixels),
        absolute=absolute,
    )


def _blend(weight: Array, corners: Array) -> Array:
    """Sum over the corners, (N, G, C/G, P): B for a sample's weights, a derivative of B for its slopes."""
    total: Array = np.einsum("yxngp,yxngcp->ngcp", weight, corners)
    return total


def _forward(layer: _Layer) -> Array:
    shape = layer.problem.shapes()["output"]
    with np.errstate(invalid="ignore", over="ignore"):
        output: Array = sum(layer.weight[tap] @ layer.column(tap, samples) for tap, samples in layer.samples())
        return output.reshape(shape) + layer.bias


def _backward(layer: _Layer, grad_output: Any, needs: Collection[str] | None) -> Gradients:
    p, shapes = layer.problem, _needed(layer.problem, needs)
    grad = _float64("grad_output", grad_output)
    check_shape(p, "output", grad.shape, label="grad_output")
    if p.nonfinite == "raise":
        _refuse_nonfinite("grad_output", grad)
    grad = (np.abs(grad) if layer.absolute else grad).reshape(p.batch, p.groups, p.group_out, p.out_height * p.out_width)
    with np.errstate(invalid="ignore", over="ignore"):
        return Gradients(*(_GRADIENTS[name](layer, grad).reshape(shapes[name]) if name in shapes else None for name in Gradients._fields))


def _needed(problem: Problem, needs: Collection[str] | None) -> dict[str, Shape]:
    """Shapes of the gradients to compute: of what is needed and was given."""
    given = {name: problem.shapes()[name] for name in problem.operands()}
    if needs is None:
        return given
    names = {needs} if isinstance(needs, str) else set(needs)
    if unknown := names - set(OPERANDS):
        raise ProblemError(f"needs: expected names out of {', '.join(OPERANDS)}, got {', '.join(sorted(map(repr, unknown)))}")
    return {name: shape for name, shape in given.items() if name in names}


def _grad_input(layer: _Layer, grad_output: Array) -> Array:
    """Each corner receives the sample's gradient, times its weight."""
    grad = np.zeros(layer.image.size)
    for tap, samples in layer.samples():
        sample = layer.mask[:, :, tap] * layer.grad_column(tap, grad_output)
        scattered = samples.weight[..., None, :] * sample
        grad += np.bincount(layer.addresses(samples.pixel).ravel(), scattered.ravel(), minlength=grad.size)
    return grad.reshape(layer.image.shape)[..., :-1]


def _grad_offset(layer: _Layer, grad_output: Array) -> Array:
    """Sum over channels of the sample's gradient times B's derivative, which is 0 where the convention's gate is shut."""
    grads = []
    for tap, samples in layer.samples():
        sample, corners = layer.mask[:, :, tap] * layer.grad_column(tap, grad_output), layer.corners(samples)
        for slope, gate in zip(samples.slopes, samples.gates, strict=True):
            derivative = np.where(gate[:, :, None], _blend(slope, corners), 0.0)
            grads.append(np.sum(sample * derivative, axis=2))
    return np.stack(grads, axis=2)


def _grad_weight(layer: _Layer, grad_output: Array) -> Array:
    columns = (layer.column(tap, samples) for tap, samples in layer.samples())
    return np.stack([np.sum(grad_output @ column.swapaxes(-1, -2), axis=0) for column in columns], axis=-1)


def _grad_bias(layer: _Layer, grad_output: Array) -> Array:
    grad: Array = np.sum(grad_output, axis=(0, 3))
    return grad


def _grad_mask(layer: _Layer, grad_output: Array) -> Array:
    """Sum over channels of the gradient of mask * B, times B."""
    grads = []
    for tap, samples in layer.samples():
        grads.append(np.sum(layer.grad_column(tap, grad_output) * _blend(samples.weight, layer.corners(samples)), axis=2))
    return np.stack(grads, axis=2)


_GRADIENTS = {"input": _grad_input, "offset": _grad_offset, "weight": _grad_weight, "bias": _grad_bias, "mask": _grad_mask}
