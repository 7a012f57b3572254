"""clconv: deformable convolution, forward and backward, on any OpenCL device."""

from clconv import logs, reference
from clconv.api import conv2d, conv2d_backward, deform_conv2d, deform_conv2d_backward
from clconv.device import Device, devices
from clconv.errors import BuildError, ClconvError, DeviceError, OutOfMemoryError, ProblemError, UnsupportedError
from clconv.gradients import Gradients, SamplerGradients
from clconv.layers import DeformableConvolution2D, DeformConv2d
from clconv.plan import Plan
from clconv.sampler import deformable_convolution_2d_sampler, deformable_convolution_2d_sampler_backward

__version__ = "0.1.0"

logs.configure()

__all__ = [
    "BuildError",
    "ClconvError",
    "DeformConv2d",
    "DeformableConvolution2D",
    "Device",
    "DeviceError",
    "Gradients",
    "OutOfMemoryError",
    "Plan",
    "ProblemError",
    "SamplerGradients",
    "UnsupportedError",
    "conv2d",
    "conv2d_backward",
    "deform_conv2d",
    "deform_conv2d_backward",
    "deformable_convolution_2d_sampler",
    "deformable_convolution_2d_sampler_backward",
    "devices",
    "reference",
]
