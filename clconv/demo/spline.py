"""Smooth offsets: a few control points, spread over a picture by cubic B-splines, and the transpose of that."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SplineOffsets:
    """Offsets of a deformable convolution without stride or padding, from a displacement field with control points.

    All taps look along one field u: the tap that would look at point q looks at q + u(q), so the kernel's grid bends with the field.
    The field is the tensor product of uniform cubic B-splines (the free-form deformation of Rueckert et al. 1999).

    Attributes
    ----------
    kernel : int
        Taps along each side, an odd number.
    down, across : float32 array, (height + kernel - 1, points) and (width + kernel - 1, points)
        Values of the splines on the rows and columns that taps stand on.
    """

    kernel: int
    down: Floats
    across: Floats

    @staticmethod
    def of(height: int, width: int, kernel: int, points: int) -> "SplineOffsets":
        """Spread points x points control points over an output of height x width pixels."""
        return SplineOffsets(kernel, _splines(height, kernel, points), _splines(width, kernel, points))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the output."""
        return len(self.down) - self.kernel + 1, len(self.across) - self.kernel + 1

    def offset(self, points: Floats) -> Floats:
        """Offsets (1, 2*kernel*kernel, height, width) in pixels for control points (2, points, points) in heights and widths."""
        field = self.down @ (points * self._pixels) @ self.across.T
        taps = sliding_window_view(field, self.shape, axis=(1, 2))
        return np.moveaxis(taps, 0, 2).reshape(1, -1, *self.shape)

    def gradient(self, grad_offset: Floats) -> Floats:
        """Gradient of the control points from that of the offsets: the transpose of `offset`."""
        height, width = self.shape
        field = np.zeros((2, len(self.down), len(self.across)), np.float32)
        for tap, grad in enumerate(grad_offset.reshape(-1, 2, height, width)):
            y, x = divmod(tap, self.kernel)
            field[:, y : y + height, x : x + width] += grad
        return np.asarray(self.down.T @ field @ self.across * self._pixels)

    @property
    def _pixels(self) -> Floats:
        return np.array(self.shape, np.float32)[:, None, None]


def _splines(size: int, kernel: int, points: int) -> Floats:
    """Values (size + kernel - 1, points) of the cubic B-splines with knots 1 / (points - 3) of the side apart.

    Taps that stand outside the picture move as its border does.
    """
    place = ((np.arange(size + kernel - 1) - kernel // 2 + 0.5) / size).clip(0, 1) * (points - 3)
    distance = np.abs(place[:, None] + 1 - np.arange(points))
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def roughness(points: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Sum of squared third differences of control points (2, n, n), and its gradient: 0 where the field is a parabola.

    The penalty of P-splines (Eilers and Marx 1996). It fills in smoothly where a picture is flat and shows no displacement.
    """
    differences = np.diff(np.eye(points.shape[1]), 3, axis=0)
    square = differences.T @ differences
    half_gradient = square @ points + points @ square
    return float((points * half_gradient).sum()), 2 * half_gradient
