"""torchvision's and Chainer's layers: parameters in NumPy, gradients by this library."""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np
from numpy.typing import NDArray

from clconv.api import conv2d, conv2d_backward, deform_conv2d, deform_conv2d_backward
from clconv.errors import ClconvError, ProblemError
from clconv.geometry import flag, integer, normalise_padding, pairs
from clconv.initialisers import Filler, Initialiser, filler, lecun_normal, random_generator, within, zero
from clconv.problem import DTYPES
from clconv.sampler import deformable_convolution_2d_sampler, deformable_convolution_2d_sampler_backward

Array: TypeAlias = NDArray[Any]


class InputGradients(NamedTuple):
    """Gradients of what `DeformConv2d` was called with; `mask` is None if there was none."""

    input: Array
    offset: Array
    mask: Array | None


class DeformConv2d:
    """The layer of ``torchvision.ops.DeformConv2d``, v1 and (with a mask) v2.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair (y, x)
    padding : int, pair (y, x), ((top, bottom), (left, right)), "valid" or "same"
    groups : int
        Convolution groups. Offset groups follow from the offset's channels at each call.
    bias : bool
        Whether a bias is added.
    dtype : {"float16", "bfloat16", "float32", "float64"} or numpy dtype
        Type of the parameters; the layer is called with arrays of this type.
    seed : int, optional
        Seed of the initial parameters; None draws others each time.
    device : None, str, pyopencl.Device or Device
        As in `deform_conv2d`.

    Attributes
    ----------
    weight : array, (out_channels, in_channels/groups, KH, KW)
        At first Kaiming-uniform with a = sqrt(5) (He et al. 2015): within 1/sqrt(fan_in), fan_in = in_channels/groups*KH*KW.
    bias : array, (out_channels,), or None
        At first uniform within 1/sqrt(fan_in).
    grads : dict
        Gradients of "weight" and "bias" that the last `backward` gave; each replaces the one before.

    Raises
    ------
    ProblemError
        If an argument is wrong, or doesn't fit the others.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
        bias: bool = True, *, dtype: Any = "float32", seed: int | None = None, device: Any = None,
    ) -> None:  # fmt: skip
        self.in_channels, self.out_channels = integer(in_channels, "in_channels", 1), integer(out_channels, "out_channels", 1)
        self.groups = _groups(groups, in_channels, out_channels)
        self.kernel_size = pairs(kernel_size, "kernel_size")
        self.stride, self.dilation = pairs(stride, "stride"), pairs(dilation, "dilation")
        self.padding = normalise_padding(padding, self.kernel_size, self.stride, self.dilation)
        self.dtype, self.device = _dtype(dtype), device
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        uniform = within(1 / np.sqrt(np.prod(shape[1:])), random_generator(seed))
        self.weight: Array = _filled(shape, self.dtype, uniform)
        self.bias: Array | None = _filled(shape[:1], self.dtype, uniform) if flag(bias, "bias") else None
        self.grads: dict[str, Array] = {}
        self._called: tuple[Array, Array, Array | None] | None = None

    def __call__(self, input: Array, offset: Array, mask: Array | None = None) -> Array:
        """Convolve, and keep the arguments (not copies of them) for `backward`.

        Parameters
        ----------
        input : NumPy array, (N, in_channels, H, W)
        offset : NumPy array, (N, 2*OG*KH*KW, OH, OW)
            In pixels, (dy, dx) interleaved.
        mask : NumPy array, (N, OG*KH*KW, OH, OW), optional

        Returns
        -------
        NumPy array, (N, out_channels, OH, OW)

        Raises
        ------
        ProblemError
            If an array doesn't fit the layer, or is not NumPy's: the parameters are.
        """
        _check_image("input", input, self.in_channels)
        output: Array = deform_conv2d(input, offset, self.weight, self.bias, mask=mask, **self._options())
        self._called = (input, offset, mask)
        return output

    def backward(self, grad_output: Array) -> InputGradients:
        """Gradients of sum(grad_output * output) for the last call; those of the parameters are left in `grads`.

        Parameters
        ----------
        grad_output : NumPy array, (N, out_channels, OH, OW)

        Raises
        ------
        ClconvError
            If the layer was not called yet.
        ProblemError
            If grad_output is not of the output's shape and dtype.
        """
        if self._called is None:
            raise ClconvError("DeformConv2d.backward: the layer was not called yet, there is no input to differentiate at")
        input, offset, mask = self._called
        gradients = deform_conv2d_backward(grad_output, input, offset, self.weight, self.bias, mask=mask, **self._options())
        self.grads = _present({"weight": gradients.weight, "bias": gradients.bias})
        return InputGradients(gradients.input, gradients.offset, gradients.mask)

    def _options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "device": self.device}

    def __repr__(self) -> str:
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        rest = f"dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}, dtype={self.dtype.name!r}"
        return f"DeformConv2d({sizes}, {rest})"


@dataclass(slots=True)
class Convolution:
    """Parameters of one convolution inside `DeformableConvolution2D`; None before they are sized, `b` also without bias."""

    W: Array | None = None
    b: Array | None = None


class DeformableConvolution2D:
    """The layer of ``chainer.links.DeformableConvolution2D``: a convolution that predicts the offsets, and the deformable one.

    Parameters
    ----------
    in_channels : int or None
        None: found at the first call.
    out_channels : int
    ksize, stride, pad : int or pair (y, x)
        For both convolutions.
    offset_nobias, deform_nobias : bool
        Whether the first, the second convolution goes without bias.
    offset_initialW, offset_initial_bias, deform_initialW, deform_initial_bias : None, number, array or callable
        Initial parameters: a number fills, an array is copied, a callable is given the array to fill. None means LeCun-normal
        (LeCun et al. 1998: standard deviation 1/sqrt(fan_in)) for offset_initialW, and zero for the three others.
    dtype : {"float16", "bfloat16", "float32", "float64"} or numpy dtype
        Type of the parameters; the layer is called with arrays of this type.
    seed : int, optional
        Seed of the initial parameters; None draws others each time.
    device : None, str, pyopencl.Device or Device
        As in `deform_conv2d`.

    Attributes
    ----------
    offset_conv, deform_conv : Convolution
        The parameters: ``offset_conv.W`` of shape (2*k_H*k_W, in_channels, k_H, k_W), which predicts all x, then all y, as
        Chainer orders them, ``offset_conv.b``, ``deform_conv.W`` and ``deform_conv.b``.
    grads : dict
        Gradients of "offset_conv/W", "offset_conv/b", "deform_conv/W" and "deform_conv/b" that the last `backward` gave; each
        replaces the one before.

    Raises
    ------
    ProblemError
        If an argument is wrong, or doesn't fit the others.
    """

    def __init__(
        self, in_channels: int | None, out_channels: int, ksize: Any, stride: Any = 1, pad: Any = 0,
        offset_nobias: bool = False, offset_initialW: Initialiser = None, offset_initial_bias: Initialiser = None,
        deform_nobias: bool = False, deform_initialW: Initialiser = None, deform_initial_bias: Initialiser = None,
        *, dtype: Any = "float32", seed: int | None = None, device: Any = None,
    ) -> None:  # fmt: skip
        self.out_channels = integer(out_channels, "out_channels", 1)
        self.ksize, self.stride, self.pad = pairs(ksize, "ksize"), pairs(stride, "stride"), pairs(pad, "pad", 0)
        self.dtype, self.device = _dtype(dtype), device
        self.offset_conv, self.deform_conv = Convolution(), Convolution()
        self._fill_offset_W = filler("offset_initialW", offset_initialW, lecun_normal(random_generator(seed)))
        self._fill_offset_b = None if flag(offset_nobias, "offset_nobias") else filler("offset_initial_bias", offset_initial_bias, zero)
        self._fill_deform_W = filler("deform_initialW", deform_initialW, zero)
        self._fill_deform_b = None if flag(deform_nobias, "deform_nobias") else filler("deform_initial_bias", deform_initial_bias, zero)
        self.grads: dict[str, Array] = {}
        self.in_channels: int | None = None
        self._called: tuple[Array, Array] | None = None
        if in_channels is not None:
            self._initialise(integer(in_channels, "in_channels", 1))

    def __call__(self, x: Array) -> Array:
        """Predict the offsets, convolve, and keep x (not a copy of it) for `backward`.

        Parameters
        ----------
        x : NumPy array, (n, in_channels, h, w)

        Returns
        -------
        NumPy array, (n, out_channels, h_O, w_O)

        Raises
        ------
        ProblemError
            If x doesn't fit the layer, or is not NumPy's: the parameters are.
        """
        _check_image("x", x, self.in_channels)
        if self.in_channels is None:
            self._initialise(x.shape[-3])
        first, second = self.offset_conv, self.deform_conv
        offset: Array = conv2d(x, first.W, first.b, self.stride, self.pad, device=self.device)
        output: Array = deformable_convolution_2d_sampler(x, offset, second.W, second.b, self.stride, self.pad, device=self.device)
        self._called = (x, offset)
        return output

    def backward(self, gy: Array) -> Array:
        """Gradient, for x, of sum(gy * y) for the last call; those of the parameters are left in `grads`.

        Parameters
        ----------
        gy : NumPy array, (n, out_channels, h_O, w_O)

        Raises
        ------
        ClconvError
            If the layer was not called yet.
        ProblemError
            If gy is not of the output's shape and dtype.
        """
        if self._called is None:
            raise ClconvError("DeformableConvolution2D.backward: the layer was not called yet, there is no x to differentiate at")
        (x, offset), first, second = self._called, self.offset_conv, self.deform_conv
        geometry = (self.stride, self.pad)
        deform = deformable_convolution_2d_sampler_backward(gy, x, offset, second.W, second.b, *geometry, device=self.device)
        predict = conv2d_backward(deform.offset, x, first.W, first.b, *geometry, device=self.device)
        of_offset_conv = {"offset_conv/W": predict.weight, "offset_conv/b": predict.bias}
        self.grads = _present({**of_offset_conv, "deform_conv/W": deform.W, "deform_conv/b": deform.b})
        grad_x: Array = deform.x + predict.input
        return grad_x

    def _initialise(self, in_channels: int) -> None:
        self.in_channels = in_channels
        offset_channels = 2 * self.ksize[0] * self.ksize[1]
        self.offset_conv = self._convolution(offset_channels, in_channels, self._fill_offset_W, self._fill_offset_b)
        self.deform_conv = self._convolution(self.out_channels, in_channels, self._fill_deform_W, self._fill_deform_b)

    def _convolution(self, out_channels: int, in_channels: int, fill_W: Filler, fill_b: Filler | None) -> Convolution:
        W = _filled((out_channels, in_channels, *self.ksize), self.dtype, fill_W)
        return Convolution(W, None if fill_b is None else _filled((out_channels,), self.dtype, fill_b))

    def __repr__(self) -> str:
        sizes = f"{self.in_channels}, {self.out_channels}, ksize={self.ksize}, stride={self.stride}, pad={self.pad}"
        biases = f"offset_nobias={self._fill_offset_b is None}, deform_nobias={self._fill_deform_b is None}"
        return f"DeformableConvolution2D({sizes}, {biases}, dtype={self.dtype.name!r})"


def _check_image(name: str, image: Any, channels: int | None) -> None:
    """The public functions would take other channels for groups."""
    if not isinstance(image, np.ndarray):
        came = f"{type(image).__module__}.{type(image).__name__}"
        raise ProblemError(f"{name}: expected a NumPy array, as the layer's parameters are, got {came}")
    if image.ndim not in (3, 4) or channels not in (None, image.shape[-3]):
        raise ProblemError(f"{name}: expected shape (N, {channels or 'C'}, H, W), got {image.shape}")


def _groups(groups: int, in_channels: int, out_channels: int) -> int:
    number = integer(groups, "groups", 1)
    if in_channels % number or out_channels % number:
        raise ProblemError(f"groups: expected a divisor of in_channels = {in_channels} and out_channels = {out_channels}, got {number}")
    return number


def _dtype(dtype: Any) -> np.dtype[Any]:
    try:
        found: np.dtype[Any] = np.dtype("V" if dtype is None else dtype)  # NumPy takes None for float64
    except TypeError:
        found = np.dtype("V")
    if found.name not in DTYPES:
        raise ProblemError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    return found


def _filled(shape: tuple[int, ...], dtype: np.dtype[Any], fill: Filler) -> Array:
    array: Array = np.zeros(shape, dtype)
    fill(array)
    return array


def _present(gradients: dict[str, Array | None]) -> dict[str, Array]:
    return {name: gradient for name, gradient in gradients.items() if gradient is not None}
