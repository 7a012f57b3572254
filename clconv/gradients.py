"""What the backward passes return."""

from typing import Any, NamedTuple


class Gradients(NamedTuple):
    """Gradients of the operands of `deform_conv2d`, each an array of its operand's shape.

    None for what was not needed or not given. The kind of array (NumPy, pyopencl) is that of the operands.
    """

    input: Any
    offset: Any
    weight: Any
    bias: Any
    mask: Any


class SamplerGradients(NamedTuple):
    """Gradients of the operands of `deformable_convolution_2d_sampler`, under Chainer's names; `b` is None without a bias."""

    x: Any
    offset: Any
    W: Any
    b: Any
