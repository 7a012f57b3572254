"""One size of the pictures: parameters in, error and its gradient out, through deform_conv2d and its backward."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import clconv
from clconv.demo.scene import resized
from clconv.demo.spline import SplineOffsets, roughness
from clconv.device import Device

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_POINTS = 12
"""Control points of the offsets along each side of the picture."""

_ROUGHNESS = 8e-5
"""What the control points' roughness costs beside the mean squared error, by pixels of height: coarse pictures tell less."""

_OFFSET_UNIT, _WEIGHT_UNIT = 0.02, 0.1
"""What a parameter of 1 stands for, in sides of the picture and in weight: L-BFGS starts as if all parameters mattered alike."""


@dataclass(frozen=True, slots=True)
class Level:
    """The deformable convolution from source to target at one size of the pictures.

    Its parameters are one vector, as optimisers want it: the control points of the offsets, then the change of the weight from the
    identity. The vector is the same at every size.

    Attributes
    ----------
    source : float32 array, (1, in_channels, height + kernel - 1, width + kernel - 1)
        Its edge pixels repeated.
    target : float32 array, (1, out_channels, height, width)
    spline : SplineOffsets
    learns_weight : bool
    device : Device or None
    """

    source: Floats
    target: Floats
    spline: SplineOffsets
    learns_weight: bool
    device: Device | None

    @staticmethod
    def of(source: Floats, target: Floats, height: int, kernel: int, device: Device | None) -> "Level":
        """Resample the pictures (channels, height, width) to a height. The weight is learned at the pictures' own height only."""
        width = round(height * target.shape[2] / target.shape[1])
        edge = kernel // 2
        padded = np.pad(resized(source, height, width), ((0, 0), (edge, edge), (edge, edge)), mode="edge")
        spline = SplineOffsets.of(height, width, kernel, _POINTS)
        return Level(padded[None], resized(target, height, width)[None], spline, height == target.shape[1], device)

    @property
    def start(self) -> Doubles:
        """Parameters of the identity: no offsets, no change of the weight."""
        return np.zeros(2 * _POINTS**2 + self._identity.size)

    def offset(self, parameters: Doubles) -> Floats:
        """Offsets (1, 2*kernel*kernel, height, width) in pixels."""
        return self.spline.offset((_points(parameters) * _OFFSET_UNIT).astype(np.float32))

    def weight(self, parameters: Doubles) -> Floats:
        """Weight (out_channels, in_channels, kernel, kernel)."""
        change = parameters[2 * _POINTS**2 :].reshape(self._identity.shape)
        return (self._identity + change * _WEIGHT_UNIT).astype(np.float32)

    def forward(self, parameters: Doubles) -> Floats:
        """The layer's picture (1, out_channels, height, width)."""
        return np.asarray(clconv.deform_conv2d(self.source, self.offset(parameters), self.weight(parameters), device=self.device))

    def error(self, parameters: Doubles) -> tuple[float, Doubles]:
        """Mean squared error, plus what roughness costs, and its gradient."""
        offset, weight = self.offset(parameters), self.weight(parameters)
        residual = clconv.deform_conv2d(self.source, offset, weight, device=self.device) - self.target
        gradients = clconv.deform_conv2d_backward(
            residual * (2 / residual.size), self.source, offset, weight, needs=self._needs, device=self.device
        )
        cost, slope = roughness(_points(parameters))
        price = _ROUGHNESS / self.target.shape[2]
        points = self.spline.gradient(gradients.offset) * _OFFSET_UNIT + slope * price
        change = gradients.weight * _WEIGHT_UNIT if self.learns_weight else np.zeros(weight.size)
        return float(np.mean(residual**2)) + cost * price, np.concatenate([points, change], axis=None, dtype=np.float64)

    @property
    def _needs(self) -> tuple[str, ...]:
        return ("offset", "weight") if self.learns_weight else ("offset",)

    @property
    def _identity(self) -> Floats:
        """The weight that copies channel c of the source's middle tap to channel c of the output."""
        kernel, (_, out_channels, _, _) = self.spline.kernel, self.target.shape
        identity = np.zeros((out_channels, self.source.shape[1], kernel, kernel), np.float32)
        identity[:, :, kernel // 2, kernel // 2] = np.eye(*identity.shape[:2])
        return identity


def _points(parameters: Doubles) -> Doubles:
    return parameters[: 2 * _POINTS**2].reshape(2, _POINTS, _POINTS)
