"""Learn the offsets and the weight of a deformable convolution that turns one picture into another."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from clconv.demo.level import Level
from clconv.device import Device

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_COARSEST = 32
"""Pixels along a side from which the learning starts: a warp of some hundredths of the side is a pixel or two there."""


@dataclass(frozen=True, slots=True)
class Step:
    """The state after one step of learning.

    Attributes
    ----------
    number : int
        0 is the untrained layer.
    height : int
        Of the picture at which the step was taken, in pixels.
    error : float
        Mean squared error at full size.
    """

    number: int
    height: int
    error: float

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in decibels, of values up to 1."""
        return float(-10 * np.log10(self.error))


@dataclass(frozen=True, slots=True)
class Alignment:
    """What was learned.

    Attributes
    ----------
    output : float32 array, (out_channels, height, width)
        The layer's picture.
    offset : float32 array, (1, 2*kernel*kernel, height, width)
        In pixels, in the order of `deform_conv2d`.
    weight : float32 array, (out_channels, in_channels, kernel, kernel)
    steps : tuple of Step
    """

    output: Floats
    offset: Floats
    weight: Floats
    steps: tuple[Step, ...]

    @property
    def displacement(self) -> Floats:
        """Offset (dy, dx) of the kernel's middle tap: (2, height, width), in pixels."""
        pairs: Floats = self.offset.reshape(-1, 2, *self.offset.shape[2:])
        return np.asarray(pairs[len(pairs) // 2])


def align(
    source: Floats,
    target: Floats,
    steps: int,
    *,
    kernel: int = 3,
    device: Device | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Alignment:
    """Learn a layer that turns source into target, from coarse to fine, by L-BFGS (Liu and Nocedal 1989).

    The layer starts as the identity. Its weight is learned at full size only, where it sharpens what interpolation blurs.

    Parameters
    ----------
    source : float32 array, (in_channels, height, width)
    target : float32 array, (out_channels, height, width)
        Values about 0 to 1.
    steps : int
        Steps in all, most of them at full size; fewer where nothing more is to be gained.
    kernel : int
        Taps along each side of the kernel, an odd number.
    device : Device, optional
        None: the best.
    on_step : callable
        Told of each step, first of the untrained layer as step 0.
    """
    levels = [Level.of(source, target, height, kernel, device) for height in _heights(target.shape[1])]
    full = levels[-1]
    parameters, history = full.start, list[Step]()

    def record(level: Level, parameters: Doubles) -> None:
        error = float(np.mean((full.forward(parameters) - full.target) ** 2))
        history.append(Step(len(history), level.target.shape[2], error))
        on_step(history[-1])

    record(levels[0], parameters)
    with threadpool_limits(1, user_api="blas"):  # threads that wait for L-BFGS's small products spin, and hold up an OpenCL CPU driver
        for level, share in zip(levels, _shares(steps, len(levels)), strict=True):
            parameters = _descend(level, parameters, share, record)
    return Alignment(full.forward(parameters)[0], full.offset(parameters), full.weight(parameters), tuple(history))


def _descend(level: Level, parameters: Doubles, steps: int, record: Callable[[Level, Doubles], None]) -> Doubles:
    """Take some steps at one size; no tolerance ends them early, as the errors of fine sizes are small numbers."""
    options = {"maxiter": steps, "maxcor": 20, "ftol": 0, "gtol": 0}
    found = minimize(level.error, parameters, jac=True, method="L-BFGS-B", options=options, callback=lambda x: record(level, x))
    return np.asarray(found.x)


def _heights(height: int) -> list[int]:
    """Halve a height down to the coarsest; coarse to fine."""
    heights = [height]
    while heights[0] // 2 >= _COARSEST:
        heights.insert(0, heights[0] // 2)
    return heights


def _shares(steps: int, levels: int) -> list[int]:
    """Share steps out in proportion 1, 2, 3, ...: the finer a level, the more it has to learn."""
    ends = [steps * level * (level + 1) // (levels * (levels + 1)) for level in range(levels + 1)]
    return [end - start for start, end in pairwise(ends)]
