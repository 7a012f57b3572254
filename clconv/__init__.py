"""clconv: deformable convolution, forward and backward, on any OpenCL device."""

from clconv import logs, reference
from clconv.api import conv2d, conv2d_backward, deform_conv2d, deform_conv2d_backward
from clconv.device import Device, devices
from clconv.errors import BuildError, ClconvError, DeviceError, OutOfMemoryError, ProblemError, UnsupportedError
from clconv.gradients import Gradients, SamplerGradients
from clconv.plan import Plan

__version__ = "0.1.0"

logs.configure()

__all__ = [
    "BuildError",
    "ClconvError",
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
    "devices",
    "reference",
]
